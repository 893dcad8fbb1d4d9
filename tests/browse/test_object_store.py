"""The same browser over a data set in an object store (moto's server on loopback): tables, frames, and clips by byte ranges."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvid_pipeline.records import ClipRecord
from internvid_pipeline.storage import Root
from tests.browse.conftest import Client, serve
from tests.browse.test_browse import rows

pytest.importorskip("moto", reason="moto serves S3 here")
from tests.e2e.test_s3_root import bucket  # noqa: F401 - the same server


@pytest.fixture(scope="module")
def remote(bucket, strange_root: Path) -> Iterator[Client]:  # noqa: F811
    for path in sorted(strange_root.rglob("*")):
        name = path.relative_to(strange_root).as_posix()
        if path.is_file() and not name.startswith((".tmp/", "marks/", "shards/")):
            bucket.pipe_file(f"sets/strange/{name}", path.read_bytes())
    yield from serve("s3://sets/strange")


def test_it_answers_as_from_a_folder(client: Client, remote: Client):
    for question, body in (("clips", {"show": "all"}), ("counts", {"bounds": {"motion": [1, None]}}), ("histograms", {}), ("losses", {})):
        assert remote.post(question, body) == client.post(question, body)
    assert remote.get("clip?n=3") == client.get("clip?n=3")


def test_a_clip_and_a_frame(client: Client, remote: Client):
    clip = rows(client.root, ClipRecord)[1]
    status, headers, part = remote.ask("media/clip?n=1", range="bytes=100-299")
    _, _, whole = remote.ask("media/clip?n=1")
    assert hashlib.sha256(whole).hexdigest() == clip.media.sha256
    assert (status, headers["content-range"], part) == (206, f"bytes 100-299/{len(whole)}", whole[100:300])
    assert remote.ask("frame/clip?n=1&i=0")[2] == client.ask("frame/clip?n=1&i=0")[2]


def test_marks_lie_beside_the_data(remote: Client):
    remote.post("mark", {"number": 1, "verdict": "reject"})
    assert [name for name in Root("s3://sets/strange").list_names(f"marks/{remote.annotator}") if name.endswith(".parquet")]
    assert remote.clips()[1]["mark"] == "reject"
