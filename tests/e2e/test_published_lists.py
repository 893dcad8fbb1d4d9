"""A published list becomes videos, clips and shards again, over a video site of the tests' own on loopback."""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import RunReport, preview, run_dataset
from internvid_pipeline.engine.availability import availability
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import ClipRecord
from internvid_pipeline.units import timestamp
from tests.conftest import contents
from tests.media.made import Made, Track, beeps, noisy, numbers_in, shots_of, write_video
from tests.web.fake_site import NAMES
from tests.web.site import Site, running_site
from tests.web.socket_guard import only_loopback

REPO = Path(__file__).resolve().parents[2]
FPS = 25
# Of the video `plain`: spans that lie on no frame's edge, one that overlaps, one with the same frames as another, and one beyond the end.
SPANS = {
    (1.0, 3.0): "a cat",
    (2.487, 5.52): "overlaps",
    (3.337, 4.663): "a dog",
    (3.338, 4.662): "the same frames",
    (11.0, 12.0): "the end",
}
OUTSIDE = (20.0, 22.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """`plain`: 12 s, two shots, sound. `later`: its clock begins at 0.5 s, 10 frames a second."""
    folder = tmp_path_factory.mktemp("videos")
    plain = Made(gop=50, tracks=[Track(beeps([1.5, 11.5], 12.0))])
    later = Made(time_base=Fraction(1, 1000), pts=[500 + 100 * number for number in range(60)], end_pts=6500)
    return {
        "plain": write_video(folder / "plain.mp4", shots_of([170, 130], 640, 360), plain).read_bytes(),
        "later": write_video(folder / "later.mp4", shots_of([60]), later).read_bytes(),
    }


@pytest.fixture
def site(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running_site() as running, only_loopback(tmp_path):
        running.add_video("plain", files["plain"], duration=12, license="Creative Commons Attribution licence (reuse allowed)")
        running.add_video("later", files["later"], duration=6)
        for name, refusal in (("hidden", "private"), ("abroad", "geo"), ("claimed", "copyright")):
            running.add_video(name, b"", refusal=refusal)
        monkeypatch.setenv("INTERNVID_FAKE_SITE", running.base)
        yield running


def line(video: str, span: tuple[float, float], caption: str, aesthetic: float = 4.5, similarity: float = 0.4) -> dict[str, Any]:
    times = {"Start_timestamp": timestamp(span[0]), "End_timestamp": timestamp(span[1])}
    return {"YoutubeID": video, **times, "Caption": caption, "Aesthetic_Score": aesthetic, "UMT_Score": similarity}


def lines() -> list[dict[str, Any]]:
    """The lines of a video do not stand together."""
    found = [line("plain", span, caption, aesthetic=number) for number, (span, caption) in enumerate(SPANS.items())]
    found.insert(1, line("later", (1.2, 3.4), "later"))
    found += [line(video, (1, 2), "lost") for video in ("hidden", "gone", "abroad", "claimed", "gone")]
    return [*found, line("gone", (3, 4), "lost"), line("plain", OUTSIDE, "beyond")]


def write_list(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def overrides(root: Path, listed: Path, site: Site, **more: Any) -> list[str]:
    fields: dict[str, Any] = {
        "source.id_url": site.base + "/watch/{id}",
        "source.id_extractor": "FakeSite",
        "stages.download_videos.network": {"allow_networks": ["127.0.0.0/8"], "requests_per_s": None},
        "stages.download_videos.extractor.extractors": list(NAMES),
        "placement.isolate": False,
        **more,
    }
    return [f"root={root}", f"source.path={listed}", *(f"{key}={json.dumps(value)}" for key, value in fields.items())]


def run(root: Path, listed: Path, site: Site, **more: Any) -> RunReport:
    return run_dataset(load_config("rebuild_internvid", overrides(root, listed, site, **more)), "inline")


def clips(root: Path) -> list[ClipRecord]:
    opened, _, plans, partitions = open_dataset(str(root))
    plan = next(plan for plan in plans if plan.build().writes is ClipRecord)
    return [row for partition in partitions for row in read_rows(opened, plan.folder, partition, ClipRecord)]


def samples(root: Path) -> dict[str, dict[str, Any]]:
    import webdataset

    tars = sorted(str(path) for path in (root / "shards" / "listed").glob("*.tar"))
    return {sample["__key__"]: sample for sample in webdataset.WebDataset(tars, shardshuffle=False, empty_check=False)}


def check_clips(root: Path, folder: Path) -> None:
    """Each clip of the list, in the shards: its frames within one of the asked times, the list's caption and scores beside it."""
    found = samples(root)
    wanted = [("plain", span, caption, FPS, 0.0) for span, caption in SPANS.items() if caption != "the same frames"]
    wanted.append(("later", (1.2, 3.4), "later", 10, 0.5))
    assert len(found) == len(wanted)
    for video, (start_s, end_s), caption, fps, origin_s in wanted:
        (sample,) = [sample for sample in found.values() if sample["txt"].decode() == caption]
        about = json.loads(sample["json"])
        assert about["video"]["external_id"] == video and about["video_id"] == f"fakesite-{video}"
        assert abs(about["start_s"] - origin_s - start_s) <= 0.5 / fps + 1e-6 and abs(about["end_s"] - origin_s - end_s) <= 0.5 / fps + 1e-6
        (folder / "clip.mp4").write_bytes(sample["mp4"])
        numbers = numbers_in(folder / "clip.mp4")
        assert numbers == list(range(round(start_s * fps), round(start_s * fps) + len(numbers))) and len(numbers) == about["num_frames"]
        assert abs(numbers[0] / fps - start_s) <= 1 / fps and abs((numbers[-1] + 1) / fps - end_s) <= 1 / fps
        (text,) = about["captions"]
        assert (text["text"], text["model"], text["scale"], text["is_stand_in"]) == (caption, "InternVid-10M-flt", "fused", False)
        scores = {score["scorer"]: score["value"] for score in about["scores"]}
        assert set(scores) == {"aesthetic", "umt_sim"} and scores["umt_sim"] == 0.4
        if video == "plain":
            assert scores["aesthetic"] == list(SPANS.values()).index(caption)


AVAILABLE = {"available": 2, "Gone": 1, "Private": 1, "GeoBlocked": 1, "CopyrightRemoved": 1}
CLIPS = {"available": 5, "same_frames": 1, "span_outside": 1, "Gone": 2, "Private": 1, "GeoBlocked": 1, "CopyrightRemoved": 1}


def test_the_obvious_way(tmp_path: Path, site: Site):
    """`internvid run configs/rebuild_internvid.yaml source.path=…`, in processes of its own as people run it; `plan` and `validate`."""
    listed = write_list(tmp_path / "InternVid-10M-flt.jsonl", lines())
    root = tmp_path / "set"
    given = overrides(root, listed, site, **{"placement.isolate": True})
    environment = {**os.environ, "PYTHONPATH": str(REPO), "TMPDIR": str(tmp_path), "COLUMNS": "160"}

    def internvid(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "internvid_pipeline.cli.main", *arguments]
        return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=200)

    before = internvid("plan", "configs/rebuild_internvid.yaml", *given)
    assert "6 inputs, 6 of them new" in before.stdout and not root.exists(), before.stderr
    done = internvid("run", "configs/rebuild_internvid.yaml", *given, "--engine", "inline", "-q")
    assert done.returncode == 0, done.stderr[-3000:]
    told = done.stdout[done.stdout.index("videos: 6") :]
    assert [line.split()[0:3:2] for line in told.splitlines()[1:3]] == [["2", "available"], ["1", "CopyrightRemoved"]]
    assert "clips asked for: 12" in told and "span_outside" in told
    check_clips(root, tmp_path)
    again = json.loads(internvid("availability", str(root), "--json").stdout)
    assert again == {"videos": AVAILABLE, "clips": CLIPS}
    assert internvid("validate", str(root), "--read-media").returncode == 0
    assert "6 inputs, 0 of them new" in internvid("plan", "configs/rebuild_internvid.yaml", *given).stdout


def test_the_detector_does_not_run_and_frames_lie_in_the_spans(tmp_path: Path, site: Site):
    root, listed = tmp_path / "set", write_list(tmp_path / "InternVid-10M-flt.jsonl", lines())
    assert run(root, listed, site).errors == []
    for clip in clips(root):
        frames = [frame.frame for frame in clip.frames]
        assert len(frames) >= 8 and all(clip.start_frame <= frame < clip.end_frame for frame in frames)
        assert min(abs(frame - clip.middle_frame) for frame in frames) <= max(1, clip.num_frames // 16)
    opened, _, plans, _ = open_dataset(str(root))
    (scan,) = [plan for plan in plans if plan.name == "scan_videos"]
    rows = read_rows(opened, scan.folder, 0, scan.build().writes)
    assert {row.detectors for row in rows} == {()}
    kept = {frame.frame for row in rows if row.video_id == "fakesite-plain" for frame in row.frames}
    asked = {frame for start_s, end_s in SPANS for frame in range(round(start_s * FPS) - 1, round(end_s * FPS) + 1)}
    assert kept <= asked, "nothing is kept of what nobody asked for"
    assert {frame.media.uri.split("/")[0] for clip in clips(root) for frame in clip.frames} == {"scan_videos"}, "no frame is decoded twice"


def test_only_the_stretches_wanted(tmp_path: Path, site: Site):
    """download_ranges: the same clips from a part of the bytes."""
    folder = tmp_path / "long"
    folder.mkdir()
    made = Made(gop=25, options={"preset": "ultrafast"}, container_options={"movflags": "faststart"})
    grain = [noisy(picture, number) for number, picture in enumerate(shots_of([12], 640, 360))]
    pictures = [grain[number % 12] // 4 + picture // 4 * 3 for number, picture in enumerate(shots_of([900], 640, 360))]
    data = write_video(folder / "long.mp4", pictures, made).read_bytes()
    site.add_video("long", data, duration=36)
    spans = [(30.0, 32.0), (3.3, 4.5)]
    listed = write_list(tmp_path / "InternVid-10M-flt.jsonl", [line("long", span, f"from {span[0]}") for span in spans])
    root = tmp_path / "set"
    assert run(root, listed, site, **{"stages.download_videos.spans_only": True}).errors == []
    assert site.sent["/files/long.mp4"] < 0.6 * len(data)
    for clip, (start_s, end_s) in zip(clips(root), sorted(spans), strict=True):
        assert abs(clip.start_s - start_s) <= 0.5 / FPS + 1e-6 and abs(clip.end_s - end_s) <= 0.5 / FPS + 1e-6
    for sample in samples(root).values():
        (tmp_path / "clip.mp4").write_bytes(sample["mp4"])
        first = round(float(sample["txt"].decode().split()[1]) * FPS)
        numbers = numbers_in(tmp_path / "clip.mp4")
        assert abs(numbers[0] - first) <= 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_longer_list_adds_only_what_is_new(tmp_path: Path, site: Site):
    """New videos, and new clips of known ones; what is there stays as it is, byte for byte."""
    root, listed = tmp_path / "set", write_list(tmp_path / "InternVid-10M-flt.jsonl", lines()[:3])
    assert run(root, listed, site).new_partitions == 1
    before, sent = contents(root), dict(site.sent)
    assert run(root, listed, site).new_partitions == 0 and site.sent == sent
    write_list(listed, lines())
    config = load_config("rebuild_internvid", overrides(root, listed, site))
    assert (preview(config).inputs, preview(config).new_inputs) == (6, 5), "of `later` there is nothing new"
    assert run(root, listed, site).new_partitions == 1
    after = contents(root)
    views = [name for name in before if name.endswith("/index.json")]  # of all shards there are
    assert views and {name: after.get(name) for name in before if name not in views} == {
        name: digest for name, digest in before.items() if name not in views
    }
    check_clips(root, tmp_path)
    opened, _, plans, partitions = open_dataset(str(root))
    assert availability(opened, plans, partitions).clips == CLIPS
    assert preview(config).new_inputs == 0 and run(root, listed, site).new_partitions == 0
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []


def test_panda_70m_and_openvid(tmp_path: Path, site: Site, files: dict[str, bytes]):
    with open(tmp_path / "panda70m.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["videoID", "url", "timestamp", "caption", "matching_score"])
        writer.writerow(
            ["plain", "https://x", "[['0:00:01.000', '0:00:03.000'], ['0:00:05.000', '0:00:06.520']]", "['one', 'two']", "[0.4, 0.5]"]
        )
    assert run(tmp_path / "panda", tmp_path / "panda70m.csv", site).errors == []
    found = samples(tmp_path / "panda").values()
    assert {sample["txt"].decode(): json.loads(sample["json"])["scores"][0]["value"] for sample in found} == {"one": 0.4, "two": 0.5}
    assert [(clip.start_frame, clip.end_frame) for clip in clips(tmp_path / "panda")] == [(25, 75), (125, 163)]

    for name, data in files.items():
        (tmp_path / f"{name}.mp4").write_bytes(data)
    with open(tmp_path / "OpenVid-1M.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video", "caption", "aesthetic score", "motion score", "temporal consistency score"])
        writer.writerow(["plain.mp4", "a whole file", "5.1", "2.5", "0.99"])
        writer.writerow(["none.mp4", "not there", "5.1", "2.5", "0.99"])
    assert run(tmp_path / "openvid", tmp_path / "OpenVid-1M.csv", site).errors == []
    (sample,) = samples(tmp_path / "openvid").values()
    about = json.loads(sample["json"])
    assert sample["txt"] == b"a whole file" and about["num_frames"] == 300
    assert {score["scorer"] for score in about["scores"]} == {"aesthetic", "motion_score", "temporal_consistency"}
