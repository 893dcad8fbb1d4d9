"""Signs of text that a recogniser made up."""

import pytest

from internvid_pipeline.text.guards import compression_ratio, repeated_share
from internvid_pipeline.text.words import split_words


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("thank you " * 10, 1.0),
        ("Thank you. thank you, Thank you! thank YOU.", 1.0),
        ("谢谢谢谢谢谢谢谢", 1.0),
        ("and so it goes on and on", 0.0),
        ("no no no", 0.0),  # three times is emphasis
        ("well " * 5 + "that is another matter altogether I think", 5 / 12),
        ("", 0.0),
    ],
)
def test_repeated_share(text: str, share: float):
    assert repeated_share(list(split_words(text))) == pytest.approx(share, abs=0.01)


def test_compression_ratio_is_whispers():
    assert compression_ratio("") == 0
    assert compression_ratio("The quick brown fox jumps over the lazy dog.") < 1.1
    assert compression_ratio("Thanks for watching! " * 20) > 2.4
