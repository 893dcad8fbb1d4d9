from pathlib import Path

import pytest

from internvid_pipeline.config import validated
from internvid_pipeline.errors import UsageError
from internvid_pipeline.models import build_classifier, read_frames, tiny
from internvid_pipeline.records import ClipRecord, ScoreRecord
from internvid_pipeline.storage import Root
from stages.score_safety import ScoreSafety, ScoreSafetyConfig
from tests.models.pictures import make_clip, noise, outcomes_of, plain


def run(root: Path, clips: list[ClipRecord], batch_size: int = 100, **fields: object) -> list[ScoreRecord]:
    stage = ScoreSafety(validated(ScoreSafetyConfig, fields, "stages.score_safety"))
    return [row for outcome in outcomes_of(stage, root, clips, batch_size) for row in outcome.records]


@pytest.mark.parametrize("reduced", ["max", "mean"])
def test_scores_are_the_classifiers(tmp_path: Path, reduced: str):
    preset = tiny.save_tiny_classifier(tmp_path / "vit")
    clips = [make_clip(tmp_path, f"c{i}", [noise(10 * i + j) for j in range(2 + i)]) for i in range(4)]
    rows = run(tmp_path, clips, model=preset.model_dump(), num_frames=3, reduced=reduced)
    classifier = build_classifier(preset)
    for clip, row in zip(clips, rows, strict=True):
        shown = clip.frames if len(clip.frames) <= 3 else [clip.frames[(2 * i + 1) * len(clip.frames) // 6] for i in range(3)]
        found = classifier.probabilities(read_frames(Root(str(tmp_path)), clip, list(shown)))
        assert row.value == pytest.approx(found.max() if reduced == "max" else found.mean(), abs=1e-4)
        assert (row.clip_id, row.scorer, row.num_frames, row.reduced) == (clip.clip_id, "safety", len(shown), reduced)
        assert row.frames == tuple(frame.frame for frame in shown) and (row.model, row.is_stand_in) == ("tiny-classifier", False)
    assert len({row.value for row in rows}) > 2
    alone = run(tmp_path, clips, batch_size=1, model=preset.model_dump(), num_frames=3, reduced=reduced)
    assert [row.value for row in alone] == pytest.approx([row.value for row in rows], abs=1e-4)


def test_watermark_is_a_further_row_of_the_same_frames(tmp_path: Path):
    safe = tiny.save_tiny_classifier(tmp_path / "vit")
    fields = {"name": "marks", "task": "watermark", "unsafe_labels": ["normal"]}
    clips = [make_clip(tmp_path, f"c{i}", [noise(10 * i + j) for j in range(2 + i)]) for i in range(3)]
    rows = run(tmp_path, clips, model=safe.model_dump(), num_frames=3, watermark={"model": {**safe.model_dump(), **fields}})
    assert [(row.clip_id, row.scorer, row.reduced, row.model) for row in rows] == [
        found
        for clip in clips
        for found in ((clip.clip_id, "safety", "max", "tiny-classifier"), (clip.clip_id, "watermark", "mean", "marks"))
    ]
    classifier = build_classifier(safe)
    for clip, marked in zip(clips, rows[1::2], strict=True):
        frames = [frame for frame in clip.frames if frame.frame in marked.frames]
        unsafe = classifier.probabilities(read_frames(Root(str(tmp_path)), clip, frames))
        assert marked.value == pytest.approx(1 - unsafe.mean(), abs=1e-4) and marked.num_frames == len(frames)
    assert rows[::2] == run(tmp_path, clips, model=safe.model_dump(), num_frames=3)
    with pytest.raises(UsageError, match="'tiny-classifier' is for task 'safety'; here a preset for task 'watermark' is wanted"):
        validated(ScoreSafetyConfig, {"watermark": {"model": safe.model_dump()}}, "stages.score_safety")


def test_stand_in_says_so(tmp_path: Path):
    (row,) = run(tmp_path, [make_clip(tmp_path, "c", [plain("red")])], model="stand-in-classifier")
    assert (row.model, row.model_commit, row.is_stand_in) == ("stand-in-classifier", "v1", True)


def test_defaults_and_refusals():
    config = ScoreSafetyConfig()
    assert (config.model.name, config.num_frames, config.reduced, config.model.unsafe_labels) == ("nsfw-falconsai", 8, "max", ("nsfw",))
    with pytest.raises(UsageError, match="task 'safety' is wanted"):
        validated(ScoreSafetyConfig, {"model": "stand-in-scorer"}, "stages.score_safety")
