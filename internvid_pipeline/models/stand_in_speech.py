"""A deterministic stand-in for a speech recogniser: it hears how long, how loud and how high a voice is, and no words."""

from collections.abc import Sequence

import numpy as np

from internvid_pipeline.models.base import HeardWord, Recognition, Sound
from internvid_pipeline.models.stand_ins import StandIn
from internvid_pipeline.text.languages import UNKNOWN

_RATE_HZ = 16_000


class StandInRecogniser(StandIn):
    """A SpeechRecogniser: ` a loud high voice for 2.4 seconds`, in the language `und`. It never says what is said."""

    name = "stand-in-recogniser"
    batch_size = 4

    def languages(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        """See `base.SpeechRecogniser`."""
        return [(UNKNOWN, 0.0) for _ in sounds]

    def recognise(self, sounds: Sequence[Sound], language: str | None = None, in_english: bool = False) -> list[Recognition]:
        """See `base.SpeechRecogniser`."""
        del language, in_english
        return [_answer(sound) for sound in sounds]


def _answer(sound: Sound) -> Recognition:
    length_s = sound.shape[0] / _RATE_HZ
    texts = f" a {_loudness(sound)} {_height(sound)} voice for {length_s:.1f} seconds".split(" ")[1:] if sound.any() else []
    step = length_s / max(1, len(texts))
    words = tuple(HeardWord(f" {text}", i * step, min(length_s, (i + 1) * step), 1.0) for i, text in enumerate(texts))
    return Recognition(words, UNKNOWN, 0.0, 0.0, 0.0 if words else 1.0)


def _loudness(sound: Sound) -> str:
    level = float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))
    return "quiet" if level < 0.02 else "loud" if level > 0.1 else "clear"


def _height(sound: Sound) -> str:
    crossings_hz = float(np.count_nonzero(np.diff(np.signbit(sound)))) / max(1, sound.shape[0]) * _RATE_HZ / 2
    return "low" if crossings_hz < 700 else "high" if crossings_hz > 1500 else "middle"
