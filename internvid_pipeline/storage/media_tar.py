"""A partition's media in one tar, with the byte offset of every piece in its row: millions of small files kill file systems."""

import hashlib
import tarfile
from pathlib import Path
from types import TracebackType

from internvid_pipeline.records import MediaRef

_BLOCK = 512


def file_sha256(path: Path) -> str:
    """Hexadecimal sha256 of a local file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class MediaTarWriter:
    """Writes local files into a tar. No times, owners or modes of this machine go in: the same files give the same bytes."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - closed by __exit__
        self._places: dict[Path, tuple[int, int, str]] = {}

    def add(self, file: Path) -> None:
        """Appends a file under its own name; the same file twice is stored once."""
        if file in self._places:
            return
        size = file.stat().st_size
        info = tarfile.TarInfo(file.name)
        info.size = size
        info.mode = 0o644
        with open(file, "rb") as reader:
            self._tar.addfile(info, reader)
        padded = -(-size // _BLOCK) * _BLOCK
        self._places[file] = (self._tar.offset - padded, size, file_sha256(file))

    def refs(self, uri: str) -> dict[Path, MediaRef]:
        """A reference for every file added, in the tar that now lies at `uri`."""
        return {
            file: MediaRef(uri=uri, offset_bytes=offset, size_bytes=size, sha256=sha256)
            for file, (offset, size, sha256) in self._places.items()
        }

    def __enter__(self) -> "MediaTarWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tar.close()
