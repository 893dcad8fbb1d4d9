"""A stage that makes up speech for every second clip, in the columns of the real table."""

from collections.abc import Sequence
from typing import Any

from internvid_pipeline import records
from internvid_pipeline.config import Section
from internvid_pipeline.records import ClipRecord, DropReason
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Stage

SAID = (("你好，世界", "zh", "Hello, world"), ("مرحبا بالعالم", "ar", "Hello, world"), ("<b>hello</b>", "en", None))


class MadeSpeech(Stage[Section, ClipRecord, Any]):
    name = "made_speech"
    config_type = Section
    reads = ClipRecord
    writes = records.SpeechRecord  # type: ignore[attr-defined]

    def process(self, batch: Sequence[Item[ClipRecord]]) -> list[Outcome[Any]]:
        return [self._spoken(item.record) for item in batch]

    def _spoken(self, clip: ClipRecord) -> Outcome[Any]:
        from internvid_pipeline.records import speech

        if clip.start_frame == 0:
            return Drop(DropReason.NO_RESULTS, "nobody speaks in it")
        text, language, translation = SAID[clip.start_frame % len(SAID)]
        utterance = speech.Utterance(
            start_s=0.2, end_s=0.8, text=text, language=language, language_probability=0.9, words=(), has_word_times=False
        )
        made = {"source": "recognised", "track": "audio-0", "language": language, "language_probability": 0.9, "is_stand_in": True}
        transcript = speech.ClipTranscript(**made, model="made-recogniser", model_commit="0123abc", text=text, utterances=(utterance,))
        row = speech.SpeechRecord(
            **made,
            clip_id=clip.clip_id,
            video_id=clip.video_id,
            text=text,
            start_s=0.2,
            end_s=0.8,
            evidence=(),
            transcripts=(transcript,),
            translation=translation,
        )
        return Emit((row,))
