"""Pieces of real shots: where the truth of a folder of videos says that nothing happens, any stretch of frames is a single take. It may be
shown faster, backwards, mirrored, through a camera of ours, in another light, with bars or grain, and with an event that is no cut."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from shot_events import Event
from shot_scenes import CAMERAS, SIZE_PX, camera

Picture = NDArray[np.uint8]
_MARGIN = 4  # frames beside a boundary that are left out
_LEAST, _MOST = 12, 240  # frames of a shot
_CROPPED = (416, 234)  # pictures are kept a little larger than they are shown, so that a camera can move within


@dataclass(frozen=True)
class RealShot:
    """pictures: uint8 [234, 416, 3], RGB. source: name of the file."""

    source: str
    pictures: tuple[Picture, ...]


def real_shots(path: Path, boundaries: tuple[tuple[int, int], ...]) -> list[RealShot]:
    """Of a file whose boundaries are [first, end) each; frames that are nearly black are left out, long shots are thinned."""
    edges = [(0, 0), *boundaries, (1 << 30, 1 << 30)]
    spans = [(before[1] + _MARGIN * (before[1] > 0), after[0] - _MARGIN) for before, after in pairwise(edges)]
    found: list[list[Picture]] = [[] for _ in spans]
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            for span, pictures in zip(spans, found, strict=True):
                if span[0] <= number < span[1] and len(pictures) < _MOST:
                    small = frame.reformat(*_CROPPED, format="rgb24", interpolation="AREA").to_ndarray()
                    if small.std() > 6:
                        pictures.append(np.asarray(small, np.uint8))
    return [RealShot(path.name, tuple(pictures)) for pictures in found if len(pictures) >= _LEAST]


def piece(chance: np.random.Generator, shot: RealShot, num_frames: int, fps: float, kind: str = "any") -> list[Picture]:
    """A take of `num_frames` pictures of SIZE_PX, to and fro where the shot is shorter. kind: of HARD_TAKES; `any` for a take as it is,
    one in six with some event of CAMERAS."""
    speed = float(chance.choice([1, 1, 1, 2, 3, 0.5]))
    first = int(chance.integers(len(shot.pictures)))
    event = Event(kind, chance, num_frames, fps)
    moves = kind if kind in CAMERAS else str(chance.choice(CAMERAS)) if chance.random() < 1 / 6 else "none"
    path = camera(moves, chance) if moves != "none" else None
    look = _Look(chance, "grain" if kind == "grain" else "")
    pictures = []
    for number in range(num_frames):
        moment = event.moment(number)
        at = (first + int(moment * speed)) % (2 * len(shot.pictures))
        source = shot.pictures[min(at, 2 * len(shot.pictures) - 1 - at)]
        if path is None:
            picture = cv2.resize(source, SIZE_PX, interpolation=cv2.INTER_AREA)
        else:
            picture = _seen(source, path(0.0), path(moment / fps))
        pictures.append(event.apply(look.apply(np.asarray(picture, np.uint8)), number))
    return pictures


def _seen(source: Picture, start: tuple[float, float, float, float], now: tuple[float, float, float, float]) -> Picture:
    """Through a camera that moves; what is beyond the picture is its reflection."""
    height, width = source.shape[:2]
    x, y = width / 2 + (now[0] - start[0]) * SIZE_PX[0], height / 2 + (now[1] - start[1]) * SIZE_PX[1]
    turn = cv2.getRotationMatrix2D((x, y), now[3] - start[3], now[2] / start[2])
    turn[:, 2] += (SIZE_PX[0] / 2 - x, SIZE_PX[1] / 2 - y)
    return np.asarray(cv2.warpAffine(source, turn, SIZE_PX, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


class _Look:
    """What stays the same throughout a piece: mirrored, lighter or darker, less colourful, with bars, grain or a logo."""

    def __init__(self, chance: np.random.Generator, kind: str) -> None:
        self._mirrored = chance.random() < 0.5
        gamma = float(np.exp(chance.normal(0, 0.25)))
        gain = float(chance.choice([1.0, 1.0, 1.0, 0.7, 0.35]))
        self._levels = (gain * 255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
        self._colour = float(chance.choice([1.0, 1.0, 1.0, 0.5, 0.0]))
        self._bars = int(chance.choice([0, 0, 0, 0, 14, 24]))
        self._across = chance.random() < 0.4
        self._grain = 14.0 if kind == "grain" else float(chance.choice([0, 0, 0, 4]))
        self._chance = np.random.default_rng(int(chance.integers(1 << 31)))

    def apply(self, picture: Picture) -> Picture:
        """A new picture."""
        out = np.take(self._levels, picture[:, ::-1] if self._mirrored else picture)
        if self._colour < 1:
            grey = cv2.cvtColor(out, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
            out = np.asarray(grey + self._colour * (out - grey), np.uint8)
        if self._grain:
            out = np.clip(out + self._chance.normal(0, self._grain, out.shape[:2])[..., None], 0, 255).astype(np.uint8)
        if self._bars:
            side = self._bars * (2 if self._across else 1)
            for part in (slice(None, side), slice(-side, None)):
                out[(slice(None), part) if self._across else part] = 0
        return np.ascontiguousarray(out)
