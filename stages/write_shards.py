"""The selected clips as WebDataset tars: `<clip_id>.json` (everything known of the clip), `.mp4`, `.txt` (the caption), side by side."""

import dataclasses
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Any

import pyarrow as pa
from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import StorageError
from internvid_pipeline.media.flac import flac_of
from internvid_pipeline.media.picture_type import frame_format, frame_suffix
from internvid_pipeline.records import (
    CaptionRecord,
    ClipRecord,
    MediaRef,
    SampleRecord,
    ScoreRecord,
    SelectionRecord,
    SpeechRecord,
    VideoRecord,
    schema_of,
)
from internvid_pipeline.selection import shuffled_apart
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, SetTables, Stage
from internvid_pipeline.storage import SampleTarWriter, layout
from internvid_pipeline.text.transcripts import speech_json
from internvid_pipeline.text.vtt import to_vtt
from internvid_pipeline.units import timestamp

SAMPLE_SCHEMA_VERSION = 1
_READ_AHEAD = 16  # clips; on an object store each is a request
_READERS = 8


class WriteShardsConfig(Section):
    """Size of the shards, and from how far clips are mixed."""

    shard_mb: int = Field(
        default=1000,
        ge=1,
        le=50_000,
        description="Most megabytes of clips in a shard; the Hub advises tars of 1 to 5 GB. What a group holds is cut into equal shards.",
    )
    shard_samples: int = Field(default=10_000, ge=1, description="Most clips in a shard.")
    shuffle_partitions: int = Field(
        default=64,
        ge=1,
        le=500,
        description="Clips of so many partitions that were added together are shuffled and packed together; with the clips' own number, "
        "1,000 a partition at InternVid's sizes, 64,000 clips of 2,000 videos.",
    )
    shuffle_seed: int = Field(default=0, ge=0, description="Of the order; the same seed gives the same shards on every machine.")
    write_vtt: bool = Field(default=False, description="Add `<clip_id>.vtt`, what is said as WebVTT; empty where nothing is.")
    write_frames: bool = Field(
        default=False, description="Add the kept frames, `<clip_id>.frame-0001250.jpg`: milliseconds from the clip's beginning."
    )
    write_audio: bool = Field(
        default=False, description="Add `<clip_id>.flac`, the sound at 16 kHz in one channel, to the sample; none where the clip has none."
    )


class WriteShards(Stage[WriteShardsConfig, SelectionRecord, SampleRecord]):
    """The clips of a group of partitions, shuffled so that neighbours are of different videos, in shards of equal size. The shards are
    dealt out among the group's partitions, `shards/<selection>/<partition>-<number>.tar`, with a `.tar.idx` beside each. New data makes new
    groups: it adds shards and changes none."""

    name = "write_shards"
    version = 2
    config_type = WriteShardsConfig
    reads = SelectionRecord
    joins = (VideoRecord, ClipRecord, CaptionRecord)
    optional_joins = (ScoreRecord, SpeechRecord)
    writes = SampleRecord
    whole_partition = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.5, load_threads=1)

    @property
    def publish_dir(self) -> str:
        return layout.SHARDS

    @property
    def gather_partitions(self) -> int:
        return self.config.shuffle_partitions

    def deadline_s(self, record: SelectionRecord) -> float:
        del record
        return 120.0  # copying one clip; a partition has the sum over its clips

    def gather(self, tables: SetTables) -> pa.Table:
        """Shuffles each selection, cuts it into shards, and deals these out in runs: as many to each partition as come to it."""
        rows: list[dict[str, Any]] = []
        for partition in tables.partitions:
            clips = tables.table(partition, ClipRecord, ["clip_id", "media"])
            sizes = dict(zip(clips["clip_id"].to_pylist(), (media["size_bytes"] or 0 for media in clips["media"].to_pylist()), strict=True))
            chosen = tables.table(partition, SelectionRecord, ["clip_id", "video_id", "selection"])
            rows += [{**row, "source": partition, "size": sizes.get(row["clip_id"], 0)} for row in chosen.to_pylist()]
        shards = [shard for name in sorted({row["selection"] for row in rows}) for shard in self._cut(rows, name)]
        dealt = []
        for number, shard in enumerate(shards):
            partition = tables.partitions[number * len(tables.partitions) // len(shards)]
            dealt += [{**row, "partition": partition, "pile": number, "item_id": f"{row['clip_id']}/{row['selection']}"} for row in shard]
        names = ("partition", "pile", "source", "clip_id", "item_id")
        types = (pa.int64(), pa.int64(), pa.int64(), pa.string(), pa.string())
        return pa.table({name: pa.array([row[name] for row in dealt], kind) for name, kind in zip(names, types, strict=True)})

    def _cut(self, rows: Sequence[dict[str, Any]], selection: str) -> Iterator[list[dict[str, Any]]]:
        own = [row for row in rows if row["selection"] == selection]
        order = shuffled_apart([row["clip_id"] for row in own], [row["video_id"] for row in own], self.config.shuffle_seed)
        total = sum(row["size"] for row in own)
        num_shards = max(-(-total // (self.config.shard_mb * 10**6)), -(-len(own) // self.config.shard_samples))
        share = max(total / num_shards, 1)
        shard: list[dict[str, Any]] = []
        done = 0
        for position in order:
            row = own[position]
            number = min(
                int((done + row["size"] / 2) / share), num_shards - 1
            )  # by the clip's middle: no shard is left empty for one large clip
            if shard and (number != shard[0]["number"] or len(shard) == self.config.shard_samples):
                yield shard
                shard = []
            shard.append({**row, "number": number})
            done += row["size"]
        if shard:
            yield shard

    def process(self, batch: Sequence[Item[SelectionRecord]]) -> list[Outcome[SampleRecord]]:
        outcomes: list[Outcome[SampleRecord]] = []
        numbers: dict[str, int] = {}
        with ThreadPoolExecutor(_READERS, thread_name_prefix="clips") as pool:
            for (selection, _), items in groupby(batch, key=lambda item: (item.record.selection, item.pile)):
                number = numbers[selection] = numbers.get(selection, -1) + 1
                path = self.worker.scratch / selection / f"{layout.partition_name(batch[0].partition)}-{number:05d}.tar"
                with SampleTarWriter(path) as shard:
                    outcomes += [self._written(item, data, shard) for item, data in self._read(list(items), pool)]
        return outcomes

    def _read(
        self, items: Sequence[Item[SelectionRecord]], pool: ThreadPoolExecutor
    ) -> Iterator[tuple[Item[SelectionRecord], Future[bytes]]]:
        """The items in order with their clips' bytes, a few read ahead."""
        waiting: deque[tuple[Item[SelectionRecord], Future[bytes]]] = deque()
        for item in items:
            waiting.append((item, pool.submit(self.worker.root.read_media, item.joined[ClipRecord][0].media)))
            if len(waiting) == _READ_AHEAD:
                yield waiting.popleft()
        yield from waiting

    def _written(self, item: Item[SelectionRecord], data: Future[bytes], shard: SampleTarWriter) -> Outcome[SampleRecord]:
        record = item.record
        try:
            mp4 = data.result()
        except FileNotFoundError as error:  # of a manifest's own file: the data set is damaged, not the clip
            raise StorageError(f"{item.joined[ClipRecord][0].media.uri} in {self.worker.root.uri} is missing") from error
        parts = {
            "json": json.dumps(sample_json(item), ensure_ascii=False, sort_keys=True).encode(),
            "mp4": mp4,
            "txt": record.caption.encode(),
        }
        if self.config.write_vtt:
            parts["vtt"] = _vtt(item).encode()
        if self.config.write_frames:
            parts |= self._frames(item.joined[ClipRecord][0])
        if self.config.write_audio and (sound := flac_of(mp4, self.worker.scratch)):
            parts["flac"] = sound
        index = shard.num_samples
        start, size = shard.add(record.clip_id, parts)
        row = SampleRecord(
            clip_id=record.clip_id,
            video_id=record.video_id,
            selection=record.selection,
            shard=shard.path.name,
            index=index,
            media=MediaRef.scratch(shard.path, offset_bytes=start, size_bytes=size),
        )
        return Emit((row,))

    def _frames(self, clip: ClipRecord) -> dict[str, bytes]:
        milliseconds = {frame: round(1000 * (frame.time_s - clip.start_s)) for frame in clip.frames}
        files = {frame: self.worker.root.read_media(frame.media) for frame in clip.frames}
        return {f"frame-{milliseconds[frame]:07d}{frame_suffix(frame_format(data))}": data for frame, data in files.items()}


def _vtt(item: Item[SelectionRecord]) -> str:
    speech = speech_of(item)
    return to_vtt(speech.chosen.utterances, speech.language) if speech is not None else to_vtt(())


def speech_of(item: Item[SelectionRecord]) -> SpeechRecord | None:
    """What is said in the clip, None where nothing is or nobody listened."""
    rows: tuple[SpeechRecord, ...] = item.joined.get(SpeechRecord, ())
    return rows[0] if rows else None


def sample_json(item: Item[SelectionRecord]) -> dict[str, Any]:
    """Everything known of a clip, for the shard's `.json`. Schema version SAMPLE_SCHEMA_VERSION; keys are those of the tables.

    Every key is there in every sample and has one type, since readers (`datasets`) infer the types from the first few samples and stop
    at the first that differs: an unknown text is "", an unknown number -1, a list's own columns stay JSON in `metadata_json`, and lists
    of records (chapters, subtitles) are JSON text.
    """
    video, clip = item.joined[VideoRecord][0], item.joined[ClipRecord][0]
    captions = [_typed(row, "clip_id", "video_id") for row in item.joined[CaptionRecord]]
    scores = [_typed(row, "clip_id", "video_id", "frames") for row in item.joined[ScoreRecord]]
    speech = speech_of(item)
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
        "speech": speech_json(speech),
        "has_stand_ins": any(row["is_stand_in"] for row in [*captions, *scores]) or (speech is not None and speech.is_stand_in),
        "selection": item.record.selection,
        "video": _typed(video, "media", "source_uri", "video_id", "clip_requests", "info_json"),
    }


def _typed(record: Any, *left_out: str) -> dict[str, Any]:
    """A record's fields, None replaced by a value of the field's own type."""
    found = {}
    for column in schema_of(type(record)):
        if column.name not in left_out:
            value = getattr(record, column.name)
            if pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type):
                value = json.dumps([dataclasses.asdict(part) for part in value], ensure_ascii=False, sort_keys=True)
            found[column.name] = ("" if pa.types.is_string(column.type) else -1) if value is None else value
    return found
