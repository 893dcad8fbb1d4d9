"""The default detector on made shots: gradual transitions of each kind are found once, and what is no transition is left alone."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from internvid_pipeline.media.detectors import Boundary, boundaries, scorer

_spec = importlib.util.spec_from_file_location("detector_pictures", Path(__file__).with_name("pictures.py"))
assert _spec is not None and _spec.loader is not None
made = sys.modules.setdefault("detector_pictures", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(made)

Picture = NDArray[np.uint8]
X = np.linspace(0, 1, made.WIDTH)[None, :, None]


def found_in(pictures: list[Picture]) -> list[Boundary]:
    return list(boundaries("transition", made.scored(scorer("transition"), pictures)))


def mixed(a: Picture, b: Picture, share: float | NDArray[np.float64]) -> Picture:
    return np.asarray(a * (1.0 - share) + b * share, np.uint8)


def through(colour: int) -> Callable[[Picture, Picture, float], Picture]:
    plain = np.full((made.HEIGHT, made.WIDTH, 3), colour, np.uint8)
    return lambda a, b, part: mixed(a, plain, 2 * part) if part < 0.5 else mixed(plain, b, 2 * part - 1)


def pushed(a: Picture, b: Picture, part: float) -> Picture:
    return np.concatenate([a, b], axis=1)[:, round(made.WIDTH * part) :][:, : made.WIDTH]


KINDS: dict[str, Callable[[Picture, Picture, float], Picture]] = {
    "dissolve": mixed,
    "through black": through(0),
    "through white": through(255),
    "wipe": lambda a, b, part: np.asarray(np.where(part > X, b, a), np.uint8),
    "soft wipe": lambda a, b, part: mixed(a, b, np.clip((1.3 * part - X) / 0.3, 0, 1)),
    "push": pushed,
}


@pytest.mark.parametrize("length", [12, 30, 48])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradual_transition_is_one_boundary(kind: str, length: int):
    """From frame 90 - length to 90, between a still shot and one that trembles. A slow push is what a camera does that turns from one view
    to the next: those of a second or more are not found."""
    if kind == "push":
        length = min(length, 12)
    pictures = made.joined(made.take(11, 90), made.take(12, 110, 0.0, 0.4), length, KINDS[kind])
    found = found_in(pictures)
    assert len(found) == 1 and 90 - length - 3 <= found[0].frame <= 93, found
    assert found[0].kind == "gradual" and found[0].first_frame < found[0].frame < found[0].end_frame


def test_fades_at_both_ends_of_a_video():
    shot, plain = made.take(13, 150), np.zeros((made.HEIGHT, made.WIDTH, 3), np.uint8)
    share = np.interp(np.arange(150), [4, 36, 114, 146], [0.0, 1.0, 1.0, 0.0])
    frames = [one.frame for one in found_in([mixed(plain, picture, part) for picture, part in zip(shot, share, strict=True)])]
    assert len(frames) == 2 and 4 <= frames[0] <= 36 and 114 <= frames[1] <= 146


def lit(pictures: list[Picture], gains: NDArray[np.float64], offset: float = 0.0) -> list[Picture]:
    return [np.asarray(np.clip(one * gain + offset * (gain != 1), 0, 255), np.uint8) for one, gain in zip(pictures, gains, strict=True)]


def overlaid(pictures: list[Picture]) -> list[Picture]:
    """A caption that appears at once and one that fades in and out."""
    for number, picture in enumerate(pictures):
        for start, y, ramp in ((40, 80, 1), (80, 30, 20)):
            share = float(np.clip(min(number - start, start + 50 - number) / ramp, 0, 1))
            drawn = picture.copy()
            cv2.putText(drawn, "SUBTITLES HERE", (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 2)
            picture[:] = mixed(picture, drawn, share)
    return pictures


def grained(pictures: list[Picture]) -> list[Picture]:
    chance = np.random.default_rng(1)
    return [np.asarray(np.clip(one + chance.normal(0, 20, one.shape), 0, 255), np.uint8) for one in pictures]


SINGLE_TAKES: dict[str, Callable[[], list[Picture]]] = {
    "still": lambda: made.take(20, 150),
    "slow pan": lambda: made.take(21, 150, 0.6),
    "pan": lambda: made.take(22, 120, 2.0),
    "fast pan": lambda: made.take(23, 30, 8.0),
    "shake": lambda: made.take(24, 150, 0.3, 4.0),
    "flash": lambda: lit(made.take(25, 150), np.where(np.isin(np.arange(150), (70, 71, 72)), 1.6, 1.0), 60),
    "strobe": lambda: lit(made.take(26, 150), np.where((np.arange(150) // 3) % 2 == 1, 0.3, 1.0)),
    "dips to black": lambda: lit(made.take(27, 150), np.where(np.isin(np.arange(150), (70, 71, 72, 73)), 0.0, 1.0)),
    "light goes down": lambda: lit(made.take(28, 150), np.interp(np.arange(150), [60, 90], [1.0, 0.35])),
    "captions": lambda: overlaid(made.take(29, 150, 0.2)),
    "grain": lambda: grained(made.take(30, 120, 0.3)),
    "stop motion": lambda: [picture for picture in made.take(31, 40, 3.0) for _ in range(4)],
    "telecine": lambda: [picture for number, picture in enumerate(made.take(32, 120, 1.0)) for _ in range(2 if number % 4 == 0 else 1)],
}


@pytest.mark.parametrize("take", SINGLE_TAKES)
def test_a_single_take_has_no_boundary(take: str):
    assert found_in(SINGLE_TAKES[take]()) == []


def test_cuts_between_moving_shots():
    pictures = [*made.take(40, 60, 2.0), *grained(made.take(41, 45, 1.0, 1.0)), *made.take(42, 52, -1.5)]
    assert [(one.frame, one.kind) for one in found_in(pictures)] == [(60, "cut"), (105, "cut")]


def test_a_dissolve_and_cuts_beside_it_are_three():
    pictures = [*made.take(50, 40), *made.joined(made.take(51, 60), made.take(52, 70), 16, mixed), *made.take(53, 40)]
    found = found_in(pictures)
    assert [one.kind for one in found] == ["cut", "gradual", "cut"]
    assert found[0].frame == 40 and 84 <= found[1].frame <= 100 and found[2].frame == 154
