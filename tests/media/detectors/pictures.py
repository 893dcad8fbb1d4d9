"""Small pictures of made shots, straight from arrays: no file, no codec."""

from collections.abc import Callable, Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.detectors import FrameScorer
from internvid_pipeline.media.small import SmallPicture

WIDTH, HEIGHT = 160, 90
Picture = NDArray[np.uint8]


def view(seed: int) -> Picture:
    """uint8 [270, 480, 3], RGB: a world of soft patches and boxes three pictures wide and high."""
    chance = np.random.default_rng(seed)
    patches = chance.integers(30, 226, (12, 16, 3)).astype(np.uint8)
    world = cv2.resize(patches, (3 * WIDTH, 3 * HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y, width, height = (int(part) for part in chance.integers(4, 440, 4))
        cv2.rectangle(world, (x, y % 260), (x + width % 60, y % 260 + height % 40), chance.integers(0, 256, 3).tolist(), -1)
    return np.asarray(world, dtype=np.uint8)


def take(seed: int, num_frames: int, speed_px: float = 0.0, shake_px: float = 0.0) -> list[Picture]:
    """One shot: a camera that pans over `view(seed)` by so many pixels a frame (the picture is 160 wide), and trembles."""
    world, pictures = view(seed), []
    for number in range(num_frames):
        x = 100 + speed_px * number + shake_px * np.sin(2.1 * number)
        y = 90 + shake_px * np.cos(1.7 * number)
        move = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
        pictures.append(np.asarray(cv2.warpAffine(world, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), dtype=np.uint8))
    return pictures


def joined(
    first: Sequence[Picture], second: Sequence[Picture], length: int, mix: Callable[[Picture, Picture, float], Picture]
) -> list[Picture]:
    """The end of the one and the beginning of the other mixed over `length` frames."""
    start = len(first) - length
    middle = [mix(first[start + k], second[k], (k + 1) / (length + 1)) for k in range(length)]
    return [*first[:start], *middle, *second[length:]]


def small(picture: Picture) -> SmallPicture:
    """With all three kinds of planes."""
    planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    chroma = cv2.resize(planes[..., 1:], (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    return SmallPicture(
        planes[..., 0].copy(), np.ascontiguousarray(chroma.transpose(2, 0, 1)[::-1]), np.ascontiguousarray(picture[..., ::-1])
    )


def scored(scorer: FrameScorer, pictures: Iterable[Picture]) -> dict[str, NDArray[np.float32]]:
    """The scores of a whole video."""
    for number, picture in enumerate(pictures):
        scorer.process(number, small(picture))
    return dict(scorer.finish())
