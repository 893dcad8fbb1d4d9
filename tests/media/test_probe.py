"""What a file says about itself."""

from fractions import Fraction
from pathlib import Path

import pytest

from internvid_pipeline.errors import DamagedMedia, UnreadableMedia
from internvid_pipeline.media.probe import probe
from tests.media.made import Made, Track, beeps, shots_of, write_video


def test_everything_that_a_row_needs(tmp_path: Path):
    """30 frames at 25 a second from 0.8 s on, 320x180, pixels of 4:3, two tracks of sound."""
    pts = [800 + 40 * k for k in range(30)]
    tracks = [Track(beeps([0.2], 2.0)), Track(beeps([0.2], 2.0))]
    path = write_video(tmp_path / "v.mp4", shots_of([30]), Made(time_base=Fraction(1, 1000), pts=pts, sar=Fraction(4, 3), tracks=tracks))
    media = probe(path)
    video = media.video
    assert video is not None
    assert (media.container, media.audio_codec, media.num_audio_streams) == ("mov,mp4,m4a,3gp,3g2,mj2", "aac", 2)
    assert (video.codec, video.pixel_format, video.width_px, video.height_px) == ("h264", "yuv420p", 320, 180)
    assert video.sample_aspect_ratio == Fraction(4, 3) and video.orientation.rotation_deg == 0
    assert (video.start_s, video.num_frames) == (0.8, 30) and video.fps == pytest.approx(25, abs=0.5)
    assert video.duration_s == pytest.approx(1.2, abs=0.05)


def test_no_sound(tmp_path: Path):
    media = probe(write_video(tmp_path / "v.webm", shots_of([5]), Made(codec="libvpx")))
    assert (media.container, media.audio_codec, media.num_audio_streams) == ("matroska,webm", None, 0)


@pytest.mark.parametrize(("rotation", "swaps"), [(90, True), (-90, True), (180, False)])
def test_rotation(tmp_path: Path, rotation: int, swaps: bool):
    video = probe(write_video(tmp_path / "v.mp4", shots_of([3]), Made(rotation=rotation))).video
    assert video is not None and abs(video.orientation.rotation_deg) == abs(rotation)
    assert video.orientation.swaps_sides == swaps and (video.width_px, video.height_px) == (320, 180)


def test_a_header_and_nothing_behind_it(tmp_path: Path):
    """The index is whole, the pictures are zeros."""
    path = write_video(tmp_path / "v.mp4", shots_of([20]), Made(container_options={"movflags": "+faststart"}))
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises((DamagedMedia, UnreadableMedia), match=r"no picture|not readable"):
        probe(path)


def test_random_bytes(tmp_path: Path):
    import random

    for seed in range(20):
        path = tmp_path / f"{seed}.mp4"
        path.write_bytes(random.Random(seed).randbytes(40_000))
        with pytest.raises(UnreadableMedia):
            probe(path)
