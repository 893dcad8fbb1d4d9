"""Hashes of kept frames: alike for one picture however it is stored, unlike for others, none for what cannot be told apart."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from internvid_pipeline.media.picture_hash import inner_box, luma, mirrored, picture_hash
from internvid_pipeline.records import ClipRecord, FrameRef, MediaRef
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Item, WorkerContext
from internvid_pipeline.storage import Root
from tests.made_records import made_clip
from tests.selection.pictures import bits_apart, painted


def codes(picture: np.ndarray) -> tuple[bytes, bytes]:
    grey = luma(picture)
    top, bottom, left, right = inner_box([grey])
    whole, inner = picture_hash(grey), picture_hash(grey[top:bottom, left:right])
    assert whole is not None and inner is not None
    return whole, inner


def as_jpeg(picture: np.ndarray, quality: int = 50) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_done_to_a_copy_moves_few_bits(seed: int):
    picture = painted(seed)
    whole, _ = codes(picture)
    small = cv2.resize(picture, (100, 56), interpolation=cv2.INTER_AREA)
    boxed = cv2.copyMakeBorder(picture, 40, 40, 0, 0, cv2.BORDER_CONSTANT)
    pillars = cv2.copyMakeBorder(picture, 0, 0, 70, 70, cv2.BORDER_CONSTANT)
    assert bits_apart(whole, codes(as_jpeg(picture, 20))[0]) <= 16
    assert bits_apart(whole, codes(as_jpeg(small))[0]) <= 16
    for copy in (boxed, pillars):
        assert bits_apart(whole, codes(as_jpeg(copy))[1]) <= 16
        assert bits_apart(whole, codes(as_jpeg(copy))[0]) > 24, "without looking for bars it would not be found"
    turned = codes(as_jpeg(picture[:, ::-1]))[0]
    flipped = mirrored(np.frombuffer(turned, np.uint8)[None])[0].tobytes()
    assert bits_apart(whole, flipped) <= 16 < bits_apart(whole, turned)


def test_other_pictures_are_far_apart():
    found = [codes(painted(seed))[0] for seed in range(30)]
    assert min(bits_apart(one, other) for number, one in enumerate(found) for other in found[:number]) > 30


def test_black_and_flat_pictures_have_no_hash():
    black = np.zeros((90, 160, 3), np.uint8)
    assert inner_box([luma(black)]) == (0, 90, 0, 160)
    assert picture_hash(luma(black)) is None and picture_hash(luma(black + 128)) is None


def test_a_dark_scene_is_not_a_letter_box():
    """A lamp in the night: what is not black is less than a third of the height."""
    night = np.full((90, 160, 3), 10, np.uint8)
    night[40:50, 70:90] = 220
    assert inner_box([luma(night)]) == (0, 90, 0, 160)
    assert inner_box([luma(night), luma(painted(1))[:90, :160]]) == (0, 90, 0, 160), "one bright frame shows that there are no bars"


def row_of(tmp_path: Path, pictures: list[np.ndarray], **fields) -> ClipRecord:
    frames = []
    for number, picture in enumerate(pictures):
        path = tmp_path / f"{number}.jpg"
        cv2.imwrite(str(path), picture)
        ref = MediaRef(uri=str(path), size_bytes=path.stat().st_size)
        frames.append(FrameRef(frame=number * 10, time_s=5.0 + number, width_px=160, height_px=90, media=ref))
    return made_clip("v_000005000_000008000", "v", 3.0, start_s=5.0, frames=tuple(frames), **fields)


def hashed(tmp_path: Path, clip: ClipRecord):
    stage = build_stage("hash_clips", {})
    stage.setup(WorkerContext(root=Root(str(tmp_path)), scratch=tmp_path, resources=stage.resources))
    (outcome,) = stage.process([Item(clip, payload=stage.load(clip))])
    return outcome.records[0]


def test_one_row_per_clip(tmp_path: Path):
    flat = np.full((90, 160, 3), 90, np.uint8)
    clip = row_of(tmp_path, [painted(1), flat, painted(2)], media=MediaRef(uri="x", sha256="ab"))
    row = hashed(tmp_path, clip)
    assert (row.clip_id, row.sha256, row.num_pixels, row.duration_s) == (clip.clip_id, "ab", 64 * 48, 3.0)
    assert [frame.time_s for frame in row.frames] == [0.0, 2.0], "seconds since the clip's beginning; the flat one is left out"
    assert all(len(bytes.fromhex(frame.whole)) == 16 and frame.whole == frame.inner for frame in row.frames)
    assert hashed(tmp_path, made_clip("w_0_1", "w")).frames == ()
