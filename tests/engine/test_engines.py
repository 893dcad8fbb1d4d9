"""One contract for both engines: the same plan gives the same bytes, whatever distributes it and over however many workers."""

from pathlib import Path

import pytest

from internvid_pipeline.engine import build_plan, open_root, read_losses, run_dataset
from internvid_pipeline.errors import SetupError, UsageError
from tests.conftest import contents, manifest_times, toy_config

POISONED = {"raises": [3], "exits": [12]}


def config_at(root: Path, source: Path, **placement):
    return toy_config(
        root,
        source,
        numbers={"with_media": True, "copies": 2},
        squares=POISONED,
        stages={"tests.toy_stages:Totals": {}},
        placement=placement,
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    for number in range(20):
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    return folder


@pytest.fixture(scope="module")
def inline_contents(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inline")
    report = run_dataset(config_at(root, source), engine="inline")
    assert not report.errors
    return contents(root)


def test_inline_twice_is_the_same(source: Path, tmp_path: Path, inline_contents: dict[str, str]):
    run_dataset(config_at(tmp_path, source, workers=3), engine="inline")
    assert contents(tmp_path) == inline_contents


@pytest.mark.ray
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.soak), 2, pytest.param(4, marks=pytest.mark.soak)])
def test_ray_gives_what_inline_gives(workers: int, source: Path, tmp_path: Path, inline_contents: dict[str, str]):
    report = run_dataset(config_at(tmp_path, source, workers=workers), engine="ray")
    assert not report.errors
    assert contents(tmp_path) == inline_contents


@pytest.mark.ray
def test_a_run_begun_on_one_engine_is_finished_on_the_other(source: Path, tmp_path: Path, inline_contents: dict[str, str]):
    run_dataset(config_at(tmp_path, source), engine="ray", until="toy_numbers")
    before = manifest_times(tmp_path)
    run_dataset(config_at(tmp_path, source), engine="inline")
    assert contents(tmp_path) == inline_contents
    assert before.items() <= manifest_times(tmp_path).items()


@pytest.mark.ray
@pytest.mark.soak
def test_every_poison_at_once_on_ray(source: Path, tmp_path: Path):
    squares = {"segfaults": [0], "exits": [4], "raises": [9], "hangs": [12], "eats": [17]}
    placement = {"stages": {"toy_squares": {"deadline_factor": 8}}}  # starting on a busy machine is not hanging
    config = toy_config(tmp_path, source, squares=squares, placement=placement)
    report = run_dataset(config, engine="ray")
    assert not report.errors
    failures = {row.item_id: row.error_class for _, row in read_losses(open_root(config), build_plan(config, 4)[1], "failures")}
    assert failures == {"0": "WorkerDied", "4": "WorkerDied", "9": "ValueError", "12": "DeadlineExceeded", "17": "MemoryLimit"}
    assert [(status.inputs, status.emitted, status.failed) for status in report.statuses] == [(20, 20, 0), (20, 15, 5)]
    assert (report.exit_status(0.24), report.exit_status(0.25)) == (1, 0)


@pytest.mark.ray
def test_errors_come_through_ray(source: Path, tmp_path: Path):
    config = toy_config(tmp_path, source, squares={"disk_full": [13]}, placement={"partition_attempts": 1})
    report = run_dataset(config, engine="ray")
    assert [(error.stage, "No space left" in error.message) for error in report.errors] == [("toy_squares", True)]
    assert [status.partitions_done for status in report.statuses] == [4, 3]


@pytest.mark.ray
def test_a_stage_that_needs_a_gpu_says_so(source: Path, tmp_path: Path):
    config = toy_config(tmp_path, source, placement={"stages": {"toy_squares": {"gpus": 64}}})
    with pytest.raises(SetupError, match=r"toy_squares needs 64 gpus .* placement.stages.toy_squares.gpus=0"):
        run_dataset(config, engine="ray")


def test_only_and_until(source: Path, tmp_path: Path):
    config = config_at(tmp_path, source)
    report = run_dataset(config, engine="inline", only="toy_squares")
    assert len(report.errors) == 4 and "not there" in str(report.errors[0]), "nothing to read yet: said, not crashed"
    assert [status.stage for status in run_dataset(config, engine="inline", until="toy_numbers").statuses] == ["toy_numbers"]
    done = run_dataset(config, engine="inline", only="toy_squares")
    assert [(status.stage, status.partitions_done) for status in done.statuses] == [("toy_squares", 4)]
    with pytest.raises(UsageError, match="no stage 'toy_cubes'"):
        run_dataset(config, engine="inline", until="toy_cubes")


def test_new_inputs_compute_new_partitions_only(source: Path, tmp_path: Path):
    """And a stage that looks at all partitions is computed again, under another fingerprint."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in source.iterdir():
        (videos / path.name).write_bytes(path.read_bytes())
    root = tmp_path / "root"
    run_dataset(config_at(root, videos), engine="inline")
    before = manifest_times(root)
    for number in range(30, 33):
        (videos / f"{number}.mp4").write_bytes(b"y" * number)
    report = run_dataset(config_at(root, videos), engine="inline")
    after = manifest_times(root)
    new = {name.split("/")[0]: name for name in after.keys() - before.keys() if "totals" not in name}
    assert before.items() <= after.items()
    assert sorted(name.rsplit("/", 1)[1] for name in new.values()) == ["00004.manifest.json", "00004.manifest.json"]
    assert report.new_partitions == 1
    assert len({name.split("/")[1] for name in after if name.startswith("toy_totals/")}) == 2
