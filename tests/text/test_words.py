"""Words that join to the same text, in every script."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.text.words import joined, split_words, spread_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How are you?", ["How", " are", " you?"]),
        ("我们去，好吗？", ["我", "们", "去，", "好", "吗？"]),
        ("Apple手机很好 ok", ["Apple", "手", "机", "很", "好", " ok"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),  # vowel signs stay with their consonant
        ("안녕 하세요", ["안녕", " 하세요"]),
        ("مرحبا يا صديقي", ["مرحبا", " يا", " صديقي"]),
        ("hi 👨‍👩‍👧 é", ["hi", " 👨‍👩‍👧", " é"]),
        ("", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]):
    assert split_words(text) == words


@given(st.text(max_size=200))
def test_nothing_is_lost(text: str):
    words = split_words(text)
    assert "".join(words) == (text if text.strip() else "")
    assert all(word.strip() for word in words)


@given(st.text(min_size=1, max_size=80).filter(str.strip), st.floats(0, 1e5), st.floats(0, 1e4))
def test_spread_words_fill_the_span(text: str, start_s: float, length_s: float):
    words = spread_words(text, start_s, start_s + length_s)
    assert joined(words) == text.strip() and words[-1].end_s == start_s + length_s and words[0].start_s == start_s
    assert all(word.start_s <= word.end_s for word in words)
    assert all(one.end_s <= other.start_s + 1e-9 for one, other in itertools.pairwise(words))


def test_longer_words_take_longer():
    words = spread_words("a bbb", 10.0, 18.0)
    assert [(word.start_s, word.end_s) for word in words] == [(10.0, 12.0), (12.0, 18.0)]
