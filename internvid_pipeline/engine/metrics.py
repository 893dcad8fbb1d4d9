"""Counters for Prometheus, exported by Ray from every node (`ray.util.metrics`; nodes need `ray[default]`). Without Ray nothing happens.

Ray puts `ray_` before each name and `_total` behind each counter's. `configs/cluster/grafana-dashboard.json` shows them. Sums of
histograms are reckoned by Ray from the buckets: exact seconds are in the counter `internvid_work_seconds`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.storage import Manifest

_BOUNDS_S = (1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0)
_STAGE = ("dataset", "stage")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Ray is told it. tags: names of its labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    tags: tuple[str, ...] = _STAGE

    @property
    def exported(self) -> str:
        """Its name in Prometheus; a histogram's with `_bucket`, `_count` or `_sum` behind."""
        return f"ray_{self.name}" + ("_total" if self.kind == "counter" else "")


ITEMS = Metric("internvid_items", "counter", "Inputs by outcome: emitted, dropped or failed.", (*_STAGE, "outcome"))
FAILURES = Metric("internvid_failures", "counter", "Failed inputs by class of error.", (*_STAGE, "failure_class"))
DROPS = Metric("internvid_drops", "counter", "Dropped inputs by reason.", (*_STAGE, "reason"))
ROWS = Metric("internvid_rows", "counter", "Rows written.")
WRITTEN_BYTES = Metric("internvid_written_bytes", "counter", "Bytes of files that manifests name.")
VIDEO_SECONDS = Metric("internvid_video_seconds", "counter", "Seconds of video that finished inputs stand for.")
WORK_SECONDS = Metric("internvid_work_seconds", "counter", "Seconds that workers spent on partitions that are done.")
PARTITIONS = Metric("internvid_partitions", "counter", "Partitions by end: done, or deferred, missing, machine, fatal.", (*_STAGE, "end"))
PARTITION_SECONDS = Metric("internvid_partition_seconds", "histogram", "Seconds of work of one partition.")
IN_FLIGHT = Metric("internvid_items_in_flight", "gauge", "Inputs that workers have begun and not committed.")
METRICS = (ITEMS, FAILURES, DROPS, ROWS, WRITTEN_BYTES, VIDEO_SECONDS, WORK_SECONDS, PARTITIONS, PARTITION_SECONDS, IN_FLIGHT)

_open: dict[str, Any] = {}


def _metric(metric: Metric) -> Any:
    """Ray's object, made at first use; None where this process runs no Ray."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    if metric.name not in _open:
        from ray.util import metrics

        if metric.kind == "histogram":
            made: Any = metrics.Histogram(metric.name, metric.meaning, boundaries=list(_BOUNDS_S), tag_keys=metric.tags)
        else:
            made = (metrics.Counter if metric.kind == "counter" else metrics.Gauge)(metric.name, metric.meaning, tag_keys=metric.tags)
        _open[metric.name] = made
    return _open[metric.name]


def _count(metric: Metric, value: float, tags: Mapping[str, str]) -> None:
    found = _metric(metric) if value > 0 else None  # Ray refuses to add nothing
    if found is not None:
        found.inc(value, tags=dict(tags))


def begun(plan: StagePlan, num_items: int) -> None:
    """A partition's inputs are with a worker; 0 when they no longer are."""
    found = _metric(IN_FLIGHT)
    if found is not None:
        found.set(num_items, tags=_tags(plan))


def committed(plan: StagePlan, manifest: Manifest) -> None:
    """This process has committed a partition."""
    tags = _tags(plan)
    for outcome in ("emitted", "dropped", "failed"):
        _count(ITEMS, getattr(manifest, outcome), {**tags, "outcome": outcome})
    for name, count in manifest.failures_by_class.items():
        _count(FAILURES, count, {**tags, "failure_class": name})
    for name, count in manifest.drops_by_reason.items():
        _count(DROPS, count, {**tags, "reason": name})
    _count(ROWS, manifest.rows, tags)
    _count(WRITTEN_BYTES, sum(file.size_bytes for file in manifest.files), tags)
    _count(VIDEO_SECONDS, manifest.video_s, tags)
    _count(WORK_SECONDS, manifest.wall_s, tags)
    _count(PARTITIONS, 1, {**tags, "end": "done"})
    histogram = _metric(PARTITION_SECONDS)
    if histogram is not None:
        histogram.observe(max(manifest.wall_s, 1e-3), tags=tags)  # Ray refuses 0


def not_run(plan: StagePlan, kind: str) -> None:
    """A partition could not be run. kind: whose fault it is (`attempt.ErrorKind`)."""
    _count(PARTITIONS, 1, {**_tags(plan), "end": kind})


def _tags(plan: StagePlan) -> dict[str, str]:
    return {"dataset": plan.dataset, "stage": plan.name}
