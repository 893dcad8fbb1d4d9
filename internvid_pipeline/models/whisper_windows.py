"""What Whisper's adapters share: windows in batches that fit the device, and BCP-47 on the outside for Whisper's own codes inside."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Recognition, Sound
from internvid_pipeline.models.batching import BatchSizer, in_batches
from internvid_pipeline.text.languages import bcp47, primary

RATE_HZ = 16_000
MOST_TOKENS = 448  # of a Whisper decoder, prompt included
_MOST_ON_CPU = 4  # windows: what large-v3's decoder looks at takes 490 MB of each (32 layers x 2 x 1500 x 1280 x 4 bytes)


class WhisperWindows(ABC):
    """A SpeechRecogniser over one batch at a time. Where the device's memory does not suffice, batches are halved."""

    is_stand_in = False

    def __init__(self, preset: ModelPreset) -> None:
        self.name = preset.published_name
        self.commit = preset.published_commit
        self._preset = preset
        self._set_device("cpu")

    def _set_device(self, device: str) -> None:
        """To be called once the device is known: on a CPU batches are small, whatever the preset says."""
        self._device = device
        self._sizer = BatchSizer(self._preset.batch_size if device != "cpu" else min(_MOST_ON_CPU, self._preset.batch_size))

    @property
    def batch_size(self) -> int:
        """See `base.SpeechRecogniser`."""
        return self._sizer.max_items

    def languages(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        """See `base.SpeechRecogniser`."""
        found = in_batches(self._sizer, [1.0] * len(sounds), lambda chosen: self._languages_of([sounds[i] for i in chosen]))
        return [(bcp47(code), probability) for code, probability in found]

    def recognise(self, sounds: Sequence[Sound], language: str | None = None, in_english: bool = False) -> list[Recognition]:
        """See `base.SpeechRecogniser`."""
        task = "translate" if in_english else "transcribe"
        return in_batches(self._sizer, [1.0] * len(sounds), lambda chosen: self._batch([sounds[i] for i in chosen], language, task))

    @abstractmethod
    def _languages_of(self, sounds: Sequence[Sound]) -> list[tuple[str, float]]:
        """Whisper's code and its probability, for each of a batch."""

    @abstractmethod
    def _batch(self, sounds: Sequence[Sound], language: str | None, task: str) -> list[Recognition]:
        """What is said in each of a batch."""


def own_code(language: str, codes: Iterable[str]) -> str:
    """Whisper's code (`jw`) of a BCP-47 tag; English where it does not know the language."""
    known = {bcp47(code): code for code in codes}
    return known.get(language, known.get(primary(language), "en"))
