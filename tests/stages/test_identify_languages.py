"""One agreed language per clip, with its evidence."""

from dataclasses import replace
from pathlib import Path

import pytest

from internvid_pipeline.records import LanguageEvidence, SpeechRecord, VideoRecord
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Item, WorkerContext
from internvid_pipeline.storage import Root
from stages.identify_languages import IdentifyLanguages, agreed
from tests.made_records import made_video
from tests.spoken import SENTENCES
from tests.stages.test_align_speech import align, transcript
from tests.text.test_alignment import said

pytest.importorskip("lingua", reason="the extra `speech` is not installed")
WEIGHTS = {"speech": 1.0, "text": 1.0, "subtitle": 0.8, "metadata": 0.4, "title": 0.2}


@pytest.fixture(scope="module")
def stage() -> IdentifyLanguages:
    built = build_stage("identify_languages", {"text_languages": list(SENTENCES), "exact": False})
    built.setup(WorkerContext(root=Root("/nowhere"), scratch=Path("/nowhere"), resources=built.resources))
    return built


def speech(*parts: tuple[str, str, str]) -> SpeechRecord:
    """Of (source, language, text)."""
    rows = []
    for source, language, text in parts:
        one = replace(said(text, 0.0, 5.0), language=language, language_probability=None if "subtitles" in source else 0.9)
        rows.append(transcript("v", (one,), source, track=language or "x", language=language))
    return align([("v", 0, 10)], rows)[0].records[0]


def identified(stage: IdentifyLanguages, row: SpeechRecord, **video: object) -> SpeechRecord:
    outcome = stage.process([Item(row, joined={VideoRecord: (made_video("v", **video),)})])[0]
    return outcome.records[0]


@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_of_a_text_alone(stage: IdentifyLanguages, language: str):
    row = identified(stage, speech(("manual_subtitles", "und", SENTENCES[language][1])))
    assert row.language == language and 0.5 <= row.language_probability <= 1
    assert [(one.kind, one.language) for one in row.evidence] == [("text", language)] and row.evidence[0].found_by.startswith("lingua ")
    assert row.transcripts[0].language == language


def test_all_evidence_is_kept_and_the_sure_ones_win(stage: IdentifyLanguages):
    text = SENTENCES["fr"][1]
    row = identified(
        stage,
        speech(("recognised", "fr", text), ("automatic_subtitles", "fr-CA", text)),
        language="en-US",
        title=SENTENCES["en"][1],
    )
    assert [(one.kind, one.language) for one in row.evidence] == [
        ("speech", "fr"),
        ("subtitle", "fr"),
        ("text", "fr"),
        ("metadata", "en"),
        ("title", "en"),
    ]
    assert row.language == "fr" and 0.5 < row.language_probability < 1


def test_a_translation_is_no_evidence_and_the_transcript_is_chosen_anew(stage: IdentifyLanguages):
    """English subtitles by people whose code nobody knew beat the recogniser until it is seen that they are English and it heard German."""
    before = speech(("manual_subtitles", "und", SENTENCES["en"][1]), ("recognised", "de", SENTENCES["de"][1]))
    assert before.source == "manual_subtitles"
    row = identified(stage, before)
    assert (row.source, row.language, row.text) == ("recognised", "de", SENTENCES["de"][1])
    assert {one.language for one in row.evidence} == {"de"}


def test_too_little_and_contradiction_are_und(stage: IdentifyLanguages):
    row = identified(stage, speech(("manual_subtitles", "und", "OK")))
    assert (row.language, row.language_probability, row.evidence) == ("und", None, ())
    one, other = LanguageEvidence("speech", "fr", 0.9, "m"), LanguageEvidence("text", "en", 0.9, "l")
    assert agreed([one, other], WEIGHTS, 0.6)[0] == "und"
    assert agreed([LanguageEvidence("speech", "fr", 0.2, "m")], WEIGHTS, 0.5) == ("und", 0.2)
    assert agreed([one, replace(other, language="fr")], WEIGHTS, 0.5) == ("fr", 0.9)
