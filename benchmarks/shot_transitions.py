"""Gradual transitions as editors make them: (old picture, new picture, how far, luck) -> picture.

Pictures are uint8 [height, width, 3] of one size; how far and luck go from 0 to 1, luck stays the same throughout a transition.
"""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]
Mix = Callable[[Picture, Picture, float, float], Picture]
Place = tuple[Floats, Floats]  # x and y of each pixel, 0 to 1


def mix(a: Picture, b: Picture, share: Floats | float) -> Picture:
    """share: of b, a number or [height, width, 1]."""
    return np.asarray(a + (b.astype(np.float32) - a) * share, np.uint8)


@lru_cache(maxsize=8)
def _places(shape: tuple[int, ...]) -> Place:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return x / shape[1], y / shape[0]


def _mask(weight: Floats, part: float, soft: float) -> Floats:
    """1 where a moving edge has passed: where weight (0 to 1) lies below `part`."""
    return np.clip((part * (1 + soft) - weight) / max(soft, 1e-3), 0, 1)[..., None]


def _through(colour: int, hold: float = 0.0) -> Mix:
    """hold: for how much of the transition nothing else is seen."""

    def fade(a: Picture, b: Picture, part: float, luck: float) -> Picture:
        plain, side = np.full_like(a, colour), (1 - hold) / 2
        return mix(a, plain, min(1.0, part / side)) if part < 0.5 else mix(plain, b, max(0.0, (part - 1 + side) / side))

    return fade


def _wipe(weight: Callable[[Floats, Floats], Floats]) -> Mix:
    """Half of them have a soft edge."""

    def wipe(a: Picture, b: Picture, part: float, luck: float) -> Picture:
        return mix(a, b, _mask(weight(*_places(a.shape)).astype(np.float32), part, 0.6 * (luck - 0.5) * (luck > 0.5)))

    return wipe


def _push(axis: int, sign: int, way: str = "push") -> Mix:
    """way: both pictures move (push), the new one slides over the old one (cover), or the old one slides off the new one (reveal)."""

    def slide(a: Picture, b: Picture, part: float, luck: float) -> Picture:
        size = a.shape[axis]
        eased = part * part * (3 - 2 * part) if luck > 0.5 else part
        far = round(size * eased)
        joined = np.concatenate([a, b] if sign > 0 else [b, a], axis=axis)
        start = far if sign > 0 else size - far
        moved = np.take(joined, range(start, start + size), axis=axis)
        if way == "push":
            return np.asarray(moved, np.uint8)
        new = np.arange(size) >= size - far if sign > 0 else np.arange(size) < far
        still, moving = (a, new) if way == "cover" else (b, ~new)
        return np.where(moving[:, None, None] if axis == 0 else moving[None, :, None], moved, still)

    return slide


def _tiles(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    order = np.random.default_rng(int(luck * 1e6)).permutation(9 * 16).reshape(9, 16).astype(np.float32) / 144
    return mix(a, b, _mask(cv2.resize(order, a.shape[1::-1], interpolation=cv2.INTER_NEAREST), part, 0.0))


def _scattered(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """Each pixel by itself."""
    return mix(a, b, _mask(np.random.default_rng(int(luck * 1e6)).random(a.shape[:2], np.float32), part, 0.0))


def _bent(a: Picture, b: Picture, part: float, move: Callable[[Floats, Floats, float], Place]) -> Picture:
    """Both pictures bent, most in the middle, while one dissolves into the other."""
    height, width = a.shape[:2]
    x, y = move(*_places(a.shape), min(part, 1 - part) * 2)
    maps = ((x * width).astype(np.float32), (y * height).astype(np.float32))
    old, new = (np.asarray(cv2.remap(one, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8) for one in (a, b))
    return mix(old, new, part)


def _swirl(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    def turn(x: Floats, y: Floats, strength: float) -> Place:
        dx, dy = x - 0.5, y - 0.5
        angle = 3 * strength * np.maximum(0, 1 - np.hypot(dx, dy) / 0.7)
        return 0.5 + dx * np.cos(angle) - dy * np.sin(angle), 0.5 + dx * np.sin(angle) + dy * np.cos(angle)

    return _bent(a, b, part, turn)


def _ripple(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    def waves(x: Floats, y: Floats, strength: float) -> Place:
        far = np.hypot(x - 0.5, y - 0.5) + 1e-3
        push = 0.05 * strength * np.sin(60 * far - 30 * part) / far
        return x + (x - 0.5) * push, y + (y - 0.5) * push

    return _bent(a, b, part, waves)


def _spin(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """A quarter turn, fastest at the change from one to the other."""
    one, angle = (a, 180 * part * part) if part < 0.5 else (b, -180 * (1 - part) ** 2)
    centre = (a.shape[1] / 2, a.shape[0] / 2)
    turned = cv2.warpAffine(one, cv2.getRotationMatrix2D(centre, angle, 1.1), a.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return np.asarray(cv2.GaussianBlur(turned, (0, 0), 0.5 + 4 * min(part, 1 - part)), np.uint8)


def _whip(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """A push so fast that it smears."""
    length = 3 + int(a.shape[1] / 4 * min(part, 1 - part))
    moved = _push(1, 1 if luck > 0.5 else -1)(a, b, part * part * (3 - 2 * part), 0.0)
    return np.asarray(cv2.blur(moved, (length, 1)), np.uint8)


def _grown(picture: Picture, factor: float) -> Picture:
    centre = (picture.shape[1] / 2, picture.shape[0] / 2)
    return np.asarray(cv2.warpAffine(picture, cv2.getRotationMatrix2D(centre, 0, factor), picture.shape[1::-1]), np.uint8)


def _zoom(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    return mix(_grown(a, 1 + 3 * part), b, max(0.0, 2 * part - 1))


def _swap(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """The old picture shrinks away over black, the new one grows out of it."""
    return _grown(a, max(0.02, 1 - 2 * part)) if part < 0.5 else _grown(b, max(0.02, 2 * part - 1))


def _blurred(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    spread = 0.3 + a.shape[0] / 8 * min(part, 1 - part)
    return np.asarray(cv2.GaussianBlur(mix(a, b, part), (0, 0), spread), np.uint8)


def _coarse(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """Pixels as large as a sixth of the picture, and back."""
    height, width = a.shape[:2]
    size = max(1, int(height / 3 * min(part, 1 - part)))
    few = cv2.resize(a if part < 0.5 else b, (max(2, width // size), max(2, height // size)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _squeeze(axis: int) -> Mix:
    """The old picture is pressed together in the middle, the new one lies behind it."""

    def squeeze(a: Picture, b: Picture, part: float, luck: float) -> Picture:
        size = a.shape[axis]
        left = max(1, round(size * (1 - part)))
        thin = cv2.resize(a, (left, a.shape[0]) if axis == 1 else (a.shape[1], left), interpolation=cv2.INTER_AREA)
        out, start = b.copy(), (size - left) // 2
        out[(slice(None), slice(start, start + left)) if axis == 1 else slice(start, start + left)] = thin
        return out

    return squeeze


def _cube(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """Both pictures side by side, each narrowed as on the faces of a box that turns."""
    width = a.shape[1]
    edge = round(width * (1 - part))
    old = cv2.resize(a, (edge, a.shape[0]), interpolation=cv2.INTER_AREA) if edge else a[:, :0]
    new = cv2.resize(b, (width - edge, a.shape[0]), interpolation=cv2.INTER_AREA) if edge < width else b[:, :0]
    return np.concatenate([np.asarray(old * (1 - 0.5 * part), np.uint8), np.asarray(new * (0.5 + 0.5 * part), np.uint8)], axis=1)


def _grey(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    colour = abs(2 * part - 1)
    mixed = mix(a, b, part)
    return mix(np.repeat(mixed.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8), mixed, colour)


def _burn(a: Picture, b: Picture, part: float, luck: float) -> Picture:
    """A dissolve through glare."""
    return np.clip(mix(a, b, part).astype(np.float32) + 500 * min(part, 1 - part), 0, 255).astype(np.uint8)


def _far(x: Floats, y: Floats) -> Floats:
    return np.asarray(np.hypot(x - 0.5, y - 0.5) / 0.71, np.float32)


GRADUAL: dict[str, Mix] = {
    "dissolve": lambda a, b, part, luck: mix(a, b, part),
    "eased dissolve": lambda a, b, part, luck: mix(a, b, part * part * (3 - 2 * part)),
    "fade black": _through(0),
    "fade black held": _through(0, 0.4),
    "fade white": _through(255),
    "wipe left": _wipe(lambda x, y: 1 - x),
    "wipe right": _wipe(lambda x, y: x),
    "wipe up": _wipe(lambda x, y: 1 - y),
    "wipe down": _wipe(lambda x, y: y),
    "wipe corner": _wipe(lambda x, y: (x + y) / 2),
    "barn door": _wipe(lambda x, y: 2 * np.abs(x - 0.5)),
    "circle": _wipe(_far),
    "circle closes": _wipe(lambda x, y: 1 - _far(x, y)),
    "clock": _wipe(lambda x, y: np.arctan2(y - 0.5, x - 0.5) / (2 * np.pi) + 0.5),
    "blinds": _wipe(lambda x, y: (x * 8) % 1),
    "slices": _wipe(lambda x, y: 0.5 * y + 0.5 * ((np.floor(y * 12) * 0.37) % 1)),
    "push left": _push(1, 1),
    "push right": _push(1, -1),
    "push up": _push(0, 1),
    "cover": _push(1, 1, "cover"),
    "reveal": _push(0, -1, "reveal"),
    "tiles": _tiles,
    "scattered": _scattered,
    "swirl": _swirl,
    "ripple": _ripple,
    "spin": _spin,
    "whip": _whip,
    "zoom": _zoom,
    "swap": _swap,
    "blurred": _blurred,
    "coarse": _coarse,
    "squeeze across": _squeeze(1),
    "squeeze down": _squeeze(0),
    "cube": _cube,
    "grey": _grey,
    "burn": _burn,
}
COMMON = ("dissolve", "eased dissolve", "fade black", "fade black held", "fade white", "wipe left", "wipe right", "push left")
