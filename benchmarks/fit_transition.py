"""Fits how the `transition` detector weighs windows (`coarse` and `window` of transition_weights.json) anew; the question `cut` is kept.

    python benchmarks/fit_transition.py OUT.json --folder FOLDER [--folder FOLDER ...] [--parts 4] [--same A.mp4,B.mp4]

A folder holds videos and cuts_reference.json; videos that it does not name are single takes. Evidence is gathered from the videos
themselves, from pieces of their shots joined by cuts and by all of `shot_transitions`, from such pieces with events that are no cuts, and
from painted ones. `--parts` first tells how well weights do on videos of which they have seen nothing: videos are dealt into parts, and
what shows pictures of a part is left out of its fit; `--same` names videos that show the same footage. Needs torch (extra `models`).
"""

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shot_accuracy import Tally, footage
from shot_corpus import MadeShots, Transition, make_piece, make_shots, make_splice, make_take
from shot_pieces import RealShot, real_shots
from shot_scenes import HARD_TAKES

from internvid_pipeline.errors import ItemError
from internvid_pipeline.media import detectors
from internvid_pipeline.media.detectors import change, grid, transition, weights, window_evidence
from internvid_pipeline.media.scan import scan_video
from internvid_pipeline.media.small import SmallPicture

Floats = NDArray[np.float32]
_NUM_COARSE = len(window_evidence.COARSE)
_UNSURE = -1
# Boundaries are one row in thirty: they weigh more in the fit, and in the end a window must be this likely (by cross-validation).
_BOUNDARY_WEIGHT, _LEAST_LIKELY = 4.0, 0.75
_NETWORKS = 3  # their mean varies less with what they have seen


class _Pictures:
    """A scorer that keeps what the detector looks at."""

    name, columns, needs_bgr = "pictures", (), False

    def __init__(self) -> None:
        self.cells: list[Floats] = []
        self.pictures: list[SmallPicture] = []

    def process(self, frame: int, picture: SmallPicture) -> None:
        """See FrameScorer."""
        del frame
        self.cells.append(grid.cells([picture])[0])
        self.pictures.append(picture)

    def finish(self) -> dict[str, Floats]:
        """See FrameScorer."""
        return {}


@dataclass(frozen=True)
class Rows:
    """Evidence [n, inputs] and labels [n] of the windows of one video. sources: the files whose pictures are in it."""

    evidence: Floats
    labels: NDArray[np.int64]
    sources: frozenset[str]


def track_of(cells: list[Floats]) -> window_evidence.Track:
    """What the detector sees of a video."""
    frames = np.array(cells)
    changes = np.zeros((len(frames), change.NUM_CHANGES), np.float32)
    for start in range(1, len(frames), 192):
        end = min(len(frames), start + 192)
        changes[start:end] = change.changes(frames[start - 1 : end - 1], frames[start:end])
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


def window_rows(track: window_evidence.Track, transitions: tuple[Transition, ...], sources: frozenset[str]) -> Rows:
    """Of windows of all lengths that the detector would weigh."""
    evidence = [np.zeros((0, _NUM_COARSE + len(window_evidence.FINE)), np.float32)]
    labels = []
    for width in transition.WIDTHS:
        starts = np.arange(0, len(track) - width, max(1, width // 4))
        if len(starts):
            starts = starts[window_evidence.possible(track, starts, np.full_like(starts, width))]
        found = np.array([window_label(start, start + width, transitions) for start in starts.tolist()], np.int64)
        starts, found = starts[found != _UNSURE], found[found != _UNSURE]
        if len(starts):
            coarse = window_evidence.coarse(track, starts, np.full_like(starts, width))
            evidence.append(np.hstack([coarse, window_evidence.fine(track, starts, width)]))
            labels.append(found)
    return Rows(np.concatenate(evidence), np.concatenate([np.zeros(0, np.int64), *labels]), sources)


def fitted(rows: Sequence[Rows]) -> dict[str, Any]:
    """The numbers of the shipped file, with new ones for windows."""
    evidence, labels = np.concatenate([one.evidence for one in rows]), np.concatenate([one.labels for one in rows])
    stored = json.loads(resources.files(detectors).joinpath("transition_weights.json").read_text(encoding="utf-8"))
    coarse = _network(evidence[:, :_NUM_COARSE], labels, 6, 8, 0)
    windows = [_network(evidence, labels, 12, 8, seed) for seed in range(_NETWORKS)]
    window = {name: windows[0][name] for name in ("mean", "spread")}
    hidden = [np.concatenate([one["layers"][0][part] for one in windows]) for part in (0, 1)]
    out = np.concatenate([one["layers"][1][0] for one in windows], axis=1) / _NETWORKS
    offset = np.mean([one["layers"][1][1] for one in windows], axis=0) - math.log(_LEAST_LIKELY / (1 - _LEAST_LIKELY))
    window["layers"] = [hidden, [out, offset]]
    return {"cut": stored["cut"], "coarse": _rounded(coarse), "window": _rounded(window)}


def _network(evidence: Floats, labels: NDArray[np.int64], hidden: int, epochs: int, seed: int) -> dict[str, Any]:
    """One hidden layer with tanh, by AdamW on cross entropy; seeded."""
    import torch

    mean, spread = evidence.mean(axis=0), evidence.std(axis=0) + 1e-6
    torch.manual_seed(seed)
    inputs, wanted = torch.from_numpy((evidence - mean) / spread), torch.from_numpy(labels.astype(np.float32))
    layers = [torch.nn.Linear(evidence.shape[1], hidden), torch.nn.Linear(hidden, 1)]
    network = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.02)
    batches = -(-len(wanted) // 1024)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=batches * epochs + 1)
    heavier = torch.tensor(_BOUNDARY_WEIGHT)
    for _ in range(epochs):
        for chosen in torch.randperm(len(wanted)).split(1024):
            optimiser.zero_grad()
            out = network(inputs[chosen])[:, 0]
            torch.nn.functional.binary_cross_entropy_with_logits(out, wanted[chosen], pos_weight=heavier).backward()
            optimiser.step()
            schedule.step()
    return {
        "mean": mean,
        "spread": spread,
        "layers": [[layer.weight.detach().numpy(), layer.bias.detach().numpy()] for layer in layers],
    }


def _rounded(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _rounded(value) for name, value in values.items()}
    if isinstance(values, list):
        return [_rounded(value) for value in values]
    return np.round(np.asarray(values, float), 4).tolist()


def cross_validated(rows: Sequence[Rows], seen: dict[str, tuple[_Pictures, MadeShots]], same: Sequence[set[str]], parts: int) -> None:
    """Prints how weights do on the videos of each part that were fitted without them."""
    groups = [*same, *({name} for name in sorted(seen) if not any(name in one for one in same))]
    tally = Tally()
    for part in range(parts):
        left_out = frozenset(name for one in groups[part::parts] for name in one)
        network = {
            name: weights.stored_weights(stored) for name, stored in fitted([one for one in rows if not one.sources & left_out]).items()
        }
        for name in sorted(left_out & seen.keys()):
            one = transition.TransitionScorer(network)
            for number, picture in enumerate(seen[name][0].pictures):
                one.process(number, picture)
            tally.add(name, seen[name][1].transitions, transition.transition_boundaries(one.finish()))
    print(tally.line(f"transition, {parts} parts"), flush=True)


def _made(options: argparse.Namespace, shots: Sequence[RealShot], path: Path) -> Iterator[MadeShots]:
    for seed in range(options.splices):
        yield make_splice(path, options.seed + seed, shots)
    for seed in range(options.pieces):
        shot = shots[(7 * seed + seed // len(HARD_TAKES)) % len(shots)]
        yield make_piece(path, options.seed + seed, shot, HARD_TAKES[seed % len(HARD_TAKES)])
    for seed in range(options.videos):
        yield make_shots(path, options.seed + seed)
    for seed in range(options.takes):
        yield make_take(path, options.seed + seed, HARD_TAKES[seed % len(HARD_TAKES)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--splices", type=int, default=148)
    parser.add_argument("--pieces", type=int, default=85)
    parser.add_argument("--videos", type=int, default=17, help="painted videos of several shots")
    parser.add_argument("--takes", type=int, default=76)
    parser.add_argument("--seed", type=int, default=1_000_000, help="first seed; shot_accuracy.py uses small ones")
    parser.add_argument("--folder", type=Path, action="append", required=True)
    parser.add_argument("--same", action="append", default=[], help="names of videos with the same footage, separated by commas")
    parser.add_argument("--parts", type=int, default=0, help="of the cross-validation; 0 for none")
    return parser.parse_args()


def main() -> None:
    """See the module."""
    options = _options()
    rows: list[Rows] = []
    seen: dict[str, tuple[_Pictures, MadeShots]] = {}
    shots: list[RealShot] = []
    for video in (video for folder in options.folder for video in footage(folder)):
        kept = _Pictures()
        try:
            scan_video(video.path, [kept])
        except ItemError as error:
            print(f"{video.path.name}: {error}")
            continue
        seen[video.path.name] = (kept, video)
        rows.append(window_rows(track_of(kept.cells), video.transitions, frozenset([video.path.name])))
        shots += real_shots(video.path, tuple((one.first, one.end) for one in video.transitions))
    with tempfile.TemporaryDirectory() as folder:
        for made in _made(options, shots, Path(folder) / "made.mkv"):
            kept = _Pictures()
            scan_video(made.path, [kept])
            rows.append(window_rows(track_of(kept.cells), made.transitions, frozenset(made.sources)))
    if options.parts:
        cross_validated(rows, seen, [set(one.split(",")) for one in options.same], options.parts)
    options.out.write_text(json.dumps(fitted(rows)))


if __name__ == "__main__":
    main()
