"""The curves of a simulation as a PNG: partitions done and waiting, by stage, over time. Drawn with Pillow, which is here anyway."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from internvid_pipeline.cluster.simulate import Simulation
from internvid_pipeline.errors import UsageError

_WIDTH, _PANEL, _LEFT, _TOP, _RIGHT, _GAP = 1100, 300, 90, 40, 240, 60
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#999999", "#882255", "#117733")


def save_plot(found: Simulation, path: str) -> None:
    """Writes the picture. Raises UsageError where that is impossible."""
    image = draw_plot(found)
    try:
        image.save(Path(path), format="PNG")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def draw_plot(found: Simulation) -> Image.Image:
    """Two panels, one above the other: partitions done and partitions waiting for a worker."""
    image = Image.new("RGB", (_WIDTH, 2 * _PANEL + 2 * _TOP + 2 * _GAP), "white")
    draw = ImageDraw.Draw(image)
    hours = found.curves["hours"][0]
    stages = [name for name in found.curves if name != "hours"]
    title = f"{found.videos:,} videos, {found.partitions:,} partitions, {len(stages)} stages: {found.wall_h:,.1f} h"
    draw.text((_LEFT, 8), title, "black", _font(18))
    for panel, (which, words) in enumerate(((1, "partitions done"), (0, "partitions waiting for a worker"))):
        top = _TOP + panel * (_PANEL + _GAP)
        _panel(draw, top, words, hours, {name: found.curves[name][which] for name in stages})
    for index, name in enumerate(stages):
        y = _TOP + 20 + index * 22
        draw.line((_WIDTH - _RIGHT + 16, y + 8, _WIDTH - _RIGHT + 40, y + 8), _colour(index), 3)
        draw.text((_WIDTH - _RIGHT + 46, y), name, "black", _font(14))
    return image


def _panel(draw: ImageDraw.ImageDraw, top: int, words: str, hours: Sequence[float], curves: dict[str, list[float]]) -> None:
    right, bottom = _WIDTH - _RIGHT, top + _PANEL
    draw.rectangle((_LEFT, top, right, bottom), outline="#888888")
    most_h = hours[-1] or 1.0
    most = max((max(values) for values in curves.values()), default=0) or 1.0
    for part in range(5):
        y, x = bottom - part * _PANEL / 4, _LEFT + part * (right - _LEFT) / 4
        draw.line((_LEFT, y, right, y), "#e5e5e5")
        draw.text((_LEFT - 8, y), f"{most * part / 4:,.0f}", "#444444", _font(13), anchor="rm")
        draw.text((x, bottom + 6), f"{most_h * part / 4:,.1f} h", "#444444", _font(13), anchor="ma")
    draw.text((_LEFT + 8, top + 6), words, "#444444", _font(14))
    for index, values in enumerate(curves.values()):
        points = [
            (_LEFT + hour / most_h * (right - _LEFT), bottom - value / most * _PANEL) for hour, value in zip(hours, values, strict=True)
        ]
        draw.line(points, _colour(index), 2)


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
