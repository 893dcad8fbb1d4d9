"""The index of a set, opened: as it was kept, extended by new partitions, or made anew."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from internvid_pipeline.browse.index import SetIndex, read_index_state
from internvid_pipeline.browse.kept_index import IndexState, KeptIndexes, read_state
from internvid_pipeline.browse.make_index import TABLES, Observer, extended_index, index_columns, make_index
from internvid_pipeline.engine import StageStatus
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import ClipRecord
from internvid_pipeline.report.reading import SetReader, drawn_partitions
from internvid_pipeline.storage import owned_scratch
from internvid_pipeline.units import size_text

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def opened_index(
    reader: SetReader, statuses: Sequence[StageStatus], cache: Path | None, most_clips: int, memory_mb: int, observer: Observer | None
) -> Iterator[SetIndex]:
    """The index of what is done now. cache: where indexes are kept; None, or a folder that cannot be written: it is made in scratch. Raises
    UsageError where there are no clips yet, StorageError."""
    folders = reader.folders(ClipRecord)
    if not folders:
        raise UsageError("the config has no stage that makes clips; there is nothing to look at yet")
    num_clips = sum(status.rows for status in statuses if f"{status.stage}/{status.fingerprint}" in folders)
    share = most_clips / num_clips if most_clips and num_clips > most_clips else 1.0
    holding = {folder for kind in TABLES for folder in reader.folders(kind)}
    state = read_state(reader.root, reader.plans, holding, drawn_partitions(reader.partitions, share), index_columns(reader))
    opening = _Opening(reader, state, memory_mb, observer)
    with owned_scratch() as scratch, opening.kept(cache, scratch) if cache is not None else opening.made(scratch) as index:
        yield index


@dataclass
class _Opening:
    reader: SetReader
    state: IndexState
    memory_mb: int
    observer: Observer | None

    def made(self, scratch: Path) -> SetIndex:
        """Made anew, in a folder that its caller deletes."""
        started = time.monotonic()
        path = make_index(self.reader, self.state, scratch, self.memory_mb, self.observer)
        return self._open(path, scratch, f"made in {time.monotonic() - started:.0f} s, not kept")

    def kept(self, cache: Path, scratch: Path) -> SetIndex:
        """The one that is kept, or a new one that is from now on."""
        import duckdb

        indexes = KeptIndexes(cache, self.reader.root.uri)
        if (path := indexes.find(self.state)) is not None:
            try:
                return self._open(path, scratch, f"kept in {path}")
            except duckdb.Error as error:  # deleted by another browser since, or damaged
                _log.warning("the index %s cannot be opened and is made anew: %s", path, str(error).splitlines()[0])
        try:
            with indexes.making() as folder:
                started = time.monotonic()
                made, how = self._extended(indexes, folder) or (
                    make_index(self.reader, self.state, folder, self.memory_mb, self.observer),
                    "made",
                )
                index = self._open(indexes.put(made, self.state), scratch, "")
                index.origin = f"{how} in {time.monotonic() - started:.0f} s, kept in {index.origin}"
                return index
        except OSError as error:
            _log.warning("the index cannot be kept in %s: %s", cache, error.strerror or error)
            return self.made(scratch)

    def _extended(self, indexes: KeptIndexes, folder: Path) -> tuple[Path, str] | None:
        import duckdb

        earlier = indexes.newest()
        if earlier is None:
            return None
        try:
            with duckdb.connect(str(earlier), read_only=True) as connection:
                before = read_index_state(connection)
            if (new := self.state.added_to(before)) is None:
                return None
            work = folder / "extended"
            work.mkdir()
            path = extended_index(self.reader, earlier, before, self.state, new, work, self.memory_mb)
        except (duckdb.Error, FileNotFoundError, ValueError, KeyError):  # of an older version, or gone
            return None
        return (path, f"new partitions added: {len(new)},") if path is not None else None

    def _open(self, path: Path, scratch: Path, origin: str) -> SetIndex:
        size = size_text(path.stat().st_size)
        return SetIndex(self.reader, path, scratch, self.memory_mb, f"{origin} ({size})".strip() if origin else f"{path} ({size})")
