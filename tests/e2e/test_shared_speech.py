"""Real speech in four languages, rain between them, and a film's dialogue: heard where it is, aligned to its shots, its languages told."""

import json
import re
from pathlib import Path

import pytest

from internvid_pipeline.config import validated
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.speech_audio import audio_tracks, read_sound
from internvid_pipeline.models.speech_windows import speech_windows
from internvid_pipeline.models.voice import VoiceConfig
from internvid_pipeline.records import ClipRecord, MediaRef, SpeechRecord, TranscriptRecord, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, WorkerContext
from internvid_pipeline.storage import Root
from stages.align_speech import AlignSpeech, AlignSpeechConfig
from stages.identify_languages import IdentifyLanguages, IdentifyLanguagesConfig
from stages.transcribe_videos import TranscribeVideos, TranscribeVideosConfig
from tests.conftest import shared_videos
from tests.made_records import made_clip, made_video

pytest.importorskip("faster_whisper", reason="the extra `speech` is not installed")
pytest.importorskip("lingua", reason="the extra `speech` is not installed")
pytestmark = pytest.mark.skipif(shared_videos() is None, reason="no real test videos: set INTERNVID_TEST_VIDEOS to their folder")


def file_of(name: str) -> Path:
    videos = shared_videos()
    assert videos is not None
    return next(videos.glob(f"{name}_*.mp4"))


def shots() -> list[dict]:
    """d01's shots: times, language (None: rain), text."""
    found = json.loads(file_of("d01").with_name(f"{file_of('d01').name}.json").read_text())["shots"]
    return [{**shot, "text": re.sub(r"^keywords: | \(UDHR.*", "", shot["text"])} for shot in found]


def heard_s(path: Path) -> list[tuple[float, float]]:
    blocks = read_sound(path, audio_tracks(path, MediaLimits())[0].index, MediaLimits())
    return [span for window in speech_windows(blocks, VoiceConfig(), 3600) for span in window.spans_s]


def test_somebody_is_heard_in_each_shot_but_that_of_rain():
    spans = heard_s(file_of("d01"))
    for shot in shots():
        seconds = sum(max(0.0, min(end, shot["end_s"]) - max(start, shot["start_s"])) for start, end in spans)
        share = seconds / (shot["end_s"] - shot["start_s"])
        assert share > 0.5 if shot["language"] else share < 0.15, (shot, share)  # a pad of the shots beside it
    film = heard_s(file_of("s05"))
    assert sum(end - start for start, end in film) > 4


def clips_of(video: VideoRecord, spans: list[tuple[float, float]]) -> list[ClipRecord]:
    return [
        made_clip(f"{video.video_id}-{number}", video.video_id, end - start, start_s=start, end_s=end)
        for number, (start, end) in enumerate(spans)
    ]


def speech_of(root: Path, video: VideoRecord, clips: list[ClipRecord]) -> list[Outcome[SpeechRecord]]:
    """The subtitles beside the video, aligned, their languages looked for."""
    worker = WorkerContext(root=Root(str(root)), scratch=root, resources=Resources())
    transcribe = TranscribeVideos(validated(TranscribeVideosConfig, {"recogniser": None}, "stages"))
    transcribe.setup(worker)
    (found,) = transcribe.process([Item(video)])
    assert isinstance(found, Emit)
    align = AlignSpeech(AlignSpeechConfig())
    outcomes = align.process([Item(clip, joined={TranscriptRecord: found.records}) for clip in clips])
    identify = IdentifyLanguages(IdentifyLanguagesConfig())
    identify.setup(worker)
    return [
        identify.process([Item(one.records[0], joined={VideoRecord: [video]})])[0] if isinstance(one, Emit) else one for one in outcomes
    ]


def stamp(time_s: float) -> str:
    return f"00:00:{time_s:06.3f}"


def test_each_shots_text_is_told_by_its_words_alone(tmp_path: Path):
    """d01 with subtitles of no stated language: English, Chinese, French, nothing, Arabic."""
    cues = [
        f"{stamp(one['start_s'] + 0.2)} --> {stamp(one['end_s'] - 0.2)}\n{one['text'] if one['language'] else '[rain noise]'}\n"
        for one in shots()
    ]
    path = tmp_path / "d01.mp4"
    path.symlink_to(file_of("d01"))
    (tmp_path / "d01.vtt").write_text("WEBVTT\n\n" + "\n".join(cues))
    video = made_video("file-d01", source_uri=str(path), media=MediaRef(uri=str(path)), title="", language="")
    found = speech_of(tmp_path, video, clips_of(video, [(one["start_s"], one["end_s"]) for one in shots()]))
    for shot, outcome in zip(shots(), found, strict=True):
        if shot["language"] is None:
            assert isinstance(outcome, Drop)
            continue
        assert isinstance(outcome, Emit)
        row = outcome.records[0]
        assert (row.text, row.language, row.source) == (shot["text"], shot["language"], "manual_subtitles")
        assert 0 <= row.start_s < row.end_s <= shot["end_s"] - shot["start_s"] and row.language_probability > 0.5


def test_a_films_subtitles_are_cut_to_its_clips(tmp_path: Path):
    path = tmp_path / "s05.mp4"
    path.symlink_to(file_of("s05"))
    (tmp_path / "s05.en.vtt").write_bytes(file_of("s05").with_suffix(".vtt").read_bytes())
    video = made_video("file-s05", source_uri=str(path), media=MediaRef(uri=str(path)), title="", language="")
    first, second = speech_of(tmp_path, video, clips_of(video, [(0.0, 3.0), (3.0, 6.2)]))
    assert isinstance(first, Emit) and isinstance(second, Emit)
    assert first.records[0].text == "Hildy! How are you? Tell me, is the lord of the universe in?"
    assert second.records[0].text == "Yes, he's in - in a bad humor Somebody must've stolen the crown jewels"
    assert {first.records[0].language, second.records[0].language} == {"en"}
    assert [round(one.start_s, 3) for one in second.records[0].chosen.utterances] == [0.0, 1.3]
