"""Items that raise, crash, hang or eat memory: the guilty one becomes a Fail with its reason, its neighbours are unharmed."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine import RunReport, build_plan, open_root, read_losses, run_dataset
from internvid_pipeline.engine.attempt import ErrorKind
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import FailureRecord
from tests.conftest import toy_config
from tests.toy_stages import SquareRecord

POISONS = {
    "raises": ("ValueError", "{} is not to my taste, says <object object at 0x…>"),
    "segfaults": ("WorkerDied", "killed by SIGSEGV"),
    "exits": ("WorkerDied", "exited with status 7"),
    "hangs": ("DeadlineExceeded", "no result within"),
    "eats": ("MemoryLimit", "more than its bound of 600 MB"),
}


def squares(config) -> set[int]:
    root, plan = open_root(config), build_plan(config, 4)[1]
    return {row.square for partition in range(4) for row in read_rows(root, plan.folder, partition, SquareRecord)}


# One item guilty in its own way in each of three partitions; in the fourth (5 to 9) all five.
GUILTY = {"raises": [13, 5], "segfaults": [0, 6], "exits": [7], "hangs": [8], "eats": [2, 9]}


@dataclass(frozen=True)
class Ran:
    report: RunReport
    failures: dict[str, FailureRecord]
    squares: set[int]
    left: list[str]


@pytest.fixture(scope="module")
def ran(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    placement = {"stages": {"toy_squares": {"deadline_factor": 3}}}  # on a busy machine eating takes its time
    config = toy_config(tmp_path_factory.mktemp("poison") / "root", source, squares=GUILTY, placement=placement)
    report = run_dataset(config, engine="inline")
    failures = [row for _, row in read_losses(open_root(config), build_plan(config, 4)[1], "failures")]
    left = [line for line in command_lines_below() if "internvid_pipeline.engine.workers.child" in line]
    return Ran(report, {row.item_id: row for row in failures if isinstance(row, FailureRecord)}, squares(config), left)


def test_the_guilty_fail_and_all_others_are_whole(ran: Ran):
    guilty = {number for numbers in GUILTY.values() for number in numbers}
    assert set(ran.failures) == {str(number) for number in guilty}
    assert ran.squares == {number * number for number in range(20)} - {number * number for number in guilty}
    assert not ran.report.errors
    assert (ran.report.exit_status(0.39), ran.report.exit_status(0.4)) == (1, 0), "eight of twenty"


@pytest.mark.parametrize("kind", POISONS)
def test_each_says_what_became_of_it(kind: str, ran: Ran):
    error_class, words = POISONS[kind]
    for number in GUILTY[kind]:
        failure = ran.failures[str(number)]
        assert failure.error_class == error_class and words.format(number) in failure.message


def test_a_segfault_leaves_its_stack(ran: Ran):
    assert all("_misbehave" in ran.failures[str(number)].detail for number in GUILTY["segfaults"])
    assert ran.failures["0"].attempts == 2


def test_no_worker_outlives_the_run(ran: Ran):
    assert ran.left == []


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


def test_a_machine_that_fails_every_partition_is_given_up(tmp_path: Path, numbers_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Twenty partitions on a full disk: three (here) are tried, the others are not computed for nothing."""
    monkeypatch.setattr("internvid_pipeline.engine.attempt._ERRORS_IN_A_ROW", 3)
    everything = list(range(20))
    source = {"path": str(numbers_folder), "partition_videos": 1}
    config = toy_config(tmp_path / "root", numbers_folder, squares={"disk_full": everything}, placement={"partition_attempts": 1})
    config = config.model_copy(update={"source": SourceConfig.model_validate(source)})
    report = run_dataset(config, engine="inline")
    assert len(report.errors) == 3
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


def test_without_isolation_the_results_are_the_same(tmp_path: Path, numbers_folder: Path):
    apart = toy_config(tmp_path / "apart", numbers_folder, squares={"raises": [6]})
    within = toy_config(tmp_path / "within", numbers_folder, squares={"raises": [6]}, placement={"isolate": False})
    run_dataset(apart, engine="inline")
    run_dataset(within, engine="inline")
    assert squares(apart) == squares(within) == {number * number for number in range(20) if number != 6}
