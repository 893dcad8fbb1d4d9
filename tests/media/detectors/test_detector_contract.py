"""What holds for every detector."""

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from internvid_pipeline.errors import UsageError
from internvid_pipeline.media.detectors import DETECTORS, FrameScorer, boundaries, scorer

_spec = importlib.util.spec_from_file_location("detector_pictures", Path(__file__).with_name("pictures.py"))
assert _spec is not None and _spec.loader is not None
made = sys.modules.setdefault("detector_pictures", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(made)


def jump_network(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """In the place of TransNetV2's network, which is tested in tests/models: sure where the next frame is far off."""
    change = np.abs(np.diff(frames.astype(np.float32), axis=0, append=frames[-1:].astype(np.float32))).mean(axis=(1, 2, 3))
    return np.stack([np.clip(change / 60, 0, 1)] * 2).astype(np.float32)


def new(name: str) -> FrameScorer:
    return scorer(name, network=jump_network if name == "transnetv2" else None)


def black(count: int) -> list[NDArray[np.uint8]]:
    return [np.zeros((made.HEIGHT, made.WIDTH, 3), np.uint8)] * count


def noise(count: int) -> list[NDArray[np.uint8]]:
    chance = np.random.default_rng(3)
    return [chance.integers(0, 256, (made.HEIGHT, made.WIDTH, 3), dtype=np.uint8) for _ in range(count)]


VIDEOS = {
    "empty": [],
    "one frame": made.take(1, 1),
    "two frames": [*made.take(1, 1), *made.take(2, 1)],
    "black": black(150),
    "noise": noise(150),
    "shots": [*made.take(1, 70, 0.5), *made.take(2, 50), *made.take(3, 63, 0.0, 1.0), *made.take(4, 64)],
}


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("video", VIDEOS)
def test_columns_have_a_value_per_frame_and_boundaries_lie_inside(name: str, video: str):
    one = new(name)
    scores = made.scored(one, VIDEOS[video])
    assert set(scores) == set(one.columns)
    for column in scores.values():
        assert column.dtype == np.float32 and column.shape == (len(VIDEOS[video]),) and np.isfinite(column).all()
    found = boundaries(name, scores)
    assert [one.frame for one in found] == sorted({one.frame for one in found})
    for one_found in found:
        assert 0 < one_found.frame < len(VIDEOS[video])
        assert 0 <= one_found.first_frame <= one_found.frame <= one_found.end_frame <= len(VIDEOS[video])
        assert (one_found.kind == "cut") == (one_found.first_frame == one_found.end_frame)
    if video in ("black", "empty", "one frame"):
        assert not found


@pytest.mark.parametrize("name", DETECTORS)
def test_cuts_are_found_at_their_frame(name: str):
    assert [one.frame for one in boundaries(name, made.scored(new(name), VIDEOS["shots"]))] == [70, 120, 183]


@pytest.mark.parametrize("name", ["transition", "content", "adaptive"])
def test_a_higher_threshold_never_gives_more(name: str):
    """Without the rule of shortest scenes, by which PySceneDetect merges what lies close: there, fewer candidates may mean more scenes.
    TransNetV2's rule is its authors', one boundary per run above the threshold, and a run may fall into two."""
    scores = made.scored(new(name), [*VIDEOS["shots"], *noise(60), *made.take(9, 40, 3.0)])
    top = max(1.0, *(float(column.max()) for column in scores.values()))
    counts = [len(boundaries(name, scores, threshold=top * part, min_scene_frames=0)) for part in np.linspace(0.01, 1.05, 40)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]


def test_transition_is_monotone_with_short_scenes_too():
    scores = made.scored(scorer("transition"), [*VIDEOS["shots"], *noise(60), *VIDEOS["shots"]])
    found = [{one.frame for one in boundaries("transition", scores, threshold=part)} for part in np.linspace(0, 1, 30)]
    assert all(later <= earlier for earlier, later in pairwise(found))


@pytest.mark.parametrize("name", DETECTORS)
def test_the_same_video_gives_the_same_scores(name: str):
    first, second = (made.scored(new(name), VIDEOS["shots"]) for _ in range(2))
    assert all(first[column].tobytes() == second[column].tobytes() for column in first)


@pytest.mark.parametrize("name", DETECTORS)
def test_frames_that_were_not_decoded(name: str):
    """The fast scan hands on the picture before: the cut is then at the next decoded frame."""
    one, shown = new(name), [made.small(picture) for picture in VIDEOS["shots"]]
    for number in range(len(shown)):
        one.process(number, shown[number - number % 2])
    frames = [found.frame for found in boundaries(name, one.finish())]
    assert len(frames) == 3 and all(0 <= frame - cut <= 1 for frame, cut in zip(frames, (70, 120, 183), strict=True))


def test_memory_does_not_grow_with_the_video():
    """Of 3000 frames, the scorer of transitions keeps some 500."""
    one = scorer("transition")
    pictures = [made.small(picture) for picture in made.take(5, 50, 1.0)]
    kept = []
    for number in range(3000):
        one.process(number, pictures[number % 50])
        kept.append(len(one._track))  # type: ignore[attr-defined]
    assert max(kept) < 560 and max(kept[1000:]) == max(kept[:1000])


def test_wrong_use_is_named():
    with pytest.raises(UsageError, match="unknown detector 'magic'"):
        scorer("magic")
    with pytest.raises(UsageError, match="needs its network"):
        scorer("transnetv2")
    with pytest.raises(UsageError, match="needs the score 'content'"):
        boundaries("adaptive", {})
    with pytest.raises(UsageError, match="min_scene_frames is -1"):
        boundaries("content", {"content": np.zeros(3, np.float32)}, min_scene_frames=-1)
    with pytest.raises(UsageError, match="threshold is nan"):
        boundaries("content", {"content": np.zeros(3, np.float32)}, threshold=float("nan"))
