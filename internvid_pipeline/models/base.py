"""One Protocol per task. Adapters and stand-ins satisfy them; `tests/contracts/test_models.py` runs one suite over all of them.

Common to all: an empty input gives an empty output; each answer depends on its own input alone and not on its neighbours in the batch
(up to rounding on a GPU); the same input gives the same answer; batches are cut to the preset's `batch_size` inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from internvid_pipeline.errors import ContractError, InternvidError

# (height, width, 3), uint8, sRGB, upright.
RgbImage = npt.NDArray[np.uint8]
# (n,), float32, -1 to 1, one channel at 16 kHz.
Sound = npt.NDArray[np.float32]
# (n, d), float32, each row of length 1.
Embeddings = npt.NDArray[np.float32]


# How a model stopped: by itself, at the bound of tokens, or because it (or its server) would not.
Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """Some frames of one clip. jpegs: their files, in time order. times_s: since the clip's beginning. duration_s: of the clip. what: the
    clip's name in messages."""

    jpegs: tuple[bytes, ...]
    times_s: tuple[float, ...]
    duration_s: float
    what: str = "clip"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said of one clip, picture or text. num_tokens: that it wrote, None where it does not tell. error: why there is no
    answer; the text is then empty."""

    text: str
    finish: Finish = "stop"
    num_tokens: int | None = None
    error: InternvidError | None = None


@dataclass(frozen=True, slots=True)
class TextBox:
    """Words found in a picture. corners: four points (x, y) in pixels. confidence: 0 to 1."""

    text: str
    confidence: float
    corners: tuple[tuple[float, float], ...]


@runtime_checkable
class Model(Protocol):
    """What every row made with a model says of it. is_stand_in: a deterministic stand-in and no model."""

    @property
    def name(self) -> str:
        """Hub id, or the preset's name."""

    @property
    def commit(self) -> str:
        """Commit of the weights; a stand-in's version; `local` for a folder without a label."""

    @property
    def is_stand_in(self) -> bool:
        """True for a deterministic stand-in."""


@runtime_checkable
class Captioner(Model, Protocol):
    """From a picture to a sentence."""

    def prepared(self, image: RgbImage) -> RgbImage:
        """The picture scaled to what the model looks at, which `captions` takes in its place with the same result. Safe to call from
        several threads, so that it can run ahead while the GPU works."""

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[Answer]:
        """One answer per picture, in order, without the prompt; an empty text where the model said nothing."""


@runtime_checkable
class Summariser(Model, Protocol):
    """From several sentences to one short text."""

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[Answer]:
        """One answer per input, in order; an empty text for an empty one. prompt: put before each input on a line of its own."""


@runtime_checkable
class VideoCaptioner(Model, Protocol):
    """From several frames of a clip, with their times, to a text."""

    def prepared(self, video: VideoFrames, prompt: str) -> Any:
        """What can be done for one clip before its turn comes: decoding, or sending the request to a server. Safe to call from several
        threads. Raises ItemError for a broken frame."""

    def answers(self, prepared: Sequence[Any]) -> list[Answer]:
        """One answer per result of `prepared`, in order. Raises StorageError where a server cannot be reached: no clip's fault."""

    def close(self) -> None:
        """Ends threads and connections."""


@runtime_checkable
class AlignmentScorer(Model, Protocol):
    """Pictures and texts in one space: the score of a pair is the cosine, which is the dot product of two rows."""

    def prepared(self, image: RgbImage) -> RgbImage:
        """The picture scaled to what the model looks at, which `embed_images` takes in its place with the same result. Safe to call from
        several threads."""

    def embed_images(self, images: Sequence[RgbImage]) -> Embeddings:
        """(n, d) float32, rows of length 1; (0, d) for no pictures."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """(n, d) float32, rows of length 1; (0, d) for no texts. A text beyond the model's context is cut."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word with the space before it, and when it is said, in seconds from the beginning of the sound."""

    text: str
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a recogniser heard in one sound. language: BCP-47. mean_log_probability: of the tokens. no_speech_probability: 0 to 1.
    The words lie in the sound, in order; none: it heard nothing."""

    words: tuple[HeardWord, ...]
    language: str
    language_probability: float
    mean_log_probability: float
    no_speech_probability: float


@runtime_checkable
class SpeechRecogniser(Model, Protocol):
    """From sounds of up to 30 s to words."""

    @property
    def batch_size(self) -> int:
        """How many sounds fill the device; a call may hold more or fewer."""

    def languages(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        """The language of each (BCP-47) and its probability."""

    def recognise(self, sounds: Sequence[Sound], language: str | None = None, in_english: bool = False) -> list[Recognition]:
        """One answer per sound, in order. language: spoken in all of them; None: found out for each. in_english: the recogniser's own
        translation instead of the words said."""


@runtime_checkable
class TextIdentifier(Protocol):
    """From a text to its language."""

    @property
    def name(self) -> str:
        """Package and version."""

    def languages(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The most likely language of each (BCP-47) and its probability among those that are looked for; (`und`, 0) for a text too
        short or too uncertain to tell."""


@runtime_checkable
class VideoTextScorer(Model, Protocol):
    """How well a text fits several frames of a clip, where text and frames look at each other and have no vectors of their own."""

    @property
    def num_frames(self) -> int:
        """Frames that the model was trained with; it is always shown so many."""

    def prepared(self, image: RgbImage) -> RgbImage:
        """As `AlignmentScorer.prepared`."""

    def scores(self, videos: Sequence[Sequence[RgbImage]], texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n,) cosines of the pairs (video i, text i). Where a video has fewer frames than `num_frames`, its last is repeated; of more,
        evenly spread ones are taken."""


@runtime_checkable
class EmbeddingRater(Model, Protocol):
    """A score of a picture from its embedding alone."""

    @property
    def base_model(self) -> str:
        """The model whose embeddings it rates, as rows call it."""

    def ratings(self, embeddings: Embeddings) -> npt.NDArray[np.float32]:
        """(n,) scores of (n, d) rows of length 1. Raises ModelError for another d."""


@runtime_checkable
class ImageClassifier(Model, Protocol):
    """The probability that a picture belongs to some class: what is not safe for work, what bears a watermark."""

    def prepared(self, image: RgbImage) -> RgbImage:
        """As `AlignmentScorer.prepared`."""

    def probabilities(self, images: Sequence[RgbImage]) -> npt.NDArray[np.float32]:
        """(n,) numbers from 0 to 1."""


@runtime_checkable
class TextReader(Model, Protocol):
    """From a picture to the words that are written in it."""

    def boxes(self, image: RgbImage) -> list[TextBox]:
        """The words and where they stand, in reading order; empty where there are none."""


A = TypeVar("A", bound=Sequence[Any] | npt.NDArray[Any])


def one_each(model: Model, answers: A, num_inputs: int) -> A:
    """`answers`, if there is one per input: a lost one would move every later answer to the wrong clip. Raises ContractError."""
    if len(answers) != num_inputs:
        raise ContractError(f"model {model.name!r} gave {len(answers)} answers for {num_inputs} inputs; an adapter gives one each")
    return answers
