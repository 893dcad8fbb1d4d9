"""The contract of `storage.stores`, over every kind of store: a name appears whole or not at all, and only once.

`s3` is moto's server on loopback, spoken to by the same s3fs that speaks to a real bucket."""

import os
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import MediaRef, SourceRecord
from internvid_pipeline.storage import MediaTarWriter, Root, done_partitions, layout, read_table, store_file, write_table
from tests.cluster.faulty_s3 import FaultyStore, faulty
from tests.s3 import S3

KINDS = ("local", "memory", "s3", "faulty s3", "s3 without conditions")
NAMES = ("plain.txt", "two words.txt", "ünï 視頻 🎬.txt", "a#b.txt", "a%20b.txt", "a+b&c.txt", "[1].txt", "it's.txt", "x" * 200)
ESCAPES = ("../out", "a/../../out", "/etc/passwd", "a\\b", "..\\out", "a\0b", "..")


@pytest.fixture(scope="module")
def s3_bucket(s3: S3) -> Iterator[str]:
    """URI of a bucket of this module's own."""
    uri = s3.bucket("internvid-tests")
    with s3.led_to():
        yield uri


@pytest.fixture(params=KINDS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    if request.param == "local":
        return Root(str(tmp_path / "data set"))
    if request.param == "memory":
        return Root(f"memory://{uuid.uuid4().hex}/set")
    bucket = request.getfixturevalue("s3_bucket")
    if request.param != "s3":
        request.getfixturevalue("through")(request.param)
    return Root(f"{bucket}/{uuid.uuid4().hex}/set", is_conditional=request.param != "s3 without conditions")


@pytest.fixture(scope="module")
def proxies(s3_bucket: str) -> Iterator[dict[str, FaultyStore]]:
    """moto's server behind stores that misbehave: one request in eight fails or comes late; conditions are ignored."""
    target = os.environ["AWS_ENDPOINT_URL"]
    with faulty(target, seed=20261121, share=0.125) as bad, faulty(target, seed=1, share=0.0, conditions="ignore") as loose:
        bad.set(delay_s=0.1)
        yield {"faulty s3": bad, "s3 without conditions": loose}


@pytest.fixture
def through(proxies: dict[str, FaultyStore], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], FaultyStore]]:
    """Leads this process's S3 traffic through a proxy."""
    import fsspec

    def lead(kind: str) -> FaultyStore:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxies[kind].url)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        return proxies[kind]

    yield lead
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def staged(folder: Path, data: bytes) -> Path:
    file = folder / uuid.uuid4().hex
    file.write_bytes(data)
    return file


def test_a_finished_file_is_moved_and_reads_back(root: Root, tmp_path: Path):
    file = staged(tmp_path, b"0123456789")
    assert root.put_if_absent(file, "a/b/x.bin") is True
    assert not file.exists()
    assert root.read_bytes("a/b/x.bin") == b"0123456789"
    assert root.size_bytes("a/b/x.bin") == 10
    assert root.exists("a/b/x.bin")


def test_the_second_put_changes_nothing_and_keeps_its_file(root: Root, tmp_path: Path):
    root.put_if_absent(staged(tmp_path, b"first"), "a/x.bin")
    second = staged(tmp_path, b"second, and longer")
    assert root.put_if_absent(second, "a/x.bin") is False
    assert second.read_bytes() == b"second, and longer"
    assert root.read_bytes("a/x.bin") == b"first"
    assert root.put_bytes_if_absent("a/x.bin", b"third") is False
    assert root.read_bytes("a/x.bin") == b"first"


def test_an_empty_file_is_a_file(root: Root, tmp_path: Path):
    assert root.put_if_absent(staged(tmp_path, b""), "a/empty") is True
    assert root.put_bytes_if_absent("a/empty", b"") is False
    assert root.size_bytes("a/empty") == 0
    assert root.read_bytes("a/empty") == b""


def test_one_of_many_racing_threads_wins(root: Root, tmp_path: Path):
    for lap in range(5):
        files = [staged(tmp_path, bytes([number]) * 5000) for number in range(12)]
        start = threading.Barrier(len(files))

        def put(file: Path, lap: int = lap, start: threading.Barrier = start) -> bool:
            start.wait()
            return root.put_if_absent(file, f"race/{lap}")

        with ThreadPoolExecutor(len(files)) as pool:
            won = list(pool.map(put, files))
        assert won.count(True) == 1 or (won.count(True) and without_conditions(root)), (
            f"lap {lap}: {won.count(True)} writers were told that they were first"
        )
        winner = root.read_bytes(f"race/{lap}")[0] if without_conditions(root) else won.index(True)
        assert root.read_bytes(f"race/{lap}") == bytes([winner]) * 5000
        assert [file.exists() for file in files] == [not first for first in won], "who won has moved its file, the others keep theirs"


def test_a_reader_sees_all_of_a_file_or_nothing(root: Root, tmp_path: Path):
    """Sizes and bytes seen while the file is put, and replaced, by another thread."""
    data, later = b"a" * 3_000_000, b"b" * 2_000_000
    root.check_writable()
    seen: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            if root.exists("whole.bin"):
                seen.append(root.read_bytes("whole.bin"))

    reader = threading.Thread(target=read)
    reader.start()
    root.put_if_absent(staged(tmp_path, data), "whole.bin")
    for _ in range(3):
        root.replace_bytes("whole.bin", later)
    done.set()
    reader.join()
    seen.append(root.read_bytes("whole.bin"))
    assert {bytes(part) for part in seen} <= {data, later}
    assert seen[-1] == later


def test_listing_names_files_and_folders_once_and_sorted(root: Root):
    for path in ("s/b.txt", "s/a.txt", "s/deep/1.txt", "s/deep/2.txt", "t/x.txt"):
        root.put_bytes_if_absent(path, b"1")
    assert root.list_names("s") == ["a.txt", "b.txt", "deep"]
    assert root.list_names("s/deep") == ["1.txt", "2.txt"]
    assert [name for name in root.list_names("") if name != ".tmp"] == ["s", "t"]
    assert root.list_names("nothing/here") == []


def test_what_another_root_object_wrote_is_listed_at_once(root: Root):
    assert root.list_names("s") == []
    Root(root.uri).put_bytes_if_absent("s/a.txt", b"1")
    assert root.list_names("s") == ["a.txt"]
    Root(root.uri).delete("s/a.txt")
    assert root.list_names("s") == []


def test_a_folder_is_not_a_file_and_a_file_no_folder(root: Root):
    root.put_bytes_if_absent("a/file", b"1")
    assert root.size_bytes("a") is None
    assert not root.exists("a")
    assert root.size_bytes("a/file/below") is None
    assert root.list_names("a/file") == []
    with pytest.raises(FileNotFoundError):
        root.read_bytes("a/file/below")


@pytest.mark.parametrize(("offset", "size", "wanted"), [(0, 3, b"012"), (2, 5, b"23456"), (9, 1, b"9"), (0, 10, b"0123456789")])
def test_ranges(root: Root, offset: int, size: int, wanted: bytes):
    root.put_bytes_if_absent("x", b"0123456789")
    assert root.read_media(MediaRef(uri="x", offset_bytes=offset, size_bytes=size)) == wanted
    assert root.read_media(MediaRef(uri="x")) == b"0123456789"


@pytest.mark.parametrize("offset", [0, 4, 10])
def test_a_piece_of_no_bytes(root: Root, offset: int):
    root.put_bytes_if_absent("x", b"0123456789")
    assert root.read_media(MediaRef(uri="x", offset_bytes=offset, size_bytes=0)) == b""


@pytest.mark.parametrize("offset", [8, 10, 5000])
def test_a_range_past_the_end_is_an_error(root: Root, offset: int):
    root.put_bytes_if_absent("x", b"0123456789")
    with pytest.raises(StorageError, match="x in "):
        root.read_media(MediaRef(uri="x", offset_bytes=offset, size_bytes=5))


def test_delete(root: Root):
    root.put_bytes_if_absent("a/x", b"1")
    root.put_bytes_if_absent("a/y", b"2")
    root.delete("a/x")
    root.delete("a/x")
    root.delete("never/there")
    assert root.list_names("a") == ["y"]
    assert root.put_bytes_if_absent("a/x", b"again") is True


def test_replace_writes_over_what_was_there(root: Root):
    root.replace_bytes("new/folder/d.yaml", b"one, and long")
    root.replace_bytes("new/folder/d.yaml", b"two")
    assert root.read_bytes("new/folder/d.yaml") == b"two"
    assert root.list_names("new/folder") == ["d.yaml"]


def test_reading_what_is_not_there(root: Root):
    with pytest.raises(FileNotFoundError):
        root.read_bytes("nothing")
    with pytest.raises(FileNotFoundError):
        root.read_media(MediaRef(uri="nothing", offset_bytes=3, size_bytes=4))
    with pytest.raises(FileNotFoundError):
        root.read_media(MediaRef(uri="nothing", offset_bytes=3, size_bytes=0))


@pytest.mark.parametrize("name", NAMES)
def test_odd_names(root: Root, name: str):
    assert root.put_bytes_if_absent(f"odd/{name}", name.encode()) is True
    assert root.list_names("odd") == [name]
    assert root.read_bytes(f"odd/{name}") == name.encode()
    root.delete(f"odd/{name}")
    assert not root.exists(f"odd/{name}")


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize(
    "use",
    [
        lambda root, path: root.read_bytes(path),
        lambda root, path: root.size_bytes(path),
        lambda root, path: root.list_names(path),
        lambda root, path: root.replace_bytes(path, b"x"),
        lambda root, path: root.delete(path),
        lambda root, path: root.put_bytes_if_absent(path, b"x"),
    ],
    ids=("read", "size", "list", "replace", "delete", "put"),
)
def test_no_path_leaves_the_root(root: Root, path: str, use: Callable[[Root, str], object]):
    with pytest.raises(StorageError, match="not a path below"):
        use(root, path)


@pytest.mark.parametrize("uri", ["../out.tar", "a/../../out.tar", "a\\b", "a\0b"])
def test_no_reference_leaves_the_root(root: Root, uri: str, tmp_path: Path):
    with pytest.raises(StorageError, match="not a path below"):
        root.read_media(MediaRef(uri=uri))
    with pytest.raises(StorageError, match="not a path below"):
        root.local_file(MediaRef(uri=uri), tmp_path)


def test_a_root_travels_to_another_process(root: Root):
    root.put_bytes_if_absent("x", b"1")
    again = pickle.loads(pickle.dumps(root))
    assert again.uri == root.uri
    assert again.read_bytes("x") == b"1"


def test_the_probe_for_writing_leaves_nothing(root: Root):
    root.check_writable()
    assert [name for name in root.list_names("") if name != ".tmp"] == []
    assert root.list_names(".tmp") == []


def test_staging_is_gone_afterwards_even_after_an_error(root: Root):
    folders = []
    with root.staging() as folder:
        staged(folder, b"1")
        folders.append(folder)
    with pytest.raises(KeyError), root.staging() as folder:
        staged(folder, b"1")
        folders.append(folder)
        raise KeyError("stage broke")
    assert len(set(folders)) == 2
    assert not any(folder.exists() for folder in folders)


def test_a_source_is_fetched_whole(root: Root, tmp_path: Path):
    root.put_bytes_if_absent("v/a.mp4", b"video" * 1000)
    assert root.local_file(MediaRef(uri="v/a.mp4"), tmp_path).read_bytes() == b"video" * 1000


def without_conditions(root: Root) -> bool:
    """Every file then has its content's hash in its name, and racing puts of one name may both succeed."""
    return not root.is_conditional


def test_storing_under_a_taken_name(root: Root, tmp_path: Path):
    """The same bytes are taken over; other bytes go beside it under their hash, and again when asked again."""
    first = store_file(root, staged(tmp_path, b"same bytes"), "s/00000.parquet", "rows")
    again = store_file(root, staged(tmp_path, b"same bytes"), "s/00000.parquet", "rows")
    other = store_file(root, staged(tmp_path, b"othr bytes"), "s/00000.parquet", "rows")
    longer = store_file(root, staged(tmp_path, b"other bytes, more"), "s/00000.parquet", "rows")
    twin = store_file(root, staged(tmp_path, b"othr bytes"), "s/00000.parquet", "rows")
    assert first == again
    if without_conditions(root):
        assert first.path == f"s/00000.{first.sha256[:12]}.parquet"
    else:
        assert first.path == "s/00000.parquet"
    assert (first.size_bytes, root.read_bytes(first.path)) == (10, b"same bytes")
    assert other == twin
    assert root.read_bytes(other.path) == b"othr bytes"
    assert root.read_bytes(longer.path) == b"other bytes, more"
    assert other.sha256[:12] in other.path
    assert len(root.list_names("s")) == 3


def test_two_writers_of_other_bytes_both_find_theirs(root: Root, tmp_path: Path):
    def store(number: int) -> tuple[bytes, str]:
        data = f"writer {number % 3}".encode()
        return data, store_file(root, staged(tmp_path, data), "s/00000.tar", "media").path

    with ThreadPoolExecutor(9) as pool:
        for data, path in pool.map(store, range(9)):
            assert root.read_bytes(path) == data
    assert len(root.list_names("s")) == 3


def test_tables_and_offsets_hold_in_every_store(root: Root, tmp_path: Path):
    records = [SourceRecord(source_id=str(number), uri=f"/v/{number} 視頻.mp4", size_bytes=number) for number in range(3)]
    with root.staging() as folder:
        write_table(records, SourceRecord, folder / "t.parquet")
        root.put_if_absent(folder / "t.parquet", "s/t.parquet")
        files = [staged(tmp_path, bytes([number]) * number * 700) for number in range(4)]
        with MediaTarWriter(folder / "m.tar") as tar:
            for file in files:
                tar.add(file)
        wanted = {file: file.read_bytes() for file in files}
        stored = store_file(root, folder / "m.tar", "s/m.tar", "media")
    assert read_table(root, "s/t.parquet", SourceRecord) == records
    assert {file: root.read_media(ref) for file, ref in tar.refs(stored.path).items()} == wanted


def test_done_partitions_are_those_with_a_manifest(root: Root):
    for name in ("00000.manifest.json", "00002.manifest.json", "123456.manifest.json"):
        root.put_bytes_if_absent(f"s/f/{name}", b"{}")
    for name in ("00003.parquet", "00004.manifest.json.tmp", ".00005.manifest.json", "00006.withdrawn.json", "7.manifest.json"):
        root.put_bytes_if_absent(f"s/f/{name}", b"{}")
    assert done_partitions(root, "s/f") == {0, 2, 123456}
    assert done_partitions(root, "s/other") == set()
    assert root.exists(layout.manifest("s/f", 2))


def test_a_missing_bucket_is_said_clearly(s3_bucket: str):
    root = Root("s3://no-such-bucket/set")
    with pytest.raises(StorageError, match=r"no-such-bucket.*bucket") as caught:
        root.check_writable()
    assert "\n" not in str(caught.value)
    for write in (lambda: root.put_bytes_if_absent("x", b"1"), lambda: root.replace_bytes("x", b"1")):
        with pytest.raises(StorageError, match="bucket"):
            write()
    assert root.list_names("x") == []


def test_a_large_object_is_put_once_by_parts(s3_bucket: str, tmp_path: Path):
    """Beyond 100 MB s3fs uploads by parts; the condition must hold there too."""
    root = Root(f"{s3_bucket}/{uuid.uuid4().hex}")
    first, second = tmp_path / "first", tmp_path / "second"
    for file, letter in ((first, b"1"), (second, b"2")):
        with open(file, "wb") as writer:
            writer.write(letter)
            writer.truncate(101 * 2**20)
    assert root.put_if_absent(first, "big.tar") is True
    assert root.put_if_absent(second, "big.tar") is False
    assert second.exists()
    assert root.read_media(MediaRef(uri="big.tar", offset_bytes=0, size_bytes=2)) == b"1\0"
    assert root.size_bytes("big.tar") == 101 * 2**20


def test_s3_that_cannot_be_reached_or_logged_into(s3: S3, python: Callable[..., str]):
    """In a process of its own: credentials and endpoints are read once."""
    code = """
import sys
from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import Root
for use in (Root("s3://bucket/set").check_writable, lambda: Root("s3://bucket/set").read_bytes("x"), lambda: Root("s3://bucket").list_names("")):
    try:
        use()
    except StorageError as error:
        print("StorageError", len(str(error).splitlines()), error)
"""
    common = {"INTERNVID_STORAGE_RETRY_S": "1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": "/nowhere"}
    no_login = python(code, env={**common, "AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert no_login.count("StorageError 1 cannot") == 3
    assert "redentials" in no_login
    nobody = python(code, env={**common, **s3.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    assert nobody.count("StorageError 1 cannot") == 3
    assert "127.0.0.1:9" in nobody


@pytest.fixture
def python() -> Callable[..., str]:
    """Runs code in a new interpreter with a clean AWS environment; returns what it printed."""
    import subprocess
    import sys

    def run(code: str, env: dict[str, str]) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        place = str(Path(__file__).resolve().parents[2])
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **env, "PYTHONPATH": place})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
