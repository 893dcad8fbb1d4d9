"""Subtitles as transcripts."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from internvid_pipeline.records import ClipTranscript, DropReason, SpeechRecord, SpeechSource, SpokenWord, Utterance
from internvid_pipeline.storage.root import local_path
from internvid_pipeline.text.languages import UNKNOWN, known_codes, same_language
from internvid_pipeline.text.non_speech import without_marks
from internvid_pipeline.text.subtitles import Cue, parse_subtitles
from internvid_pipeline.text.words import is_unspaced, joined, spread_words

_ENDINGS = (".vtt", ".srt")
_SURE_OF_LANGUAGE = 0.5  # a recogniser that is less sure does not overrule the people who wrote subtitles
_MOST_BYTES = 40_000_000  # twice what the parser looks at
_MOST_CHARS = 1_500_000  # of text: seventeen hours of somebody who speaks fast (25 characters a second)

# Start and end in seconds, why, and the text.
LostCue = tuple[float, float, DropReason, str]


def subtitle_utterances(data: bytes, language: str, start_s: float) -> tuple[list[Utterance], list[LostCue]]:
    """Cues as utterances, their times moved by `start_s` (subtitles count from the first frame, as players do); cues that hold nothing
    but marks of music, laughter and the like are lost by name, and so is what follows 1.5 million characters of text. Never raises; time is
    linear in the length, memory bounded."""
    said: list[Utterance] = []
    lost: list[LostCue] = []
    num_chars = 0
    for cue in parse_subtitles(data):
        num_chars += len(cue.text)
        if num_chars > _MOST_CHARS:
            lost.append((cue.start_s + start_s, cue.end_s + start_s, DropReason.SUBTITLES, f"more than {_MOST_CHARS} characters of text"))
            break
        words = without_marks(_words(cue, start_s))
        if not words:
            lost.append((cue.start_s + start_s, cue.end_s + start_s, DropReason.NON_SPEECH, f"marks only: {cue.text[:80]!r}"))
            continue
        said.append(
            Utterance(
                start_s=words[0].start_s,
                end_s=max(word.end_s for word in words),
                text=joined(words),
                language=language,
                language_probability=None,
                words=words,
                has_word_times=bool(cue.words),
            )
        )
    return said, lost


def _words(cue: Cue, offset_s: float) -> tuple[SpokenWord, ...]:
    """Timed words as the file has them; else the text's, spread over the cue."""
    start_s, end_s = cue.start_s + offset_s, cue.end_s + offset_s
    if not cue.words or "".join(word.text for word in cue.words).replace(" ", "") != cue.text.replace(" ", ""):
        return spread_words(cue.text, start_s, end_s)
    words, position = [], 0
    for word in cue.words:
        begin = cue.text.index(word.text, position)
        words.append(SpokenWord(text=cue.text[position:begin] + word.text, start_s=word.start_s + offset_s, end_s=word.end_s + offset_s))
        position = begin + len(word.text)
    return tuple(words)


def sidecar_files(source_uri: str) -> Iterator[tuple[str, Path]]:
    """Subtitles beside a local file: `name.vtt`, `name.en.vtt`, `name.zh-Hans.srt`; (code, empty where the name has none; path)."""
    video = local_path(source_uri)
    if video is None:
        return
    for code in ("", *known_codes()):
        for ending in _ENDINGS:
            path = video.with_name(f"{video.stem}{'.' + code if code else ''}{ending}")
            if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                yield code, path


def text_of(utterances: Sequence[Utterance]) -> str:
    """Utterances as one text: a space between them, but not between characters of scripts without spaces."""
    text = ""
    for one in utterances:
        glued = not text or (is_unspaced(text[-1]) and is_unspaced(one.text[0]))
        text += one.text if glued else f" {one.text}"
    return text


def chosen_transcript(transcripts: Sequence[ClipTranscript]) -> ClipTranscript:
    """The one that is most likely what is said: people's subtitles in the language spoken (or where that is not known), the recogniser's,
    the site's, people's in another language (a translation), a stand-in's; the recogniser's own translation last. Of equals the first."""
    by_machine = [one for one in transcripts if one.source in (SpeechSource.RECOGNISED, SpeechSource.AUTOMATIC)]
    heard = [one for one in by_machine if one.language != UNKNOWN and (one.language_probability or 1.0) >= _SURE_OF_LANGUAGE]
    spoken = min(heard, key=lambda one: one.source != SpeechSource.RECOGNISED).language if heard else UNKNOWN

    def rank(one: ClipTranscript) -> int:
        if one.source == SpeechSource.RECOGNISED_ENGLISH:
            return 5
        if one.is_stand_in:
            return 4
        if one.source == SpeechSource.MANUAL:
            return 0 if UNKNOWN in (spoken, one.language) or same_language(spoken, one.language) else 3
        return 1 if one.source == SpeechSource.RECOGNISED else 2

    return min(transcripts, key=rank)


def main_language(utterances: Sequence[Utterance]) -> tuple[str, float | None]:
    """The language of most seconds, and its mean probability in them; (`und`, None) for none."""
    seconds: dict[str, float] = {}
    weighed: dict[str, float] = {}
    for one in utterances:
        length_s = max(0.01, one.end_s - one.start_s)
        seconds[one.language] = seconds.get(one.language, 0.0) + length_s
        if one.language_probability is not None:
            weighed[one.language] = weighed.get(one.language, 0.0) + length_s * one.language_probability
    known = {language: length_s for language, length_s in seconds.items() if language != UNKNOWN}
    if not known:
        return UNKNOWN, None
    best = max(sorted(known), key=lambda language: known[language])
    return best, round(weighed[best] / seconds[best], 4) if best in weighed else None


def speech_json(speech: SpeechRecord | None) -> dict[str, Any]:
    """A clip's speech for its shard's json: every key always there and of one type (an unknown text is "", an unknown number -1), since
    readers infer types from the first samples. `transcripts_json` holds all transcripts with their utterances as JSON."""
    if speech is None:
        return {
            **dict.fromkeys(("text", "language", "source", "track", "english", "translation", "translated_by"), ""),
            **dict.fromkeys(("language_probability", "start_s", "end_s"), -1.0),
            "is_stand_in": False,
            "evidence_json": "[]",
            "transcripts_json": "[]",
        }
    return {
        "text": speech.text,
        "language": speech.language,
        "source": speech.source,
        "track": speech.track,
        "english": speech.english,
        "translation": speech.translation or "",
        "translated_by": speech.translated_by or "",
        "language_probability": -1.0 if speech.language_probability is None else speech.language_probability,
        "start_s": speech.start_s,
        "end_s": speech.end_s,
        "is_stand_in": speech.is_stand_in,
        "evidence_json": _json([asdict(one) for one in speech.evidence]),
        "transcripts_json": _json([asdict(one) for one in speech.transcripts]),
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
