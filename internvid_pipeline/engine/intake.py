"""From `source:` in the config to partitions: files, a published list, ids and addresses, and what queries and channels show.

Queries and channels are inputs of a small data set of their own, `<root>/collect`, whose stage asks the sites; it is resumed as any
other. The videos that it found, each once with all that found it, are inputs of the data set itself.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine.append_records import append_records, count_new
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.inputs import Input, list_inputs
from internvid_pipeline.engine.partitions import append_partitions, num_unknown
from internvid_pipeline.engine.plan import build_plan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import CandidateRecord, DropRecord, SourceRecord, to_table
from internvid_pipeline.registry import build_stages
from internvid_pipeline.storage import Root, Tombstones, done_partitions, layout, read_tombstones, write_arrow
from internvid_pipeline.web.excluded import excluded, known_names, open_id_set, site_id
from internvid_pipeline.web.merge_candidates import STAGE, merge_candidates
from internvid_pipeline.web.sources import clip_list, collection_inputs, web_inputs

_QUERIES_PER_PARTITION = 16
_DROPS = 10_000


class Intake:
    """The inputs of a config. Raises UsageError where they cannot be read; files are listed, and lists opened, when it is made."""

    def __init__(self, config: DatasetConfig, root: Root) -> None:
        self._config, self._root, source = config, root, config.source
        self._is_collecting = _collects(config)
        self._excluded, self._removed = _LeftOut(source.exclude_ids), read_tombstones(root)
        self.asked = collection_inputs(source) if source.queries or source.channels else []
        web_inputs(source)  # what cannot be read is said before anything is written
        is_named = bool(self.asked or source.ids or source.urls)
        lists_files = not self._is_collecting and clip_list(source) is None and (source.path or not is_named)
        self._files = self._excluded.of_files(list_inputs(source, exclude=root.folder), self._removed) if lists_files else []

    @property
    def collecting(self) -> DatasetConfig | None:
        """The data set that asks the queries and channels; None where there are none, or where this is it."""
        if self._is_collecting or not self.asked:
            return None
        config = self._config
        return config.model_copy(
            update={
                "name": f"{config.name[:88]}-collect",
                "root": f"{config.root.rstrip('/')}/{layout.COLLECTED}",
                "source": config.source.model_copy(
                    update={"path": "", "ids": (), "urls": (), "exclude_ids": (), "partition_videos": _QUERIES_PER_PARTITION}
                ),
                "stages": {STAGE: dict(config.source.collect)},
                "placement": config.placement.model_copy(update={"stages": {}}),
            }
        )

    def append(self, index: SourceIndex) -> list[int]:
        """Writes partitions for what is new; returns their numbers. index: of the root. Raises UsageError where there is no input."""
        source = self._config.source
        numbers = append_partitions(self._root, self._files, source, index) if self._files else []
        index.read()
        for records in self._streams():
            numbers += append_records(index, records, source, self._kept)
        self._excluded.store(self._root)
        if not index.partitions:
            left_out = f", {self._excluded.count} were left out (source.exclude_ids)" if self._excluded.count else ""
            raise UsageError(f"source: none of its lists, ids, addresses, queries or channels gave an input{left_out}")
        return numbers

    def count(self, index: SourceIndex) -> tuple[int, int]:
        """How many inputs there are, and how many of them are new. What queries show counts once they were asked. Writes nothing."""
        total, new = len(self._files), num_unknown(self._root, self._files, index.table)
        for records in self._streams():
            found = count_new(index, records, self._kept)
            total, new = total + found[0], new + found[1]
        return total, new

    def _kept(self, records: Iterable[SourceRecord]) -> Iterator[SourceRecord]:
        """Those that are neither left out nor were taken out of the data set before."""
        removed = self._removed  # looked at first: what was taken out is not to be noted among what is left out
        return self._excluded.kept(record for record in records if not removed or not removed.covers(*known_names(record)))

    def _streams(self) -> Iterator[Iterable[SourceRecord]]:
        """Each has every input once. One is read after the other was appended: an input that both have is then known."""
        if self._is_collecting:
            yield self.asked
            return
        listed = web_inputs(self._config.source)
        if listed is not None:
            yield listed
        if self.collecting is not None:
            yield _found(self.collecting)


def _collects(config: DatasetConfig) -> bool:
    return any(stage.reads is SourceRecord and stage.writes is CandidateRecord for stage in build_stages(config))


def _found(config: DatasetConfig) -> Iterator[SourceRecord]:
    """The videos that a collecting data set has found, in the order of its tables."""
    root = Root(config.root)
    folder = build_plan(config, 0)[-1].folder
    partitions = sorted(done_partitions(root, folder))

    def batches() -> Iterator[list[CandidateRecord]]:
        return (read_rows(root, folder, partition, CandidateRecord) for partition in partitions)

    return (record for record in merge_candidates(batches) if isinstance(record, SourceRecord))


class _LeftOut:
    """Inputs whose ids stand in files of the user's."""

    def __init__(self, files: str | tuple[str, ...]) -> None:
        self._ids = open_id_set([files] if isinstance(files, str) else files) if files else None
        self._drops: list[DropRecord] = []
        self._tables: list[pa.Table] = []
        self.count = 0

    def kept(self, records: Iterable[SourceRecord]) -> Iterator[SourceRecord]:
        """Those that are not left out."""
        if self._ids is None:
            yield from records
            return
        for record in excluded(records, self._ids):
            if isinstance(record, SourceRecord):
                yield record
            else:
                self._note(record)

    def of_files(self, files: list[Input], removed: Tombstones) -> list[Input]:
        """As `kept`, for addresses in a list of the user's own."""
        if self._ids is None:
            return files
        left_out = {entry.uri for entry in files if (known := site_id(None, None, entry.uri)) and self._ids.holds(*known)}
        for uri in (uri for uri in left_out if not removed.covers(uri)):
            for _ in self.kept([SourceRecord(source_id="", uri=uri)]):
                pass
        return [entry for entry in files if entry.uri not in left_out]

    def _note(self, drop: DropRecord) -> None:
        self.count += 1
        self._drops.append(drop)
        if len(self._drops) >= _DROPS:
            self._tables.append(to_table(self._drops, DropRecord))
            self._drops = []

    def store(self, root: Root) -> None:
        """Writes them down in place of those of the last run."""
        if not self.count:
            if root.exists(layout.EXCLUDED):
                root.delete(layout.EXCLUDED)
            return
        with root.staging() as folder:
            staged = folder / "excluded.parquet"
            write_arrow(pa.concat_tables([*self._tables, to_table(self._drops, DropRecord)]), staged)
            root.replace_bytes(layout.EXCLUDED, staged.read_bytes())
