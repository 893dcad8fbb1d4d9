"""Painted pictures for tests of hashes."""

import cv2
import numpy as np


def painted(seed: int, size_px: tuple[int, int] = (256, 144)) -> np.ndarray:
    """uint8 [height, width, 3]: soft noise of several sizes and a few shapes; no two seeds are alike."""
    chance = np.random.default_rng(seed)
    width, height = size_px
    noise = np.zeros((height, width), np.float32)
    for octave in range(1, 6):
        layer = chance.standard_normal((2 + height >> (6 - octave), 2 + width >> (6 - octave))).astype(np.float32)
        noise += cv2.resize(layer, size_px, interpolation=cv2.INTER_CUBIC) * 0.6**octave
    noise = 60 + 160 * (noise - noise.min()) / float(noise.max() - noise.min())
    picture = np.repeat(noise[..., None], 3, axis=2).astype(np.uint8)
    for _ in range(6):
        centre = (int(chance.integers(0, width)), int(chance.integers(0, height)))
        cv2.circle(picture, centre, int(chance.integers(8, 40)), tuple(int(part) for part in chance.integers(60, 256, 3)), -1)
    return picture


def bits_apart(one: bytes, other: bytes) -> int:
    """Bits in which two hashes differ."""
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
