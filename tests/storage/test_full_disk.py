"""A full or read-only disk: one line that says so, nothing that a later run would take for data, nothing old lost.

A small file system of its own where this process may mount one; a limit on file sizes (RLIMIT_FSIZE) everywhere."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import Root, store_file, write_table
from tests.conftest import mounted

SIZE_BYTES = 400_000
TOO_BIG = b"x" * 3 * SIZE_BYTES


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small disk", SIZE_BYTES) as folder:
        yield folder


def _random_rows(folder: Path, staging: Path) -> None:
    del folder
    rows = [SourceRecord(source_id=str(number), uri=os.urandom(50_000).hex()) for number in range(20)]
    write_table(rows, SourceRecord, staging / "rows.parquet")


WRITES: dict[str, Callable[[Root, Path, Path], object]] = {
    "a few bytes": lambda root, outside, staging: root.put_bytes_if_absent("s/new.bin", TOO_BIG),
    "replace": lambda root, outside, staging: root.replace_bytes("s/old.bin", TOO_BIG),
    "a file of another disk": lambda root, outside, staging: root.put_if_absent(outside, "s/new.bin"),
    "store": lambda root, outside, staging: store_file(root, outside, "s/new.bin", "media"),
    "a table": lambda root, outside, staging: _random_rows(outside, staging),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
def test_a_full_disk(small_disk: Path, tmp_path: Path, write: Callable[[Root, Path, Path], object]):
    root = Root(str(small_disk / "set"))
    root.put_bytes_if_absent("s/old.bin", b"old")
    outside = tmp_path / "outside.bin"
    outside.write_bytes(TOO_BIG)
    with root.staging() as staging, pytest.raises(StorageError, match="No space left on device") as caught:
        write(root, outside, staging)
    assert "\n" not in str(caught.value)
    assert root.list_names("s") == ["old.bin"]
    assert root.read_bytes("s/old.bin") == b"old"
    assert outside.exists()
    assert root.list_names(".tmp") == []
    assert root.put_bytes_if_absent("s/small.bin", b"goes on when there is room") is True


def test_a_disk_without_room_for_anything_is_not_writable(small_disk: Path):
    root = Root(str(small_disk / "set"))
    with open(small_disk / "filler", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    with pytest.raises(StorageError, match="No space left on device"):
        root.check_writable()
    assert root.list_names(".tmp") == []


def test_a_read_only_disk(small_disk: Path):
    root = Root(str(small_disk / "set"))
    root.put_bytes_if_absent("s/old.bin", b"old")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for use in (
        root.check_writable,
        lambda: root.put_bytes_if_absent("s/new.bin", b"1"),
        lambda: root.replace_bytes("s/old.bin", b"1"),
        lambda: root.delete("s/old.bin"),
    ):
        with pytest.raises(StorageError, match="Read-only file system"):
            use()
    assert root.read_bytes("s/old.bin") == b"old"
    root.clean_staging()
    assert root.list_names("s") == ["old.bin"]


def test_a_staged_file_on_another_mount_of_the_same_disk(small_disk: Path, tmp_path: Path):
    """Two mounts of one disk have the same device number and still refuse links between them, as volumes of a container do."""
    (small_disk / "scratch").mkdir()
    other = tmp_path / "other mount"
    other.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk / "scratch"), str(other)], check=True)
    try:
        staged = other / "staged"
        staged.write_bytes(b"clip")
        root = Root(str(small_disk / "set"))
        assert root.put_if_absent(staged, "s/a.mp4") is True
        assert root.read_bytes("s/a.mp4") == b"clip"
        assert not staged.exists()
        staged.write_bytes(b"clop")
        assert root.put_if_absent(staged, "s/a.mp4") is False
        assert root.list_names(".tmp") == []
    finally:
        subprocess.run(["umount", str(other)], check=True)


_LIMITED = """
import resource, sys
from pathlib import Path
from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import Root
root = Root(sys.argv[1])
root.put_bytes_if_absent("s/old.bin", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for write in (lambda: root.put_bytes_if_absent("s/new.bin", b"x" * 50_000), lambda: root.replace_bytes("s/old.bin", b"x" * 50_000),
              lambda: root.put_if_absent(Path(sys.argv[2]), "s/new.bin")):
    try:
        write()
    except StorageError as error:
        print("StorageError:", error)
"""


def test_a_file_that_grows_past_the_limit(tmp_path: Path):
    """The same without a mount; the third write copies from another file system (/dev/shm) where there is one."""
    shm = Path("/dev/shm")
    outside = (shm if os.access(shm, os.W_OK) else tmp_path) / f"internvid-test-{os.getpid()}"
    outside.write_bytes(b"x" * 50_000)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _LIMITED, str(tmp_path / "set"), str(outside)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        )
    finally:
        outside.unlink(missing_ok=True)
    assert done.returncode == 0, done.stderr
    is_other_disk = shm.exists() and shm.stat().st_dev != tmp_path.stat().st_dev
    assert done.stdout.count("File too large") == (3 if is_other_disk else 2)
    root = Root(str(tmp_path / "set"))
    assert root.list_names("s") == (["old.bin"] if is_other_disk else ["new.bin", "old.bin"])
    assert root.read_bytes("s/old.bin") == b"old"
    assert root.list_names(".tmp") == []


def test_a_root_below_a_file(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"1")
    root = Root(str(tmp_path / "file" / "set"))
    for write in (root.check_writable, lambda: root.put_bytes_if_absent("x", b"1"), lambda: root.replace_bytes("x", b"1")):
        with pytest.raises(StorageError, match="Not a directory") as caught:
            write()
        assert str(tmp_path / "file" / "set") in str(caught.value)
    assert (tmp_path / "file").read_bytes() == b"1"
