"""Vision, sound and speech in one sentence: what is asked, what is refused, and that the inputs stay rows of their own."""

from dataclasses import replace
from pathlib import Path

from internvid_pipeline.models import Answer
from internvid_pipeline.records import CaptionRecord, ClipRecord, DropReason, SpeechRecord
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Drop, Emit, Item
from stages.fuse_captions import FuseCaptions
from tests.made_records import made_clip
from tests.models.pictures import worker_at
from tests.stages.test_translate_speech import Writer, row


class Fuser(Writer):
    def summaries(self, texts, prompt=None):
        self.asked.append((prompt, list(texts)))
        found = [self.answers.get(text.splitlines()[-1].split(": ")[0], "A dog barks in a park.") for text in texts]
        return [one if isinstance(one, Answer) else Answer(one) for one in found]


def caption(scale: str, text: str, is_stand_in: bool = False) -> CaptionRecord:
    return CaptionRecord(
        clip_id="c",
        video_id="v",
        scale=scale,
        text=text,
        language="en",
        model="m",
        model_commit="k",
        prompt=None,
        frames=(3, 5),
        is_stand_in=is_stand_in,
    )


def item(captions: list[CaptionRecord], speech: SpeechRecord | None = None) -> Item[ClipRecord]:
    joined = {CaptionRecord: tuple(captions), SpeechRecord: (speech,) if speech else ()}
    return Item(made_clip("c", "v"), joined=joined)


def stage_with(root: Path, writer: Writer) -> FuseCaptions:
    stage = build_stage("fuse_captions", {"model": "stand-in-summariser"})
    stage.setup(worker_at(root))
    stage._writer = writer
    return stage


SEEN, HEARD = caption("fused", "a dog in a park"), caption("audio", "a dog barks loudly")
SAID = row("en", "come here my good boy")


def test_two_captions_from_three_inputs(tmp_path: Path):
    writer = Fuser(Audio="A dog barks loudly in a park.", Speech='"A dog barks in a park while a good boy is told to come here. The end."')
    outcome = stage_with(tmp_path, writer).process([item([caption("coarse", "a lawn"), SEEN, HEARD], SAID)])[0]
    assert isinstance(outcome, Emit) and outcome.dropped_parts == ()
    assert {one.scale: one.text for one in outcome.records} == {
        "av": "A dog barks loudly in a park.",
        "avs": "A dog barks in a park while a good boy is told to come here.",
    }
    ((prompt, texts),) = writer.asked
    assert texts == [
        "Vision: a dog in a park\nAudio: a dog barks loudly",
        "Vision: a dog in a park\nAudio: a dog barks loudly\nSpeech: come here my good boy",
    ]
    assert "one complete, natural English sentence" in prompt
    one = outcome.records[1]
    assert (one.language, one.model, one.prompt, one.frames, one.is_stand_in) == ("en", "writer", prompt, (3, 5), False)


def test_translations_are_fused_and_not_the_source_text(tmp_path: Path):
    writer = Fuser()
    french = replace(row("fr", "viens ici mon bon chien"), translation="come here my good dog")
    stage_with(tmp_path, writer).process([item([SEEN], french)])
    assert writer.asked[0][1] == ["Vision: a dog in a park\nSpeech: come here my good dog"]


def test_speech_that_cannot_be_understood_is_left_out(tmp_path: Path):
    stage = stage_with(tmp_path, Fuser())
    unsure = row("en", "come here my good boy")
    words = tuple(replace(word, probability=0.2) for word in unsure.transcripts[0].utterances[0].words)
    part = replace(unsure.transcripts[0], utterances=(replace(unsure.transcripts[0].utterances[0], words=words),))
    doubtful = [row("en", "uh huh"), row("zh", "你好你好吗"), row("en", "no way " * 8), replace(unsure, transcripts=(part,))]
    for speech in doubtful:
        outcome = stage.process([item([SEEN, HEARD], speech)])[0]
        assert [one.scale for one in outcome.records] == ["av"]
        assert [lost.reason for lost in outcome.dropped_parts] == [DropReason.INCOMPREHENSIBLE]
    alone = stage.process([item([SEEN], doubtful[0])])[0]
    assert isinstance(alone, Drop) and alone.reason == DropReason.INCOMPREHENSIBLE


def test_inventions_and_refusals_are_refused(tmp_path: Path):
    for answer, reason in (
        ("A dog named Robert chases three purple elephants.", DropReason.INVENTED),
        ("A dog barks in a park 12 times.", DropReason.INVENTED),
        ("I'm sorry, I cannot help.", DropReason.EMPTY_CAPTION),
        ("", DropReason.EMPTY_CAPTION),
        (Answer("A dog barks in a", "length"), DropReason.TRUNCATED_CAPTION),
    ):
        outcome = stage_with(tmp_path, Fuser(Audio=answer)).process([item([SEEN, HEARD])])[0]
        assert isinstance(outcome, Drop) and outcome.reason == reason, answer


def test_one_description_alone_is_nothing_to_fuse_and_stand_ins_show(tmp_path: Path):
    outcomes = stage_with(tmp_path, Fuser()).process(
        [item([SEEN]), item([caption("coarse", "a dog in a park", True), HEARD]), item([SEEN, HEARD], replace(SAID, is_stand_in=True))]
    )
    assert outcomes[0] == Drop(DropReason.NOTHING_TO_FUSE, "one description alone: no audio caption, no speech")
    assert [one.is_stand_in for one in outcomes[1].records] == [True]
    assert [(one.scale, one.is_stand_in) for one in outcomes[2].records] == [("av", False), ("avs", True)]
