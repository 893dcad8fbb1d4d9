"""How long a video may take, whatever it claims; and what shows only while it is decoded."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.errors import DamagedMedia, MediaLimitError
from internvid_pipeline.media.container import open_media, video_stream
from internvid_pipeline.media.decode import FramePass
from internvid_pipeline.media.limits import MediaLimits, work_deadline_s
from tests.media.hostile_boxes import table, with_boxes
from tests.media.made import Made, shots_of, write_video

_LIMITS = MediaLimits()


def deadline(duration_s: float | None, size_bytes: int | None, width: int = 1920, height: int = 1080) -> float:
    return work_deadline_s(_LIMITS, 30.0, duration_s, size_bytes, width, height)


def test_what_a_usual_video_gets():
    assert deadline(10.0, 5_000_000) == 120 + 30 * 10
    assert deadline(10.0, 5_000_000, 3840, 2160) == 120 + 30 * 10 * 4
    assert deadline(10.0, 5_000_000, 320, 180) == 120 + 30 * 10, "small pictures have costs of their own"


def test_no_duration_stated():
    assert deadline(None, 5_000_000) == 120 + 30 * 100
    assert deadline(0.0, 5_000_000) == deadline(-5.0, 5_000_000) == deadline(None, 5_000_000)


def test_a_day_in_two_kilobytes():
    assert deadline(86400.0, 2500) == 120 + 30 * 10


def test_a_second_in_a_gigabyte():
    """A live recording whose header was never finished."""
    assert deadline(1.0, 1_000_000_000) == 120 + 30 * 1000


def test_never_for_ever():
    assert deadline(86400.0, 10**12, 16384, 16384) == _LIMITS.max_work_s
    assert deadline(None, None) == _LIMITS.max_work_s


@given(
    st.one_of(st.none(), st.floats(-1e12, 1e12, allow_nan=False)),
    st.one_of(st.none(), st.integers(0, 1 << 45)),
    st.integers(0, 65535),
    st.integers(0, 65535),
)
def test_always_a_number_within_bounds(duration_s: float | None, size_bytes: int | None, width: int, height: int):
    found = deadline(duration_s, size_bytes, width, height)
    assert 120.0 <= found <= _LIMITS.max_work_s


@pytest.mark.parametrize("factor", [2, 10])
@given(st.floats(1, 5000), st.integers(10_000, 1 << 34))
def test_more_video_never_gets_less_time(factor: int, duration_s: float, size_bytes: int):
    assert deadline(duration_s * factor, size_bytes) >= deadline(duration_s, size_bytes)
    assert deadline(duration_s, size_bytes * factor) >= min(deadline(duration_s, size_bytes), deadline(duration_s, size_bytes * factor))


def _decoded(path: Path, limits: MediaLimits) -> int:
    with open_media(path, limits) as container:
        stream = video_stream(container)
        assert stream is not None
        frames = FramePass(path, container, stream, limits)
        for _ in frames:
            pass
        return frames.times().num_frames


def test_packets_that_never_show_anything(tmp_path: Path):
    """VP8 has a bit that hides a picture: no error, no end, and nothing to see."""
    path = write_video(tmp_path / "v.ivf", shots_of([200], 64, 48), Made(codec="libvpx", gop=1000))
    data, at, number = bytearray(path.read_bytes()), 32, 0
    while at < len(data):
        if number:
            data[at + 12] &= ~0x10  # show_frame (RFC 6386, section 9.1)
        at, number = at + 12 + struct.unpack_from("<I", data, at)[0], number + 1
    assert number == 200
    path.write_bytes(data)
    assert _decoded(path, MediaLimits()) == 1
    with pytest.raises(DamagedMedia, match=r"101 packets in a row give no picture \(limits.max_idle_packets\)"):
        _decoded(path, MediaLimits(max_idle_packets=100))


def test_longer_than_the_header_says(tmp_path: Path):
    """The header says 0.8 s; the second picture is shown for 100,000 seconds."""
    path = write_video(tmp_path / "v.mp4", shots_of([20]), Made(options={"bf": "0"}))
    assert _decoded(path, MediaLimits()) == 20
    path.write_bytes(
        with_boxes(path.read_bytes(), {b"stts": table(b"stts", [(1, 512), (1, 12800 * 100_000), (18, 512)]), b"edts": b"", b"ctts": None})
    )
    with pytest.raises(MediaLimitError, match=r"claims to last 1000.. s, allowed are 86400"):
        _decoded(path, MediaLimits())
