"""What is said: one row per video and transcript, then one row per clip.

Times of a transcript are seconds on the container's clock, as those of shots and clips; times in a clip's speech are seconds from the
clip's first frame. A word's text holds the space before it, so that an utterance's text is its words joined (and stripped), whatever
the script.
"""

from dataclasses import dataclass
from enum import StrEnum


class SpeechSource(StrEnum):
    """Where a transcript comes from. InternVid had the first two (section 3.1), InternVid2 the third (appendix B)."""

    MANUAL = "manual_subtitles"
    AUTOMATIC = "automatic_subtitles"  # made by the site's recogniser
    RECOGNISED = "recognised"
    RECOGNISED_ENGLISH = "recognised_in_english"  # the recogniser's own translation of what it heard


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenWord:
    """A word, or in scripts without spaces a character, with the space before it. probability: the recogniser's, None where there is
    none."""

    text: str
    start_s: float
    end_s: float
    probability: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A piece of speech between two pauses or full stops. language: BCP-47, `und` where unknown. has_word_times: the words' times
    are measured; otherwise they are spread over the utterance by the number of characters."""

    start_s: float
    end_s: float
    text: str
    language: str
    language_probability: float | None
    words: tuple[SpokenWord, ...]
    has_word_times: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptRecord:
    """source: a SpeechSource. track: the subtitle's code as the site gives it, or `audio-<stream>`. language: of most of its seconds.
    speech_s: seconds of speech in it. model, model_commit: what recognised it, empty for subtitles."""

    video_id: str
    source: str
    track: str
    language: str
    language_probability: float | None
    speech_s: float
    model: str
    model_commit: str
    is_stand_in: bool
    utterances: tuple[Utterance, ...]

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return f"{self.video_id}/{self.source}/{self.track}"


@dataclass(frozen=True, slots=True)
class LanguageEvidence:
    """One reason to think that a clip is in a language. kind: `speech` (the recogniser), `text` (the words themselves), `subtitle` (the
    track's code), `metadata` (the video's), `title`. found_by: what said so."""

    kind: str
    language: str
    probability: float | None
    found_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTranscript:
    """The part of a transcript that lies in a clip, times from the clip's first frame."""

    source: str
    track: str
    language: str
    language_probability: float | None
    model: str
    model_commit: str
    is_stand_in: bool
    text: str
    utterances: tuple[Utterance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechRecord:
    """A clip in which something is said. text, source, track, start_s, end_s: of the transcript chosen among `transcripts`, which are all
    kept. language: agreed from `evidence`; language_probability: how sure, 0 to 1, None before it was looked for. translation:
    into English, None before and where there is none; translated_by: a SpeechSource, or the model's name; translation_commit,
    translation_prompt: of a model. is_stand_in: a deterministic stand-in had a part in it."""

    clip_id: str
    video_id: str
    text: str
    language: str
    language_probability: float | None
    source: str
    track: str
    start_s: float
    end_s: float
    evidence: tuple[LanguageEvidence, ...]
    transcripts: tuple[ClipTranscript, ...]
    translation: str | None = None
    translated_by: str | None = None
    translation_commit: str | None = None
    translation_prompt: str | None = None
    is_stand_in: bool = False

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return f"{self.clip_id}/speech"

    @property
    def english(self) -> str:
        """What is said, in English: the translation, or the words themselves; empty where there is neither."""
        return self.translation or (self.text if self.language.split("-")[0] == "en" else "")

    @property
    def chosen(self) -> ClipTranscript:
        """The transcript that `text` is of."""
        return next(part for part in self.transcripts if (part.source, part.track) == (self.source, self.track))
