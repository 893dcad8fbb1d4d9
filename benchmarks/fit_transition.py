"""Fits the numbers of the `transition` detector (internvid_pipeline/media/detectors/transition_weights.json) anew.

    python benchmarks/fit_transition.py OUT.json [--videos 60] [--takes 30] [--folder FOLDER ...]

Evidence is gathered from made videos (`shot_corpus`) and takes with nothing to find, and from folders of your own footage with
cuts_reference.json. The shipped numbers were fitted in this way on made videos, on pieces of real footage spliced by some sixty kinds of
transition, and on takes full of hard cases; those pieces are not part of the project, so that this gives other numbers than the shipped
ones. Judge what comes out on footage that it has not seen: `shot_accuracy.py`. Needs torch (extra `models`).
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shot_accuracy import footage
from shot_corpus import MadeShots, Transition, make_shots, make_take
from shot_scenes import HARD_TAKES

from internvid_pipeline.media.detectors import change, cut_evidence, grid, window_evidence
from internvid_pipeline.media.scan import scan_video
from internvid_pipeline.media.small import SmallPicture

Floats = NDArray[np.float32]
WINDOWS = (6, 8, 11, 15, 21, 29, 40, 56, 76)  # frames; at least one holds any transition of 4 to 60 frames with both its shots
_LEAST_CHANGE = 8.0  # mean difference of a window's ends, 0 to 255, below which nothing can have changed
_NUM_COARSE = 13
_UNSURE = -1


class _Cells:
    """A scorer that keeps what the detector's evidence is made of."""

    name, columns, needs_bgr = "cells", (), False

    def __init__(self) -> None:
        self.cells: list[Floats] = []

    def process(self, frame: int, picture: SmallPicture) -> None:
        """See FrameScorer."""
        del frame
        self.cells.append(grid.cells([picture])[0])

    def finish(self) -> dict[str, Floats]:
        """See FrameScorer."""
        return {}


def track_of(path: Path) -> window_evidence.Track:
    """What the detector sees of a file."""
    cells = _Cells()
    scan_video(path, [cells])
    frames = np.array(cells.cells)
    changes = np.zeros((len(frames), 8), np.float32)
    if len(frames) > 1:
        changes[1:] = change.changes(frames[:-1], frames[1:])
    return window_evidence.Track(frames, changes, grid.quantiles(frames))


def window_label(start: int, end: int, transitions: tuple[Transition, ...]) -> int:
    """1: a window that holds one whole gradual transition and little more; 0: none; _UNSURE: parts of one, a cut, or several."""
    touched = []
    for one in transitions:
        if one.kind == "cut" and start < one.first <= end:
            return _UNSURE
        if one.kind != "cut" and min(end, one.end) > max(start, one.first):
            touched.append(one)
    if not touched:
        return 0
    length = touched[0].end - touched[0].first
    holds = start <= touched[0].first + 0.15 * length and end >= touched[0].end - 0.15 * length
    return 1 if len(touched) == 1 and holds and end - start <= 2.2 * length + 4 else _UNSURE


def window_rows(track: window_evidence.Track, transitions: tuple[Transition, ...]) -> Iterator[tuple[Floats, int]]:
    """Evidence and label of windows of all lengths."""
    for width in WINDOWS:
        starts = np.arange(0, len(track) - width, max(1, width // 4))
        labels = np.array([window_label(start, start + width, transitions) for start in starts])
        if len(starts):
            changed = np.abs(track.frames[starts] - track.frames[starts + width]).mean(1) >= _LEAST_CHANGE
            chosen = (labels != _UNSURE) & (changed | (labels == 1))
            if chosen.any():
                at = starts[chosen]
                coarse = window_evidence.coarse(track, at, np.full_like(at, width))
                evidence = np.hstack([coarse, window_evidence.fine(track, at, width)])
                yield from zip(evidence, labels[chosen], strict=True)


def cut_rows(track: window_evidence.Track, transitions: tuple[Transition, ...]) -> Iterator[tuple[Floats, int]]:
    """Evidence and label of every frame that may be a cut."""
    labels = np.zeros(len(track), int)
    for one in transitions:
        is_cut = one.kind == "cut"
        labels[max(0, one.first - 1) : one.end + 2] = _UNSURE
        if is_cut:
            labels[one.first] = 1
    jumps = cut_evidence.jumps(track.changes)
    ratios = cut_evidence.ratios(jumps)
    at = np.flatnonzero((ratios >= cut_evidence.MIN_RATIO) & (jumps >= cut_evidence.MIN_JUMP) & (labels != _UNSURE))
    at = at[at > 0]
    if len(at):
        yield from zip(cut_evidence.evidence(track, at, jumps[at], ratios[at]), labels[at], strict=True)


def fitted(rows: list[tuple[Floats, int]], hidden: int, num_steps: int, decay: float) -> dict[str, Any]:
    """A network of one hidden layer with tanh, by Adam on cross entropy; seeded."""
    import torch

    evidence = np.array([row for row, _ in rows])
    wanted = torch.tensor([float(label) for _, label in rows])
    sound = np.isfinite(evidence).all(axis=1)
    evidence, wanted = evidence[sound], wanted[torch.from_numpy(sound)]
    mean, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-6
    inputs = torch.tensor((evidence - mean) / spread, dtype=torch.float32)
    torch.manual_seed(0)
    layers = [torch.nn.Linear(evidence.shape[1], hidden), torch.nn.Linear(hidden, 1)]
    network = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02, weight_decay=decay)
    for _ in range(num_steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(inputs)[:, 0], wanted)
        loss.backward()
        optimiser.step()
    right = ((network(inputs)[:, 0] > 0) == (wanted > 0)).float().mean()
    print(f"{len(wanted)} rows, {int(wanted.sum())} of them boundaries, {float(right):.2%} right on what it was fitted on")
    stored = [[_rounded(layer.weight), _rounded(layer.bias)] for layer in layers]
    return {"mean": [round(float(value), 4) for value in mean], "spread": [round(float(value), 4) for value in spread], "layers": stored}


def _rounded(values: Any) -> Any:
    return np.round(values.detach().numpy().astype(float), 4).tolist()


def _sources(options: argparse.Namespace, folder: Path) -> Iterator[MadeShots]:
    for seed in range(options.videos):
        yield make_shots(folder / f"{seed}.mkv", options.seed + seed)
    for seed in range(options.takes):
        yield make_take(folder / f"{seed}-take.mkv", options.seed + seed, HARD_TAKES[seed % len(HARD_TAKES)])
    for place in options.folder:
        yield from footage(place)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--takes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1_000_000, help="first seed; shot_accuracy.py uses small ones")
    parser.add_argument("--folder", type=Path, action="append", default=[])
    options = parser.parse_args()
    windows: list[tuple[Floats, int]] = []
    cuts: list[tuple[Floats, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        for made in _sources(options, Path(folder)):
            track = track_of(made.path)
            windows += window_rows(track, made.transitions)
            cuts += cut_rows(track, made.transitions)
    coarse = [(row[:_NUM_COARSE], label) for row, label in windows]
    weights = {"cut": fitted(cuts, 6, 600, 2e-3), "coarse": fitted(coarse, 6, 500, 1e-3), "window": fitted(windows, 16, 900, 2e-3)}
    options.out.write_text(json.dumps(weights))


if __name__ == "__main__":
    main()
