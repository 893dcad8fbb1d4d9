"""All clips of a set with what they are compared by, as arrays; and what becomes of each, as rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.records import DuplicateRecord, schema_of
from internvid_pipeline.selection.doubles import Doubles, Link
from internvid_pipeline.selection.near_duplicates import HashedFrames

EXCLUDED = "excluded:"  # before the ids of clips of an exclusion set


class ComparedClips:
    """All clips with their hashes, as arrays. partitions: None for those of an exclusion set, which come
    first. code_bytes: of a hash."""

    def __init__(self, code_bytes: int) -> None:
        self._code_bytes = code_bytes
        self.ids: list[str] = []
        self.partitions: list[int | None] = []
        self.ranks: list[tuple[object, ...]] = []
        self._videos: list[str] = []
        self._sha256: list[str | None] = []
        self._codes: dict[str, list[bytes]] = {"whole": [], "inner": []}
        self._owners: list[np.ndarray[Any, np.dtype[np.int64]]] = []

    def add(self, table: pa.Table, partition: int | None) -> None:
        """Rows of ClipHashRecord."""
        start = len(self.ids)
        ids = table["clip_id"].to_pylist()
        prefix = EXCLUDED if partition is None else ""
        self.ids += [prefix + clip_id for clip_id in ids]
        self.partitions += [partition] * len(ids)
        self._videos += [prefix + video for video in table["video_id"].to_pylist()]
        self._sha256 += table["sha256"].to_pylist()
        sizes = zip(table["duration_s"].to_pylist(), table["num_pixels"].to_pylist(), ids, strict=True)
        self.ranks += [(partition is not None, -round(2 * duration), -pixels, clip_id) for duration, pixels, clip_id in sizes]
        frames = table["frames"].combine_chunks()
        lengths = pc.list_value_length(frames).fill_null(0).to_numpy(zero_copy_only=False)
        self._owners.append(np.repeat(np.arange(start, start + len(ids)), lengths))
        flat = frames.flatten()
        for name, codes in self._codes.items():
            codes.append(bytes.fromhex("".join(flat.field(name).to_pylist())))

    def exact(self) -> Iterator[tuple[int, int, float, str]]:
        """Pairs with one sha256: each with the best of them."""
        best: dict[str, int] = {}
        for item in sorted(range(len(self.ids)), key=lambda number: (*self.ranks[number], number)):
            sha256 = self._sha256[item]
            if sha256:
                kept = best.setdefault(sha256, item)
                if kept != item:
                    yield item, kept, 1.0, "exact"

    def frames(self, doubles: Doubles) -> tuple[HashedFrames, list[int]]:
        """Hashes of the clips that are kept so far, and these clips' numbers."""
        kept = np.array([doubles.is_kept(item) for item in range(len(self.ids))], bool)
        owners = np.concatenate(self._owners) if self._owners else np.empty(0, np.int64)
        wanted = kept[owners]
        whole, inner = (np.frombuffer(b"".join(self._codes[name]), np.uint8).reshape(-1, self._code_bytes)[wanted] for name in self._codes)
        numbers = np.flatnonzero(kept)
        new_number = np.cumsum(kept) - 1
        _, videos = np.unique(np.array(self._videos, object)[numbers].astype(str), return_inverse=True)
        return HashedFrames(whole, inner, new_number[owners[wanted]], videos.astype(np.int64)), numbers.tolist()

    def rows(self, doubles: Doubles, per_file: int) -> Iterator[tuple[int, pa.Table]]:
        """For every `per_file` partitions, the rows of the clips that belong to a group."""
        links = {item: link for item in range(len(self.ids)) if (link := doubles.link(item)) is not None}
        groups = {link.to for link in links.values()}
        files: dict[int, list[dict[str, Any]]] = {}
        for item, partition in enumerate(self.partitions):
            if partition is not None:
                rows = files.setdefault(partition // per_file * per_file, [])
                if item in links or item in groups:
                    rows.append({"partition": partition, "clip_id": self.ids[item], **self._fate(item, links.get(item))})
        schema = pa.schema([pa.field("partition", pa.int64()), *(one for one in schema_of(DuplicateRecord) if one.name != "video_id")])
        for start, rows in files.items():
            yield start, pa.Table.from_pylist(rows, schema=schema)

    def _fate(self, item: int, link: Link | None) -> dict[str, Any]:
        kept = self.ids[item if link is None else link.to]
        return {
            "duplicate_of": None if link is None else kept,
            "duplicate_group": kept,
            "duplicate_method": None if link is None else link.method,
            "duplicate_similarity": None if link is None else link.similarity,
        }
