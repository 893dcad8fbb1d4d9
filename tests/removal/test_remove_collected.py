"""Videos that queries found are taken out everywhere: of what queries showed, of parts of a partition that is not done, of the config, of
marks and reports. Over a video site of the tests' own; every byte of the root is searched."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvid_pipeline.browse.marks import Marks
from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import SourceConfig, config_from
from internvid_pipeline.engine import RunReport, run_dataset
from internvid_pipeline.engine.append_records import append_records
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import CandidateRecord, DropRecord, SourceRecord, VideoRecord, to_table
from internvid_pipeline.removal import remove_videos
from internvid_pipeline.removal.targets import find_targets
from internvid_pipeline.storage import Root, add_tombstones, layout, parquet_bytes, read_parts, read_tombstones
from internvid_pipeline.web.downloads import downloads_folder, open_entry
from internvid_pipeline.web.excluded import known_names
from tests.e2e.test_collection import NETWORK, WEB, rows
from tests.media.made import Made, shots_of, write_video
from tests.removal.test_remove import naming
from tests.web.site import Site, running_site
from tests.web.socket_guard import only_loopback

PATIENCE = {**WEB, "network": {**NETWORK, "longest_wait_s": 0.1, "backoff_s": 1}}
GONE = ("firstgone", "putoff", "idgone")
VIDEOS = ("ride0", "firstgone", "ride1", "putoff", "thengone")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Six videos, each with bytes of its own; the third of those that queries find asks for patience."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    video = write_video(tmp_path / "a.mp4", shots_of([10], 640, 360), Made(fps=1)).read_bytes()
    with running_site() as running, only_loopback(tmp_path):
        monkeypatch.setenv("INTERNVID_FAKE_SITE", running.base)
        for number, name in enumerate(VIDEOS):
            free = (16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big")
            running.add_video(name, video + free, title=f"Riding {number}, part {number}", duration=10)
        running.add_video("idgone", video, title="Another", duration=10)
        running.lists["channel"] = ["firstgone", "ride0"]
        running.refusals = {"/files/ride1.mp4": [429, 429, 429]}
        running.retry_after = "1"
        yield running


def run(root: Path, site: Site, **source) -> RunReport:
    """Sites asked in turn, so that it is known who meets the refusal."""
    given = {"queries": ["riding", "part 1"], "channels": [f"{site.base}/list/channel"], "id_url": site.base + "/watch/{id}"}
    config = config_from(
        {
            "root": str(root),
            "source": {"search": "fakesearch", "collect": WEB, **given, "id_extractor": "FakeSite", "partition_videos": 5, **source},
            "stages": {"download_videos": PATIENCE},
            "placement": {"isolate": False, "deferral_s": 0, "stages": {"download_videos": {"load_threads": 1}}},
        }
    )
    return run_dataset(config, "inline")


def remove(root: Path, *names: str):
    opened, _, plans, _ = open_dataset(str(root))
    return remove_videos(opened, plans, names)


def check(root: Path) -> None:
    for place in (root, root / "collect"):
        opened, _, plans, partitions = open_dataset(str(place))
        problems = validate_dataset(opened, plans, partitions, read_media=True).problems
        # Two queries may show one video; in a data set of videos that would be wrong.
        assert [one for one in problems if place.name != "collect" or not one.what.startswith("stands in partition")] == []


def test_nothing_of_it_is_left(tmp_path: Path, site: Site):
    root = tmp_path / "set"
    report = run(root, site, ids=["ride0", "idgone"])
    assert report.deferred == 3
    opened, _, plans, _ = open_dataset(str(root))
    assert read_parts(opened, plans[0].folder, 1)[0].emitted == 1
    under_way = open_entry(downloads_folder(opened.uri), _source_id(opened, "putoff"))
    under_way.close()
    _leave_things(root, "firstgone", opened)
    assert len(naming(root, "firstgone")) > 8 and naming(root, "putoff") and naming(root, "idgone")
    assert all(name in (root / "dataset.yaml").read_text() for name in ("idgone", "ride0"))
    removed = remove(root, f"{site.base}/watch/firstgone", "putoff", "fakesite-idgone")
    assert (
        removed.videos == ["fakesite-firstgone", "fakesite-idgone", "fakesite-putoff"]
        and not removed.unknown
        and removed.rows["collect_videos"] == 4
    )
    assert naming(root, *GONE) == [] and not under_way.folder.exists()
    shown = rows(root / "collect", CandidateRecord)
    assert sorted(row.external_id for row in shown) == ["ride0", "ride0", "ride1", "thengone"]
    _goes_on(root, site)
    _of_a_partition_that_was_done_in_parts(root)


def _source_id(opened: Root, name: str) -> str:
    from internvid_pipeline.engine.partitions import read_sources

    return next(row.source_id for row in read_sources(opened, [1]) if row.external_id == name)


def _leave_things(root: Path, name: str, opened: Root) -> None:
    """What else may name a video: marks, a report, what `source.exclude_ids` left out, a file of a worker that died."""
    Marks(opened, "me").store(f"fakesite-{name}_000000000_000001000", f"fakesite-{name}", "keep")
    Marks(opened, "me").store("fakesite-ride0_000000000_000001000", "fakesite-ride0", "keep")
    (root / "report" / "figures").mkdir(parents=True)
    for path in ("report.html", "figures/a.svg"):
        (root / "report" / path).write_text(f"a picture of {name}")
    drop = DropRecord(stage="collect_videos", item_id=f"x/watch/{name}", part_of=None, reason="excluded", message=name)
    url = next(row.url for row in rows(root / "collect", CandidateRecord) if row.external_id == name)
    opened.replace_bytes(layout.EXCLUDED, parquet_bytes(to_table([drop, _at(drop, url)], DropRecord).slice(1)))
    _, _, plans, _ = open_dataset(str(root))
    (root / plans[0].folder / "00001.tar").write_text(f"half of {name}")
    staging = root / ".tmp" / f"{os.uname().nodename}-999999999-0123abcd"
    staging.mkdir(parents=True)
    (staging / "media.tar").write_text(f"half of {name}")


def _at(drop: DropRecord, url: str) -> DropRecord:
    return DropRecord(stage=drop.stage, item_id=url, part_of=None, reason=drop.reason, message=drop.message)


def _goes_on(root: Path, site: Site) -> None:
    """What is left is finished, nothing is fetched again, nothing comes back: not by new words either."""
    hits = dict(site.hits)
    time.sleep(1.1)
    site.refusals = {}
    run(root, site, ids=["ride0"])
    assert sorted(row.external_id for row in rows(root, VideoRecord)) == ["ride0", "ride1", "thengone"]
    assert site.hits["/files/ride0.mp4"] == 1 and site.hits["/files/firstgone.mp4"] == 1 and site.hits["/files/putoff.mp4"] == 0
    assert site.hits["/api/search"] == hits["/api/search"], "what was asked is not asked again"
    check(root)
    assert naming(root, *GONE) == []
    config_of_more = {"queries": ["riding", "riding 1", "riding 4"]}
    site.lists["other"] = ["firstgone"]
    run(root, site, **config_of_more, channels=[f"{site.base}/list/channel", f"{site.base}/list/other"])
    assert naming(root, "firstgone") == [] and site.hits["/files/firstgone.mp4"] == 1
    check(root)


def _of_a_partition_that_was_done_in_parts(root: Path) -> None:
    opened, _, plans, _ = open_dataset(str(root))
    assert list((root / plans[0].folder).glob("*.part-*"))
    before = {row.video_id: opened.read_media(row.media) for row in rows(root, VideoRecord)}
    remove(root, "fakesite-thengone", "fakesite-ride0")
    assert naming(root, "thengone", "ride0") == []
    after = {row.video_id: opened.read_media(row.media) for row in rows(root, VideoRecord)}
    assert after == {"fakesite-ride1": before["fakesite-ride1"]}
    check(root)


def test_a_video_is_known_by_any_of_its_addresses(tmp_path: Path):
    """On YouTube in every form; ids of plain files are base names, and tell nothing."""
    root = Root(str(tmp_path))
    same = ["https://www.youtube.com/watch?v=abcdefghijk", "https://youtu.be/abcdefghijk?t=3"]
    plain = {f"https://{host}/v.mp4": ("Generic", "v") for host in ("one", "other")}
    inputs = {**dict.fromkeys(same, (None, None)), **plain}
    sources = [
        SourceRecord(source_id=f"{number:020d}", uri=uri, extractor=extractor, external_id=external_id)
        for number, (uri, (extractor, external_id)) in enumerate(inputs.items())
    ]
    append_records(SourceIndex(root).read(), sources, SourceConfig(partition_videos=1))
    found = find_targets(root, [], ["https://m.youtube.com/shorts/abcdefghijk", "https://one/v.mp4", "https://two/v.mp4"])
    assert found.uris == {*same, "https://one/v.mp4"} and found.video_ids == {"youtube-abcdefghijk"} and found.partitions == {0, 1, 2}
    assert found.unknown == ["https://two/v.mp4"]
    add_tombstones(root, found.names)
    later = SourceRecord(source_id="later", uri="https://www.youtube.com/embed/abcdefghijk")
    assert read_tombstones(root).covers(*known_names(later)) and not read_tombstones(root).covers(*known_names(sources[3]))
