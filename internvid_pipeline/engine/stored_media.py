"""From scratch files that rows point at to stored ones: packed into the partition's tar, or published under their own names."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline.errors import ContractError
from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage import MediaTarWriter, Root, StoredFile, store_file


def media_of(rows: Sequence[Any]) -> list[Path]:
    """Scratch files that rows point at, each once, in the order of the rows, which is the same on every run."""
    return list(dict.fromkeys(path for row in rows for path in _scratch_files(row)))


def pack(root: Root, tar_path: str, files: Sequence[Path], staging: Path) -> tuple[list[StoredFile], dict[Path, MediaRef]]:
    """Stores the files as one tar. Returns it, and where each file lies. Raises StorageError."""
    if not files:
        return [], {}
    staged = staging / "media.tar"
    with MediaTarWriter(staged) as tar:
        for file in files:
            tar.add(file)
    stored = store_file(root, staged, tar_path, "media")
    return [stored], tar.refs(stored.path)


def publish(root: Root, folder: str, files: Sequence[Path], scratch: Path) -> tuple[list[StoredFile], dict[Path, MediaRef]]:
    """Stores each file below `folder`, with its index where it has one. Returns them, and where each lies. Raises StorageError."""
    stored, refs = [], {}
    for file in files:
        one = store_file(root, file, f"{folder}/{file.relative_to(scratch).as_posix()}", "published")
        stored.append(one)
        refs[file] = MediaRef(uri=one.path, size_bytes=one.size_bytes, sha256=one.sha256)
        index = file.with_name(f"{file.name}.idx")  # whatever name the file got, its index lies beside it
        if index.exists():
            stored.append(store_file(root, index, f"{one.path}.idx", "published"))
    return stored, refs


def _scratch_files(value: Any) -> list[Path]:
    """Scratch files that a record points at, nested records included."""
    if isinstance(value, MediaRef):
        return [value.scratch_path] if value.scratch_path is not None else []
    if isinstance(value, tuple):
        return [path for part in value for path in _scratch_files(part)]
    if dataclasses.is_dataclass(value):
        return [path for field in dataclasses.fields(value) for path in _scratch_files(getattr(value, field.name))]
    return []


def with_stored_media(value: Any, refs: Mapping[Path, MediaRef]) -> Any:
    """The same record, pointing at stored files. A reference to a part of a scratch file keeps its range."""
    if isinstance(value, MediaRef):
        if value.scratch_path is None:
            return value
        return _part_of(refs[value.scratch_path], value)
    if isinstance(value, tuple):
        return tuple(with_stored_media(part, refs) for part in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and _scratch_files(value):
        return dataclasses.replace(
            value, **{field.name: with_stored_media(getattr(value, field.name), refs) for field in dataclasses.fields(value)}
        )
    return value


def _part_of(stored: MediaRef, part: MediaRef) -> MediaRef:
    """A range of a scratch file, in the stored file: behind the tar's header and the files before it, if it was packed. The hash of a
    part is not known."""
    if part.offset_bytes is None and part.size_bytes in (None, stored.size_bytes):
        return stored
    offset, held = part.offset_bytes or 0, stored.size_bytes or 0
    size = held - offset if part.size_bytes is None else part.size_bytes
    if offset < 0 or size < 0 or offset + size > held:
        raise ContractError(f"a row points at bytes {offset} to {offset + size} of a scratch file of {held} bytes")
    return MediaRef(uri=stored.uri, offset_bytes=(stored.offset_bytes or 0) + offset, size_bytes=size)
