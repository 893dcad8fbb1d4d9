"""Made videos with known shot boundaries: takes joined by cuts and by all kinds of gradual transition (`shot_transitions`), in several
codecs, rates and qualities; and single takes with nothing to find. Everything follows from a seed.

Takes are painted (`shot_scenes`), or pieces of real shots (`shot_pieces`), which have real texture and motion.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from shot_pieces import RealShot, piece
from shot_scenes import HARD_TAKES, SIZE_PX, take
from shot_transitions import COMMON, GRADUAL, mix

Picture = NDArray[np.uint8]
RATES = (15, 24, 25, 30, 50, 60)
CODECS = (
    ("libx264", {"crf": "24", "preset": "veryfast"}), ("libx264", {"crf": "20", "preset": "ultrafast"}),
    ("libx264", {"crf": "30", "preset": "ultrafast"}), ("libx264", {"crf": "38", "preset": "ultrafast"}), ("mpeg4", {"qscale": "3"}),
    ("mpeg4", {"qscale": "5"}), ("mpeg4", {"qscale": "14"}), ("libvpx", {"crf": "30", "b": "400k", "cpu-used": "8"}),
)  # fmt: skip
_Maker = Callable[[int, float], list[Picture]]  # number of frames, rate -> a take


@dataclass(frozen=True)
class Transition:
    """kind: `cut`, `fade in`, `fade out` or a key of GRADUAL. [first, end): its frames; for a cut both are the first frame of the new
    shot."""

    kind: str
    first: int
    end: int


@dataclass(frozen=True)
class MadeShots:
    """A file and its truth. sources: names of the real files whose pictures are in it."""

    path: Path
    transitions: tuple[Transition, ...]
    num_frames: int
    note: str
    sources: tuple[str, ...] = ()


def make_shots(path: Path, seed: int) -> MadeShots:
    """A video of two to six painted shots."""
    chance = np.random.default_rng([seed, 1])
    rate = int(chance.choice(RATES))

    def new(num_frames: int, fps: float) -> list[Picture]:
        kind = str(chance.choice(HARD_TAKES)) if chance.random() < 0.25 else "any"
        return list(take(int(chance.integers(1 << 31)), num_frames, fps, kind))

    pictures, found = _joined(chance, [new] * int(chance.integers(2, 7)), rate)
    return _write(path, pictures, rate, chance, found, f"{rate}/s")


def make_take(path: Path, seed: int, kind: str) -> MadeShots:
    """A video of one painted take."""
    chance = np.random.default_rng([seed, 2])
    rate = int(chance.choice(RATES))
    return _write(path, take(seed, int(chance.integers(90, 200)), rate, kind), rate, chance, (), f"{kind}, {rate}/s")


def make_splice(path: Path, seed: int, shots: Sequence[RealShot]) -> MadeShots:
    """A video of two to five pieces of real shots; one in six is painted."""
    chance = np.random.default_rng([seed, 3])
    chosen = [shots[int(number)] for number in chance.choice(len(shots), min(len(shots), int(chance.integers(2, 6))), replace=False)]
    painted = chance.random(len(chosen)) < 1 / 6

    def real(shot: RealShot) -> _Maker:
        return lambda num_frames, fps: piece(chance, shot, num_frames, fps)

    def paint(num_frames: int, fps: float) -> list[Picture]:
        return list(take(int(chance.integers(1 << 31)), num_frames, fps))

    pictures, found = _joined(chance, [paint if by_hand else real(shot) for shot, by_hand in zip(chosen, painted, strict=True)], 25)
    sources = tuple({shot.source for shot, by_hand in zip(chosen, painted, strict=True) if not by_hand})
    return _write(path, pictures, 25, chance, found, "spliced", sources)


def make_piece(path: Path, seed: int, shot: RealShot, kind: str) -> MadeShots:
    """One piece of a real shot in which something happens that is no cut."""
    chance = np.random.default_rng([seed, 4])
    pictures = piece(chance, shot, int(chance.integers(90, 160)), 25, kind)
    return _write(path, pictures, 25, chance, (), f"{kind} over {shot.source}", (shot.source,))


def _joined(chance: np.random.Generator, makers: Sequence[_Maker], rate: float) -> tuple[list[Picture], tuple[Transition, ...]]:
    """Dissolves, fades, plain wipes and pushes are as common as all other kinds together; one video in ten comes from black, and one goes
    there."""
    pictures: list[Picture] = []
    found: list[Transition] = []
    for number, make in enumerate(makers):
        new = make(int(chance.integers(12, 35) if chance.random() < 0.15 else chance.integers(35, 130)), rate)
        if not number:
            pictures = new
            continue
        kinds = COMMON if chance.random() < 0.5 else tuple(GRADUAL)
        name = "cut" if chance.random() < 0.45 else str(chance.choice(kinds))
        longest = min(len(new), len(pictures) - (found[-1].end if found else 0)) - 8
        length = 0 if name == "cut" else min(int(np.exp(chance.uniform(np.log(5), np.log(60)))), longest)
        if length < 5:
            name, length = "cut", 0
        luck, start = float(chance.random()), len(pictures) - length
        for k in range(length):
            pictures[start + k] = GRADUAL[name](pictures[start + k], new[k], (k + 1) / (length + 1), luck)
        found.append(Transition(name, start, start + length))
        pictures += new[length:]
    _fade_ends(chance, pictures, found)
    return pictures, tuple(found)


def _fade_ends(chance: np.random.Generator, pictures: list[Picture], found: list[Transition]) -> None:
    length, black = int(chance.integers(8, 45)), np.zeros_like(pictures[0])
    if chance.random() < 0.1 and found[0].first > length + 8:
        held = int(chance.integers(0, 12))
        pictures[:length] = [mix(black, pictures[k], k / length) for k in range(length)]
        pictures[:0] = [black] * held
        found[:] = [Transition("fade in", 0, held + length), *(Transition(one.kind, one.first + held, one.end + held) for one in found)]
    if chance.random() < 0.1 and len(pictures) - found[-1].end > length + 8:
        held, start = int(chance.integers(0, 12)), len(pictures) - length
        pictures[start:] = [mix(pictures[start + k], black, (k + 1) / length) for k in range(length)]
        pictures += [black] * held
        found.append(Transition("fade out", start, len(pictures)))


def _write(
    path: Path,
    pictures: Iterator[Picture] | list[Picture],
    rate: int,
    chance: np.random.Generator,
    found: tuple[Transition, ...],
    note: str,
    sources: tuple[str, ...] = (),
) -> MadeShots:
    """One video in five has frames of uneven length."""
    codec, options = CODECS[int(chance.integers(len(CODECS)))]
    uneven = chance.random() < 0.2
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuv420p"
        stream.codec_context.time_base, stream.codec_context.thread_count = Fraction(1, 1000), 1
        stream.codec_context.gop_size = int(chance.choice([12, 50, 250]))
        time_ms, count = 0.0, 0
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time_ms), Fraction(1, 1000)
            container.mux(stream.encode(frame))
            time_ms, count = time_ms + 1000 / rate * (float(chance.choice([1, 1, 2, 3])) if uneven else 1.0), count + 1
        container.mux(stream.encode(None))
    return MadeShots(path, found, count, f"{note}, {codec} {options.get('crf', '')}{', uneven' if uneven else ''}", sources)
