"""Verbs and nouns of captions, against captions tagged by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.report.words import count_words, singular, verb_base, verbs_and_nouns

TAGGED = [
    ("a man is riding a red bike down the street", "ride", "man bike street"),
    ("two dogs running on the beach near a lifeguard tower", "run", "dog beach tower"),
    ("a woman in a blue dress dancing with her children", "dance", "woman dress child"),
    ("the building's ceiling is painted white", "", "ceiling"),
    ("people are playing basketball in a gym", "play", "person basketball gym"),
    ("a running dog jumps over the fence", "jump", "dog fence"),
    ("He is sitting at a table, eating a bowl of noodles", "sit eat", "table bowl"),
    ("a man rides a horse", "ride", "man horse"),
    ("cooking pasta in a pot", "cook", "pasta pot"),
    ("a person wearing glasses", "wear", "person glass"),
    ("a bus and a glass on the grass", "", "bus glass grass"),
]


@pytest.mark.parametrize(("caption", "verbs", "nouns"), TAGGED)
def test_captions_tagged_by_hand(caption: str, verbs: str, nouns: str):
    assert verbs_and_nouns(caption) == (set(verbs.split()), set(nouns.split()))


def test_forms():
    assert [verb_base(form) for form in ("riding", "running", "playing", "sitting", "talking")] == ["ride", "run", "play", "sit", "talk"]
    assert [singular(noun) for noun in ("bikes", "boxes", "ladies", "women", "glass", "bus")] == [
        "bike",
        "box",
        "lady",
        "woman",
        "glass",
        "bus",
    ]


def test_a_word_counts_once_in_a_caption():
    verbs, nouns = count_words(["a dog running, a dog running", "a dog sleeping"])
    assert (nouns["dog"], verbs["run"], verbs["sleep"]) == (2, 1, 1)


@given(st.text(max_size=200))
def test_any_text_can_be_counted(text: str):
    verbs, nouns = verbs_and_nouns(text)
    assert all(word and word.isascii() for word in verbs | nouns)
