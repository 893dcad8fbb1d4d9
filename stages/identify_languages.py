"""Which language a clip's speech is in: the recogniser's opinion, the words themselves, the subtitle's code and the video's metadata, each
kept as evidence, and one language agreed from them. InternVid2 asked fastText alone (appendix B); InternVid does not say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.models import TextIdentifier
from internvid_pipeline.records import ClipTranscript, LanguageEvidence, SpeechRecord, SpeechSource, VideoRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext
from internvid_pipeline.text.languages import UNKNOWN, bcp47, primary
from internvid_pipeline.text.transcripts import chosen_transcript

# The eleven of InternVid (figure 3 names seven of them) and the other large languages of video sites.
_LANGUAGES = (
    *("ar", "bn", "de", "el", "en", "es", "fa", "fr", "he", "hi", "id", "it", "ja", "ko"),
    *("nl", "pl", "pt", "ru", "sv", "ta", "th", "tr", "uk", "vi", "zh"),
)
_UNSTATED = 0.9  # probability of evidence that gives none: a code that a person or a site chose
_LEAST = 0.3  # below it the best piece of evidence is none


class IdentifyLanguagesConfig(Section):
    """How the language of a text is found, and what counts how much."""

    text_languages: tuple[str, ...] = Field(
        default=_LANGUAGES,
        description="Languages that a text may be in (BCP-47); fewer are surer. A text in another one is taken for the nearest, with less "
        "confidence. Empty: texts are not looked at.",
    )
    exact: bool = Field(default=True, description="lingua's high accuracy: slower to start, more memory, surer on short texts.")
    min_letters: int = Field(default=12, ge=1, le=1000, description="Shorter texts are `und`; a character without spaces counts as three.")
    min_confidence: float = Field(default=0.5, ge=0, le=1, description="Less sure texts are `und`.")
    title: bool = Field(default=True, description="Look at the video's title too.")
    weights: Mapping[str, float] = Field(
        default={"speech": 1.0, "text": 1.0, "subtitle": 0.8, "metadata": 0.4, "title": 0.2},
        description="How much each kind of evidence counts, times its probability (0.9 where it gives none); our choice.",
    )
    min_agreement: float = Field(
        default=0.5, ge=0, le=1, description="Share of the evidence that the agreed language needs; `und` below it."
    )


class IdentifyLanguages(Stage[IdentifyLanguagesConfig, SpeechRecord, SpeechRecord]):
    """The same rows, with `language`, `language_probability` and `evidence`; the transcript is chosen anew, since which of them is in the
    language spoken is known now."""

    name = "identify_languages"
    config_type = IdentifyLanguagesConfig
    reads = SpeechRecord
    joins = (VideoRecord,)
    writes = SpeechRecord

    @property
    def resources(self) -> Resources:
        """Lingua's models for 25 languages take 500 MB."""
        return Resources(cpus=1, memory_mb=3000, batch_size=64, load_threads=1)

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        self._identifier: TextIdentifier | None = None
        self._titles: dict[str, tuple[str, float]] = {}
        config = self.config
        if config.text_languages:
            from internvid_pipeline.models.lingua_text import LinguaIdentifier

            self._identifier = LinguaIdentifier(config.text_languages, config.min_letters, config.min_confidence, config.exact)

    def process(self, batch: Sequence[Item[SpeechRecord]]) -> list[Outcome[SpeechRecord]]:
        return [Emit((self._identified(item.record, item.joined[VideoRecord][0]),)) for item in batch]

    def _identified(self, speech: SpeechRecord, video: VideoRecord) -> SpeechRecord:
        texts = [self._text_language(part.text) for part in speech.transcripts]
        parts = tuple(
            replace(part, language=found[0], language_probability=found[1]) if part.language == UNKNOWN and found[0] != UNKNOWN else part
            for part, found in zip(speech.transcripts, texts, strict=True)
        )
        chosen = chosen_transcript(parts)
        by_text = texts[parts.index(chosen)]
        evidence = tuple(self._evidence(speech.transcripts, chosen, by_text, video))
        language, probability = agreed(evidence, self.config.weights, self.config.min_agreement)
        return replace(
            speech,
            text=chosen.text,
            source=chosen.source,
            track=chosen.track,
            start_s=min(one.start_s for one in chosen.utterances),
            end_s=max(one.end_s for one in chosen.utterances),
            language=language,
            language_probability=probability,
            evidence=evidence,
            transcripts=parts,
            is_stand_in=chosen.is_stand_in,
        )

    def _text_language(self, text: str) -> tuple[str, float]:
        return self._identifier.languages([text])[0] if self._identifier else (UNKNOWN, 0.0)

    def _evidence(
        self, transcripts: Sequence[ClipTranscript], chosen: ClipTranscript, by_text: tuple[str, float], video: VideoRecord
    ) -> Iterator[LanguageEvidence]:
        """Codes as the transcripts came with them, before texts filled them in."""
        for part in transcripts:
            if part.source == SpeechSource.RECOGNISED and part.language != UNKNOWN:
                yield LanguageEvidence("speech", primary(part.language), part.language_probability, part.model)
            is_spoken = part.source == SpeechSource.AUTOMATIC or (part.source, part.track) == (chosen.source, chosen.track)
            if part.source in (SpeechSource.MANUAL, SpeechSource.AUTOMATIC) and is_spoken and part.language != UNKNOWN:
                yield LanguageEvidence("subtitle", primary(part.language), None, part.source)
        if by_text[0] != UNKNOWN and self._identifier and not chosen.is_stand_in:
            yield LanguageEvidence("text", by_text[0], by_text[1], self._identifier.name)
        if bcp47(video.language) != UNKNOWN:
            yield LanguageEvidence("metadata", primary(bcp47(video.language)), None, "video")
        if self.config.title and self._identifier and video.title:
            if video.video_id not in self._titles:
                self._titles = {video.video_id: self._text_language(video.title)}
            if self._titles[video.video_id][0] != UNKNOWN:
                yield LanguageEvidence("title", *self._titles[video.video_id], self._identifier.name)


def agreed(evidence: Sequence[LanguageEvidence], weights: Mapping[str, float], min_agreement: float) -> tuple[str, float | None]:
    """The language with most of the weighted evidence, and how sure it is: its share times its best piece of evidence. (`und`, that) where
    its share is too little or nothing for it is worth 0.3; (`und`, None) for no evidence."""
    values: dict[str, list[float]] = {}
    for one in evidence:
        probability = _UNSTATED if one.probability is None else one.probability
        values.setdefault(one.language, []).append(weights.get(one.kind, 0.0) * probability)
    total = sum(map(sum, values.values()))
    if total <= 0:
        return UNKNOWN, None
    best = max(sorted(values), key=lambda language: sum(values[language]))
    share, strongest = sum(values[best]) / total, min(1.0, max(values[best]))
    is_agreed = share >= min_agreement and strongest >= _LEAST
    return (best if is_agreed else UNKNOWN), round(share * strongest, 4)
