from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.errors import DamagedMedia, MediaLimitError, ModelError, StorageError
from internvid_pipeline.models import evenly_spread, read_frames
from internvid_pipeline.models.frames import decode_jpeg
from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage import Root
from tests.models.pictures import jpeg, make_clip, noise, plain


@pytest.mark.parametrize(
    ("length", "count", "chosen"),
    [(8, 4, [1, 3, 5, 7]), (4, 4, [0, 1, 2, 3]), (3, 4, [0, 1, 2]), (9, 1, [4]), (10, 3, [1, 5, 8]), (0, 4, [])],
)
def test_evenly_spread(length: int, count: int, chosen: list[int]):
    assert evenly_spread(range(length), count) == chosen


def test_frames_are_read_from_their_place_in_the_file(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red"), plain("blue", 30, 20), plain("green")])
    images = read_frames(Root(str(tmp_path)), clip, clip.frames[1:])
    assert [image.shape for image in images] == [(20, 30, 3), (48, 64, 3)]
    assert all(image.dtype == np.uint8 for image in images)
    np.testing.assert_allclose(images[0].mean(axis=(0, 1)), (30, 50, 220), atol=4)


def test_grey_jpeg_becomes_rgb():
    import io

    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.full((8, 8), 100, dtype=np.uint8)).save(data, "JPEG")
    assert decode_jpeg(data.getvalue(), "x").shape == (8, 8, 3)


def test_broken_frame_is_named(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [noise(1), noise(2)], broken=1)
    with pytest.raises(DamagedMedia, match=r"frame 75 of clip c is no readable picture \(\d+ bytes\): .*truncated"):
        read_frames(Root(str(tmp_path)), clip, clip.frames)


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(64), jpeg(plain("red"))[:20]])
def test_bytes_that_are_no_jpeg(data: bytes):
    with pytest.raises(DamagedMedia, match="x is no readable picture"):
        decode_jpeg(data, "x")


def test_claimed_size_is_bounded_before_decoding():
    data = bytearray(jpeg(plain("red")))
    place = data.index(b"\xff\xc0") + 5  # height and width in the frame header
    data[place : place + 4] = (8000).to_bytes(2, "big") + (8000).to_bytes(2, "big")
    with pytest.raises(MediaLimitError, match="x claims 8000x8000 pixels; at most 16000000 are decoded"):
        decode_jpeg(bytes(data), "x")


def test_clip_without_frames_and_file_that_is_gone(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red")])
    with pytest.raises(ModelError, match="clip c has no kept frames"):
        read_frames(Root(str(tmp_path)), clip, [])
    gone = replace(clip.frames[0], media=MediaRef(uri="gone.tar", offset_bytes=0, size_bytes=9))
    with pytest.raises(StorageError, match=r"gone\.tar, which holds frame 50 of clip c, is gone from"):
        read_frames(Root(str(tmp_path)), clip, [gone])
