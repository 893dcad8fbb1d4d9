"""Smaller faults: text that is no UTF-8, parts of scratch files, a full scratch disk, supervisors that die, and clocks that lie."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.config import Section
from internvid_pipeline.engine import build_plan, open_root, read_losses, run_dataset
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.workers.ledger import Ledger
from internvid_pipeline.engine.workers.scratch_guard import ScratchGuard
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord
from internvid_pipeline.stage import Drop, Emit, Fail, Item, Outcome, PartDrop, Stage
from internvid_pipeline.storage import scratch_base
from tests.conftest import contents, mounted, toy_config

REPO = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRecord:
    video_id: str
    media: tuple[MediaRef, ...]

    @property
    def item_id(self) -> str:
        return self.video_id


class Parts(Stage[Section, SourceRecord, PartRecord]):
    """Rows that point at parts of files which are packed into one tar."""

    name = "fault_parts"
    config_type = Section
    reads = SourceRecord
    writes = PartRecord

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[PartRecord]]:
        outcomes: list[Outcome[PartRecord]] = []
        for item in batch:
            name = Path(item.record.uri).stem
            path = self.worker.scratch / f"{name}.bin"
            path.write_bytes(f"head-{name}-tail".encode())
            parts = (
                MediaRef.scratch(path),
                MediaRef.scratch(path, 5, len(name)),
                MediaRef.scratch(path, 6 + len(name)),
                MediaRef.scratch(path, 0, 4),
            )
            outcomes.append(Emit((PartRecord(video_id=name, media=parts),)))
        return outcomes


class Texts(Stage[Section, SourceRecord, PartRecord]):
    """Half surrogate pairs, as a careless exporter leaves them, in every place that a stage can put text."""

    name = "fault_texts"
    config_type = Section
    reads = SourceRecord
    writes = PartRecord

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[PartRecord]]:
        return [self._one(int(Path(item.record.uri).stem)) for item in batch]

    def _one(self, number: int) -> Outcome[PartRecord]:
        if number == 3:
            return Emit((PartRecord(video_id="3 \ud83c", media=()),))
        if number == 4:
            return Drop(DropReason.TOO_SHORT, "4 \udfff", (PartDrop("part", DropReason.BLACK, "\ud800"),))
        if number == 5:
            return Fail("Odd", "5 \ud83c", "detail \ud83c")
        if number == 6:
            raise ValueError("6 \ud83c")
        if number == 7:
            return Emit((PartRecord(video_id="7 視頻 🎬", media=()),))
        return Emit((PartRecord(video_id=str(number), media=()),))


def config_of(stage: str, root: Path, source: Path):
    from internvid_pipeline.config import config_from

    raw = {"root": str(root), "source": {"path": str(source), "partition_videos": 5}, "stages": {f"tests.engine.test_faults:{stage}": {}}}
    return config_from({**raw, "max_failed_ratio": 1.0, "placement": {"isolate": False, "partition_attempts": 1}})


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch):
    """Under the name by which the config finds the stages of this module."""
    monkeypatch.setitem(sys.modules, "tests.engine.test_faults", sys.modules[__name__])


def test_parts_of_packed_files_point_at_their_bytes(tmp_path: Path, numbers_folder: Path):
    config = config_of("Parts", tmp_path / "root", numbers_folder)
    assert not run_dataset(config, engine="inline").errors
    root, plan = open_root(config), build_plan(config, 4)[0]
    for partition in range(4):
        for row in read_rows(root, plan.folder, partition, PartRecord):
            name = row.video_id.encode()
            assert [root.read_media(ref) for ref in row.media] == [b"head-" + name + b"-tail", name, b"tail", b"head"]


def test_text_that_is_no_utf_8_costs_its_item_only(tmp_path: Path, numbers_folder: Path):
    config = config_of("Texts", tmp_path / "root", numbers_folder)
    report = run_dataset(config, engine="inline")
    assert not report.errors
    root, plan = open_root(config), build_plan(config, 4)[0]
    failures = {Path(row.item_id).stem: (row.error_class, row.message) for _, row in read_losses(root, plan, "failures")}
    assert failures["5"] == ("Odd", "5 ?") and failures["6"] == ("ValueError", "6 ?")
    assert failures["3"] == ("InvalidText", "PartRecord: text is not UTF-8 (half a surrogate pair): '3 ?'")
    assert [(row.message) for _, row in read_losses(root, plan, "drops")] == ["4 ?", "?"]
    assert sorted(row.video_id for partition in range(4) for row in read_rows(root, plan.folder, partition, PartRecord))[-3] == "7 視頻 🎬"


def test_the_ledger_counts_deaths_of_a_unit():
    ledger = Ledger()
    assert ledger.begin("s", 1) == 0
    ledger.end("s", 1)
    assert [ledger.begin("s", 1) for _ in range(4)] == [0, 1, 2, 3], "begun again without an end: its worker died"
    assert ledger.begin("s", 2) == ledger.begin("t", 1) == 0
    ledger.end("s", 1)
    assert ledger.begin("s", 1) == 3
    assert ledger.idle_s() < 5


def test_the_bound_on_scratch_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    guard = ScratchGuard(1000)
    guard.wait_for_room()
    own = scratch_base() / "own"
    own.mkdir(parents=True)
    (own / "clip").write_bytes(b"x" * 1500)
    assert guard.is_over(own)
    assert not guard.is_over(own), "it is not counted anew all the time"
    monkeypatch.setattr("internvid_pipeline.engine.workers.scratch_guard._WAIT_S", 0.0)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(StorageError, match=r"hold 1500 bytes, the bound is 1000; raise placement\.scratch_mb"):
        guard.wait_for_room()
    import socket

    orphan = scratch_base() / f"{socket.gethostname()}-{2**22 + 1}-0123abcd"
    own.rename(orphan)
    guard.wait_for_room()
    assert not orphan.exists(), "what a killed worker left is deleted before anybody has to wait for it"


def test_a_disk_that_others_have_filled_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """None of it is ours: no worker that ends would make room."""
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(StorageError, match=r"no room for scratch files in .*move TMPDIR to a larger one"):
        ScratchGuard(0).wait_for_room()
    assert waited == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Eight pages."""
    with mounted(tmp_path / "small disk", 8 * 4096) as folder:
        yield folder


def test_a_scratch_disk_that_is_really_full(tmp_path: Path, numbers_folder: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch):
    """A file system of its own, too small for one partition's media: that one is left undone and named, the others are done, and the
    disk is empty again."""
    import tempfile

    for number in range(5, 10):
        (numbers_folder / f"{number}.mp4").rename(numbers_folder / f"{number}{'0' * 5}.mp4")  # media of 6,000 bytes each
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    config = toy_config(
        tmp_path / "root", numbers_folder, numbers={"with_media": True}, placement={"partition_attempts": 1, "scratch_mb": 1000}
    )
    report = run_dataset(config, engine="inline", until="toy_numbers")
    assert len(report.errors) == 1 and "No space left on device" in report.errors[0].message and str(small_disk) in report.errors[0].message
    assert (report.statuses[0].partitions_done, report.statuses[0].failed) == (3, 0)
    assert [path for path in small_disk.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_dataset(config, engine="inline", until="toy_numbers").statuses[0].partitions_done == 4


def test_a_partition_that_outgrows_the_scratch_disk_is_left_undone_and_named(tmp_path: Path, numbers_folder: Path):
    """The others are done; with more room so is it."""
    numbers: dict[str, Any] = {"copies": 1, "with_media": True, "huge": [7], "work_s": 0.0}
    small = {"scratch_mb": 30, "partition_attempts": 1}
    report = run_dataset(
        toy_config(tmp_path / "root", numbers_folder, numbers=numbers, placement=small), engine="inline", until="toy_numbers"
    )
    assert len(report.errors) == 1 and "placement.scratch_mb" in report.errors[0].message
    assert report.statuses[0].partitions_done == 3 and report.statuses[0].failed == 0
    assert not list(scratch_base().glob("*/*.bin")), "nothing is left on the disk"
    again = run_dataset(toy_config(tmp_path / "root", numbers_folder, numbers=numbers), engine="inline", until="toy_numbers")
    assert not again.errors and again.statuses[0].partitions_done == 4


CLOCK = """
import time, sys, json, random
shift = float(sys.argv[1])
wall, wall_ns, local = time.time, time.time_ns, time.localtime
time.time = lambda: wall() + shift
time.time_ns = lambda: wall_ns() + int(shift * 1e9)
import datetime
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import partition, run_dataset
partition._now = lambda: (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=shift)).isoformat(timespec="seconds")
report = run_dataset(load_config(sys.argv[2], []), engine="inline", until=sys.argv[3] or None)
print(json.dumps([[status.stage, status.partitions_done] for status in report.statuses]))
raise SystemExit(report.exit_status(1.0))
"""


def test_nothing_depends_on_clocks(tmp_path: Path, numbers_folder: Path):
    """One driver whose clock is a day ahead, one a year behind, one in 1970: each goes on where the other stopped."""
    stages: dict[str, Any] = {f"tests.cluster.chaos_stages:{name}": {} for name in ("Pieces", "Words", "Shards")}
    raw = {"root": str(tmp_path / "root"), "source": {"path": str(numbers_folder), "partition_videos": 5}, "stages": stages}
    config = tmp_path / "config.json"
    placement = {"isolate": False}
    config.with_suffix(".yaml").write_text(json.dumps({**raw, "placement": placement, "max_failed_ratio": 1.0}))
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    shifts = (86_400.0, -31e6, -time.time() + 10)
    for shift, until in zip(shifts, ("chaos_pieces", "chaos_words", ""), strict=True):
        command = [sys.executable, "-c", CLOCK, str(shift), str(config.with_suffix(".yaml")), until]
        done = subprocess.run(command, env=env, cwd=REPO, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert {count for _, count in json.loads(done.stdout)} == {4}
    from internvid_pipeline.config import config_from

    straight = config_from({**raw, "root": str(tmp_path / "straight"), "placement": placement, "max_failed_ratio": 1.0})
    assert not run_dataset(straight, engine="inline").errors
    assert contents(tmp_path / "root") == contents(tmp_path / "straight")
