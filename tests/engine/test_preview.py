"""`internvid plan`: what a run would compute and which field did it, before anything is spent."""

import json
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.config import config_from
from internvid_pipeline.engine import Preview, preview, run_dataset
from internvid_pipeline.errors import StorageError, UsageError
from internvid_pipeline.storage import Root
from tests.conftest import toy_config

NUMBERS, SQUARES, TOTALS = (f"tests.toy_stages:{name}" for name in ("Numbers", "Squares", "Totals"))
IN_PROCESS = {"placement": {"isolate": False}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def found(plan: Preview) -> dict[str, tuple[int, int]]:
    return {stage.stage: (stage.to_compute, stage.done) for stage in plan.stages}


def reasons(plan: Preview) -> dict[str, tuple[str, ...]]:
    return {stage.stage: stage.reasons for stage in plan.stages}


def test_before_the_first_run(root: Path, numbers_folder: Path):
    plan = preview(toy_config(root, numbers_folder))
    assert (plan.inputs, plan.new_inputs, plan.partitions) == (20, 20, 0)
    assert found(plan) == {"toy_numbers": (0, 0), "toy_squares": (0, 0)}
    assert set(reasons(plan).values()) == {("20 new inputs",)}
    assert not root.exists(), "a preview reads only"


def test_when_all_is_done(root: Path, numbers_folder: Path):
    config = toy_config(root, numbers_folder, **IN_PROCESS)
    run_dataset(config, "inline")
    before = snapshot(root)
    plan = preview(config)
    assert (plan.inputs, plan.new_inputs, plan.partitions) == (20, 0, 4)
    assert found(plan) == {"toy_numbers": (0, 4), "toy_squares": (0, 4)}
    assert set(reasons(plan).values()) == {()}
    assert snapshot(root) == before


def test_a_prompt_is_named_and_nothing_upstream_is_computed(root: Path, numbers_folder: Path):
    stages = {TOTALS: {}}
    run_dataset(toy_config(root, numbers_folder, stages=stages, **IN_PROCESS), "inline")
    plan = preview(toy_config(root, numbers_folder, squares={"prompt": "cube"}, stages=stages, **IN_PROCESS))
    assert found(plan) == {"toy_numbers": (0, 4), "toy_squares": (4, 0), "toy_totals": (4, 0)}
    numbers, squares, totals = plan.stages
    assert numbers.reasons == ()
    assert squares.reasons == (f"stages.{SQUARES}.prompt changed from 'square' to 'cube'",)
    assert [(change.field, change.old, change.new) for change in squares.changes] == [(f"stages.{SQUARES}.prompt", "square", "cube")]
    assert totals.reasons == ("reads toy_squares, which is computed again",)
    assert totals.changes == ()
    assert json.loads(json.dumps(plan.to_dict()))["stages"][1]["changes"][0]["new"] == "cube"


def test_going_back_costs_nothing_and_the_nearest_older_result_is_compared(root: Path, numbers_folder: Path):
    for prompt, work_s in (("one", 0.0), ("two", 0.001)):
        run_dataset(toy_config(root, numbers_folder, squares={"prompt": prompt, "work_s": work_s}, **IN_PROCESS), "inline")
    back = preview(toy_config(root, numbers_folder, squares={"prompt": "one"}))
    assert found(back)["toy_squares"] == (0, 4)
    near_two = preview(toy_config(root, numbers_folder, squares={"prompt": "two", "work_s": 0.002}))
    assert [change.field for change in near_two.stages[1].changes] == [f"stages.{SQUARES}.work_s"]


def test_placement_computes_nothing_again(root: Path, numbers_folder: Path):
    run_dataset(toy_config(root, numbers_folder, **IN_PROCESS), "inline")
    placement = {"workers": 7, "isolate": True, "stages": {"toy_squares": {"cpus": 2, "batch_size": 1, "memory_mb": 999}}}
    assert found(preview(toy_config(root, numbers_folder, placement=placement))) == {"toy_numbers": (0, 4), "toy_squares": (0, 4)}


def test_new_inputs_are_counted_and_a_barrier_starts_anew(root: Path, numbers_folder: Path):
    config = toy_config(root, numbers_folder, stages={TOTALS: {}}, **IN_PROCESS)
    run_dataset(config, "inline")
    for number in (20, 21):
        (numbers_folder / f"{number}.mp4").write_bytes(b"y" * (number + 1))
    plan = preview(config)
    assert (plan.inputs, plan.new_inputs, plan.partitions) == (22, 2, 4)
    assert found(plan) == {"toy_numbers": (0, 4), "toy_squares": (0, 4), "toy_totals": (0, 4)}
    assert reasons(plan)["toy_squares"] == ("2 new inputs",)
    assert reasons(plan)["toy_totals"] == ("2 new inputs", "every partition is computed again then, since it looks at all")
    report = run_dataset(config, "inline", until="toy_squares")
    assert (report.num_partitions, report.new_partitions) == (5, 1)
    after = preview(config)
    assert found(after) == {"toy_numbers": (0, 5), "toy_squares": (0, 5), "toy_totals": (5, 0)}
    assert reasons(after)["toy_totals"] == ("looks at all partitions, and there are new ones",)


def test_a_run_that_stopped_half_way(root: Path, numbers_folder: Path):
    config = toy_config(root, numbers_folder, **IN_PROCESS)
    run_dataset(config, "inline")
    for manifest in sorted(root.glob("toy_squares/*/0000[12].manifest.json")):
        manifest.unlink()
    plan = preview(config)
    assert found(plan) == {"toy_numbers": (0, 4), "toy_squares": (2, 2)}
    assert reasons(plan)["toy_squares"] == ("2 of 4 partitions are not done",)


def test_a_stage_that_was_never_run(root: Path, numbers_folder: Path):
    config = toy_config(root, numbers_folder, **IN_PROCESS)
    run_dataset(config, "inline", until="toy_numbers")
    assert reasons(preview(config)) == {"toy_numbers": (), "toy_squares": ("never computed",)}


def test_a_raised_version_is_named(root: Path, numbers_folder: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.toy_stages import Numbers

    config = toy_config(root, numbers_folder, **IN_PROCESS)
    run_dataset(config, "inline")
    monkeypatch.setattr(Numbers, "version", 2)
    plan = preview(config)
    assert reasons(plan)["toy_numbers"] == ("version of the stage changed from 1 to 2",)
    assert reasons(plan)["toy_squares"] == ("reads toy_numbers, which is computed again",)


def test_other_files_in_a_stages_folder_do_not_matter(root: Path, numbers_folder: Path):
    run_dataset(toy_config(root, numbers_folder, **IN_PROCESS), "inline")
    (root / "toy_squares" / ".DS_Store").write_bytes(b"1")
    (root / "toy_squares" / "empty").mkdir()
    plan = preview(toy_config(root, numbers_folder, squares={"prompt": "cube"}))
    assert [change.field for change in plan.stages[1].changes] == [f"stages.{SQUARES}.prompt"]


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[]", b"{}"])
def test_a_damaged_description_is_said_in_one_line(root: Path, numbers_folder: Path, data: bytes):
    run_dataset(toy_config(root, numbers_folder, **IN_PROCESS), "inline")
    next(root.glob("toy_squares/*/fingerprint.json")).write_bytes(data)
    with pytest.raises(StorageError, match=r"toy_squares/.*/fingerprint\.json in .* is damaged") as caught:
        preview(toy_config(root, numbers_folder, squares={"prompt": "cube"}))
    assert "\n" not in str(caught.value)


def test_what_is_wrong_is_found_before_anything_is_read(root: Path, numbers_folder: Path):
    wrong: dict[str, Any] = {"root": str(root), "source": {"path": str(numbers_folder)}, "stages": {SQUARES: {}}}
    with pytest.raises(UsageError, match="no stage before it writes them"):
        preview(config_from(wrong))
    with pytest.raises(UsageError, match="does not exist"):
        preview(toy_config(root, numbers_folder / "nothing"))
    with pytest.raises(UsageError, match="root is empty"):
        preview(toy_config("", numbers_folder))
    assert not root.exists()


def test_a_data_set_in_an_object_store(numbers_folder: Path):
    config = toy_config("memory://preview/set", numbers_folder, **IN_PROCESS)
    run_dataset(config, "inline")
    assert found(preview(config)) == {"toy_numbers": (0, 4), "toy_squares": (0, 4)}
    assert Root("memory://preview/set").list_names("toy_squares") == [preview(config).stages[1].fingerprint]
