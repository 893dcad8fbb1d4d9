"""One Protocol per task. Adapters and stand-ins satisfy them; `tests/contracts/test_models.py` runs one suite over all of them.

Common to all: an empty input gives an empty output; each answer depends on its own input alone and not on its neighbours in the batch
(up to rounding on a GPU); the same input gives the same answer; batches are cut to the preset's `batch_size` inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from internvid_pipeline.errors import ContractError

# (height, width, 3), uint8, sRGB, upright.
RgbImage = npt.NDArray[np.uint8]
# (n,), float32, -1 to 1, one channel at 16 kHz.
Sound = npt.NDArray[np.float32]
# (n, d), float32, each row of length 1.
Embeddings = npt.NDArray[np.float32]


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

    def captions(self, images: Sequence[RgbImage], prompt: str | None = None) -> list[str]:
        """One text per picture, in order, without the prompt; an empty text where the model said nothing."""


@runtime_checkable
class Summariser(Model, Protocol):
    """From several sentences to one short text."""

    def summaries(self, texts: Sequence[str], prompt: str | None = None) -> list[str]:
        """One text per input, in order; an empty text for an empty one. prompt: put before each input on a line of its own."""


@runtime_checkable
class AlignmentScorer(Model, Protocol):
    """Pictures and texts in one space: the score of a pair is the cosine, which is the dot product of two rows."""

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


A = TypeVar("A", bound=Sequence[str] | Sequence[Recognition] | Embeddings)


def one_each(model: Model, answers: A, num_inputs: int) -> A:
    """`answers`, if there is one per input: a lost one would move every later answer to the wrong clip. Raises ContractError."""
    if len(answers) != num_inputs:
        raise ContractError(f"model {model.name!r} gave {len(answers)} answers for {num_inputs} inputs; an adapter gives one each")
    return answers
