"""Shards without some samples: the others stay byte for byte, and move up."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from internvid_pipeline.records import MediaRef, SampleRecord
from internvid_pipeline.storage import Root, StoredFile, store_file
from internvid_pipeline.storage.tar_parts import only_ranges

_VERSION = re.compile(r"\.[0-9a-f]{12}(?=\.tar)")


def rebuilt_shards(
    root: Root, files: list[StoredFile], removed: Sequence[SampleRecord], kept: Sequence[SampleRecord], folder: Path, superseded: list[str]
) -> list[SampleRecord]:
    """Writes new versions of the shards that hold removed samples, with their indexes, and puts them into `files` (of a manifest).
    superseded: gets the old ones. Returns the rows that stay, pointing at where their samples lie now."""
    rows: dict[str, SampleRecord] = {}
    for path in sorted({row.media.uri for row in removed}):
        own = sorted((row for row in kept if row.media.uri == path), key=lambda row: row.index)
        old = [file for file in files if file.path in (path, f"{path}.idx")]
        superseded += [file.path for file in old]
        for file in old:
            files.remove(file)
        if own:
            tar, index, moved = _rebuilt(root, path, own, folder)
            files += [tar, index]
            rows |= {row.item_id: row for row in moved}
    return [rows.get(row.item_id, row) for row in kept]


def _rebuilt(root: Root, path: str, rows: Sequence[SampleRecord], folder: Path) -> tuple[StoredFile, StoredFile, list[SampleRecord]]:
    local = root.local_file(MediaRef(uri=path), folder)
    staged = folder / "shard.tar"
    offsets, index = only_ranges(local, staged, [(row.media.offset_bytes or 0, row.media.size_bytes or 0) for row in rows])
    if local.parent == folder:
        local.unlink()
    tar = store_file(root, staged, _VERSION.sub("", path), "published")
    stored = store_file(root, index, f"{tar.path}.idx", "published")
    for file in (staged, index):
        file.unlink(missing_ok=True)
    name = tar.path.rpartition("/")[2]
    moved = [
        replace(row, shard=name, index=number, media=replace(row.media, uri=tar.path, offset_bytes=offset))
        for number, (row, offset) in enumerate(zip(rows, offsets, strict=True))
    ]
    return tar, stored, moved
