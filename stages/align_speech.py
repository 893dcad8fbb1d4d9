"""What is said in each clip: a video's transcripts cut at the clips' borders by the times of their words. Every word is in exactly one
clip, the one that holds most of it; what is said between the clips is counted and named. Nothing published says how InternVid cut its
subtitles to clips.
"""

from collections.abc import Sequence

from internvid_pipeline.config import Section
from internvid_pipeline.records import (
    ClipRecord,
    ClipTranscript,
    DropReason,
    SpeechRecord,
    SpokenWord,
    TranscriptRecord,
    Utterance,
)
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, PartDrop, Resources, Stage
from internvid_pipeline.text.alignment import ClipFinder, ClipSpan, align
from internvid_pipeline.text.transcripts import chosen_transcript, main_language, text_of
from internvid_pipeline.text.words import joined


class AlignSpeechConfig(Section):
    """Nothing to set: the rule is one."""


class AlignSpeech(Stage[AlignSpeechConfig, ClipRecord, SpeechRecord]):
    """One row per clip in which something is said. Clips of videos without a transcript are not asked about."""

    name = "align_speech"
    config_type = AlignSpeechConfig
    reads = ClipRecord
    joins = (TranscriptRecord,)
    writes = SpeechRecord
    whole_partition = True

    @property
    def resources(self) -> Resources:
        """Tables only."""
        return Resources(cpus=0.5, memory_mb=2000, load_threads=1)

    def deadline_s(self, record: ClipRecord) -> float:
        del record
        return 60.0

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[SpeechRecord]]:
        """Each video's clips together: a word belongs to one of them."""
        by_video: dict[str, list[int]] = {}
        for number, item in enumerate(batch):
            by_video.setdefault(item.record.video_id, []).append(number)
        outcomes: dict[int, Outcome[SpeechRecord]] = {}
        for numbers in by_video.values():
            outcomes.update(zip(numbers, _aligned([batch[number] for number in numbers]), strict=True))
        return [outcomes[number] for number in range(len(batch))]


def _aligned(items: Sequence[Item[ClipRecord]]) -> list[Outcome[SpeechRecord]]:
    """The clips of one video."""
    clips = [item.record for item in items]
    spans = [ClipSpan(clip.start_s, clip.end_s) for clip in clips]
    finder = ClipFinder(spans)
    found: list[list[ClipTranscript]] = [[] for _ in clips]
    outside: list[list[PartDrop]] = [[] for _ in clips]
    transcripts: Sequence[TranscriptRecord] = items[0].joined[TranscriptRecord]
    for transcript in transcripts:
        aligned = align(transcript.utterances, spans)
        for number, said in enumerate(aligned.utterances):
            if said:
                found[number].append(_part(transcript, said))
        missed: dict[int, list[SpokenWord]] = {}
        for word in aligned.outside:
            missed.setdefault(finder.nearest(word.start_s), []).append(word)
        for number, words in missed.items():
            outside[number].append(_outside(transcript, words))
    return [_outcome(clip, said, tuple(lost)) for clip, said, lost in zip(clips, found, outside, strict=True)]


def _part(transcript: TranscriptRecord, said: Sequence[Utterance]) -> ClipTranscript:
    language, probability = main_language(said)
    return ClipTranscript(
        source=transcript.source,
        track=transcript.track,
        language=language,
        language_probability=probability,
        model=transcript.model,
        model_commit=transcript.model_commit,
        is_stand_in=transcript.is_stand_in,
        text=text_of(said),
        utterances=tuple(said),
    )


def _outside(transcript: TranscriptRecord, words: Sequence[SpokenWord]) -> PartDrop:
    start_s, end_s = words[0].start_s, max(word.end_s for word in words)
    message = f"{len(words)} words between the clips, from {start_s:.2f} to {end_s:.2f} s: {joined(words)[:80]!r}"
    return PartDrop(f"{transcript.item_id}/{start_s:.2f}-{end_s:.2f}", DropReason.OUTSIDE_CLIPS, message)


def _outcome(clip: ClipRecord, transcripts: Sequence[ClipTranscript], outside: tuple[PartDrop, ...]) -> Outcome[SpeechRecord]:
    if not transcripts:
        return Drop(DropReason.NO_SPEECH, "nothing is said in this clip", outside)
    chosen = chosen_transcript(transcripts)
    row = SpeechRecord(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        text=chosen.text,
        language=chosen.language,
        language_probability=None,
        source=chosen.source,
        track=chosen.track,
        start_s=min(one.start_s for one in chosen.utterances),
        end_s=max(one.end_s for one in chosen.utterances),
        evidence=(),
        transcripts=tuple(transcripts),
        is_stand_in=chosen.is_stand_in,
    )
    return Emit((row,), outside)
