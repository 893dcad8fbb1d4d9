"""Marks of music, laughter and silence in the languages at hand."""

import pytest

from internvid_pipeline.text.non_speech import without_marks
from internvid_pipeline.text.words import joined, spread_words

MARKS = [
    *("[Music]", "[MUSIC PLAYING]", "(laughter)", "*applause*", "♪♪♪", "🎵", "[ Silence ]", "[BLANK_AUDIO]", "[inaudible]", "[Applause]"),
    *("[музыка]", "(Смех)", "[Аплодисменты]", "[Música]", "[risas]", "[Musique]", "(rires)", "[Musik]", "[Gelächter]", "[Applaus]"),
    *("[Musica]", "[音楽]", "（拍手）", "[笑]", "【掌声】", "[音乐]", "（笑聲）", "[음악]", "(박수)", "[موسيقى]", "[تصفيق]", "[מוזיקה]"),
    *(
        "[संगीत]",
        "[हँसी]",
        "[Müzik]",
        "[Alkış]",
        "[âm nhạc]",
        "[vỗ tay]",
        "[เสียงหัวเราะ]",
        "[muzyka]",
        "[μουσική]",
        "[গান] [সঙ্গীত]"[6:],
        "[இசை]",
    ),
    *("[Music] [Applause]", "- [laughs] -", "♪ [instrumental music] ♪"),
]
SPEECH = [
    *(
        "I love music",
        "[John] Hello there",
        "(whispering) come here",
        "He said [sic] that",
        "Musik ist schön",
        "音楽が好き",
        "мы слушаем музыку",
    ),
    *("a * b * c", "[ __ ]ing hell", "(1994)", "x < y and y > z"),
]


def words(text: str) -> str:
    return joined(without_marks(spread_words(text, 0.0, 5.0)))


@pytest.mark.parametrize("text", MARKS)
def test_marks_are_no_speech(text: str):
    assert words(text) == ""


@pytest.mark.parametrize("text", SPEECH)
def test_speech_stays_as_it_is(text: str):
    assert words(text) == text


def test_marks_are_taken_out_of_speech():
    assert words("[Music] hello there (laughs) friend") == "hello there friend"
    assert words("[upbeat music]Hello") == "Hello"
    assert words("♪ la la la ♪") == "la la la"
    assert words("你好（笑聲）世界") == "你好世界"


def test_long_text_takes_linear_time():
    text = "[Music] " * 100_000 + "[" * 100_000 + "end"
    assert words(text).endswith("end")
