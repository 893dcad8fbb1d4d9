"""What is said in English, and what is not taken for it."""

from dataclasses import replace
from pathlib import Path

import pytest

from internvid_pipeline.models import Answer, tiny
from internvid_pipeline.records import DropReason, SpeechRecord
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Emit, Item
from stages.translate_speech import TranslateSpeech
from tests.models.pictures import worker_at
from tests.stages.test_identify_languages import speech


class Writer:
    """A language model that answers from a list, and remembers what it was asked."""

    name, commit, is_stand_in = "writer", "0123abc", False

    def __init__(self, **answers: str | Answer) -> None:
        self.answers, self.asked = answers, []

    def summaries(self, texts, prompt=None):
        self.asked.append((prompt, list(texts)))
        found = [self.answers.get(text, f"English of {len(text)} letters") for text in texts]
        return [one if isinstance(one, Answer) else Answer(one) for one in found]


def stage_with(root: Path, writer: Writer | None, **config: object) -> TranslateSpeech:
    stage = build_stage("translate_speech", {"model": "stand-in-summariser", **config})
    stage.setup(worker_at(root))
    if writer is not None:
        stage._writers = dict.fromkeys(stage._writers, writer)
    return stage


def row(language: str, text: str, probability: float = 0.99) -> SpeechRecord:
    return replace(speech(("recognised", language, text)), language=language, language_probability=probability)


def test_languages_are_named_where_they_are_certain_and_english_is_left(tmp_path: Path):
    writer = Writer()
    rows = [row("fr", "il fait beau"), row("en", "hello there"), row("fr", "bonjour"), row("ja", "こんにちは", 0.6)]
    outcomes = stage_with(tmp_path, writer).process([Item(one) for one in rows])
    assert writer.asked == [
        ("Translate what is said in French to English. Answer with the translation alone.", ["il fait beau", "bonjour"]),
        ("Translate what is said to English. Answer with the translation alone.", ["こんにちは"]),
    ]
    found = [outcome.records[0] for outcome in outcomes]
    assert [one.translation for one in found] == ["English of 12 letters", None, "English of 7 letters", "English of 5 letters"]
    assert [one.text for one in found] == [one.text for one in rows], "the source text is kept"
    assert found[0].translated_by == "writer" and found[0].translation_commit == "0123abc" and "French" in found[0].translation_prompt
    assert [one.english for one in found] == ["English of 12 letters", "hello there", "English of 7 letters", "English of 5 letters"]


def test_answers_that_cannot_be_are_left_out_by_name_and_the_row_stays(tmp_path: Path):
    writer = Writer(
        一="一", 二="I'm sorry, I cannot do that.", 三='Sure, here is the translation: "Three."', 四=Answer("Four and", "length")
    )
    outcomes = stage_with(tmp_path, writer).process([Item(row("zh", text)) for text in "一二三四"])
    assert all(isinstance(outcome, Emit) for outcome in outcomes)
    assert [outcome.records[0].translation for outcome in outcomes] == [None, None, "Three.", None]
    lost = [part for outcome in outcomes for part in outcome.dropped_parts]
    assert [part.reason for part in lost] == [DropReason.NOT_TRANSLATED] * 3 and lost[0].item_id.endswith("/speech/translation")
    assert lost[2].message == "cut off at the bound of tokens: 'Four and'"


def test_english_subtitles_and_the_recognisers_own_english_need_no_model(tmp_path: Path):
    writer = Writer()
    parts = speech(
        ("recognised", "fr", "il fait beau"),
        ("recognised_in_english", "en", "it is nice"),
        ("manual_subtitles", "en", "The weather is fine"),
    )
    both = replace(parts, language="fr", language_probability=0.9)
    one = replace(both, transcripts=both.transcripts[:2])
    found = [outcome.records[0] for outcome in stage_with(tmp_path, writer).process([Item(both), Item(one)])]
    assert [(row.translation, row.translated_by) for row in found] == [
        ("The weather is fine", "m"),
        ("it is nice", "m"),
    ]
    assert writer.asked == []
    asked = stage_with(tmp_path, writer, sources=[]).process([Item(both)])[0].records[0]
    assert asked.translated_by == "writer"


@pytest.mark.parametrize("source", ["stand-in", "t5"])
def test_real_language_models_run(tmp_path: Path, source: str):
    preset = tiny.save_tiny_seq2seq(tmp_path / "t5").model_dump() if source == "t5" else "stand-in-summariser"
    stage = stage_with(tmp_path, None, model=preset)
    stage.prepare_node()
    outcome = stage.process([Item(row("fr", "un, deux, trois"))])[0]
    assert outcome.records[0].translation or outcome.dropped_parts[0].reason == DropReason.NOT_TRANSLATED
    assert outcome.records[0].is_stand_in is (source == "stand-in" and outcome.records[0].translation is not None)
    stage.teardown()
