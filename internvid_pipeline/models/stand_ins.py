"""Deterministic stand-ins for machines without weights or network. They look at their input, answer at once, and say what they are.

Not models: a caption names colours, brightness, detail and layout; a score compares such words with the pixels. Their version is
`presets.STAND_IN_VERSION`: raise it with any change here or in `palette` that changes an answer.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from internvid_pipeline.config.presets import STAND_IN_VERSION, ModelPreset
from internvid_pipeline.errors import ModelError
from internvid_pipeline.models.base import Answer, Embeddings, RgbImage, TextBox, VideoFrames
from internvid_pipeline.models.frames import decode_jpeg
from internvid_pipeline.models.palette import BRIGHTNESS, COLOURS, DETAIL, HALVES, Look, look_at

_DETAIL_PHRASE = {"smooth": "smooth areas", "soft": "soft detail", "detailed": "fine detail"}
_DETAIL_WORD = {"smooth": "smooth", "soft": "soft", "fine": "detailed"}
_MIN_SHARE = 0.15  # a colour that covers less of the picture is not named


class StandIn:
    """What all of them have in common. name: of the subclass."""

    commit = STAND_IN_VERSION
    is_stand_in = True

    def __init__(self, preset: ModelPreset) -> None:
        """Loads nothing: no field of the preset changes the answer."""
        del preset


class StandInCaptioner(StandIn):
    """A Captioner: `a bright mostly blue picture with fine detail and a dark lower half`. The prompt is not looked at."""

    name = "stand-in-captioner"

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.Captioner`."""
        return image

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[Answer]:
        """See `base.Captioner`."""
        del prompt
        return [_said(_sentence(look_at(image))) for image in images]


def _said(text: str) -> Answer:
    return Answer(text, "stop", len(text.split()))


def _sentence(look: Look) -> str:
    named = [name for name in sorted(COLOURS, key=lambda name: -look.colours[name]) if look.colours[name] >= _MIN_SHARE][:3]
    mostly = "mostly " if len(named) == 1 or look.colours[named[0]] >= 0.6 else ""
    colours = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    layout = f" and a {look.half[0]} {look.half[1]} half" if look.half else ""
    return f"a {look.brightness} {mostly}{colours} picture with {_DETAIL_PHRASE[look.detail_word]}{layout}"


class StandInVideoCaptioner(StandIn):
    """A VideoCaptioner: what the first frame looks like and what the last one does, with the seconds between. No prompt is looked at."""

    name = "stand-in-video-captioner"

    def prepared(self, video: VideoFrames, prompt: str) -> str:
        """See `base.VideoCaptioner`."""
        del prompt
        looks = [_sentence(look_at(decode_jpeg(video.jpegs[i], f"a frame of {video.what}"))) for i in (0, -1)]
        return looks[0] if looks[0] == looks[1] else f"{looks[0]}, and after {video.times_s[-1] - video.times_s[0]:.1f} seconds {looks[1]}"

    def answers(self, prepared: Sequence[str]) -> list[Answer]:
        """See `base.VideoCaptioner`."""
        return [_said(text) for text in prepared]

    def close(self) -> None:
        """See `base.VideoCaptioner`."""


class StandInSummariser(StandIn):
    """A Summariser: each phrase once, in order, joined by commas, up to the preset's `max_new_tokens` words. No prompt is looked at."""

    name = "stand-in-summariser"

    def __init__(self, preset: ModelPreset) -> None:
        """Loads nothing."""
        self._max_words = preset.max_new_tokens

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[Answer]:
        """See `base.Summariser`."""
        del prompt
        return [_said(self._merged(text)) for text in texts]

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


class StandInScorer(StandIn):
    """An AlignmentScorer: one axis for each word of `palette`. A picture lies along what it shows, a text along what it names."""

    name = "stand-in-scorer"

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.AlignmentScorer`."""
        return image

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


class StandInRater(StandIn):
    """An EmbeddingRater over the stand-in scorer's axes: 1 to 10, more for bright, detailed and colourful pictures."""

    name = "stand-in-rater"
    base_model = StandInScorer.name

    def ratings(self, embeddings: Embeddings) -> npt.NDArray[np.float32]:
        """See `base.EmbeddingRater`."""
        if embeddings.shape[1] != len(_AXES):
            raise ModelError(f"model {self.name!r} rates embeddings of {len(_AXES)} numbers, these have {embeddings.shape[1]}")
        return np.asarray(np.clip(5 + 5 * (embeddings @ _TASTE), 1, 10), dtype=np.float32)


class StandInClassifier(StandIn):
    """An ImageClassifier: the share of a picture that is orange, pink or brown, halved."""

    name = "stand-in-classifier"

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.ImageClassifier`."""
        return image

    def probabilities(self, images: Sequence[RgbImage]) -> npt.NDArray[np.float32]:
        """See `base.ImageClassifier`."""
        shares = [look_at(image).colours for image in images]
        return np.array([sum(share[name] for name in ("orange", "pink", "brown")) / 2 for share in shares], dtype=np.float32)


class StandInVideoScorer(StandIn):
    """A VideoTextScorer: the mean over the frames of the stand-in scorer's cosine."""

    name = "stand-in-video-scorer"
    num_frames = 8

    def __init__(self, preset: ModelPreset) -> None:
        self._scorer = StandInScorer(preset)

    def prepared(self, image: RgbImage) -> RgbImage:
        """See `base.VideoTextScorer`."""
        return image

    def scores(self, videos: Sequence[Sequence[RgbImage]], texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """See `base.VideoTextScorer`."""
        words = self._scorer.embed_texts(texts)
        return np.array([(self._scorer.embed_images(video) @ words[i]).mean() for i, video in enumerate(videos)], dtype=np.float32)


class StandInReader(StandIn):
    """A TextReader that finds one box in a picture with fine detail and none in others, and reads no word of it."""

    name = "stand-in-reader"

    def boxes(self, image: RgbImage) -> list[TextBox]:
        """See `base.TextReader`."""
        if look_at(image).detail_word != "detailed":
            return []
        height, width = image.shape[:2]
        corners = tuple((x * width, y * height) for x, y in ((0.0, 0.75), (1.0, 0.75), (1.0, 1.0), (0.0, 1.0)))
        return [TextBox("unread", 0.5, corners)]


_TASTE = np.zeros(len(_AXES), dtype=np.float32)
for _name, _weight in (("bright", 0.4), ("dark", -0.5), ("detailed", 0.3), ("grey", -0.4), ("black", -0.3), ("blue", 0.2), ("green", 0.2)):
    _TASTE[_AXIS[_name]] = _weight
