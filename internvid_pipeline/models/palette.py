"""What a picture looks like in plain words: shares of colours, brightness, detail, layout. The eyes of the stand-ins."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from internvid_pipeline.models.base import RgbImage

# Hues in degrees: a colour's name ends where the next begins; red lies on both sides of 0.
_HUE_ENDS = (20, 45, 70, 165, 195, 260, 300, 340, 361)
_HUE_NAMES = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "red")
COLOURS = ("red", "orange", "brown", "yellow", "green", "turquoise", "blue", "purple", "pink", "white", "grey", "black")
BRIGHTNESS = ("dark", "dim", "bright")
DETAIL = ("smooth", "soft", "detailed")
HALVES = ("lower", "upper", "left", "right")

_MAX_SIDE_PX = 96  # colours and brightness survive shrinking, and a stand-in must cost nothing beside decoding
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


@dataclass(frozen=True, slots=True)
class Look:
    """colours: share of each of COLOURS, summing to 1. luma: mean brightness, 0 to 255. detail: mean absolute luma difference of
    neighbouring pixels. halves: mean luma of each of HALVES minus that of the half across."""

    colours: dict[str, float]
    luma: float
    detail: float
    halves: dict[str, float]

    @property
    def brightness(self) -> str:
        """One of BRIGHTNESS."""
        return BRIGHTNESS[int(self.luma >= 60) + int(self.luma >= 150)]

    @property
    def detail_word(self) -> str:
        """One of DETAIL."""
        return DETAIL[int(self.detail >= 1.5) + int(self.detail >= 8)]

    @property
    def half(self) -> tuple[str, str] | None:
        """(`dark` or `bright`, half) of the half that differs most from the one across; None where none differs much."""
        name = max(HALVES, key=lambda half: abs(self.halves[half]))
        difference = self.halves[name]
        return None if abs(difference) < 30 else ("bright" if difference > 0 else "dark", name)


def look_at(image: RgbImage) -> Look:
    """The look of one picture, (height, width, 3) uint8."""
    step = max(1, -(-max(image.shape[:2]) // _MAX_SIDE_PX))
    pixels = _shrunk(image, step)
    luma = pixels @ _LUMA
    across = np.abs(np.diff(luma, axis=1)).mean() if luma.shape[1] > 1 else 0.0
    down = np.abs(np.diff(luma, axis=0)).mean() if luma.shape[0] > 1 else 0.0
    height, width = luma.shape
    lower_minus_upper = float(luma[height // 2 :].mean() - luma[: max(1, height // 2)].mean())
    right_minus_left = float(luma[:, width // 2 :].mean() - luma[:, : max(1, width // 2)].mean())
    halves = {"lower": lower_minus_upper, "upper": -lower_minus_upper, "left": -right_minus_left, "right": right_minus_left}
    return Look(_colour_shares(pixels), float(luma.mean()), float(across + down) / 2, halves)


def _shrunk(image: RgbImage, step: int) -> npt.NDArray[np.float32]:
    """Means of blocks of step x step pixels; the rest at the right and bottom edge is left out."""
    height, width = (max(1, side // step) for side in image.shape[:2])
    rows, columns = min(step, image.shape[0]), min(step, image.shape[1])
    cut = image[: height * rows, : width * columns].astype(np.float32)
    return np.asarray(cut.reshape(height, rows, width, columns, 3).mean(axis=(1, 3)), dtype=np.float32)


def _colour_shares(pixels: npt.NDArray[np.float32]) -> dict[str, float]:
    """Share of the pixels that each name covers, by hue, saturation and value."""
    flat = pixels.reshape(-1, 3) / 255.0
    value = flat.max(axis=1)
    chroma = value - flat.min(axis=1)
    hue = _hue_degrees(flat, value, chroma)
    names = np.full(len(flat), "", dtype="<U9")
    lower = 0.0
    for upper, name in zip(_HUE_ENDS, _HUE_NAMES, strict=True):
        names[(hue >= lower) & (hue < upper)] = name
        lower = upper
    names[(names == "orange") & (value < 0.6)] = "brown"  # brown is dark orange
    grey = chroma < 0.12 + 0.08 * value
    names[grey] = "grey"
    names[grey & (value > 0.85)] = "white"
    names[value < 0.15] = "black"
    return {name: float((names == name).mean()) for name in COLOURS}


def _hue_degrees(flat: npt.NDArray[np.float32], value: npt.NDArray[np.float32], chroma: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    red, green, blue = flat[:, 0], flat[:, 1], flat[:, 2]
    safe = np.where(chroma == 0, 1, chroma)
    sector = np.where(value == red, (green - blue) / safe % 6, np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4))
    return np.asarray(sector * 60 % 360, dtype=np.float32)
