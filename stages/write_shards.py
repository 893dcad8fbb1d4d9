"""The selected clips as WebDataset tars: `<clip_id>.mp4`, `.json` (everything known of the clip), `.txt` (the caption), side by side."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.records import (
    CaptionRecord,
    ClipRecord,
    MediaRef,
    SampleRecord,
    ScoreRecord,
    SelectionRecord,
    VideoRecord,
    schema_of,
)
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage
from internvid_pipeline.storage import layout
from internvid_pipeline.units import timestamp

SAMPLE_SCHEMA_VERSION = 1
_FILE_MODE = 0o644


class WriteShardsConfig(Section):
    """Size of the shards."""

    shard_mb: int = Field(
        default=1000, ge=1, le=50_000, description="A shard is closed when it holds this many megabytes; the Hub advises tars of 1 to 5 GB."
    )
    shard_samples: int = Field(default=10_000, ge=1, description="A shard is closed when it holds this many clips.")


class WriteShards(Stage[WriteShardsConfig, SelectionRecord, SampleRecord]):
    """Each partition writes shards of its own, `shards/<selection>/<partition>-<number>.tar`, so that new partitions add shards and
    change none."""

    name = "write_shards"
    config_type = WriteShardsConfig
    reads = SelectionRecord
    joins = (VideoRecord, ClipRecord, CaptionRecord, ScoreRecord)
    writes = SampleRecord
    whole_partition = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.5, load_threads=1)

    @property
    def publish_dir(self) -> str:
        return layout.SHARDS

    def deadline_s(self, record: SelectionRecord) -> float:
        del record
        return 120.0  # copying one clip; a partition has the sum over its clips

    def process(self, batch: Sequence[Item[SelectionRecord]]) -> list[Outcome[SampleRecord]]:
        open_shards: dict[str, _Shard] = {}
        outcomes: list[Outcome[SampleRecord]] = [self._written(item, open_shards) for item in batch]
        for shard in open_shards.values():
            shard.close()
        return outcomes

    def _written(self, item: Item[SelectionRecord], open_shards: "dict[str, _Shard]") -> Outcome[SampleRecord]:
        selection = item.record.selection
        shard = open_shards.get(selection)
        number = 0
        if shard is not None and (shard.num_samples >= self.config.shard_samples or shard.size_bytes >= self.config.shard_mb * 10**6):
            shard.close()
            number, shard = shard.number + 1, None
        if shard is None:
            name = f"{layout.partition_name(item.partition)}-{number:05d}.tar"
            shard = open_shards[selection] = _Shard(self.worker.scratch / selection / name, number)
        clip: ClipRecord = item.joined[ClipRecord][0]
        media = shard.add(clip.clip_id, self.worker.root.read_media(clip.media), sample_json(item), item.record.caption)
        row = SampleRecord(
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            selection=selection,
            shard=shard.path.name,
            index=shard.num_samples - 1,
            media=media,
        )
        return Emit((row,))


class _Shard:
    """One tar under way."""

    def __init__(self, path: Path, number: int) -> None:
        # webdataset's own writer, with everything fixed that would differ between two runs.
        import webdataset

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.number = path, number
        self.num_samples = 0
        self._file = open(path, "wb")  # noqa: SIM115 - open until the shard is full
        self._writer = webdataset.TarWriter(
            self._file, user="internvid", group="internvid", mode=_FILE_MODE, mtime=0.0, format="PAX_FORMAT"
        )

    @property
    def size_bytes(self) -> int:
        return int(self._writer.tarstream.offset)  # what the tar holds; the file itself lags behind by a buffer

    def add(self, key: str, mp4: bytes, metadata: dict[str, Any], caption: str) -> MediaRef:
        """Appends a sample. Returns its byte range in the tar."""
        start = self.size_bytes
        self._writer.write(
            {"__key__": key, "json": json.dumps(metadata, ensure_ascii=False, sort_keys=True).encode(), "mp4": mp4, "txt": caption.encode()}
        )
        self.num_samples += 1
        return MediaRef.scratch(self.path, offset_bytes=start, size_bytes=self.size_bytes - start)

    def close(self) -> None:
        self._writer.close()
        self._file.close()


def sample_json(item: Item[SelectionRecord]) -> dict[str, Any]:
    """Everything known of a clip, for the shard's `.json`. Schema version SAMPLE_SCHEMA_VERSION; keys are those of the tables.

    Every key is there in every sample and has one type, since readers (`datasets`) infer the types from the first few samples and stop
    at the first that differs: an unknown text is "", an unknown number -1, and a list's own columns stay JSON in `metadata_json`.
    """
    video, clip = item.joined[VideoRecord][0], item.joined[ClipRecord][0]
    captions = [_typed(row, "clip_id", "video_id") for row in item.joined[CaptionRecord]]
    scores = [_typed(row, "clip_id", "video_id", "frames") for row in item.joined[ScoreRecord]]
    return {
        "schema_version": SAMPLE_SCHEMA_VERSION,
        **_typed(clip, "frames", "media"),
        "start_timestamp": timestamp(clip.start_s),
        "end_timestamp": timestamp(clip.end_s),
        "sha256": clip.media.sha256,
        "caption": item.record.caption,
        "caption_scale": item.record.caption_scale,
        "captions": captions,
        "scores": scores,
        "has_stand_ins": any(row["is_stand_in"] for row in [*captions, *scores]),
        "selection": item.record.selection,
        "video": _typed(video, "media", "source_uri", "video_id"),
    }


def _typed(record: Any, *left_out: str) -> dict[str, Any]:
    """A record's fields, None replaced by a value of the field's own type."""
    found = {}
    for column in schema_of(type(record)):
        if column.name not in left_out:
            value = getattr(record, column.name)
            found[column.name] = ("" if pa.types.is_string(column.type) else -1) if value is None else value
    return found
