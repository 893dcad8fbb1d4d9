"""Queries, channels and playlists of the tests' own video site, through the real yt-dlp."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvid_pipeline import errors
from internvid_pipeline.records import CandidateRecord, DropReason, SourceRecord, to_table
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, WorkerContext
from internvid_pipeline.storage import Root
from internvid_pipeline.web.list_inputs import source_id
from stages.collect_videos import CollectVideos, CollectVideosConfig
from tests.web.fake_site import NAMES
from tests.web.site import Site, running_site


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running_site() as running:
        monkeypatch.setenv("INTERNVID_FAKE_SITE", running.base)
        for number in range(12):
            running.add_video(f"ride{number}", b"", title=f"Riding a bike {number}" if number % 2 else f"骑自行车 {number}")
        yield running


def run(folder: Path, uri: str, query: str = "", most: int = 10_000) -> Outcome[CandidateRecord]:
    network = {"allow_networks": ["127.0.0.0/8"], "requests_per_s": None}
    stage = CollectVideos(CollectVideosConfig.model_validate({"most": most, "network": network, "extractor": {"extractors": NAMES}}))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    stage.setup(WorkerContext(root=Root(str(folder)), scratch=scratch, resources=stage.resources))
    record = SourceRecord(source_id=source_id(uri), uri=uri, queries=(query,) if query else (), metadata_json='{"query_language": "en"}')
    (outcome,) = stage.process([Item(record, payload=stage.load(record))])
    return outcome


@pytest.mark.parametrize(("words", "first"), [("riding a bike", "ride1"), ("骑自行车", "ride0")])
def test_a_search_gives_its_first_results(tmp_path: Path, site: Site, words: str, first: str):
    outcome = run(tmp_path, f"fakesearch4:{words}", words)
    assert isinstance(outcome, Emit) and len(outcome.records) == 4
    best = outcome.records[0]
    assert (best.external_id, best.rank, best.query, best.query_language) == (first, 0, words, "en")
    assert best.extractor == "FakeSite" and best.url == f"{site.base}/watch/{first}" and best.candidate_id == f"fakesite-{first}"
    assert to_table(outcome.records, CandidateRecord).num_rows == 4
    assert not any(path.startswith("/files") for path in site.hits), "nothing is downloaded"


def test_a_playlist_is_one_request(tmp_path: Path, site: Site):
    site.lists["all"] = [f"ride{number}" for number in range(12)]
    outcome = run(tmp_path, f"{site.base}/list/all", most=10)
    assert isinstance(outcome, Emit) and [row.external_id for row in outcome.records] == [f"ride{number}" for number in range(10)]
    assert sum(site.hits.values()) == 1
    assert outcome.records[0].query == f"{site.base}/list/all"


def test_nothing_found_and_no_such_list(tmp_path: Path, site: Site):
    outcome = run(tmp_path, "fakesearch5:unheard of")
    assert isinstance(outcome, Drop) and outcome.reason == DropReason.NO_RESULTS
    with pytest.raises(errors.Gone):
        run(tmp_path, f"{site.base}/404/none")
