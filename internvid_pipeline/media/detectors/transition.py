"""Our default detector: hard cuts and gradual transitions of any kind, from one column of evidence each.

Every frame is laid on a coarse grid (`grid`). A hard cut is a jump that stands out (`cut_evidence`); a gradual transition is a window of 6
to 76 frames whose ends have nothing to do with each other (`window_evidence`). What the evidence weighs was fitted: of cuts on painted and
real shots joined on the spot, of windows by benchmarks/fit_transition.py on real shots spliced by thirty-six kinds of transition, on real
and painted takes in which everything happens that is no cut, and on single takes as people film them. benchmarks/README.md has what was
found on videos whose footage was left out of the fit, and what is still missed.
"""

from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors import change, cut_evidence, grid, window_evidence
from internvid_pipeline.media.detectors.base import Boundary
from internvid_pipeline.media.detectors.grid import Floats
from internvid_pipeline.media.detectors.weights import Weights, likelihoods, loaded_weights
from internvid_pipeline.media.detectors.window_evidence import Track
from internvid_pipeline.media.small import SmallPicture

CUT, GRADUAL, FIRST, END = "transition_cut", "transition_gradual", "transition_first", "transition_end"
CONTRAST = "transition_contrast"
WIDTHS = (6, 8, 11, 15, 21, 29, 40, 56, 76)  # frames: at 25 a second, transitions of 0.2 to 3 s; at 60, to 1.3 s
THRESHOLD = 0.5
# Shots shorter than this cannot be told from flashes; the weaker of two boundaries that lie closer is dropped.
MIN_SCENE_FRAMES = 6
_CHUNK = 192  # frames that are weighed together: numpy's cost per call is shared
_KEPT = 5 * WIDTHS[-1] + WIDTHS[-1] // 4 + 1  # two widths before a window and two after it are looked at
_LONGEST_FADE = 60  # frames from the middle of a fade out to the middle of the fade in after it
_LEAST = 0.05  # what is less likely is not stored


class TransitionScorer:
    """See the module. Columns, one value a frame: likelihood that a new shot begins here by a cut (0 to 1); that a gradual transition is
    half done here; how many frames before and after this one that transition begins and ends; and luma's
    standard deviation. Memory: 500 frames of 864 numbers.

    Frames that the fast scan left out are taken for not there at all."""

    name = "transition"
    columns: tuple[str, ...] = (CUT, GRADUAL, FIRST, END, CONTRAST)
    needs_bgr = False

    def __init__(self, weights: Mapping[str, Weights] | None = None) -> None:
        """weights: by question; the shipped ones by default."""
        self._weights = weights or loaded_weights()
        self._picture: SmallPicture | None = None
        self._num_frames = 0
        self._numbers = array("q")  # of the frames that were decoded
        self._new: list[SmallPicture] = []
        self._track = Track(*(np.zeros((0, size), np.float32) for size in (grid.NUM_CELLS, change.NUM_CHANGES, 40)))
        self._base = 0  # how many frames the track has left behind
        self._next_cut = 1
        self._next_start = dict.fromkeys(WIDTHS, 0)
        self._contrast = array("f")
        self._cuts: dict[int, float] = {}
        self._graduals: dict[int, tuple[float, int, int]] = {}

    def process(self, frame: int, picture: SmallPicture) -> None:
        """See FrameScorer."""
        self._num_frames += 1
        if picture is self._picture:
            return
        self._picture = picture
        self._numbers.append(frame)
        self._new.append(picture)
        if len(self._new) == _CHUNK:
            self._weigh(is_end=False)

    def finish(self) -> Mapping[str, NDArray[np.float32]]:
        """See FrameScorer."""
        self._weigh(is_end=True)
        scores = {column: np.zeros(self._num_frames, np.float32) for column in self.columns}
        if self._num_frames:
            shown = np.searchsorted(np.array(self._numbers), np.arange(self._num_frames), side="right") - 1
            scores[CONTRAST] = np.array(self._contrast, np.float32)[shown]
        for at, likelihood in self._cuts.items():
            scores[CUT][self._numbers[at]] = likelihood
        for at, (likelihood, first, end) in self._graduals.items():
            frame = self._numbers[at]
            scores[GRADUAL][frame] = likelihood
            scores[FIRST][frame] = frame - self._numbers[first]
            scores[END][frame] = (self._numbers[end] if end < len(self._numbers) else self._num_frames) - frame
        return scores

    def _weigh(self, is_end: bool) -> None:
        if self._new:
            frames = grid.cells(self._new)
            self._contrast.extend(frames[:, : grid.NUM_LUMA].std(axis=1).tolist())
            self._extend(frames)
            self._new = []
        self._weigh_cuts(len(self._track) - (0 if is_end else cut_evidence.REACH + 1))
        self._weigh_windows(is_end)
        spare = len(self._track) - _KEPT
        if spare > 0:
            track = self._track
            self._track = Track(track.frames[spare:], track.changes[spare:], track.quantiles[spare:])
            self._base += spare

    def _extend(self, frames: Floats) -> None:
        track = self._track
        before = np.concatenate([track.frames[-1:] if len(track) else frames[:1], frames[:-1]])
        self._track = Track(
            np.concatenate([track.frames, frames]),
            np.concatenate([track.changes, change.changes(before, frames)]),
            np.concatenate([track.quantiles, grid.quantiles(frames)]),
        )

    def _weigh_cuts(self, end: int) -> None:
        """All frames of the track before `end` that were not weighed yet."""
        start = self._next_cut - self._base
        if end <= start:
            return
        jumps = cut_evidence.jumps(self._track.changes)
        jumps[0] = jumps[0] if self._base else 0.0
        ratios = cut_evidence.ratios(jumps)
        at = np.flatnonzero((jumps >= cut_evidence.MIN_JUMP) & (ratios >= cut_evidence.MIN_RATIO))
        at = at[(at >= start) & (at < end)]
        if len(at):
            evidence = cut_evidence.evidence(self._track, at, jumps[at], ratios[at])
            for number, likelihood in zip(at, likelihoods(self._weights["cut"], evidence), strict=True):
                if likelihood >= _LEAST:
                    self._cuts[self._base + int(number)] = float(likelihood)
        self._next_cut = self._base + end

    def _weigh_windows(self, is_end: bool) -> None:
        """All windows of the track that were not weighed yet, and which have after them what must be looked at."""
        starts, widths = self._new_windows(is_end)
        possible = window_evidence.possible(self._track, starts, widths)
        starts, widths = starts[possible], widths[possible]
        if not len(starts):
            return
        coarse = window_evidence.coarse(self._track, starts, widths)
        likely = likelihoods(self._weights["coarse"], coarse) >= window_evidence.MIN_COARSE
        for width in np.unique(widths[likely]).tolist():
            these = likely & (widths == width)
            evidence = np.concatenate([coarse[these], window_evidence.fine(self._track, starts[these], width)], axis=1)
            self._note_windows(starts[these].tolist(), width, likelihoods(self._weights["window"], evidence).tolist())

    def _new_windows(self, is_end: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First frames in the track, and widths. Steps of a quarter of the width: one of them holds the transition nearly in its middle.
        Windows with a cut inside are left out."""
        sure = np.array([cut - self._base for cut, likelihood in self._cuts.items() if likelihood >= THRESHOLD], np.int64)
        found: list[NDArray[np.int64]] = []
        for width in WIDTHS:
            step = max(1, width // 4)
            end = len(self._track) - (width if is_end else 3 * width + 1)
            starts = np.arange(self._next_start[width] - self._base, end, step)
            if len(starts):
                self._next_start[width] = self._base + int(starts[-1]) + step
            found.append(starts[np.searchsorted(sure, starts + width, side="right") == np.searchsorted(sure, starts, side="right")])
        return np.concatenate(found), np.repeat(np.array(WIDTHS), [len(starts) for starts in found])

    def _note_windows(self, starts: list[int], width: int, likelihood: list[float]) -> None:
        for start, likely in zip(starts, likelihood, strict=True):
            if likely >= _LEAST:
                first, middle, last = (self._base + part for part in window_evidence.extent(self._track, start, width))
                if likely > self._graduals.get(middle, (0.0, 0, 0))[0]:
                    self._graduals[middle] = (likely, first, last)


def transition_boundaries(
    scores: Mapping[str, NDArray[np.float32]], threshold: float = THRESHOLD, min_scene_frames: int = MIN_SCENE_FRAMES
) -> tuple[Boundary, ...]:
    """Boundaries at least as likely as `threshold`. Of candidates that overlap or lie closer than `min_scene_frames`, a likely cut wins,
    then the likeliest; this is settled before the threshold is applied, so that a higher threshold only takes boundaries away."""
    plain = scores[CONTRAST] < window_evidence.PLAIN
    found: list[Boundary] = []
    for candidate in sorted(_candidates(scores), key=lambda one: (not _is_sure_cut(one), -one.score, one.frame)):
        if all(_apart(candidate, other, plain, min_scene_frames) for other in found):
            found.append(candidate)
    return tuple(sorted((one for one in found if one.score >= threshold), key=lambda one: one.frame))


def _candidates(scores: Mapping[str, NDArray[np.float32]]) -> list[Boundary]:
    cuts, graduals = scores[CUT], scores[GRADUAL]
    found = [Boundary(int(at), "cut", int(at), int(at), float(cuts[at])) for at in np.flatnonzero(cuts[1:] > 0) + 1]
    for at in np.flatnonzero(graduals > 0):
        first, end = int(at - scores[FIRST][at]), int(at + scores[END][at])
        if 0 < at < len(graduals):
            found.append(Boundary(int(at), "gradual", max(0, first), min(len(graduals), end), float(graduals[at])))
    return found


def _is_sure_cut(one: Boundary) -> bool:
    return one.kind == "cut" and one.score >= THRESHOLD


def _apart(a: Boundary, b: Boundary, plain: NDArray[np.bool_], least: int) -> bool:
    """Out to black and soon in again is one transition."""
    if a.frame > b.frame:
        a, b = b, a
    if a.kind == b.kind == "gradual" and b.frame - a.frame <= _LONGEST_FADE and plain[a.frame : b.frame].any():
        return False
    return b.first_frame >= a.end_frame and b.first_frame - a.end_frame >= least
