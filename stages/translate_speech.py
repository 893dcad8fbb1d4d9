"""What is said, in English. InternVid had its subtitles translated by a language model (figure 1); InternVid2 by Seamless M4T, and by
Vicuna where the language is uncertain (less than 0.95; appendix B): `uncertain_model` is the latter.

The source text is always kept. Where people wrote English subtitles, or the recogniser was asked for English, no model is needed.
"""

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import ClipTranscript, DropReason, SpeechRecord, SpeechSource
from internvid_pipeline.stage import Emit, Item, Outcome, PartDrop, Resources, Stage, WorkerContext
from internvid_pipeline.text.answers import cleaned, translation_problem
from internvid_pipeline.text.languages import UNKNOWN, english_name, primary

_PROMPT = "Translate what is said in {language} to English. Answer with the translation alone."
_UNKNOWN_PROMPT = "Translate what is said to English. Answer with the translation alone."


class TranslateSpeechConfig(Section):
    """Who translates, and what is asked."""

    sources: tuple[SpeechSource, ...] = Field(
        default=(SpeechSource.MANUAL, SpeechSource.RECOGNISED_ENGLISH),
        description="English transcripts of the same clip that are taken for the translation, the first that is there.",
    )
    model: PresetField | None = Field(
        default_factory=lambda: load_preset("qwen3-4b-translator"),
        description="Preset of a language model that follows instructions (task summary); null: none.",
    )
    uncertain_model: PresetField | None = Field(
        default=None, description="Asked instead where the language is less certain; it is not told the language. Null: `model` is asked."
    )
    min_probability: float = Field(
        default=0.95, ge=0, le=1, description="Of the language, for it to be named in the prompt; 0.95 as InternVid2 (appendix B)."
    )
    prompt: str = Field(default=_PROMPT, max_length=4000, description="Put before the text; {language} is its English name.")
    unknown_prompt: str = Field(default=_UNKNOWN_PROMPT, max_length=4000, description="The same where the language is not certain.")
    max_chars: int = Field(default=2000, ge=50, le=100_000, description="Longer speech is cut at the end before it is translated.")

    @field_validator("model", "uncertain_model")
    @classmethod
    def _writer(cls, preset: ModelPreset | None) -> ModelPreset | None:
        return preset and models.check_preset(preset, "summary")

    @property
    def presets(self) -> list[ModelPreset]:
        """The models in use, each once."""
        return list(dict.fromkeys(preset for preset in (self.model, self.uncertain_model) if preset is not None))


class TranslateSpeech(Stage[TranslateSpeechConfig, SpeechRecord, SpeechRecord]):
    """The same rows, those that are not English with a translation. A translation that cannot be true is left out by name, its row kept."""

    name = "translate_speech"
    config_type = TranslateSpeechConfig
    reads = SpeechRecord
    writes = SpeechRecord

    @property
    def resources(self) -> Resources:
        presets = self.config.presets
        return Resources(
            gpus=max((preset.gpus for preset in presets), default=0.0),
            memory_mb=1000 + sum(preset.memory_mb for preset in presets),
            batch_size=max((preset.batch_size for preset in presets), default=64),
        )

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        for preset in self.config.presets:
            models.fetch_weights(preset)

    def setup(self, worker: WorkerContext) -> None:
        """The models into memory."""
        super().setup(worker)
        self._writers = {preset: models.build_summariser(preset) for preset in self.config.presets}

    def teardown(self) -> None:
        """Lets go of the models."""
        self._writers = {}

    def process(self, batch: Sequence[Item[SpeechRecord]]) -> list[Outcome[SpeechRecord]]:
        """Equal prompts in one call."""
        rows = [self._from_transcripts(item.record) for item in batch]
        lost: dict[int, PartDrop] = {}
        asked: dict[tuple[ModelPreset, str], list[int]] = {}
        for number, row in enumerate(rows):
            preset, prompt = self._question(row)
            if preset is not None and row.translation is None and primary(row.language) != "en":
                asked.setdefault((preset, prompt), []).append(number)
        for (preset, prompt), numbers in asked.items():
            writer = self._writers[preset]
            texts = [rows[number].text[: self.config.max_chars] for number in numbers]
            answers = models.one_each(writer, writer.summaries(texts, prompt), len(texts))
            for number, answer in zip(numbers, answers, strict=True):
                rows[number], problem = _translated(rows[number], answer, writer, prompt)
                if problem is not None:
                    lost[number] = problem
        return [Emit((row,), (lost[number],) if number in lost else ()) for number, row in enumerate(rows)]

    def _question(self, row: SpeechRecord) -> tuple[ModelPreset | None, str]:
        """Who is asked, and what."""
        certain = row.language != UNKNOWN and (row.language_probability or 0.0) >= self.config.min_probability
        if certain:
            return self.config.model, self.config.prompt.replace("{language}", english_name(row.language))
        return self.config.uncertain_model or self.config.model, self.config.unknown_prompt

    def _from_transcripts(self, row: SpeechRecord) -> SpeechRecord:
        """The row with an English transcript as its translation, where there is one."""
        if primary(row.language) == "en":
            return row
        found = next((part for source in self.config.sources for part in row.transcripts if _is_english(part, source, row)), None)
        if found is None:
            return row
        return replace(
            row,
            translation=found.text,
            translated_by=found.model or found.source,
            translation_commit=found.model_commit or None,
            is_stand_in=row.is_stand_in or found.is_stand_in,
        )


def _is_english(part: ClipTranscript, source: SpeechSource, row: SpeechRecord) -> bool:
    return part.source == source and primary(part.language) == "en" and (part.source, part.track) != (row.source, row.track)


def _translated(row: SpeechRecord, answer: models.Answer, writer: models.Model, prompt: str) -> tuple[SpeechRecord, PartDrop | None]:
    text = cleaned(answer.text)
    problem = f"cut off at the bound of tokens: {text[:80]!r}" if answer.finish == "length" else translation_problem(row.text, text)
    if problem is not None:
        return row, PartDrop(f"{row.item_id}/translation", DropReason.NOT_TRANSLATED, problem)
    done = replace(
        row,
        translation=text,
        translated_by=writer.name,
        translation_commit=writer.commit,
        translation_prompt=prompt,
        is_stand_in=row.is_stand_in or writer.is_stand_in,
    )
    return done, None
