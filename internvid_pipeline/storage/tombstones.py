"""What was taken out of a data set and must not come back: hashes of addresses and ids, so that the list itself names nobody."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import layout
from internvid_pipeline.storage.root import Root

_FILE = re.compile(r"(\d{5,})\.json")


@dataclass(frozen=True)
class Tombstones:
    """Hashes of all names of the videos that were taken out; false where there are none."""

    hashes: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def covers(self, *names: str) -> bool:
        """True where one of the names (an address, a source's or video's id) is of such a video."""
        return bool(self.hashes) and any(_hash(name) in self.hashes for name in names)


def _hash(name: str) -> str:
    return hashlib.sha256(f"internvid removed\0{name}".encode(errors="replace")).hexdigest()


def read_tombstones(root: Root) -> Tombstones:
    """All of a data set. Raises StorageError where one cannot be read: without it something could come back."""
    found: set[str] = set()
    for path in _files(root):
        try:
            found.update(json.loads(root.read_bytes(path))["hashes"])
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path} in {root.uri} is damaged: {error}; it says what was taken out and must be mended") from error
    return Tombstones(frozenset(found))


def add_tombstones(root: Root, names: Iterable[str]) -> None:
    """Adds names, as hashes, unless they are there already."""
    there = read_tombstones(root).hashes
    fresh = sorted({_hash(name) for name in names if name} - there)
    number = len(_files(root))
    while fresh and not root.put_bytes_if_absent(f"{layout.REMOVED}/{number:05d}.json", json.dumps({"hashes": fresh}).encode()):
        number += 1


def _files(root: Root) -> list[str]:
    return [f"{layout.REMOVED}/{name}" for name in root.list_names(layout.REMOVED) if _FILE.fullmatch(name)]
