from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.config import result_fields, validated
from internvid_pipeline.errors import DamagedMedia, UsageError
from internvid_pipeline.models import build_scorer, read_frames, tiny
from internvid_pipeline.records import ClipRecord, EmbeddingRecord, from_table, to_table
from internvid_pipeline.storage import Root
from stages.embed_frames import EmbedFrames, EmbedFramesConfig
from tests.models.pictures import make_clip, noise, outcomes_of, worker_at


def config_of(**fields: object) -> EmbedFramesConfig:
    return validated(EmbedFramesConfig, {"model": "stand-in-scorer", **fields}, "stages.embed_frames")


def run(config: EmbedFramesConfig, root: Path, clips: list[ClipRecord], batch_size: int = 100) -> list[EmbeddingRecord]:
    return [row for outcome in outcomes_of(EmbedFrames(config), root, clips, batch_size) for row in outcome.records]


def test_vectors_are_the_models_and_survive_half_precision(tmp_path: Path):
    preset = tiny.save_tiny_open_clip(tmp_path / "clip")
    clips = [make_clip(tmp_path, f"c{i}", [noise(30 * i + j) for j in range(3 + 4 * i)]) for i in range(4)]
    config = config_of(model=preset.model_dump(), num_frames=5)
    rows = run(config, tmp_path, clips)
    scorer = build_scorer(preset)
    for clip, row in zip(clips, rows, strict=True):
        shown = clip.frames if len(clip.frames) <= 5 else [clip.frames[(2 * i + 1) * len(clip.frames) // 10] for i in range(5)]
        assert (row.clip_id, row.video_id, row.model, row.model_commit) == (clip.clip_id, clip.video_id, "tiny-clip", "local")
        assert row.frames == tuple(frame.frame for frame in shown) and row.width == 32 and not row.is_stand_in
        expected = scorer.embed_images(read_frames(Root(str(tmp_path)), clip, list(shown)))
        assert row.matrix().dtype == np.float32 and row.matrix().shape == expected.shape
        np.testing.assert_allclose(np.linalg.norm(row.matrix(), axis=1), 1, atol=1e-6)
        assert np.abs(row.matrix() @ expected.T - expected @ expected.T).max() < 1e-3
    again = run(config, tmp_path, clips, batch_size=1)
    assert [row.frames for row in again] == [row.frames for row in rows]
    for one, other in zip(again, rows, strict=True):
        np.testing.assert_allclose(one.matrix(), other.matrix(), atol=2e-3)
    assert from_table(to_table(rows, EmbeddingRecord), EmbeddingRecord) == rows


def test_stand_in_says_so(tmp_path: Path):
    (row,) = run(config_of(), tmp_path, [make_clip(tmp_path, "c", [noise(1)])])
    assert (row.model, row.model_commit, row.is_stand_in) == ("stand-in-scorer", "v1", True) and len(row.frames) == 1


def test_broken_frame_fails_its_clip(tmp_path: Path):
    stage = EmbedFrames(config_of())
    stage.setup(worker_at(tmp_path))
    with pytest.raises(DamagedMedia, match="frame 25 of clip broken is no readable picture"):
        stage.load(make_clip(tmp_path, "broken", [noise(1), noise(2)], broken=0))


def test_defaults_and_refusals():
    config = EmbedFramesConfig()
    assert (config.model.name, config.num_frames) == ("clip-vit-l-14-openai", 4)
    resources = EmbedFrames(config).resources
    assert resources.batch_size == 128 and resources.load_threads == 16, "four passes of 128 pictures a call"
    with pytest.raises(UsageError, match="is for task 'caption'; here a preset for task 'alignment'"):
        config_of(model="stand-in-captioner")
    assert result_fields(config_of(num_frames=8)) != result_fields(config_of())
