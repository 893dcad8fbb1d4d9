import dataclasses
from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.config import result_fields, validated
from internvid_pipeline.errors import DamagedMedia, UsageError
from internvid_pipeline.models import build_scorer, build_video_scorer, read_frames, tiny
from internvid_pipeline.records import CaptionRecord, ClipRecord, DropReason, EmbeddingRecord, ScoreRecord
from internvid_pipeline.stage import Drop, Emit, Item
from internvid_pipeline.storage import Root
from stages.embed_frames import EmbedFrames, EmbedFramesConfig
from stages.score_alignment import ScoreAlignment, ScoreAlignmentConfig
from tests.models.pictures import RGB, make_clip, noise, outcomes_of, plain, worker_at


def config_of(**fields: object) -> ScoreAlignmentConfig:
    return validated(ScoreAlignmentConfig, {"model": "stand-in-scorer", **fields}, "stages.score_alignment")


def caption(clip: ClipRecord, scale: str, text: str) -> CaptionRecord:
    return CaptionRecord(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        scale=scale,
        text=text,
        language="en",
        model="m",
        model_commit="v1",
        prompt=None,
        frames=(0,),
        is_stand_in=True,
    )


Pair = tuple[ClipRecord, dict[str, str]]


def run(config: ScoreAlignmentConfig, root: Path, pairs: list[Pair], batch_size: int = 100) -> list[Emit[ScoreRecord] | Drop]:
    def captions(number: int) -> dict[type, tuple[CaptionRecord, ...]]:
        clip, texts = pairs[number]
        return {CaptionRecord: tuple(caption(clip, scale, text) for scale, text in texts.items())}

    return outcomes_of(ScoreAlignment(config), root, [clip for clip, _ in pairs], batch_size, captions)


def rows_of(outcome: Emit[ScoreRecord] | Drop) -> tuple[ScoreRecord, ...]:
    assert isinstance(outcome, Emit), outcome
    return outcome.records


def test_right_caption_scores_higher_than_wrong(tmp_path: Path):
    clips = {colour: make_clip(tmp_path, colour, [plain(colour)] * 5) for colour in RGB}
    pairs = [(clip, {"coarse": f"a mostly {colour} picture"}) for clip in clips.values() for colour in clips]
    scores = np.array([rows_of(outcome)[0].value for outcome in run(config_of(), tmp_path, pairs)]).reshape(len(RGB), len(RGB))
    assert (scores.argmax(axis=1) == np.arange(len(RGB))).all()
    assert np.diag(scores).min() > 0.7 and scores[~np.eye(len(RGB), dtype=bool)].max() < 0.7


def test_row_says_what_scored_what(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red")] * 9)
    (row,) = rows_of(run(config_of(), tmp_path, [(clip, {"coarse": "red"})])[0])
    assert (row.clip_id, row.video_id, row.scorer, row.caption_scale, row.num_frames) == ("c", "video-of-c", "alignment", "coarse", 4)
    assert (row.reduced, row.model, row.model_commit, row.is_stand_in) == ("max", "stand-in-scorer", "v1", True)
    assert 0 < row.value <= 1 and row.value == round(row.value, 6)
    assert row.frames == tuple(clip.frames[i].frame for i in (1, 3, 5, 7)) and row.text is None


@pytest.mark.parametrize(
    ("there", "scales", "scored"),
    [
        (["coarse", "fine", "fused"], "best", ["fused"]),
        (["coarse", "fine"], "best", ["fine"]),
        (["coarse"], "best", ["coarse"]),
        (["coarse", "fine", "fused"], ["coarse", "fused"], ["coarse", "fused"]),
        (["coarse", "vlm", "fine"], "best", ["vlm"]),
        (["coarse"], ["coarse", "fused"], ["coarse"]),
        (["vlm"], ["vlm"], ["vlm"]),
    ],
)
def test_scales_scored(tmp_path: Path, there: list[str], scales: str | list[str], scored: list[str]):
    clip = make_clip(tmp_path, "c", [plain("red")])
    outcome = run(config_of(scales=scales), tmp_path, [(clip, {scale: f"{scale} red" for scale in there})])[0]
    assert [row.caption_scale for row in rows_of(outcome)] == scored


def test_clip_without_a_wanted_scale_is_dropped_and_its_neighbours_keep_their_scores(tmp_path: Path):
    clips = [make_clip(tmp_path, colour, [plain(colour)] * 3) for colour in RGB]
    pairs = [(clip, {"coarse" if i % 3 == 0 else "fine": clip.clip_id}) for i, clip in enumerate(clips)]
    together = run(config_of(scales=["fine"]), tmp_path, pairs)
    assert together == run(config_of(scales=["fine"]), tmp_path, pairs, batch_size=1)
    for i, outcome in enumerate(together):
        if i % 3 == 0:
            assert outcome == Drop(DropReason.MISSING_VALUE, "no caption of scale fine")
        else:
            assert rows_of(outcome)[0].clip_id == clips[i].clip_id


def test_max_and_mean_over_frames(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red"), plain("blue"), plain("blue"), plain("blue")])
    texts = {"coarse": "a mostly red picture"}
    values = {}
    for name, fields in {
        "max": {},
        "mean": {"reduced": "mean"},
        "one": {"num_frames": 1},
        "many": {"num_frames": 64, "reduced": "mean"},
    }.items():
        (row,) = rows_of(run(config_of(**fields), tmp_path, [(clip, texts)])[0])
        values[name] = (row.value, row.num_frames, row.reduced)
    red = rows_of(run(config_of(), tmp_path, [(make_clip(tmp_path, "r", [plain("red")]), texts)])[0])[0].value
    blue = rows_of(run(config_of(), tmp_path, [(make_clip(tmp_path, "b", [plain("blue")]), texts)])[0])[0].value
    assert values["max"] == (red, 4, "max") and values["one"] == (blue, 1, "max")
    assert values["mean"] == values["many"] == (pytest.approx((red + 3 * blue) / 4, abs=1e-5), 4, "mean")


def test_open_clip_scores_are_cosines_of_its_embeddings(tmp_path: Path):
    preset = tiny.save_tiny_open_clip(tmp_path / "clip")
    clips = [make_clip(tmp_path, f"c{i}", [noise(10 * i + j) for j in range(6)]) for i in range(3)]
    texts = ["a dog in the park", "two people", "a video in the kitchen"]
    config = config_of(model=preset.model_dump(), scales=["coarse", "fine"])
    pairs = [(clip, {"coarse": text, "fine": f"{text} at night"}) for clip, text in zip(clips, texts, strict=True)]
    outcomes = run(config, tmp_path, pairs)
    stage = ScoreAlignment(config)
    stage.setup(worker_at(tmp_path))
    scorer = build_scorer(preset)
    for (clip, captions), outcome in zip(pairs, outcomes, strict=True):
        images = scorer.embed_images(stage.load(clip).images)
        for row, text in zip(rows_of(outcome), captions.values(), strict=True):
            assert row.value == pytest.approx(float((images @ scorer.embed_texts([text])[0]).max()), abs=1e-4)
            assert (row.model, row.is_stand_in, row.num_frames) == ("tiny-clip", False, 4)


def embedded(root: Path, clip: ClipRecord, **fields: object) -> EmbeddingRecord:
    stage = EmbedFrames(validated(EmbedFramesConfig, fields, "stages.embed_frames"))
    stage.setup(worker_at(root))
    (outcome,) = stage.process([Item(clip, payload=stage.load(clip))])
    return outcome.records[0]


def test_stored_embeddings_are_taken_and_frames_left_alone(tmp_path: Path):
    preset = tiny.save_tiny_open_clip(tmp_path / "clip").model_dump()
    clip = make_clip(tmp_path, "c", [noise(i) for i in range(8)])
    stage = ScoreAlignment(config_of(model=preset))
    stage.setup(worker_at(tmp_path))
    item = Item(clip, joined={CaptionRecord: (caption(clip, "fused", "a dog in the park"),)})

    def value(stored: EmbeddingRecord | None) -> tuple[float, int]:
        joined = {**item.joined, EmbeddingRecord: (stored,) if stored else ()}
        payload = stage.load_item(dataclasses.replace(item, joined=joined))
        (outcome,) = stage.process([dataclasses.replace(item, joined=joined, payload=payload)])
        return rows_of(outcome)[0].value, len(payload.images)

    own, read = value(None)
    assert read == 4
    for num_frames, taken in ((4, True), (8, True), (3, False)):
        stored_value, read = value(embedded(tmp_path, clip, model=preset, num_frames=num_frames))
        assert stored_value == pytest.approx(own, abs=1e-3) and (read == 0) is taken
    other = embedded(tmp_path, clip, model="stand-in-scorer")
    assert value(other) == (own, 4), "vectors of another model are of no use"
    stored = embedded(tmp_path, clip, model=preset)
    (tmp_path / "c.tar").unlink()
    assert value(stored)[1] == 0, "the frames' file is not opened"


def test_video_model_scores_pairs_beside(tmp_path: Path):
    xclip = tiny.save_tiny_xclip(tmp_path / "xclip")
    clips = [make_clip(tmp_path, f"c{i}", [noise(20 * i + j) for j in range(9 + i)]) for i in range(3)]
    texts = ["a dog in the park", "two people", "a video in the kitchen"]
    pairs = [(clip, {"fused": text}) for clip, text in zip(clips, texts, strict=True)]
    config = config_of(video_model=xclip.model_dump())
    outcomes = run(config, tmp_path, pairs)
    assert outcomes == run(config, tmp_path, pairs, batch_size=1)
    scorer = build_video_scorer(xclip)
    for clip, text, outcome in zip(clips, texts, outcomes, strict=True):
        plain_row, row = rows_of(outcome)
        assert (plain_row.scorer, row.scorer, row.model, row.reduced, row.num_frames) == (
            "alignment",
            "video_alignment",
            "tiny-xclip",
            "together",
            8,
        )
        frames = [clip.frames[(2 * i + 1) * len(clip.frames) // 16] for i in range(8)]
        assert row.frames == tuple(frame.frame for frame in frames)
        images = read_frames(Root(str(tmp_path)), clip, frames)
        assert row.value == pytest.approx(float(scorer.scores([images], [text])[0]), abs=1e-4)


def test_broken_frame_fails_its_clip(tmp_path: Path):
    stage = ScoreAlignment(config_of())
    stage.setup(worker_at(tmp_path))
    with pytest.raises(DamagedMedia, match="frame 25 of clip broken is no readable picture"):
        stage.load(make_clip(tmp_path, "broken", [noise(1), noise(2)], broken=0))


def test_defaults_and_refusals():
    config = ScoreAlignmentConfig()
    assert (config.model.name, config.num_frames, config.reduced, config.scales) == ("clip-vit-l-14-openai", 4, "max", "best")
    assert ScoreAlignment(config).resources.batch_size == 4 * 128 // 4
    for fields, message in (
        ({"model": "stand-in-captioner"}, "is for task 'caption'; here a preset for task 'alignment'"),
        ({"scales": []}, "scales"),
        ({"scales": ["middling"]}, "scales"),
        ({"reduced": "sum"}, "reduced = 'sum'"),
        ({"num_frames": 0}, "num_frames = 0"),
    ):
        with pytest.raises(UsageError, match=message):
            config_of(**fields)


def test_what_changes_a_score_is_in_the_fingerprint():
    before = result_fields(config_of())
    assert before == result_fields(config_of())
    for fields in ({"scales": ["coarse"]}, {"num_frames": 8}, {"reduced": "mean"}, {"model": "clip-vit-b-32-laion2b"}):
        assert result_fields(config_of(**fields)) != before
