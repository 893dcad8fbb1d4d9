"""Which clips show the same pictures: perceptual hashes of their frames, compared through FAISS."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.selection.faiss_door import load_faiss

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_STEP = 4096
_TRAINING_CODES = 200_000
_BETWEEN_BITS = 16  # further apart than `max_distance` frames may be that are compared by their stable bits; our benchmark
_LEAST_STABLE = 64  # of so many bits at least


@dataclass(frozen=True)
class SearchBounds:
    """Up to `exact_codes` hashes each is compared with every other; above with those in the nearest `cells_looked_at` cells of
    `codes_per_cell` hashes, and at most `neighbours` of them, so that a title card of ten thousand videos does not make a hundred million
    pairs. Recall beside the exact way: benchmarks/README.md."""

    exact_codes: int = 200_000
    codes_per_cell: int = 2000
    cells_looked_at: int = 24
    neighbours: int = 64


DEFAULT_BOUNDS = SearchBounds()


@dataclass(frozen=True)
class NearSettings:
    """max_distance: bits in which the hashes of one frame may differ. min_share: of the frames of one of the two clips, so many have a
    counterpart in the other. mirrored: find copies with left and right exchanged. same_video: compare clips of one video too."""

    max_distance: int
    min_share: float
    mirrored: bool
    same_video: bool


@dataclass(frozen=True)
class HashedFrames:
    """whole, inner: uint8 [n, 16], two hashes per frame (see media.picture_hash). clips: int64 [n], number of the frame's clip, ascending.
    videos: int64 [number of clips], number of each clip's video."""

    whole: Codes
    inner: Codes
    clips: Ints
    videos: Ints


@dataclass(frozen=True)
class Pairs:
    """first, second: numbers of clips, each pair in both orders. similarity: share of equal bits of the matching frames.
    is_mirrored: one is the other's mirror image."""

    first: Ints
    second: Ints
    similarity: NDArray[np.float64]
    is_mirrored: NDArray[np.bool_]


def near_pairs(frames: HashedFrames, settings: NearSettings, flips: Codes | None = None, bounds: SearchBounds = DEFAULT_BOUNDS) -> Pairs:
    """Pairs of clips of which one is largely contained in the other. flips: uint8 [16], bits that mirroring changes; needed where
    `settings.mirrored`. Memory: some 60 bytes for each hash and 20 for each pair of frames."""
    entries = _entries(frames)
    num_frames = np.bincount(frames.clips, minlength=len(frames.videos))
    found = [_matches(entries, entries.codes, frames, settings, bounds)]
    if settings.mirrored and flips is not None:
        found.append(_matches(entries, entries.codes ^ flips, frames, settings, bounds))
    return _joined(
        [_scored(hits, frames, num_frames, settings, is_mirrored) for hits, is_mirrored in zip(found, (False, True), strict=False)]
    )


@dataclass(frozen=True)
class _Entries:
    """codes: uint8 [m, 16], all different hashes of each frame. owners: int64 [m], the frame's number. before, after: uint8 [m, 16], the
    same hash of the frames beside it in the clip, its own where there is none."""

    codes: Codes
    owners: Ints
    before: Codes
    after: Codes


def _entries(frames: HashedFrames) -> _Entries:
    numbers = np.arange(len(frames.clips), dtype=np.int64)
    differs = (frames.whole != frames.inner).any(axis=1)
    last = max(0, len(numbers) - 1)
    sides = []
    for step in (-1, 1):
        beside = np.clip(numbers + step, 0, last)
        beside = np.where(frames.clips[beside] == frames.clips, beside, numbers) if len(numbers) else numbers
        sides.append(np.concatenate([frames.whole[beside], frames.inner[beside[differs]]]))
    codes = np.concatenate([frames.whole, frames.inner[differs]])
    return _Entries(codes, np.concatenate([numbers, numbers[differs]]), sides[0], sides[1])


def _matches(
    entries: _Entries, queries: Codes, frames: HashedFrames, settings: NearSettings, bounds: SearchBounds
) -> tuple[Ints, Ints, Ints]:
    """(frame, other frame, distance) of hashes that are near each other and of different clips."""
    if not len(entries.codes):
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing
    search = _searcher(entries.codes, settings.max_distance + _BETWEEN_BITS, bounds)
    parts: list[tuple[Ints, Ints, Ints]] = []
    for start in range(0, len(queries), _STEP):
        asked = np.ascontiguousarray(queries[start : start + _STEP])
        rows, hits, distances = search(asked)
        mine, theirs = entries.owners[start + rows], entries.owners[hits]
        one, other = frames.clips[mine], frames.clips[theirs]
        wanted = (one != other) if settings.same_video else (frames.videos[one] != frames.videos[other])
        mine, theirs, rows, hits, distances = (column[wanted] for column in (mine, theirs, rows, hits, distances))
        distances = _with_neighbours(asked[rows], hits, distances, entries, settings.max_distance)
        near = distances <= settings.max_distance
        parts.append((mine[near], theirs[near], distances[near]))
    one, other, distances = (np.concatenate(column) for column in zip(*parts, strict=True))
    return one, other, distances


def _with_neighbours(asked: Codes, hits: Ints, distances: Ints, entries: _Entries, most: int) -> Ints:
    """Distances, where they are above `most`, by the bits that stay the same between a kept frame and the one beside it: a copy that begins
    at another moment shows pictures that lie between kept frames. Scaled to all bits."""
    far = np.flatnonzero(distances > most)
    found = distances.copy()
    mine, theirs = asked[far], entries.codes[hits[far]]
    for beside in (entries.before, entries.after):
        stays = ~(theirs ^ beside[hits[far]])
        stable = np.bitwise_count(stays).sum(axis=1, dtype=np.int64)
        differ = np.bitwise_count((mine ^ theirs) & stays).sum(axis=1, dtype=np.int64)
        scaled = np.where(stable >= _LEAST_STABLE, -(-differ * (theirs.shape[1] * 8) // np.maximum(stable, 1)), distances[far])
        found[far] = np.minimum(found[far], scaled)
    return found


def _searcher(codes: Codes, most: int, bounds: SearchBounds) -> Callable[[Codes], tuple[Ints, Ints, Ints]]:
    """A function from queries [m, 16] to (row, entry, distance) of every entry within `most` bits, or of the nearest ones."""
    faiss = load_faiss()
    bits = codes.shape[1] * 8
    if len(codes) <= bounds.exact_codes:
        exact = faiss.IndexBinaryFlat(bits)
        exact.add(codes)

        def within(queries: Codes) -> tuple[Ints, Ints, Ints]:
            limits, distances, hits = exact.range_search(queries, most + 1)  # FAISS takes the radius as the first distance that is too far
            rows = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
            return rows, hits.astype(np.int64), distances.astype(np.int64)

        return within
    num_cells = max(1, len(codes) // bounds.codes_per_cell)
    cells = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, num_cells)
    cells.cp.seed = 1
    cells.train(np.ascontiguousarray(codes[:: max(1, len(codes) // _TRAINING_CODES)]))
    cells.add(codes)
    cells.nprobe = bounds.cells_looked_at

    def nearest(queries: Codes) -> tuple[Ints, Ints, Ints]:
        distances, hits = cells.search(queries, bounds.neighbours)
        rows, columns = np.nonzero((hits >= 0) & (distances <= most))
        return rows.astype(np.int64), hits[rows, columns].astype(np.int64), distances[rows, columns].astype(np.int64)

    return nearest


def _scored(hits: tuple[Ints, Ints, Ints], frames: HashedFrames, num_frames: Ints, settings: NearSettings, is_mirrored: bool) -> Pairs:
    """From pairs of frames to pairs of clips."""
    mine, theirs, distances = hits
    size = len(frames.videos)
    keys = frames.clips[mine] * size + frames.clips[theirs]
    order = np.lexsort((distances, mine, keys))
    keys, mine, distances = keys[order], mine[order], distances[order]
    best = np.ones(len(keys), bool)
    best[1:] = (keys[1:] != keys[:-1]) | (mine[1:] != mine[:-1])  # each frame's nearest counterpart in that clip
    pairs, starts, counts = np.unique(keys[best], return_index=True, return_counts=True)
    distance = np.add.reduceat(distances[best], starts) / counts if len(pairs) else np.empty(0)
    first, second = pairs // size, pairs % size
    share = counts / num_frames[first]
    back = np.searchsorted(pairs, second * size + first)
    there = (back < len(pairs)) & (pairs[np.minimum(back, len(pairs) - 1)] == second * size + first) if len(pairs) else np.empty(0, bool)
    share_back = np.where(there, share[np.minimum(back, max(len(pairs) - 1, 0))] if len(pairs) else share, 0.0)
    is_pair = np.maximum(share, share_back) >= settings.min_share
    bits = frames.whole.shape[1] * 8
    return Pairs(first[is_pair], second[is_pair], 1 - distance[is_pair] / bits, np.full(int(is_pair.sum()), is_mirrored))


def _joined(parts: list[Pairs]) -> Pairs:
    return Pairs(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.similarity for part in parts]),
        np.concatenate([part.is_mirrored for part in parts]),
    )
