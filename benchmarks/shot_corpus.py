"""Made videos with known shot boundaries: `shot_scenes` joined by cuts and by eighteen kinds of gradual transition, in several codecs,
rates and qualities; and single takes with nothing to find. Everything follows from a seed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from shot_scenes import HARD_TAKES, SIZE_PX, take

Picture = NDArray[np.uint8]
RATES = (15, 24, 25, 30, 50, 60)
CODECS = (
    ("libx264", {"crf": "20", "preset": "veryfast"}), ("libx264", {"crf": "30", "preset": "veryfast"}),
    ("libx264", {"crf": "38", "preset": "ultrafast"}), ("mpeg4", {"qscale": "5"}), ("libvpx", {"crf": "30", "b": "400k", "cpu-used": "8"}),
)  # fmt: skip
_WIDTH, _HEIGHT = SIZE_PX
_Y, _X = np.mgrid[:_HEIGHT, :_WIDTH].astype(np.float32)
_X, _Y = _X / _WIDTH, _Y / _HEIGHT


@dataclass(frozen=True)
class Transition:
    """kind: `cut` or a key of GRADUAL. [first, end): its frames; for a cut both are the first frame of the new shot."""

    kind: str
    first: int
    end: int


@dataclass(frozen=True)
class MadeShots:
    """A made file and its truth."""

    path: Path
    transitions: tuple[Transition, ...]
    num_frames: int
    note: str


def _mask(weight: NDArray[np.float32], part: float, soft: float) -> NDArray[np.float32]:
    """1 where a moving edge has passed: where weight (0 to 1) lies below `part`."""
    return np.clip((part * (1 + soft) - weight) / max(soft, 1e-3), 0, 1)[..., None]


def _mix(a: Picture, b: Picture, share: NDArray[np.float32] | float) -> Picture:
    return np.asarray(a + (b.astype(np.float32) - a) * share, np.uint8)


def _through(colour: int) -> Callable[[Picture, Picture, float, float], Picture]:
    def fade(a: Picture, b: Picture, part: float, luck: float) -> Picture:
        plain = np.full_like(a, colour)
        return _mix(a, plain, 2 * part) if part < 0.5 else _mix(plain, b, 2 * part - 1)

    return fade


def _wipe(weight: NDArray[np.float32]) -> Callable[[Picture, Picture, float, float], Picture]:
    return lambda a, b, part, luck: _mix(a, b, _mask(weight, part, 0.3 * luck * (luck > 0.5)))


def _push(axis: int, sign: int, both: bool = True) -> Callable[[Picture, Picture, float, float], Picture]:
    def slide(a: Picture, b: Picture, part: float, luck: float) -> Picture:
        size = a.shape[axis]
        way = round(size * part)
        joined = np.concatenate([a, b] if sign > 0 else [b, a], axis=axis)
        start = way if sign > 0 else size - way
        moved = np.take(joined, range(start, start + size), axis=axis)
        if both:
            return np.asarray(moved, np.uint8)
        new = np.arange(size) >= size - way if sign > 0 else np.arange(size) < way
        return np.where(new[:, None, None] if axis == 0 else new[None, :, None], moved, a)  # the new picture slides over the old one

    return slide


def _tiles(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    order = np.random.default_rng(int(luck * 1e6)).permutation(9 * 16).reshape(9, 16).astype(np.float32) / 144
    return _mix(a, b, _mask(cv2.resize(order, SIZE_PX, interpolation=cv2.INTER_NEAREST), part, 0.0))


def _swirl(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    turn = 6 * (part if part < 0.5 else 1 - part)
    dx, dy = _X - 0.5, _Y - 0.5
    angle = turn * np.maximum(0, 1 - np.hypot(dx, dy) / 0.7)
    x, y = (0.5 + dx * np.cos(angle) - dy * np.sin(angle)) * _WIDTH, (0.5 + dx * np.sin(angle) + dy * np.cos(angle)) * _HEIGHT
    bent = [cv2.remap(one, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for one in (a, b)]
    return _mix(np.asarray(bent[0], np.uint8), np.asarray(bent[1], np.uint8), part)


def _zoom(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    grown = cv2.getRotationMatrix2D((_WIDTH / 2, _HEIGHT / 2), 0, 1 + 3 * part)
    return _mix(np.asarray(cv2.warpAffine(a, grown, SIZE_PX), np.uint8), b, max(0.0, 2 * part - 1))


GRADUAL: dict[str, Callable[[Picture, Picture, float, float], Picture]] = {
    "dissolve": lambda a, b, part, luck: _mix(a, b, part),
    "eased dissolve": lambda a, b, part, luck: _mix(a, b, part * part * (3 - 2 * part)),
    "fade black": _through(0),
    "fade white": _through(255),
    "wipe left": _wipe(1 - _X),
    "wipe right": _wipe(_X),
    "wipe up": _wipe(1 - _Y),
    "wipe down": _wipe(_Y),
    "wipe corner": _wipe((_X + _Y) / 2),
    "circle": _wipe(np.hypot(_X - 0.5, _Y - 0.5) / 0.71),
    "clock": _wipe((np.arctan2(_Y - 0.5, _X - 0.5) / (2 * np.pi) + 0.5).astype(np.float32)),
    "blinds": _wipe((_X * 8) % 1),
    "push left": _push(1, 1),
    "push up": _push(0, 1),
    "cover": _push(1, 1, both=False),
    "tiles": _tiles,
    "swirl": _swirl,
    "zoom": _zoom,
}


def make_shots(path: Path, seed: int) -> MadeShots:
    """A video of two to six shots. Dissolves, fades, wipes and pushes are as common as all other kinds together."""
    chance = np.random.default_rng([seed, 1])
    rate = int(chance.choice(RATES))
    pictures: list[Picture] = []
    found: list[Transition] = []
    for shot in range(int(chance.integers(2, 7))):
        kind = str(chance.choice(HARD_TAKES)) if chance.random() < 0.25 else "any"
        new = list(take(int(chance.integers(1 << 31)), int(chance.integers(35, 130)), rate, kind))
        if not shot:
            pictures = new
            continue
        name = "cut" if chance.random() < 0.45 else str(chance.choice(list(GRADUAL)))
        length = 0 if name == "cut" else min(int(np.exp(chance.uniform(np.log(6), np.log(60)))), len(new) - 12, len(pictures) - 12)
        luck, start = float(chance.random()), len(pictures) - length
        for k in range(length):
            pictures[start + k] = GRADUAL[name](pictures[start + k], new[k], (k + 1) / (length + 1), luck)
        found.append(Transition(name, start, start + length))
        pictures += new[length:]
    return _write(path, pictures, rate, chance, tuple(found), f"{rate}/s")


def make_take(path: Path, seed: int, kind: str) -> MadeShots:
    """A video of one take."""
    chance = np.random.default_rng([seed, 2])
    rate = int(chance.choice(RATES))
    return _write(path, take(seed, int(chance.integers(90, 200)), rate, kind), rate, chance, (), f"{kind}, {rate}/s")


def _write(
    path: Path,
    pictures: Iterator[Picture] | list[Picture],
    rate: int,
    chance: np.random.Generator,
    found: tuple[Transition, ...],
    note: str,
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
    return MadeShots(path, found, count, f"{note}, {codec} {options.get('crf', '')}{', uneven' if uneven else ''}")
