"""Tables of a finished or unfinished data set, partition by partition: what the report and the browser are made from."""

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from internvid_pipeline import records
from internvid_pipeline.engine import StagePlan
from internvid_pipeline.records import DropRecord, FailureRecord, schema_of
from internvid_pipeline.storage import Manifest, Root, layout, read_arrow, read_manifest
from internvid_pipeline.storage.inventory import list_done

T = TypeVar("T")
_THREADS = 16  # requests to an object store that are under way at once; a local disk is read by one
LOSSES: tuple[tuple[str, type], ...] = (("drops", DropRecord), ("failures", FailureRecord))


def record_type(name: str) -> type | None:
    """A record type by its name; None in a version that does not have it."""
    found = getattr(records, name, None)
    return found if isinstance(found, type) else None


class SetReader:
    """The tables that a plan wrote, as far as they are done."""

    def __init__(self, root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> None:
        self.root, self.plans, self.partitions = root, tuple(plans), tuple(partitions)
        self._kinds = {plan.folder: plan.build() for plan in plans}
        self._done: dict[str, set[int]] = {}

    def folders(self, kind: type) -> tuple[str, ...]:
        """Folders of the stages whose rows of this type count: a stage that reads and writes one type takes the place of what it read."""
        found: list[str] = []
        for plan in self.plans:
            stage = self._kinds[plan.folder]
            if stage.writes is kind:
                found = [*([] if stage.reads is kind else found), plan.folder]
        return tuple(found)

    def done(self, folder: str) -> set[int]:
        """Partitions that are done in a stage; asked of the store once."""
        if folder not in self._done:
            self._done[folder] = list_done(self.root, folder)
        return self._done[folder]

    def partitions_with(self, kind: type) -> list[int]:
        """Partitions in which some stage that writes such rows is done, ascending."""
        done = set().union(*(self.done(folder) for folder in self.folders(kind)))
        return [partition for partition in self.partitions if partition in done]

    def table(self, kind: type, partition: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one partition, or columns of them, of all stages that write such rows; empty where none is done. Raises StorageError."""
        return self.table_of(self.folders(kind), kind, partition, columns)

    def table_of(self, folders: Iterable[str], kind: type, partition: int, columns: Sequence[str] | None = None) -> pa.Table:
        """As `table`, of these folders: also of results that the config no longer leads to."""
        schema = schema_of(kind)
        empty = (schema if columns is None else pa.schema([schema.field(name) for name in columns])).empty_table()
        found = [empty]
        for folder in folders:
            if partition in self.done(folder):
                path = self.manifest(folder, partition).path_of("rows")
                if path is not None:
                    found.append(read_arrow(self.root, path, columns))
        return pa.concat_tables(found)

    def losses(self, plan: StagePlan, partition: int, kind: str, kind_type: type) -> pa.Table:
        """The drops or failures of a stage in one partition, empty where there are none. Raises StorageError."""
        if partition in self.done(plan.folder):
            path = self.manifest(plan.folder, partition).path_of(kind)
            if path is not None:
                return read_arrow(self.root, path, schema_of(kind_type).names)
        return schema_of(kind_type).empty_table()

    def sources(self, partition: int, columns: Sequence[str]) -> pa.Table:
        """Input rows. Raises StorageError."""
        return read_arrow(self.root, layout.sources_table(partition), columns)

    @functools.lru_cache(maxsize=512)  # noqa: B019 - a reader lives as long as its command
    def manifest(self, folder: str, partition: int) -> Manifest:
        """Manifests never change."""
        return read_manifest(self.root, folder, partition)

    def over(self, partitions: Sequence[int], work: Callable[[int], T]) -> Iterator[T]:
        """`work` for each partition, in their order; on an object store several at once."""
        if self.root.is_local:
            yield from map(work, partitions)
            return
        with ThreadPoolExecutor(_THREADS) as pool:
            for start in range(0, len(partitions), _THREADS * 4):  # never all results at once
                yield from pool.map(work, partitions[start : start + _THREADS * 4])


def drawn_partitions(partitions: Sequence[int], share: float) -> list[int]:
    """A share of the partitions (at least one), ascending: those with the smallest hashes, so that the same are drawn on every run, and
    neighbours in the list of inputs are not preferred."""
    if share >= 1 or not partitions:
        return list(partitions)
    ranked = sorted(partitions, key=lambda partition: hashlib.sha256(b"report %d" % partition).digest())
    return sorted(ranked[: max(1, round(len(ranked) * share))])
