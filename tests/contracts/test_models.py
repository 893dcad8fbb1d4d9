"""One suite per Protocol of `models/base.py`, over every implementation: the stand-ins, and the real adapters on tiny models."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.config.presets import ModelPreset, load_preset
from internvid_pipeline.errors import ContractError
from internvid_pipeline.models import _ADAPTERS as ADAPTERS
from internvid_pipeline.models import (
    AlignmentScorer,
    Captioner,
    SpeechRecogniser,
    Summariser,
    build_captioner,
    build_recogniser,
    build_scorer,
    build_summariser,
    one_each,
    tiny,
)
from tests.models.pictures import halves, noise, plain

os.environ["HF_HUB_OFFLINE"] = "1"

PICTURES = [plain("red"), noise(1, 90, 50), halves("white", "blue"), plain("red"), noise(2, 20, 100), plain("black", 200, 120)]
TEXTS = ["a red picture", "a dog runs. a dog runs. " * 20, "a red picture", "", "two people are cooking in a kitchen"]

CAPTIONERS = {"stand-in": lambda folder: load_preset("stand-in-captioner"), "blip2": tiny.save_tiny_blip2}
SUMMARISERS = {"stand-in": lambda folder: load_preset("stand-in-summariser"), "seq2seq": tiny.save_tiny_seq2seq}
SCORERS = {"stand-in": lambda folder: load_preset("stand-in-scorer"), "open_clip": tiny.save_tiny_open_clip}
RECOGNISERS = {
    "stand-in": lambda folder: load_preset("stand-in-recogniser"),
    "faster-whisper": lambda folder: tiny.save_tiny_faster_whisper(folder / "converted"),
    "whisper": tiny.save_tiny_whisper,
}
SOUNDS = [
    np.random.default_rng(seed).normal(0, 0.1 + 0.05 * seed, round(16_000 * seconds)).astype(np.float32)
    for seed, seconds in enumerate((3.0, 0.4, 30.0, 11.5, 7.25))
]
Save = Callable[[Path], ModelPreset]


def test_every_adapter_is_under_contract():
    covered = (
        {("caption", name) for name in CAPTIONERS} | {("summary", name) for name in SUMMARISERS} | {("alignment", name) for name in SCORERS}
    ) | {("speech", name) for name in RECOGNISERS}
    assert covered == set(ADAPTERS)


def preset_of(saves: dict[str, Save], adapter: str, folder: Path) -> ModelPreset:
    """The implementation's preset, its batches smaller than the inputs, so that they are cut."""
    return saves[adapter](folder).model_copy(update={"batch_size": 4, "max_new_tokens": 5})


def check_identity(model: Captioner | Summariser | AlignmentScorer | SpeechRecogniser, preset: ModelPreset) -> None:
    assert model.is_stand_in is preset.is_stand_in
    assert model.name == (f"stand-in-{preset.name.removeprefix('stand-in-')}" if preset.is_stand_in else preset.name)
    assert model.commit == ("v1" if preset.is_stand_in else "local")


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
        model, _ = captioner
        together = model.captions(PICTURES, prompt)
        assert together == [model.captions([picture], prompt)[0] for picture in PICTURES]
        assert together == model.captions(PICTURES, prompt)
        assert model.captions(PICTURES[::-1], prompt) == together[::-1]
        assert all(isinstance(text, str) and text == " ".join(text.split()) for text in together)
        assert len(set(together)) > 1

    def test_nothing_in_nothing_out(self, captioner: tuple[Captioner, ModelPreset]):
        assert captioner[0].captions([]) == []

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
        model, _ = summariser
        together = model.summaries(TEXTS, prompt)
        assert together == [model.summaries([text], prompt)[0] for text in TEXTS]
        assert together == model.summaries(TEXTS, prompt)
        assert model.summaries(TEXTS[::-1], prompt) == together[::-1]
        assert together[3] == "" and all(text == " ".join(text.split()) for text in together)
        assert len(set(together)) > 2

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

    def test_nothing_in_nothing_out(self, scorer: tuple[AlignmentScorer, ModelPreset]):
        width = scorer[0].embed_texts(["a"]).shape[1]
        assert scorer[0].embed_images([]).shape == scorer[0].embed_texts([]).shape == (0, width)


@pytest.fixture(scope="module", params=RECOGNISERS)
def recogniser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[SpeechRecogniser, ModelPreset]:
    preset = preset_of(RECOGNISERS, request.param, tmp_path_factory.mktemp("recogniser"))
    return build_recogniser(preset), preset


class TestSpeechRecogniser:
    def test_says_what_it_is(self, recogniser: tuple[SpeechRecogniser, ModelPreset]):
        assert isinstance(recogniser[0], SpeechRecogniser)
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
