"""Joining captions of neighbouring frames without saying the same thing twice."""

import re
from collections.abc import Iterable

_ARTICLES = frozenset({"a", "an", "the"})


def joined_once(texts: Iterable[str]) -> str:
    """The texts in order, each near-identical one once, joined by period and space; an empty text where none says anything.

    Joined as VideoChat-Text does it, whose two models InternVid used. Near-identical: the same words in the same order
    apart from case, punctuation and articles.
    """
    kept: dict[tuple[str, ...], str] = {}
    for text in texts:
        cleaned = " ".join(text.split()).rstrip(" .")
        words = tuple(word for word in re.findall(r"\w+", cleaned.casefold()) if word not in _ARTICLES)
        if words:
            kept.setdefault(words, cleaned)
    return ". ".join(kept.values())
