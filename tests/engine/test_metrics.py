"""Metrics: nothing without Ray; with it, what Ray's own endpoint answers to Prometheus; and a dashboard that asks for nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.engine.metrics import METRICS
from tests.cli.conftest import ENVIRONMENT, make_videos, write_toy

SUFFIXES = ("_bucket", "_count", "_sum")
NAME = re.compile(r"ray_internvid_[a-z_]+")


def exported_names() -> dict[str, str]:
    """Every name that Prometheus knows, and the metric behind it."""
    names = {}
    for metric in METRICS:
        endings = SUFFIXES if metric.kind == "histogram" else ("",)
        names |= {f"{metric.exported}{ending}": metric.name for ending in endings}
    return names


def queries() -> list[str]:
    board = json.loads((configs_dir() / "cluster" / "grafana-dashboard.json").read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return texts + [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]


def test_the_dashboard_asks_for_metrics_and_labels_that_there_are():
    known, by_name = exported_names(), {metric.name: metric for metric in METRICS}
    asked = {}
    for text in queries():
        for name in NAME.findall(text):
            assert name in known, f"{name} in {text}"
            asked[known[name]] = True
            labels = set(re.findall(r"(?:by \(|, |\{)([a-z_]+)(?==|,|\))", text)) - {"le"}
            assert labels <= set(by_name[known[name]].tags) | {"dataset", "stage"}, (text, labels)
    assert set(asked) == set(by_name), "every metric is shown"


def test_each_panel_has_a_place_of_its_own():
    panels = json.loads((configs_dir() / "cluster" / "grafana-dashboard.json").read_text())["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels) == len({p["id"] for p in panels})


def run_python(code: str, *arguments: object, timeout: float = 250) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**ENVIRONMENT, **os.environ}, timeout=timeout)


RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import run_dataset
"""
WITHOUT = f"""{RUN}
run_dataset(load_config(sys.argv[1]), engine="inline")
assert "ray" not in sys.modules
"""


def test_without_ray_nothing_is_loaded_and_nothing_happens(tmp_path: Path):
    make_videos(tmp_path / "videos", 1, 2)
    done = run_python(WITHOUT, write_toy(tmp_path), Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr


# The driver is a process of Ray like any worker: what it counts is exported by its node.
WITH = f"""{RUN}
import time, urllib.request
import ray
from internvid_pipeline.engine import ray as engine
engine.start("local")
run_dataset(load_config(sys.argv[1]), engine="inline")
node = ray.nodes()[0]
url = f"http://{{node['NodeManagerAddress']}}:{{node['MetricsExportPort']}}/metrics"
deadline = time.monotonic() + 120
text = ""
while time.monotonic() < deadline and "ray_internvid_partition_seconds_count" not in text:
    time.sleep(1)
    try:
        text = urllib.request.urlopen(url, timeout=5).read().decode()
    except OSError as error:
        print(error, file=sys.stderr)
print("\\n".join(line for line in text.splitlines() if line.startswith("ray_internvid")))
ray.shutdown()
"""


@pytest.mark.ray
def test_rays_endpoint_answers_prometheus_with_what_was_counted(tmp_path: Path):
    make_videos(tmp_path / "videos", -1, 0, 1, 2, 3, 4, 5)
    done = run_python(WITH, write_toy(tmp_path, {"raises": [3]}), Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    values: dict[tuple[str, ...], float] = {}
    for line in done.stdout.splitlines():
        name, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()
        tags = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        assert name in exported_names()
        assert tags["dataset"] == "toy"
        extra = [tags[key] for key in ("outcome", "failure_class", "reason", "end") if key in tags]
        if not name.endswith("_bucket"):
            values[name, tags["stage"], *extra] = float(value)
    assert values["ray_internvid_items_total", "toy_numbers", "emitted"] == 6
    assert values["ray_internvid_items_total", "toy_numbers", "dropped"] == 1
    assert values["ray_internvid_drops_total", "toy_numbers", "too_short"] == 1
    assert values["ray_internvid_items_total", "toy_squares", "failed"] == 1
    assert values["ray_internvid_failures_total", "toy_squares", "ValueError"] == 1
    assert values["ray_internvid_partitions_total", "toy_squares", "done"] == 3
    assert values["ray_internvid_partition_seconds_count", "toy_squares"] == 3
    assert values["ray_internvid_items_in_flight", "toy_squares"] == 0
    assert values["ray_internvid_written_bytes_total", "toy_squares"] > 0
    assert values["ray_internvid_work_seconds_total", "toy_squares"] > 0
