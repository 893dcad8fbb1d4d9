"""From windows of speech to utterances: batches, the language of each window, and what a recogniser made up taken out by name."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import Field

from internvid_pipeline.config.model import Section
from internvid_pipeline.models.base import Recognition, SpeechRecogniser, one_each
from internvid_pipeline.models.speech_windows import SpeechWindow
from internvid_pipeline.records import DropReason, SpokenWord, Utterance
from internvid_pipeline.text.guards import compression_ratio, learnt_by_heart, repeated_share
from internvid_pipeline.text.languages import UNKNOWN, primary, same_language
from internvid_pipeline.text.non_speech import without_marks
from internvid_pipeline.text.words import joined

K = TypeVar("K")
T = TypeVar("T")
_SENTENCE_END = tuple(".!?。！？…؟।۔")
_LEAST_FOR_LANGUAGE_S = 2.0  # shorter spans are taken to be in the language of the span before


class GuardConfig(Section):
    """What is taken for made up. The first three are Whisper's own (arXiv:2212.04356, section 4.5), the last is of arXiv:2501.11378; the
    others are ours."""

    no_speech_probability: float = Field(
        default=0.6, ge=0, le=1, description="A window above this, and below `mean_log_probability`, is `no_speech`."
    )
    mean_log_probability: float = Field(default=-1.0, ge=-100, le=0, description="A window below this is `low_confidence`.")
    compression_ratio: float = Field(default=2.4, gt=1, le=1000, description="A window whose text shrinks by more is `repetition`.")
    repeated_share: float = Field(
        default=0.6, gt=0, le=1, description="An utterance of which more than this is the same words four times or more is `repetition`."
    )
    most_chars_per_s: float = Field(
        default=50.0,
        gt=5,
        le=10_000,
        description="Faster text is `text_over_silence`: no sound stands for it. Fast talkers reach 25.",
    )
    learnt_by_heart: bool = Field(
        default=True,
        description="Subtitlers' credits that recognisers have learnt from subtitles, and `thanks for watching` and the like above "
        "`no_speech_probability`, are `text_over_silence`.",
    )


class ListenConfig(Section):
    """How windows become utterances."""

    max_gap_s: float = Field(
        default=3.0,
        ge=0,
        le=3600,
        description="Speech further apart is heard in windows of its own, as it may be in another language. A window that is half full "
        "takes as long as a full one: 3600 gives faster-whisper's own windows, and saves time where pauses are long.",
    )
    min_language_probability: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="A window below this is taken apart where its stretches are in different languages, and heard again.",
    )
    max_pause_s: float = Field(default=1.0, gt=0, le=30, description="A longer pause ends an utterance, as a full stop does.")
    guards: GuardConfig = Field(default_factory=GuardConfig, description="What is taken for made up.")


@dataclass(frozen=True, slots=True)
class Lost:
    """Seconds of the stream whose text was left out, and why."""

    start_s: float
    end_s: float
    reason: DropReason
    message: str


def ahead(items: Iterable[T], most: int) -> Iterator[T]:
    """The items, up to `most` of them made ahead in a thread: decoding goes on while the model works. An error of theirs is raised here."""
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=most)
    stopped = threading.Event()

    def put(entry: tuple[T | None, BaseException | None]) -> None:
        while not stopped.is_set():
            try:
                waiting.put(entry, timeout=0.1)
                return
            except queue.Full:
                continue

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put((item, None))
                if stopped.is_set():
                    break
        except BaseException as raised:  # noqa: BLE001 - handed over and raised where the items are used
            error = raised
        put((None, error or StopIteration()))

    thread = threading.Thread(target=work, name="listen-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


def hear(
    windows: Iterable[tuple[K, SpeechWindow]],
    recogniser: SpeechRecogniser,
    batch_size: int,
    config: ListenConfig,
    language: str | None = None,
) -> Iterator[tuple[K, SpeechWindow, Recognition]]:
    """Each window with what was heard in it, `batch_size` in a call; a window in several languages comes in parts."""
    for batch in _chunks(windows, batch_size):
        yield from _hear_batch(batch, recogniser, config, language)


def _hear_batch(
    batch: Sequence[tuple[K, SpeechWindow]], recogniser: SpeechRecogniser, config: ListenConfig, language: str | None
) -> Iterator[tuple[K, SpeechWindow, Recognition]]:
    sounds = [window.samples for _, window in batch]
    for (key, window), heard in zip(batch, one_each(recogniser, recogniser.recognise(sounds, language), len(sounds)), strict=True):
        unsure = language is None and heard.language != UNKNOWN and heard.language_probability < config.min_language_probability
        parts = _by_language(window, recogniser) if unsure and len(window.spans) > 1 else []
        if len(parts) < 2:
            yield key, window, heard
        else:
            again = recogniser.recognise([part.samples for part in parts])
            yield from ((key, part, answer) for part, answer in zip(parts, again, strict=True))


def with_english(
    heard: Iterable[tuple[K, SpeechWindow, Recognition]], recogniser: SpeechRecogniser
) -> Iterator[tuple[K, SpeechWindow, Recognition, Recognition | None]]:
    """Each window also with the recogniser's own English of it; None where it is English or holds no words. Windows in one language are
    asked about together, as many as fill the device."""
    for entries in _chunks(heard, recogniser.batch_size):
        asked: dict[str, list[int]] = {}
        for number, (_, _, found) in enumerate(entries):
            if found.words and primary(found.language) != "en":
                asked.setdefault(found.language, []).append(number)
        english: dict[int, Recognition] = {}
        for language, numbers in asked.items():
            sounds = [entries[number][1].samples for number in numbers]
            answers = recogniser.recognise(sounds, None if language == UNKNOWN else language, in_english=True)
            english.update(zip(numbers, one_each(recogniser, answers, len(sounds)), strict=True))
        yield from ((*entry, english.get(number)) for number, entry in enumerate(entries))


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    chunk: list[T] = []
    for item in items:
        chunk.append(item)
        if len(chunk) >= size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _by_language(window: SpeechWindow, recogniser: SpeechRecogniser) -> list[SpeechWindow]:
    """The window cut where the language of its spans changes."""
    spans = window.parts()
    codes = [code for code, _ in recogniser.languages([span.samples for span in spans])]
    groups: list[list[SpeechWindow]] = []
    current = UNKNOWN
    for span, code in zip(spans, codes, strict=True):
        is_long = span.samples.shape[0] >= _LEAST_FOR_LANGUAGE_S * 16_000
        if groups and (not is_long or same_language(code, current) or current == UNKNOWN):
            groups[-1].append(span)
        else:
            groups.append([span])
        current = code if is_long else current
    return [SpeechWindow.of(group) for group in groups]


def utterances_of(window: SpeechWindow, heard: Recognition, config: ListenConfig) -> tuple[list[Utterance], list[Lost]]:
    """A window's words in the stream's time, cut at pauses and full stops; and what was left out."""
    start_s, end_s = window.spans_s[0][0], window.spans_s[-1][1]
    doubt = _doubt(heard, config.guards)
    if doubt is not None:
        return [], [Lost(start_s, end_s, *doubt)]
    kept: list[Utterance] = []
    lost: list[Lost] = []
    for words in _sentences(window, heard, config.max_pause_s):
        said = without_marks(words)
        problem = _problem(words, said, config.guards, heard.no_speech_probability > config.guards.no_speech_probability)
        if problem is not None:
            lost.append(Lost(words[0].start_s, words[-1].end_s, *problem))
        else:
            kept.append(
                Utterance(
                    start_s=said[0].start_s,
                    end_s=max(word.end_s for word in said),
                    text=joined(said),
                    language=heard.language,
                    language_probability=round(heard.language_probability, 4) if heard.language != UNKNOWN else None,
                    words=said,
                    has_word_times=True,
                )
            )
    return kept, lost


def _doubt(heard: Recognition, guards: GuardConfig) -> tuple[DropReason, str] | None:
    """Why nothing of a window is believed."""
    text = "".join(word.text for word in heard.words).strip()
    if not text:
        return DropReason.NO_SPEECH, "the recogniser heard no words"
    if heard.mean_log_probability < guards.mean_log_probability:
        if heard.no_speech_probability > guards.no_speech_probability:
            return DropReason.NO_SPEECH, f"probability of no speech {heard.no_speech_probability:.2f}: {text[:80]!r}"
        return DropReason.LOW_CONFIDENCE, f"mean log-probability {heard.mean_log_probability:.2f}: {text[:80]!r}"
    ratio = compression_ratio(text)
    if ratio > guards.compression_ratio:
        return DropReason.REPETITION, f"compression ratio {ratio:.1f}: {text[:80]!r}"
    return None


def _problem(
    words: Sequence[SpokenWord], said: Sequence[SpokenWord], guards: GuardConfig, is_doubtful: bool
) -> tuple[DropReason, str] | None:
    """Why an utterance is left out. said: its words without marks."""
    if not said:
        return DropReason.NON_SPEECH, f"marks only: {joined(words)[:80]!r}"
    text = joined(said)
    share = repeated_share([word.text for word in said])
    if share > guards.repeated_share and len(said) > 4:
        return DropReason.REPETITION, f"{share:.0%} the same words over and over: {text[:80]!r}"
    if guards.learnt_by_heart and learnt_by_heart(text, is_doubtful):
        return DropReason.TEXT_OVER_SILENCE, f"recognisers know this by heart: {text[:80]!r}"
    length_s = said[-1].end_s - said[0].start_s
    if len(text) > guards.most_chars_per_s * max(length_s, 0.2):
        return DropReason.TEXT_OVER_SILENCE, f"{len(text)} characters in {length_s:.2f} s: {text[:80]!r}"
    return None


def _sentences(window: SpeechWindow, heard: Recognition, max_pause_s: float) -> list[list[SpokenWord]]:
    """The words in the stream's time, cut."""
    sentences: list[list[SpokenWord]] = []
    latest_s = 0.0
    for word in heard.words:
        start_s, end_s = window.in_stream(word.start_s, word.end_s)
        start_s = max(start_s, latest_s)
        spoken = SpokenWord(text=word.text, start_s=start_s, end_s=max(start_s, end_s), probability=round(word.probability, 4))
        latest_s = start_s
        previous = sentences[-1][-1] if sentences else None
        ends = previous is None or previous.text.rstrip("\"'”’»)]").endswith(_SENTENCE_END) or start_s - previous.end_s > max_pause_s
        if ends and (previous is None or any(character.isalnum() for character in word.text)):
            sentences.append([spoken])
        elif ends and previous is not None:  # a full stop is not said: it does not stretch what it ends
            sentences[-1].append(replace(spoken, start_s=previous.end_s, end_s=previous.end_s))
        else:
            sentences[-1].append(spoken)
    return sentences


def in_language(utterances: Sequence[Utterance], language: str) -> list[Utterance]:
    """The utterances said to be in another language: of a recogniser's own translation."""
    return [replace(one, language=language, language_probability=None) for one in utterances]
