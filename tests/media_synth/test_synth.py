"""Made videos are what they say they are: every fact of `MadeVideo` is counted again from the file."""

import hashlib
import itertools
import shutil
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from scenedetect import ContentDetector, FrameTimecode

from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.media import synth_scenes as scenes
from internvid_pipeline.media.ffmpeg import has_filter
from internvid_pipeline.media.synth import MadeVideo, Shot, Sound, make_demo_videos, make_video
from internvid_pipeline.media.synth_audio import melody, speech, speech_or_melody

_DEMO_NAMES = (
    "01_cuts_motion.mp4",
    "02_speech.mp4",
    "03_text.mp4",
    "04_still_picture.mp4",
    "05_variable_frame_rate.mp4",
    "06_portrait_rotated.mp4",
    "07_duplicate_of_01.mp4",
    "08_black.mp4",
    "09_spaces, имя и 名前.mp4",
    "10_broken_no_moov.mp4",
    "11_empty.mp4",
)
_SUBTITLES = (
    "01_cuts_motion.en.srt",
    "02_speech.en.vtt",
    "06_portrait_rotated.ar.vtt",
    "09_spaces, имя и 名前.zh-Hans.vtt",
)
_READABLE = tuple(name for name in _DEMO_NAMES if not name.startswith(("10", "11")))
_TWO_SHOTS = (Shot(scenes.plasma(hue=0.0), 30), Shot(scenes.checkerboard(hue=0.6), 25))


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> dict[str, MadeVideo]:
    """The demo's files by name."""
    return {video.path.name: video for video in make_demo_videos(tmp_path_factory.mktemp("made") / "demo")}


def _frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def _samples(path: Path) -> tuple[np.ndarray, int]:
    """Decoded sound, float32 (num_samples,), and its rate in Hz."""
    with av.open(str(path)) as container:
        chunks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return np.concatenate(chunks), container.streams.audio[0].rate


def _detected_cuts(path: Path) -> tuple[int, ...]:
    """Cuts as counted frames: PySceneDetect's own readers number frames by their times, which a variable rate leads astray."""
    detector, frames = ContentDetector(threshold=27), _frames(path)
    numbers = [FrameTimecode(index, 25.0) for index in range(len(frames))]
    cuts = [detector.process_frame(number, frame.to_ndarray(format="bgr24")) for number, frame in zip(numbers, frames, strict=True)]
    return tuple(cut.frame_num for found in [*cuts, detector.post_process(numbers[-1])] for cut in found)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_demo_has_the_files_that_it_names(demo):
    assert tuple(demo) == _DEMO_NAMES
    folder = demo[_DEMO_NAMES[0]].path.parent
    assert sorted(path.name for path in folder.iterdir()) == sorted((*_DEMO_NAMES, *_SUBTITLES)), "something was left lying about"
    assert all(video.note for video in demo.values())


@pytest.mark.parametrize("name", _READABLE)
def test_frames_and_rate_are_as_stated(demo, name):
    video = demo[name]
    frames = _frames(video.path)
    assert len(frames) == video.num_frames
    assert 4 <= video.num_frames / video.fps <= 10
    with av.open(str(video.path)) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(video.fps, abs=0.001)
        assert container.streams.video[0].start_time == 0


@pytest.mark.parametrize("name", _READABLE)
def test_detector_finds_every_cut_and_no_other(demo, name):
    assert _detected_cuts(demo[name].path) == demo[name].cuts


def test_demo_has_cuts_to_find(demo):
    assert demo["01_cuts_motion.mp4"].cuts == (55, 100, 140, 190)
    assert sum(len(video.cuts) for video in demo.values()) >= 12


@pytest.mark.parametrize("name", ["10_broken_no_moov.mp4", "11_empty.mp4"])
def test_broken_ones_do_not_open(demo, name):
    with pytest.raises(av.InvalidDataError):
        av.open(str(demo[name].path))
    assert (demo[name].num_frames, demo[name].cuts) == (0, ())


def test_broken_one_is_more_than_a_stump(demo):
    assert demo["10_broken_no_moov.mp4"].path.stat().st_size > 100_000
    assert demo["11_empty.mp4"].path.stat().st_size == 0


def test_duplicate_is_one_to_the_byte(demo):
    digests = [_digest(demo[name].path) for name in _READABLE]
    assert digests[_READABLE.index("07_duplicate_of_01.mp4")] == digests[0]
    assert len(set(digests)) == len(digests) - 1


def test_still_black_and_moving_ones_are_that(demo):
    def lumas(name):
        return [frame.to_ndarray(format="gray", width=160, height=90).astype(np.int16) for frame in _frames(demo[name].path)]

    def motion(pictures):
        return float(np.median([np.abs(a - b).mean() for a, b in itertools.pairwise(pictures)]))

    assert motion(lumas("04_still_picture.mp4")) < 0.05
    assert max(picture.max() for picture in lumas("08_black.mp4")) <= 16
    assert min(motion(lumas(name)) for name in _READABLE if name[:2] not in ("04", "08")) > 0.3


def test_variable_frame_rate_has_the_stated_pattern(demo):
    frames = _frames(demo["05_variable_frame_rate.mp4"].path)
    times_ms = [round(1000 * frame.pts * frame.time_base) for frame in frames]
    assert np.diff(times_ms).tolist() == ([20, 40, 60] * len(frames))[: len(frames) - 1]
    with av.open(str(demo["05_variable_frame_rate.mp4"].path)) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == Fraction(len(frames) * 40, 1000)


def test_portrait_is_upright_once_turned(demo):
    frame = _frames(demo["06_portrait_rotated.mp4"].path)[0]
    assert (frame.width, frame.height, frame.rotation) == (480, 270, -90)
    shown = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
    scene = scenes.text("UP", hue=0.45, size_ratio=0.25)
    assert shown.shape == (480, 270, 3)
    assert np.abs(shown.astype(int) - next(scene(1, 270, 480, 25.0))).mean() < 6


def test_speech_video_says_what_is_heard(demo):
    video = demo["02_speech.mp4"]
    samples, rate_hz = _samples(video.path)
    assert abs(len(samples) / rate_hz - video.num_frames / video.fps) < 0.2
    assert np.abs(samples).max() > 0.1
    can_speak = has_filter("flite") or any(shutil.which(program) for program in ("espeak-ng", "espeak", "flite"))
    assert ("spoken by" in video.note) == bool(can_speak)
    assert ("melody" in video.note) != bool(can_speak)


def test_second_call_leaves_complete_files_alone_and_mends_the_others(demo, tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(demo[_DEMO_NAMES[0]].path.parent, folder)
    before = {path.name: (path.stat().st_mtime_ns, _digest(path)) for path in folder.iterdir()}
    (folder / "08_black.mp4").write_bytes((folder / "08_black.mp4").read_bytes()[:1000])
    (folder / "03_text.mp4").unlink()
    (folder / "11_empty.mp4").write_bytes(b"no longer empty")
    harmed = {"08_black.mp4", "03_text.mp4", "11_empty.mp4"}
    again = make_demo_videos(folder)
    after = {path.name: (path.stat().st_mtime_ns, _digest(path)) for path in folder.iterdir()}
    assert {name: digest for name, (_, digest) in after.items()} == {name: digest for name, (_, digest) in before.items()}
    assert {name for name in after if after[name] != before[name]} == harmed
    assert [(v.path.name, v.cuts, v.num_frames, v.fps, v.note) for v in again] == [
        (v.path.name, v.cuts, v.num_frames, v.fps, v.note) for v in demo.values()
    ]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("plain.mp4", {}),
        ("sound.mp4", {"audio": melody(3.0), "fps": Fraction(30000, 1001)}),
        ("turned.mov", {"rotation_deg": 90, "gop_frames": 10}),
        ("variable.mkv", {"frame_durations_ms": (10, 70)}),
        ("other.webm", {"codec": "libvpx", "audio": melody(1.0)}),
    ],
)
def test_same_arguments_give_the_same_bytes(tmp_path, name, settings):
    shots = (*_TWO_SHOTS, Shot(scenes.footage("testsrc2"), 20))
    (tmp_path / "again").mkdir()
    made = make_video(tmp_path / name, shots, size_px=(160, 90), **settings)
    make_video(tmp_path / "again" / name, shots, size_px=(160, 90), **settings)
    assert _digest(tmp_path / name) == _digest(tmp_path / "again" / name)
    assert len(_frames(made.path)) == made.num_frames == 75
    assert made.cuts == (30, 55) == _detected_cuts(made.path)


def test_key_frames_are_no_further_apart_than_asked(tmp_path):
    made = make_video(tmp_path / "gop.mp4", [Shot(scenes.ball(hue=0.3), 60)], gop_frames=12)
    keys = [index for index, frame in enumerate(_frames(made.path)) if frame.key_frame]
    assert keys[0] == 0 and max(np.diff([*keys, 60])) <= 12


def test_sound_is_cut_or_padded_to_the_pictures(tmp_path):
    for duration_s in (0.5, 9.0):
        made = make_video(tmp_path / f"{duration_s}.mp4", _TWO_SHOTS, size_px=(160, 90), audio=melody(duration_s))
        samples, rate_hz = _samples(made.path)
        assert len(samples) / rate_hz == pytest.approx(55 / 25, abs=0.15)
        assert (np.abs(samples[int(1.0 * rate_hz) :]).max() > 0.1) == (duration_s > 1)


@pytest.mark.parametrize(
    ("name", "shots", "settings", "words"),
    [
        ("a.txt", _TWO_SHOTS, {}, "suffix should be one of .mp4"),
        ("a.mp4", (), {}, "one shot or more"),
        ("a.mp4", (Shot(scenes.solid(1, 2, 3), 0),), {}, "of one frame or more"),
        ("a.mp4", _TWO_SHOTS, {"size_px": (161, 90)}, "161x90 pixels; both sides should be even"),
        ("a.mp4", _TWO_SHOTS, {"rotation_deg": 45}, "multiple of 90"),
        ("a.mp4", _TWO_SHOTS, {"frame_durations_ms": (40, 0)}, "of 1 or more"),
        ("a.mp4", _TWO_SHOTS, {"codec": "no_such_codec"}, "name a video encoder"),
        ("a.mp4", _TWO_SHOTS, {"codec": "aac"}, "name a video encoder"),
    ],
)
def test_wrong_arguments_are_named_and_leave_nothing_behind(tmp_path, name, shots, settings, words):
    with pytest.raises(UsageError, match=words):
        make_video(tmp_path / name, shots, **settings)
    assert list(tmp_path.iterdir()) == []


def test_failure_half_way_leaves_no_file(tmp_path):
    def scene(num_frames, width_px, height_px, fps):
        yield from itertools.islice(scenes.solid(200, 0, 0)(num_frames, width_px, height_px, fps), 5)
        raise OSError("the well runs dry")

    with pytest.raises(OSError, match="runs dry"):
        make_video(tmp_path / "half.mp4", [Shot(scene, 30)])
    assert list(tmp_path.iterdir()) == []


def test_synthesiser_on_path_is_used_and_its_failure_named(tmp_path, monkeypatch):
    if has_filter("flite"):
        pytest.skip("this ffmpeg speaks by itself")
    tone = melody(0.5)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as writer:
        writer.setparams((1, 2, tone.sample_rate_hz, 0, "NONE", ""))
        writer.writeframes(tone.samples.tobytes())
    program = tmp_path / "espeak-ng"
    program.write_text(f'#!/bin/sh\n[ "$1" = -w ] && [ "$3" = "Hello there." ] && cp "{tmp_path}/tone.wav" "$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    spoken = speech("Hello there.")
    assert spoken is not None and spoken.note == "a sentence spoken by espeak-ng"
    assert np.array_equal(spoken.samples, tone.samples) and spoken.sample_rate_hz == tone.sample_rate_hz
    with pytest.raises(SetupError, match="espeak-ng cannot speak"):
        speech("Anything else")


def test_melody_takes_the_place_of_speech_and_says_so(tmp_path, monkeypatch):
    if has_filter("flite"):
        pytest.skip("this ffmpeg speaks by itself")
    monkeypatch.setenv("PATH", str(tmp_path))
    sound = speech_or_melody("Hello there.", 1.5)
    assert isinstance(sound, Sound) and "no flite or espeak-ng" in sound.note
    assert len(sound.samples) == 1.5 * sound.sample_rate_hz and np.abs(sound.samples).max() > 5000


@pytest.mark.parametrize("sentence", ["", "-v", "it's", "a:b", "a\nb"])
def test_sentences_that_would_be_options_or_filters_are_refused(sentence):
    with pytest.raises(UsageError, match="cannot be spoken"):
        speech(sentence)
