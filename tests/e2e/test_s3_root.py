"""The same run with its root on S3 (moto's server on loopback): the same objects as in a folder, and resume."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from internvid_pipeline.engine import run_dataset
from tests.conftest import contents, toy_config

pytest.importorskip("moto", reason="moto serves S3 here")


@pytest.fixture(scope="module")
def bucket():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    new = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in new}
    os.environ.update(new)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem(use_listings_cache=False)
    filesystem.mkdir("sets")
    yield filesystem
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value


def objects(filesystem, prefix: str) -> dict[str, str]:
    """As `contents`, of a prefix in the bucket."""
    found = {}
    for path in filesystem.find(prefix):
        name = path.removeprefix(f"{prefix}/")
        if name.startswith((".tmp/", "generations/")) or name == "dataset.yaml":
            continue
        data = filesystem.cat_file(path)
        if name.endswith(".manifest.json"):
            manifest = {key: value for key, value in json.loads(data).items() if key not in ("started_at", "finished_at", "wall_s", "host")}
            data = json.dumps(manifest, sort_keys=True).encode()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


@pytest.mark.parametrize("engine", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
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
