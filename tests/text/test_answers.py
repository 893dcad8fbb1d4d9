"""Answers of language models that are taken, and those that are refused."""

import pytest

from internvid_pipeline.text.answers import cleaned, invented, one_sentence, translation_problem


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ('Sure, here is the translation: "Good day."', "Good day."),
        ("Translation: Good  day.\n", "Good day."),
        ("I'm sorry, but I cannot translate this.", ""),
        ("As an AI language model, I can't.", ""),
        ("He says: come here", "He says: come here"),
        ("“Good day”", "Good day"),
    ],
)
def test_preambles_quotes_and_refusals(answer: str, text: str):
    assert cleaned(answer) == text


def test_first_sentence_alone():
    assert one_sentence("A man rides a bicycle. He is happy.") == "A man rides a bicycle."
    assert one_sentence("A man at 3.5 m rides a bicycle") == "A man at 3.5 m rides a bicycle"
    assert one_sentence("Mr. Smith rides a bicycle slowly. It rains.") == "Mr. Smith rides a bicycle slowly."


@pytest.mark.parametrize(
    ("source", "translation", "problem"),
    [
        ("Il fait beau", "The weather is fine", None),
        ("Il fait beau", "", "empty"),
        ("今天天气很好", "今天天气很好", "Latin"),
        ("Hi", "word " * 100, "characters long"),
        ("x" * 200, "thank you " * 12, "over and over"),
    ],
)
def test_translations_that_cannot_be(source: str, translation: str, problem: str | None):
    found = translation_problem(source, translation)
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_words_that_no_input_has():
    inputs = ["a man rides a bicycle", "wind noise", "we are going to the park"]
    assert invented("A man riding a bicycle says they are going to the park.", inputs) == []
    assert invented("A man named Robert buys 3 apples.", inputs) == ["named", "robert", "buys", "3", "apples"]
