from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.config import result_fields, validated
from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.models import build_rater, tiny
from internvid_pipeline.records import EmbeddingRecord, ScoreRecord, stored_vectors
from internvid_pipeline.stage import Item
from stages.score_aesthetics import ScoreAesthetics, ScoreAestheticsConfig
from tests.made_records import made_clip
from tests.models.pictures import worker_at


def embedding(clip_id: str, seed: int, model: str = "tiny-clip", width: int = 32, is_stand_in: bool = False) -> EmbeddingRecord:
    rows = np.random.default_rng(seed).normal(size=(4, width)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    made = {"model": model, "model_commit": "local", "frames": (1, 5, 9, 13), "width": width, "is_stand_in": is_stand_in}
    return EmbeddingRecord(clip_id=clip_id, video_id="v", vectors=stored_vectors(rows), **made)


def run(root: Path, stored: list[tuple[EmbeddingRecord, ...]], **fields: object) -> list[tuple[ScoreRecord, ...]]:
    stage = ScoreAesthetics(validated(ScoreAestheticsConfig, fields, "stages.score_aesthetics"))
    stage.prepare_node()
    stage.setup(worker_at(root))
    items = [Item(made_clip(rows[0].clip_id, "v"), joined={EmbeddingRecord: rows}) for rows in stored]
    return [outcome.records for outcome in stage.process(items)]


def test_max_and_mean_over_the_stored_frames(tmp_path: Path):
    preset = tiny.save_tiny_head(tmp_path)
    stored = [(embedding(f"c{i}", i),) for i in range(5)]
    rater = build_rater(preset)
    for rows, (row,) in zip(run(tmp_path, stored, model=preset.model_dump()), stored, strict=True):
        ratings = rater.ratings(row.matrix())
        assert [(one.scorer, one.reduced) for one in rows] == [("aesthetic", "max"), ("aesthetic_mean", "mean")]
        assert [one.value for one in rows] == [pytest.approx(ratings.max(), abs=1e-4), pytest.approx(ratings.mean(), abs=1e-4)]
        for one in rows:
            assert (one.clip_id, one.num_frames, one.frames, one.model) == (row.clip_id, 4, (1, 5, 9, 13), "tiny-head")
            assert not one.is_stand_in and one.caption_scale is None
    ((only,),) = run(tmp_path, stored[:1], model=preset.model_dump(), reductions=["mean"])
    assert only.scorer == "aesthetic_mean"


def test_embeddings_of_another_model_are_refused_for_all(tmp_path: Path):
    preset = tiny.save_tiny_head(tmp_path)
    beside = embedding("c", 1, model="another")
    (rows,) = run(tmp_path, [(beside, embedding("c", 2))], model=preset.model_dump())
    assert len(rows) == 2
    with pytest.raises(SetupError, match="'tiny-head' rates embeddings of tiny-clip, embed_frames made those of another; give"):
        run(tmp_path, [(beside,)], model=preset.model_dump())


def test_stand_ins_say_so(tmp_path: Path):
    width = 27
    stored = embedding("c", 3, "stand-in-scorer", width, is_stand_in=True)
    (rows,) = run(tmp_path, [(stored,)], model="stand-in-rater")
    assert all((row.model, row.model_commit, row.is_stand_in) == ("stand-in-rater", "v1", True) and 1 <= row.value <= 10 for row in rows)


def test_defaults_and_refusals():
    config = ScoreAestheticsConfig()
    assert (config.model.name, config.reductions) == ("aesthetic-laion-vit-l-14", ("max", "mean"))
    assert config.model.base_model == "timm/vit_large_patch14_clip_224.openai"
    assert ScoreAesthetics(config).resources.gpus == 0
    for fields, message in (({"model": "stand-in-scorer"}, "task 'aesthetic' is wanted"), ({"reductions": []}, "reductions")):
        with pytest.raises(UsageError, match=message):
            validated(ScoreAestheticsConfig, fields, "stages.score_aesthetics")
    assert result_fields(config) != result_fields(ScoreAestheticsConfig(reductions=("max",)))
