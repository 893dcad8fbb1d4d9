"""Deterministic stand-ins for machines without weights or network. They look at their input, answer at once, and say what they are.

Not models: a caption names colours, brightness, detail and layout; a score compares such words with the pixels. Their version is
`presets.STAND_IN_VERSION`: raise it with any change here or in `palette` that changes an answer.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import STAND_IN_VERSION, ModelPreset
from internvid_pipeline.models.base import Embeddings, RgbImage
from internvid_pipeline.models.palette import BRIGHTNESS, COLOURS, DETAIL, HALVES, Look, look_at

_DETAIL_PHRASE = {"smooth": "smooth areas", "soft": "soft detail", "detailed": "fine detail"}
_DETAIL_WORD = {"smooth": "smooth", "soft": "soft", "fine": "detailed"}
_MIN_SHARE = 0.15  # a colour that covers less of the picture is not named


class StandInCaptioner:
    """A Captioner: `a bright mostly blue picture with fine detail and a dark lower half`. The prompt is not looked at."""

    name = "stand-in-captioner"
    commit = STAND_IN_VERSION
    is_stand_in = True

    def __init__(self, preset: ModelPreset) -> None:
        """Loads nothing: no field of the preset changes the answer."""
        del preset

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[str]:
        """See `base.Captioner`."""
        del prompt
        return [_sentence(look_at(image)) for image in images]


def _sentence(look: Look) -> str:
    named = [name for name in sorted(COLOURS, key=lambda name: -look.colours[name]) if look.colours[name] >= _MIN_SHARE][:3]
    mostly = "mostly " if len(named) == 1 or look.colours[named[0]] >= 0.6 else ""
    colours = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    layout = f" and a {look.half[0]} {look.half[1]} half" if look.half else ""
    return f"a {look.brightness} {mostly}{colours} picture with {_DETAIL_PHRASE[look.detail_word]}{layout}"


class StandInSummariser:
    """A Summariser: each phrase once, in order, joined by commas, up to the preset's `max_new_tokens` words. No prompt is looked at."""

    name = "stand-in-summariser"
    commit = STAND_IN_VERSION
    is_stand_in = True

    def __init__(self, preset: ModelPreset) -> None:
        """Loads nothing."""
        self._max_words = preset.max_new_tokens

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[str]:
        """See `base.Summariser`."""
        del prompt
        return [self._merged(text) for text in texts]

    def _merged(self, text: str) -> str:
        kept: list[str] = []
        for phrase in re.split(r"[.;,!?]\s+|[.;,!?]$| with | and (?=an? )", text):
            words = phrase.split()
            if words and " ".join(words) not in kept:
                if kept and len(" ".join(kept).split()) + len(words) > self._max_words:
                    break
                kept.append(" ".join(words))
        return " ".join(", ".join(kept).split()[: self._max_words])


_AXES = (*COLOURS, *BRIGHTNESS, *DETAIL, *(f"{tone} {half}" for half in HALVES for tone in ("dark", "bright")), "other")
_AXIS = {name: i for i, name in enumerate(_AXES)}
_HALF_PHRASE = re.compile(r"\b(dark|bright) (lower|upper|left|right) half\b")


class StandInScorer:
    """An AlignmentScorer: one axis for each word of `palette`. A picture lies along what it shows, a text along what it names."""

    name = "stand-in-scorer"
    commit = STAND_IN_VERSION
    is_stand_in = True

    def __init__(self, preset: ModelPreset) -> None:
        """Loads nothing: no field of the preset changes the answer."""
        del preset

    def embed_images(self, images: Sequence[RgbImage]) -> Embeddings:
        """See `base.AlignmentScorer`."""
        return _unit_rows([_picture_axes(look_at(image)) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """See `base.AlignmentScorer`."""
        return _unit_rows([_text_axes(text) for text in texts])


def _picture_axes(look: Look) -> npt.NDArray[np.float64]:
    row = np.zeros(len(_AXES))
    for colour, share in look.colours.items():
        row[_AXIS[colour]] = 2 * share
    row[_AXIS[look.brightness]] = 1.0
    row[_AXIS[look.detail_word]] = 0.5
    if look.half:
        row[_AXIS[f"{look.half[0]} {look.half[1]}"]] = 0.7
    row[_AXIS["other"]] = 0.3  # what a picture holds besides colours
    return row


def _text_axes(text: str) -> npt.NDArray[np.float64]:
    row = np.zeros(len(_AXES))
    lowered = text.lower()
    for tone, half in _HALF_PHRASE.findall(lowered):
        row[_AXIS[f"{tone} {half}"]] += 0.7
    weight = 1.0
    for word in re.findall(r"[a-z]+", _HALF_PHRASE.sub(" ", lowered)):
        if word in COLOURS or word in BRIGHTNESS:
            row[_AXIS[word]] += weight
        elif word in _DETAIL_WORD:
            row[_AXIS[_DETAIL_WORD[word]]] += 0.5
        weight = 2.0 if word == "mostly" else 1.0
    row[_AXIS["other"]] = 0.3
    return row


def _unit_rows(rows: Sequence[npt.NDArray[np.float64]]) -> Embeddings:
    """Rows scaled to length 1; none is zero, since every row has something on the axis `other`."""
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(_AXES))
    return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True), dtype=np.float32)
