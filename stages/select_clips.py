"""Which clips go into the data set: named selections, each a list of rules over columns of the tables, applied in their order.

InternVid's FLT subset in the form described by its authors (issue 91 of OpenGVLab/InternVideo) is three rules: length 1 to 120 s, then
the best 30 % by CLIP score, then DIV's draw; `configs/internvid.yaml` holds it and the others. Tables only, never media.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from internvid_pipeline.config import Section
from internvid_pipeline.records import (
    CaptionRecord,
    CaptionScale,
    ClipRecord,
    DropReason,
    DuplicateRecord,
    ScoreRecord,
    SelectionRecord,
    SpeechRecord,
    VideoRecord,
    schema_of,
)
from internvid_pipeline.selection import KEPT, Rule, Selection, SetDatabase, decide
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, PartDrop, Resources, SetTables, Stage
from internvid_pipeline.storage import read_parquet, write_arrow

_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_PARTITIONS_PER_FILE = 1000  # a worker reads one such file at a time: some 30 MB at InternVid's 1,000 clips a partition
_TABLES = (ClipRecord, VideoRecord, CaptionRecord, ScoreRecord, DuplicateRecord, SpeechRecord)

Fates = Mapping[str, tuple[int, float | None]]


class SelectClipsConfig(Section):
    """Selections by name, and which caption goes with a clip."""

    selections: Mapping[str, Selection] = Field(
        default={"default": Selection(rules=(Rule(column="duration_s", minimum=1.0, maximum=120.0),))},
        min_length=1,
        description="Rules by the selection's name; its shards lie in shards/<name>/. Default: the length rule of InternVid-10M-FLT, 1 to "
        "120 s (InternVideo issue 91).",
    )
    caption_scales: tuple[CaptionScale, ...] = Field(
        default=(CaptionScale.AVS, CaptionScale.AV, CaptionScale.FUSED, CaptionScale.VLM, CaptionScale.FINE, CaptionScale.COARSE),
        min_length=1,
        description="The caption of the first of these scales that a clip has goes into the shard's .txt.",
    )
    memory_mb: int = Field(
        default=4000,
        ge=200,
        json_schema_extra={"fingerprint": False},
        description="What the database may hold in memory while it looks at the whole set; the rest waits on local disk.",
    )

    @field_validator("selections")
    @classmethod
    def _names(cls, selections: Mapping[str, Selection]) -> Mapping[str, Selection]:
        for name in selections:
            if not re.fullmatch(_NAME, name):
                raise ValueError(f"{name!r} cannot name a selection: letters, digits, dash and underscore, at most 64")
        return selections


class SelectClips(Stage[SelectClipsConfig, ClipRecord, SelectionRecord]):
    """One row per selection that keeps the clip. A clip that none keeps is dropped; where some do, what the others said stands among the
    drops as a part of it."""

    name = "select_clips"
    version = 2
    config_type = SelectClipsConfig
    reads = ClipRecord
    joins = (VideoRecord, CaptionRecord)
    optional_joins = (ScoreRecord, DuplicateRecord, SpeechRecord)
    writes = SelectionRecord
    whole_partition = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.25, batch_size=1024, load_threads=1)

    @property
    def needs_reduce(self) -> bool:
        return any(selection.needs_set for selection in self.config.selections.values())

    def _database(self, folder: Path | None = None) -> SetDatabase:
        columns = [column for selection in self.config.selections.values() for column in selection.columns]
        return SetDatabase(columns, folder, self.config.memory_mb)

    def reduce(self, tables: SetTables, folder: Path) -> dict[str, float]:
        """Decides the whole set on local disk and writes each clip's fate, a file for every thousand partitions."""
        work = folder / ".work"
        work.mkdir()
        with self._database(work) as database:
            for partition in tables.partitions:
                clips, *others = (tables.table(partition, kind, database.needed(kind)) for kind in _TABLES)
                is_member = pc.is_in(clips["clip_id"], value_set=others[1]["clip_id"].combine_chunks())
                database.add(partition, clips.filter(is_member), *others)
            database.build()
            for number, fates in _by_file(decide(database, self.config.selections)):
                write_arrow(fates, folder / _fates_file(number * _PARTITIONS_PER_FILE))
        return {}

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[SelectionRecord]]:
        if not batch:
            return []
        fates = self._stored_fates(batch[0].partition) if self.needs_reduce else self._fates_of(batch)
        found: dict[str, dict[str, tuple[int, float | None]]] = {}
        for row in fates.to_pylist():
            found.setdefault(row["clip_id"], {})[row["selection"]] = (row["rule"], row["value"])
        return [self._outcome(item, found[item.record.clip_id]) for item in batch]

    def _stored_fates(self, partition: int) -> pa.Table:
        ref = self.worker.reduced_files[_fates_file(partition)]
        return read_parquet(self.worker.root.read_media(ref), ref.uri).filter(pc.field("partition") == partition)

    def _fates_of(self, batch: Sequence[Item[ClipRecord]]) -> pa.Table:
        """Of rules that look at one clip at a time."""
        with self._database() as database:
            rows: dict[type, list[Any]] = {kind: [] for kind in _TABLES}
            for item in batch:
                rows[ClipRecord].append(item.record)
                for kind in _TABLES[1:]:
                    rows[kind] += item.joined.get(kind, ())
            clips, *others = (_columns(rows[kind], kind, database.needed(kind)) for kind in _TABLES)
            database.add(batch[0].partition, clips, *others)
            database.build()
            return pa.Table.from_batches(decide(database, self.config.selections))

    def _outcome(self, item: Item[ClipRecord], fates: Fates) -> Outcome[SelectionRecord]:
        clip = item.record
        texts = {caption.scale: caption.text for caption in item.joined[CaptionRecord]}
        scale = next((scale for scale in self.config.caption_scales if scale in texts), None)
        if scale is None:
            return Drop(DropReason.MISSING_VALUE, f"has no caption of the scales {', '.join(self.config.caption_scales)}")
        kept = [name for name, (rule, _) in fates.items() if rule == KEPT]
        lost = [
            PartDrop(f"{clip.clip_id}/{name}", *_reason(self.config.selections[name].rules[rule], value))
            for name, (rule, value) in fates.items()
            if rule != KEPT
        ]
        if not kept:
            return Drop(lost[0].reason, lost[0].message, tuple(lost) if len(lost) > 1 else ())
        rows = tuple(
            SelectionRecord(clip_id=clip.clip_id, video_id=clip.video_id, selection=name, caption=texts[scale], caption_scale=scale)
            for name in kept
        )
        return Emit(rows, tuple(lost))


def _fates_file(partition: int) -> str:
    return f"fates-{partition // _PARTITIONS_PER_FILE:05d}.parquet"


def _by_file(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """Rows, which come in the order of partitions, cut where a new file begins."""
    waiting: list[pa.Table] = []
    current = 0
    for batch in batches:
        table = pa.Table.from_batches([batch])
        numbers = pc.divide(table["partition"], _PARTITIONS_PER_FILE)
        for number in pc.unique(numbers).to_pylist():
            if waiting and number != current:
                yield current, pa.concat_tables(waiting)
                waiting = []
            current = number
            waiting.append(table.filter(pc.equal(numbers, number)))
    if waiting:
        yield current, pa.concat_tables(waiting)


def _columns(records: Sequence[Any], record_type: type, names: Sequence[str]) -> pa.Table:
    """Some columns of records."""
    schema = pa.schema([schema_of(record_type).field(name) for name in names])
    return pa.table({name: pa.array([getattr(record, name) for record in records], schema.field(name).type) for name in names})


def _reason(rule: Rule, value: float | None) -> tuple[DropReason, str]:
    """Why a rule left a clip out, in words."""
    if rule.where is not None:
        return DropReason.NOT_MATCHING, f"does not satisfy {rule.where}"
    if rule.draw is not None:
        return DropReason.NOT_DRAWN, f"is not among the {rule.words}"
    if rule.most_per_value is not None:
        return DropReason.OVER_QUOTA, f"there are {rule.most_per_value} others of its {rule.column}, or it has none"
    if value is None:
        return DropReason.MISSING_VALUE, f"has no {rule.column}"
    if rule.top_ratio is not None:
        return DropReason.BELOW_PERCENTILE, f"{rule.column} {value:.4g} is not among the top {rule.top_ratio:.0%}"
    if rule.minimum is not None and value < rule.minimum:
        return DropReason.BELOW_MINIMUM, f"{rule.column} {value:.4g} is below {rule.minimum:g}"
    return DropReason.ABOVE_MAXIMUM, f"{rule.column} {value:.4g} is above {rule.maximum:g}"
