"""Statuses: the same sums however they are come by, and figures that can be reckoned by hand."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.engine import StagePlan, StatusReader, build_plan, run_dataset, status
from internvid_pipeline.engine.measures import video_seconds
from internvid_pipeline.engine.pace import paces
from internvid_pipeline.engine.publish import _withdraw
from internvid_pipeline.engine.report import StageStatus
from internvid_pipeline.engine.status import read_summary
from internvid_pipeline.engine.sums import from_ranges, to_ranges
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.errors import StorageError
from internvid_pipeline.stage import Item
from internvid_pipeline.storage import Root, inventory, layout
from internvid_pipeline.storage.inventory import list_done, list_files, read_many, store_now, unfinished_uploads
from tests.conftest import toy_config
from tests.made_records import made_clip
from tests.s3 import S3


@pytest.fixture
def done(tmp_path: Path, numbers_folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Root, list[StagePlan]]:
    """Twenty numbers in four partitions of two stages, one of which fails; with summaries."""
    monkeypatch.setattr(status, "SUMMARY_STEP", 1)
    config = toy_config(tmp_path / "set", numbers_folder, {"raises": (3,)}, placement={"isolate": False})
    run_dataset(config, engine="inline")
    return Root(config.root), build_plan(config, 4)


def read(root: Root, plans: list[StagePlan], **more) -> list[dict]:
    """Statuses as plain data, without the seconds: their sums differ in the last digit when they are taken in another order."""
    found = [status.to_dict() for status in StatusReader(root, plans, range(4), **more).read()]
    return [{key: value for key, value in status.items() if not isinstance(value, float)} for status in found]


def spoil(root: Root, plan: StagePlan, partition: int) -> Path:
    assert root.folder is not None
    path = root.folder / layout.manifest(plan.folder, partition)
    path.write_text("no manifest any more")
    return path


def test_with_and_without_summaries_and_by_processes_the_sums_are_the_same(done, monkeypatch: pytest.MonkeyPatch):
    root, plans = done
    assert all(read_summary(root, plan)[1] == {0, 1, 2, 3} for plan in plans)
    by_summary = read(root, plans)
    for plan in plans:
        root.delete(layout.summary_file(plan.folder))
    one_by_one = read(root, plans)
    monkeypatch.setattr(status, "_WORTH_PROCESSES", 1)
    assert by_summary == one_by_one == read(root, plans, processes=2)
    numbers, squares = by_summary
    assert (squares["inputs"], squares["emitted"], squares["failed"], squares["failures_by_class"]) == (20, 19, 1, {"ValueError": 1})
    assert (numbers["partitions_done"], numbers["files"]) == (4, 4)
    for found in StatusReader(root, plans, range(4)).read():
        assert found.wall_s > 0 and found.cpu_s == pytest.approx(found.wall_s / 2), "a toy worker holds half a CPU"
    assert not any(root.exists(layout.summary_file(plan.folder)) for plan in plans), "only a run writes"


def test_what_is_summed_up_is_not_read_again(done):
    root, plans = done
    before = read(root, plans)
    spoil(root, plans[1], 2)
    assert read(root, plans) == before
    root.delete(layout.summary_file(plans[1].folder))
    with pytest.raises(StorageError, match=r"00002\.manifest\.json in .* is not a manifest"):
        read(root, plans)


def test_a_summary_of_what_is_not_there_is_not_believed(done):
    root, plans = done
    (root.folder / layout.manifest(plans[0].folder, 1)).unlink()
    numbers, squares = read(root, plans)
    assert (numbers["partitions_done"], numbers["inputs"], numbers["ready"], squares["ready"]) == (3, 15, 1, 0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"summary_version": 2}', '{"summary_version": 1, "partitions": [[0, 3]], "sums": {}}'])
def test_a_damaged_summary_only_costs_time(done, text: str):
    root, plans = done
    before = read(root, plans)
    root.replace_bytes(layout.summary_file(plans[0].folder), text.encode())
    assert read_summary(root, plans[0]) is None
    assert read(root, plans) == before


def test_validate_finds_a_summary_that_lies(done):
    root, plans = done
    assert validate_dataset(root, plans, range(4), read_media=False).problems == []
    path = layout.summary_file(plans[1].folder)
    data = json.loads(root.read_bytes(path))
    data["sums"]["rows"] += 1
    root.replace_bytes(path, json.dumps(data).encode())
    (problem,) = validate_dataset(root, plans, range(4), read_media=False).problems
    assert problem.where == path and "rows 20, the manifests 19" in problem.what


def test_withdrawing_a_manifest_deletes_the_summary(done):
    root, plans = done
    _withdraw(root, plans[1].folder, 2, "shards")
    assert read_summary(root, plans[1]) is None
    assert read(root, plans)[1]["partitions_done"] == 3


def test_a_newer_manifest_is_refused_with_its_version(done):
    root, plans = done
    path = root.folder / layout.manifest(plans[0].folder, 0)
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 9}))
    root.delete(layout.summary_file(plans[0].folder))
    with pytest.raises(StorageError, match="manifest version 9; this internvid reads up to 1"):
        read(root, plans)


NUMBERS = st.sets(st.integers(0, 300_000), max_size=60)
COUNTS = st.integers(0, 1000)


@given(numbers=NUMBERS)
def test_ranges_are_the_numbers(numbers: set[int]):
    ranges = to_ranges(numbers)
    assert from_ranges(ranges) == numbers
    assert all(first <= last for first, last in ranges) and ranges == sorted(ranges)


@st.composite
def manifests(draw) -> dict:
    emitted, drops, failures = draw(COUNTS), draw(st.dictionaries(st.sampled_from("abc"), COUNTS)), draw(COUNTS)
    minute = draw(st.integers(0, 59))
    return {
        "inputs": emitted + sum(drops.values()) + failures,
        "emitted": emitted,
        "dropped": sum(drops.values()),
        "failed": failures,
        "rows": emitted,
        "dropped_parts": 0,
        "drops_by_reason": drops,
        "failures_by_class": {"E": failures},
        "files": [{"size_bytes": draw(COUNTS)}],
        "started_at": f"2026-11-01T10:{minute:02d}:00+00:00",
        "finished_at": f"2026-11-01T11:{minute:02d}:00+00:00",
        "wall_s": draw(st.integers(0, 100)),
        "video_s": draw(st.integers(0, 100)),
        "resources": {"cpus": 2, "gpus": 0.5},
    }


@settings(max_examples=60, deadline=None)
@given(found=st.lists(manifests(), max_size=12), cut=st.integers(0, 12))
def test_sums_do_not_depend_on_how_they_are_put_together(found: list[dict], cut: int):
    whole, left, right = (StageStatus("s", "f", 12) for _ in range(3))
    for number, manifest in enumerate(found):
        whole.add(manifest)
        (left if number < cut else right).add(manifest)
    left.merge(right)
    assert left == whole
    assert whole.inputs == whole.emitted + whole.dropped + whole.failed
    assert sum(whole.drops_by_reason.values()) == whole.dropped


def unit(finished: str, video_s: float = 3600.0, started: str = "2026-11-01T08:00:00+00:00") -> dict:
    losses = {"dropped": 0, "failed": 0, "dropped_parts": 0, "drops_by_reason": {}, "failures_by_class": {}}
    times = {"started_at": started, "finished_at": f"2026-11-01T{finished}+00:00", "wall_s": 60.0, "video_s": video_s}
    return {"inputs": 10, "emitted": 10, "rows": 10, "files": [], **losses, **times}


def test_rates_are_over_the_last_hour_of_work_and_tell_what_is_left():
    found = StageStatus("s", "f", 40)
    for hour in (8, 9):
        for minute in range(0, 60, 6):  # ten an hour
            found.add(unit(f"{hour:02d}:{minute:02d}:00", video_s=1800.0 * (hour - 7)))
    still = StageStatus("t", "f", 40)
    still.add(unit("08:01:00"))
    (pace, other) = paces([found, still], window_s=3600)
    assert pace.partitions_per_hour == pytest.approx(10, rel=0.15)
    assert pace.items_per_hour == pytest.approx(100, rel=0.15)
    assert pace.video_hours_per_hour == pytest.approx(10, rel=0.15)
    assert pace.left_s == pytest.approx(20 / pace.partitions_per_hour * 3600)
    assert other.left_s is None, "left behind by more than a window: it stands still"
    empty = StageStatus("u", "f", 5)
    assert paces([empty])[0].left_s is None
    complete = StageStatus("v", "f", 1)
    complete.add(unit("08:01:00"))
    assert paces([complete])[0].left_s == 0


def test_seconds_of_video_count_each_clip_once():
    clips = [made_clip("v_0_2000", "v"), made_clip("v_0_2000", "v")]
    items = [Item(record=clip) for clip in clips]
    assert video_seconds(items, []) == clips[0].duration_s
    assert video_seconds([Item(record=object())], clips) == clips[0].duration_s
    assert video_seconds([Item(record=object())], [object()]) == 0


@pytest.fixture
def bucket(s3: S3) -> Iterator[Root]:
    uri = s3.bucket("status-tests")
    with s3.led_to():
        yield Root(f"{uri}/{uuid.uuid4().hex}")


def test_on_s3_full_groups_that_are_known_are_not_listed_again(bucket: Root):
    import boto3

    client = boto3.client("s3")
    prefix = bucket.uri.rsplit("/", 1)[-1]
    for partition in (999, 1000, 1001, 2000, 99_999, 100_000, 100_001):  # the first thousand is only known, not there
        for ending in ("manifest.json", "parquet"):
            client.put_object(Bucket="status-tests", Key=f"{prefix}/s/f/{partition:05d}.{ending}", Body=str(partition).encode())
    there = {999, 1000, 1001, 2000, 99_999, 100_000, 100_001}
    assert list_done(bucket, "s/f") == there
    known = set(range(1000))
    assert list_done(bucket, "s/f", known | {100_000}) == there | known
    paths = [layout.manifest("s/f", number) for number in (1000, 1, 100_001)]
    assert list(read_many(bucket, paths)) == [(paths[0], b"1000"), (paths[1], None), (paths[2], b"100001")]
    assert list(read_many(bucket, paths[:1])) == [(paths[0], b"1000")]
    files = list(list_files(bucket, "s/f"))
    now = store_now(bucket)
    assert len(files) == 14 and now is not None and all(abs(now - file.modified_s) < 120 for file in files)
    upload = client.create_multipart_upload(Bucket="status-tests", Key=f"{prefix}/s/f/00007.tar")
    client.create_multipart_upload(Bucket="status-tests", Key="somebody-elses/00007.tar")
    assert unfinished_uploads(bucket, now + 3600) == [("s/f/00007.tar", upload["UploadId"])]
    assert unfinished_uploads(bucket, 0) == []  # moto says of all uploads that they began in 2010


@pytest.mark.parametrize("slow_s", [-1.0, 1e9], ids=["slow", "fast"])
def test_very_many_local_files_in_their_order_however_fast_they_come(slow_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Slow ones are read by many threads: more files than all of them take in at once, one of which is not there, and one a folder."""
    monkeypatch.setattr(inventory, "_SLOW_S", slow_s)
    monkeypatch.setattr(inventory, "_PROBED", 3)
    monkeypatch.setattr(inventory, "_CHUNK", 2)
    (tmp_path / "f").mkdir()
    for number in range(300):
        (tmp_path / "f" / f"{number}").write_bytes(b"%d" % number)
    (tmp_path / "f" / "200").unlink()
    root = Root(str(tmp_path))
    found = list(read_many(root, [f"f/{number}" for number in range(300)]))
    assert found == [(f"f/{number}", None if number == 200 else b"%d" % number) for number in range(300)]
    (tmp_path / "f" / "200").mkdir()
    with pytest.raises(StorageError, match=r"cannot read f/200 in .*: Is a directory"):
        list(read_many(root, [f"f/{number}" for number in range(300)]))


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_bulk_reading_of_other_stores(kind: str, tmp_path: Path):
    root = Root(str(tmp_path / "set") if kind == "local" else f"memory://{uuid.uuid4().hex}")
    large = b"x" * (3 * 2**16)
    for name, data in (("a", b""), ("b", b"12"), ("c", large), ("d", b"y" * 2**16)):
        root.put_bytes_if_absent(f"f/{name}", data)
    assert list(read_many(root, ["f/d", "f/none", "f/c", "f/a", "f/b"])) == [
        ("f/d", b"y" * 2**16),
        ("f/none", None),
        ("f/c", large),
        ("f/a", b""),
        ("f/b", b"12"),
    ]
    assert {(file.path, file.size_bytes) for file in list_files(root, "f")} == {("f/a", 0), ("f/b", 2), ("f/c", len(large)), ("f/d", 2**16)}
    assert list(list_files(root, "nowhere")) == []
    now = store_now(root)
    assert now is None or all(abs(now - file.modified_s) < 120 for file in list_files(root, "f"))
