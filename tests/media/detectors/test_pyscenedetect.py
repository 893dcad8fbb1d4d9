"""Content and Adaptive against PySceneDetect run directly on the same files: cuts from stored scores are the very same."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from internvid_pipeline.media.detectors import boundaries, scorer
from internvid_pipeline.media.detectors.pyscenedetect import DETECTION_SIDE_PX
from internvid_pipeline.media.small import SmallPicture, SmallPictures

SHARED = Path(os.environ.get("INTERNVID_TEST_VIDEOS", Path(__file__).resolve().parents[4] / "shared" / "videos"))
SHORT_SHARED = ("s03_bikes_5hardcuts_noaudio.mp4", "s13_bbb_two_audio_tracks.mp4", "s14_kitten with spaces and 'quote.mp4")
RULES = ("content", "adaptive")


def peers(path: Path, name: str, threshold: float, min_scene_frames: int) -> list[int]:
    """PySceneDetect's own cuts, decoded and scaled by itself."""
    from scenedetect import AdaptiveDetector, ContentDetector, SceneManager, open_video

    manager = SceneManager()
    if name == "content":
        manager.add_detector(ContentDetector(threshold=threshold, min_scene_len=min_scene_frames))
    else:
        manager.add_detector(AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=min_scene_frames))
    manager.detect_scenes(open_video(str(path), backend="pyav"))
    return [start.frame_num for start, _ in manager.get_scene_list()[1:]]


def stored(path: Path) -> dict[str, np.ndarray]:
    """Our score of every frame."""
    one, makes = scorer("content"), SmallPictures(needs_bgr=True)
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            one.process(number, makes.make(frame))
    return dict(one.finish())


def made_video(path: Path, size: tuple[int, int], seed: int) -> Path:
    """Nine shots of noise that moves, of 4 to 40 frames, one flash, one shot that gets brighter."""
    chance = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        number = 0
        for length in (40, 18, 4, 7, 30, 16, 9, 33, 20):
            shot = chance.integers(0, 200, (size[1] // 20 + 9, size[0] // 20 + 9, 3), dtype=np.uint8).repeat(20, 0).repeat(20, 1)
            for k in range(length):
                picture = (
                    shot[k : k + size[1], 2 * k : 2 * k + size[0]].astype(int)
                    + (55 if number == 20 else 0)
                    + (3 * k if length == 33 else 0)
                )
                frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
                number += 1
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", RULES)
def test_the_same_cuts_where_nothing_is_scaled(name: str, tmp_path: Path):
    """256 pixels wide: PySceneDetect leaves the frames as they are."""
    path = made_video(tmp_path / "v.mp4", (256, 144), 1)
    scores = stored(path)
    found_any = False
    for threshold in (3.0, 15.0, 27.0, 60.0) if name == "content" else (1.5, 3.0, 6.0):
        for shortest in (1, 5, 15):
            found = [one.frame for one in boundaries(name, scores, threshold=threshold, min_scene_frames=shortest)]
            assert found == peers(path, name, threshold, shortest), (threshold, shortest)
            found_any = found_any or len(found) > 3
    assert found_any


@pytest.mark.parametrize("name", RULES)
def test_cuts_at_most_one_frame_apart_where_frames_are_scaled(name: str, tmp_path: Path):
    path = made_video(tmp_path / "v.mp4", (640, 360), 2)
    default = 27.0 if name == "content" else 3.0
    found, wanted = [one.frame for one in boundaries(name, stored(path))], peers(path, name, default, 15)
    assert len(found) == len(wanted) > 2 and all(abs(a - b) <= 1 for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("file", SHORT_SHARED)
def test_the_same_cuts_on_real_footage(file: str):
    """The other shared files: benchmarks/shot_accuracy.py."""
    if not (SHARED / file).is_file():
        pytest.skip(f"no {file} in {SHARED} (INTERNVID_TEST_VIDEOS)")
    scores = stored(SHARED / file)
    for name, threshold in (("content", 27.0), ("adaptive", 3.0)):
        assert [one.frame for one in boundaries(name, scores)] == peers(SHARED / file, name, threshold, 15)


def test_the_score_is_pyscenedetects():
    from scenedetect import ContentDetector, FrameTimecode

    chance, theirs, ours = np.random.default_rng(0), ContentDetector(), scorer("content")
    wanted = []
    for number in range(5):
        picture = chance.integers(0, 256, (144, DETECTION_SIDE_PX, 3), dtype=np.uint8)
        wanted.append(theirs._calculate_frame_score(FrameTimecode(number, 25.0), picture))
        ours.process(number, SmallPicture(picture[..., 0], picture[..., :2].transpose(2, 0, 1), picture))
    assert np.allclose(ours.finish()["content"], wanted, rtol=1e-6)
