"""Stages that do nothing, so that what is left is the engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from internvid_pipeline.config import Section
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingRecord:
    """A row that says only whose it is."""

    video_id: str

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.video_id


class _Trivial(Stage[Section, NothingRecord, NothingRecord]):
    config_type = Section
    reads = NothingRecord
    writes = NothingRecord

    @property
    def resources(self) -> Resources:
        return Resources(cpus=0.2)

    def process(self, batch: Sequence[Item[NothingRecord]]) -> list[Outcome[NothingRecord]]:
        return [Emit((NothingRecord(video_id=item.record.item_id),)) for item in batch]


class First(_Trivial):
    """Reads the sources."""

    name = "trivial_0"
    reads = SourceRecord


class Second(_Trivial):
    """Reads the first."""

    name = "trivial_1"


class Third(_Trivial):
    """Reads the second."""

    name = "trivial_2"


class Fourth(_Trivial):
    """Reads the third."""

    name = "trivial_3"


class Fifth(_Trivial):
    """Reads the fourth."""

    name = "trivial_4"


class Sixth(_Trivial):
    """Reads the fifth."""

    name = "trivial_5"
