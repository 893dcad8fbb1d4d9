"""Clips hold exactly the source's frames of their span, at their times, upright, with their sound; two runs give the same bytes."""

import errno
import hashlib
import os
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import DamagedMedia, is_machine_fault
from internvid_pipeline.media.clip_file import verify
from internvid_pipeline.media.clip_plan import ClipSettings, ClipSpan
from internvid_pipeline.media.clips import WrittenClip, write_clips
from internvid_pipeline.media.container import open_media
from internvid_pipeline.media.cut_plan import CutMode
from internvid_pipeline.media.frames import choose_frames
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.picture_type import frame_format, frame_suffix
from internvid_pipeline.media.probe import probe
from internvid_pipeline.media.scan import scan_video
from internvid_pipeline.media.video_encoders import EncoderSettings
from tests.media.made import Made, Track, beeps, frames_of, noisy, number_of, numbered, numbers_in, samples_of, shots_of, write_video

FAST = ClipSettings(EncoderSettings(crf=18, preset="ultrafast"), mode="reencode")


def cut(source: Path, spans: list[tuple[int, int]], folder: Path, clip_settings: ClipSettings = FAST) -> list[WrittenClip]:
    folder.mkdir(exist_ok=True)
    scan = scan_video(source, [])
    wanted = [ClipSpan(start, end, f"clip{start:03d}", choose_frames(scan.times, start, end, 1.0, 8)) for start, end in spans]
    return list(write_clips(source, scan, wanted, folder, clip_settings))


CODECS = {
    "h264-long-gop-b-frames": ("mp4", Made(gop=250, options={"bf": "3", "sc_threshold": "0"})),
    "h264-open-gop": ("mkv", Made(gop=12, options={"x264-params": "open-gop=1:keyint=12:bframes=3", "sc_threshold": "0"})),
    "h264-444": ("mkv", Made(pix_fmt="yuv444p")),
    "hevc": ("mp4", Made(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:pools=none"})),
    "vp9": ("webm", Made(codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"})),
    "av1": ("mp4", Made(codec="libsvtav1", options={"preset": "10", "crf": "20", "svtav1-params": "lp=1"})),
    "mpeg4": ("avi", Made(codec="mpeg4", options={"bf": "2", "qscale": "3"})),
    "mpeg2": ("ts", Made(codec="mpeg2video", options={"qscale": "3"})),
    "prores": ("mov", Made(codec="prores_ks", pix_fmt="yuv422p10le")),
    "ffv1": ("mkv", Made(codec="ffv1")),
    "rgb": ("mkv", Made(codec="ffv1", pix_fmt="bgr0")),
}


@pytest.mark.parametrize("name", CODECS)
def test_exactly_the_frames_of_the_span(tmp_path: Path, name: str):
    """Frames 7 to 19 and 30 to 41 of 45, told by their bar codes, read by PyAV and by OpenCV."""
    suffix, made = CODECS[name]
    source = write_video(tmp_path / f"v.{suffix}", shots_of([30, 15]), made)
    clips = cut(source, [(7, 20), (30, 42)], tmp_path / "out")
    assert [numbers_in(clip.path) for clip in clips] == [list(range(7, 20)), list(range(30, 42))]
    capture = cv2.VideoCapture(str(clips[0].path))
    seen = []
    while (read := capture.read())[0]:
        seen.append(number_of(read[1]))
    assert seen == list(range(7, 20))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(1, 14), min_size=1, max_size=5),
    st.lists(st.integers(3, 400), min_size=70, max_size=70),
    st.integers(0, 4000),
    st.sampled_from(["mp4", "mkv"]),
)
def test_times_of_variable_frame_rate(tmp_path: Path, lengths: list[int], steps_ms: list[int], start_ms: int, suffix: str):
    """Any frame durations, start and spans: each clip starts at 0, keeps every step, and ends when its last frame does."""
    count = sum(lengths)
    pts = [start_ms + sum(steps_ms[:k]) for k in range(count + 1)]
    made = Made(time_base=Fraction(1, 1000), pts=pts[:-1], end_pts=pts[-1], options={"bf": "0"})
    source = write_video(tmp_path / f"v.{suffix}", [numbered(k, 160, 90) for k in range(count)], made)
    edges = [sum(lengths[:k]) for k in range(len(lengths) + 1)]
    spans = list(pairwise(edges))
    for (start, end), clip in zip(spans, cut(source, spans, tmp_path / "out"), strict=True):
        frames = frames_of(clip.path)
        assert [round(frame.pts * frame.time_base * 1000) for frame in frames] == [time - pts[start] for time in pts[start:end]]
        assert [number_of(frame.to_ndarray(format="rgb24")) for frame in frames] == list(range(start, end))
        with av.open(str(clip.path)) as container:
            stream = container.streams.video[0]
            stated = suffix == "mp4" or end < count  # Matroska does not keep the last frame's duration
            last = pts[end] if stated else pts[end - 1] + frames_of(source)[-1].duration
            assert abs(float(stream.duration * stream.time_base) - (last - pts[start]) / 1000) < 0.0011


def test_b_frames_only_where_they_lose_nothing(tmp_path: Path):
    """A steady source is encoded with B-frames (a quarter smaller), and still ends on time."""
    clips = cut(
        write_video(tmp_path / "v.mp4", shots_of([30])),
        [(2, 27)],
        tmp_path / "out",
        ClipSettings(EncoderSettings(preset="veryfast"), mode="reencode"),
    )
    with av.open(str(clips[0].path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.has_b_frames and stream.duration * stream.time_base == 1


def test_the_same_bytes_twice(tmp_path: Path):
    source = write_video(tmp_path / "v.mp4", shots_of([30, 25]), Made(tracks=[Track(beeps([0.5], 2.2, channels=2))]))
    hashes = []
    for folder in ("first", "second"):
        cut(source, [(0, 30), (30, 55)], tmp_path / folder)
        hashes.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((tmp_path / folder).iterdir())})
    assert hashes[0] == hashes[1] and len(hashes[0]) == 2 + 9 + 9


@pytest.mark.parametrize(("codec", "tag"), [("hevc", "hvc1"), ("av1", "av01")])
@pytest.mark.parametrize("preset", ["quick", "veryfast"])
def test_clips_of_the_codec_that_was_asked_for(tmp_path: Path, codec: Literal["hevc", "av1"], tag: str, preset: str):
    """Exact frames and times, also where frames last unequally long, sound beside them, the same bytes twice."""
    lengths = [512, 700, 300, 512] * 10
    pts = [sum(lengths[:k]) for k in range(41)]
    made = Made(time_base=Fraction(1, 12800), pts=pts[:-1], end_pts=pts[-1], options={"bf": "0"}, tracks=[Track(beeps([0.5], 1.6))])
    source = write_video(tmp_path / "v.mp4", shots_of([40]), made)
    asked = ClipSettings(EncoderSettings(preset=preset, codec=codec), only_codec=True)
    first, second = (cut(source, [(0, 12), (12, 40)], tmp_path / folder, asked) for folder in ("first", "second"))
    for ours, again, (start, end) in zip(first, second, [(0, 12), (12, 40)], strict=True):
        assert numbers_in(ours.path) == list(range(start, end)) and ours.has_audio
        with av.open(str(ours.path)) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.codec.canonical_name == codec and stream.codec_context.codec_tag == tag
            shown = sorted(packet.pts * packet.time_base for packet in container.demux(stream) if packet.size)
            assert shown == [Fraction(sum(lengths[start:k]), 12800) for k in range(start, end)]
        assert ours.path.read_bytes() == again.path.read_bytes()


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_encoding_makes_nothing_more_important_than_the_rest_of_the_machine(tmp_path: Path, codec: Literal["h264", "hevc", "av1"]):
    """SVT-AV1, run by root, takes real-time priority for the thread that calls it, and what that starts inherits it."""
    source = write_video(tmp_path / "v.mp4", [numbered(k) for k in range(12)])
    before = os.sched_getscheduler(0)
    cut(source, [(3, 9)], tmp_path / "out", ClipSettings(EncoderSettings(codec=codec), mode="reencode"))
    assert before == os.SCHED_OTHER
    assert {os.sched_getscheduler(int(thread)) for thread in os.listdir("/proc/self/task")} == {before}


@pytest.mark.parametrize(("codec", "only", "copied"), [("h264", False, True), ("h264", True, False), ("hevc", True, True)])
def test_sources_of_another_codec_are_encoded_where_one_is_asked_for(
    tmp_path: Path, codec: Literal["h264", "hevc"], only: bool, copied: bool
):
    source = write_video(tmp_path / "v.mp4", shots_of([20]), CODECS["hevc"][1])
    (clip,) = cut(source, [(0, 20)], tmp_path / "out", ClipSettings(EncoderSettings(codec=codec), only_codec=only))
    assert (clip.plan.mode is CutMode.COPY) == copied
    with av.open(str(clip.path)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == ("hevc" if copied else codec)


@pytest.mark.parametrize(("suffix", "magic", "most"), [(".jpg", b"\xff\xd8", 12), (".webp", b"RIFF", 12), (".png", b"\x89PNG", 1.5)])
def test_kept_frames_have_the_format_that_was_asked_for(tmp_path: Path, suffix: str, magic: bytes, most: float):
    source = write_video(tmp_path / "v.mp4", [noisy(picture) for picture in shots_of([12])])
    (clip,) = cut(source, [(0, 12)], tmp_path / "out", replace(FAST, frame_suffix=suffix))
    assert len(clip.frames) >= 8
    for kept, frame in ((kept, frames_of(source)[kept.frame]) for kept in clip.frames):
        assert kept.path.suffix == suffix and kept.path.read_bytes().startswith(magic)
        assert suffix == frame_suffix(frame_format(kept.path.read_bytes()))
        picture = cv2.imread(str(kept.path))
        assert number_of(picture) == kept.frame
        difference = np.abs(picture.astype(int) - frame.to_ndarray(format="bgr24")).mean()
        assert difference < most


def test_a_clip_is_plain_faststart_mp4(tmp_path: Path):
    """The index before the data, no time of day, no encoder version, profile that browsers play."""
    clip = cut(write_video(tmp_path / "v.mov", shots_of([20]), Made(pix_fmt="yuv444p")), [(0, 20)], tmp_path / "out")[0]
    data = clip.path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat") and b"Lavf" not in data
    with av.open(str(clip.path)) as container:
        assert "creation_time" not in container.metadata and "encoder" not in container.metadata
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


FLASHES = [0.48, 1.2, 2.0]


@pytest.mark.parametrize(
    ("suffix", "audio_codec", "rate", "late_s"),
    [("mp4", "aac", 44100, 0.0), ("mkv", "pcm_s16le", 48000, 0.0), ("mp4", "aac", 96000, 0.3), ("ts", "mp2", 48000, 0.0)],
)
@pytest.mark.parametrize("start", [0, 9, 20])
def test_flash_and_beep(tmp_path: Path, suffix: str, audio_codec: str, rate: int, late_s: float, start: int):
    """White pictures from 0.48, 1.2 and 2.0 s on, for 80 ms each, with beeps at the same moments. Picture against sound within 5 ms in
    every clip, whatever its start; also where the picture starts 0.3 s after the sound."""
    fps = 25
    pictures = [np.full((90, 160, 3), 235 if any(0 <= k / fps - flash < 0.08 for flash in FLASHES) else 90, np.uint8) for k in range(75)]
    track = Track(beeps([flash + late_s for flash in FLASHES], 3.0 + late_s, rate), rate, codec=audio_codec)
    made = Made(time_base=Fraction(1, 1000), pts=[round((late_s + k / fps) * 1000) for k in range(75)], tracks=[track])
    clip = cut(write_video(tmp_path / f"v.{suffix}", pictures, made), [(start, 75)], tmp_path / "out")[0]
    bright = [(float(frame.pts * frame.time_base), frame.to_ndarray(format="gray").mean() > 150) for frame in frames_of(clip.path)]
    flashes = [time for (time, now), (_, before) in zip(bright[1:], bright, strict=False) if now and not before]
    samples, clip_rate = samples_of(clip.path)
    loud = np.flatnonzero(np.abs(samples[0]) > 0.25)
    heard = [int(first) / clip_rate for first in loud[np.concatenate([[True], np.diff(loud) > clip_rate // 10])]]
    assert len(flashes) == len(heard) == sum(flash > start / fps for flash in FLASHES)
    assert np.allclose(flashes, heard, atol=0.005)


def test_sound_is_trimmed_to_the_clip(tmp_path: Path):
    """Frames 10 to 20 of 25 a second: 0.4 s of sound, whole frames of AAC aside."""
    source = write_video(tmp_path / "v.mp4", shots_of([50]), Made(tracks=[Track(beeps([], 2.0))]))
    clip = cut(source, [(10, 20)], tmp_path / "out")[0]
    with av.open(str(clip.path)) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == Fraction(4, 10) and stream.start_time == 0


def test_sound_that_ends_early_or_is_absent(tmp_path: Path):
    """1 s of sound under 3 s of picture: clips with all, a part and nothing of it."""
    source = write_video(tmp_path / "v.mp4", shots_of([75]), Made(tracks=[Track(beeps([0.1], 1.0))]))
    whole, part, none = cut(source, [(0, 10), (20, 40), (50, 75)], tmp_path / "out")
    assert [clip.has_audio for clip in (whole, part, none)] == [True, True, False]
    with av.open(str(part.path)) as container:
        assert 0.19 < float(container.streams.audio[0].duration * container.streams.audio[0].time_base) < 0.25
    with av.open(str(none.path)) as container:
        assert len(container.streams.audio) == 0
    assert numbers_in(none.path) == list(range(50, 75))


def test_the_default_of_two_tracks(tmp_path: Path):
    """The first one, unless another is marked as default."""
    source = write_video(tmp_path / "v.mp4", shots_of([25]), Made(tracks=[Track(beeps([0.2], 1.0)), Track(beeps([0.6], 1.0))]))
    samples, rate = samples_of(cut(source, [(0, 25)], tmp_path / "out")[0].path)
    assert abs(np.flatnonzero(np.abs(samples[0]) > 0.25)[0] / rate - 0.2) < 0.005


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_upright(tmp_path: Path, rotation: int):
    """Stored turned, as phones do: the clip's pixels stand upright, and nothing asks a player to turn them again."""
    turned = [np.rot90(picture, -rotation // 90) for picture in shots_of([12])]
    source = write_video(tmp_path / "v.mp4", turned, Made(rotation=rotation))
    info = probe(source).video
    assert info is not None and info.orientation.rotation_deg in (rotation, rotation - 360)
    clip = cut(source, [(3, 12)], tmp_path / "out")[0]
    assert (clip.width_px, clip.height_px) == (320, 180)
    assert numbers_in(clip.path) == list(range(3, 12)) and all(frame.rotation == 0 for frame in frames_of(clip.path))
    assert {(kept.width_px, kept.height_px) for kept in clip.frames} == {(320, 180)}
    assert [number_of(cv2.imread(str(kept.path))) for kept in clip.frames] == [kept.frame for kept in clip.frames]


def test_mirrored(tmp_path: Path):
    """A display matrix that flips (front cameras): upside down in the file."""
    source = tmp_path / "v.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.set_display_rotation(0, vflip=True)
        for picture in shots_of([10]):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[::-1]), format="rgb24")))
        container.mux(stream.encode(None))
    assert numbers_in(cut(source, [(0, 10)], tmp_path / "out")[0].path) == list(range(10))


def test_shape_of_pixels_is_kept(tmp_path: Path):
    """32:27 as in anamorphic NTSC; the frames for models have square pixels."""
    clip = cut(write_video(tmp_path / "v.mp4", shots_of([10]), Made(sar=Fraction(32, 27))), [(0, 10)], tmp_path / "out")[0]
    with av.open(str(clip.path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(32, 27)
    assert {(kept.width_px, kept.height_px) for kept in clip.frames} == {(320, 152)}


def test_smaller_clips_have_square_pixels(tmp_path: Path):
    source = write_video(tmp_path / "v.mp4", shots_of([10]), Made(sar=Fraction(2)))
    clip = cut(source, [(0, 10)], tmp_path / "out", replace(FAST, max_side_px=160))[0]
    assert (clip.width_px, clip.height_px) == (160, 44) and len(frames_of(clip.path)) == 10
    larger = cut(source, [(0, 10)], tmp_path / "larger", replace(FAST, max_side_px=4000))[0]
    assert (larger.width_px, larger.height_px) == (320, 180)


@pytest.mark.parametrize("bits", [8, 10])
def test_quick_is_as_large_as_the_same_crf(tmp_path: Path, bits: int):
    """x264 counts quantisers from another zero at ten bits: without it, clips would be four times as large."""
    source = write_video(
        tmp_path / "v.mkv", [noisy(numbered(k)) for k in range(20)], Made(codec="ffv1", pix_fmt="yuv420p" if bits == 8 else "yuv420p10le")
    )
    plain, quick = (
        cut(source, [(0, 20)], tmp_path / preset, ClipSettings(EncoderSettings(preset=preset), mode="reencode"))[0]
        for preset in ("ultrafast", "quick")
    )
    assert 0.7 < quick.path.stat().st_size / plain.path.stat().st_size < 2


@pytest.mark.parametrize("size", [(321, 181), (64, 33), (5, 3), (2, 2)])
def test_odd_sizes_lose_a_row_or_column(tmp_path: Path, size: tuple[int, int]):
    width, height = size
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    source = write_video(tmp_path / "v.mkv", [noise] * 5, Made(codec="ffv1", pix_fmt="yuv444p"))
    clip = cut(source, [(0, 5)], tmp_path / "out", ClipSettings(EncoderSettings(crf=1), mode="reencode"))[0]
    assert (clip.width_px, clip.height_px) == (width // 2 * 2, height // 2 * 2)
    theirs = frames_of(source)[0].to_ndarray(format="gray")[: clip.height_px, : clip.width_px].astype(int)
    assert np.abs(frames_of(clip.path)[0].to_ndarray(format="gray").astype(int) - theirs).mean() < 3


def test_interlaced_pictures_are_deinterlaced(tmp_path: Path):
    """A bar that moves between the two fields of a frame leaves a comb; the clip has none, and as many frames."""
    fields = []
    for k in range(40):
        picture = np.full((180, 320, 3), 40, np.uint8)
        picture[:, 4 * k : 4 * k + 60] = 220
        fields.append(picture)
    woven = [np.where((np.arange(180) % 2 == 0)[:, None, None], fields[2 * k], fields[2 * k + 1]) for k in range(20)]
    source = write_video(tmp_path / "v.mp4", woven, Made(options={"x264-params": "tff=1"}))
    scan = scan_video(source, [])
    assert scan.interlaced

    def comb(frame: av.VideoFrame) -> float:
        luma = frame.to_ndarray(format="gray").astype(int)
        return float(np.abs(2 * luma[1:-1] - luma[:-2] - luma[2:]).mean())

    clip = cut(source, [(0, 20)], tmp_path / "out")[0]
    before, after = frames_of(source), frames_of(clip.path)
    assert len(after) == 20 and not any(frame.interlaced_frame for frame in after)
    assert comb(before[10]) > 4 * comb(after[10])
    single = cut(source, [(5, 6)], tmp_path / "single")[0]  # the deinterlacer has neither a neighbour before nor after
    assert len(frames_of(single.path)) == 1


@pytest.mark.parametrize(
    ("pix_fmt", "colours"),
    [
        ("yuv420p", {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1}),
        ("yuv420p", {"colorspace": 6, "color_primaries": 6, "color_trc": 6, "color_range": 1}),
        ("yuv420p", {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2}),
        ("yuv420p10le", {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}),
    ],
    ids=["bt709", "bt601", "full-range", "pq"],
)
def test_colour_tags_are_kept(tmp_path: Path, pix_fmt: str, colours: dict[str, int]):
    source = write_video(tmp_path / "v.mp4", [np.full((90, 160, 3), 100, np.uint8)] * 10, Made(pix_fmt=pix_fmt, colours=colours))
    clip = cut(source, [(0, 10)], tmp_path / "out")[0]
    before, after = frames_of(source)[5], frames_of(clip.path)[5]
    assert {name: getattr(after, name) for name in colours} == colours
    assert after.format.name.endswith("10le") == pix_fmt.endswith("10le")  # ten bits stay ten bits
    assert abs(float(before.to_ndarray()[0, 0]) - float(after.to_ndarray()[0, 0])) <= 2  # no stretching from one range to the other


@pytest.mark.parametrize(("chroma", "warm"), [((512, 512), False), ((440, 580), True)])
def test_hdr_frames_for_models_look_natural(tmp_path: Path, chroma: tuple[int, int], warm: bool):
    """Grey and orange in PQ at about 100 nits: bright, without a tint, and orange stays orange."""
    source = tmp_path / "v.mp4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx265", rate=25, options={"preset": "ultrafast", "x265-params": "log-level=none:pools=none"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 1
        quarter = 160 * 90
        planes = np.repeat(np.array([64 + round(0.508 * 876), *chroma], np.uint16), [4 * quarter, quarter, quarter])
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(planes.reshape(270, 320), format="yuv420p10le")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = cut(source, [(0, 10)], tmp_path / "out")[0]
    blue, green, red = cv2.imread(str(clip.frames[0].path)).mean(axis=(0, 1))
    if warm:
        assert red > green + 20 and green > blue + 20
    else:
        assert max(abs(red - green), abs(blue - green)) < 4 and 140 < green <= 255


def test_kept_frames_are_the_ones_named(tmp_path: Path):
    """12 frames of 0.04 s: eight in equal steps and the middle one, each JPEG showing its own number."""
    source = write_video(tmp_path / "v.mp4", shots_of([40], 640, 360))
    clip = cut(source, [(5, 17)], tmp_path / "out")[0]
    assert len(clip.frames) in (8, 9) and clip.span.kept.middle == 11 and 11 in [kept.frame for kept in clip.frames]
    assert [number_of(cv2.imread(str(kept.path))) for kept in clip.frames] == [kept.frame for kept in clip.frames]
    assert [kept.path.name for kept in clip.frames] == [f"clip005.f{kept.frame:07d}.jpg" for kept in clip.frames]
    assert all((kept.width_px, kept.height_px) == (384, 216) == cv2.imread(str(kept.path)).shape[1::-1] for kept in clip.frames)
    assert [round(kept.time_s, 6) for kept in clip.frames] == [round(kept.frame * 0.04, 6) for kept in clip.frames]


def test_a_video_that_changes_its_size(tmp_path: Path):
    """20 frames of 320x180, then 20 of 160x90, as one clip: all brought to the first one's size."""
    parts = [
        write_video(tmp_path / f"{k}.h264", [numbered(20 * k + n, width, height) for n in range(20)])
        for k, (width, height) in enumerate([(320, 180), (160, 90)])
    ]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = cut(joined, [(10, 40)], tmp_path / "out")[0]
    assert (clip.width_px, clip.height_px) == (320, 180) and numbers_in(clip.path) == list(range(10, 40))


def test_a_full_disk_is_the_machines_fault(tmp_path: Path):
    source = write_video(tmp_path / "v.mp4", shots_of([20]))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "clip000.mp4").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        cut(source, [(0, 20)], tmp_path / "out")
    assert caught.value.errno == errno.ENOSPC and is_machine_fault(caught.value)


def test_verification_can_fail(tmp_path: Path):
    clip = cut(write_video(tmp_path / "v.mp4", shots_of([20])), [(0, 20)], tmp_path / "out")[0]
    verify(clip.path, 20, 19, 20, Fraction(1, 25))
    for wrong in ((19, 19, 20), (20, 18, 20), (20, 19, 21)):
        with pytest.raises(DamagedMedia, match="came out wrong"):
            verify(clip.path, *wrong, Fraction(1, 25))


def test_a_file_that_changed_between_the_passes(tmp_path: Path):
    """Scanned with 40 frames, cut when there are 20: an error, and nothing half-written stays."""
    source = write_video(tmp_path / "v.mkv", shots_of([40]))
    scan = scan_video(source, [])
    write_video(source, shots_of([20]))
    span = ClipSpan(5, 30, "clip", choose_frames(scan.times, 5, 30, 1.0, 8))
    with pytest.raises(DamagedMedia, match="second time"):
        list(write_clips(source, scan, [span], tmp_path, FAST))
    assert not (tmp_path / "clip.mp4").exists()


def test_spans_must_be_in_order(tmp_path: Path):
    source = write_video(tmp_path / "v.mp4", shots_of([20]))
    for spans in ([(5, 10), (0, 5)], [(0, 6), (5, 10)], [(0, 21)], [(3, 3)]):
        with pytest.raises(ValueError, match="ascending"):
            scan = scan_video(source, [])
            choice = choose_frames(scan.times, 0, 1, 1.0, 1)
            list(write_clips(source, scan, [ClipSpan(*span, "x", choice) for span in spans], tmp_path, FAST))


def test_edit_list(tmp_path: Path):
    """An edit list that begins at frame 6 of 30 (ffmpeg writes one when it cuts by copying): the frames before are not shown, not
    counted, not in any clip."""
    source = write_video(tmp_path / "v.mp4", shots_of([30]), Made(options={"bf": "0"}, gop=250))
    shifted = tmp_path / "shifted.mp4"
    with av.open(str(source)) as container, av.open(str(shifted), "w") as out:
        stream = out.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(container.streams.video[0]):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - 6 * 512, packet.dts - 6 * 512, stream
                out.mux(packet)
    stored = len([1 for packet in open_media(shifted, MediaLimits()).demux(video=0) if packet.size])
    assert stored >= 24
    scan = scan_video(shifted, [])
    shown = numbers_in(shifted)
    assert scan.times.num_frames == len(shown)
    clip = cut(shifted, [(0, scan.times.num_frames)], tmp_path / "out")[0]
    assert numbers_in(clip.path) == shown
