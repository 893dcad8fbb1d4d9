"""What stages and models that look at frames have in common: how many clips fill the device, which frames, one number out of many."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import RgbImage
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.models.frames import evenly_spread, read_frames
from internvid_pipeline.records import ClipRecord
from internvid_pipeline.storage import Root

T = TypeVar("T")
# Decoding and scaling a picture takes some milliseconds of one core, a GPU takes thousands of pictures a second.
LOAD_THREADS = 16
_PASSES = 4  # forward passes in one call of `process`: the device goes from one to the next without waiting for us


def clips_at_once(preset: ModelPreset, num_frames: int) -> int:
    """Clips that fill some passes of the model with their frames."""
    return max(1, _PASSES * preset.batch_size // num_frames)


def load_frames(
    root: Root, clip: ClipRecord, num_frames: int, prepared: Callable[[RgbImage], RgbImage] = lambda image: image
) -> list[RgbImage]:
    """The clip's frames to look at, evenly spread over those kept, each as `prepared` gives it. Raises as `read_frames`."""
    return [prepared(image) for image in read_frames(root, clip, evenly_spread(clip.frames, num_frames))]


def frame_numbers(clip: ClipRecord, num_frames: int) -> tuple[int, ...]:
    """Numbers, in the source, of the frames of `load_frames`."""
    return tuple(frame.frame for frame in evenly_spread(clip.frames, num_frames))


def reduced(values: Sequence[float], how: Literal["max", "mean"]) -> float:
    """One number for a clip; values: of its frames, at least one."""
    return max(values) if how == "max" else sum(values) / len(values)


def exactly(frames: Sequence[T], count: int) -> list[T]:
    """`count` frames: evenly spread ones where there are more, the last repeated where there are fewer."""
    shown = evenly_spread(frames, count)
    return shown + shown[-1:] * (count - len(shown))


def pair_scores(
    sizer: BatchSizer,
    videos: Sequence[Sequence[RgbImage]],
    texts: Sequence[str],
    num_frames: int,
    batch: Callable[[list[list[RgbImage]], list[str]], Sequence[float]],
) -> npt.NDArray[np.float32]:
    """(n,) scores of the pairs (video i, text i), each video with exactly `num_frames`. sizer: of pairs."""
    shown = [exactly(video, num_frames) for video in videos]
    found = in_batches(sizer, [1.0] * len(shown), lambda chosen: batch([shown[i] for i in chosen], [texts[i] for i in chosen]))
    return np.array(found, dtype=np.float32)
