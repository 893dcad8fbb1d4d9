"""Cuts that the fast pass saw between two decoded frames, brought to the exact frame by decoding just there."""

from bisect import bisect_left
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.media.frame_seek import frames_at
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.small import LUMA_MEAN, LumaMeter, SmallPictures
from internvid_pipeline.media.times import FrameTimes


def refine(
    path: Path,
    times: FrameTimes,
    cuts: Sequence[int],
    decoded: Sequence[int],
    values: MutableMapping[str, NDArray[np.float32]],
    limits: MediaLimits,
) -> None:
    """Moves the scores of each cut to the frame where the picture changes most, in place.

    cuts: first frames of new shots as found. decoded: numbers of the frames that were, ascending. values: float32 [num_frames] by column,
    brightness among them. Where the frames between cannot be had, the cut stays where it is."""
    spans = [(decoded[at - 1], cut) for cut in cuts if (at := bisect_left(decoded, cut)) and decoded[at - 1] < cut - 1]
    wanted = sorted({number for before, cut in spans for number in range(before, cut + 1)})
    small = SmallPictures()
    meter = LumaMeter()
    changes: dict[int, float] = {}
    last = -2
    for number, frame in frames_at(path, times, wanted, limits):
        change = meter.add(small.make(frame))
        if number == last + 1:
            changes[number] = change
        last = number
    for before, cut in spans:
        inside = [number for number in range(before + 1, cut + 1) if number in changes]
        if len(inside) == cut - before:
            _move(values, cut, max(inside, key=lambda number: (changes[number], number)))


def _move(values: MutableMapping[str, NDArray[np.float32]], cut: int, exact: int) -> None:
    for name, column in values.items():
        if not column.flags.writeable:
            values[name] = column = column.copy()
        if name == LUMA_MEAN:
            column[exact:cut] = column[cut]
        else:
            column[[exact, cut]] = column[[cut, exact]]
