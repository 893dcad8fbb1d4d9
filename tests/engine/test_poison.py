"""Items that raise, crash, hang or eat memory: the guilty one becomes a Fail with its reason, its neighbours are unharmed."""

import contextlib
from pathlib import Path

import psutil
import pytest

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine import build_plan, open_root, read_losses, run_dataset
from internvid_pipeline.engine.attempt import ErrorKind
from internvid_pipeline.engine.read_items import read_rows
from tests.conftest import toy_config
from tests.toy_stages import SquareRecord

POISONS = {
    "raises": ("ValueError", "13 is not to my taste, says <object object at 0x…>"),
    "segfaults": ("WorkerDied", "killed by SIGSEGV"),
    "exits": ("WorkerDied", "exited with status 7"),
    "hangs": ("DeadlineExceeded", "no result within"),
    "eats": ("MemoryLimit", "more than its bound of 600 MB"),
}


def squares(config) -> set[int]:
    root, plan = open_root(config), build_plan(config, 4)[1]
    return {row.square for partition in range(4) for row in read_rows(root, plan.folder, partition, SquareRecord)}


@pytest.mark.parametrize("kind", POISONS)
def test_one_poison_item(kind: str, tmp_path: Path, numbers_folder: Path):
    error_class, words = POISONS[kind]
    config = toy_config(tmp_path / "root", numbers_folder, squares={kind: [13]}, max_failed_ratio=0.04)
    report = run_dataset(config, engine="inline")
    failures = [row for _, row in read_losses(open_root(config), build_plan(config, 4)[1], "failures")]
    assert [(row.item_id, row.error_class) for row in failures] == [("13", error_class)]
    assert words in failures[0].message
    assert squares(config) == {number * number for number in range(20) if number != 13}
    assert report.exit_status(0.04) == 1
    assert report.exit_status(0.05) == 0
    assert not report.errors


def test_many_poisons_in_one_partition(tmp_path: Path, numbers_folder: Path):
    """Every item of a partition guilty in its own way, and the rest of the set whole."""
    config = toy_config(tmp_path / "root", numbers_folder, squares={"segfaults": [0, 10], "exits": [1], "raises": [11], "hangs": [12]})
    run_dataset(config, engine="inline")
    failures = {row.item_id: row.error_class for _, row in read_losses(open_root(config), build_plan(config, 4)[1], "failures")}
    assert failures == {"0": "WorkerDied", "1": "WorkerDied", "10": "WorkerDied", "11": "ValueError", "12": "DeadlineExceeded"}
    assert squares(config) == {number * number for number in range(20) if number not in (0, 1, 10, 11, 12)}


def test_a_segfault_leaves_its_stack(tmp_path: Path, numbers_folder: Path):
    config = toy_config(tmp_path / "root", numbers_folder, squares={"segfaults": [3]})
    run_dataset(config, engine="inline")
    (failure,) = [row for _, row in read_losses(open_root(config), build_plan(config, 4)[1], "failures")]
    assert "_misbehave" in failure.detail
    assert failure.attempts == 2


def test_transient_faults_are_tried_again(tmp_path: Path, numbers_folder: Path):
    config = toy_config(tmp_path / "root", numbers_folder, squares={"transient_once": [4, 9]})
    report = run_dataset(config, engine="inline")
    assert [status.failed for status in report.statuses] == [0, 0]


def test_a_full_disk_is_not_the_items_fault(tmp_path: Path, numbers_folder: Path):
    """The run ends with status 3, the partition is not done, and once there is room it is computed."""
    placement = {"partition_attempts": 1}
    config = toy_config(tmp_path / "root", numbers_folder, squares={"disk_full": [13]}, placement=placement)
    report = run_dataset(config, engine="inline")
    assert [error.stage for error in report.errors] == ["toy_squares"]
    assert "No space left" in str(report.errors[0])
    assert report.exit_status(1.0) == 3
    assert report.statuses[1].partitions_done == 3
    assert sum(status.failed for status in report.statuses) == 0


def test_a_machine_that_fails_every_partition_is_given_up(tmp_path: Path, numbers_folder: Path):
    """Twenty partitions on a full disk: eight are tried, the others are not computed for nothing."""
    everything = list(range(20))
    source = {"path": str(numbers_folder), "partition_videos": 1}
    config = toy_config(tmp_path / "root", numbers_folder, squares={"disk_full": everything}, placement={"partition_attempts": 1})
    config = config.model_copy(update={"source": SourceConfig.model_validate(source)})
    report = run_dataset(config, engine="inline")
    assert len(report.errors) == 8
    assert "No space left" in str(report.errors[0]) and "TMPDIR" in str(report.errors[0])


def test_a_broken_contract_ends_the_run(tmp_path: Path, numbers_folder: Path):
    config = toy_config(tmp_path / "root", numbers_folder, squares={"too_few": [0]})
    report = run_dataset(config, engine="inline")
    assert "must return one each" in str(report.errors[0])
    assert [error.kind for error in report.errors] == [ErrorKind.FATAL]


def test_a_stage_that_cannot_start_ends_the_run(tmp_path: Path, numbers_folder: Path):
    config = toy_config(tmp_path / "root", numbers_folder, squares={"setup_fails": True})
    report = run_dataset(config, engine="inline")
    assert "the weights of toy are not here" in str(report.errors[0])
    assert len(report.errors) == 1, "a fatal error is not repeated for every partition"


def command_lines_below() -> list[str]:
    """Of all living processes that this one started; one that has ended but was not waited for has none."""
    lines = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(child.cmdline()))
    return lines


def test_no_worker_outlives_the_run(tmp_path: Path, numbers_folder: Path):
    config = toy_config(tmp_path / "root", numbers_folder, squares={"hangs": [2], "segfaults": [5]})
    run_dataset(config, engine="inline")
    assert [line for line in command_lines_below() if "internvid_pipeline.engine.workers.child" in line] == []


def test_without_isolation_the_results_are_the_same(tmp_path: Path, numbers_folder: Path):
    apart = toy_config(tmp_path / "apart", numbers_folder, squares={"raises": [6]})
    within = toy_config(tmp_path / "within", numbers_folder, squares={"raises": [6]}, placement={"isolate": False})
    run_dataset(apart, engine="inline")
    run_dataset(within, engine="inline")
    assert squares(apart) == squares(within) == {number * number for number in range(20) if number != 6}
