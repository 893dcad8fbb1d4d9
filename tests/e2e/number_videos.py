"""Videos whose every frame says which clip it belongs to, and models that read it off the pixels: whatever is paired wrongly shows.

A frame is a grid of 4 x 4 blocks, black or white: ten bits of the number in Gray's code, most significant first, five of a checksum, one
that tells whether all others are inverted. Every second clip is inverted, so that a detector sees a cut between any two.
"""

import os
import random
import signal
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models import Answer, RgbImage, VideoFrames
from internvid_pipeline.models.frames import decode_jpeg
from internvid_pipeline.stage import WorkerContext
from stages.caption_clips import CaptionClips
from stages.embed_frames import EmbedFrames
from stages.score_alignment import ScoreAlignment

WIDTH, HEIGHT, FPS, FRAMES = 160, 96, 16, 18
_BITS, _CHECK_BITS = 10, 5
_ONE_CLIP = 8  # most pictures of one
KILLS_VARIABLE = "NUMBER_TEST_KILLS"  # a folder with one file for each kill that may still happen


def _bits(number: int) -> list[int]:
    code = number ^ number >> 1  # Gray's: the next number's differs in one bit, so that inverted it differs in nearly all
    check = code % ((1 << _CHECK_BITS) - 1)
    bits = [code >> i & 1 for i in reversed(range(_BITS))] + [check >> i & 1 for i in reversed(range(_CHECK_BITS))]
    return [bit ^ (number & 1) for bit in bits] + [number & 1]


def picture_of(number: int) -> npt.NDArray[np.uint8]:
    """The frame of a clip."""
    blocks = np.array(_bits(number), dtype=np.uint8).reshape(4, 4) * 200 + 28
    grey = np.kron(blocks, np.ones((HEIGHT // 4, WIDTH // 4), dtype=np.uint8))
    return np.repeat(grey[:, :, None], 3, axis=2)


def number_in(image: npt.NDArray[np.uint8]) -> int:
    """The number that a picture of any size shows; -1 where the checksum is wrong."""
    height, width = image.shape[:2]
    bits = [
        int(image[height * (2 * row + 1) // 8 - 2 : height * (2 * row + 1) // 8 + 2, width * (2 * col + 1) // 8, :].mean() > 128)
        for row in range(4)
        for col in range(4)
    ]
    plain = [bit ^ bits[-1] for bit in bits[:-1]]
    number = 0
    for bit in plain[:_BITS]:
        number = number << 1 | bit ^ (number & 1)
    return number if _bits(number) == bits else -1


def write_video(path: Path, numbers: Sequence[int]) -> None:
    """One shot per number, FRAMES frames each."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "20", "g": "48", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = WIDTH, HEIGHT, "yuv420p", Fraction(1, FPS)
        pts = 0
        for number in numbers:
            for _ in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(picture_of(number), format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, FPS)
                pts += 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def middle_number(mp4: Path) -> int:
    """What the middle frame of a clip's file shows."""
    with av.open(str(mp4)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return number_in(frames[len(frames) // 2])


def _maybe_die(chance: random.Random) -> None:
    """Ends this process now and then, as long as there are kills left."""
    folder = Path(os.environ.get(KILLS_VARIABLE, "/nonexistent"))
    if folder.is_dir() and chance.random() < 0.15:
        for file in sorted(folder.iterdir()):
            try:
                file.unlink()
            except FileNotFoundError:  # another worker took it
                continue
            os.kill(os.getpid(), signal.SIGKILL)


class NumberReader:
    """A Captioner, a VideoCaptioner and an AlignmentScorer that read numbers. They work in batches of changing sizes and in changing order,
    take their time, and some of their workers die."""

    name, commit, is_stand_in = "number-reader", "v1", False

    def __init__(self, preset: ModelPreset) -> None:
        del preset
        self._chance = random.Random(os.getpid())

    def prepared(self, image: Any, prompt: str = "") -> Any:
        if not isinstance(image, VideoFrames):
            return image
        time.sleep(self._chance.uniform(0, 0.004))
        return [decode_jpeg(data, image.what) for data in image.jpegs]

    def _read(self, images: Sequence[RgbImage]) -> list[int]:
        order = list(range(len(images)))
        self._chance.shuffle(order)
        found: dict[int, int] = {}
        while order:
            if len(images) > _ONE_CLIP:  # a clip that is tried alone again, and dies again, would be taken for the guilty one
                _maybe_die(self._chance)
            batch = [order.pop() for _ in range(min(len(order), self._chance.randint(1, 9)))]
            found.update({i: number_in(images[i]) for i in batch})
        return [found[i] for i in range(len(images))]

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[Answer]:
        return [Answer(f"number {number}") for number in self._read(images)]

    def answers(self, prepared: Sequence[list[RgbImage]]) -> list[Answer]:
        return [Answer("number " + " ".join(map(str, sorted(set(self._read(video)))))) for video in prepared]

    def close(self) -> None: ...

    def embed_images(self, images: Sequence[RgbImage]) -> npt.NDArray[np.float32]:
        return _axes(self._read(images))

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return _axes([int(text.split()[1]) for text in texts])


def _axes(numbers: Sequence[int]) -> npt.NDArray[np.float32]:
    """One axis per number: a cosine of 1 where two are equal, else 0."""
    rows = np.zeros((len(numbers), 1 << _BITS), dtype=np.float32)
    rows[range(len(numbers)), numbers] = 1
    return rows


class NumberCaptions(CaptionClips):
    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        reader: Any = NumberReader(next(iter(self._captioners)))
        self._captioners = dict.fromkeys(self._captioners, reader)
        self._video_captioner = reader


class NumberEmbeddings(EmbedFrames):
    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        self._scorer = NumberReader(self.config.model)


class NumberScores(ScoreAlignment):
    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        self._scorer = NumberReader(self.config.model)
