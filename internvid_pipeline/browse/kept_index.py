"""Indexes that are kept on this machine from one start of the browser to the next.

An index is one DuckDB file, which many browsers may read at once. Its name follows from what it was made of: the tables' folders, and of
each partition the size and time of its manifests. New partitions are added to a copy of the last index, and what stages lost is read
again where only that has changed (a percentile over more partitions is another stage's result); where anything else has, it is made anew.
A file is finished beside its name and then renamed, so that two browsers that make it at once disturb nobody; what is no longer the newest
is deleted, and goes when the last browser that reads it ends.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid_pipeline import __version__
from internvid_pipeline.engine import StagePlan
from internvid_pipeline.storage import Root, owned_folder, remove_orphans
from internvid_pipeline.storage.inventory import list_files

CACHE_VARIABLE = "INTERNVID_CACHE"
_SCHEMA = 1  # one more whenever the index's tables change
_KEPT_S = 30 * 86400.0
_ENDING = ".manifest.json"


def default_cache() -> Path:
    """Where indexes lie: `INTERNVID_CACHE`, else `~/.cache/internvid/browse`."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/internvid").expanduser() / "browse"


@dataclass(frozen=True)
class IndexState:
    """What an index is made of. base: all that concerns every partition's clips. partitions: in their order, with what the manifests of
    stages that tell of clips are known by. lost_base, lost: the same of all stages, for what was dropped or failed."""

    base: str
    partitions: tuple[tuple[int, str], ...]
    lost_base: str
    lost: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its file."""
        text = json.dumps([self.base, self.partitions, self.lost_base, self.lost])
        return f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.duckdb"

    def added_to(self, earlier: "IndexState") -> list[int] | None:
        """The partitions that are new since `earlier`, where nothing else has changed of its clips; else None."""
        length = len(earlier.partitions)
        if self.base != earlier.base or not length or self.partitions[:length] != earlier.partitions:
            return None
        return [partition for partition, _ in self.partitions[length:]]

    def of(self, partitions: Sequence[int]) -> "IndexState":
        """Some of its partitions."""
        wanted = set(partitions)
        places = [place for place, (partition, _) in enumerate(self.partitions) if partition in wanted]
        return IndexState(self.base, tuple(self.partitions[i] for i in places), self.lost_base, tuple(self.lost[i] for i in places))

    def keeps_lost(self, earlier: "IndexState") -> bool:
        """True where what was lost in `earlier`'s partitions is the same."""
        return self.lost_base == earlier.lost_base and self.lost[: len(earlier.lost)] == earlier.lost


def read_state(
    root: Root, plans: Sequence[StagePlan], folders: Collection[str], partitions: Sequence[int], columns: Sequence[str]
) -> IndexState:
    """As the root is now. folders: whose rows the index holds. One listing of each stage's folder; no manifest is opened. Raises
    StorageError."""
    import duckdb

    clips = {partition: hashlib.sha256() for partition in partitions}
    lost = {partition: hashlib.sha256() for partition in partitions}
    for plan in plans:
        found = {}
        for file in list_files(root, plan.folder):
            name = file.path.rpartition("/")[2]
            if name.endswith(_ENDING) and (number := name.removesuffix(_ENDING)).isdecimal():
                found[int(number)] = f"{plan.folder} {file.size_bytes} {file.modified_s}\n"
        for partition in found.keys() & lost.keys():
            lost[partition].update(found[partition].encode())
            if plan.folder in folders:
                clips[partition].update(found[partition].encode())
    base = [_SCHEMA, __version__, duckdb.__version__, root.uri, sorted(folders), list(columns)]
    return IndexState(
        json.dumps(base),
        tuple((partition, clips[partition].hexdigest()[:16]) for partition in partitions),
        json.dumps([plan.folder for plan in plans]),
        tuple(lost[partition].hexdigest()[:16] for partition in partitions),
    )


class KeptIndexes:
    """The indexes of one data set below `folder`."""

    def __init__(self, folder: Path, root_uri: str) -> None:
        self._base = folder
        self.folder = folder / hashlib.sha256(root_uri.encode()).hexdigest()[:16]

    def find(self, state: IndexState) -> Path | None:
        """The index of this state."""
        path = self.folder / state.name
        with contextlib.suppress(OSError):
            os.utime(path)
            return path
        return None

    def newest(self) -> Path | None:
        """The index that was used last, of whatever state."""
        found = {path: path.stat().st_mtime for path in self.folder.glob("*.duckdb")} if self.folder.is_dir() else {}
        return max(found, key=lambda path: found[path], default=None)

    @contextlib.contextmanager
    def making(self) -> Iterator[Path]:
        """A folder of this process's own on the same disk, for an index that is being made."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_orphans(self.folder)
        folder = owned_folder(self.folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, made: Path, state: IndexState) -> Path:
        """Gives an index its name, and deletes what it takes the place of, and other data sets' that nobody asked for in a month."""
        path = self.folder / state.name
        made.replace(path)
        for other in self.folder.glob("*.duckdb"):
            if other != path:
                other.unlink(missing_ok=True)
        for other in self._base.glob("*/*.duckdb"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - other.stat().st_mtime > _KEPT_S:
                    other.unlink()
        return path

    def forget(self) -> None:
        """Deletes the data set's indexes."""
        shutil.rmtree(self.folder, ignore_errors=True)


def state_from(data: Any) -> IndexState:
    """As it was stored in an index."""
    partitions = tuple((int(partition), str(digest)) for partition, digest in data["partitions"])
    return IndexState(data["base"], partitions, data["lost_base"], tuple(data["lost"]))
