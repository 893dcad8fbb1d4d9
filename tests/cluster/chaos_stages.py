"""Stages for tests that kill: they sleep instead of working, and append each item that they have worked on to a log on this machine, so
that work done twice can be counted. INTERNVID_TEST_LOG names the log, INTERNVID_TEST_WORK_S says how long an item takes."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceRecord:
    video_id: str
    number: int
    media: MediaRef

    @property
    def item_id(self) -> str:
        return self.video_id


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRecord:
    video_id: str
    text: str

    @property
    def item_id(self) -> str:
        return self.video_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRecord:
    video_id: str
    media: MediaRef

    @property
    def item_id(self) -> str:
        return self.video_id


class SlowConfig(Section):
    cpus: float = 0.5
    salt: str = ""
    slow: float = Field(default=1.0, json_schema_extra={"fingerprint": False})  # times what the environment says


def log(stage: str, item_id: str) -> None:
    """One line, in one write: many processes append to the same file."""
    place = os.environ.get("INTERNVID_TEST_LOG")
    if place:
        handle = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{json.dumps([stage, item_id, os.getpid()])}\n".encode())
        finally:
            os.close(handle)


class _Slow(Stage):
    config_type = SlowConfig

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.config.cpus, batch_size=1, load_threads=1)

    def deadline_s(self, record) -> float:
        return 300.0

    def work(self, item: Item) -> None:
        time.sleep(self.config.slow * float(os.environ.get("INTERNVID_TEST_WORK_S", "0")))
        log(self.name, item.record.item_id)


class Pieces(_Slow):
    """Writes media; drops every eleventh, fails on every thirteenth."""

    name = "chaos_pieces"
    reads = SourceRecord
    writes = PieceRecord

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[PieceRecord]]:
        return [self._one(item) for item in batch]

    def _one(self, item: Item[SourceRecord]) -> Outcome[PieceRecord]:
        self.work(item)
        number = int(Path(item.record.uri).stem)
        if number % 13 == 12:
            raise ValueError(f"{number} is not to be had")
        if number % 11 == 10:
            return Drop(DropReason.TOO_SHORT, f"{number} is short")
        path = self.worker.scratch / f"{number}.bin"
        path.write_bytes(f"{number}{self.config.salt} ".encode() * 2000)
        return Emit((PieceRecord(video_id=str(number), number=number, media=MediaRef.scratch(path)),))


class Words(_Slow):
    """Reads the media."""

    name = "chaos_words"
    reads = PieceRecord
    writes = WordRecord

    def load(self, record: PieceRecord) -> bytes:
        return self.worker.root.read_media(record.media)

    def process(self, batch: Sequence[Item[PieceRecord]]) -> list[Outcome[WordRecord]]:
        for item in batch:
            self.work(item)
        return [Emit((WordRecord(video_id=item.record.video_id, text=item.payload[:20].decode()),)) for item in batch]


class Shards(_Slow):
    """Publishes one file per partition, under the same name whatever the config."""

    name = "chaos_shards"
    reads = WordRecord
    writes = ShardRecord
    whole_partition = True
    publish_dir = "shards/chaos"

    def process(self, batch: Sequence[Item[WordRecord]]) -> list[Outcome[ShardRecord]]:
        for item in batch:
            self.work(item)
        path = self.worker.scratch / f"{batch[0].partition:05d}.tar"
        lines = [item.record.text.encode() + self.config.salt.encode() + b"\n" for item in batch]
        path.write_bytes(b"".join(lines))
        starts = [sum(len(line) for line in lines[:index]) for index in range(len(lines))]
        return [
            Emit((ShardRecord(video_id=item.record.video_id, media=MediaRef.scratch(path, start, len(line))),))
            for item, start, line in zip(batch, starts, lines, strict=True)
        ]
