from pathlib import Path

import pytest

from internvid_pipeline.config import changed_fields, result_fields, validated
from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import DamagedMedia, ModelError, UsageError
from internvid_pipeline.models import (
    VideoFrames,
    build_captioner,
    build_summariser,
    build_video_captioner,
    fault_of,
    joined_once,
    tiny,
    tiny_video,
)
from internvid_pipeline.models.caption_scales import CaptionClipsConfig
from internvid_pipeline.records import CaptionRecord, ClipRecord, DropReason
from internvid_pipeline.stage import Drop, Emit, Fail, PartDrop
from internvid_pipeline.storage import Root
from stages.caption_clips import WINDOW, CaptionClips
from tests.models.chat_server import Behaviour, ChatServer, caption_of, endpoint_preset
from tests.models.pictures import RGB, halves, make_clip, noise, outcomes_of, plain, worker_at

STAND_INS = {
    "coarse": {"model": "stand-in-captioner"},
    "fine": {"model": "stand-in-captioner", "min_change": 0},
    "fused": {"model": "stand-in-summariser"},
}


def config_of(**fields: object) -> CaptionClipsConfig:
    """Stand-ins at InternVid's three scales, which show all frames, with fields of a scale added or a scale set to None."""
    merged = {scale: None if fields.get(scale, {}) is None else {**STAND_INS[scale], **fields.pop(scale, {})} for scale in STAND_INS}
    return validated(
        CaptionClipsConfig, {**merged, **{key: value for key, value in fields.items() if key not in STAND_INS}}, "stages.caption_clips"
    )


def run(config: CaptionClipsConfig, root: Path, clips: list[ClipRecord], batch_size: int = 100) -> list[Emit[CaptionRecord] | Drop]:
    return outcomes_of(CaptionClips(config), root, clips, batch_size)


def by_scale(outcome: Emit[CaptionRecord] | Drop) -> dict[str, CaptionRecord]:
    assert isinstance(outcome, Emit), outcome
    return {row.scale: row for row in outcome.records}


def test_three_scales(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red")] * 4 + [plain("blue")] * 2 + [plain("green")] * 4)
    rows = by_scale(run(config_of(), tmp_path, [clip])[0])
    red, blue, green = (
        f"{tone} mostly {colour} picture with smooth areas" for tone, colour in (("dim", "red"), ("dim", "blue"), ("dim", "green"))
    )
    assert list(rows) == ["coarse", "fine", "fused"]
    assert rows["coarse"].text == f"a {blue}" and rows["coarse"].frames == (clip.middle_frame,) == (55,)
    assert rows["fine"].text == f"a {red}. a {blue}. a {green}"
    assert rows["fused"].text == "a dim mostly blue picture, smooth areas, a dim mostly red picture, a dim mostly green picture"
    assert rows["fused"].frames == tuple(sorted({*rows["fine"].frames, 55}))
    for row, model in zip(rows.values(), ("captioner", "captioner", "summariser"), strict=True):
        assert (row.clip_id, row.video_id, row.language, row.prompt) == ("c", "video-of-c", "en", None)
        assert (row.model, row.model_commit, row.is_stand_in) == (f"stand-in-{model}", "v1", True)


def test_each_clip_gets_its_own_texts_whatever_the_batch(tmp_path: Path):
    colours = list(RGB)
    clips = [make_clip(tmp_path, f"c{i}", [plain(colour)] * (i + 1) + [halves(colour, "white")]) for i, colour in enumerate(colours)]
    together = run(config_of(), tmp_path, clips)
    assert together == run(config_of(), tmp_path, clips, batch_size=1) == run(config_of(), tmp_path, clips, batch_size=3)
    assert together == run(config_of(), tmp_path, clips[::-1])[::-1]
    for clip, colour, outcome in zip(clips, colours, together, strict=True):
        rows = by_scale(outcome)
        assert {row.clip_id for row in rows.values()} == {clip.clip_id}
        assert colour in rows["fine"].text and f"mostly {colour} picture" in rows["fused"].text
        assert not any(other in rows["fine"].text for other in colours if other not in (colour, "white"))


@pytest.mark.parametrize(
    ("duration_s", "fine", "num_frames"),
    [
        (4.0, {}, 8),
        (20.0, {}, 20),
        (20.0, {"frames_per_second": 0.5}, 10),
        (20.0, {"max_frames": 5}, 5),
        (4.0, {"min_frames": 3}, 4),
        (90.0, {}, 24),
    ],
)
def test_number_of_frames_shown_to_the_fine_captioner(tmp_path: Path, duration_s: float, fine: dict[str, float], num_frames: int):
    clip = make_clip(tmp_path, "c", [plain("red")] * 24, duration_s)
    frames = by_scale(run(config_of(fine=fine, coarse=None, fused=None), tmp_path, [clip])[0])["fine"].frames
    assert len(frames) == num_frames == len(set(frames)) and frames == tuple(sorted(frames))
    assert set(frames) <= {frame.frame for frame in clip.frames}


def test_short_clip_shows_what_it_has(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red")], duration_s=0.2)
    rows = by_scale(run(config_of(), tmp_path, [clip])[0])
    assert rows["coarse"].frames == rows["fine"].frames == rows["fused"].frames == (2,)


def test_scales_can_be_switched_off(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red"), plain("blue")])
    assert list(by_scale(run(config_of(fine=None, fused=None), tmp_path, [clip])[0])) == ["coarse"]
    assert list(by_scale(run(config_of(coarse=None), tmp_path, [clip])[0])) == ["fine", "fused"]
    with pytest.raises(UsageError, match="coarse, fine and vlm are all off; give at least one"):
        config_of(coarse=None, fine=None)
    with pytest.raises(UsageError, match="fused is made from coarse and fine, which are both off; switch it off too"):
        config_of(coarse=None, fine=None, vlm={"model": "stand-in-video-captioner"})


def test_prompt_is_asked_recorded_and_in_the_fingerprint(tmp_path: Path):
    clip = make_clip(tmp_path, "c", [plain("red")])
    asked = config_of(coarse={"prompt": "a photo of"}, fused={"prompt": ""})
    rows = by_scale(run(asked, tmp_path, [clip])[0])
    assert [row.prompt for row in rows.values()] == ["a photo of", None, None]
    assert changed_fields(result_fields(config_of()), result_fields(asked)) == [
        ("coarse.prompt", None, "a photo of"),
        ("fused.prompt", None, ""),
    ]


def test_placement_of_a_model_is_not_in_the_fingerprint():
    preset = {"name": "stand-in-captioner", "task": "caption", "adapter": "stand-in", "gpus": 1, "batch_size": 3, "memory_mb": 70}
    placed = config_of(coarse={"model": preset})
    assert result_fields(placed) == result_fields(config_of())
    resources = CaptionClips(placed).resources
    assert (resources.gpus, resources.batch_size, resources.memory_mb) == (1, 32, 1000 + 70 + 1000 + 1000)


def test_default_is_internvid_and_a_model_is_loaded_once():
    config = CaptionClipsConfig()
    assert [preset.name for preset in config.presets] == ["blip2-opt-2.7b", "flan-t5-large"]
    assert CaptionClips(config).resources.gpus == 1


def test_model_of_another_task_is_refused():
    with pytest.raises(UsageError, match="'stand-in-scorer' is for task 'alignment'; here a preset for task 'caption' is wanted"):
        config_of(coarse={"model": "stand-in-scorer"})
    with pytest.raises(UsageError, match=r"unknown key 'coarse\.promt'; did you mean 'prompt'\?"):
        config_of(coarse={"promt": "x"})


def test_broken_frame_and_clip_without_frames_fail_alone(tmp_path: Path):
    stage = CaptionClips(config_of())
    stage.setup(worker_at(tmp_path))
    with pytest.raises(DamagedMedia, match="frame 75 of clip broken is no readable picture"):
        stage.load(make_clip(tmp_path, "broken", [noise(1), noise(2)], broken=1))
    with pytest.raises(ModelError, match="clip empty has no kept frames"):
        stage.load(make_clip(tmp_path, "empty", []))
    good = stage.load(make_clip(tmp_path, "good", [noise(1)]))
    assert {frame for _, frame in good.images} == {50} == {*good.coarse, *good.fine}


@pytest.fixture(scope="module")
def tiny_presets(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelPreset, ModelPreset]:
    """Models that now and then end a text by themselves: the last layer's row of the token that ends one is longer."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("tiny")
    presets = tiny.save_tiny_blip2(folder / "blip2"), tiny.save_tiny_seq2seq(folder / "t5")
    rows = {"language_model.model.decoder.embed_tokens.weight": 2.5, "shared.weight": 6.0}
    for preset, (row, times) in zip(presets, rows.items(), strict=True):
        tensors = load_file(folder / Path(preset.repository).name / "model.safetensors")
        tensors[row][1] *= times
        save_file(tensors, folder / Path(preset.repository).name / "model.safetensors", metadata={"format": "pt"})
    return presets


def test_real_adapters_say_what_they_say_alone(tmp_path: Path, tiny_presets: tuple[ModelPreset, ModelPreset]):
    blip2, t5 = tiny_presets
    clips = [make_clip(tmp_path, f"c{i}", [noise(10 * i + j) for j in range(3)]) for i in range(8)]
    config = config_of(
        coarse={"model": blip2.model_dump(), "prompt": "a photo of"}, fine={"model": blip2.model_dump()}, fused={"model": t5.model_dump()}
    )
    outcomes = run(config, tmp_path, clips)
    stage = CaptionClips(config)
    stage.setup(worker_at(tmp_path))
    captioner, summariser = build_captioner(blip2), build_summariser(t5)
    made_by = {"coarse": "tiny-blip2", "fine": "tiny-blip2", "fused": "tiny-t5"}
    found: set[tuple[str, str]] = set()
    for clip, outcome in zip(clips, outcomes, strict=True):
        rows, images = {row.scale: row for row in outcome.records} if isinstance(outcome, Emit) else {}, stage.load(clip).images
        coarse = captioner.captions([images[blip2, clip.middle_frame]], "a photo of")
        fine = [captioner.captions([images[blip2, frame.frame]])[0] for frame in clip.frames]
        seen = [joined_once(answer.text for answer in said if fault_of(answer) is None) for said in (coarse, fine)]
        (fused,) = summariser.summaries([joined_once(sentence for text in seen for sentence in text.split(". "))])
        expected = {"coarse": (seen[0], coarse), "fine": (seen[1], fine), "fused": ("" if fault_of(fused) else fused.text, [fused])}
        assert {scale: (row.text, row.num_tokens) for scale, row in rows.items()} == {
            scale: (text, sum(answer.num_tokens or 0 for answer in said)) for scale, (text, said) in expected.items() if text
        }
        found |= {(scale, answer.finish) for scale, (_, said) in expected.items() for answer in said}
        dropped = {part.item_id: part.reason for part in outcome.dropped_parts}
        assert set(dropped) == {f"{clip.clip_id}/{scale}" for scale in (made_by if rows else ("coarse", "fine")) if scale not in rows}
        assert {scale: row.model for scale, row in rows.items()} == {scale: made_by[scale] for scale in rows}
        assert not any(row.is_stand_in for row in rows.values())
    assert {row.scale for outcome in outcomes if isinstance(outcome, Emit) for row in outcome.records} >= {"coarse", "fine"}
    assert {finish for _, finish in found} == {"stop", "length"}, "some texts end, some are cut off"


def test_clip_of_which_no_model_says_anything_is_dropped(tmp_path: Path, tiny_presets: tuple[ModelPreset, ModelPreset]):
    from safetensors.torch import load_file, save_file

    blip2, t5 = tiny_presets
    weights = Path(blip2.repository) / "model.safetensors"
    silent = tmp_path / "silent"
    silent.mkdir()
    for file in Path(blip2.repository).iterdir():
        (silent / file.name).write_bytes(file.read_bytes())
    zeros = {name: tensor * 0 for name, tensor in load_file(weights).items()}  # every word is as likely: the first one, padding, is chosen
    save_file(zeros, silent / "model.safetensors", metadata={"format": "pt"})
    mute = blip2.model_copy(update={"repository": str(silent)}).model_dump()
    clip = make_clip(tmp_path, "c", [plain("red"), plain("blue")])
    config = config_of(coarse={"model": mute}, fine={"model": mute}, fused={"model": t5.model_dump()})
    lost = tuple(PartDrop(f"c/{scale}", DropReason.EMPTY_CAPTION, "the model said nothing") for scale in ("coarse", "fine"))
    assert run(config, tmp_path, [clip]) == [Drop(DropReason.EMPTY_CAPTION, "the model said nothing", lost)]
    half = config_of(coarse={"model": mute}, fused=None)
    (outcome,) = run(half, tmp_path, [clip])
    assert list(by_scale(outcome)) == ["fine"] and outcome.dropped_parts == lost[:1]


def test_frames_that_look_like_the_last_one_are_not_shown(tmp_path: Path):
    changing = [noise(1), noise(1), plain("red"), plain("red"), plain("red"), noise(2), plain("blue"), plain("blue")]
    clip = make_clip(tmp_path, "c", changing)
    shown = by_scale(run(config_of(fine={"min_change": 1.0}), tmp_path, [clip])[0])["fine"]
    assert shown.frames == tuple(clip.frames[i].frame for i in (0, 2, 5, 6))
    assert shown.text == by_scale(run(config_of(), tmp_path, [clip])[0])["fine"].text, "the text is what it was with all of them"


ONLY_VLM = {"coarse": None, "fine": None, "fused": None}


@pytest.mark.parametrize("family", tiny_video.VLM_FAMILIES)
def test_vlm_says_what_its_model_says_of_the_frames_and_their_times(tmp_path: Path, family: tiny_video.VlmFamily):
    preset = tiny_video.save_vlm(tmp_path / "model", family, max_new_tokens=40)
    clips = [make_clip(tmp_path, f"c{i}", [noise(20 * i + j) for j in range(4 + i)]) for i in range(4)]
    config = config_of(vlm={"model": preset.model_dump(), "num_frames": 4, "prompt": "what is it?"}, **ONLY_VLM)
    outcomes = run(config, tmp_path, clips)
    captioner = build_video_captioner(preset)
    for clip, outcome in zip(clips, outcomes, strict=True):
        shown = clip.frames if len(clip.frames) == 4 else tuple(clip.frames[(2 * i + 1) * len(clip.frames) // 8] for i in range(4))
        jpegs = tuple(Root(str(tmp_path)).read_media(frame.media) for frame in shown)
        video = VideoFrames(jpegs, tuple(frame.time_s for frame in shown), clip.duration_s)
        (answer,) = captioner.answers([captioner.prepared(video, "what is it?")])
        if isinstance(outcome, Emit):
            (row,) = outcome.records
            assert (row.scale, row.text, row.num_tokens, row.prompt) == ("vlm", answer.text, answer.num_tokens, "what is it?")
            assert row.frames == tuple(frame.frame for frame in shown) and row.model == preset.name
        else:
            assert isinstance(outcome, Drop) and outcome.reason in (DropReason.TRUNCATED_CAPTION, DropReason.LOOPING_CAPTION)
            assert answer.text[:20] in outcome.message and answer.finish == "length"


def test_bad_texts_of_an_endpoint_are_dropped_by_name_and_lost_answers_fail(tmp_path: Path):
    clips = [make_clip(tmp_path, f"c{i}", [noise(i)] * 2) for i in range(6)]
    names = [caption_of(Root(str(tmp_path)).read_media(clip.frames[0].media)) for clip in clips]
    texts = {
        names[1]: {"message": {"content": "I'm sorry, but I can't assist with that."}},
        names[2]: {"message": {"content": "a dog " * 20}},
        names[3]: {"finish_reason": "length"},
        names[4]: {"message": {"content": " "}},
    }
    with ChatServer(Behaviour(texts=texts, refuses=names[5])) as server:
        preset = endpoint_preset(server.url).model_dump()
        alone = run(config_of(vlm={"model": preset}, **ONLY_VLM), tmp_path, clips)
        beside = run(config_of(vlm={"model": preset}, fine=None, fused=None), tmp_path, clips)
    assert [row.text for row in alone[0].records] == [names[0]]
    reasons = [DropReason.REFUSED_CAPTION, DropReason.LOOPING_CAPTION, DropReason.TRUNCATED_CAPTION, DropReason.EMPTY_CAPTION]
    assert [outcome.reason for outcome in alone[1:5]] == reasons
    assert [[part.reason for part in outcome.dropped_parts] for outcome in beside[:5]] == [[], *([reason] for reason in reasons)]
    assert [list(by_scale(outcome)) for outcome in beside[:5]] == [["coarse", "vlm"]] + [["coarse"]] * 4
    for outcome in (alone[5], beside[5]):
        assert isinstance(outcome, Fail) and outcome.error_class == "ModelError" and "status 400" in outcome.message


def test_endpoint_decides_how_far_loading_runs_ahead(tmp_path: Path):
    preset = endpoint_preset("http://127.0.0.1:9/v1", max_in_flight=64)
    resources = CaptionClips(config_of(vlm={"model": preset.model_dump()}, **ONLY_VLM)).resources
    assert (resources.load_threads, resources.gpus, resources.batch_size) == (64 * WINDOW, 0, 8)
    elsewhere = preset.model_copy(update={"endpoint": preset.endpoint.model_copy(update={"url": "http://other/v1", "max_in_flight": 3})})
    assert result_fields(elsewhere) == result_fields(preset), "where the model is served does not change what it says"


def test_video_model_without_a_prompt_is_refused():
    preset = endpoint_preset("http://127.0.0.1:9/v1").model_copy(update={"prompt": None}).model_dump()
    with pytest.raises(UsageError, match="model 'served-model' needs a prompt; give one here or in the preset"):
        config_of(vlm={"model": preset})
