"""Moving pictures computed on the spot, for videos whose truth is known: what `make_video` strings together.

A scene is a function of (num_frames, width_px, height_px, fps) that yields that many RGB frames, uint8 (height, width, 3).
Pictures change slowly inside a scene and are far apart in hue and brightness between scenes, so that ContentDetector at 27
sees a cut at every change of scene and nowhere else. Nothing is random.
"""

import colorsys
import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Frame: TypeAlias = NDArray[np.uint8]  # (height, width, 3), RGB
Scene: TypeAlias = Callable[[int, int, int, float], Iterator[Frame]]

_FOOTAGE_TIMEOUT_S = 120.0


def _rgb(hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    return np.asarray(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), np.float32) * 255


def _grid(width_px: int, height_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y of every pixel in units of the picture's height, from the top left corner; float32 (height, width)."""
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32) / height_px
    return x, y


def _blend(amount: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32]) -> Frame:
    """Colours between `low` (amount 0) and `high` (amount 1); amount is float32 (height, width)."""
    share = np.clip(amount, 0, 1)[..., None]
    return (low + (high - low) * share).astype(np.uint8)


def plasma(hue: float, value: float = 0.9) -> Scene:
    """Overlapping waves of one hue (0 to 1, red at 0), flowing to the left."""
    low, high = _rgb(hue, 0.95, value * 0.6), _rgb(hue + 0.06, 0.7, value)

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        x, y = _grid(width_px, height_px)
        for index in range(num_frames):
            t_s = index / fps
            waves = np.sin(7 * x + 2.0 * t_s) + np.sin(9 * y - 1.5 * t_s) + np.sin(6 * (x + y) + t_s)
            yield _blend((waves + 3) / 6, low, high)

    return scene


def blobs(hue: float, value: float = 0.35) -> Scene:
    """Five soft bright discs that circle over a dark ground of one hue."""
    ground, disc = _rgb(hue, 0.85, value), _rgb(hue + 0.12, 0.35, 1.0)

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        x, y = _grid(width_px, height_px)
        aspect = width_px / height_px
        for index in range(num_frames):
            t_s = index / fps
            light = np.zeros_like(x)
            for number in range(5):
                center_x = aspect * (0.5 + 0.4 * math.cos(0.8 * t_s + 1.3 * number))
                center_y = 0.5 + 0.4 * math.sin(1.1 * t_s + 2.1 * number)
                light += np.exp(-((x - center_x) ** 2 + (y - center_y) ** 2) / 0.012)
            yield _blend(light, ground, disc)

    return scene


def checkerboard(hue: float, squares: int = 4) -> Scene:
    """A board of `squares` squares to the picture's height, scrolling down to the right by a square in four seconds."""
    dark, bright = _rgb(hue, 0.9, 0.45), _rgb(hue, 0.15, 1.0)

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        x, y = _grid(width_px, height_px)
        for index in range(num_frames):
            shift = 0.25 * index / fps
            # A steep wave in place of a step: the edges stay sharp, yet move by parts of a pixel.
            board = np.sin(np.pi * (squares * x - shift)) * np.sin(np.pi * (squares * y - shift))
            yield _blend(0.5 + 12 * board, dark, bright)

    return scene


def ball(hue: float) -> Scene:
    """A bright ball that bounces over a vertical gradient: its arc takes 1.6 s, its way from side to side 5 s."""
    top, bottom, color = _rgb(hue, 0.5, 0.95), _rgb(hue + 0.1, 0.9, 0.3), _rgb(hue + 0.5, 0.9, 1.0)

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        x, y = _grid(width_px, height_px)
        ground = _blend(y, top, bottom).astype(np.float32)
        aspect, radius = width_px / height_px, 0.12
        for index in range(num_frames):
            t_s = index / fps
            center_x = radius + (aspect - 2 * radius) * (0.5 - 0.5 * math.cos(2 * math.pi * t_s / 5))
            center_y = 1 - radius - 0.65 * abs(math.sin(math.pi * t_s / 1.6))
            distance = np.hypot(x - center_x, y - center_y)
            share = np.clip((radius - distance) * height_px, 0, 1)[..., None]
            yield (ground + (color - ground) * share).astype(np.uint8)

    return scene


def text(lines: str, hue: float, size_ratio: float = 0.2) -> Scene:
    """Letters over a plain ground of one hue, drifting to the right by 5 % of the width a second.

    They are drawn in Pillow's built-in font, `size_ratio` of the picture's height.
    """

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        from PIL import Image, ImageDraw, ImageFont

        font = ImageFont.load_default(size=size_ratio * height_px)
        ground = tuple(int(part) for part in _rgb(hue, 0.8, 0.4))
        for index in range(num_frames):
            picture = Image.new("RGB", (width_px, height_px), ground)
            center = ((0.44 + 0.05 * index / fps) * width_px, height_px / 2)
            ImageDraw.Draw(picture).multiline_text(center, lines, fill="white", font=font, anchor="mm", align="center")
            yield np.asarray(picture)

    return scene


def solid(red: int, green: int, blue: int) -> Scene:
    """One colour all over; parts from 0 to 255."""

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        frame = np.empty((height_px, width_px, 3), np.uint8)
        frame[:] = red, green, blue
        for _ in range(num_frames):
            yield frame

    return scene


def still(moving: Scene) -> Scene:
    """The first frame of another scene, for as long as asked."""

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        frame = next(moving(1, width_px, height_px, fps))
        for _ in range(num_frames):
            yield frame

    return scene


def footage(source: str, **options: str) -> Scene:
    """Frames of one of ffmpeg's own sources, such as `testsrc2` or `mandelbrot` (ffmpeg-filters, "Video Sources").

    options: of the source, by ffmpeg's names. Raises SetupError (no ffmpeg) and FfmpegError (no such source) when frames are asked for.
    """

    def scene(num_frames: int, width_px: int, height_px: int, fps: float) -> Iterator[Frame]:
        import ffmpeg

        from internvid_pipeline.media.ffmpeg import run_ffmpeg

        settings = {"size": f"{width_px}x{height_px}", "rate": f"{fps:.6f}", **options}
        graph = f"{source}=" + ":".join(f"{name}={value}" for name, value in settings.items())
        stream = ffmpeg.input(graph, f="lavfi").output("pipe:", f="rawvideo", pix_fmt="rgb24", vframes=num_frames)
        pixels = run_ffmpeg(stream, _FOOTAGE_TIMEOUT_S)
        yield from np.frombuffer(pixels, np.uint8).reshape(num_frames, height_px, width_px, 3)

    return scene
