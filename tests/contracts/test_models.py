"""One suite per Protocol of `models/base.py`, over every implementation: the stand-ins, and the real adapters on tiny models."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from internvid_pipeline.config.presets import ModelPreset, load_preset
from internvid_pipeline.errors import ContractError, ModelError
from internvid_pipeline.models import _ADAPTERS as ADAPTERS
from internvid_pipeline.models import (
    AlignmentScorer,
    Answer,
    Captioner,
    EmbeddingRater,
    ImageClassifier,
    SpeechRecogniser,
    Summariser,
    TextReader,
    VideoCaptioner,
    VideoFrames,
    VideoTextScorer,
    build_captioner,
    build_classifier,
    build_rater,
    build_reader,
    build_recogniser,
    build_scorer,
    build_summariser,
    build_video_captioner,
    build_video_scorer,
    one_each,
    tiny,
    tiny_video,
    tiny_whisper,
)
from tests.models.chat_server import ChatServer, endpoint_preset
from tests.models.pictures import halves, jpeg, noise, plain, written
from tests.models.tiny_viclip import tiny_viclip_at

os.environ["HF_HUB_OFFLINE"] = "1"

PICTURES = [plain("red"), noise(1, 90, 50), halves("white", "blue"), plain("red"), noise(2, 20, 100), plain("black", 200, 120)]
TEXTS = ["a red picture", "a dog runs. a dog runs. " * 20, "a red picture", "", "two people are cooking in a kitchen"]

CAPTIONERS = {"stand-in": lambda folder: load_preset("stand-in-captioner"), "blip2": tiny.save_tiny_blip2}
SUMMARISERS = {
    "stand-in": lambda folder: load_preset("stand-in-summariser"),
    "seq2seq": tiny.save_tiny_seq2seq,
    "instruct": tiny.save_tiny_instruct,
    "openai": lambda folder: endpoint_preset(ChatServer.started().url, "summary"),
}
VIDEO_CAPTIONERS = {
    "stand-in": lambda folder: load_preset("stand-in-video-captioner"),
    "transformers": lambda folder: tiny_video.save_vlm(folder, "internvl"),
    "openai": lambda folder: endpoint_preset(ChatServer.started().url),
}
VIDEO_SCORERS = {
    "stand-in": lambda folder: contextlib.nullcontext(load_preset("stand-in-video-scorer")),
    "xclip": lambda folder: contextlib.nullcontext(tiny.save_tiny_xclip(folder)),
    "viclip": tiny_viclip_at,
}
RATERS = {"stand-in": lambda folder: load_preset("stand-in-rater"), "linear_head": tiny.save_tiny_head}
CLASSIFIERS = {"stand-in": lambda folder: load_preset("stand-in-classifier"), "image_classifier": tiny.save_tiny_classifier}
READERS = {"stand-in": lambda folder: load_preset("stand-in-reader"), "rapidocr": lambda folder: load_preset("rapidocr")}
UNTESTED = {("video_caption", "vllm")}  # vLLM runs on a GPU only: benchmarks/gpu
SCORERS = {"stand-in": lambda folder: load_preset("stand-in-scorer"), "open_clip": tiny.save_tiny_open_clip}
RECOGNISERS = {
    "stand-in": lambda folder: load_preset("stand-in-recogniser"),
    "faster-whisper": lambda folder: tiny_whisper.save_tiny_faster_whisper(folder / "converted"),
    "whisper": tiny_whisper.save_tiny_whisper,
}
SOUNDS = [
    np.random.default_rng(seed).normal(0, 0.1 + 0.05 * seed, round(16_000 * seconds)).astype(np.float32)
    for seed, seconds in enumerate((3.0, 0.4, 30.0, 11.5, 7.25))
]
Save = Callable[[Path], ModelPreset]


def test_every_adapter_is_under_contract():
    implementations = {
        "caption": CAPTIONERS,
        "summary": SUMMARISERS,
        "video_caption": VIDEO_CAPTIONERS,
        "alignment": SCORERS,
        "video_alignment": VIDEO_SCORERS,
        "aesthetic": RATERS,
        "safety": CLASSIFIERS,
        "watermark": {"image_classifier": CLASSIFIERS["image_classifier"]},
        "text_overlay": READERS,
        "speech": RECOGNISERS,
    }
    assert {(task, name) for task, names in implementations.items() for name in names} | UNTESTED == set(ADAPTERS)
    assert ADAPTERS["watermark", "image_classifier"] == ADAPTERS["safety", "image_classifier"], "one class, tested once"


def preset_of(saves: dict[str, Save], adapter: str, folder: Path) -> ModelPreset:
    """The implementation's preset, its batches smaller than the inputs, so that they are cut."""
    return saves[adapter](folder).model_copy(update={"batch_size": 4, "max_new_tokens": 5})


def check_prepared(model: Captioner | AlignmentScorer | ImageClassifier, results: Callable[[list[Any]], Any]) -> None:
    """Pictures scaled ahead of time give what the pictures themselves give, and scaling twice changes nothing."""
    prepared = [model.prepared(picture) for picture in PICTURES]
    assert all(one.dtype == np.uint8 and one.ndim == 3 and one.shape[2] == 3 for one in prepared)
    assert all(np.array_equal(model.prepared(one), one) for one in prepared)
    assert np.array_equal(np.array(results(prepared)), np.array(results(PICTURES)))


def check_identity(model: Captioner | Summariser | AlignmentScorer | SpeechRecogniser, preset: ModelPreset) -> None:
    assert model.is_stand_in is preset.is_stand_in
    assert model.name == preset.published_name
    assert model.commit == ("v1" if preset.is_stand_in else preset.commit or "local")


def check_answers(answers: list[Answer], preset: ModelPreset) -> None:
    """Each says how long it is and how it ended: a text as long as the model may write was cut off, if the model did not end it there."""
    for answer in answers:
        assert answer.text == " ".join(answer.text.split()) and answer.error is None and answer.num_tokens is not None
        is_cut = answer.num_tokens == preset.max_new_tokens and not preset.is_stand_in
        assert answer.finish == ("length" if is_cut else "stop")
    if preset.adapter not in ("stand-in", "openai"):
        assert "length" in {answer.finish for answer in answers}, "tiny models rarely end by themselves"


@pytest.fixture(scope="module", params=CAPTIONERS)
def captioner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Captioner, ModelPreset]:
    preset = preset_of(CAPTIONERS, request.param, tmp_path_factory.mktemp("captioner"))
    return build_captioner(preset), preset


class TestCaptioner:
    def test_says_what_it_is(self, captioner: tuple[Captioner, ModelPreset]):
        assert isinstance(captioner[0], Captioner)
        check_identity(*captioner)

    @pytest.mark.parametrize("prompt", [None, "a photo of"])
    def test_one_text_per_picture_whatever_its_neighbours(self, captioner: tuple[Captioner, ModelPreset], prompt: str | None):
        model, preset = captioner
        together = model.captions(PICTURES, prompt)
        assert together == [model.captions([picture], prompt)[0] for picture in PICTURES]
        assert together == model.captions(PICTURES, prompt)
        assert model.captions(PICTURES[::-1], prompt) == together[::-1]
        check_answers(together, preset)
        assert len({answer.text for answer in together}) > 1

    def test_nothing_in_nothing_out(self, captioner: tuple[Captioner, ModelPreset]):
        assert captioner[0].captions([]) == []

    def test_pictures_can_be_scaled_ahead(self, captioner: tuple[Captioner, ModelPreset]):
        check_prepared(captioner[0], captioner[0].captions)

    def test_pictures_are_left_as_they_were(self, captioner: tuple[Captioner, ModelPreset]):
        picture = PICTURES[1].copy()
        captioner[0].captions([picture])
        assert np.array_equal(picture, PICTURES[1])


@pytest.fixture(scope="module", params=SUMMARISERS)
def summariser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Summariser, ModelPreset]:
    preset = preset_of(SUMMARISERS, request.param, tmp_path_factory.mktemp("summariser"))
    return build_summariser(preset), preset


class TestSummariser:
    def test_says_what_it_is(self, summariser: tuple[Summariser, ModelPreset]):
        assert isinstance(summariser[0], Summariser)
        check_identity(*summariser)

    @pytest.mark.parametrize("prompt", [None, "in one sentence:"])
    def test_one_text_per_input_whatever_its_neighbours(self, summariser: tuple[Summariser, ModelPreset], prompt: str | None):
        model, preset = summariser
        together = model.summaries(TEXTS, prompt)
        assert together == [model.summaries([text], prompt)[0] for text in TEXTS]
        assert together == model.summaries(TEXTS, prompt)
        assert model.summaries(TEXTS[::-1], prompt) == together[::-1]
        assert together[3].text == ""
        check_answers([*together[:3], together[4]], preset)
        assert len({answer.text for answer in together}) > 2

    def test_nothing_in_nothing_out(self, summariser: tuple[Summariser, ModelPreset]):
        assert summariser[0].summaries([]) == []


@pytest.fixture(scope="module", params=SCORERS)
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[AlignmentScorer, ModelPreset]:
    preset = preset_of(SCORERS, request.param, tmp_path_factory.mktemp("scorer"))
    return build_scorer(preset), preset


class TestAlignmentScorer:
    def test_says_what_it_is(self, scorer: tuple[AlignmentScorer, ModelPreset]):
        assert isinstance(scorer[0], AlignmentScorer)
        check_identity(*scorer)

    def test_rows_of_length_one_in_one_space(self, scorer: tuple[AlignmentScorer, ModelPreset]):
        images, texts = scorer[0].embed_images(PICTURES), scorer[0].embed_texts(TEXTS)
        assert images.dtype == texts.dtype == np.float32
        assert images.shape == (len(PICTURES), texts.shape[1]) and texts.shape[0] == len(TEXTS)
        np.testing.assert_allclose(np.linalg.norm(np.concatenate([images, texts]), axis=1), 1, atol=1e-5)

    def test_rows_do_not_depend_on_their_neighbours(self, scorer: tuple[AlignmentScorer, ModelPreset]):
        model, _ = scorer
        images, texts = model.embed_images(PICTURES), model.embed_texts(TEXTS)
        np.testing.assert_allclose(images, np.concatenate([model.embed_images([picture]) for picture in PICTURES]), atol=1e-5)
        np.testing.assert_allclose(texts, np.concatenate([model.embed_texts([text]) for text in TEXTS]), atol=1e-5)
        assert np.array_equal(images, model.embed_images(PICTURES)) and np.array_equal(texts, model.embed_texts(TEXTS))
        assert np.abs(images[0] - images[1]).max() > 1e-3 and np.abs(texts[0] - texts[1]).max() > 1e-3

    def test_pictures_can_be_scaled_ahead(self, scorer: tuple[AlignmentScorer, ModelPreset]):
        check_prepared(scorer[0], scorer[0].embed_images)

    def test_nothing_in_nothing_out(self, scorer: tuple[AlignmentScorer, ModelPreset]):
        width = scorer[0].embed_texts(["a"]).shape[1]
        assert scorer[0].embed_images([]).shape == scorer[0].embed_texts([]).shape == (0, width)


@pytest.fixture(scope="module", params=RECOGNISERS)
def recogniser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[SpeechRecogniser, ModelPreset]:
    preset = preset_of(RECOGNISERS, request.param, tmp_path_factory.mktemp("recogniser"))
    return build_recogniser(preset), preset


class TestSpeechRecogniser:
    def test_says_what_it_is(self, recogniser: tuple[SpeechRecogniser, ModelPreset]):
        assert isinstance(recogniser[0], SpeechRecogniser) and recogniser[0].batch_size >= 1
        check_identity(*recogniser)

    @pytest.mark.parametrize(("language", "in_english"), [(None, False), ("zh", True)])
    def test_one_answer_per_sound_whatever_its_neighbours(
        self, recogniser: tuple[SpeechRecogniser, ModelPreset], language: str | None, in_english: bool
    ):
        model, preset = recogniser
        together = model.recognise(SOUNDS, language, in_english)
        alone = [model.recognise([sound], language, in_english)[0] for sound in SOUNDS]
        assert [(one.language, [word.text for word in one.words]) for one in together] == [
            (one.language, [word.text for word in one.words]) for one in alone
        ]
        for one, other in zip(together, alone, strict=True):
            assert one.mean_log_probability == pytest.approx(other.mean_log_probability, abs=0.02)
            assert [word.start_s for word in one.words] == pytest.approx([word.start_s for word in other.words], abs=0.021)
        again = model.recognise(SOUNDS[::-1], language, in_english)[::-1]
        assert [one.words for one in again] == [one.words for one in together]
        if language and not preset.is_stand_in:
            assert {one.language for one in together} == {language}
        assert len({tuple(word.text for word in one.words) for one in together}) > 1

    def test_words_lie_in_the_sound_in_order(self, recogniser: tuple[SpeechRecogniser, ModelPreset]):
        answers = recogniser[0].recognise(SOUNDS)
        assert sum(len(one.words) for one in answers) >= len(SOUNDS)
        for sound, one in zip(SOUNDS, answers, strict=True):
            times = [(word.start_s, word.end_s) for word in one.words]
            assert all(0 <= start <= end <= sound.shape[0] / 16_000 for start, end in times)
            assert [start for start, _ in times] == sorted(start for start, _ in times)
            assert all(isinstance(value, float) for span in times for value in span)
            assert 0 <= one.language_probability <= 1 and 0 <= one.no_speech_probability <= 1 and one.mean_log_probability <= 0
            assert all(word.text.strip() and 0 <= word.probability <= 1 for word in one.words)

    def test_languages_are_those_of_the_answers(self, recogniser: tuple[SpeechRecogniser, ModelPreset]):
        model, _ = recogniser
        answers = model.recognise(SOUNDS)
        for (code, probability), one in zip(model.languages(SOUNDS), answers, strict=True):
            assert code == one.language and probability == pytest.approx(one.language_probability, abs=0.02)

    def test_nothing_in_nothing_out(self, recogniser: tuple[SpeechRecogniser, ModelPreset]):
        assert recogniser[0].recognise([]) == [] and recogniser[0].languages([]) == []


def test_lost_answer_is_a_broken_contract():
    captioner = build_captioner(load_preset("stand-in-captioner"))
    assert one_each(captioner, ["a", "b"], 2) == ["a", "b"]
    with pytest.raises(ContractError, match="'stand-in-captioner' gave 1 answers for 2 inputs"):
        one_each(captioner, ["a"], 2)


def clip(seed: int, num_frames: int = 4) -> VideoFrames:
    frames = tuple(jpeg(noise(10 * seed + i)) for i in range(num_frames))
    return VideoFrames(frames, tuple(0.5 * i for i in range(num_frames)), 0.5 * num_frames, f"clip {seed}")


@pytest.fixture(scope="module", params=VIDEO_CAPTIONERS)
def video_captioner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoCaptioner, ModelPreset]:
    preset = preset_of(VIDEO_CAPTIONERS, request.param, tmp_path_factory.mktemp("video-captioner"))
    return build_video_captioner(preset), preset


class TestVideoCaptioner:
    def test_says_what_it_is(self, video_captioner: tuple[VideoCaptioner, ModelPreset]):
        assert isinstance(video_captioner[0], VideoCaptioner)
        check_identity(*video_captioner)

    def test_one_answer_per_clip_whatever_its_neighbours(self, video_captioner: tuple[VideoCaptioner, ModelPreset]):
        model, _ = video_captioner
        clips = [clip(1), clip(2), clip(1), clip(3, 2), clip(4, 1), clip(5)]

        def texts(chosen: list[VideoFrames]) -> list[str]:
            return [answer.text for answer in model.answers([model.prepared(one, "describe") for one in chosen])]

        together = texts(clips)
        assert together == [texts([one])[0] for one in clips]
        assert texts(clips[::-1]) == together[::-1]
        assert together[0] == together[2]
        assert all(text == " ".join(text.split()) for text in together)
        assert texts([]) == []

    def test_says_how_it_ended(self, video_captioner: tuple[VideoCaptioner, ModelPreset]):
        model, _ = video_captioner
        (answer,) = model.answers([model.prepared(clip(1), "describe")])
        assert answer.finish in ("stop", "length") and answer.num_tokens and answer.error is None


@pytest.fixture(scope="module", params=VIDEO_SCORERS)
def video_scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VideoTextScorer, ModelPreset]]:
    with VIDEO_SCORERS[request.param](tmp_path_factory.mktemp("video-scorer")) as preset:
        yield build_video_scorer(preset), preset


class TestVideoTextScorer:
    def test_says_what_it_is(self, video_scorer: tuple[VideoTextScorer, ModelPreset]):
        assert isinstance(video_scorer[0], VideoTextScorer)
        check_identity(*video_scorer)

    def test_scores_do_not_depend_on_their_neighbours(self, video_scorer: tuple[VideoTextScorer, ModelPreset]):
        model, _ = video_scorer
        videos = [PICTURES[:3], PICTURES * 2, PICTURES[2:3], PICTURES[:3], PICTURES[1:]]
        texts = ["a red picture", "a dog", "a red picture", "two people are cooking", "x"]
        together = model.scores(videos, texts)
        assert together.dtype == np.float32 and together.shape == (5,) and np.abs(together).max() <= 1 + 1e-5
        alone = [float(model.scores([video], [text])[0]) for video, text in zip(videos, texts, strict=True)]
        np.testing.assert_allclose(together, alone, atol=1e-5)
        assert len({round(value, 5) for value in alone}) > 3
        assert model.scores([], []).shape == (0,)
        ahead = [[model.prepared(picture) for picture in video] for video in videos]
        assert np.array_equal(model.scores(ahead, texts), together), "pictures can be scaled ahead"


@pytest.fixture(params=RATERS)
def rater(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[EmbeddingRater, ModelPreset]:
    preset = RATERS[request.param](tmp_path)
    return build_rater(preset), preset


class TestEmbeddingRater:
    def test_rates_each_row_by_itself(self, rater: tuple[EmbeddingRater, ModelPreset]):
        model, preset = rater
        assert isinstance(model, EmbeddingRater)
        check_identity(model, preset)
        width = build_scorer(load_preset("stand-in-scorer")).embed_texts(["a"]).shape[1] if preset.is_stand_in else 32
        rows = np.random.default_rng(5).normal(size=(6, width)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        ratings = model.ratings(rows)
        assert ratings.dtype == np.float32 and ratings.shape == (6,) and len(set(ratings.tolist())) > 1
        np.testing.assert_allclose(ratings, np.concatenate([model.ratings(rows[i : i + 1]) for i in range(6)]), atol=1e-6)
        assert model.ratings(rows[:0]).shape == (0,)
        with pytest.raises(ModelError, match=f"rates embeddings of {width} numbers, these have 3"):
            model.ratings(rows[:, :3])


@pytest.fixture(scope="module", params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageClassifier, ModelPreset]:
    preset = preset_of(CLASSIFIERS, request.param, tmp_path_factory.mktemp("classifier"))
    return build_classifier(preset), preset


class TestImageClassifier:
    def test_says_what_it_is(self, classifier: tuple[ImageClassifier, ModelPreset]):
        assert isinstance(classifier[0], ImageClassifier)
        check_identity(*classifier)

    def test_one_probability_per_picture_whatever_its_neighbours(self, classifier: tuple[ImageClassifier, ModelPreset]):
        model, _ = classifier
        together = model.probabilities(PICTURES)
        assert together.dtype == np.float32 and (together >= 0).all() and (together <= 1).all()
        np.testing.assert_allclose(together, np.concatenate([model.probabilities([picture]) for picture in PICTURES]), atol=1e-5)
        assert model.probabilities([]).shape == (0,)

    def test_pictures_can_be_scaled_ahead(self, classifier: tuple[ImageClassifier, ModelPreset]):
        check_prepared(classifier[0], classifier[0].probabilities)


@pytest.fixture(scope="module", params=READERS)
def reader(request: pytest.FixtureRequest) -> tuple[TextReader, ModelPreset]:
    if request.param == "rapidocr":
        pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    preset = READERS[request.param](Path())
    return build_reader(preset), preset


class TestTextReader:
    def test_boxes_lie_in_the_picture(self, reader: tuple[TextReader, ModelPreset]):
        model, preset = reader
        assert isinstance(model, TextReader)
        check_identity(model, preset)
        picture = written("GOOD MORNING", 320, 180)
        boxes = model.boxes(noise(1, 320, 180) if preset.is_stand_in else picture)
        assert boxes and all(0 <= box.confidence <= 1 and len(box.corners) == 4 for box in boxes)
        assert all(-2 <= x <= 322 and -2 <= y <= 182 for box in boxes for x, y in box.corners)
        assert model.boxes(plain("blue", 320, 180)) == []
        if not preset.is_stand_in:
            assert [box.text for box in boxes] == ["GOOD MORNING"]
