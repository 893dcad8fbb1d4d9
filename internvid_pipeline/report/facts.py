"""Everything that a report shows, gathered once and then written as a page, as tables and as JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from internvid_pipeline import __version__
from internvid_pipeline.engine import StagePlan, StatusReader
from internvid_pipeline.exporters.hub.card import ModelUse
from internvid_pipeline.records import SelectionRecord
from internvid_pipeline.report.examples import ExampleGroup, all_examples
from internvid_pipeline.report.figures import Figure, all_figures
from internvid_pipeline.report.frames import PictureFinder
from internvid_pipeline.report.funnel import StageRow, WorkRow, funnel, work
from internvid_pipeline.report.reading import SetReader
from internvid_pipeline.report.sample import MOST_CLIPS, Sample, read_sample
from internvid_pipeline.selection import Selection
from internvid_pipeline.storage import Root


@dataclass(frozen=True)
class SelectionRow:
    """clips: that it keeps, in the sample. words: its rules in their order."""

    name: str
    clips: int
    words: tuple[str, ...]


@dataclass(frozen=True)
class ModelRow:
    """rows: of captions, scores or utterances, in the sample, that it made."""

    model: ModelUse
    rows: int


@dataclass(frozen=True)
class Facts:
    """name: of the data set. sampled: what the distributions were counted from, in words. versions: of the software that wrote the
    results, with the number of manifests that say so (of the sample)."""

    name: str
    made_at: str
    num_inputs: int
    is_whole: bool
    sampled: str
    stages: tuple[StageRow, ...]
    work: tuple[WorkRow, ...]
    currency: str
    figures: tuple[Figure, ...]
    part_drops: tuple[tuple[str, str, int], ...]
    selections: tuple[SelectionRow, ...]
    models: tuple[ModelRow, ...]
    versions: Mapping[str, int]
    examples: tuple[ExampleGroup, ...]

    @property
    def has_stand_ins(self) -> bool:
        """True where some rows were made by a stand-in."""
        return any(row.model.is_stand_in for row in self.models)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for scripts; without the pictures."""
        data = asdict(self)
        del data["examples"]
        data["stages"] = [{**asdict(row), "not_taken": row.not_taken, "closes": row.closes} for row in self.stages]
        return {**data, "has_stand_ins": self.has_stand_ins, "internvid": __version__}


def gather(
    root: Root,
    name: str,
    plans: Sequence[StagePlan],
    partitions: Sequence[int],
    made_at: str,
    most_clips: int = MOST_CLIPS,
    costs: Any = None,
    currency: str = "",
    processes: int = 1,
) -> Facts:
    """Reads manifests for all counts, and tables of up to `most_clips` clips (0: all) for the rest. costs: from a StageStatus to a sum of
    money, None without prices. Raises StorageError."""
    statuses = StatusReader(root, plans, partitions, processes=processes).read()
    reader = SetReader(root, plans, partitions)
    sample = read_sample(reader, statuses, most_clips)
    money = {status.stage: costs(status) for status in statuses} if costs is not None else {}
    return Facts(
        name=name,
        made_at=made_at,
        num_inputs=statuses[0].inputs if statuses else 0,
        is_whole=sample.is_whole,
        sampled=sample.words,
        stages=tuple(funnel(plans, statuses)),
        work=tuple(work(statuses, money)),
        currency=currency,
        figures=tuple(all_figures(sample)),
        part_drops=_part_drops(sample),
        selections=_selections(plans, sample),
        models=_models(sample),
        versions=_versions(reader, sample),
        examples=tuple(all_examples(sample, PictureFinder(reader))),
    )


def _part_drops(sample: Sample) -> tuple[tuple[str, str, int], ...]:
    """(stage, reason, count) of parts of inputs, such as shots, that were left out."""
    parts = sample.losses.filter(pa.compute.is_valid(sample.losses["part_of"]))
    rows = parts.group_by(["stage", "name"], use_threads=False).aggregate([("item_id", "count")]).to_pylist()
    return tuple(sorted(((row["stage"], row["name"], row["item_id_count"]) for row in rows), key=lambda row: (row[0], -row[2], row[1])))


def _selections(plans: Sequence[StagePlan], sample: Sample) -> tuple[SelectionRow, ...]:
    counts = Counter(sample.selections["selection"].to_pylist())
    for plan in plans:
        if plan.build().writes is SelectionRecord:
            rules = {name: Selection.model_validate(fields).rules for name, fields in plan.fields["selections"].items()}
            return tuple(SelectionRow(name, counts[name], tuple(rule.words for rule in own)) for name, own in rules.items())
    return ()


def _models(sample: Sample) -> tuple[ModelRow, ...]:
    """What stands in the rows themselves: never what the config only asked for."""
    kinds: list[tuple[pa.Table, str, str]] = [(sample.captions, "scale", " captions"), (sample.scores, "scorer", "")]
    columns = ["model", "model_commit", "is_stand_in"]
    found = [
        ModelRow(ModelUse(f"{row[role]}{more}", row["model"], row["model_commit"], row["is_stand_in"]), row[f"{role}_count"])
        for table, role, more in kinds
        for row in table.group_by([role, *columns], use_threads=False).aggregate([(role, "count")]).to_pylist()
    ]
    if sample.speech is not None:
        counted = sample.speech.group_by(["source", "is_stand_in"], use_threads=False).aggregate([("clip_id", "count")]).to_pylist()
        found += [ModelRow(ModelUse("speech", row["source"], "", row["is_stand_in"]), row["clip_id_count"]) for row in counted]
    return tuple(sorted(found, key=lambda row: (row.model.role, -row.rows)))


def _versions(reader: SetReader, sample: Sample) -> dict[str, int]:
    counts = Counter(
        ", ".join(f"{name} {version}" for name, version in sorted(reader.manifest(plan.folder, partition).versions.items()))
        for plan in reader.plans
        for partition in sample.partitions
        if partition in reader.done(plan.folder)
    )
    return dict(counts.most_common())
