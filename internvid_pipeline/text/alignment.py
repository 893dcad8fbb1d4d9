"""Which clip each word is said in."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from internvid_pipeline.records import SpokenWord, Utterance
from internvid_pipeline.text.words import joined


@dataclass(frozen=True, slots=True)
class ClipSpan:
    """A clip [start_s, end_s) on the container's clock."""

    start_s: float
    end_s: float


class ClipFinder:
    """Finds the one clip of a word: the one that holds most of it, the earlier of two that hold as much; a word without length, and one
    that lies beyond the last edge by no more than a rounding, belongs where it begins. None: between the clips."""

    def __init__(self, clips: Sequence[ClipSpan]) -> None:
        self._order = sorted(range(len(clips)), key=lambda i: (clips[i].start_s, clips[i].end_s, i))
        self._clips = [clips[i] for i in self._order]
        self._starts = [clip.start_s for clip in self._clips]
        self._latest_end = list(accumulate((clip.end_s for clip in self._clips), max))

    def clip_of(self, start_s: float, end_s: float) -> int | None:
        """Position of the clip in the sequence given, None where no clip holds a part of [start_s, end_s)."""
        best, best_s = None, 0.0
        stop = bisect_left(self._starts, end_s) if end_s > start_s else bisect_right(self._starts, start_s)
        for i in range(stop - 1, -1, -1):
            if self._latest_end[i] <= start_s:
                break
            clip = self._clips[i]
            held_s = min(clip.end_s, end_s) - max(clip.start_s, start_s)
            if end_s <= start_s:
                held_s = 1.0 if clip.start_s <= start_s < clip.end_s else 0.0
            if held_s > 0 and held_s >= best_s:  # going back in time: of equals the earlier one stays
                best, best_s = i, held_s
        return None if best is None else self._order[best]

    def nearest(self, time_s: float) -> int:
        """Position of the clip that begins last before a time, or, if it is nearer, of the next one."""
        after = bisect_right(self._starts, time_s)
        near = range(max(0, after - 1), min(len(self._clips), after + 1))
        return self._order[min(near, key=lambda i: max(self._clips[i].start_s - time_s, time_s - self._clips[i].end_s))]


@dataclass(frozen=True, slots=True)
class Aligned:
    """utterances: for each clip, in order. outside: words in no clip."""

    utterances: list[list[Utterance]]
    outside: list[SpokenWord]


def align(utterances: Sequence[Utterance], clips: Sequence[ClipSpan]) -> Aligned:
    """Cuts utterances at the borders of clips: each word goes to exactly one clip, or outside where it touches none. Times become seconds
    from the clip's start, within 0 and the clip's length."""
    finder = ClipFinder(clips)
    found: list[list[Utterance]] = [[] for _ in clips]
    outside: list[SpokenWord] = []
    for utterance in utterances:
        pieces: dict[int, list[SpokenWord]] = {}
        for word in utterance.words:
            number = finder.clip_of(word.start_s, word.end_s)
            if number is None:
                outside.append(word)
            else:
                pieces.setdefault(number, []).append(word)
        for number, words in pieces.items():
            found[number].append(_relative(utterance, words, clips[number]))
    return Aligned(found, outside)


def _relative(utterance: Utterance, words: Sequence[SpokenWord], clip: ClipSpan) -> Utterance:
    length_s = clip.end_s - clip.start_s

    def within(time_s: float) -> float:
        return round(min(max(time_s - clip.start_s, 0.0), length_s), 6)

    moved = tuple(replace(word, start_s=within(word.start_s), end_s=max(within(word.start_s), within(word.end_s))) for word in words)
    return replace(
        utterance,
        start_s=min(word.start_s for word in moved),
        end_s=max(word.end_s for word in moved),
        text=joined(moved),
        words=moved,
    )
