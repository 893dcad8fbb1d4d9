"""`gc`: what no config needs goes, and nothing else, whatever came before; a resumed run computes nothing again."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import build_plan, partition_numbers, run_dataset
from internvid_pipeline.engine.gc import GarbageReport, delete_garbage, find_garbage
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.errors import UsageError
from internvid_pipeline.storage import Root, layout, read_table, write_table
from tests.conftest import contents, manifest_times, toy_config
from tests.toy_stages import NumberRecord

INLINE = {"isolate": False}
OLD_S = 3 * 24 * 3600


@dataclass
class ToySet:
    """A data set of toy stages that is run with one prompt after the other."""

    folder: Path
    source: Path

    @property
    def root(self) -> Root:
        return Root(str(self.folder))

    def config(self, prompt: str = "square") -> DatasetConfig:
        return toy_config(self.folder, self.source, {"prompt": prompt}, {"with_media": True}, placement=INLINE)

    def run(self, prompt: str = "square", **more) -> None:
        assert run_dataset(self.config(prompt), engine="inline", **more).errors == []

    def plans(self, *prompts: str):
        partitions = partition_numbers(self.root)
        return [plan for prompt in prompts for plan in build_plan(self.config(prompt), len(partitions))], partitions

    def find(self, *prompts: str, grace_s: float = 0.0, **more) -> GarbageReport:
        plans, partitions = self.plans(*(prompts or ("square",)))
        return find_garbage(self.root, plans, partitions, grace_s, **more)

    def stage(self, prompt: str, index: int = 1) -> str:
        return self.plans(prompt)[0][index].folder

    def put_old(self, path: str, data: bytes = b"left", age_s: float = OLD_S) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        os.utime(file, (time.time() - age_s,) * 2)
        return file


@pytest.fixture
def toy(tmp_path: Path, numbers_folder: Path) -> ToySet:
    return ToySet(tmp_path / "set", numbers_folder)


def places(report: GarbageReport, *kinds: str) -> set[str]:
    return {found.place for found in report.garbage if found.kind in (kinds or ("old", "orphan", "staging"))}


def test_an_old_fingerprint_goes_with_all_that_is_in_it(toy: ToySet):
    toy.run("square")
    toy.run("other")
    old = toy.stage("square")
    size = sum(file.stat().st_size for file in (toy.folder / old).iterdir())
    report = toy.find("other")
    assert places(report) == {old}
    assert report.size_bytes == size and report.num_files == len(list((toy.folder / old).iterdir()))
    before = {name: hashed for name, hashed in contents(toy.folder).items() if not name.startswith(old)}
    assert delete_garbage(toy.root, report) == size
    assert contents(toy.folder) == before and not (toy.folder / old).exists()
    assert places(toy.find("other")) == set()


def test_configs_to_keep_are_kept(toy: ToySet):
    toy.run("square")
    toy.run("other")
    assert places(toy.find("other", "square")) == set()


def test_looking_deletes_nothing(toy: ToySet):
    toy.run("square")
    toy.run("other")
    toy.put_old(f"{toy.stage('other')}/00001.abcdefabcdef.parquet")
    before = contents(toy.folder)
    assert places(toy.find("other"))
    assert contents(toy.folder) == before


def test_old_results_stay_until_the_new_ones_are_complete(toy: ToySet):
    toy.run("square")
    toy.run("other")
    (toy.folder / layout.manifest(toy.stage("other"), 2)).unlink()
    report = toy.find("other")
    assert places(report) == set()
    assert report.kept == [(toy.stage("square"), "the kept config's own results of toy_squares are not complete yet")]
    assert places(toy.find("other", unreplaced=True)) == {toy.stage("square")}


def test_what_is_young_stays(toy: ToySet):
    toy.run("square")
    toy.run("other")
    report = toy.find("other", grace_s=3600)
    assert places(report) == set()
    assert "younger than the grace time" in report.kept[0][1]


def test_orphans_of_done_partitions_go_and_those_of_others_wait_for_their_run(toy: ToySet):
    toy.run()
    stage = toy.stage("square")
    (toy.folder / layout.manifest(stage, 3)).unlink()
    orphan = toy.put_old(f"{stage}/00001.abcdefabcdef.parquet")
    young = toy.put_old(f"{stage}/00002.abcdefabcdef.tar", age_s=60)
    foreign = toy.put_old(f"{stage}/notes.txt")
    report = toy.find(grace_s=3600)
    assert places(report) == {orphan.relative_to(toy.folder).as_posix()}
    delete_garbage(toy.root, report)
    assert not orphan.exists() and young.exists() and foreign.exists()
    assert (toy.folder / layout.rows_table(stage, 3)).exists(), "the next run takes it over"


def test_what_rows_of_kept_tables_point_at_stays(toy: ToySet):
    """A table whose rows lead into a tar of another fingerprint: made by moving the media there."""
    toy.run("square")
    numbers = toy.stage("square", 0)
    elsewhere = f"{numbers.split('/')[0]}/0123456789ab"
    shutil.copytree(toy.folder / numbers, toy.folder / elsewhere)
    assert places(toy.find()) == {elsewhere}
    table = toy.folder / layout.rows_table(numbers, 1)
    rows = read_table(toy.root, layout.rows_table(numbers, 1), NumberRecord)
    moved = [dataclasses.replace(row, media=dataclasses.replace(row.media, uri=f"{elsewhere}/00001.tar")) for row in rows]
    write_table(moved, NumberRecord, table)
    report = toy.find()
    assert places(report) == set()
    assert report.kept == [(elsewhere, "rows of kept tables point into it")]


def test_folders_that_are_not_ours_are_left_alone(toy: ToySet):
    toy.run()
    toy.put_old("toy_squares/0123456789ab/precious.bin")
    toy.put_old("videos/0123456789ab/holiday.mp4")
    toy.put_old("exports/a/b.jsonl")
    assert places(toy.find()) == set()


def test_leftovers_of_killed_processes_go_and_those_of_the_living_stay(toy: ToySet):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    toy.run()
    host = socket.gethostname()
    dead = toy.put_old(f".tmp/{host}-{ended.pid}-0123abcd/x.parquet").parent
    alive = toy.put_old(f".tmp/{host}-{os.getpid()}-0123abcd/x.parquet").parent
    other_old = toy.put_old(".tmp/elsewhere-17-0123abcd/x.parquet").parent
    os.utime(other_old, (time.time() - OLD_S,) * 2)
    other_young = toy.put_old(".tmp/elsewhere-18-0123abcd/x.parquet", age_s=60).parent
    report = toy.find(grace_s=24 * 3600)
    assert places(report, "staging") == {str(dead), str(other_old)}
    delete_garbage(toy.root, report)
    assert [path.exists() for path in (dead, alive, other_old, other_young)] == [False, True, False, True]


def test_refused_while_a_run_seems_to_be_at_work(toy: ToySet):
    toy.run("square")
    toy.run("other")
    report = toy.find("other")
    with pytest.raises(UsageError, match="a run seems to be at work"):
        delete_garbage(toy.root, report, idle_s=900)
    toy.run("square")  # another run, begun after we looked, writes its config into the root
    with pytest.raises(UsageError, match="another run has begun"):
        delete_garbage(toy.root, report)
    assert (toy.folder / toy.stage("square")).is_dir()


def test_cut_short_it_leaves_no_manifest_whose_files_are_gone(toy: ToySet, monkeypatch: pytest.MonkeyPatch):
    toy.run("square")
    toy.run("other")
    report = toy.find("other")
    real, calls = Root.delete, []

    def delete(self: Root, path: str) -> None:
        calls.append(path)
        if len(calls) == 7:
            raise KeyboardInterrupt
        real(self, path)

    with monkeypatch.context() as patch:
        patch.setattr("internvid_pipeline.engine.gc._DELETERS", 1)
        patch.setattr(Root, "delete", delete)
        with pytest.raises(KeyboardInterrupt):
            delete_garbage(toy.root, report)
    plans, partitions = toy.plans("square")
    assert validate_dataset(toy.root, plans, partitions, read_media=True).problems == []
    delete_garbage(toy.root, toy.find("other"))
    assert not (toy.folder / toy.stage("square")).exists()


PROMPTS = ("a", "b", "c")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from(PROMPTS)),
        st.tuples(st.just("numbers only"), st.sampled_from(PROMPTS)),
        st.tuples(st.just("lose"), st.sampled_from(PROMPTS), st.integers(0, 3)),
        st.tuples(st.just("orphan"), st.sampled_from(PROMPTS), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, unreplaced=st.booleans())
def test_whatever_happened_before_all_that_is_kept_is_whole_and_resumes(
    steps: list[tuple], unreplaced: bool, tmp_path_factory: pytest.TempPathFactory, numbers_folder: Path
):
    toy = ToySet(tmp_path_factory.mktemp("gc") / "set", numbers_folder)
    toy.run("a", until="toy_numbers")
    for kind, prompt, *number in steps:
        stage = toy.folder / toy.stage(prompt)
        if kind == "run":
            toy.run(prompt)
        elif kind == "numbers only":
            toy.run(prompt, until="toy_numbers")
        elif kind == "lose":
            (toy.folder / layout.manifest(toy.stage(prompt), number[0])).unlink(missing_ok=True)
        elif stage.is_dir():
            toy.put_old(f"{toy.stage(prompt)}/{layout.partition_name(number[0])}.0123456789ab.parquet")
    current = _prompt_of(toy)
    before = manifest_times(toy.folder)
    kept = {name: when for name, when in before.items() if name.startswith((toy.stage(current), toy.stage(current, 0)))}
    delete_garbage(toy.root, toy.find(current, unreplaced=unreplaced))
    after = manifest_times(toy.folder)
    assert {name: when for name, when in after.items() if name in kept} == kept
    plans, partitions = toy.plans(current)
    assert validate_dataset(toy.root, plans, partitions, read_media=True).problems == []
    toy.run(current)
    resumed = manifest_times(toy.folder)
    assert {name: when for name, when in resumed.items() if name in kept} == kept, "nothing is computed again"
    assert all(name.startswith((toy.stage(current), toy.stage(current, 0))) for name in set(resumed) - set(after))
    delete_garbage(toy.root, toy.find(current))
    assert manifest_times(toy.folder).keys() == {name for name in resumed if name.startswith((toy.stage(current), toy.stage(current, 0)))}


def _prompt_of(toy: ToySet) -> str:
    return yaml.safe_load((toy.folder / layout.DATASET_FILE).read_text())["stages"]["tests.toy_stages:Squares"]["prompt"]


def test_scratch_that_vanishes_while_it_is_looked_at_is_passed_over(toy: ToySet, monkeypatch: pytest.MonkeyPatch):
    """Another process of this machine deletes its scratch between the listing and the look at a file."""
    gone = toy.folder / "gone-1-abcdef"
    monkeypatch.setattr("internvid_pipeline.storage.inventory.owned_folders", lambda base: [(gone, None)])
    toy.run()
    assert places(toy.find(grace_s=0)) == set()
