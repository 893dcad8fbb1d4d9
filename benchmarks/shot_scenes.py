"""Made shots for measuring shot detectors: textured scenes under a moving camera, single takes that look like a cut and are none.

Everything follows from a seed. Pictures are uint8 [height, width, 3] RGB of SIZE_PX.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from shot_events import EVENTS, Event

SIZE_PX = (320, 180)
_CANVAS = 4  # the painted world is this many times the picture's size, so that a camera can travel
Picture = NDArray[np.uint8]
Camera = Callable[[float], tuple[float, float, float, float]]  # seconds -> centre x, y in pictures, zoom, angle in degrees
CAMERAS = ("static", "pan", "tilt", "zoom", "shake", "roll", "fast_pan", "whip", "jolt")
HARD_TAKES = (
    *EVENTS, "stop_motion", "telecine", "frozen", "low_rate", "dropped", "grain", "crowd", "whip", "fast_pan", "pan", "jolt", "shake",
    "zoom", "roll",
)  # fmt: skip


def world(chance: np.random.Generator) -> Picture:
    """A large painted picture: fractal noise between a few colours, and shapes such as walls, balls, stripes; one in eight is drawn in flat
    colours, as cartoons are, and one in ten a page of writing."""
    width, height = SIZE_PX[0] * _CANVAS, SIZE_PX[1] * _CANVAS
    style = chance.random()
    if style < 0.22:
        return _page(chance, width, height) if style < 0.1 else _flat(chance, width, height)
    noise = np.zeros((height, width), np.float32)
    roughness = chance.uniform(0.35, 0.85)
    for octave in range(1, 8):
        size = (max(2, width >> (8 - octave)), max(2, height >> (8 - octave)))
        layer = chance.standard_normal((size[1], size[0])).astype(np.float32)
        noise += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) * roughness**octave
    noise = (noise - noise.min()) / max(1e-6, float(noise.max() - noise.min()))
    palette = _palette(chance)
    picture = np.stack([np.interp(noise, np.linspace(0, 1, len(palette)), palette[:, part]) for part in range(3)], axis=2)
    picture = np.ascontiguousarray(picture.astype(np.uint8))
    if chance.random() < 0.4:  # a horizon
        line = int(height * chance.uniform(0.35, 0.65))
        picture[line:] = (picture[line:] * 0.6 + chance.integers(0, 100, 3)).astype(np.uint8)
    for _ in range(int(chance.integers(0, 60))):
        _shape(picture, chance)
    grey = picture.mean(axis=2, keepdims=True)
    colour = chance.uniform(0.15, 1.0)  # most footage is less colourful than paint
    return np.asarray(grey + colour * (picture - grey), np.uint8)


def _page(chance: np.random.Generator, width: int, height: int) -> Picture:
    """Dark lines of writing on light ground or the other way round, and a few windows."""
    ground, ink = (int(level) for level in chance.choice([[245, 40], [25, 210], [225, 20]]))
    picture = np.full((height, width, 3), ground, np.uint8)
    for _ in range(int(chance.integers(2, 7))):
        x, y = int(chance.integers(0, width - 200)), int(chance.integers(0, height - 100))
        colour = tuple(int(part) for part in chance.integers(0, 256, 3))
        cv2.rectangle(picture, (x, y), (x + int(chance.integers(60, 400)), y + int(chance.integers(30, 200))), colour, -1)
    for y in range(12, height, int(chance.integers(10, 18))):
        x = int(chance.integers(0, 80))
        while x < width and chance.random() > 0.04:
            length = int(chance.integers(6, 40))
            cv2.line(picture, (x, y), (x + length, y), (ink, ink, ink), 4)
            x += length + 8
    return picture


def _flat(chance: np.random.Generator, width: int, height: int) -> Picture:
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = chance.integers(60, 256, 3)
    picture[int(height * chance.uniform(0.4, 0.6)) :] = chance.integers(0, 220, 3)
    for _ in range(int(chance.integers(15, 60))):
        _shape(picture, chance)
    return picture


def _palette(chance: np.random.Generator) -> NDArray[np.float64]:
    base, spread = chance.uniform(20, 220, 3), chance.uniform(10, 90)
    if chance.random() < 0.15:
        base[:] = base.mean()  # black and white
        return np.clip(base + np.linspace(-spread, spread, 4)[:, None], 0, 255)
    return np.clip(base + chance.normal(0, spread, (int(chance.integers(3, 6)), 3)), 0, 255)


def _shape(picture: Picture, chance: np.random.Generator) -> None:
    height, width = picture.shape[:2]
    x, y = int(chance.integers(0, width)), int(chance.integers(0, height))
    size = int(chance.uniform(10, 110))
    colour = tuple(int(part) for part in chance.integers(0, 256, 3))
    kind = chance.integers(0, 4)
    if kind == 0:
        cv2.rectangle(picture, (x, y), (x + size, y + int(size * chance.uniform(0.3, 2))), colour, -1)
    elif kind == 1:
        cv2.circle(picture, (x, y), size // 2, colour, -1, cv2.LINE_AA)
    elif kind == 2:
        cv2.line(picture, (x, y), (x + size * 2, y + int(chance.normal(0, size))), colour, int(chance.integers(1, 9)), cv2.LINE_AA)
    else:
        for step in range(0, size, 12):
            cv2.rectangle(picture, (x + step, y), (x + step + 6, y + size), colour, -1)


def camera(kind: str, chance: np.random.Generator) -> Camera:
    """A path over the world. Speeds are in picture widths a second."""
    x0, y0 = chance.uniform(1.2, 2.8, 2)
    zoom0, sign = chance.uniform(0.8, 1.4), chance.choice([-1, 1])
    phases = chance.uniform(0, 6.28, 6)
    speed = {"pan": chance.uniform(0.05, 0.4), "fast_pan": chance.uniform(0.5, 1.5), "tilt": chance.uniform(0.05, 0.3)}.get(
        kind, 0.0
    ) * sign
    rate = chance.uniform(0.1, 0.6) * sign if kind == "zoom" else 0.0
    begin, whip_s, way = chance.uniform(0.6, 1.6), chance.uniform(0.15, 0.5), chance.uniform(0.5, 1.6) * sign
    tremble = {"shake": chance.uniform(0.01, 0.04), "jolt": 0.004}.get(kind, chance.choice([0.0, 0.002]))

    def path(t_s: float) -> tuple[float, float, float, float]:
        x, y = x0 + (0 if kind == "tilt" else speed * t_s), y0 + (speed * t_s if kind == "tilt" else 0)
        x += tremble * (np.sin(17 * t_s + phases[0]) + np.sin(31 * t_s + phases[1]))
        y += tremble * (np.sin(19 * t_s + phases[2]) + np.sin(37 * t_s + phases[3]))
        if kind == "whip":
            part = float(np.clip((t_s - begin) / whip_s, 0, 1))
            x += way * (3 * part**2 - 2 * part**3)
        if kind == "jolt" and begin < t_s < begin + 0.4:
            x, y = x + 0.15 * np.sin(40 * t_s), y + 0.2 * np.sin(53 * t_s)
        angle = 8 * np.sin(0.9 * t_s + phases[4]) if kind == "roll" else 0.0
        return x, y, zoom0 * float(np.exp(rate * t_s)), angle

    return path


def take(seed: int, num_frames: int, fps: float, kind: str = "any") -> Iterator[Picture]:
    """One unbroken shot. kind: one of CAMERAS or HARD_TAKES; `any`: a camera by chance, things that move before it, sometimes grain."""
    chance = np.random.default_rng([seed, 7])
    ground, way = world(chance), camera(_camera_of(kind, chance), chance)
    things = _things(chance, {"crowd": 14, "any": int(chance.integers(0, 4))}.get(kind, 1))
    grain = {"grain": 14.0, "any": float(chance.choice([0, 0, 0, 3, 8]))}.get(kind, 0.0)
    event = Event(kind, chance, num_frames, fps)
    for number in range(num_frames):
        t_s = event.moment(number) / fps
        picture = _view(ground, way(t_s))
        for thing in things:
            thing(picture, t_s)
        picture = event.apply(picture, number)
        if grain:
            picture = np.clip(picture + chance.normal(0, grain, picture.shape), 0, 255).astype(np.uint8)
        yield picture


def _camera_of(kind: str, chance: np.random.Generator) -> str:
    if kind in CAMERAS:
        return kind
    if kind == "any":
        return str(chance.choice(["static", "pan", "tilt", "zoom", "shake", "roll", "fast_pan"], p=[0.25, 0.2, 0.1, 0.15, 0.15, 0.1, 0.05]))
    return str(chance.choice(["static", "pan", "shake"]))


def _view(ground: Picture, where: tuple[float, float, float, float]) -> Picture:
    x, y, zoom, angle = where
    width, height = SIZE_PX
    turn = cv2.getRotationMatrix2D((x * width, y * height), angle, zoom)
    turn[:, 2] += (width / 2 - x * width, height / 2 - y * height)
    flags = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(ground, turn, SIZE_PX, flags=flags, borderMode=cv2.BORDER_REFLECT_101), dtype=np.uint8)


def _things(chance: np.random.Generator, count: int) -> list[Callable[[Picture, float], None]]:
    """Discs and boxes that cross the picture back and forth."""

    def one() -> Callable[[Picture, float], None]:
        x, y, vx, vy = (float(part) for part in chance.uniform(0, 1, 4))
        size, colour, box = int(chance.uniform(8, 60)), tuple(int(part) for part in chance.integers(0, 256, 3)), chance.random() < 0.5

        def draw(picture: Picture, t_s: float) -> None:
            px, py = (int((x + (vx - 0.5) * t_s) % 1.4 * SIZE_PX[0]) - 60, int((y + (vy - 0.5) * 0.6 * t_s) % 1.2 * SIZE_PX[1]) - 10)
            if box:
                cv2.rectangle(picture, (px, py), (px + size, py + 2 * size), colour, -1)
            else:
                cv2.circle(picture, (px, py), size, colour, -1, cv2.LINE_AA)

        return draw

    return [one() for _ in range(count)]
