"""Texts cut into words that join to the same text again, and times for words that have none."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

from internvid_pipeline.records import SpokenWord

# Scripts that are written without spaces: Thai, Lao, Burmese, Khmer, kana, bopomofo, Han. (Hangul has spaces.)
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")  # zero-width joiner, variation selectors


def is_unspaced(character: str) -> bool:
    """True for a character of a script without spaces, or of its full-width punctuation."""
    return bool(_UNSPACED.match(character)) or "\u3000" <= character <= "\u303f" or "\uff00" <= character <= "\uff65"


def split_words(text: str) -> list[str]:
    """Words with the spaces before them; characters (with their marks) of scripts without spaces one by one. Joined they are `text`;
    trailing spaces belong to the last word."""
    words: list[str] = []
    for token in re.findall(r"\s*\S+", text):
        if _UNSPACED.search(token):
            words += _characters(token)
        else:
            words.append(token)
    rest = text[sum(map(len, words)) :]
    if rest and words:
        words[-1] += rest
    return words


def _characters(token: str) -> list[str]:
    """A token with characters of an unspaced script: each of these is a word, runs of others stay together; marks, joiners and
    punctuation stay with what they follow. Linear in the length."""
    starts = [0]
    has_unspaced, is_blank = False, True  # of the piece so far
    for i, character in enumerate(token):
        unspaced = bool(_UNSPACED.match(character))
        follows = unicodedata.category(character)[0] in "MP" or character in _JOINERS or token[i - 1 : i] == "\u200d"
        in_run = not has_unspaced and not unspaced
        if i and not (follows or in_run or is_blank):
            starts.append(i)
            has_unspaced, is_blank = False, True
        has_unspaced, is_blank = has_unspaced or unspaced, is_blank and character.isspace()
    return [token[start:end] for start, end in pairwise([*starts, len(token)])]


def joined(words: Sequence[SpokenWord]) -> str:
    """The text of words."""
    return "".join(word.text for word in words).strip()


def spread_words(text: str, start_s: float, end_s: float) -> tuple[SpokenWord, ...]:
    """Words of a text whose times are not known, one after the other over the span, each as long as it has characters."""
    texts = split_words(text)
    weights = [max(1, len(part.strip())) for part in texts]
    total, done = sum(weights), 0
    words = []
    for part, weight in zip(texts, weights, strict=True):
        begin = start_s + (end_s - start_s) * done / total
        done += weight
        finish = end_s if done == total else start_s + (end_s - start_s) * done / total
        words.append(SpokenWord(text=part, start_s=min(begin, finish), end_s=finish))
    return tuple(words)
