"""What holds on a real Ray: the bytes of the inline engine, whatever dies; logs and metrics of workers; plans that are cut to fit. One
embedded Ray serves all tests here, and is left as it was."""

import json
import logging
import os
import re
import shutil
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.engine import build_plan, logs, open_root, read_losses, run_dataset
from internvid_pipeline.engine.metrics import METRICS
from internvid_pipeline.engine.ray import execution, machines
from internvid_pipeline.errors import SetupError
from tests.cli.conftest import make_videos
from tests.conftest import contents, manifest_times, toy_config
from tests.deferring_stages import asking_config
from tests.engine.conftest import poisoned_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("embedded_ray")]


@pytest.fixture
def logs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file of JSON lines for each process; afterwards all logs as before."""
    for name in (logs.FORMAT_VARIABLE, logs.FOLDER_VARIABLE, logs.DATASET_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    logger = logging.getLogger("internvid_pipeline")
    kept = logger.handlers[:], logger.level, logger.propagate
    logs.set_up("json", str(tmp_path / "logs"), "toy")
    yield tmp_path / "logs"
    logger.handlers, logger.level, logger.propagate = kept


class Scraper:
    """Asks a node for its metrics, as Prometheus does, until it is told to stop."""

    def __init__(self) -> None:
        import ray

        node = ray.nodes()[0]
        self.url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        self.values: dict[tuple[str, ...], float] = {}
        self.changed = threading.Condition()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Scraper":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over.set()
        self.thread.join(timeout=10)

    def _look(self) -> None:
        while not self.is_over.wait(0.5):
            try:
                text = urllib.request.urlopen(self.url, timeout=5).read().decode()
            except OSError:
                continue
            sums: Counter[tuple[str, ...]] = Counter()
            for line in text.splitlines():
                if line.startswith("ray_internvid"):
                    name, labels, value = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line).groups()  # type: ignore[union-attr]
                    tags = dict(re.findall(r'(\w+)="([^"]*)"', labels))
                    extra = [tags[key] for key in ("outcome", "failure_class", "reason", "end") if key in tags]
                    sums[name, tags["dataset"], tags["stage"], *extra] += float(value)
            with self.changed:
                self.values = {key: max(value, self.values.get(key, 0.0)) for key, value in {**self.values, **sums}.items()}
                self.changed.notify_all()

    def wait_for(self, least: Mapping[tuple[str, ...], float], deadline_s: float = 60) -> dict[tuple[str, ...], float]:
        """What these stand at when all of them have come so far, or as they are after so many seconds."""
        with self.changed:
            self.changed.wait_for(lambda: all(self.values.get(key, 0.0) >= value for key, value in least.items()), timeout=deadline_s)
            return {key: self.values.get(key, 0.0) for key in least}


def test_it_gives_what_inline_gives(source: Path, tmp_path: Path, inline_contents: dict[str, str], logs_in: Path):
    """In two runs, the second of which goes on from the first; a copy of what the first left is finished by the inline engine."""
    config = poisoned_config(tmp_path / "ray", source, workers=2)
    run_dataset(config, engine="ray", until="toy_squares")
    before = manifest_times(tmp_path / "ray")
    shutil.copytree(tmp_path / "ray", tmp_path / "inline", copy_function=shutil.copy2)
    assert not run_dataset(config, engine="ray").errors
    assert contents(tmp_path / "ray") == inline_contents
    assert not run_dataset(poisoned_config(tmp_path / "inline", source), engine="inline").errors
    assert contents(tmp_path / "inline") == inline_contents
    for folder in ("ray", "inline"):
        assert before.items() <= manifest_times(tmp_path / folder).items(), "what was done is not computed again"
    check_logs(logs_in)


def check_logs(folder: Path) -> None:
    """Of the workers: which data set, stage, partition and item each line is about, told by a process that is not this one."""
    lines = [json.loads(line) for file in folder.iterdir() for line in file.read_text().splitlines()]
    done = [line for line in lines if line["message"] == "partition done" and line["pid"] != os.getpid()]
    assert {(line["stage"], line["partition"]) for line in done} == {
        (stage, partition) for stage in ("toy_numbers", "toy_squares", "toy_totals") for partition in range(4)
    }
    failed = {(line["dataset"], line["stage"], line["partition"], line["item"], line["error_class"]) for line in lines if line["item"]}
    assert failed == {("toy", "toy_squares", 0, "3", "ValueError"), ("toy", "toy_squares", 3, "12", "WorkerDied")}


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 4])
def test_over_however_many_workers(workers: int, source: Path, tmp_path: Path, inline_contents: dict[str, str]):
    assert not run_dataset(poisoned_config(tmp_path, source, workers=workers), engine="ray").errors
    assert contents(tmp_path) == inline_contents


def test_what_ray_keeps_of_every_block_is_forgotten(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Or the driver grows with every partition. Other plans of the same process keep theirs."""
    import ray.data

    kept: list[list[object]] = []
    look = execution.Execution.on_execution_step

    def look_after(self: execution.Execution, executor: Any) -> None:
        look(self, executor)
        kept.extend(one._output_blocks_stats for one in executor._topology if hasattr(one, "_output_blocks_stats"))

    monkeypatch.setattr(execution.Execution, "on_execution_step", look_after)
    before = list(ray.data.DataContext.get_current().custom_execution_callback_classes)
    assert not run_dataset(toy_config(tmp_path, source), engine="ray").errors
    assert len({id(one) for one in kept}) >= 2, "Ray keeps them under this name"
    assert all(len(one) < 4 for one in kept)
    assert ray.data.DataContext.get_current().custom_execution_callback_classes == before
    assert execution._running == []


@pytest.mark.soak
def test_every_poison_at_once(source: Path, tmp_path: Path):
    squares = {"segfaults": [0], "exits": [4], "raises": [9], "hangs": [12], "eats": [17]}
    placement = {"stages": {"toy_squares": {"deadline_factor": 8}}}  # starting on a busy machine is not hanging
    config = toy_config(tmp_path, source, squares=squares, placement=placement)
    report = run_dataset(config, engine="ray")
    assert not report.errors
    failures = {row.item_id: row.error_class for _, row in read_losses(open_root(config), build_plan(config, 4)[1], "failures")}
    assert failures == {"0": "WorkerDied", "4": "WorkerDied", "9": "ValueError", "12": "DeadlineExceeded", "17": "MemoryLimit"}
    assert [(status.inputs, status.emitted, status.failed) for status in report.statuses] == [(20, 20, 0), (20, 15, 5)]
    assert (report.exit_status(0.24), report.exit_status(0.25)) == (1, 0)


@pytest.mark.kill
def test_what_cannot_be_run_is_named_and_all_else_is_done_and_counted(tmp_path: Path, source: Path):
    """One partition whose disk is full, and one on which the stage kills its own supervisor, as the kernel's memory killer may: that one
    is left undone after three times. What workers count arrives at Prometheus."""
    placement: dict[str, Any] = {"partition_deaths": 3, "workers": 1, "partition_attempts": 1}
    config = toy_config(
        tmp_path / "root",
        source,
        name="counted",
        squares={"disk_full": [3], "kills_parent": [13], "raises": [5]},
        placement={**placement, "stages": {"toy_squares": {"deadline_factor": 60}}},
    )
    with Scraper() as prometheus:
        report = run_dataset(config, engine="ray")
        counted = prometheus.wait_for({("ray_internvid_partitions_total", "counted", "toy_numbers", "done"): 1})
    assert 0 < sum(counted.values()) <= 4, "workers count too; of their last half second Ray may lose what they have not reported"
    words = {(error.stage, error.partition): error.message for error in report.errors}
    assert words.keys() == {("toy_squares", 1), ("toy_squares", 2)}
    assert "3 workers in a row were ended from outside" in words["toy_squares", 1]
    assert "No space left" in words["toy_squares", 2]
    assert report.exit_status(1.0) == 3
    assert [status.partitions_done for status in report.statuses] == [4, 2]


def test_prometheus_is_told_what_was_counted(tmp_path: Path):
    """To the last figure: the driver is a process of Ray like any worker, and lives until they have been fetched."""
    make_videos(tmp_path / "videos", -1, 0, 1, 2, 3, 4, 5)
    config = toy_config(tmp_path / "set", tmp_path / "videos", name="told", squares={"raises": [3]}, placement={"isolate": False})
    wanted = {
        ("ray_internvid_items_total", "told", "toy_numbers", "emitted"): 6,
        ("ray_internvid_items_total", "told", "toy_numbers", "dropped"): 1,
        ("ray_internvid_drops_total", "told", "toy_numbers", "too_short"): 1,
        ("ray_internvid_items_total", "told", "toy_squares", "failed"): 1,
        ("ray_internvid_failures_total", "told", "toy_squares", "ValueError"): 1,
        ("ray_internvid_partitions_total", "told", "toy_squares", "done"): 2,
        ("ray_internvid_partition_seconds_count", "told", "toy_squares"): 2,
    }
    with Scraper() as prometheus:
        assert not run_dataset(config, engine="inline").errors
        assert prometheus.wait_for(wanted) == wanted
        assert prometheus.values["ray_internvid_written_bytes_total", "told", "toy_squares"] > 0
        assert prometheus.values["ray_internvid_work_seconds_total", "told", "toy_squares"] > 0
    known = {f"{metric.exported}{ending}" for metric in METRICS for ending in ("", "_bucket", "_count", "_sum")}
    assert {key[0] for key in prometheus.values} <= known


def test_what_does_not_fit_together_runs_in_segments(tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture):
    """Each stage wants all CPUs: Ray's pools would wait for each other without end."""
    import ray

    cpus = ray.cluster_resources()["CPU"]
    stages = {name: {"cpus": cpus, "max_workers": 1} for name in ("toy_numbers", "toy_squares")}
    config = toy_config(tmp_path / "root", source, placement={"isolate": False, "stages": stages})
    with caplog.at_level(logging.WARNING, "internvid_pipeline"):
        assert run_dataset(config, engine="ray").is_complete
    assert "segment 1 of 2: toy_numbers; segment 2 of 2: toy_squares (has no room beside those before it)" in caplog.text


def test_a_stage_that_needs_what_no_node_has_says_so(source: Path, tmp_path: Path):
    config = toy_config(tmp_path, source, placement={"stages": {"toy_squares": {"gpus": 64}}})
    with pytest.raises(SetupError, match=r"toy_squares needs 64 gpus .* placement.stages.toy_squares.gpus=0"):
        run_dataset(config, engine="ray")


def test_after_a_stall_what_others_hold_is_not_counted_on(source: Path, tmp_path: Path):
    """Somebody else's actor holds all CPUs but one: three stages of one CPU each fit on the machine, and not beside it."""
    import ray

    plans = build_plan(toy_config(tmp_path, source, placement={"stages": {"toy_squares": {"cpus": 1}, "toy_numbers": {"cpus": 1}}}), 1)
    cpus = ray.cluster_resources()["CPU"]

    @ray.remote(num_cpus=cpus - 1)
    class Other:
        def there(self) -> bool:
            return True

    other = Other.remote()
    assert ray.get(other.there.remote())
    assert [node["CPU"] for node in machines(plans, 0.0)] == [cpus], "at the start of a run all counts"
    assert [node["CPU"] for node in machines(plans, 0.0, stalled_s=30.0)] == [1.0]
    ray.kill(other)
    assert [node["CPU"] for node in machines(plans, 0.0, stalled_s=30.0)] == [cpus], "it has left"


@pytest.mark.soak
def test_deferred_inputs_end_as_on_the_inline_engine(tmp_path: Path):
    fields: dict[str, Any] = {"defers": {1: 1, 3: 2, 12: 1, 14: 1}, "drops": (2, 7), "gone": (0, 8)}
    for engine in ("inline", "ray"):
        config = asking_config(tmp_path, tmp_path / engine, state=f"{engine}-state", placement={"deferral_s": 0, "workers": 2}, **fields)
        report = run_dataset(config, engine=engine)
        assert report.errors == [] and report.deferred == 1 and report.exit_status(1.0) == 3
        assert [status.partitions_done for status in report.statuses] == [3, 3]
        assert run_dataset(config, engine="inline").deferred == 0
    assert contents(tmp_path / "inline") == contents(tmp_path / "ray")
