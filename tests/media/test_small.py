"""Small pictures: the same of every pixel format, and of a video that changes its size."""

import av
import numpy as np
import pytest

from internvid_pipeline.media.small import LumaMeter, SmallPictures

FORMATS = ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "nv12", "rgb24", "gbrp", "gray", "yuyv422", "p010le"]


def picture(width: int = 640, height: int = 360) -> np.ndarray:
    """A slope from dark to light with a red half."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:] = np.linspace(40, 200, width).astype(np.uint8)[None, :, None]
    rgb[height // 2 :, :, 1:] //= 2
    return rgb


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (120, 90), (218, 394), (33, 17)])
def test_every_format_gives_the_same(pixel_format: str, size: tuple[int, int]):
    source = av.VideoFrame.from_ndarray(picture(*size), format="rgb24")
    reference = SmallPictures().make(source.reformat(format="yuv444p"))
    frame = source.reformat(format=pixel_format)
    if pixel_format == "gray":
        frame.color_range = 2  # libswscale makes grey of full range, and does not say so
    made = SmallPictures(needs_bgr=True).make(frame)
    assert made.luma.shape == reference.luma.shape and max(made.luma.shape) <= 160 and made.luma.dtype == np.uint8
    assert abs(made.luma.mean() - reference.luma.mean()) < 2 and np.abs(made.luma.astype(int) - reference.luma).mean() < 4
    if pixel_format == "gray":
        assert (made.chroma == 128).all()
    else:
        assert abs(made.chroma[1].mean() - reference.chroma[1].mean()) < 4
    assert made.bgr is not None and made.bgr.shape[2] == 3


def test_black_is_0_and_white_255_in_either_range():
    for level in (0, 255):
        source = av.VideoFrame.from_ndarray(np.full((180, 320, 3), level, np.uint8), format="rgb24")
        for pixel_format in ("yuv420p", "yuvj420p", "yuv420p10le", "gbrp"):
            assert abs(SmallPictures().make(source.reformat(format=pixel_format)).luma.mean() - level) <= 1


def test_size_of_the_first_frame_is_kept():
    maker = SmallPictures()
    shapes = {
        maker.make(av.VideoFrame.from_ndarray(picture(*size), format="rgb24").reformat(format="yuv420p")).luma.shape
        for size in [(640, 360), (160, 120), (1920, 1080), (90, 160)]
    }
    assert shapes == {(90, 160)}


def test_meter():
    maker, meter = SmallPictures(), LumaMeter()
    frames = [av.VideoFrame.from_ndarray(np.full((90, 160, 3), level, np.uint8), format="rgb24") for level in (100, 100, 140)]
    changes = [meter.add(maker.make(frame)) for frame in frames]
    meter.repeat()
    values = meter.arrays()
    assert changes[:2] == [0, 0] and changes[2] == pytest.approx(40, abs=2)
    assert values["luma_mean"] == pytest.approx([100, 100, 140, 140], abs=2) and values["luma_change"][3] == 0
