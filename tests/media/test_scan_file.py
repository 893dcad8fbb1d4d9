"""A scan comes back from its file exactly, and what is no scan file is refused."""

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline.errors import StorageError
from internvid_pipeline.media.orientation import Orientation
from internvid_pipeline.media.scan_file import read_scan, write_scan
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.media.video_scan import VideoScan

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def scans(draw: st.DrawFn) -> VideoScan:
    steps = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
    edges = np.cumsum([draw(st.integers(-(10**12), 10**12)), *steps], dtype=np.int64)
    num_frames = len(steps)

    def column() -> np.ndarray:
        return np.array(draw(st.lists(FLOATS, min_size=num_frames, max_size=num_frames)), dtype=np.float32)

    return VideoScan(
        times=FrameTimes(edges[:-1], int(edges[-1]), draw(st.fractions(Fraction(1, 10**6), 10)), draw(st.booleans())),
        scores={name: column() for name in draw(st.sets(st.text("abc_", min_size=1, max_size=5), max_size=3))},
        luma_mean=column(),
        luma_change=column(),
        damaged=np.array(sorted(draw(st.sets(st.integers(0, num_frames - 1)))), dtype=np.int64),
        interlaced=draw(st.booleans()),
        orientation=draw(st.sampled_from([Orientation(), Orientation(-90, (("transpose", "clock"),)), Orientation(180, (("hflip", ""),))])),
        sample_aspect_ratio=draw(st.fractions(Fraction(1, 20), 20)),
        broken_off=draw(st.none() | st.text(max_size=20)),
        detectors=tuple(draw(st.lists(st.sampled_from(["content", "transition"]), max_size=2))),
        fast=draw(st.booleans()),
    )


def same(a: VideoScan, b: VideoScan) -> bool:
    plain = ("interlaced", "orientation", "sample_aspect_ratio", "broken_off", "detectors", "fast")
    return (
        all(getattr(a, name) == getattr(b, name) for name in plain)
        and (a.times.pts.tolist(), a.times.end_pts, a.times.time_base, a.times.repaired)
        == (b.times.pts.tolist(), b.times.end_pts, b.times.time_base, b.times.repaired)
        and a.luma_mean.tobytes() == b.luma_mean.tobytes()
        and a.luma_change.tobytes() == b.luma_change.tobytes()
        and a.damaged.tolist() == b.damaged.tolist()
        and {name: scores.tobytes() for name, scores in a.scores.items()} == {name: scores.tobytes() for name, scores in b.scores.items()}
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scans())
def test_round_trip(tmp_path: Path, scan: VideoScan):
    path = tmp_path / "s.parquet"
    write_scan(scan, path)
    assert same(read_scan(path), scan) and same(read_scan(path.read_bytes()), scan)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scans(), st.integers(0, 1 << 32), st.integers(1, 12), st.floats(0, 1))
def test_mutants_give_a_scan_or_a_clear_error(tmp_path: Path, scan: VideoScan, seed: int, flips: int, kept: float):
    path = tmp_path / "s.parquet"
    write_scan(scan, path)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(flips):
        data[chance.randrange(len(data))] = chance.randrange(256)
    if chance.random() < 0.3:
        del data[int(len(data) * kept) :]
    try:
        found = read_scan(bytes(data))
    except StorageError as error:
        assert "run scan_videos again" in str(error)
        return
    assert found.num_frames > 0 and (np.diff(found.times.pts) > 0).all()


def test_stretches():
    """Black in frames 0 to 2 and 6; still from 3 to 5, where 4 and 5 repeat 3."""
    count = 8
    scan = VideoScan(
        times=FrameTimes(np.arange(count, dtype=np.int64), count, Fraction(1, 25), False),
        scores={},
        luma_mean=np.array([0, 1, 2, 90, 90, 90, 3, 200], np.float32),
        luma_change=np.array([0, 9, 9, 88, 0, 0.1, 87, 197], np.float32),
        damaged=np.zeros(0, np.int64),
        interlaced=False,
        orientation=Orientation(),
        sample_aspect_ratio=Fraction(1),
        broken_off=None,
    )
    assert scan.black(12) == [(0, 3), (6, 7)] and scan.frozen(0.5) == [(3, 6)] and scan.black(-1) == []


def test_what_is_no_scan_file(tmp_path: Path):
    with pytest.raises(StorageError, match="is no scan file"):
        read_scan(b"PAR1 nothing PAR1")
