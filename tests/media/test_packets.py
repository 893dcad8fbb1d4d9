"""What packets say: times, starts, packets that no other needs, and headers taken apart and put together."""

from pathlib import Path

import numpy as np
import pytest

from internvid_pipeline.media import nal
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.packets import PacketIndex, index_packets
from tests.media.made import Made, Track, beeps, shots_of, write_video


def index_of(path: Path) -> PacketIndex:
    index = index_packets(path, MediaLimits())
    assert index is not None
    return index


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "flv"])
def test_h264_in_every_container(tmp_path: Path, suffix: str):
    """IDR pictures at 0, 20 and 40; every other B-frame can be left out."""
    made = Made(gop=20, options={"sc_threshold": "0", "bf": "3", "b-pyramid": "none"})
    index = index_of(write_video(tmp_path / f"v.{suffix}", shots_of([50], 160, 90), made))
    assert index.steady and index.codec == "h264" and len(index.pts) == 50
    assert np.searchsorted(np.sort(index.pts), index.pts[index.starts]).tolist() == [0, 20, 40]
    assert 20 <= index.spare.sum() <= 40 and not (index.spare & index.starts).any()
    everything = index.positions(int(index.pts.min()), int(index.pts.max()) + 1)
    assert np.array_equal(index.pts[everything], np.sort(index.pts))


def test_open_groups_are_no_starts_in_h264(tmp_path: Path):
    options = {"x264-params": "open-gop=1:keyint=12:bframes=3", "sc_threshold": "0"}
    index = index_of(write_video(tmp_path / "v.mkv", shots_of([50], 160, 90), Made(gop=12, options=options)))
    assert index.pts[index.starts].tolist() == [0]


def test_headers_that_change_are_noticed(tmp_path: Path):
    """Two streams of other sizes one after the other: what is in the header does not hold for all."""
    parts = [write_video(tmp_path / f"{k}.ts", shots_of([20], *size)) for k, size in enumerate([(160, 90), (192, 108)])]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert index_of(parts[0]).steady and not index_of(joined).steady


def test_sound_is_found_beside_the_picture(tmp_path: Path):
    index = index_of(write_video(tmp_path / "v.mp4", shots_of([50], 160, 90), Made(tracks=[Track(beeps([0.5], 2.0))])))
    assert index.sound is not None and index.sound.rate_hz == 48000
    assert set(np.diff(index.sound.start).tolist()) == {1024} and index.sound.span(48000, 72000) is not None
    assert not index.sound.sounds(48000 * 3, 48000 * 4)
    for codec, suffix in (("mp2", "ts"), ("pcm_s16le", "mkv")):
        other = index_of(write_video(tmp_path / f"w.{suffix}", shots_of([20], 160, 90), Made(tracks=[Track(beeps([], 1.0), codec=codec)])))
        assert other.sound is None


def test_headers_there_and_back():
    sequence, picture = bytes([0x67, 100, 0, 30, 0xAC]), bytes([0x68, 0xEE, 1])
    header = nal.avcc([sequence, sequence[:4] + b"\x0f"], [picture])
    found = nal.parameter_sets("h264", header)
    assert found == nal.ParameterSets((sequence, sequence[:4] + b"\x0f", picture), 4)
    assert nal.parameter_sets("h264", header[:9]) is None and nal.parameter_sets("hevc", b"") is None
    units = [b"\x65abc", b"\x41d"]
    stored = nal.length_prefixed(units)
    assert list(nal.split(stored, 4)) == units and list(nal.split(b"\0\0\0\1\x65abc\0\0\1\x41d", 0)) == units
    assert list(nal.split(stored[:-1], 4)) == units[:1]
    assert [nal.set_number(bytes([0x68, bits])) for bits in (0b10000000, 0b01000000, 0b01100000, 0b00100000)] == [0, 1, 2, 3]
