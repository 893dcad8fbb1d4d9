"""What is said in a video: subtitles, the real path of a recogniser with tiny weights, several tracks, and what is lost by name."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.config import validated
from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.speech_audio import read_sound
from internvid_pipeline.models import build_recogniser, tiny_whisper
from internvid_pipeline.models.listening import ListenConfig, hear, utterances_of
from internvid_pipeline.models.speech_windows import SpeechWindow, speech_windows
from internvid_pipeline.models.voice import VoiceConfig
from internvid_pipeline.records import DropReason, MediaRef, SubtitleRef, TranscriptRecord, Utterance, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Fail, Item, Outcome
from stages.transcribe_videos import TranscribeVideos, TranscribeVideosConfig
from tests.made_records import made_video
from tests.media.made import Made, Track, shots_of, write_video
from tests.models.pictures import worker_at
from tests.spoken import RATE_HZ, music, rain, silence, spoken

pytest.importorskip("faster_whisper", reason="the extra `speech` is not installed")

# A tiny model with random weights is sure of nothing and repeats itself: nothing of it is refused here.
TRUSTING = {
    "guards": {"mean_log_probability": -100, "compression_ratio": 1000, "repeated_share": 1, "most_chars_per_s": 10_000},
    "min_language_probability": 0,
}
VTT = b"WEBVTT\n\n00:00.500 --> 00:02.000\nHello there\n\n00:02.000 --> 00:03.000\n[Music]\n"


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> ModelPreset:
    return tiny_whisper.save_tiny_faster_whisper(tmp_path_factory.mktemp("whisper") / "converted")


def config_of(preset: ModelPreset | None, **fields: object) -> TranscribeVideosConfig:
    merged = {"recogniser": preset.model_dump() if preset else None, "listen": TRUSTING, **fields}
    return validated(TranscribeVideosConfig, merged, "stages.transcribe_videos")


def run(config: TranscribeVideosConfig, root: Path, videos: Sequence[VideoRecord]) -> list[Outcome[TranscriptRecord]]:
    stage = TranscribeVideos(config)
    stage.prepare_node()
    (root / "scratch").mkdir(exist_ok=True)
    stage.setup(worker_at(root))
    outcomes = stage.process([Item(video) for video in videos])
    stage.teardown()
    return outcomes


def video_of(path: Path, samples: Sequence[np.ndarray], languages: Sequence[str] = (), **fields: object) -> VideoRecord:
    """A video with a track for each sound."""
    names = [*languages, *[""] * len(samples)]
    tracks = [Track(one[None], RATE_HZ, codec="aac", language=name) for one, name in zip(samples, names, strict=False)]
    seconds = max((one.shape[0] / RATE_HZ for one in samples), default=1.0)
    write_video(path, shots_of([int(seconds * 5) + 1], 64, 48), Made(fps=5, tracks=tracks))
    data = {"source_uri": str(path), "media": MediaRef(uri=str(path), size_bytes=path.stat().st_size), "duration_s": seconds}
    return made_video(f"file-{path.stem}", **{**data, "num_audio_streams": len(samples), **fields})


def subtitle(folder: Path, language: str, kind: str, data: bytes) -> SubtitleRef:
    path = folder / f"{hashlib.sha256(data).hexdigest()[:8]}-{language}.vtt"
    path.write_bytes(data)
    return SubtitleRef(language=language, kind=kind, format="vtt", media=MediaRef(uri=str(path), size_bytes=len(data)))


def rows_of(outcome: Outcome[TranscriptRecord]) -> dict[str, TranscriptRecord]:
    assert isinstance(outcome, Emit), outcome
    return {f"{row.source}/{row.track}": row for row in outcome.records}


def test_speech_is_heard_where_it_is_with_words_and_languages(tmp_path: Path, preset: ModelPreset):
    """Rain, English, music, French: utterances lie in the sentences, words in their utterances."""
    english, french = spoken("en"), spoken("fr")
    video = video_of(tmp_path / "a.mkv", [np.concatenate([rain(3), silence(1), english, music(5), silence(1), french])])
    outcome = run(config_of(preset), tmp_path, [video])[0]
    row = rows_of(outcome)["recognised/audio-1"]
    french_s = 4 + english.shape[0] / RATE_HZ + 6
    spans = [(3.5, 4.6 + english.shape[0] / RATE_HZ), (french_s - 0.5, french_s + french.shape[0] / RATE_HZ + 0.6)]
    assert {sum(one.start_s >= begin for begin, _ in spans) for one in row.utterances} == {1, 2}, "something is heard in both"
    for one in row.utterances:
        assert any(begin <= one.start_s <= one.end_s <= end for begin, end in spans), (one, spans)
        assert one.has_word_times and one.text == "".join(word.text for word in one.words).strip()
        assert all(one.start_s <= word.start_s <= word.end_s <= one.end_s and 0 <= word.probability <= 1 for word in one.words)
        assert one.language != "und" and 0 < one.language_probability <= 1
    assert (row.model, row.model_commit, row.is_stand_in) == ("tiny-faster-whisper", "local", False) and row.speech_s > 0


def test_the_words_do_not_depend_on_the_blocks_in_which_sound_is_read(tmp_path: Path, preset: ModelPreset):
    """Half a second, ten seconds, all at once: the same windows, words and times to the last digit."""
    recogniser, config = build_recogniser(preset), ListenConfig(**TRUSTING, max_gap_s=0.1)
    parts = [part for code in ("en", "zh", "ar") for part in (spoken(code), silence(0.4), spoken(code), rain(2))]
    path = Path(video_of(tmp_path / "a.mkv", [np.concatenate(parts)]).source_uri)

    def heard(block_s: float) -> tuple[list[SpeechWindow], list[Utterance]]:
        windows = list(speech_windows(read_sound(path, 1, MediaLimits(), block_s), VoiceConfig(), config.max_gap_s))
        found = hear(((0, window) for window in windows), recogniser, 4, config)
        return windows, [one for _, window, answer in found for one in utterances_of(window, answer, config)[0]]

    at_once, words = heard(1000.0)
    assert len(at_once) == 3 and len(words) > 1
    for block_s in (0.5, 10.0):
        windows, again = heard(block_s)
        assert again == words
        assert [(one.spans, one.samples.tobytes()) for one in windows] == [(one.spans, one.samples.tobytes()) for one in at_once]


def test_rain_music_and_silence_are_no_speech(tmp_path: Path, preset: ModelPreset):
    video = video_of(tmp_path / "a.mkv", [np.concatenate([rain(5), silence(2), music(5)])])
    silent = video_of(tmp_path / "b.mkv", [])
    assert run(config_of(preset), tmp_path, [video, silent]) == [
        Drop(DropReason.NO_SPEECH, "nobody is heard to speak in 1 audio tracks"),
        Drop(DropReason.NO_SOUND, "no audio stream and no subtitles"),
    ]


def test_guards_name_what_they_leave_out(tmp_path: Path, preset: ModelPreset):
    """Whisper's own thresholds: nothing that random weights say is believed."""
    video = video_of(tmp_path / "a.mkv", [spoken("en")])
    outcome = run(config_of(preset, listen={}), tmp_path, [video])[0]
    assert isinstance(outcome, Drop) and outcome.reason == DropReason.NO_SPEECH
    assert {part.reason for part in outcome.dropped_parts} <= {DropReason.LOW_CONFIDENCE, DropReason.NO_SPEECH, DropReason.REPETITION}
    assert outcome.dropped_parts and all(part.item_id.startswith("file-a/recognised/audio-1/") for part in outcome.dropped_parts)


@pytest.mark.parametrize(
    ("tracks", "kind", "language", "heard"),
    [
        ({}, "manual", "en", False),  # people wrote down what is said
        ({"recognise": "always"}, "manual", "en", True),
        ({}, "manual", "fr", True),  # a translation
        ({}, "automatic", "en", True),  # side by side
        ({"subtitles": False}, "manual", "en", True),
    ],
)
def test_manual_subtitles_in_the_language_spoken_spare_the_recogniser(
    tmp_path: Path, preset: ModelPreset, tracks: dict[str, object], kind: str, language: str, heard: bool
):
    video = video_of(
        tmp_path / "a.mkv", [spoken("en")], language="en-US", subtitles=(subtitle(tmp_path, language, kind, VTT),), start_s=0.25
    )
    outcome = run(config_of(preset, **tracks), tmp_path, [video])[0]
    rows = rows_of(outcome)
    assert ("recognised/audio-1" in rows) is heard
    if tracks.get("subtitles", True):
        row = rows[f"{kind}_subtitles/{language}"]
        assert [(one.text, one.start_s, one.end_s) for one in row.utterances] == [("Hello there", 0.75, 2.25)]
        assert row.language == language and row.model == "" and not row.is_stand_in
        assert (DropReason.NON_SPEECH, "marks only: '[Music]'") in [(part.reason, part.message) for part in outcome.dropped_parts]


def test_the_language_spoken_is_asked_of_the_recogniser_where_nothing_tells_it(tmp_path: Path, preset: ModelPreset):
    video = video_of(tmp_path / "a.mkv", [spoken("en")], subtitles=(subtitle(tmp_path, "en", "manual", VTT),))
    told = rows_of(run(config_of(preset, recognise="always"), tmp_path, [video])[0])["recognised/audio-1"].language
    same = video_of(tmp_path / "b.mkv", [spoken("en")], subtitles=(subtitle(tmp_path, told, "manual", VTT),))
    found = [set(rows_of(one)) for one in run(config_of(preset), tmp_path, [video, same])]
    assert found[1] == {f"manual_subtitles/{told}"}
    assert ("recognised/audio-1" in found[0]) is (told != "en")


def test_several_tracks_are_several_transcripts(tmp_path: Path, preset: ModelPreset):
    video = video_of(tmp_path / "a.mkv", [spoken("en"), spoken("ru"), rain(3)], ["eng", "rus", "fra"])
    found = {
        tracks: set(rows_of(run(config_of(preset, tracks=tracks), tmp_path, [video])[0]))
        for tracks in (("default",), ("all",), ("ru",), ("default", "ru"))
    }
    both = {"recognised/audio-1", "recognised/audio-2"}
    assert found == {
        ("default",): {"recognised/audio-1"},
        ("all",): both,
        ("ru",): {"recognised/audio-2"},
        ("default", "ru"): both,
    }


def test_a_track_in_a_language_without_subtitles_is_heard(tmp_path: Path, preset: ModelPreset):
    """People wrote down the English track: the Russian one is transcribed all the same."""
    given = {"language": "en", "subtitles": (subtitle(tmp_path, "en", "manual", VTT),)}
    video = video_of(tmp_path / "a.mkv", [spoken("en"), spoken("ru")], ["eng", "rus"], **given)
    assert set(rows_of(run(config_of(preset, tracks=["all"]), tmp_path, [video])[0])) == {"manual_subtitles/en", "recognised/audio-2"}


def test_the_recognisers_own_english_stands_beside(tmp_path: Path, preset: ModelPreset):
    video = video_of(tmp_path / "a.mkv", [np.concatenate([spoken("fr"), silence(4), spoken("de")])])
    rows = rows_of(run(config_of(preset, in_english=True), tmp_path, [video])[0])
    assert rows["recognised_in_english/audio-1"].language == "en" != rows["recognised/audio-1"].language
    assert {one.language for one in rows["recognised_in_english/audio-1"].utterances} == {"en"}


def test_each_video_gets_its_own_words_and_a_broken_one_fails_alone(tmp_path: Path, preset: ModelPreset):
    videos = [video_of(tmp_path / f"{code}.mkv", [spoken(code)]) for code in ("en", "ar", "zh")]
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video at all")
    fields = {"media": MediaRef(uri=str(broken), size_bytes=15), "source_uri": str(broken), "num_audio_streams": 1}
    videos.insert(1, made_video("file-broken", **fields))
    together = run(config_of(preset), tmp_path, videos)
    assert isinstance(together[1], Fail) and together[1].error_class == "UnreadableMedia"
    for video, outcome in zip(videos, together, strict=True):
        alone = run(config_of(preset), tmp_path, [video])[0]
        assert outcome == alone
        assert isinstance(outcome, Fail) or {row.video_id for row in outcome.records} == {video.video_id}


def test_subtitles_beside_a_file_and_without_a_recogniser(tmp_path: Path):
    video = video_of(tmp_path / "a.mkv", [silence(2)])
    (tmp_path / "a.he.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nשלום עולם 😀\n", encoding="utf-8-sig")
    (tmp_path / "a.vtt").write_text("junk")
    outcome = run(config_of(None), tmp_path, [video])[0]
    (row,) = rows_of(outcome).values()
    assert (row.source, row.track, row.language) == ("manual_subtitles", "he", "he") and row.utterances[0].text == "שלום עולם 😀"
    assert [(part.reason, part.message) for part in outcome.dropped_parts] == [(DropReason.SUBTITLES, "holds no cues that can be read")]
    empty = video_of(tmp_path / "none.mkv", [silence(2)])
    assert run(config_of(None), tmp_path, [empty]) == [Drop(DropReason.NO_SPEECH, "no subtitles, and nothing was listened to")]


def test_the_stand_in_says_how_it_sounds_and_what_it_is(tmp_path: Path):
    from internvid_pipeline.config.presets import load_preset

    video = video_of(tmp_path / "a.mkv", [spoken("tr")])
    (row,) = rows_of(run(config_of(load_preset("stand-in-recogniser")), tmp_path, [video])[0]).values()
    assert row.is_stand_in and row.language == "und" and row.model == "stand-in-recogniser"
    assert row.utterances[0].text.startswith("a ") and "voice for" in row.utterances[0].text
