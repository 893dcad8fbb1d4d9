"""Frames for models, picked while the video is decoded: more than are needed, for where its shots lie is only known afterwards."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.frames import FrameSaver, KeptFrame, ShrunkFrame, choose_frames
from internvid_pipeline.media.orientation import Orientation
from internvid_pipeline.media.small import SmallPicture
from internvid_pipeline.media.times import FrameTimes

# A new shot may begin where the mean luma difference is so large, and so many times the largest of as many frames before it (coarse
# pictures come in turns with fine ones), and where so much of the histogram, of so many bins, has moved.
_LEAST_CHANGE, _TIMES_RECENT, _RECENT = 4.0, 1.5, 8
_LEAST_MOVED, _BINS = 0.15, 32
_FALLBACK_STEP_S = 0.04  # between frames without times
_MOST_BYTES = 32_000_000
_MOST_WHOLE_BYTES = 48_000_000


@dataclass(frozen=True)
class FrameKeeping:
    """Which frames are kept, and how. Files are `<folder>/<stem>.f<number><suffix>`, the frame's number with seven digits.

    per_second, minimum: see `frames.choose_frames`. max_side_px, quality, suffix: see `frames.FrameSaver`. spans: of these frames
    [start, end) each has its own, once the times are known; None: each shot. edges_s: about where they begin and end, on the container's
    clock, ascending.
    """

    folder: Path
    stem: str
    per_second: float = 1.0
    minimum: int = 8
    max_side_px: int = 384
    quality: int = 90
    spans: Callable[[FrameTimes], Sequence[tuple[int, int]]] | None = None
    edges_s: tuple[float, ...] = ()
    suffix: str = ".jpg"

    def path(self, frame: int) -> Path:
        """The file of a frame."""
        return self.folder / f"{self.stem}.f{frame:07d}{self.suffix}"


class FrameKeeper:
    """Given every decoded frame in order; holds at most `_MOST_WHOLE_BYTES` of whole frames and `_MOST_BYTES` of shrunk ones in memory, the
    others as files. Frames are shrunk late, because most candidates are not needed in the end.

    Candidates are a grid of twice `per_second`, and after a frame that may begin a shot all of the next `minimum` frames, then every
    second one, every fourth and so on until the grid is reached: however long the shot turns out, there are enough, and the one nearest to
    its middle is at most 1/16 of the shot away, and at most a quarter of `1 / per_second`, whichever is less.
    """

    def __init__(self, keeping: FrameKeeping, orientation: Orientation, pixel_ratio: Fraction, time_base: Fraction) -> None:
        self._keeping, self._pixel_ratio, self._time_base = keeping, pixel_ratio, float(time_base)
        self._saver = FrameSaver(keeping.max_side_px, keeping.quality, orientation)
        self._grid_s = 0.5 / keeping.per_second
        self._long_s = keeping.minimum * self._grid_s  # from this length on, the grid alone has `minimum` frames
        self._most_pending = max(1, _MOST_BYTES // (2 * keeping.max_side_px**2))
        self._written: dict[int, KeptFrame] = {}
        self._pending: list[_Candidate] = []
        self._whole: deque[_Candidate] = deque()  # those of the pending ones that are not shrunk
        self._first, self._first_s = 0, 0.0  # of the possible shot that runs
        self._last, self._last_s = -1, -1e9  # the last candidate
        self._grid_written_s = -1e9
        self._now_s = -_FALLBACK_STEP_S
        self._luma = np.zeros((1, 1), np.uint8)  # of the frame before
        self._recent_changes: deque[float] = deque([0.0], maxlen=_RECENT)
        self._edges_s = list(reversed(keeping.edges_s))

    def add(self, number: int, frame: av.VideoFrame, picture: SmallPicture, change: float) -> None:
        """picture: the frame made small. change: its mean luma difference to the frame before."""
        pts = frame.pts
        now_s = self._now_s = self._now_s + _FALLBACK_STEP_S if pts is None else pts * self._time_base
        begins = number == 0 or self._stands_out(picture, change)
        while self._edges_s and now_s > self._edges_s[-1] - _FALLBACK_STEP_S / 2:
            self._edges_s.pop()
            begins = True
        self._recent_changes.append(change)
        self._luma = picture.luma
        if begins:
            self._close(now_s)
            self._first, self._first_s, self._grid_written_s = number, now_s, -1e9
        elif (
            now_s - self._last_s < self._grid_s
            and number - self._last < 1 << ((number - self._first) // self._keeping.minimum).bit_length()
        ):
            return
        self._last, self._last_s = number, now_s
        self._hold(_Candidate(number, now_s, frame))
        if now_s - self._first_s > self._long_s:
            self._thin()
        elif len(self._pending) > self._most_pending:
            self._write(self._pending)

    def finish(self, times: FrameTimes, spans: Sequence[tuple[int, int]]) -> list[KeptFrame]:
        """Of each span (a shot) the frames of `choose_frames`, or the candidates nearest to them; files of the others are deleted.

        A span may still have fewer than `minimum` where `add` took its beginning for none: see `missing_frames`."""
        self._close(self._now_s + _FALLBACK_STEP_S)
        candidates = np.array(sorted(self._written), dtype=np.int64)
        chosen: set[int] = set()
        for start, end in spans:
            inside = candidates[np.searchsorted(candidates, start) : np.searchsorted(candidates, end)]
            chosen |= _nearest(inside, times, start, end, self._keeping)
        for number in self._written.keys() - chosen:
            self._written.pop(number).path.unlink()
        return [replace(self._written[number], time_s=times.seconds(int(times.pts[number]))) for number in sorted(chosen)]

    def keep(self, number: int, frame: av.VideoFrame, times: FrameTimes) -> KeptFrame:
        """Adds a frame after `finish`."""
        time_s = times.seconds(int(times.pts[number]))
        kept = self._saver.save(frame, self._pixel_ratio, number, time_s, self._keeping.path(number))
        self._written[number] = kept
        return kept

    def abandon(self) -> None:
        """Deletes what was written."""
        for kept in self._written.values():
            kept.path.unlink(missing_ok=True)
        self._written.clear()

    def _stands_out(self, picture: SmallPicture, change: float) -> bool:
        """A jerk of the camera changes as much as a cut may, but not how bright things are."""
        if change <= max(_LEAST_CHANGE, _TIMES_RECENT * max(self._recent_changes)):
            return False
        before, after = (cv2.calcHist([luma], [0], None, [_BINS], [0, 256]) for luma in (self._luma, picture.luma))
        return cv2.norm(before, after, cv2.NORM_L1) > _LEAST_MOVED * picture.luma.size

    def _hold(self, candidate: "_Candidate") -> None:
        self._pending.append(candidate)
        self._whole.append(candidate)
        frame = candidate.picture
        assert isinstance(frame, av.VideoFrame)
        size_bytes = sum(plane.buffer_size for plane in frame.planes)
        while len(self._whole) > max(1, _MOST_WHOLE_BYTES // size_bytes):
            self._shrunk(self._whole.popleft())

    def _shrunk(self, candidate: "_Candidate") -> ShrunkFrame:
        if not isinstance(candidate.picture, ShrunkFrame):
            candidate.picture = self._saver.shrink(candidate.picture, self._pixel_ratio)
        return candidate.picture

    def _close(self, end_s: float) -> None:
        """The possible shot ends at `end_s`: of its frames those are written that `choose_frames` may want."""
        minimum = self._keeping.minimum
        if len(self._pending) > minimum + 1:
            steps = {(2 * step + 1) / (2 * minimum) for step in range(minimum)} | {0.5}
            times_s = np.array([candidate.time_s for candidate in self._pending])
            wanted_s = self._first_s + np.array(sorted(steps)) * (end_s - self._first_s)
            nearest = np.unique(np.abs(times_s[:, None] - wanted_s).argmin(axis=0))
            self._write([self._pending[index] for index in nearest])
        else:
            self._write(self._pending)

    def _thin(self) -> None:
        """The possible shot has become so long that the grid is enough for it."""
        kept = []
        for candidate in self._pending:
            if candidate.time_s - self._grid_written_s >= 0.99 * self._grid_s:
                self._grid_written_s = candidate.time_s
                kept.append(candidate)
        self._write(kept)

    def _write(self, candidates: Sequence["_Candidate"]) -> None:
        for candidate in candidates:
            path = self._keeping.path(candidate.number)
            self._written[candidate.number] = self._saver.write(self._shrunk(candidate), candidate.number, candidate.time_s, path)
        self._pending = []
        self._whole.clear()


def missing_frames(times: FrameTimes, spans: Sequence[tuple[int, int]], kept: Sequence[KeptFrame], keeping: FrameKeeping) -> list[int]:
    """Frames to be added, ascending, so that every span has `minimum` of them or all that it has."""
    there = np.array([frame.frame for frame in kept], dtype=np.int64)
    missing: set[int] = set()
    for start, end in spans:
        inside = there[np.searchsorted(there, start) : np.searchsorted(there, end)]
        lacking = min(keeping.minimum, end - start) - len(inside)
        if lacking > 0:
            wanted = np.array(choose_frames(times, start, end, keeping.per_second, keeping.minimum).frames)
            gaps = np.abs(wanted[:, None] - inside).min(axis=1) if len(inside) else np.full(len(wanted), end)
            order = np.argsort(-gaps, kind="stable")  # first those that lie furthest from what is there
            missing.update(wanted[order][:lacking].tolist())
    return sorted(missing)


@dataclass(slots=True)
class _Candidate:
    number: int
    time_s: float
    picture: av.VideoFrame | ShrunkFrame


def _nearest(candidates: NDArray[np.int64], times: FrameTimes, start: int, end: int, keeping: FrameKeeping) -> set[int]:
    """Of the candidates inside the shot [start, end) those that lie nearest to the frames of `choose_frames`, and where two of these share
    one, others beside them until there are `minimum`."""
    if len(candidates) == 0:
        return set()
    choice = choose_frames(times, start, end, keeping.per_second, keeping.minimum)
    shown = times.pts[candidates]
    after = np.clip(np.searchsorted(shown, times.pts[list(choice.frames)]), 1, max(1, len(candidates) - 1))
    before = after - 1
    after = np.minimum(after, len(candidates) - 1)
    wanted = times.pts[list(choice.frames)]
    nearest = np.where(np.abs(shown[after] - wanted) < np.abs(shown[before] - wanted), after, before)
    chosen = {int(candidates[index]) for index in nearest}
    rest = [int(number) for number in candidates if int(number) not in chosen]
    lacking = min(keeping.minimum - len(chosen), len(rest))
    if lacking > 0:
        chosen.update(rest[round((step + 0.5) * len(rest) / lacking - 0.5)] for step in range(lacking))
    return chosen
