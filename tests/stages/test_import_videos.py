"""From an input to a video row."""

import hashlib
import json
from pathlib import Path

import pytest

from internvid_pipeline.errors import ItemError, UnreadableMedia
from internvid_pipeline.records import DropReason, SourceRecord, VideoRecord, to_table
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, WorkerContext
from internvid_pipeline.storage import Root
from stages.import_videos import ImportVideos, ImportVideosConfig
from tests.conftest import shared_videos
from tests.media.made import Made, Track, beeps, shots_of, write_video


def stage_in(folder: Path, **limits: float) -> ImportVideos:
    stage = ImportVideos(ImportVideosConfig.model_validate({"limits": limits}))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    stage.setup(WorkerContext(root=Root(str(folder / "root")), scratch=scratch, resources=stage.resources))
    return stage


def run(folder: Path, uri: Path | str, **more: str) -> Outcome[VideoRecord]:
    stage = stage_in(folder)
    record = SourceRecord(source_id="s", uri=str(uri), **more)
    (outcome,) = stage.process([Item(record)])
    return outcome


def row(folder: Path, uri: Path | str, **more: str) -> VideoRecord:
    outcome = run(folder, uri, **more)
    assert isinstance(outcome, Emit) and len(outcome.records) == 1
    return outcome.records[0]


def test_a_video_row(tmp_path: Path):
    """25 frames, 320x180, mono sound; the id is made of the bytes, not of the name."""
    path = write_video(tmp_path / "v.mp4", shots_of([25]), Made(tracks=[Track(beeps([0.1], 1.0))]))
    video = row(tmp_path, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert video.video_id == f"file-{digest[:20]}" and video.media.sha256 == digest and video.media.size_bytes == path.stat().st_size
    assert video.source_uri == video.media.uri == str(path) and video.media.offset_bytes is None
    assert (video.width_px, video.height_px, video.fps, video.num_frames, video.duration_s) == (320, 180, 25.0, 25, 1.0)
    assert (video.video_codec, video.audio_codec, video.num_audio_streams, video.rotation_deg) == ("h264", "aac", 1, 0)
    assert to_table([video], VideoRecord).num_rows == 1
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(path.read_bytes())
    assert row(tmp_path, copy).video_id == video.video_id


def test_columns_of_the_list_file(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([5]))
    listed = {"title": "A title / ../x", "language": "fr", "license": "CC0", "description": "  ", "views": 7, "tags": ["a"]}
    video = row(tmp_path, path, metadata_json=json.dumps(listed))
    assert (video.title, video.language, video.licence, video.description) == ("A title / ../x", "fr", "CC0", None)
    assert json.loads(video.metadata_json) == {"views": 7, "tags": ["a"]}


@pytest.mark.parametrize("metadata", ["[1]", "{", '"text"'])
def test_metadata_that_is_no_object(tmp_path: Path, metadata: str):
    path = write_video(tmp_path / "v.mp4", shots_of([5]))
    with pytest.raises(ItemError, match="metadata_json"):
        run(tmp_path, path, metadata_json=metadata)


def test_duplicates_are_dropped_without_a_look(tmp_path: Path):
    outcome = run(tmp_path, "/nowhere/at/all.mp4", duplicate_of="/first.mp4")
    assert outcome == Drop(DropReason.DUPLICATE, "same bytes as /first.mp4")


def test_broken_files_raise(tmp_path: Path):
    """The engine makes a failure of the error: nothing about a file that cannot be read is a judgement."""
    (tmp_path / "v.mp4").write_bytes(b"not a video" * 100)
    with pytest.raises(UnreadableMedia):
        run(tmp_path, tmp_path / "v.mp4")
    with pytest.raises(UnreadableMedia, match="No such file"):
        run(tmp_path, tmp_path / "missing.mp4")


def test_limits_of_the_config(tmp_path: Path):
    path = write_video(tmp_path / "v.mp4", shots_of([25]))
    stage = stage_in(tmp_path, max_duration_s=0.5)
    with pytest.raises(ItemError, match="max_duration_s"):
        stage.process([Item(SourceRecord(source_id="s", uri=str(path)))])


def test_a_copy_of_a_remote_file_does_not_stay(tmp_path: Path):
    """`memory://` stands for any object store."""
    import fsspec

    path = write_video(tmp_path / "v.mp4", shots_of([5]))
    with fsspec.open("memory://bucket/v.mp4", "wb") as file:
        file.write(path.read_bytes())
    stage = stage_in(tmp_path)
    (outcome,) = stage.process([Item(SourceRecord(source_id="s", uri="memory://bucket/v.mp4"))])
    assert isinstance(outcome, Emit) and outcome.records[0].source_uri == "memory://bucket/v.mp4"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_deadline_grows_with_the_file():
    stage = ImportVideos(ImportVideosConfig())
    small, large = (stage.deadline_s(SourceRecord(source_id="s", uri="u", size_bytes=size)) for size in (1, 10**10))
    assert 60 < small < large


@pytest.mark.skipif(shared_videos() is None, reason="the real test videos are absent (INTERNVID_TEST_VIDEOS)")
def test_real_videos(tmp_path: Path):
    """22 files: 19 rows, one without a picture, two that are no media."""
    folder = shared_videos()
    assert folder is not None
    became: dict[str, str] = {}
    rows: dict[str, VideoRecord] = {}
    for path in sorted(path for path in folder.iterdir() if path.name[0] in "sd" and path.suffix not in (".json", ".vtt")):
        try:
            outcome = run(tmp_path, path)
        except UnreadableMedia as error:
            became[path.name[:3]] = str(error)
        else:
            became[path.name[:3]] = outcome.reason if isinstance(outcome, Drop) else "row"
            if isinstance(outcome, Emit):
                rows[path.name[:3]] = outcome.records[0]
    assert len(became) == 22 and sum(result == "row" for result in became.values()) == 19
    assert became["s17"] == DropReason.NO_VIDEO and "moov atom not found" in became["s19"] and "no media data" in became["s20"]
    assert rows["s12"].fps is None and rows["s12"].video_codec == "vc1"
    assert rows["s09"].rotation_deg == rows["s10"].rotation_deg == -90
    assert rows["s02"].start_s == pytest.approx(0.834) and rows["d02"].sample_aspect_ratio == pytest.approx(32 / 27)
    assert rows["s13"].num_audio_streams == 2 and rows["s11"].video_codec == "av1" and rows["s10"].num_frames == 86
