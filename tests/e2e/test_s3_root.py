"""The same run with its root on S3 (moto's server on loopback): the same objects as in a folder, and resume."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.engine import build_plan, open_root, partition_numbers, run_dataset
from internvid_pipeline.engine.retry import mark_for_retry
from internvid_pipeline.engine.validate import validate_dataset
from tests.conftest import contents, toy_config
from tests.deferring_stages import asking_config
from tests.s3 import S3, objects


@pytest.fixture(scope="module")
def bucket(s3: S3) -> Iterator[Any]:
    """The store's file system, with a bucket `sets`; this process's S3 traffic goes there."""
    s3.bucket("sets")
    with s3.led_to():
        yield s3.filesystem


@pytest.mark.parametrize("engine", ["inline", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.soak])])
def test_s3_holds_what_a_folder_holds(engine: str, bucket, numbers_folder: Path, tmp_path: Path):
    arguments = {"numbers": {"with_media": True}, "squares": {"raises": [3]}, "stages": {"tests.toy_stages:Totals": {}}}
    local = toy_config(tmp_path / "root", numbers_folder, **arguments)
    run_dataset(local, engine="inline")
    remote = toy_config(f"s3://sets/{engine}", numbers_folder, **arguments)
    run_dataset(remote, engine=engine, until="toy_numbers")
    first = {
        path: bucket.info(path)["LastModified"] for path in bucket.find(f"sets/{engine}/toy_numbers") if path.endswith("manifest.json")
    }
    report = run_dataset(remote, engine=engine)
    assert not report.errors
    assert objects(bucket, f"sets/{engine}") == contents(tmp_path / "root")
    assert first == {path: bucket.info(path)["LastModified"] for path in first}, "finished partitions are not computed again"


def test_parts_on_s3(bucket, tmp_path: Path):
    """Deferred inputs, retry, and what becomes of the parts: as in a folder."""
    fields = {"defers": {1: 1, 3: 2, 12: 1}, "drops": (2,), "gone": (0, 8), "placement": {"deferral_s": 3600}}
    for root in (tmp_path / "root", "s3://sets/parts"):
        config = asking_config(tmp_path, root, state=f"state-{len(str(root))}", **fields)
        assert run_dataset(config, engine="inline").deferred == 3
        opened, partitions = open_root(config), partition_numbers(open_root(config))
        for left in (1, 0):
            assert mark_for_retry(opened, config, build_plan(config, 4), partitions, ("RateLimited", "ServerFault")).released
            assert run_dataset(config, engine="inline").deferred == left
        assert validate_dataset(opened, build_plan(config, 4), partitions, read_media=True).problems == []
        assert mark_for_retry(opened, config, build_plan(config, 4), partitions, ("Gone",)).again == 2
        assert run_dataset(config, engine="inline").statuses[0].inputs == 22
    assert objects(bucket, "sets/parts") == contents(tmp_path / "root")
