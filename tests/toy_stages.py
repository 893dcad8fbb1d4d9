"""Small stages without media, for the tests of the engine: numbers out of file names, and ways to die on some of them."""

import ctypes
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import TransientError
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRecord:
    number: int
    media: MediaRef | None = None

    @property
    def item_id(self) -> str:
        return str(self.number)

    @property
    def video_id(self) -> str:
        return str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareRecord:
    video_id: str
    square: int

    @property
    def item_id(self) -> str:
        return self.video_id


class NumbersConfig(Section):
    copies: int = 1
    with_media: bool = False
    work_s: float = 0.0
    huge: tuple[int, ...] = ()


class Numbers(Stage[NumbersConfig, SourceRecord, NumberRecord]):
    """The number in each file's name; drops negative ones."""

    name = "toy_numbers"
    config_type = NumbersConfig
    reads = SourceRecord
    writes = NumberRecord

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.5, batch_size=4)

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[NumberRecord]]:
        time.sleep(self.config.work_s)
        return [self._one(item.record) for item in batch]

    def _one(self, source: SourceRecord) -> Outcome[NumberRecord]:
        number = int(Path(source.uri).stem)
        if number < 0:
            return Drop(DropReason.TOO_SHORT, f"{number} is negative")
        media = None
        if self.config.with_media:
            path = self.worker.scratch / f"{number}.bin"
            path.write_bytes(str(number).encode() * 1000)
            if number in self.config.huge:
                path.write_bytes(b"7" * 60_000_000)
                time.sleep(6)  # long enough for the watcher to look
            media = MediaRef.scratch(path)
        return Emit(tuple(NumberRecord(number=number * self.config.copies + copy, media=media) for copy in range(self.config.copies)))


class SquaresConfig(Section):
    """Numbers at which the stage misbehaves."""

    raises: tuple[int, ...] = ()
    segfaults: tuple[int, ...] = ()
    exits: tuple[int, ...] = ()
    hangs: tuple[int, ...] = ()
    eats: tuple[int, ...] = ()
    disk_full: tuple[int, ...] = ()
    transient_once: tuple[int, ...] = ()
    kills_parent: tuple[int, ...] = ()
    says_secret: tuple[int, ...] = ()
    too_few: tuple[int, ...] = ()
    setup_fails: bool = False
    work_s: float = 0.0
    nap_s: float = Field(default=0.0, json_schema_extra={"fingerprint": False})
    prompt: str = "square"


class Squares(Stage[SquaresConfig, NumberRecord, SquareRecord]):
    name = "toy_squares"
    config_type = SquaresConfig
    reads = NumberRecord
    writes = SquareRecord

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.5, batch_size=4, memory_mb=600)

    def deadline_s(self, record: NumberRecord) -> float:
        return 1.0 if self.config.hangs else 30.0  # a busy machine can take seconds over nothing

    def setup(self, worker) -> None:
        super().setup(worker)
        self.seen: set[int] = set()
        if self.config.setup_fails:
            from internvid_pipeline.errors import SetupError

            raise SetupError("the weights of toy are not here; fetch them")

    def process(self, batch: Sequence[Item[NumberRecord]]) -> list[Outcome[SquareRecord]]:
        outcomes: list[Outcome[SquareRecord]] = []
        for item in batch:
            number = item.record.number
            self._misbehave(number)
            time.sleep(self.config.work_s + self.config.nap_s)
            outcomes.append(Emit((SquareRecord(video_id=str(number), square=number * number),)))
        return outcomes[1:] if any(item.record.number in self.config.too_few for item in batch) else outcomes

    def _misbehave(self, number: int) -> None:
        if number in self.config.raises:
            raise ValueError(f"{number} is not to my taste, says {object()!r}")
        if number in self.config.segfaults:
            ctypes.string_at(0)
        if number in self.config.exits:
            os._exit(7)
        if number in self.config.says_secret:
            raise ValueError(f"refused: key {os.environ['AWS_SECRET_ACCESS_KEY']}, token {os.environ['AWS_SESSION_TOKEN']}")
        if number in self.config.kills_parent:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        if number in self.config.hangs:
            time.sleep(3600)
        if number in self.config.eats:
            hoard = []
            while True:
                hoard.append(bytearray(b"x" * 20_000_000))
                time.sleep(0.005)
        if number in self.config.disk_full:
            raise OSError(28, "No space left on device")
        if number in self.config.transient_once and number not in self.seen:
            self.seen.add(number)
            raise TransientError(f"{number} is busy")


class Totals(Stage[Section, NumberRecord, SquareRecord]):
    """Looks at all partitions first: each number's share of the sum of all squares, in millionths."""

    name = "toy_totals"
    config_type = Section
    reads = NumberRecord
    joins = (SquareRecord,)
    writes = SquareRecord
    needs_reduce = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.25)

    def reduce(self, tables, folder) -> dict[str, float]:
        (folder / "seen.txt").write_text(str(len(tables.partitions)))
        squares = (tables.table(partition, SquareRecord, ["square"])["square"].to_pylist() for partition in tables.partitions)
        return {"sum": float(sum(sum(part) for part in squares))}

    def process(self, batch):
        total = self.worker.reduced["sum"]
        return [
            Emit((SquareRecord(video_id=item.record.video_id, square=int(1e6 * item.joined[SquareRecord][0].square / total)),))
            for item in batch
        ]
