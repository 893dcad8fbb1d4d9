"""The language of texts, over a chosen set."""

import pytest

from internvid_pipeline.errors import UsageError
from tests.spoken import SENTENCES

pytest.importorskip("lingua", reason="the extra `speech` is not installed")
from internvid_pipeline.models.lingua_text import LinguaIdentifier

CHOSEN = (*SENTENCES, "pt", "it", "ko", "th", "he", "uk", "vi", "nb")


@pytest.fixture(scope="module")
def identifier() -> LinguaIdentifier:
    return LinguaIdentifier(CHOSEN, min_letters=12, min_confidence=0.5, is_exact=False)


@pytest.mark.parametrize("language", SENTENCES)
def test_the_language_of_a_sentence(identifier: LinguaIdentifier, language: str):
    ((found, confidence),) = identifier.languages([SENTENCES[language][1]])
    assert found == language and confidence >= 0.5


@pytest.mark.parametrize("text", ["", "OK", "1984 -- 2001", "😀😀😀", "Taxi", "好"])
def test_too_little_is_no_evidence(identifier: LinguaIdentifier, text: str):
    assert identifier.languages([text]) == [("und", 0.0)]


def test_few_characters_without_spaces_are_enough(identifier: LinguaIdentifier):
    assert [code for code, _ in identifier.languages(["今天天气很好", "안녕하세요 여러분 반갑습니다", "สวัสดีครับทุกคน"])] == ["zh", "ko", "th"]


def test_unknown_languages_are_refused():
    with pytest.raises(UsageError, match="text languages xx are not known to lingua"):
        LinguaIdentifier(("en", "xx"), 12, 0.5, False)
