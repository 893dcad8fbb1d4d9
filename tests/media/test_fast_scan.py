"""The fast pass against the full one."""

from pathlib import Path

import pytest

from internvid_pipeline.media.detectors import boundaries, scorer
from internvid_pipeline.media.frame_seek import frames_at
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.scan import FrameKeeping, VideoScan, scan_video
from tests.conftest import shared_videos
from tests.media.made import Made, noisy, number_of, shots_of, write_video


def scanned(path: Path, fast: bool, folder: Path | None = None) -> VideoScan:
    keeping = None
    if folder is not None:
        folder.mkdir()
        keeping = FrameKeeping(folder, "v")
    return scan_video(path, [scorer("transition")], fast=fast, frames=keeping)


def cuts(scan: VideoScan) -> list[int]:
    return [boundary.frame for boundary in boundaries("transition", scan.scores, scan.times)]


@pytest.mark.parametrize(
    "options",
    [
        {"bf": "3", "b-pyramid": "normal"},
        {"bf": "3", "b-pyramid": "none", "sc_threshold": "0", "b_strategy": "0"},
        {"bf": "3", "x264-params": "open-gop=1:keyint=24:scenecut=0:b-adapt=0"},
    ],
    ids=["pyramid", "no key frame at cuts", "open GOP"],
)
def test_same_cuts_and_frames(tmp_path: Path, options: dict[str, str]):
    """Shots of 37, 31, 45 and 29 frames."""
    pictures = shots_of([37, 31, 45, 29])
    path = write_video(tmp_path / "v.mp4", pictures, Made(options=options, gop=250))
    full, fast = scanned(path, False, tmp_path / "full"), scanned(path, True, tmp_path / "fast")
    assert fast.fast and not full.fast
    assert cuts(full) == [37, 68, 113] and cuts(fast) == cuts(full)
    assert fast.times.pts.tolist() == full.times.pts.tolist() and fast.times.end_pts == full.times.end_pts
    for ours, theirs in zip(
        fast.shots(boundaries("transition", fast.scores)), full.shots(boundaries("transition", full.scores)), strict=True
    ):
        assert abs(ours.luma_mean - theirs.luma_mean) < 4  # a frame that was not decoded counts as the one before it
    shared = {kept.frame for kept in full.kept} & {kept.frame for kept in fast.kept}
    assert shared and all(
        (tmp_path / "full" / f"v.f{number:07d}.jpg").read_bytes() == (tmp_path / "fast" / f"v.f{number:07d}.jpg").read_bytes()
        for number in shared
    )
    for start, end in ((0, 37), (37, 68), (68, 113), (113, 142)):
        assert sum(start <= kept.frame < end for kept in fast.kept) >= 8


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_nothing_to_skip(tmp_path: Path, codec: str):
    """Another codec, or no B-frames: the full pass, and the scan says so."""
    path = write_video(tmp_path / "v.mp4", shots_of([20, 20]), Made(codec=codec, options={"bf": "0"}))
    fast, full = scanned(path, True), scanned(path, False)
    assert not fast.fast and fast.luma_mean.tobytes() == full.luma_mean.tobytes()


def test_damage_leads_to_the_full_pass(tmp_path: Path):
    pictures = [noisy(picture) for picture in shots_of([30, 30])]
    path = write_video(tmp_path / "v.mp4", pictures, Made(options={"bf": "3"}))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(data)
    full, fast = scanned(path, False), scanned(path, True)
    assert full.damaged.size and not fast.fast and fast.damaged.tolist() == full.damaged.tolist()


def test_single_frames(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([40, 40]), Made(options={"bf": "3"}, gop=20))
    times = scanned(path, False).times
    wanted = [0, 1, 7, 21, 22, 39, 40, 79]
    found = [(number, number_of(frame.to_ndarray(format="rgb24"))) for number, frame in frames_at(path, times, wanted, MediaLimits())]
    assert found == [(number, number) for number in wanted]


@pytest.mark.skipif(shared_videos() is None, reason="the real test videos are absent (INTERNVID_TEST_VIDEOS)")
@pytest.mark.parametrize("name", ["s02", "s10", "s18"])
def test_real_videos(name: str):
    """Start offset; HEVC with an edit list; a damaged packet. Every hard cut of the full pass is one of the fast pass."""
    folder = shared_videos()
    assert folder is not None
    (path,) = folder.glob(f"{name}_*.mp4")
    full, fast = scanned(path, False), scanned(path, True)
    assert fast.times.pts.tolist() == full.times.pts.tolist() and fast.times.end_pts == full.times.end_pts
    hard = [boundary.frame for boundary in boundaries("transition", full.scores) if boundary.kind == "cut"]
    assert all(any(abs(cut - frame) <= 1 for frame in cuts(fast)) for cut in hard)
