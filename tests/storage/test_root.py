"""Roots and references on this machine."""

from pathlib import Path

import pytest

from internvid_pipeline.errors import StorageError, UnreadableMedia, UsageError
from internvid_pipeline.records import MediaRef, SourceRecord
from internvid_pipeline.storage import Root, check_root_uri, local_path, read_arrow, read_table, write_table


@pytest.mark.parametrize("uri", ["", "  ", "nosuch://bucket/x", "://x", "~nobody-of-this-name/x", "x" * 5000])
def test_a_uri_that_can_be_no_root(uri: str):
    with pytest.raises(UsageError) as caught:
        check_root_uri(uri)
    assert str(caught.value).startswith("root ")


def test_a_file_is_no_root(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        check_root_uri(str(tmp_path / "file"))


@pytest.mark.parametrize("uri", ["s3://bucket/prefix", "memory://x", "new folder", "/tmp", "file:///tmp/x", "gs://bucket"])
def test_a_uri_that_can_be_a_root(uri: str):
    assert check_root_uri(uri) == uri


def test_building_a_root_touches_nothing(tmp_path: Path):
    root = Root(str(tmp_path / "new"))
    assert root.list_names("") == []
    assert not (tmp_path / "new").exists()


def test_a_file_uri_is_a_local_root(tmp_path: Path):
    Root(f"file://{tmp_path}/set/").put_bytes_if_absent("x", b"1")
    assert Root(str(tmp_path / "set")).read_bytes("x") == b"1"


def test_local_paths_of_uris():
    assert local_path("/videos/a b.mp4") == Path("/videos/a b.mp4")
    assert local_path("/videos/a%20b.mp4") == Path("/videos/a%20b.mp4")
    assert local_path("file:///videos/a%20b.mp4") == Path("/videos/a b.mp4")
    assert local_path("file:///videos/%FF.mp4") == Path("/videos/\udcff.mp4")
    assert local_path("s3://bucket/a.mp4") is None
    assert local_path("cut_clips/f/00000.tar") is None


def test_media_outside_the_root(tmp_path: Path):
    (tmp_path / "a b.mp4").write_bytes(b"0123456789")
    root = Root(str(tmp_path / "set"))
    assert root.read_media(MediaRef(uri=str(tmp_path / "a b.mp4"), offset_bytes=2, size_bytes=3)) == b"234"
    assert root.read_media(MediaRef(uri=f"file://{tmp_path}/a%20b.mp4")) == b"0123456789"
    assert root.local_file(MediaRef(uri=str(tmp_path / "a b.mp4")), tmp_path) == tmp_path / "a b.mp4"
    assert root.local_file(MediaRef(uri=f"file://{tmp_path}/a%20b.mp4"), tmp_path) == tmp_path / "a b.mp4"


def test_media_of_another_store_is_fetched(tmp_path: Path):
    Root("memory://elsewhere").put_bytes_if_absent("v/a.mp4", b"video")
    root = Root(str(tmp_path / "set"))
    assert root.read_media(MediaRef(uri="memory://elsewhere/v/a.mp4", offset_bytes=1, size_bytes=3)) == b"ide"
    assert root.local_file(MediaRef(uri="memory://elsewhere/v/a.mp4"), tmp_path).read_bytes() == b"video"
    with pytest.raises(UnreadableMedia, match="cannot be fetched"):
        root.local_file(MediaRef(uri="memory://elsewhere/v/none.mp4"), tmp_path)


def test_a_piece_cut_short_says_what_is_there(tmp_path: Path):
    root = Root(str(tmp_path))
    root.put_bytes_if_absent("a.tar", b"0123456789")
    with pytest.raises(StorageError, match=r"a\.tar in .* is cut short: 5 bytes wanted at 8, 2 there"):
        root.read_media(MediaRef(uri="a.tar", offset_bytes=8, size_bytes=5))


def test_a_root_that_cannot_be_written_over_http(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INTERNVID_STORAGE_RETRY_S", "1")
    with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9/set"):
        Root("http://127.0.0.1:9/set").check_writable()


@pytest.mark.parametrize("data", [b"", b"PAR1", b"not parquet at all", None], ids=["empty", "magic", "text", "truncated"])
def test_a_table_that_is_not_whole(tmp_path: Path, data: bytes | None):
    root = Root(str(tmp_path / "set"))
    write_table([SourceRecord(source_id=str(n), uri=f"/{n}") for n in range(1000)], SourceRecord, tmp_path / "t")
    root.put_bytes_if_absent("t.parquet", (tmp_path / "t").read_bytes()[:-100] if data is None else data)
    with pytest.raises(StorageError, match=r"t\.parquet in .* is not a whole Parquet table") as caught:
        read_table(root, "t.parquet", SourceRecord)
    assert "\n" not in " ".join(str(caught.value).split())


def test_a_table_of_other_columns(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"colour": ["red"]}), tmp_path / "t.parquet")
    root = Root(str(tmp_path))
    with pytest.raises(StorageError, match="does not hold SourceRecord rows"):
        read_table(root, "t.parquet", SourceRecord)
    assert read_arrow(root, "t.parquet").column_names == ["colour"]


def test_the_bytes_of_a_table_depend_on_its_rows_only(tmp_path: Path):
    rows = [SourceRecord(source_id=str(n), uri=f"/{n}") for n in range(10)]
    write_table(rows, SourceRecord, tmp_path / "one")
    write_table(rows, SourceRecord, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
