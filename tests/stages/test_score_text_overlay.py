from pathlib import Path

import pytest

from internvid_pipeline.config import validated
from internvid_pipeline.config.presets import load_preset
from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.models import TextBox, build_reader, covered_ratio
from internvid_pipeline.records import ClipRecord, ScoreRecord
from internvid_pipeline.stage import Item
from stages.score_text_overlay import ScoreTextOverlay, ScoreTextOverlayConfig
from tests.models.pictures import make_clip, noise, plain, worker_at, written


def run(root: Path, clips: list[ClipRecord], **fields: object) -> list[ScoreRecord]:
    stage = ScoreTextOverlay(validated(ScoreTextOverlayConfig, fields, "stages.score_text_overlay"))
    stage.setup(worker_at(root))
    return [row for outcome in stage.process([Item(clip, payload=stage.load(clip)) for clip in clips]) for row in outcome.records]


def test_writing_is_read_and_measured(tmp_path: Path):
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    clips = [
        make_clip(tmp_path, "both", [written("GOOD MORNING"), written("GOOD NIGHT")]),
        make_clip(tmp_path, "half", [written("GOOD MORNING"), plain("blue", 320, 180)]),
        make_clip(tmp_path, "none", [plain("red", 320, 180)] * 2),
    ]
    both, half, none = run(tmp_path, clips)
    assert (both.text, half.text, none.text) == ("GOOD MORNING | GOOD NIGHT", "GOOD MORNING", "")
    assert 0.05 < half.value < both.value < 0.5 and none.value == 0
    assert (both.scorer, both.num_frames, both.reduced, both.model, both.model_commit) == ("text_overlay", 2, "mean", "rapidocr", "3.10.0")
    assert both.frames == tuple(frame.frame for frame in clips[0].frames) and not both.is_stand_in
    assert run(tmp_path, clips[:1], max_text_chars=4)[0].text == "GOOD"


def test_another_version_of_the_package_is_refused():
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    with pytest.raises(SetupError, match=r"is rapidocr 3\.0\.0, whose wheel holds the models; installed is 3\."):
        build_reader(load_preset("rapidocr").model_copy(update={"commit": "3.0.0"}))


def test_overlapping_boxes_count_once():
    def box(left: float, top: float, right: float, bottom: float) -> TextBox:
        return TextBox("a", 1.0, ((left, top), (right, top), (right, bottom), (left, bottom)))

    assert covered_ratio([], 100, 50) == 0
    assert covered_ratio([box(0, 0, 50, 50)], 100, 50) == pytest.approx(0.5, abs=0.01)
    assert covered_ratio([box(0, 0, 50, 50), box(25, 0, 75, 50)], 100, 50) == pytest.approx(0.75, abs=0.01)
    assert covered_ratio([box(-20, -20, 200, 200)], 100, 50) == 1


def test_stand_in_says_so(tmp_path: Path):
    (row,) = run(tmp_path, [make_clip(tmp_path, "c", [noise(1)])], model="stand-in-reader", min_confidence=0.5)
    assert (row.model, row.is_stand_in, row.text) == ("stand-in-reader", True, "unread") and row.value == pytest.approx(0.25, abs=0.01)
    assert run(tmp_path, [make_clip(tmp_path, "d", [noise(1)])], model="stand-in-reader")[0].value == 0, "the reader is not sure enough"


def test_defaults_and_refusals():
    config = ScoreTextOverlayConfig()
    assert (config.model.name, config.num_frames, config.reduced, config.min_confidence) == ("rapidocr", 2, "mean", 0.6)
    with pytest.raises(UsageError, match="task 'text_overlay' is wanted"):
        validated(ScoreTextOverlayConfig, {"model": "stand-in-scorer"}, "stages.score_text_overlay")
