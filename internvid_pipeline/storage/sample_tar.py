"""A WebDataset tar: the parts of a sample side by side, and beside the tar the offset of each sample."""

import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_BUFFER_BYTES = 2**20


class SampleTarWriter:
    """Writes samples as they come; no times, owners or modes of this machine go in. `<path>.idx` then holds the offset of each sample and
    the end of the last one as little-endian 64-bit integers: Megatron-Energon's `.tar.idx` (flavors/webdataset/itar.py)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.size_bytes = 0
        self._offsets: list[int] = []
        self._file = open(path, "wb", buffering=_BUFFER_BYTES)  # noqa: SIM115 - open until the shard is full

    @property
    def num_samples(self) -> int:
        """Samples written so far."""
        return len(self._offsets)

    def add(self, key: str, parts: Mapping[str, bytes]) -> tuple[int, int]:
        """Appends a sample: `<key>.<extension>` for each part, in their order. Returns its offset and size in the tar."""
        start = self.size_bytes
        self._offsets.append(start)
        for extension, data in parts.items():
            info = tarfile.TarInfo(f"{key}.{extension}")
            info.size, info.mode, info.uname, info.gname = len(data), 0o644, "internvid", "internvid"
            header = info.tobuf(tarfile.PAX_FORMAT)
            padding = bytes(-len(data) % _BLOCK)
            for piece in (header, data, padding):
                self._file.write(piece)
            self.size_bytes += len(header) + len(data) + len(padding)
        return start, self.size_bytes - start

    def close(self) -> None:
        """Ends the tar and writes the index."""
        if self._file.closed:
            return
        self._file.write(_END)
        self._file.close()
        self.path.with_name(f"{self.path.name}.idx").write_bytes(index_bytes([*self._offsets, self.size_bytes]))

    def __enter__(self) -> "SampleTarWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def index_bytes(offsets: list[int]) -> bytes:
    """Content of a `.tar.idx`."""
    return struct.pack(f"<{len(offsets)}Q", *offsets)


def index_offsets(data: bytes) -> list[int]:
    """The reverse of `index_bytes`; a broken rest is left out."""
    return list(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
