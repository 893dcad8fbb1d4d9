"""The data set of what queries and channels show, `<root>/collect`: videos are taken out of it in the same way."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.config import config_from, from_yaml
from internvid_pipeline.engine import StagePlan, build_plan, partition_numbers
from internvid_pipeline.records import CandidateRecord
from internvid_pipeline.removal.targets import Targets, find_targets
from internvid_pipeline.storage import Root, layout, read_arrow
from internvid_pipeline.storage.inventory import list_files, list_folders
from internvid_pipeline.web.excluded import video_id_of_address

_NAMES = ("candidate_id", "external_id", "url")
_ROWS = re.compile(r"(\d{5,})\.(?!.*(?:drops|failures)\.)(?:.*\.)?parquet")


@dataclass(frozen=True)
class Collected:
    """A collecting data set with its plan."""

    root: Root
    plans: list[StagePlan]

    @classmethod
    def of(cls, root: Root) -> "Collected | None":
        """That of a data set, None where nothing was collected. Raises StorageError, UsageError."""
        inner = Root(f"{root.uri.rstrip('/')}/{layout.COLLECTED}")
        try:
            data = from_yaml(inner.read_bytes(layout.DATASET_FILE).decode())
        except FileNotFoundError:
            return None
        config = config_from(data, where=f"{inner.uri}/{layout.DATASET_FILE}")
        return cls(inner, build_plan(config, len(partition_numbers(inner))))

    def shown(self, asked: Sequence[str]) -> list[tuple[str, str, str]]:
        """Ids, addresses and the sites' own ids of the videos asked for, as queries and channels showed them."""
        wanted = {*asked, *(video_id for name in asked if (video_id := video_id_of_address(name)) is not None)}
        found: dict[tuple[str, str, str], None] = {}
        for _, table in self._tables():
            for row in table.filter(_hits(table, wanted, _NAMES)).to_pylist():
                is_generic = row["extractor"].lower() == "generic"  # its ids are base names of files: many videos share one
                if not is_generic or row["url"] in wanted:
                    found[(row["url"] if is_generic else row["candidate_id"], row["url"], row["external_id"])] = None
        return list(found)

    def targets(self, asked: Sequence[str], outer: Targets) -> Targets:
        """What of it is to go: rows of videos that `outer` names, and queries whose address is one of theirs."""
        found = find_targets(self.root, self.plans, asked)
        found.uris |= outer.uris
        found.video_ids |= outer.video_ids
        found.names |= outer.names
        for number, table in self._tables():
            if pc.any(pc.or_(_hits(table, found.video_ids, _NAMES[:1]), _hits(table, found.uris, _NAMES[2:]))).as_py():
                found.partitions.add(number)
        return found

    def _tables(self) -> Iterator[tuple[int, pa.Table]]:
        """Partition and names of each table of videos shown, of all configs, those of parts among them."""
        stages = {plan.name for plan in self.plans if plan.build().writes is CandidateRecord}
        for folder in (f"{stage}/{name}" for stage in sorted(stages) for name in list_folders(self.root, stage)):
            for file in list_files(self.root, folder):
                if match := _ROWS.fullmatch(file.path.rsplit("/", 1)[-1]):
                    yield int(match[1]), read_arrow(self.root, file.path, ("extractor", *_NAMES))


def _hits(table: pa.Table, names: set[str], columns: tuple[str, ...]) -> pa.ChunkedArray:
    """True where one of the columns holds one of the names."""
    known = pa.array(sorted(names), pa.string())
    found = pc.is_in(table[columns[0]], value_set=known)
    for column in columns[1:]:
        found = pc.or_(found, pc.is_in(table[column], value_set=known))
    return found
