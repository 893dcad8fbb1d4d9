"""What happens inside a single take that a shot detector must not take for a cut: light, overlays, things before the lens, timing."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Event:
    """Begins somewhere about the middle of the take and lasts `length` frames. kind: a key of EVENTS, of `moment`, or none of them."""

    def __init__(self, kind: str, chance: np.random.Generator, num_frames: int, fps: float) -> None:
        self.kind = kind
        self.start = int(num_frames * chance.uniform(0.3, 0.5))
        self.length = max(1, int(fps * chance.uniform(0.3, 1.2)))
        self.strength = float(chance.uniform(0.5, 1.0))
        self.step = int(chance.integers(2, 7))
        self.colour = chance.integers(0, 256, 3).astype(np.float32)
        self.letters = "".join(chr(int(code)) for code in chance.integers(65, 91, 14))
        self.chance = np.random.default_rng(int(chance.integers(1 << 31)))

    def moment(self, number: int) -> int:
        """The moment of the scene that frame `number` shows: frames may stand still or be doubled."""
        if self.kind == "stop_motion":
            return number - number % self.step
        if self.kind == "telecine":
            return number - (number % 5 == 4)
        if self.kind == "low_rate":
            return self.step * number
        if self.kind == "dropped" and number >= self.start:
            return number + self.step * 3
        if self.kind == "frozen" and number >= self.start:
            return self.start if number < self.start + self.length else number
        return number

    def apply(self, picture: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
        """The picture with the event in it."""
        change = EVENTS.get(self.kind)
        since = number - self.start
        if change is None:
            return picture
        return np.clip(change(self, picture.astype(np.float32), since), 0, 255).astype(np.uint8)

    def part(self, since: int) -> float:
        """0 before, 1 after, rising between."""
        return float(np.clip(since / self.length, 0, 1))


def _flash(event: Event, picture: Floats, since: int) -> Floats:
    return picture + 255 * event.strength if 0 <= since < event.step else picture


def _strobe(event: Event, picture: Floats, since: int) -> Floats:
    return picture * 0.15 if 0 <= since < 60 and (since // event.step) % 2 else picture


def _exposure(event: Event, picture: Floats, since: int) -> Floats:
    return picture * (1 + 0.9 * event.strength * event.part(since))


def _lamp(event: Event, picture: Floats, since: int) -> Floats:
    return picture if since < 0 else picture * 0.5 + 0.1 * event.colour


def _fade_within(event: Event, picture: Floats, since: int) -> Floats:
    return np.asarray(picture * (1 - 0.8 * np.sin(np.pi * event.part(since))), np.float32)


def _blink_black(event: Event, picture: Floats, since: int) -> Floats:
    return picture * 0 if 0 <= since < event.step else picture


def _written(event: Event, picture: Floats, y: int, weight: float) -> Floats:
    drawn = picture.astype(np.uint8)
    for line, letters in enumerate((event.letters, event.letters[::-1])):
        cv2.putText(drawn, letters, (14, y + 36 * line), cv2.FONT_HERSHEY_DUPLEX, 1.0, (250, 250, 250), 3, cv2.LINE_AA)
    return picture * (1 - weight) + drawn * weight


def _text(event: Event, picture: Floats, since: int) -> Floats:
    return _written(event, picture, 90, event.part(since) * (1 - event.part(since - 2 * event.length)))


def _subtitles(event: Event, picture: Floats, since: int) -> Floats:
    return _written(event, picture, 120, float((since // 20) % 2 and since > 0))


def _rolling_text(event: Event, picture: Floats, since: int) -> Floats:
    return _written(event, picture, 200 - 2 * since, 1.0)


def _lower_third(event: Event, picture: Floats, since: int) -> Floats:
    width = int(picture.shape[1] * 0.8 * event.part(since) * (1 - event.part(since - 2 * event.length)))
    picture[130:165, 10 : 10 + width] = event.colour
    return picture


def _object_fills(event: Event, picture: Floats, since: int) -> Floats:
    """Something comes up to the lens, fills the picture, and leaves by the same way."""
    near = float(np.sin(np.pi * np.clip(since / (2 * event.length), 0, 1)))
    drawn = picture.astype(np.uint8)
    cv2.ellipse(drawn, (160, 200), (int(300 * near), int(290 * near)), 0, 0, 360, event.colour.tolist(), -1, cv2.LINE_AA)
    return drawn.astype(np.float32)


def _passer_by(event: Event, picture: Floats, since: int) -> Floats:
    """A dark figure two thirds as wide as the picture walks through."""
    x = int(-220 + 760 * since / (1.5 * event.length))
    cv2.rectangle(picture, (x, 0), (x + 200, 180), (event.colour * 0.4).tolist(), -1)
    cv2.circle(picture, (x + 100, 60), 60, (event.colour * 0.8).tolist(), -1)
    return picture


def _pumping(event: Event, picture: Floats, since: int) -> Floats:
    """Detail is lost until the next key frame brings it back."""
    blur = cv2.GaussianBlur(picture, (0, 0), 0.5 + 0.08 * (since % 25))
    return np.asarray(blur + (since % 25) * 0.1, np.float32)


def _explosion(event: Event, picture: Floats, since: int) -> Floats:
    if since < 0:
        return picture
    size = int(40 + 160 * event.part(since))
    glow = float(np.exp(-since / event.length))
    fire = picture.copy()
    cv2.circle(fire, (160, 100), size, (255, 190, 60), -1)
    fire = cv2.GaussianBlur(fire, (0, 0), 8)
    return picture * (1 - glow) + fire * glow + 160 * glow**2


def _focus(event: Event, picture: Floats, since: int) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.3 + 9 * event.part(since)), np.float32)


def _water(event: Event, picture: Floats, since: int) -> Floats:
    """The picture as seen in moving water."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    bent_x = x + 5 * np.sin(y / 9 + since * 0.5) + 3 * np.sin(x / 14 - since * 0.37)
    return np.asarray(
        cv2.remap(picture, bent_x, y + 4 * np.sin(x / 11 + since * 0.43), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    )


def _headlights(event: Event, picture: Floats, since: int) -> Floats:
    """A bright blob drives across a darkened picture."""
    x = int(-60 + 440 * since / (1.2 * event.length))
    light = np.zeros(picture.shape[:2], np.float32)
    cv2.circle(light, (x, 110), 70, 1.0, -1)
    return np.asarray(picture * 0.3 + 230 * cv2.GaussianBlur(light, (0, 0), 25)[..., None], np.float32)


def _window(event: Event, picture: Floats, since: int) -> Floats:
    """A box with writing appears at once over two fifths of the picture, and goes again: a menu, a dialog, a caption board."""
    if 0 <= since < 3 * event.length:
        picture[30:140, 60:260] = event.colour
        picture[40:130:12, 70:250] = 255 - event.colour
    return picture


def _inset(event: Event, picture: Floats, since: int) -> Floats:
    """Another view in a corner, which changes twice."""
    view = np.random.default_rng([int(event.colour[0]), int(since >= 0) + int(since >= event.length)]).random((5, 8, 3), np.float32)
    picture[110:170, 210:310] = 255 * cv2.resize(view, (100, 60), interpolation=cv2.INTER_CUBIC)
    return picture


def _banner(event: Event, picture: Floats, since: int) -> Floats:
    """Half of the picture is covered by a board that slides in from below and out again."""
    shown = int(90 * event.part(since) * (1 - event.part(since - 3 * event.length)))
    picture[180 - shown :] = event.colour
    return picture


def _lightning(event: Event, picture: Floats, since: int) -> Floats:
    dark = picture * 0.3
    return dark + 200 * event.strength if 0 <= since < 40 and since % 11 in (0, 1, 4) else dark


def _snow(event: Event, picture: Floats, since: int) -> Floats:
    """Large flakes or confetti before the lens."""
    drawn = np.ascontiguousarray(picture)
    for x, y, size in event.chance.random((40, 3)):
        cv2.circle(drawn, (int(320 * x), int(180 * y)), int(2 + 12 * size), (240, 240, 240), -1)
    return drawn


def _crash_zoom(event: Event, picture: Floats, since: int) -> Floats:
    """In to three times the size within a few frames."""
    factor = 1 + 2 * float(np.clip(since / max(6, event.length // 2), 0, 1))
    return np.asarray(cv2.warpAffine(picture, cv2.getRotationMatrix2D((160, 90), 0, factor), (320, 180)), np.float32)


def _spotlights(event: Event, picture: Floats, since: int) -> Floats:
    """Coloured light that changes with the beat of music."""
    colour = np.random.default_rng([int(event.colour[1]), abs(since // (2 * event.step))]).uniform(0.15, 1.3, 3)
    return np.asarray(picture * colour, np.float32)


def _glitch(event: Event, picture: Floats, since: int) -> Floats:
    """Bands of the picture jump aside for some frames."""
    if 0 <= since < event.step:
        for y in range(0, 180, 20):
            picture[y : y + 20] = np.roll(picture[y : y + 20], int(event.chance.integers(-80, 80)), axis=1)
    return picture


EVENTS: dict[str, Callable[[Event, Floats, int], Floats]] = {
    "flash": _flash,
    "strobe": _strobe,
    "exposure": _exposure,
    "lamp": _lamp,
    "fade_within": _fade_within,
    "blink_black": _blink_black,
    "text": _text,
    "subtitles": _subtitles,
    "rolling_text": _rolling_text,
    "lower_third": _lower_third,
    "object_fills": _object_fills,
    "passer_by": _passer_by,
    "pumping": _pumping,
    "explosion": _explosion,
    "focus": _focus,
    "water": _water,
    "headlights": _headlights,
    "window": _window,
    "inset": _inset,
    "banner": _banner,
    "lightning": _lightning,
    "snow": _snow,
    "crash_zoom": _crash_zoom,
    "spotlights": _spotlights,
    "glitch": _glitch,
}
