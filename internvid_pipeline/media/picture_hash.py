"""Perceptual hashes of pictures: near-equal for one picture encoded, scaled or letter-boxed differently, far apart for different ones.

The signs of low-frequency coefficients of the discrete cosine transform of a 32 x 32 picture (Zauner, *Implementation and benchmarking of
perceptual image hash functions*, 2010, section 3.2), 128 of them where he takes 64: among a million frames, 64 bits of plain scenes
meet by chance. Signs, and not "above the median" as there, because mirroring a picture then flips known bits and nothing else.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

HASH_BITS = 128
_SIDE = 32
_BLACK = 30  # luma of a bar, encoder's noise included; 16 is black in video, and a JPEG adds some
_SMALLEST_INNER = 0.3  # of a side: less is not a letter-box but a dark scene
_FLAT = 3.0  # standard deviation of the small picture's luma: below, signs are noise
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def luma(picture: Picture) -> NDArray[np.float32]:
    """[height, width] of an RGB picture [height, width, 3], 0 to 255."""
    return np.asarray(picture.astype(np.float32) @ _LUMA, np.float32)


def inner_box(lumas: Sequence[NDArray[np.float32]]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of what is not a black bar in all of a clip's frames, which are of one size; the whole picture where there
    are no bars or nearly everything is black. Looked at over all frames, since one dark frame alone says nothing."""
    brightest = np.maximum.reduce(list(lumas))
    height, width = brightest.shape
    rows = np.flatnonzero(np.percentile(brightest, 98, axis=1) > _BLACK)
    columns = np.flatnonzero(np.percentile(brightest, 98, axis=0) > _BLACK)
    if not len(rows) or not len(columns):
        return 0, height, 0, width
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    if bottom - top < _SMALLEST_INNER * height or right - left < _SMALLEST_INNER * width:
        return 0, height, 0, width
    return top, bottom, left, right


def picture_hash(grey: NDArray[np.float32]) -> bytes | None:
    """16 bytes of a luma picture [height, width] of any size and shape; None where it is too flat to be told from others."""
    import cv2

    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    if small.std() < _FLAT:
        return None
    basis = _basis()
    rows, columns = _places()
    coefficients = (basis @ small @ basis.T)[rows, columns]
    return np.packbits(coefficients > 0).tobytes()


def mirrored(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Hashes [n, 16] of the same pictures with left and right exchanged: coefficients of odd horizontal frequency change their sign."""
    _, columns = _places()
    return codes ^ np.packbits(columns % 2 == 1)


@cache
def _basis() -> NDArray[np.float64]:
    """The cosine transform's rows [16, 32], DCT-II."""
    frequency, place = np.arange(_SIDE // 2)[:, None], np.arange(_SIDE)[None, :]
    return np.asarray(np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE)))


@cache
def _places() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the HASH_BITS lowest frequencies, the constant one apart."""
    pairs = sorted(((row, column) for row in range(16) for column in range(16)), key=lambda pair: (sum(pair), pair))[1 : HASH_BITS + 1]
    return np.array([row for row, _ in pairs]), np.array([column for _, column in pairs])
