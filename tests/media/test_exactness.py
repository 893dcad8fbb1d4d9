"""Any span of any source: the clip's frames are the source's, no more, no fewer, in order, at their times, in every reader; copied frames
are the source's to the last bit. Sources carry their frame numbers in their pictures."""

import subprocess
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.sidedata.sidedata import Type as SideDataType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline.media.clip_plan import ClipSettings, ClipSpan
from internvid_pipeline.media.clips import WrittenClip, write_clips
from internvid_pipeline.media.cut_plan import CutMode
from internvid_pipeline.media.ffmpeg import ffmpeg_path
from internvid_pipeline.media.scan import VideoScan, scan_video
from internvid_pipeline.media.video_encoders import ClipCodec, EncoderSettings
from tests.media.made import Made, Track, beeps, frames_of, noisy, number_of, numbered, samples_of, write_video

WIDTH, HEIGHT, LENGTH = 192, 108, 90
X264 = {"preset": "fast", "sc_threshold": "0", "crf": "30"}
X265 = {"preset": "ultrafast", "crf": "30"}
VFR = [7 * k + (k % 3) * 2 for k in range(LENGTH)]
SOURCES = {
    "h264-b-pyramid": ("mp4", Made(gop=25, options={**X264, "bf": "3", "b-pyramid": "normal"})),
    "h264-one-key-frame": ("mkv", Made(gop=250, options={**X264, "bf": "2"})),
    "h264-open-gop": ("mp4", Made(gop=25, options={**X264, "x264-params": "open-gop=1:keyint=25:bframes=3"})),
    "h264-ts": ("ts", Made(gop=25, options={**X264, "bf": "2"})),
    "h264-vfr-offset": ("mp4", Made(time_base=Fraction(1, 1000), pts=[1500 + 5 * v for v in VFR], gop=25, options={**X264, "bf": "2"})),
    "h264-444": ("mp4", Made(gop=25, pix_fmt="yuv444p", options=X264)),
    "h264-10-bit": ("mp4", Made(gop=25, pix_fmt="yuv420p10le", options=X264)),
    "hevc": (
        "mp4",
        Made(gop=25, codec="libx265", options={**X265, "x265-params": "log-level=none:pools=none:open-gop=0:keyint=25:bframes=3"}),
    ),
    "hevc-open-gop": (
        "mkv",
        Made(gop=25, codec="libx265", options={**X265, "x265-params": "log-level=none:pools=none:keyint=25:bframes=3"}),
    ),
    "vp9": ("webm", Made(gop=25, codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"})),
    "av1": ("mp4", Made(gop=25, codec="libsvtav1", options={"preset": "12", "crf": "40", "svtav1-params": "lp=1"})),
    "mpeg4": ("avi", Made(gop=25, codec="mpeg4", options={"bf": "2", "qscale": "3"})),
    "prores": ("mov", Made(codec="prores_ks", pix_fmt="yuv422p10le")),
}
# Where copying is possible at all: the key frames at which it can begin.
STARTS = dict.fromkeys(("h264-b-pyramid", "h264-ts", "h264-vfr-offset", "h264-444", "h264-10-bit", "hevc", "vp9", "av1"), (0, 25, 50, 75))
SMART = ("h264-b-pyramid", "h264-ts", "h264-vfr-offset")
AUTO = ClipSettings(EncoderSettings(crf=20))


def settings_of(codec: ClipCodec | None) -> ClipSettings:
    return AUTO if codec is None else replace(AUTO, encoder=replace(AUTO.encoder, codec=codec), mode="reencode")


@dataclass(frozen=True)
class Source:
    path: Path
    scan: VideoScan
    pictures: list[av.VideoFrame]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exact")


@cache
def source_of(folder: Path, name: str) -> Source:
    suffix, made = SOURCES[name]
    path = write_video(folder / f"{name}.{suffix}", [noisy(numbered(k, WIDTH, HEIGHT)) for k in range(LENGTH)], made)
    pictures = frames_of(path)
    assert [number_of(frame.to_ndarray(format="rgb24")) for frame in pictures] == list(range(LENGTH))
    return Source(path, scan_video(path, []), pictures)


def cut(source: Source, start: int, end: int, clip_settings: ClipSettings = AUTO) -> WrittenClip:
    (clip,) = write_clips(source.path, source.scan, [ClipSpan(start, end, "clip")], source.path.parent, clip_settings)
    return clip


def read_by_opencv(path: Path) -> list[int]:
    capture, seen = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        seen.append(number_of(read[1]))
    return seen


def read_by_ffmpeg(path: Path) -> list[int]:
    command = [ffmpeg_path(), "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    data = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    return [number_of(picture) for picture in np.frombuffer(data, np.uint8).reshape(-1, HEIGHT, WIDTH)]


@pytest.mark.parametrize("name", SOURCES)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH)).filter(lambda pair: pair[0] != pair[1]))
def test_any_span(folder: Path, name: str, edges: tuple[int, int]):
    start, end = sorted(edges)
    source = source_of(folder, name)
    clip = cut(source, start, end)
    wanted = list(range(start, end))
    frames = frames_of(clip.path)
    assert [number_of(frame.to_ndarray(format="rgb24")) for frame in frames] == wanted
    # OpenCV's wheel has no AV1 decoder: where it cannot read the source, it cannot read copied packets either.
    is_readable = clip.plan.mode is not CutMode.COPY or bool(read_by_opencv(source.path))
    assert read_by_opencv(clip.path) == (wanted if is_readable else []) and read_by_ffmpeg(clip.path) == wanted
    times = source.scan.times
    expected = [(int(pts) - int(times.pts[start])) * times.time_base for pts in times.pts[start:end]]
    assert [frame.pts * frame.time_base for frame in frames] == expected
    for number, frame in zip(wanted, frames, strict=True):
        ours, theirs = frame.to_ndarray(), source.pictures[number].to_ndarray()
        if clip.plan.copied_start <= number < clip.plan.copied_end:
            assert np.array_equal(ours, theirs)  # not one bit is changed
        elif ours.shape == theirs.shape and ours.dtype == theirs.dtype:
            most = 255.0 if ours.dtype == np.uint8 else 1023.0
            error = ((ours.astype(float) - theirs.astype(float)) ** 2).mean()
            assert 10 * np.log10(most**2 / max(error, 1e-9)) > 32


@pytest.mark.parametrize("name", STARTS)
def test_spans_between_key_frames_are_copied_whole(folder: Path, name: str):
    """[25, 75) begins and ends at key frames: nothing is encoded, and every codec is kept."""
    clip = cut(source_of(folder, name), 25, 75)
    assert clip.plan.mode is CutMode.COPY and clip.plan.num_reencoded == 0
    with av.open(str(clip.path)) as container, av.open(str(source_of(folder, name).path)) as original:
        assert container.streams.video[0].codec_context.name == original.streams.video[0].codec_context.name


@pytest.mark.parametrize("name", SMART)
def test_only_edges_are_encoded(folder: Path, name: str):
    """[10, 70): the frames before the key frame 25 are encoded, and at most three at the end, which need frame 70 or later."""
    clip = cut(source_of(folder, name), 10, 70)
    assert clip.plan.mode is CutMode.SMART and clip.plan.copied_start == 25 and 67 <= clip.plan.copied_end <= 70
    assert clip.plan.num_reencoded == 15 + 70 - clip.plan.copied_end


def test_open_groups_of_pictures(folder: Path):
    """HEVC: copying begins at an open start, without the pictures shown before it. H.264: only at IDR pictures."""
    clip = cut(source_of(folder, "hevc-open-gop"), 25, 60, ClipSettings(mode="copy"))
    assert clip.plan.mode is CutMode.COPY and clip.plan.start_frame == 25
    assert [number_of(frame.to_ndarray(format="rgb24")) for frame in frames_of(clip.path)] == list(range(25, clip.plan.end_frame))
    assert (
        list(
            write_clips(
                source_of(folder, "h264-open-gop").path,
                source_of(folder, "h264-open-gop").scan,
                [ClipSpan(30, 80, "x")],
                folder,
                ClipSettings(mode="copy"),
            )
        )
        == []
    )


@pytest.mark.parametrize("name", ["h264-b-pyramid", "hevc", "vp9"])
def test_copying_alone_takes_the_longest_span_inside(folder: Path, name: str):
    clip = cut(source_of(folder, name), 10, 70, ClipSettings(mode="copy"))
    assert clip.plan.mode is CutMode.COPY and clip.plan.start_frame == 25 and 66 <= clip.plan.end_frame <= 70
    assert read_by_opencv(clip.path) == list(range(25, clip.plan.end_frame))


def test_frames_per_second(folder: Path):
    """Ten a second of a source with 25: frame k/10 s, the one on screen then."""
    clip = cut(source_of(folder, "h264-b-pyramid"), 10, 60, ClipSettings(fps=10))
    assert clip.num_frames == 20 and read_by_opencv(clip.path) == [10 + int(2.5 * k) for k in range(20)]


@pytest.mark.parametrize("rotation", [90, 180])
def test_copied_and_joined_clips_are_turned_by_players(tmp_path: Path, rotation: int):
    """Packets keep the stored turn; the display matrix in the header holds for the frames encoded beside them too. The shape of pixels
    is kept."""
    made = Made(rotation=rotation, sar=Fraction(4, 3), gop=25, options={**X264, "bf": "0"})
    path = write_video(tmp_path / "v.mp4", [noisy(numbered(k, WIDTH, HEIGHT)) for k in range(60)], made)
    spans = [ClipSpan(0, 25, "copied"), ClipSpan(35, 60, "joined")]
    clips = list(write_clips(path, scan_video(path, []), spans, tmp_path, AUTO))
    assert [clip.plan.mode for clip in clips] == [CutMode.COPY, CutMode.SMART]
    for clip in clips:
        frames = frames_of(clip.path)
        assert {abs(round(frame.rotation)) for frame in frames} == {rotation} and len(frames) == 25
        assert (clip.width_px, clip.height_px) == ((HEIGHT, WIDTH) if rotation == 90 else (WIDTH, HEIGHT))
        with av.open(str(clip.path)) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize(("span", "codec"), [((0, 25), None), ((5, 25), None), ((5, 25), "hevc"), ((5, 25), "av1")])
def test_hdr_metadata_is_kept(tmp_path: Path, span: tuple[int, int], codec: ClipCodec | None):
    """Copied, or encoded again: ten bits, PQ, mastering display and light levels."""
    master = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    params = f"log-level=none:pools=none:keyint=25:hdr10=1:repeat-headers=1:master-display={master}:max-cll=1000,400"
    colours = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    made = Made(codec="libx265", pix_fmt="yuv420p10le", colours=colours, gop=25, options={**X265, "x265-params": params})
    path = write_video(tmp_path / "v.mp4", [noisy(numbered(k, WIDTH, HEIGHT)) for k in range(50)], made)
    (clip,) = write_clips(path, scan_video(path, []), [ClipSpan(*span, "clip")], tmp_path, settings_of(codec))
    assert clip.plan.mode is (CutMode.COPY if span[0] == 0 else CutMode.REENCODE)
    before, after = ({side.type: bytes(side) for side in frames_of(file)[0].side_data} for file in (path, clip.path))
    for kind in (SideDataType.MASTERING_DISPLAY_METADATA, SideDataType.CONTENT_LIGHT_LEVEL):
        assert kind in before and len(after[kind]) == len(before[kind])
    levels = [np.frombuffer(side[SideDataType.MASTERING_DISPLAY_METADATA], np.int32)[:20].reshape(10, 2) for side in (before, after)]
    assert np.allclose(*(pairs[:, 0] / pairs[:, 1] for pairs in levels), rtol=1e-3, atol=1e-4)
    assert after[SideDataType.CONTENT_LIGHT_LEVEL][:8] == before[SideDataType.CONTENT_LIGHT_LEVEL][:8]
    first = frames_of(clip.path)[0]
    assert first.format.name == "yuv420p10le" and first.color_trc == 16 and first.color_primaries == 9


FLASHES = [0.48, 1.2, 2.0, 3.04]


@pytest.mark.parametrize("gop", [10, 250])
@pytest.mark.parametrize("mode", ["auto", "reencode", "copy"])
@pytest.mark.parametrize("start", [0, 20, 33])
def test_flash_and_beep_in_every_mode(tmp_path: Path, gop: int, mode: str, start: int):
    """White pictures from these seconds on, beeps at the same moments; sound copied or encoded: within 5 ms of the picture."""
    pictures = [np.full((90, 160, 3), 235 if any(0 <= k / 25 - flash < 0.08 for flash in FLASHES) else 90, np.uint8) for k in range(100)]
    made = Made(gop=gop, options={"sc_threshold": "0", "bf": "2"}, tracks=[Track(beeps(FLASHES, 4.0, 44100), 44100)])
    path = write_video(tmp_path / "v.mp4", pictures, made)
    spans = [ClipSpan(0, start, "before")] if start else []
    clips = list(write_clips(path, scan_video(path, []), [*spans, ClipSpan(start, 100, "clip")], tmp_path, ClipSettings(mode=mode)))
    if clips[-1:] == [] or clips[-1].span.stem != "clip":
        assert mode == "copy" and gop == 250 and start > 0
        return
    clip = clips[-1]
    assert clip.audio == ("reencode" if mode == "reencode" else "copy")
    bright = [(float(frame.pts * frame.time_base), frame.to_ndarray(format="gray").mean() > 150) for frame in frames_of(clip.path)]
    flashes = [time for (time, now), (_, before) in zip(bright[1:], bright, strict=False) if now and not before]
    samples, rate = samples_of(clip.path)
    loud = np.flatnonzero(np.abs(samples[0]) > 0.25)
    heard = [int(first) / rate for first in loud[np.concatenate([[True], np.diff(loud) > rate // 10])]]
    assert len(flashes) == len(heard) >= 2 and np.allclose(flashes, heard, atol=0.005)
