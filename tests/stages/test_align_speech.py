"""Transcripts cut to clips: one row per clip in which something is said, and everything else told by name."""

from internvid_pipeline.records import DropReason, SpeechRecord, SpokenWord, TranscriptRecord, Utterance
from internvid_pipeline.registry import build_stage
from internvid_pipeline.stage import Drop, Emit, Item, Outcome
from tests.made_records import made_clip
from tests.text.test_alignment import said


def transcript(video_id: str, said_in: tuple[Utterance, ...], source: str = "recognised", **fields: object) -> TranscriptRecord:
    columns = {
        "track": "audio-1",
        "language": said_in[0].language,
        "language_probability": 0.9,
        "speech_s": 1.0,
        "model": "m",
        "model_commit": "c",
        "is_stand_in": False,
    }
    return TranscriptRecord(video_id=video_id, source=source, utterances=said_in, **{**columns, **fields})


def align(clips: list[tuple[str, float, float]], transcripts: list[TranscriptRecord]) -> list[Outcome[SpeechRecord]]:
    items = []
    for video_id, start_s, end_s in clips:
        clip = made_clip(f"{video_id}_{start_s:g}", video_id, end_s - start_s, start_s=start_s, end_s=end_s)
        own = tuple(one for one in transcripts if one.video_id == video_id)
        items.append(Item(clip, joined={TranscriptRecord: own}))
    return build_stage("align_speech", {}).process(items)


def test_each_clip_gets_its_words_with_times_of_its_own():
    """Eight words of a second each; clips of two videos mixed, on a clock that does not start at 0."""
    one = transcript("v1", (said("a1 b1 c1 d1", 100.0, 104.0), said("e1 f1 g1 h1", 104.0, 108.0)))
    other = transcript("v2", (said("今天天气", 0.0, 4.0),))
    found = align([("v1", 100, 102), ("v2", 0, 2), ("v1", 102, 106), ("v1", 106, 110)], [one, other])
    rows = [outcome.records[0] for outcome in found if isinstance(outcome, Emit)]
    assert [(row.clip_id, row.text) for row in rows] == [
        ("v1_100", "a1 b1"),
        ("v2_0", "今天"),
        ("v1_102", "c1 d1 e1 f1"),
        ("v1_106", "g1 h1"),
    ]
    assert [(row.start_s, row.end_s) for row in rows] == [(0.0, 2.0), (0.0, 2.0), (0.0, 4.0), (0.0, 2.0)]
    assert rows[2].transcripts[0].utterances[1].text == "e1 f1"
    assert rows[0].language == "en" and rows[0].language_probability is None and rows[0].evidence == ()


def test_transcripts_stand_side_by_side_and_the_best_is_taken():
    automatic = transcript("v", (said("auto words", 0.0, 2.0),), "automatic_subtitles", track="en")
    manual = transcript("v", (said("manual words", 0.0, 2.0),), "manual_subtitles", track="en")
    heard = transcript("v", (said("heard words", 0.0, 2.0),))
    (outcome,) = align([("v", 0, 5)], [automatic, heard, manual])
    row = outcome.records[0]
    assert (row.text, row.source, row.track) == ("manual words", "manual_subtitles", "en") and row.chosen.text == row.text
    assert [part.source for part in row.transcripts] == ["automatic_subtitles", "recognised", "manual_subtitles"]


def test_silent_clips_are_dropped_and_words_between_clips_are_told():
    outcomes = align([("v", 0, 2), ("v", 5, 7)], [transcript("v", (said("aa bb cc dd", 0.0, 4.0),))])
    assert outcomes[0].records[0].text == "aa bb"
    (lost,) = outcomes[0].dropped_parts
    assert lost.reason == DropReason.OUTSIDE_CLIPS and "2 words between the clips, from 2.00 to 4.00 s: 'cc dd'" in lost.message
    assert outcomes[1] == Drop(DropReason.NO_SPEECH, "nothing is said in this clip")


def test_languages_of_the_part_and_not_of_the_whole():
    """English for ten seconds, then French for four: the second clip is French."""
    french = Utterance(
        start_s=10.0,
        end_s=14.0,
        text="oui",
        language="fr",
        language_probability=0.8,
        words=(SpokenWord(text="oui", start_s=10.0, end_s=14.0),),
        has_word_times=True,
    )
    outcomes = align([("v", 0, 10), ("v", 10, 15)], [transcript("v", (said("yes " * 9 + "yes", 0.0, 10.0), french))])
    assert [outcome.records[0].language for outcome in outcomes] == ["en", "fr"]
    assert outcomes[1].records[0].transcripts[0].language_probability == 0.8
