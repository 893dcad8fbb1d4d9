"""Signs that a recogniser made its text up: the same words over and over, more words than time, words where nobody speaks.

Whisper's own thresholds (compression ratio 2.4, mean log-probability -1, no-speech probability 0.6) are of its paper's section 4.5.
"""

import zlib
from collections.abc import Sequence

_MOST_NGRAM = 8
_LEAST_REPEATS = 4


def compression_ratio(text: str) -> float:
    """Bytes of the text over bytes of its zlib compression, as Whisper measures it; 0 for an empty text."""
    data = text.encode(errors="replace")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def repeated_share(words: Sequence[str]) -> float:
    """Share of the words that lie in a run of at least four times the same one to eight words, 0 to 1. Time is linear in the words."""
    folded = [word.strip().casefold().strip(".,!?…。、！？") for word in words]
    covered = 0
    for size in range(1, _MOST_NGRAM + 1):
        same = longest = 0
        for i in range(size, len(folded)):
            same = same + 1 if folded[i] == folded[i - size] else 0
            longest = max(longest, same)
        if longest >= size * (_LEAST_REPEATS - 1):
            covered = max(covered, longest + size)
    return min(1.0, covered / len(folded)) if folded else 0.0


def overlap_s(start_s: float, end_s: float, spans: Sequence[tuple[float, float]]) -> float:
    """Seconds of [start_s, end_s) that lie in the spans, which do not overlap each other."""
    return sum(max(0.0, min(end_s, end) - max(start_s, start)) for start, end in spans)
