"""From video rows to scan rows."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from internvid_pipeline.errors import DamagedMedia, UnreadableMedia
from internvid_pipeline.media.scan_file import read_scan
from internvid_pipeline.records import ScanRecord, SourceRecord, VideoRecord, to_table
from internvid_pipeline.stage import Emit, Item, WorkerContext
from internvid_pipeline.storage import Root
from stages.import_videos import ImportVideos, ImportVideosConfig
from stages.scan_videos import ScanVideos, ScanVideosConfig
from tests.media.made import Made, number_of, shots_of, write_video


def video_row(path: Path, folder: Path) -> VideoRecord:
    stage = ImportVideos(ImportVideosConfig())
    stage.setup(WorkerContext(root=Root(str(folder / "root")), scratch=folder / "scratch", resources=stage.resources))
    (outcome,) = stage.process([Item(SourceRecord(source_id="s", uri=str(path)))])
    assert isinstance(outcome, Emit)
    return outcome.records[0]


def scan_row(video: VideoRecord, folder: Path, **config: object) -> ScanRecord:
    stage = ScanVideos(ScanVideosConfig.model_validate(config))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    stage.setup(WorkerContext(root=Root(str(folder / "root")), scratch=scratch, resources=stage.resources))
    (outcome,) = stage.process([Item(video)])
    assert isinstance(outcome, Emit)
    (row,) = outcome.records
    return row


def test_row_and_files(tmp_path: Path):
    """Shots of 40, 30 and 20 frames at 25 a second: eight frames and the middle one of each, all of them upright JPEGs that show the right
    numbers; the scan says what the row says."""
    video = video_row(write_video(tmp_path / "v.mp4", shots_of([40, 30, 20]), Made(rotation=90)), tmp_path)
    row = scan_row(video, tmp_path, detectors=["content", "transition"])
    assert (row.video_id, row.num_frames, row.start_s, row.end_s) == (video.video_id, 90, 0.0, 3.6)
    assert row.detectors == ("content", "transition") and not row.fast and row.num_damaged == 0 and row.broken_off is None
    numbers = [frame.frame for frame in row.frames]
    assert numbers == sorted(set(numbers))
    for start, end in ((0, 40), (40, 70), (70, 90)):
        inside = [number for number in numbers if start <= number < end]
        assert len(inside) >= 8 and min(abs(number - (start + end) // 2) for number in inside) <= (end - start) / 16
    for frame in row.frames:
        path = frame.media.scratch_path
        assert path is not None and path.name == f"{video.video_id}.f{frame.frame:07d}.jpg"
        assert frame.time_s == pytest.approx(frame.frame * 0.04)
        picture = np.asarray(Image.open(path))
        assert picture.shape[:2] == (frame.height_px, frame.width_px) == (320, 180)
        assert number_of(np.rot90(picture, -1)) == frame.frame
    scan_path = row.scan.scratch_path
    assert scan_path is not None
    scan = read_scan(scan_path)
    assert scan.num_frames == 90 and scan.detectors == row.detectors and scan.luma_mean.mean() == pytest.approx(row.luma_mean, rel=1e-5)
    assert len(list((tmp_path / "scratch").iterdir())) == len(row.frames) + 1
    assert to_table([row], ScanRecord).num_rows == 1


def test_a_file_that_fails_leaves_nothing(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([30]), Made(options={"bf": "0"}))
    video = video_row(path, tmp_path)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for position, size in packets[10:]:
        data[position + 4 : position + size] = b"\x00" * (size - 4)
    path.write_bytes(data)
    with pytest.raises(DamagedMedia, match="max_lost_packets"):
        scan_row(video, tmp_path, limits={"max_lost_packets": 2})
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_file_that_changed_is_refused(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([20]))
    video = video_row(path, tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UnreadableMedia, match="has changed"):
        scan_row(video, tmp_path)
