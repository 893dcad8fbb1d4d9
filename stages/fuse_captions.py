"""What is seen, heard and said, in one sentence each: `av` (vision and audio) and `avs` (and speech), as InternVid2 has its five captions
(arXiv:2403.15377, appendix B; its prompts are told in table 22 and put in our own words here). The inputs stay rows of their own.

Ours differs: speech that cannot be understood is left out before the model is asked, by rules that can be read, and an answer with words
that none of its inputs has is refused.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field, field_validator

from internvid_pipeline import models
from internvid_pipeline.config import Section
from internvid_pipeline.config.presets import ModelPreset, PresetField, load_preset
from internvid_pipeline.records import CaptionRecord, CaptionScale, ClipRecord, DropReason, SpeechRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, PartDrop, Resources, Stage, WorkerContext
from internvid_pipeline.text.answers import cleaned, content_words, invented, one_sentence
from internvid_pipeline.text.guards import repeated_share
from internvid_pipeline.text.words import split_words

_RULES = (
    "You are an expert in text analysis. Merge the descriptions of one video below into one complete, natural English sentence. Do not put "
    "them one after the other; give each the same weight; say nothing that they do not say; leave out what makes no sense. Answer with the "
    "sentence alone."
)


class FuseCaptionsConfig(Section):
    """What is fused, and how it is asked."""

    model: PresetField = Field(
        default_factory=lambda: load_preset("qwen3-4b-instruct"),
        description="Preset of a language model that follows instructions (task summary); InternVid2's was Vicuna-1.5 (appendix B).",
    )
    visual_scales: tuple[CaptionScale, ...] = Field(
        default=(CaptionScale.FUSED, CaptionScale.VLM, CaptionScale.FINE, CaptionScale.COARSE),
        min_length=1,
        description="The caption of the first of these scales that a clip has is what is seen.",
    )
    prompt: str = Field(default=_RULES, max_length=4000, description="Put before the texts, which are named Vision, Audio and Speech.")
    min_speech_words: int = Field(default=3, ge=1, le=100, description="Shorter speech says nothing of the clip.")
    min_word_probability: float = Field(
        default=0.4, ge=0, le=1, description="Mean of the recogniser's words; less sure speech is left out. Subtitles have none and pass."
    )
    max_speech_chars: int = Field(default=1000, ge=50, le=100_000, description="Longer speech is cut at the end.")
    max_invented_share: float = Field(
        default=0.34, ge=0, le=1, description="Share of a caption's words of content that its inputs may lack; numbers never."
    )

    @field_validator("model")
    @classmethod
    def _writer(cls, preset: ModelPreset) -> ModelPreset:
        return models.check_preset(preset, "summary")


@dataclass(frozen=True, slots=True)
class _Question:
    """Texts of one clip that become one caption."""

    number: int
    scale: CaptionScale
    inputs: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """As the model reads it."""
        return "\n".join(f"{name}: {text}" for name, text in self.inputs)


class FuseCaptions(Stage[FuseCaptionsConfig, ClipRecord, CaptionRecord]):
    """Up to two rows per clip. A clip with one text alone is dropped here, and keeps the captions that it has."""

    name = "fuse_captions"
    config_type = FuseCaptionsConfig
    reads = ClipRecord
    joins = (CaptionRecord,)
    optional_joins = (SpeechRecord,)
    writes = CaptionRecord

    @property
    def resources(self) -> Resources:
        preset = self.config.model
        return Resources(gpus=preset.gpus, memory_mb=1000 + preset.memory_mb, batch_size=preset.batch_size)

    def prepare_node(self) -> None:
        """Weights to the local disk."""
        models.fetch_weights(self.config.model)

    def setup(self, worker: WorkerContext) -> None:
        """The model into memory."""
        super().setup(worker)
        self._writer: models.Summariser | None = models.build_summariser(self.config.model)

    def teardown(self) -> None:
        """Lets go of the model."""
        self._writer = None

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[CaptionRecord]]:
        """All questions of the batch in one call."""
        assert self._writer is not None
        lost: list[list[PartDrop]] = [[] for _ in batch]
        rows: list[list[CaptionRecord]] = [[] for _ in batch]
        questions = [question for number, item in enumerate(batch) for question in self._questions(number, item, lost[number])]
        texts = [question.text for question in questions]
        answers = models.one_each(self._writer, self._writer.summaries(texts, self.config.prompt), len(texts))
        for question, answer in zip(questions, answers, strict=True):
            caption = one_sentence(cleaned(answer.text))
            problem = _cut_off(answer, caption) or self._problem(question, caption)
            item = batch[question.number]
            if problem is None:
                rows[question.number].append(self._row(item, question, caption, self._writer))
            else:
                lost[question.number].append(PartDrop(f"{item.record.clip_id}/{question.scale}", *problem))
        return [_outcome(written, tuple(parts)) for written, parts in zip(rows, lost, strict=True)]

    def _questions(self, number: int, item: Item[ClipRecord], lost: list[PartDrop]) -> Iterator[_Question]:
        captions: Sequence[CaptionRecord] = item.joined[CaptionRecord]
        visual = _visual(captions, self.config.visual_scales)
        audio = next((row for row in captions if row.scale == CaptionScale.AUDIO), None)
        speech = next(iter(item.joined.get(SpeechRecord, ())), None)
        said = ""
        if speech is not None:
            doubt = self._doubt(speech)
            if doubt is None:
                said = speech.english[: self.config.max_speech_chars]
            else:
                lost.append(PartDrop(speech.item_id, DropReason.INCOMPREHENSIBLE, doubt))
        both = [("Vision", visual.text if visual else ""), ("Audio", audio.text if audio else "")]
        inputs = tuple((name, text) for name, text in both if text)
        if len(inputs) == 2:
            yield _Question(number, CaptionScale.AV, inputs)
        if inputs and said:
            yield _Question(number, CaptionScale.AVS, (*inputs, ("Speech", said)))

    def _doubt(self, speech: SpeechRecord) -> str | None:
        """Why speech cannot be understood."""
        words = split_words(speech.english)
        if not words:
            return f"no English text of speech in {speech.language!r}"
        if len(words) < self.config.min_speech_words:
            return f"{len(words)} words"
        share = repeated_share(words)
        if share > 0.6:
            return f"{share:.0%} the same words over and over"
        sure = [word.probability for one in speech.chosen.utterances for word in one.words if word.probability is not None]
        mean = sum(sure) / len(sure) if sure else 1.0
        return f"the recogniser's words have a mean probability of {mean:.2f}" if mean < self.config.min_word_probability else None

    def _problem(self, question: _Question, caption: str) -> tuple[DropReason, str] | None:
        """Why an answer is not a caption of its inputs."""
        if not caption:
            return DropReason.EMPTY_CAPTION, "the model said nothing, or refused"
        new = invented(caption, [text for _, text in question.inputs])
        share = len(new) / max(1, content_words(caption))
        if share > self.config.max_invented_share or any(word.isdigit() for word in new):
            return DropReason.INVENTED, f"words of no input ({', '.join(new[:8])}) in {caption[:120]!r}"
        return None

    def _row(self, item: Item[ClipRecord], question: _Question, caption: str, writer: models.Model) -> CaptionRecord:
        visual = _visual(item.joined[CaptionRecord], self.config.visual_scales)
        speech = next(iter(item.joined.get(SpeechRecord, ())), None)
        parts = [visual, *(row for row in item.joined[CaptionRecord] if row.scale == CaptionScale.AUDIO)]
        has_stand_in = any(part.is_stand_in for part in parts if part is not None)
        if question.scale == CaptionScale.AVS and speech is not None:
            has_stand_in = has_stand_in or speech.is_stand_in
        return CaptionRecord(
            clip_id=item.record.clip_id,
            video_id=item.record.video_id,
            scale=question.scale.value,
            text=caption,
            language="en",
            model=writer.name,
            model_commit=writer.commit,
            prompt=self.config.prompt,
            frames=visual.frames if visual else (),
            is_stand_in=writer.is_stand_in or has_stand_in,
        )


def _cut_off(answer: models.Answer, caption: str) -> tuple[DropReason, str] | None:
    """A sentence that the bound of tokens ended."""
    if answer.finish != "length" or caption.rstrip("\"'”’)").endswith((".", "!", "?")):
        return None
    return DropReason.TRUNCATED_CAPTION, f"cut off at the bound of tokens: {caption[:120]!r}"


def _visual(captions: Sequence[CaptionRecord], scales: Sequence[CaptionScale]) -> CaptionRecord | None:
    """What is seen."""
    return next((row for scale in scales for row in captions if row.scale == scale and row.text), None)


def _outcome(rows: Sequence[CaptionRecord], lost: tuple[PartDrop, ...]) -> Outcome[CaptionRecord]:
    if rows:
        return Emit(tuple(rows), lost)
    if lost:
        return Drop(lost[-1].reason, lost[-1].message, lost if len(lost) > 1 else ())
    return Drop(DropReason.NOTHING_TO_FUSE, "one description alone: no audio caption, no speech")
