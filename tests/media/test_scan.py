"""One decode: boundaries, times, brightness, motion, damage."""

import random
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import DamagedMedia, ItemError, MediaLimitError, UnreadableMedia
from internvid_pipeline.media.container import open_media
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.detectors import Boundary, boundaries, scorer
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.scan import VideoScan, scan_video
from tests.conftest import shared_videos
from tests.media.made import Made, Track, beeps, noisy, numbered, shots_of, write_video


def scan(path: Path, **limits: int) -> VideoScan:
    return scan_video(path, [scorer("content")], MediaLimits(**limits))


def bounds_of(found: VideoScan) -> tuple[Boundary, ...]:
    return boundaries("content", found.scores, found.times)


def cuts_of(found: VideoScan) -> tuple[int, ...]:
    return tuple(boundary.frame for boundary in bounds_of(found))


def reference_cuts(path: Path, backend: str) -> list[int]:
    import scenedetect

    scenes = scenedetect.detect(str(path), scenedetect.ContentDetector(threshold=27.0), backend=backend)
    return [start.frame_num for start, _ in scenes][1:]


def close(ours: list[int], theirs: list[int]) -> bool:
    return len(ours) == len(theirs) and all(abs(a - b) <= 1 for a, b in zip(ours, theirs, strict=True))


def test_known_cuts(tmp_path: Path):
    """Shots of 40, 33 and 20 frames: cuts at 40 and 73."""
    found = scan(write_video(tmp_path / "v.mp4", shots_of([40, 33, 20])))
    assert cuts_of(found) == (40, 73)
    assert [(shot.start_frame, shot.end_frame) for shot in found.shots(bounds_of(found))] == [(0, 40), (40, 73), (73, 93)]
    assert found.times.pts.tolist() == list(range(0, 93 * 512, 512)) and found.times.end_pts == 93 * 512
    assert found.damaged.size == 0 and not found.times.repaired and found.broken_off is None


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(16, 40), min_size=1, max_size=4), st.sampled_from([(320, 180), (640, 360), (180, 320)]))
def test_same_boundaries_as_pyscenedetect(tmp_path: Path, lengths: list[int], size: tuple[int, int]):
    path = write_video(tmp_path / "v.mp4", shots_of(lengths, *size))
    found = list(cuts_of(scan(path)))
    assert found == list(accumulate(lengths))[:-1]
    assert close(found, reference_cuts(path, "opencv"))


@pytest.mark.skipif(shared_videos() is None, reason="the real test videos are absent (INTERNVID_TEST_VIDEOS)")
@pytest.mark.parametrize("name", ["s01", "s02", "s03", "s04", "s05", "s07", "s09", "s12", "s13", "s14", "s15", "d01", "d02"])
def test_same_boundaries_on_real_videos(name: str):
    folder = shared_videos()
    assert folder is not None
    (path,) = [found for found in folder.glob(f"{name}_*") if found.suffix not in (".json", ".vtt")]
    backend = "pyav" if name == "d02" else "opencv"  # OpenCV's own scaler fails on interlaced pictures and finds nothing
    assert close(list(cuts_of(scan(path))), reference_cuts(path, backend))


def test_variable_frame_rate_and_start_offset(tmp_path: Path):
    """Frame times of 10, 70, 30 ms in turn, from 2.5 s on; the sound starts at 0."""
    pts = [2500, *(2500 + int(value) for value in np.cumsum([10, 70, 30] * 13)[:-1])]
    made = Made(time_base=Fraction(1, 1000), pts=pts, end_pts=pts[-1] + 30, options={"bf": "0"}, tracks=[Track(beeps([0.5], 4.0))])
    found = scan(write_video(tmp_path / "v.mkv", shots_of([20, 19]), made))
    assert found.times.pts.tolist() == pts and found.times.time_base == Fraction(1, 1000)
    assert cuts_of(found) == (20,)


def test_brightness_and_motion(tmp_path: Path):
    """20 black frames, 20 grey ones, 20 that alternate between dark and light grey."""
    levels = [0] * 20 + [128] * 20 + [100, 140] * 10
    pictures = [np.full((180, 320, 3), level, np.uint8) for level in levels]
    found = scan(write_video(tmp_path / "v.mp4", pictures))
    assert found.luma_mean[:20].max() < 1 and found.luma_change[0] == 0 and found.luma_change[1:20].max() < 0.5
    assert np.allclose(found.luma_mean[20:40], 128, atol=2) and found.luma_change[21:40].max() < 0.5
    assert np.allclose(found.luma_change[41:60], 40, atol=3)
    black, rest = found.shots(bounds_of(found))
    assert black.luma_max < 1 and black.motion < 0.5  # the change at the cut itself is nobody's motion
    assert abs(rest.luma_mean - 124) < 2 and abs(rest.motion - (19 * 40 + 28) / 39) < 3
    assert len(found.luma_mean) == len(found.luma_change) == 60 and found.luma_mean.dtype == np.float32


def spoil_packet(path: Path, wanted: int) -> None:
    """Overwrites the middle of the packet number `wanted` in decoding order."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(container.streams.video[0]) if packet.size]
    position, size = packets[wanted]
    data = bytearray(path.read_bytes())
    data[position + 5 : position + size] = random.Random(1).randbytes(size - 5)
    path.write_bytes(data)


def test_damage_is_found_in_its_shot(tmp_path: Path):
    """No B-frames, one key frame per shot of 30: packet 40 belongs to the second shot and spoils nothing outside it."""
    pictures = [noisy(picture) for picture in shots_of([30, 30, 30])]
    path = write_video(tmp_path / "v.mp4", pictures, Made(options={"bf": "0", "keyint": "30", "sc_threshold": "0"}, gop=30))
    assert scan(path).damaged.size == 0
    spoil_packet(path, 40)
    found = scan(path)
    assert [shot.num_damaged > 0 for shot in found.shots(bounds_of(found))] == [False, True, False]


@pytest.mark.parametrize(
    ("suffix", "kept"),
    [*((index, kept) for index in ("mp4", "mov") for kept in (0.45, 0.6, 0.97)), ("mkv", 0.45), ("mkv", 0.6), ("flv", 0.45)],
)
def test_a_file_cut_short_keeps_what_is_sound(tmp_path: Path, suffix: str, kept: float):
    """The index first, then truncated: the beginning decodes, and the last frame that is there is marked."""
    options = {"movflags": "+faststart"} if suffix in ("mp4", "mov") else {}
    path = write_video(tmp_path / f"v.{suffix}", shots_of([50, 50]), Made(container_options=options, options={"bf": "0"}))
    whole = scan(path)
    assert whole.broken_off is None and whole.damaged.size == 0
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    found = scan(path)
    assert 0 < found.times.num_frames < 100
    assert found.broken_off is not None and "cut short" in found.broken_off
    assert found.damaged[-1] == found.times.num_frames - 1 and found.damaged[0] >= found.times.num_frames - 2


def test_sound_that_outlasts_the_picture_is_no_truncation(tmp_path: Path):
    """2 s of picture, 6 s of sound."""
    path = write_video(tmp_path / "v.mkv", shots_of([50]), Made(tracks=[Track(beeps([0.5], 6.0))]))
    assert scan(path).broken_off is None


def test_bounds_while_decoding(tmp_path: Path):
    path = write_video(tmp_path / "v.mkv", shots_of([30]))
    with pytest.raises(MediaLimitError, match="more than 10 frames"):
        scan(path, max_frames=10)


def test_nothing_to_decode(tmp_path: Path):
    """All packets random: each is refused, and the file as a whole is damaged."""
    path = write_video(tmp_path / "v.mp4", shots_of([12]), Made(options={"bf": "0"}))
    for packet in range(12):
        spoil_packet(path, packet)
    with pytest.raises((DamagedMedia, UnreadableMedia)):
        scan(path, max_lost_packets=3)


def test_sound_only(tmp_path: Path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame) + stream.encode(None))
    with pytest.raises(UnreadableMedia, match="no video stream"):
        scan(path)


def test_avi_with_b_frames_has_usable_times(tmp_path: Path):
    """AVI stores no presentation times. 40 frames at 25 a second."""
    made = Made(codec="mpeg4", options={"bf": "2", "qscale": "3", "sc_threshold": "1000000000"})
    path = write_video(tmp_path / "v.avi", shots_of([20, 20]), made)
    found = scan(path)
    steps = np.diff(found.times.pts) * float(found.times.time_base)
    assert found.times.num_frames == 40 and np.allclose(steps, 0.04, atol=0.001) and cuts_of(found) == (20,)


@pytest.mark.parametrize(
    ("codec", "options", "changes"),
    [
        ("libx264", {"bf": "3", "b-pyramid": "normal"}, True),
        ("libx264", {"bf": "0"}, False),
        ("libx265", {"x265-params": "log-level=error"}, False),
    ],
    ids=["B-frames", "no B-frames", "HEVC"],
)
def test_pictures_without_smoothing_stay_close(tmp_path: Path, codec: str, options: dict[str, str], changes: bool):
    """At least 40 dB to the fully decoded ones at a coarse quality, also after 60 frames; the very same without B-pictures of H.264."""
    pictures = [noisy(numbered(k, 320, 180)) for k in range(60)]
    path = write_video(tmp_path / "v.mp4", pictures, Made(codec=codec, options=options | {"crf": "28"}, gop=250))

    def lumas(smoothed: bool) -> list[np.ndarray]:
        with open_media(path, MediaLimits()) as container:
            decoded = FramePass(path, container, container.streams.video[0], MediaLimits(), smoothed)
            return [frame.to_ndarray(format="gray").astype(float) for frame in decoded]

    errors = [float(((ours - full) ** 2).mean()) for ours, full in zip(lumas(False), lumas(True), strict=True)]
    assert any(errors) == changes
    assert max(errors) < 255**2 / 10**4, f"{10 * np.log10(255**2 / max(errors)):.1f} dB"


def test_two_passes_agree(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([30, 25]))
    first, second = scan(path), scan(path)
    assert first.luma_mean.tobytes() == second.luma_mean.tobytes() and first.luma_change.tobytes() == second.luma_change.tobytes()


@pytest.fixture(scope="module")
def sound_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "v.mp4"
    return write_video(path, shots_of([20, 20], 160, 90), Made(tracks=[Track(beeps([0.3], 1.6))])).read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1 << 32), st.integers(1, 30), st.floats(0.1, 1.0))
def test_mutants_give_a_scan_or_a_clear_error(tmp_path: Path, sound_video: bytes, seed: int, flips: int, kept: float):
    """Bytes flipped and the end cut off: never another exception than an ItemError."""
    chance = random.Random(seed)
    data = bytearray(sound_video[: max(1, int(len(sound_video) * kept))])
    for _ in range(flips):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path = tmp_path / "mutant.mp4"
    path.write_bytes(data)
    try:
        found = scan(path)
    except ItemError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert found.times.num_frames > 0 and (np.diff(found.times.pts) > 0).all()


def test_a_video_that_changes_its_size(tmp_path: Path):
    """Two raw H.264 streams joined: 20 frames of 320x180, 20 of 160x120. It is scanned as one video."""
    parts = [
        write_video(tmp_path / f"{width}.h264", [numbered(k, width, height, shot) for k in range(20)])
        for shot, (width, height) in enumerate([(320, 180), (160, 120)])
    ]
    joined = tmp_path / "joined.h264"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    found = scan(joined)
    assert found.times.num_frames == 40 and cuts_of(found) == (20,)
