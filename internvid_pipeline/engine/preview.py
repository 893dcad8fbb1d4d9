"""`internvid plan`: what a run would compute and why, before anything is spent."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from internvid_pipeline.config import DatasetConfig, changed_fields
from internvid_pipeline.engine.inputs import list_inputs
from internvid_pipeline.engine.partitions import partition_numbers, read_sources, source_id
from internvid_pipeline.engine.plan import StagePlan, build_plan
from internvid_pipeline.engine.run import open_root, partitions_to_do
from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import Root, layout, read_tombstones


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field whose value differs from the one that the nearest older result was made with."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class StagePreview:
    """One stage of a plan. to_compute, done: partitions. reasons: why there is something to compute, in words. changes: fields that
    made an older result of this stage stale."""

    stage: str
    fingerprint: str
    to_compute: int
    done: int
    reasons: tuple[str, ...]
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan: inputs of the source that are new, and each stage. New inputs become partitions when the plan is run; their number is
    not known before, so stages count partitions that exist."""

    root: str
    inputs: int
    new_inputs: int
    partitions: int
    stages: tuple[StagePreview, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def preview(config: DatasetConfig) -> Preview:
    """What `run_dataset` would do now. Reads only. Raises UsageError, StorageError."""
    root = open_root(config)
    inputs = list_inputs(config.source, exclude=root.folder)
    partitions = partition_numbers(root)
    known = {record.source_id for record in read_sources(root, partitions)}
    removed = read_tombstones(root)
    new_inputs = sum(source_id(entry) not in known and not removed.covers(entry.uri, source_id(entry)) for entry in inputs)
    plans = build_plan(config, len(partitions))
    stale: set[str] = set()
    refreshed: set[str] = set()
    stages = []
    for plan in plans:
        stages.append(_preview_stage(root, plan, partitions, new_inputs, stale, refreshed))
        if stages[-1].to_compute and not stages[-1].done:
            stale.add(plan.name)
    return Preview(root.uri, len(inputs), new_inputs, len(partitions), tuple(stages))


def _preview_stage(
    root: Root, plan: StagePlan, partitions: Sequence[int], new_inputs: int, stale: set[str], refreshed: set[str]
) -> StagePreview:
    """`stale` holds the stages before this one that are computed again, `refreshed` those that new inputs will make so; adds to it."""
    todo = partitions_to_do(root, plan, partitions)
    changes: list[FieldChange] = []
    reasons = []
    if todo and len(todo) == len(partitions):
        old = _nearest_other(root, plan)
        if old is None:
            reasons.append("never computed")
        else:
            changes = [
                FieldChange(f"stages.{plan.key}.{path}", before, now)
                for path, before, now in changed_fields(old["config"], plan.made_from["config"])
            ]
            reasons += _words(old, plan, changes, stale)
            if plan.publish_dir is not None:
                reasons.append(f"replaces what lies in {plan.publish_dir}/")
    elif todo:
        reasons.append(f"{len(todo)} of {len(partitions)} partitions are not done")
    if new_inputs:
        reasons.append(f"{new_inputs} new inputs")
        if plan.needs_reduce or not refreshed.isdisjoint(plan.made_from["reads"]):
            refreshed.add(plan.name)
            reasons.append(
                "every partition is computed again then, since " + ("it looks at all" if plan.needs_reduce else "what it reads is")
            )
    return StagePreview(plan.name, plan.fingerprint, len(todo), len(partitions) - len(todo), tuple(reasons), tuple(changes))


def _words(old: dict[str, Any], plan: StagePlan, changes: Sequence[FieldChange], stale: set[str]) -> list[str]:
    words = [f"{change.field} changed from {change.old!r} to {change.new!r}" for change in changes]
    if old["version"] != plan.made_from["version"]:
        words.append(f"version of the stage changed from {old['version']} to {plan.made_from['version']}")
    changed = [name for name, fingerprint in plan.made_from["reads"].items() if old["reads"].get(name) != fingerprint]
    words += [f"reads {name}, which is computed again" if name in stale else f"reads {name}, which has changed" for name in changed]
    if old.get("partitions") != plan.made_from.get("partitions"):
        words.append("looks at all partitions, and there are new ones")
    return words or ["an earlier run of it did not get far"]


def _nearest_other(root: Root, plan: StagePlan) -> dict[str, Any] | None:
    """What the result of this stage that differs least from the plan was made from; None where there is no other."""
    found = []
    for fingerprint in root.list_names(plan.name):
        if fingerprint != plan.fingerprint:
            path = layout.fingerprint_file(layout.stage_folder(plan.name, fingerprint))
            try:
                data = json.loads(root.read_bytes(path))
            except FileNotFoundError:
                continue
            except ValueError as error:
                raise StorageError(f"{path} in {root.uri} is damaged: {error}; delete it") from error
            if not (isinstance(data, dict) and {"version", "config", "reads"} <= data.keys()):
                raise StorageError(f"{path} in {root.uri} is damaged: it has no version, config and reads; delete it")
            found.append((len(changed_fields(data, dict(plan.made_from))), fingerprint, data))
    return min(found)[2] if found else None
