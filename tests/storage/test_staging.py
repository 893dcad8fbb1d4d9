"""What killed processes leave is told from what living ones use, and never taken for data."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from internvid_pipeline.storage import Root, owned_folder, remove_orphans, scratch_base

HERE = socket.gethostname()


def dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_orphans_of_dead_processes_go_and_all_else_stays(tmp_path: Path):
    gone = tmp_path / f"{HERE}-{dead_pid()}-0123abcd"
    kept = [
        tmp_path / f"{HERE}-{os.getpid()}-0123abcd",
        tmp_path / f"{HERE}-{os.getppid()}-0123abcd",
        tmp_path / f"{HERE}-1-0123abcd",  # another user's process, where this one is not root
        tmp_path / f"other-host-{dead_pid()}-0123abcd",
        tmp_path / f"{HERE}-x-{dead_pid()}-0123abcd",
        tmp_path / f"{HERE}-{dead_pid()}",
        tmp_path / "notes",
    ]
    for folder in (gone, *kept):
        folder.mkdir()
        (folder / "file").write_bytes(b"1")
    remove_orphans(tmp_path)
    assert not gone.exists()
    assert [folder.name for folder in kept if not (folder / "file").exists()] == []


def test_a_process_that_nobody_waited_for_is_gone(tmp_path: Path):
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.read() == b""  # it has ended, or is about to
    folder = tmp_path / f"{HERE}-{child.pid}-0123abcd"
    folder.mkdir()
    deadline = time.monotonic() + 30
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    remove_orphans(tmp_path)
    assert not folder.exists()
    child.wait()


def test_no_folder_no_orphans(tmp_path: Path):
    remove_orphans(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_an_owned_folder_is_new_private_and_ones_own(tmp_path: Path):
    first, second = owned_folder(tmp_path / "a" / "b"), owned_folder(tmp_path / "a" / "b")
    assert first != second
    assert first.stat().st_mode & 0o777 == 0o700
    remove_orphans(tmp_path / "a" / "b")
    assert first.is_dir() and second.is_dir()


def test_the_scratch_folder_follows_tmpdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert scratch_base().parent == tmp_path


_WRITER = """
import sys
from pathlib import Path
from internvid_pipeline.storage import Root
root = Root(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    data = bytes([number % 250]) * 3_000_000
    root.replace_bytes("view.bin", data)
    root.put_bytes_if_absent(f"s/{number:05d}.bin", data)
    outside = Path(sys.argv[2]) / "outside.bin"
    outside.write_bytes(data)
    root.put_if_absent(outside, f"t/{number:05d}.bin")
"""


@pytest.mark.kill
def test_a_killed_writer_leaves_whole_files_and_nothing_that_is_not_cleaned(tmp_path: Path):
    """Killed with SIGKILL at four moments while it writes. Every file is whole; after cleaning nothing else is left."""
    root = Root(str(tmp_path / "set"))
    outside = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    left = 0
    for lap in range(4):
        command = [sys.executable, "-c", _WRITER, root.uri, str(outside)]
        writer = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(0.05 + 0.05 * lap)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        left += len(root.list_names(".tmp"))
    (outside / "outside.bin").unlink(missing_ok=True)
    assert left > 0, "no kill hit a write: the test showed nothing"
    root.clean_staging()
    assert root.list_names(".tmp") == []
    files = [file for file in (tmp_path / "set").rglob("*") if file.is_file()]
    assert {file.suffix for file in files} == {".bin"}
    assert all(len(data := file.read_bytes()) == 3_000_000 and len(set(data)) == 1 for file in files)


def test_racing_processes_have_one_winner(tmp_path: Path):
    """Eight processes wait for a file to appear, then all put the same name; three rounds."""
    code = """
import sys, time
from pathlib import Path
from internvid_pipeline.storage import Root
root, number = Root(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
while not Path(sys.argv[3]).exists():
    time.sleep(0.001)
for lap in range(3):
    if root.put_bytes_if_absent(f"race/{lap}", number.encode() * 10_000):
        print(lap, number)
"""
    go = tmp_path / "go"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    racers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "set"), str(n), str(go)], stdout=subprocess.PIPE, text=True, env=env)
        for n in range(8)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    go.touch()
    won = sorted(line for racer in racers for line in racer.communicate()[0].splitlines())
    assert [line.split()[0] for line in won] == ["0", "1", "2"]
    root = Root(str(tmp_path / "set"))
    for line in won:
        lap, number = line.split()
        assert root.read_bytes(f"race/{lap}") == number.encode() * 10_000
    assert root.list_names(".tmp") == []
