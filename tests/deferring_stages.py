"""A stage whose site asks for patience: which inputs it defers, and how often, is told by the config; every try is written down."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from internvid_pipeline.config import DatasetConfig, Section, config_from
from internvid_pipeline.errors import Gone, RateLimited, ServerFault
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage
from tests.toy_stages import NumberRecord


class AskingConfig(Section):
    """state: a folder, outside the data set, with a file of tries for each number. defers: how many first tries of a number are in vain.
    left_alone: as often, but before the number itself is asked for. gone: until it is taken again."""

    state: str = Field(json_schema_extra={"fingerprint": False})
    defers: Mapping[int, int] = {}
    left_alone: Mapping[int, int] = {}
    drops: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    retry_after_s: float | None = None


class Asking(Stage[AskingConfig, SourceRecord, NumberRecord]):
    """The number in each file's name, with a file of its own, and one for its neighbour."""

    name = "toy_asking"
    config_type = AskingConfig
    reads = SourceRecord
    writes = NumberRecord

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.5, batch_size=2)

    def load(self, record: SourceRecord) -> int:
        number = int(Path(record.uri).stem)
        tries = tried(self.config.state, number, record.attempt) + 1
        with open(Path(self.config.state, f"{number}.tries"), "a") as file:
            file.write(f"{record.attempt}\n")
        if number in self.config.gone and record.attempt == 1:
            raise Gone(f"there is no {number} any more, says {object()!r}")
        if tries <= self.config.left_alone.get(number, 0):
            raise RateLimited(f"the host of {number} is left alone").after(self.config.retry_after_s).untried()
        if tries <= self.config.defers.get(number, 0):
            kind = RateLimited if number % 2 else ServerFault
            raise kind(f"not now, {number}").after(self.config.retry_after_s)
        return number

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[NumberRecord]]:
        return [self._one(item.payload) for item in batch]

    def _one(self, number: int) -> Outcome[NumberRecord]:
        if number in self.config.drops:
            return Drop(DropReason.TOO_SHORT, f"{number} is too short")
        rows = []
        for own in (number, number + 1000):
            path = self.worker.scratch / f"{own}.bin"
            path.write_bytes(f"bytes of {own} ".encode() * 40)
            rows.append(NumberRecord(number=own, media=MediaRef.scratch(path)))
        return Emit(tuple(rows))

    def committed(self, item_ids) -> None:
        with open(Path(self.config.state, "committed"), "a") as file:
            file.write("".join(f"{Path(item_id).stem}\n" for item_id in item_ids))


class AskingAsOne(Asking):
    """Looks at all items of a partition at once."""

    name = "toy_asking_as_one"
    whole_partition = True

    def load(self, record: SourceRecord) -> None:
        return None

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[NumberRecord]]:
        return [self._one(super(AskingAsOne, self).load(item.record)) for item in batch]


def tried(state: str | Path, number: int, attempt: int = 1) -> int:
    """How often a number was asked for in an attempt."""
    path = Path(state, f"{number}.tries")
    return path.read_text().split().count(str(attempt)) if path.exists() else 0


def asking_config(folder: Path, root: Path | str, stage: str = "Asking", numbers: int = 20, **more) -> DatasetConfig:
    """`numbers` numbers in partitions of five, asked for, then squared. more: fields of the stage; `placement`."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    state = folder / more.pop("state", "state")
    state.mkdir(exist_ok=True)
    for number in range(numbers):
        (folder / "videos" / f"{number:02d}.mp4").write_bytes(b"x" * (number + 1))
    placement = {"isolate": False, "partition_attempts": 1, **more.pop("placement", {})}
    raw = {
        "name": "asking",
        "root": os.fspath(root),
        "source": {"path": str(folder / "videos"), "partition_videos": 5},
        "stages": {f"tests.deferring_stages:{stage}": {"state": str(state), **more}, "tests.toy_stages:Squares": {}},
        "placement": placement,
        "max_failed_ratio": 1.0,
    }
    return config_from(raw)
