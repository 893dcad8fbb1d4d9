"""Manifests: what is written is read, and what is not ours to read is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import Manifest, Root, StoredFile, layout, manifest_from_json, read_manifest

MANIFEST = Manifest(
    stage="cut_clips",
    fingerprint="0123456789ab",
    partition=7,
    inputs=5,
    emitted=2,
    dropped=1,
    failed=2,
    rows=9,
    dropped_parts=3,
    drops_by_reason={"too_short": 1},
    failures_by_class={"UnreadableMedia": 2},
    files=(StoredFile("rows", "cut_clips/0123456789ab/00007.parquet", 10, "ab" * 32), StoredFile("media", "m.tar", 20, "cd" * 32)),
    started_at="2026-01-01T00:00:00+00:00",
    finished_at="2026-01-01T00:00:01+00:00",
    wall_s=1.5,
    host="視頻-host",
    versions={"internvid": "0.1"},
)


def test_it_reads_back(tmp_path: Path):
    root = Root(str(tmp_path))
    root.put_bytes_if_absent(layout.manifest("cut_clips/0123456789ab", 7), MANIFEST.to_json())
    assert read_manifest(root, "cut_clips/0123456789ab", 7) == MANIFEST
    with pytest.raises(FileNotFoundError):
        read_manifest(root, "cut_clips/0123456789ab", 8)


def test_the_path_of_a_kind():
    assert MANIFEST.path_of("media") == "m.tar"
    assert MANIFEST.path_of("drops") is None


def test_a_newer_version_is_refused_with_what_to_do():
    newer = json.loads(MANIFEST.to_json()) | {"schema_version": 2, "a_field_of_tomorrow": 1}
    with pytest.raises(StorageError, match=r"a/b\.json has manifest version 2; this internvid reads up to 1: upgrade it"):
        manifest_from_json(json.dumps(newer).encode(), "a/b.json")


BROKEN = {
    "cut short": MANIFEST.to_json()[:200],
    "empty": b"",
    "not JSON": b"\x00\xff\xfe",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "another object": b"{}",
    "a field too many": json.dumps(json.loads(MANIFEST.to_json()) | {"colour": "red"}).encode(),
    "a field too few": json.dumps({k: v for k, v in json.loads(MANIFEST.to_json()).items() if k != "rows"}).encode(),
    "version as text": json.dumps(json.loads(MANIFEST.to_json()) | {"schema_version": "1"}).encode(),
    "files as text": json.dumps(json.loads(MANIFEST.to_json()) | {"files": "abc"}).encode(),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_manifest_is_refused_in_one_line(data: bytes):
    with pytest.raises(StorageError, match=r"x/00001\.manifest\.json is not a manifest") as caught:
        manifest_from_json(data, "x/00001.manifest.json")
    assert "\n" not in str(caught.value)


@given(st.integers(0, 10**8))
def test_names_and_numbers_of_partitions_agree(number: int):
    name = layout.manifest("s/f", number).removeprefix("s/f/")
    assert layout.partitions_in([name, layout.rows_table("f", number), layout.withdrawal("f", number)]) == {number}


def test_every_field_is_written():
    assert list(json.loads(MANIFEST.to_json())) == [field.name for field in dataclasses.fields(Manifest)]
