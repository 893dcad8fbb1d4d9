"""Queries, a playlist and ids become videos and clips, over a video site of the tests' own; refusals have rows; kills lose nothing."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline import errors
from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import config_from, load_config
from internvid_pipeline.engine import RunReport, partition_numbers, preview, run_dataset
from internvid_pipeline.engine.availability import availability
from internvid_pipeline.engine.partitions import read_sources
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.report import read_losses
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import ClipRecord, FailureRecord, SourceRecord, VideoRecord
from internvid_pipeline.storage import Root
from tests.conftest import contents
from tests.e2e.test_resume_after_kill import finish, kill_tree, start
from tests.media.made import Made, Track, beeps, shots_of, write_video
from tests.web.fake_site import NAMES
from tests.web.site import Site, running_site
from tests.web.socket_guard import only_loopback

NETWORK = {"allow_networks": ["127.0.0.0/8"], "requests_per_s": None, "attempts": 2, "timeout_s": 2}
WEB = {"network": NETWORK, "extractor": {"extractors": list(NAMES)}}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """12 s, two shots, sound."""
    folder = tmp_path_factory.mktemp("video")
    made = Made(tracks=[Track(beeps([1.0], 12.0))], gop=25)
    return write_video(folder / "a.mp4", shots_of([150, 150], 640, 360), made).read_bytes()


@pytest.fixture
def site(video: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running_site() as running, only_loopback(tmp_path):
        monkeypatch.setenv("INTERNVID_FAKE_SITE", running.base)
        for number, title in enumerate(["Riding a bike", "骑自行车", "Riding a horse", "faire du vélo", "Riding a bike 骑自行车"]):
            running.add_video(f"ride{number}", video, title=title, duration=12, license="Creative Commons Attribution licence")
        running.lists["channel"] = ["ride2", "ride4", "removed"]
        running.add_video("removed", b"", refusal="removed", title="nothing")
        yield running


def config_of(root: Path, **source: Any):
    stages = {"download_videos": WEB, "scan_videos": {"detectors": ["content"]}, "cut_clips": {"detector": "content"}}
    return config_from(
        {
            "root": str(root),
            "source": {"search": "fakesearch", "collect": WEB, **source},
            "stages": stages,
            "placement": {"isolate": False},
            "max_failed_ratio": 1.0,
        }
    )


def sources(root: Path | str) -> dict[str, SourceRecord]:
    opened = Root(str(root))
    return {row.external_id or row.uri: row for row in read_sources(opened, partition_numbers(opened))}


def rows(root: Path | str, record_type: type) -> list[Any]:
    opened, _, plans, partitions = open_dataset(str(root))
    plan = next(plan for plan in plans if plan.build().writes is record_type)
    return [row for partition in partitions for row in read_rows(opened, plan.folder, partition, record_type)]


def stage_counts(report: RunReport) -> dict[str, tuple[int, int]]:
    return {status.stage: (status.inputs, status.emitted) for status in report.statuses}


def test_queries_and_a_channel_become_clips(tmp_path: Path, site: Site):
    """In two languages, with what several of them find taken once; `plan` before and after; the same again costs no request."""
    root = tmp_path / "set"
    (tmp_path / "excluded.txt").write_text("fakesite ride2\nyoutube ride0\n")
    config = config_of(
        root, queries=["riding a bike", "骑自行车", "unheard of"], channels=[f"{site.base}/list/channel"],
        exclude_ids=str(tmp_path / "excluded.txt"),
    )  # fmt: skip
    before = preview(config)
    assert before.collecting is not None and before.collecting.new_inputs == 4 and before.inputs == 0 and not root.exists()
    report = run_dataset(config, "inline")
    counts = stage_counts(report)
    assert counts["collect_videos"] == (4, 3) and counts["download_videos"] == (4, 3) and report.errors == []
    found = sources(root)
    assert set(found) == {"ride0", "ride1", "ride4", "removed"}, "each once, and ride2 left out"
    assert found["ride4"].queries == ("riding a bike", "骑自行车", f"{site.base}/list/channel") and found["ride0"].queries == (
        "riding a bike",
    )
    videos = {row.external_id: row for row in rows(root, VideoRecord)}
    assert videos["ride1"].queries == ("骑自行车",) and videos["ride1"].licence.startswith("Creative Commons")
    assert len(rows(root, ClipRecord)) == 6
    opened, _, plans, partitions = open_dataset(str(root))
    assert availability(opened, plans, partitions).videos == {"available": 3, "Gone": 1, "excluded": 1}
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []
    hits, was = sum(site.hits.values()), contents(root)
    assert stage_counts(run_dataset(config, "inline")) == counts and sum(site.hits.values()) == hits and contents(root) == was
    after = preview(config)
    assert (after.inputs, after.new_inputs) == (5, 0) and after.collecting is not None and after.collecting.new_inputs == 0


def test_more_queries_add_only_what_is_new(tmp_path: Path, site: Site):
    root = tmp_path / "set"
    run_dataset(config_of(root, queries=["riding a bike"]), "inline", until="download_videos")
    hits = dict(site.hits)
    assert set(sources(root)) == {"ride0", "ride4"}
    report = run_dataset(config_of(root, queries=["riding a bike", "骑自行车"], ids=["ride3"], id_url=site.base + "/watch/{id}",
                                   id_extractor="FakeSite"), "inline", until="download_videos")  # fmt: skip
    assert report.new_partitions == 2 and set(sources(root)) == {"ride0", "ride4", "ride1", "ride3"}
    for path in ("/files/ride0.mp4", "/files/ride4.mp4"):
        assert site.hits[path] == hits[path] == 1
    assert site.hits["/api/search"] == 2


def test_queries_that_cannot_be_asked_wait_and_nothing_is_taken_by_halves(tmp_path: Path, site: Site):
    """The host asks for fewer requests: the videos are taken when all that finds them is known."""
    root = tmp_path / "set"
    site.add_video("busy", b"", refusal="bot")
    report = run_dataset(config_of(root, queries=["riding a bike"], channels=[f"{site.base}/watch/busy"]), "inline")
    if report.exit_status(1.0) == 0:
        pytest.skip("a refused query is a failure here and not put off")
    assert not root.joinpath("sources").exists()


def test_a_config_may_only_collect(tmp_path: Path, site: Site):
    config = config_from(
        {"root": str(tmp_path / "set"), "source": {"search": "fakesearch", "queries": ["riding a bike"]}, "stages": {"collect_videos": WEB}}
    )
    assert stage_counts(run_dataset(config, "inline")) == {"collect_videos": (1, 1)}
    assert not (tmp_path / "set" / "collect").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"ids": "no-such-file"}, r"source\.ids: there is no file"),
        ({"queries": "no-such-file"}, r"source\.queries: there is no file"),
        ({"exclude_ids": ["no-such-file"], "urls": ["https://x/y"]}, r"source\.exclude_ids: .* cannot be read"),
        ({"urls": ["x.mp4"]}, "is no address"),
        ({}, "names no inputs|source.path is empty"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(tmp_path: Path, source: dict[str, Any], words: str):
    with pytest.raises(UsageError, match=words):
        run_dataset(config_of(tmp_path / "set", **source), "inline")
    assert not (tmp_path / "set" / "dataset.yaml").exists() and not list(tmp_path.glob("set/sources/*.parquet"))


REFUSED = {
    "404": errors.Gone, "410": errors.Gone, "403": errors.AccessDenied, "451": errors.GeoBlocked, "loop": errors.BadResponse,
    "redirect/30": errors.BadResponse, "page": errors.Unsupported, "endless": errors.DownloadLimit, "drip": errors.DownloadLimit,
}  # fmt: skip
SERVED = ("files", "untagged", "norange", "cut", "unsized", "flaky", "redirect/3")


def test_each_address_has_its_row(tmp_path: Path, site: Site, video: bytes):
    """A list of addresses of a hostile server: each is a video with the right bytes, or a failure of its class, or put off."""
    site.files["a.mp4"] = video
    put_off = ("down", "wrong-length")
    (tmp_path / "urls.txt").write_text("\n".join(site.url(behaviour) for behaviour in (*SERVED, *REFUSED, *put_off)))
    config = config_of(tmp_path / "set", urls=str(tmp_path / "urls.txt"), partition_videos=1)
    stages = {"download_videos": {**WEB, "network": {**NETWORK, "item_limit_s": 2, "max_mb": 10}}}
    run_dataset(config.model_copy(update={"stages": stages}), "inline")
    opened, _, plans, _ = open_dataset(str(tmp_path / "set"))
    done = {}
    for partition in partition_numbers(opened):
        try:
            done |= {row.source_uri: row for row in read_rows(opened, plans[0].folder, partition, VideoRecord)}
        except FileNotFoundError:
            continue
    assert set(done) == {site.url(behaviour) for behaviour in SERVED}
    assert all(opened.read_media(row.media) == video for row in done.values())
    failed = {row.item_id: row for _, row in read_losses(opened, plans[0], "failures") if isinstance(row, FailureRecord)}
    for behaviour, kind in REFUSED.items():
        assert failed[site.url(behaviour)].error_class == kind.__name__, behaviour
    others = {uri: row.error_class for uri, row in failed.items() if uri not in {site.url(behaviour) for behaviour in REFUSED}}
    assert set(others.items()) <= {(site.url("down"), "ServerFault"), (site.url("wrong-length"), "ConnectionFault")}


KILLED = """
name: killed
root: {root}
source:
  queries: [riding]
  per_query: 40
  search: fakesearch
  partition_videos: 4
  collect: {web}
stages:
  download_videos: {web}
max_failed_ratio: 1.0
"""


@pytest.mark.kill
def test_a_killed_run_goes_on_and_fetches_nothing_twice(tmp_path: Path, site: Site, video: bytes, monkeypatch: pytest.MonkeyPatch):
    """kill -9 of the driver with its workers, twice; in the end every byte is as after an undisturbed run, and no whole file was sent
    twice."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    data = video + (3_000_000).to_bytes(4, "big") + b"free" + bytes(2_999_992)
    paths = [f"/files/ride{number}.mp4" for number in range(8)]
    for number in range(8):
        site.add_video(f"ride{number}", data, title=f"riding {number}", duration=12)
    site.pause_s = 0.002
    configs = {}
    for name in ("killed", "calm"):
        (tmp_path / name).mkdir()
        configs[name] = tmp_path / name / "config.yaml"
        configs[name].write_text(KILLED.format(root=tmp_path / name / "root", web=json.dumps(WEB)))
    for least in (2, 6):
        process = start(configs["killed"], "inline")
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and sum(site.sent[path] > 0 for path in paths) < least:
            time.sleep(0.02)
        kill_tree(process)
    finish(configs["killed"], "inline")
    sent = {path: site.sent[path] for path in paths}
    assert site.hits["/api/search"] == 1
    assert all(len(data) <= bytes_sent <= len(data) + 2_000_000 for bytes_sent in sent.values()), sent
    finish(configs["calm"], "inline")
    killed, calm = (contents(tmp_path / name / "root") for name in ("killed", "calm"))
    assert {name: found for name, found in killed.items() if not _of_the_run(name)} == {
        name: found for name, found in calm.items() if not _of_the_run(name)
    }


def _of_the_run(name: str) -> bool:
    """Files that name the root, and the runs that it has seen."""
    return name == "collect/dataset.yaml" or name.startswith("collect/generations")


@pytest.mark.parametrize("name", ["urls", "ids", "queries", "channels"])
def test_the_shipped_config_takes_each_kind_of_input(tmp_path: Path, name: str):
    config = load_config("download", [f"root={tmp_path / 'set'}", f"source.{name}=[https://127.0.0.1/a]"])
    found = preview(config)
    new = found.collecting.new_inputs if found.collecting is not None else found.new_inputs
    assert new == 1 and (found.collecting is not None) == (name in ("queries", "channels"))
