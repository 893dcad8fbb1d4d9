"""Footage whose cuts are known: textured shots under a moving camera, with things that move and grain; 854x480, 30 frames a second,
with sound."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, FPS, SHOT_FRAMES, RATE_HZ = 854, 480, 30, 150, 44100
# x264's defaults put a key frame at each cut (a); a fixed length of groups of pictures puts none there (b).
VARIANTS = {"a": {}, "b": {"sc_threshold": "0"}}
_SIDE, _THING = 1400, 220
Picture = NDArray[np.uint8]


def make(folder: Path, num_shots: int = 48) -> dict[str, Path]:
    """`a.mp4` and `b.mp4` with the same pictures, made once: minutes."""
    paths = {name: folder / f"{name}.mp4" for name in VARIANTS}
    if all(path.is_file() for path in paths.values()):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = {name: path.with_suffix(".part.mp4") for name, path in paths.items()}
    files = [_Writer(unfinished[name], options) for name, options in VARIANTS.items()]
    for shot in range(num_shots):
        for picture in _shot(shot):
            for file in files:
                file.add(picture, shot)
    for file in files:
        file.close()
    for name, path in paths.items():
        unfinished[name].rename(path)
    return paths


class _Writer:
    """One file."""

    def __init__(self, path: Path, options: dict[str, str]) -> None:
        self._container = av.open(str(path), "w")
        self._video = self._container.add_stream("libx264", rate=FPS, options=options)
        self._video.width, self._video.height, self._video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._video.codec_context.gop_size = 250
        self._audio = self._container.add_stream("aac", rate=RATE_HZ, layout="stereo")
        self._audio.bit_rate = 128_000
        self._num_frames = self._num_samples = 0
        self._noise = np.random.default_rng(5)

    def add(self, picture: Picture, shot: int) -> None:
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = self._num_frames, Fraction(1, FPS)
        self._num_frames += 1
        self._container.mux(self._video.encode(frame))
        while self._num_samples < self._num_frames * RATE_HZ // FPS:
            times = (np.arange(1024) + self._num_samples) / RATE_HZ
            tone = (0.2 * np.sin(2 * np.pi * (220 + 40 * shot) * times) + self._noise.normal(0, 0.03, 1024)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(np.stack([tone, tone * np.float32(0.7)]), format="fltp", layout="stereo")
            sound.sample_rate, sound.pts = RATE_HZ, self._num_samples
            self._container.mux(self._audio.encode(sound))
            self._num_samples += 1024

    def close(self) -> None:
        self._container.mux(self._video.encode(None))
        self._container.mux(self._audio.encode(None))
        self._container.close()


def _shot(seed: int) -> Iterator[Picture]:
    chance = np.random.default_rng(seed)
    world = _texture(chance, _SIDE)
    things = [
        (_texture(chance, _THING), chance.uniform(0, [WIDTH, HEIGHT]), chance.uniform(-3, 3, 2), chance.uniform(0, 6.28)) for _ in range(3)
    ]
    disc = np.zeros((_THING, _THING, 1), np.uint8)
    cv2.circle(disc, (_THING // 2, _THING // 2), 90, 1, -1)
    pan, zoom, turn = chance.uniform(-1.6, 1.6, 2), chance.uniform(-0.0008, 0.0008), chance.uniform(-0.04, 0.04)
    grain = chance.normal(0, 2.2, (8, HEIGHT, WIDTH, 1)).astype(np.int16)
    for number in range(SHOT_FRAMES):
        matrix = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), turn * number, 1.0 + zoom * number)
        matrix[:, 2] += [(WIDTH - _SIDE) / 2 + pan[0] * number, (HEIGHT - _SIDE) / 2 + pan[1] * number]
        picture = cv2.warpAffine(world, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        for thing, start, speed, phase in things:
            sway = 12 * np.array([np.sin(number / 9 + phase), np.cos(number / 11 + phase)])
            left, top = ((start + speed * number + sway) % [WIDTH - _THING, HEIGHT - _THING]).astype(int)
            np.copyto(picture[top : top + _THING, left : left + _THING], thing, where=disc.astype(bool))
        yield np.clip(picture.astype(np.int16) + grain[int(chance.integers(8))], 0, 255).astype(np.uint8)


def _texture(chance: np.random.Generator, side: int) -> Picture:
    """Noise of many sizes, and contours: sharp lines, as things have."""
    noise = np.zeros((side, side), np.float32)
    for octave in range(1, 9):
        layer = chance.standard_normal((2**octave + 2,) * 2).astype(np.float32)
        noise += cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC) * 0.62**octave
    contours = np.sin(noise * 9)
    dark, light = chance.integers(10, 110, 3), chance.integers(120, 250, 3)
    level = ((noise - noise.min()) / np.ptp(noise))[..., None]
    picture = dark + (light - dark) * level + 14 * np.sign(contours)[..., None] * np.abs(contours[..., None]) ** 0.3
    return np.clip(picture, 0, 255).astype(np.uint8)


def spans(num_frames: int) -> Sequence[tuple[int, int]]:
    """The shots."""
    return [(start, min(start + SHOT_FRAMES, num_frames)) for start in range(0, num_frames, SHOT_FRAMES)]
