"""Texts that are no captions, found and named: empty ones, refusals, loops, and what was cut off."""

import re
import unicodedata
import zlib

from internvid_pipeline.models.base import Answer
from internvid_pipeline.records import DropReason

_MOST_SHOWN = 120
# How chat models begin when they will not or cannot. Looked for at the beginning only: "a sign says: I cannot swim" is a caption.
_REFUSALS = (
    r"(i'?m|i am) (very |so |really )?(sorry|unable|not able|afraid|not comfortable)",
    r"(sorry|unfortunately|apologies)\b[^.]{0,40}\b(i|we|as|can'?t|cannot|unable|assist|help)",
    r"i (can'?t|cannot|can not|won'?t|will not|am not allowed to|don'?t|do not) "
    r"(assist|help|describe|provide|see|view|watch|access|process|identify|comply|have)",
    r"as an? (ai|artificial|language model|assistant)",
    r"(there (is|are) )?no (image|video|frame|clip)s? (was|were|is|are|has|have|attached|provided|shown|given|included)",
    r"you (haven'?t|have not|didn'?t|did not) (provide|attach|share|upload|include|send)",
    r"(please|could you) (provide|upload|share|attach|send) (the|a|an|your|more)\b.{0,30}(image|video|frame|clip)",
    r"(es tut mir leid|leider kann ich|je suis désolée?|je ne peux pas|lo siento|no puedo (ayudar|describir|ver))",
    r"(很抱歉|抱歉|对不起|对不起，|我无法|我不能|作为一个?人工智能|申し訳|すみません|죄송합니다|извините|к сожалению)",
)
_REFUSAL = re.compile(rf"\W*({'|'.join(_REFUSALS)})", re.IGNORECASE)
_MOST_PERIOD = 40  # tokens of a phrase that repeats
_REPEATS, _REPEATED_TOKENS = 4, 12  # so often in a row, over so many tokens; "ha ha ha ha" is a caption
# Whisper's bound for text that compresses too well (arXiv:2212.04356, section 4.5), on the end of long texts: longer ones compress better.
_RATIO, _RATIO_BYTES, _WINDOW_BYTES = 2.4, 300, 1000


def fault_of(answer: Answer) -> tuple[DropReason, str] | None:
    """Why a text is no caption, and the words for it; None where it is one. The order: refused, empty, looping, truncated, so that a
    loop that ran into the bound of tokens is called a loop."""
    text = answer.text
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    if answer.finish == "refusal" or is_refusal(text):
        return DropReason.REFUSED_CAPTION, f"the model would not: {shown}"
    if not any(unicodedata.category(char)[0] in "LN" for char in text):
        return DropReason.EMPTY_CAPTION, "the model said nothing" if not text.strip() else f"no word in: {shown}"
    if is_looping(text):
        return DropReason.LOOPING_CAPTION, f"the model repeats itself: {shown}"
    if answer.finish == "length":
        return DropReason.TRUNCATED_CAPTION, f"cut off after {answer.num_tokens or 'max_new_tokens'} tokens: {shown}"
    return None


def is_refusal(text: str) -> bool:
    """True where a text begins as models do that will not or cannot look."""
    return _REFUSAL.match(text.replace("’", "'")) is not None


def is_looping(text: str) -> bool:
    """True where a phrase stands four or more times in a row over at least twelve words, or a long text is nothing but repetition."""
    tokens = _tokens(text)
    for period in range(1, min(_MOST_PERIOD, len(tokens) // _REPEATS) + 1):
        run = 0  # of tokens that equal the one a period before
        for i in range(period, len(tokens)):
            run = run + 1 if tokens[i] == tokens[i - period] else 0
            if run + period >= max(_REPEATED_TOKENS, _REPEATS * period):
                return True
    data = text.encode(errors="replace")[-_WINDOW_BYTES:]
    return len(data) >= _RATIO_BYTES and len(data) / len(zlib.compress(data)) > _RATIO


def _tokens(text: str) -> list[str]:
    """Words; single characters where a script has no blanks between words."""
    return re.findall(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+", text.casefold())
