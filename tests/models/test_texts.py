import pytest

from internvid_pipeline.models import joined_once


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["a dog runs", "a cat"], "a dog runs. a cat"),
        (["A dog runs.", "the dog  runs", "a dog, runs", "a cat"], "A dog runs. a cat"),
        (["a dog runs", "a cat", "a dog runs"], "a dog runs. a cat"),
        (["dog bites man", "man bites dog"], "dog bites man. man bites dog"),
        (["", "  ", "...", "a cat"], "a cat"),
        (["一只狗", "一只猫", "一只狗。"], "一只狗. 一只猫"),
        ([], ""),
    ],
)
def test_near_identical_texts_are_joined_once(texts: list[str], joined: str):
    assert joined_once(texts) == joined
