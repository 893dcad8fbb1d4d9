"""Downloads from a hostile server on loopback: each of its tricks gives its class and a right file or none."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline import errors
from internvid_pipeline.records import DropReason, SourceRecord, VideoRecord, to_table
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, WorkerContext
from internvid_pipeline.storage import Root
from internvid_pipeline.web.addresses import AddressPolicy
from internvid_pipeline.web.client import open_client
from internvid_pipeline.web.fetch import Target, fetch_file
from internvid_pipeline.web.guard import Guard
from internvid_pipeline.web.rates import HostPace
from internvid_pipeline.web.settings import ExtractorSettings, NetworkSettings
from stages.download_videos import DownloadVideos, DownloadVideosConfig
from tests.media.made import Made, Track, beeps, shots_of, write_video
from tests.web.fake_site import NAMES
from tests.web.site import Site, running_site

LOOPBACK = {"allow_networks": ["127.0.0.0/8"], "requests_per_s": None, "attempts": 2, "timeout_s": 3}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """12 s, 640x360, sound."""
    folder = tmp_path_factory.mktemp("video")
    made = Made(tracks=[Track(beeps([1.0], 12.0))], gop=25)
    return write_video(folder / "a.mp4", shots_of([150, 150], 640, 360), made).read_bytes()


@pytest.fixture
def site(video: bytes) -> Iterator[Site]:
    with running_site() as running:
        running.files["a.mp4"] = video
        yield running


@pytest.fixture(autouse=True)
def own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads under way and the pace's state lie in the test's own folder."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def stage_in(folder: Path, network: dict[str, Any] | None = None, **config: Any) -> DownloadVideos:
    fields = {"network": {**LOOPBACK, **(network or {})}, "extractor": {"extractors": NAMES}, **config}
    stage = DownloadVideos(DownloadVideosConfig.model_validate(fields))
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    stage.setup(WorkerContext(root=Root(str(folder / "root")), scratch=scratch, resources=stage.resources))
    return stage


def run(stage: DownloadVideos, uri: str, **more: Any) -> Outcome[VideoRecord]:
    record = SourceRecord(source_id=hashlib.sha256(uri.encode()).hexdigest()[:20], uri=uri, **more)
    (outcome,) = stage.process([Item(record, payload=stage.load(record))])
    return outcome


def row(outcome: Outcome[VideoRecord]) -> VideoRecord:
    assert isinstance(outcome, Emit), outcome
    return outcome.records[0]


def file_of(record: VideoRecord) -> bytes:
    assert record.media.scratch_path is not None
    return record.media.scratch_path.read_bytes()


GOOD = ["files", "untagged", "norange", "cut", "unsized", "flaky", "redirect/3", "cut-changes"]


@pytest.mark.parametrize("behaviour", GOOD)
def test_a_right_file(tmp_path: Path, site: Site, video: bytes, behaviour: str):
    """Whatever stands in between, what arrives is the file, byte for byte."""
    record = row(run(stage_in(tmp_path), site.url(behaviour)))
    assert file_of(record) == video
    assert record.video_id == f"file-{hashlib.sha256(video).hexdigest()[:20]}" and record.source_uri == record.url == site.url(behaviour)
    assert record.duration_s == pytest.approx(12.0) and record.media.scratch_path.name == f"{record.video_id}.media"
    assert to_table([record], VideoRecord).num_rows == 1
    if behaviour == "cut":  # three pieces, none sent twice
        assert site.sent["/cut/a.mp4"] == len(video)


def test_a_throttled_server_is_waited_for(tmp_path: Path, site: Site, video: bytes):
    site.pause_s = 0.1
    record = row(run(stage_in(tmp_path, {"timeout_s": 1}), site.url("files")))
    assert file_of(record) == video and site.hits["/files/a.mp4"] == 1


BAD = [
    ("404", errors.Gone, "404"),
    ("410", errors.Gone, "any more"),
    ("403", errors.AccessDenied, "403"),
    ("451", errors.GeoBlocked, "451"),
    ("loop", errors.BadResponse, "circle"),
    ("redirect/30", errors.BadResponse, "circle"),
    ("busy", errors.RateLimited, "429"),
    ("down", errors.ServerFault, "502"),
    ("wrong-length", errors.ConnectionFault, "hung up"),
    ("silent", errors.ConnectionFault, "timed out"),
    ("page", errors.Unsupported, "Unsupported URL"),
]


@pytest.mark.parametrize(("behaviour", "kind", "words"), BAD)
def test_no_file(tmp_path: Path, site: Site, behaviour: str, kind: type[errors.InternvidError], words: str):
    with pytest.raises(kind, match=words) as caught:
        run(stage_in(tmp_path, {"timeout_s": 0.5}), site.url(behaviour))
    assert isinstance(caught.value, errors.Deferred) == (behaviour in ("busy", "down", "wrong-length", "silent"))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_limits_of_size_and_time(tmp_path: Path, site: Site):
    for behaviour, network, words in [
        ("endless", {"max_mb": 5}, "max_mb"),
        ("drip", {"item_limit_s": 1}, "item_limit_s"),
        ("slow-header", {"item_limit_s": 1}, "item_limit_s"),
    ]:
        start = time.monotonic()
        with pytest.raises(errors.DownloadLimit, match=words):
            run(stage_in(tmp_path, network), site.url(behaviour))
        assert time.monotonic() - start < 20
    assert site.sent["/endless/a.mp4"] < 20e6


def test_a_host_that_asks_for_fewer_requests_is_left_alone_by_all(tmp_path: Path, site: Site):
    site.retry_after = "100"
    with pytest.raises(errors.RateLimited) as caught:
        run(stage_in(tmp_path), site.url("busy"))
    assert caught.value.retry_after_s == pytest.approx(100, abs=2)
    for _ in range(3):  # another worker, another file
        with pytest.raises(errors.RateLimited, match="left alone"):
            run(stage_in(tmp_path), site.url("files"))
    assert site.hits["/busy/a.mp4"] == 1 and site.hits["/files/a.mp4"] == 0


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1:{port}/files/a.mp4",
        "http://localhost:{port}/files/a.mp4",
        "http://[::ffff:127.0.0.1]:{port}/files/a.mp4",
        "http://2130706433:{port}/files/a.mp4",
        "http://0.0.0.0:{port}/files/a.mp4",
        "http://169.254.169.254/latest",
        "http://[::1]:{port}/x",
    ],
)
def test_private_addresses_are_refused(tmp_path: Path, site: Site, place: str):
    with pytest.raises(errors.AddressRefused, match="private network"):
        run(stage_in(tmp_path, {"allow_networks": []}), place.format(port=site.port))
    assert not site.hits


def test_private_addresses_behind_redirects_and_extractors(tmp_path: Path, site: Site):
    """Only 127.0.0.1 is allowed: what it redirects to, and what an extractor finds, is not."""
    stage = stage_in(tmp_path, {"allow_networks": ["127.0.0.1/32"]})
    other = f"http://127.0.0.2:{site.port}/files/a.mp4"
    with pytest.raises(errors.AddressRefused, match=r"127\.0\.0\.2"):
        run(stage, f"{site.base}/to/?{other}")
    site.add_video("inner", b"", formats=[{"format_id": "0", "url": other, "ext": "mp4", "width": 640, "height": 360}])
    with pytest.raises(errors.AddressRefused, match=r"127\.0\.0\.2"):
        run(stage, f"{site.base}/watch/inner")
    for scheme in ("ftp://127.0.0.1/x", "file:///etc/passwd"):
        with pytest.raises(errors.Unavailable):
            run(stage, f"{site.base}/to/?{scheme}")


@pytest.mark.parametrize(
    "uri", ["ftp://127.0.0.1/a.mp4", "sftp://x/y", "simplecache::http://127.0.0.1/a.mp4", "github://a:b@/c", "gopher://x"]
)
def test_other_protocols_are_refused(tmp_path: Path, uri: str):
    with pytest.raises(errors.Unsupported, match="object_stores"):
        run(stage_in(tmp_path), uri)


def test_a_packed_page_that_unfolds_to_much_is_refused(tmp_path: Path, site: Site):
    stage = stage_in(tmp_path, {"max_page_mb": 1})
    with pytest.raises(errors.Unavailable):
        run(stage, site.url("bomb", "x"))


# --- the video site -------------------------------------------------------------------------------------------------------------------

ABOUT = {
    "title": "Опыт / ../x\0", "description": "What is shown", "tags": ["a", "b", "a"], "categories": ["Education"], "uploader": "Someone",
    "license": "Creative Commons Attribution licence (reuse allowed)", "language": "en", "location": "France", "upload_date": "20210304",
    "age_limit": 0, "duration": 12,
    "chapters": [{"start_time": 0, "end_time": 5, "title": "One"}, {"start_time": 5, "end_time": 12, "title": "Two"}],
    "subtitles": {"en": "/subs/en", "fr": "/subs/fr", "de": "/subs/de"}, "automatic_captions": {"en-orig": "/subs/auto", "zh": "/subs/zh"},
    "view_count": 5,
}  # fmt: skip


def test_all_that_is_known_is_kept(tmp_path: Path, site: Site, video: bytes):
    site.add_video("abc-_1", video, **ABOUT)
    outcome = run(stage_in(tmp_path), f"{site.base}/watch/abc-_1", queries=("riding a bike", "骑车"))
    record = row(outcome)
    assert record.video_id == "fakesite-abc-_1" and file_of(record) == video
    assert (record.title, record.uploader, record.country, record.language) == ("Опыт / ../x", "Someone", "France", "en")
    assert record.tags == ("a", "b") and record.categories == ("Education",) and record.upload_date == "2021-03-04"
    assert record.licence is not None and record.licence.startswith("Creative Commons") and record.queries == ("riding a bike", "骑车")
    assert [(chapter.title, chapter.start_s, chapter.end_s) for chapter in record.chapters] == [("One", 0, 5), ("Two", 5, 12)]
    found = {(track.language, track.kind): track.media.scratch_path.read_text() for track in record.subtitles if track.media.scratch_path}
    assert set(found) == {("en", "manual"), ("fr", "manual"), ("de", "manual"), ("en-orig", "automatic")}
    assert "words in fr" in found["fr", "manual"]
    assert '"view_count": 5' in record.info_json and "formats" not in record.info_json and record.formats == ("360p",)
    assert to_table([record], VideoRecord).num_rows == 1
    names = sorted(path.name for path in (tmp_path / "scratch").iterdir())
    assert names == [
        "fakesite-abc-_1.000.vtt",
        "fakesite-abc-_1.001.vtt",
        "fakesite-abc-_1.002.vtt",
        "fakesite-abc-_1.003.vtt",
        "fakesite-abc-_1.mp4",
    ]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ("private", errors.Private),
        ("removed", errors.Gone),
        ("age", errors.AgeRestricted),
        ("copyright", errors.CopyrightRemoved),
        ("geo", errors.GeoBlocked),
        ("country", errors.GeoBlocked),
        ("members", errors.LoginRequired),
        ("login", errors.LoginRequired),
        ("drm", errors.Unsupported),
        ("strange", errors.Unsupported),
        ("bot", errors.RateLimited),
    ],
)
def test_refusals_each_have_their_class(tmp_path: Path, site: Site, refusal: str, kind: type[errors.InternvidError]):
    site.add_video("v", b"", refusal=refusal)
    stage = stage_in(tmp_path)
    with pytest.raises(errors.InternvidError) as caught:
        run(stage, f"{site.base}/watch/v")
    assert type(caught.value) is kind and "\n" not in str(caught.value) and "caused by" not in str(caught.value)
    if refusal == "removed":
        assert "has been removed by the uploader" in str(caught.value)
    if refusal == "bot":  # and the host is left alone
        with pytest.raises(errors.RateLimited, match="left alone"):
            run(stage, f"{site.base}/watch/other")


RULES = [
    ({"duration": 9}, {}, DropReason.TOO_SHORT),
    ({"duration": 1801}, {}, DropReason.TOO_LONG),
    ({"sizes": [[256, 144], [426, 240]]}, {}, DropReason.RESOLUTION),
    ({"language": "fr"}, {"languages": ["en"]}, DropReason.LANGUAGE),
    ({"location": "France"}, {"countries": ["Japan"]}, DropReason.COUNTRY),
    ({"license": "Standard"}, {"licences": ["creative-commons"]}, DropReason.LICENCE),
    ({}, {"licences": ["creative-commons"]}, DropReason.LICENCE),
    ({"upload_date": "20240101"}, {"uploaded_until": "2023-03-31"}, DropReason.UPLOAD_DATE),
    ({"age_limit": 18}, {}, DropReason.AGE_LIMIT),
    ({"live_status": "is_live"}, {}, DropReason.LIVE),
    ({}, {"require": ["duration"]}, DropReason.MISSING_VALUE),
]


@pytest.mark.parametrize(("info", "rules", "reason"), RULES)
def test_rules_before_a_byte_is_downloaded(tmp_path: Path, site: Site, video: bytes, info: dict, rules: dict, reason: DropReason):
    site.add_video("v", video, **info)
    outcome = run(stage_in(tmp_path, rules=rules), f"{site.base}/watch/v")
    assert isinstance(outcome, Drop) and outcome.reason == reason
    assert site.hits["/files/v.mp4"] == 0


def test_the_best_version_within_the_bounds(tmp_path: Path, site: Site, video: bytes):
    site.files["a.mp4"] = video
    for sizes, best in [
        ([[640, 360], [1280, 720], [1920, 1080]], "720p"),
        ([[640, 360], [854, 480]], "480p"),
        ([[256, 144], [1920, 1080], [3840, 2160]], "1080p"),
        ([[720, 1280], [1080, 1920]], "1280p"),
    ]:
        site.add_video(best, video, sizes=sizes)
        assert row(run(stage_in(tmp_path), f"{site.base}/watch/{best}")).formats == (best,)


def test_picture_and_sound_apart_are_joined(tmp_path: Path, site: Site):
    from tests.media.made import frames_of, numbers_in, samples_of

    pictures = shots_of([130, 170], 640, 360)
    site.files["v.mp4"] = write_video(tmp_path / "v.mp4", pictures, Made(gop=25)).read_bytes()
    site.files["a.m4a"] = write_video(tmp_path / "s.mp4", shots_of([2]), Made(tracks=[Track(beeps([3.0], 12.0))])).read_bytes()
    formats = [
        {"format_id": "v", "url": "/files/v.mp4", "ext": "mp4", "width": 640, "height": 360, "vcodec": "avc1", "acodec": "none"},
        {"format_id": "a", "url": "/files/a.m4a", "ext": "m4a", "vcodec": "none", "acodec": "mp4a", "abr": 64},
    ]
    site.add_video("both", b"", formats=formats)
    record = row(run(stage_in(tmp_path), f"{site.base}/watch/both"))
    path = record.media.scratch_path
    assert path is not None and record.formats == ("v", "a") and record.audio_codec == "aac" and record.num_frames == 300
    assert numbers_in(path) == [number % 1024 for number in range(300)] and len(frames_of(path)) == 300
    sound, rate = samples_of(path)
    assert abs(int(abs(sound[0]).argmax()) / rate - 3.0) < 0.05


def test_hls_comes_through_the_guard(tmp_path: Path, site: Site):
    site.files["a.ts"] = write_video(tmp_path / "a.ts", shots_of([150, 150], 640, 360), Made(gop=25)).read_bytes()
    site.add_video(
        "hls",
        b"",
        formats=[{"format_id": "h", "url": "/playlist_m3u8/a.ts", "ext": "mp4", "protocol": "m3u8_native", "width": 640, "height": 360}],
    )
    record = row(run(stage_in(tmp_path), f"{site.base}/watch/hls"))
    assert file_of(record) == site.files["a.ts"] and record.video_codec == "h264"


def test_a_subtitle_that_is_gone_does_not_cost_the_video(tmp_path: Path, site: Site, video: bytes):
    site.add_video("v", video, subtitles={"en": "/subs/en", "fr": "/404/fr"})
    outcome = run(stage_in(tmp_path), f"{site.base}/watch/v")
    assert [track.language for track in row(outcome).subtitles] == ["en"]
    assert isinstance(outcome, Emit) and [(part.item_id, part.reason) for part in outcome.dropped_parts] == [("fakesite-v/fr", "subtitles")]


def test_a_subtitle_that_must_wait_keeps_the_media(tmp_path: Path, site: Site, video: bytes):
    """429 for the subtitle defers the video; when it is tried again no byte of it is fetched twice."""
    site.retry_after = "0"
    site.add_video("v", video, subtitles={"en": "/busy/en"})
    first = stage_in(tmp_path)
    with pytest.raises(errors.RateLimited):
        run(first, f"{site.base}/watch/v")
    first.teardown()
    asked = site.sent["/files/v.mp4"]
    time.sleep(0.05)
    with pytest.raises(errors.RateLimited):
        run(stage_in(tmp_path), f"{site.base}/watch/v")
    assert asked == site.sent["/files/v.mp4"] == len(video) and site.hits["/busy/en"] == 2


def test_an_interrupted_download_goes_on(tmp_path: Path, site: Site, video: bytes):
    """The first worker has the line cut on it for good; the second, in another process as it were, fetches the rest only."""
    video = site.files["a.mp4"] = video + (2_000_000).to_bytes(4, "big") + b"free" + bytes(1_999_992)
    first = stage_in(tmp_path, {"attempts": 1, "max_mb": len(video) / 2e6})
    with pytest.raises(errors.DownloadLimit):
        run(first, site.url("files"))
    first.teardown()
    got = site.sent["/files/a.mp4"]
    record = row(run(stage_in(tmp_path), site.url("files")))
    assert file_of(record) == video
    assert site.ranges[-1][1] is not None and site.sent["/files/a.mp4"] - got < len(video) * 0.6


def test_objects_of_a_store_and_local_files_pass_through(tmp_path: Path, video: bytes):
    import fsspec

    with fsspec.open("memory://bucket/v.mp4", "wb") as file:
        file.write(video)
    stage = stage_in(tmp_path)
    assert file_of(row(run(stage, "memory://bucket/v.mp4"))) == video
    with pytest.raises(errors.Gone):
        run(stage, "memory://bucket/none.mp4")
    local = tmp_path / "a.mp4"
    local.write_bytes(video)
    assert row(run(stage, str(local))).media.uri == str(local)
    assert run(stage, str(local), duplicate_of="/b.mp4") == Drop(DropReason.DUPLICATE, "same bytes as /b.mp4")


def test_a_list_is_not_a_video(tmp_path: Path, site: Site):
    site.lists["few"] = ["a", "b"]
    with pytest.raises(errors.Unsupported, match=r"source\.channels"):
        run(stage_in(tmp_path), f"{site.base}/list/few")


def test_options_that_would_go_round_the_guard_are_refused():
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="guarded connection"):
        DownloadVideosConfig.model_validate({"extractor": {"options": {"external_downloader": "aria2c"}}})


def test_only_the_stretches_asked_for(tmp_path: Path, site: Site):
    """Of 23 s two spans of a second: their frames stand at their own times, and most of the file was never sent."""
    from internvid_pipeline.records import ClipRequest
    from tests.media.made import frames_of, noisy, number_of

    pictures = [noisy(picture, number) for number, picture in enumerate(shots_of([230], 640, 360))]
    made = Made(
        fps=10, gop=10, options={"preset": "ultrafast"}, tracks=[Track(beeps([21.0], 23.0))], container_options={"movflags": "faststart"}
    )
    whole = write_video(tmp_path / "w.mp4", pictures, made).read_bytes()
    site.add_video("long", whole, duration=23)
    requests = tuple(
        ClipRequest(start_s=start, end_s=start + 1, caption=None, caption_scale="fused", scores=(), list_name="l") for start in (20.0, 3.3)
    )
    record = row(run(stage_in(tmp_path, spans_only=True), f"{site.base}/watch/long", clip_requests=requests))
    assert record.spans_only and record.start_s == 0.0 and record.clip_requests == requests and record.media.scratch_path is not None
    shown = {round(float(frame.time), 3): number_of(frame.to_ndarray(format="rgb24")) for frame in frames_of(record.media.scratch_path)}
    for start in (33, 200):
        for number in range(start, start + 11):
            assert shown[number / 10] == number
    assert 10.0 not in shown and site.sent["/files/long.mp4"] < 0.75 * len(whole)


def test_a_body_that_is_too_slow_is_cut_off_and_tried_again_later(tmp_path: Path, site: Site):
    """Twenty bytes a second where a thousand are asked for; the same server at full speed is not cut off."""
    network = NetworkSettings.model_validate({**LOOPBACK, "slowest_kb_per_s": 1.0})
    pace = HostPace(tmp_path / "pace", None, None, network.backoff_s, network.longest_backoff_s, network.longest_wait_s)
    guard = Guard(network, AddressPolicy(network.allow_networks), pace, slow_window_s=0.2)
    client = open_client(guard, ExtractorSettings(), {})
    guard.new_item()
    with pytest.raises(errors.ConnectionFault, match="bytes a second, less than slowest_kb_per_s") as caught:
        fetch_file(client, guard, Target(site.url("drip")), tmp_path / "slow.mp4")
    assert isinstance(caught.value, errors.Deferred) and not (tmp_path / "slow.mp4").exists()
    assert site.hits["/drip/a.mp4"] == 1 and site.sent["/drip/a.mp4"] < 1000
    guard.new_item()
    site.pause_s = 0.1  # three windows for the whole file, each with 64 kB
    assert fetch_file(client, guard, Target(site.url("files")), tmp_path / "fast.mp4") == len(site.files["a.mp4"])
