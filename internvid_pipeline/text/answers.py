"""What a language model answered, held against what it was asked: translations and fused captions that cannot be true are refused."""

import re
import unicodedata
from collections.abc import Sequence

from internvid_pipeline.text.guards import repeated_share
from internvid_pipeline.text.words import split_words

_PREAMBLE = re.compile(
    r"^(?:sure|certainly|of course|here(?:'s| is)|translation|english(?: translation)?|caption|output|answer|merged caption)\b"
    r"[^:\n]{0,60}:\s*",
    re.IGNORECASE,
)
_REFUSAL = re.compile(r"^(?:i'm|i am|i|as an?)\b[^.]{0,40}\b(?:sorry|cannot|can't|unable|ai\b|language model|apologi[sz]e)", re.IGNORECASE)
_QUOTES = "\"'“”‘’«»„`*"
_SENTENCE = re.compile(r"^.{15,}?[^\W\d_]{3}[.!?]+[\"'”’)]?(?=\s+[A-Z\"'“‘(]|$)", re.DOTALL)
_MOST_TIMES_LONGER = 6.0
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|er|s|e)$")
_STEM = 5  # letters of a word without its ending that must be the same: rides, riding, rider
_COMMON = (
    "about above across after again along also among another around because been before behind being below beside between both clip "
    "could describes does doing down during each features from have having here into like near next other over scene says saying seen "
    "several shows showing some someone something speaker speaking speaks talking talks that their them then there these they this "
    "those through together toward towards under until upon very video voice what when where which while with within without would "
    "person people sound sounds audio heard visible"
)
_SMALL_WORDS = frozenset(_COMMON.split())


def cleaned(answer: str) -> str:
    """The answer without a preamble (`Sure, here is the translation:`) and quotation marks around it; empty for a refusal."""
    text = " ".join(answer.split())
    text = _PREAMBLE.sub("", text).strip()
    if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text.strip(_QUOTES).strip()
    return "" if _REFUSAL.match(text) else text


def one_sentence(text: str) -> str:
    """The first sentence of a text."""
    match = _SENTENCE.match(text)
    return (match[0] if match else text).strip()


def translation_problem(source: str, translation: str) -> str | None:
    """Why an English translation is not to be believed, None where nothing speaks against it."""
    if not translation:
        return "the answer is empty or a refusal"
    letters = [character for character in translation if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    if not letters or latin < 0.7 * len(letters):
        return f"the answer is not in the Latin script: {translation[:80]!r}"
    if len(translation) > _MOST_TIMES_LONGER * max(40, len(source)):
        return f"the answer is {len(translation)} characters long, the speech {len(source)}"
    words = split_words(translation)
    if len(words) > 8 and repeated_share(words) > 0.6:
        return f"the answer says the same over and over: {translation[:80]!r}"
    return None


def invented(caption: str, inputs: Sequence[str]) -> list[str]:
    """Words of content in a caption that none of its inputs has: all numbers, and words of four letters or more whose stem is that of
    no input word. Common words are no content."""
    known = {_stem(word) for text in inputs for word in re.findall(r"\w+", text.casefold())}
    found = []
    for word in re.findall(r"\w+", caption.casefold()):
        counts = word.isdigit() or (len(word) > 3 and word not in _SMALL_WORDS)
        if counts and _stem(word) not in known:
            found.append(word)
    return found


def _stem(word: str) -> str:
    return word if word.isdigit() else _ENDING.sub("", word)[:_STEM]


def content_words(caption: str) -> int:
    """How many words of a caption `invented` looks at."""
    return sum(word.isdigit() or (len(word) > 3 and word not in _SMALL_WORDS) for word in re.findall(r"\w+", caption.casefold()))
