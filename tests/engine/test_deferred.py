"""Inputs that their site puts off: what is done stays done, the rest is tried again, and every input ends in exactly one outcome."""

import dataclasses
import json
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import StatusReader, build_plan, open_root, partition_numbers, read_losses, run_dataset, run_partition
from internvid_pipeline.engine.attempt import ErrorKind, attempt_partition
from internvid_pipeline.engine.gc import delete_garbage, find_garbage
from internvid_pipeline.engine.inputs import list_inputs
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.ownership import Ownership, own_runs
from internvid_pipeline.engine.partitions import append_partitions
from internvid_pipeline.engine.parts import DeferralRules, read_kept, release
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.reduce import Reduced
from internvid_pipeline.engine.retry import mark_for_retry
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.engine.workers.host import open_host
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import DropReason, MediaRef
from internvid_pipeline.stage import Defer, Drop, Emit, Fail, Item, Outcome
from internvid_pipeline.storage import Manifest, PartManifest, Root, done_partitions, layout, read_manifest, read_part
from tests.conftest import contents, manifest_times
from tests.deferring_stages import asking_config, tried
from tests.toy_stages import NumberRecord


def run(config: DatasetConfig, **more: Any):
    return run_dataset(config, engine="inline", **more)


def plans_of(config: DatasetConfig) -> list[StagePlan]:
    return build_plan(config, len(partition_numbers(open_root(config))))


def tries(config: DatasetConfig, numbers: Collection[int] = range(20)) -> dict[int, int]:
    state = next(iter(config.stages.values()))["state"]
    return {number: tried(state, number) for number in numbers}


def rows_of(config: DatasetConfig) -> list[tuple[int, bytes]]:
    """All rows of the asking stage in order, with the bytes that they point at."""
    root, plan = open_root(config), plans_of(config)[0]
    rows = [row for number in sorted(done_partitions(root, plan.folder)) for row in read_rows(root, plan.folder, number, NumberRecord)]
    return [(row.number, root.read_media(row.media)) for row in rows]


def expected(number: int) -> tuple[int, bytes]:
    return number, f"bytes of {number} ".encode() * 40


WAIT = {"deferral_s": 3600}
NOW = {"deferral_s": 0}


def test_what_is_done_is_kept_and_the_rest_waits(tmp_path: Path):
    """Partition 0 defers 1 and 3, partition 2 all five; 7 is dropped and 8 gone, in a partition that is done."""
    fields: dict[str, Any] = {"defers": {1: 1, 3: 1, **dict.fromkeys(range(10, 15), 1)}, "drops": (2, 7), "gone": (0, 8)}
    config = asking_config(tmp_path, tmp_path / "set", placement=WAIT, **fields)
    report = run(config)
    root, (asking, squares) = open_root(config), plans_of(config)
    assert report.errors == [] and report.deferred == 7 and report.exit_status(1.0) == 3
    assert done_partitions(root, asking.folder) == done_partitions(root, squares.folder) == {1, 3}
    part = read_part(root, asking.folder, 0, 0)
    assert [one.item_id.rsplit("/")[-1] for one in part.done] == ["00.mp4", "02.mp4", "04.mp4"]
    assert [(one.error_class, one.message, one.attempts) for one in part.deferred] == [
        ("RateLimited", "not now, 1", 1),
        ("RateLimited", "not now, 3", 1),
    ]
    assert (part.inputs, part.emitted, part.dropped, part.failed) == (3, 1, 1, 1)
    assert read_part(root, asking.folder, 2, 0).done == () and not root.exists(layout.rows_table(asking.folder, 2, 0))
    asked, status = report.statuses
    assert (asked.partitions_done, asked.inputs, asked.deferred) == (2, 10, 7)
    assert asked.deferred_by_class == {"RateLimited": 4, "ServerFault": 3} and asked.next_try_at == part.deferred[0].not_before
    assert status.deferred == 0 and status.ready == 0
    before = manifest_times(tmp_path / "set")
    assert run(config).deferred == 7 and manifest_times(tmp_path / "set") == before, "their time has not come"
    assert set(tries(config).values()) == {1}
    outcomes = [found.outcome for found in input_outcomes(root, plans_of(config), [0])]
    assert outcomes == ["pending", "deferred", "pending", "deferred", "pending"], "what is finished of it counts with the rest"
    assert validate_dataset(root, plans_of(config), range(4), read_media=True).problems == []

    assert mark_for_retry(root, config, plans_of(config), range(4)).released == 7
    report = run(config)
    assert report.deferred == 0 and report.exit_status(1.0) == 0
    assert tries(config) == {number: 2 if number in fields["defers"] else 1 for number in range(20)}, (
        "what was done was not asked for again"
    )
    kept = [number for number in range(20) if number not in (0, 2, 7, 8)]
    assert rows_of(config) == [expected(own) for number in kept for own in (number, number + 1000)], "in the order of the inputs"
    asked = report.statuses[0]
    assert (asked.inputs, asked.emitted, asked.dropped, asked.failed) == (20, 16, 2, 2)
    files = [(file.kind, file.path.rsplit("/")[-1]) for file in read_manifest(root, asking.folder, 0).files]
    assert files == [
        ("media", "00000.part-0.tar"),
        ("media", "00000.tar"),
        ("rows", "00000.parquet"),
        ("drops", "00000.drops.parquet"),
        ("failures", "00000.failures.parquet"),
    ]
    assert validate_dataset(root, plans_of(config), range(4), read_media=True).problems == []


def test_the_end_of_a_run_tries_once_more(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", placement=NOW, defers={3: 1, 4: 2, 11: 1})
    report = run(config)
    assert report.deferred == 1 and tries(config, (3, 4, 11, 12)) == {3: 2, 4: 2, 11: 2, 12: 1}
    assert [status.partitions_done for status in report.statuses] == [3, 3], "what the second try finished goes through all stages"
    assert run(config).deferred == 0 and tries(config, (3, 4)) == {3: 2, 4: 3}
    assert len(rows_of(config)) == 40


def test_a_site_says_when(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", placement=NOW, defers={3: 1}, retry_after_s=1e9)
    run(config)
    part = read_part(open_root(config), plans_of(config)[0].folder, 0, 0)
    assert part.deferred[0].not_before[:10] > part.finished_at[:10], "not for years, but for a day"
    assert tries(config, [3]) == {3: 1}


def test_too_often_is_a_failure(tmp_path: Path):
    """3 is never there; 4's host is being left alone, for which nobody has asked for 4."""
    config = asking_config(tmp_path, tmp_path / "set", placement={**NOW, "max_deferrals": 3}, defers={3: 99}, left_alone={4: 7})
    run(config)
    assert run(config).deferred == 1
    part = read_kept(open_root(config), plans_of(config)[0].folder, 0)
    assert {Path(name).stem: one.attempts for name, one in part.deferred.items()} == {"04": 0}
    assert tries(config, [3, 4]) == {3: 3, 4: 4}
    run(config)
    assert run(config).deferred == 0
    (failure,) = [row for _, row in read_losses(open_root(config), plans_of(config)[0], "failures")]
    assert (Path(failure.item_id).stem, failure.error_class, failure.attempts) == ("03", "RateLimited", 3)


def test_a_stage_that_takes_a_partition_as_one_gets_it_whole(tmp_path: Path):
    """Its outcomes belong together: nothing is kept of an attempt that could not finish all."""
    config = asking_config(tmp_path, tmp_path / "set", "AskingAsOne", placement=NOW, numbers=5, defers={3: 1})
    assert run(config).deferred == 0
    assert tries(config, range(5)) == {0: 2, 1: 2, 2: 2, 3: 2, 4: 1}, "the first try stopped at 3"
    root, plan = open_root(config), plans_of(config)[0]
    assert read_part(root, plan.folder, 0, 0).done == ()
    assert [file.kind for file in read_manifest(root, plan.folder, 0).files] == ["media", "rows"]
    assert len(rows_of(config)) == 10


def test_the_stage_is_told_what_is_committed(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", placement={"isolate": True, **WAIT}, numbers=5, defers={3: 1})
    run(config, until="toy_asking")
    assert sorted((tmp_path / "state" / "committed").read_text().split()) == ["00", "01", "02", "04"]


def test_a_later_run_goes_on_from_the_parts_of_the_one_that_it_took_over(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", placement=NOW, numbers=5, defers={3: 1})
    root, plan = open_root(config), build_plan(config, 1)[0]
    append_partitions(root, list_inputs(config.source), config.source)
    host = open_host(plan, root, Reduced(), config.placement)
    earlier = own_runs(root, [plan])
    error = attempt_partition(root, plan, 0, lambda: host, 1, Ownership(root, plan, earlier))
    assert error is not None and error.kind is ErrorKind.DEFERRED and "1 of its inputs" in error.message
    later = own_runs(root, [plan])
    release(root, plan, 0)
    error = attempt_partition(root, plan, 0, lambda: host, 1, Ownership(root, plan, earlier))
    assert error is not None and error.kind is ErrorKind.FATAL and "taken over" in error.message
    assert attempt_partition(root, plan, 0, lambda: host, 1, Ownership(root, plan, later)) is None
    host.close()
    assert tries(config, range(5)) == {0: 1, 1: 1, 2: 1, 3: 2, 4: 1}


def test_gc_leaves_parts_alone_until_the_partition_is_done(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", placement=WAIT, defers={3: 1})
    run(config)
    root = open_root(config)
    before = contents(tmp_path / "set")
    report = find_garbage(root, plans_of(config), range(4), 0.0)
    assert report.garbage == [] and contents(tmp_path / "set") == before
    mark_for_retry(root, config, plans_of(config), range(4))
    run(config)
    report = find_garbage(root, plans_of(config), range(4), 0.0)
    left = {found.place.rsplit("/", 1)[-1] for found in report.garbage}
    assert left == {"00000.part-0.manifest.json", "00000.part-0.parquet", "00000.part-1.manifest.json"}, "not the part's media"
    rows = rows_of(config)
    delete_garbage(root, report)
    assert rows_of(config) == rows and len(rows) == 40
    assert validate_dataset(root, plans_of(config), range(4), read_media=True).problems == []


def test_validate_looks_into_parts(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", placement=WAIT, defers={3: 1})
    run(config)
    root, plan = open_root(config), plans_of(config)[0]
    assert root.folder is not None
    tar = root.folder / layout.media_tar(plan.folder, 0, 0)
    tar.write_bytes(tar.read_bytes()[:-1])
    (problem,) = validate_dataset(root, plans_of(config), range(4), read_media=False).problems
    assert problem.where.endswith("00000.part-0.tar") and "its manifest says" in problem.what
    path = root.folder / layout.manifest(plan.folder, 0, 0)
    data = json.loads(path.read_text())
    data["done"][0]["rows"] = 1
    path.write_text(json.dumps(data))
    problems = validate_dataset(root, plans_of(config), range(4), read_media=False).problems
    assert any("does not hold the rows" in problem.what for problem in problems)
    with pytest.raises(StorageError, match="delete that manifest"):
        mark_for_retry(root, config, plans_of(config), range(4))
        run_partition(root, plan, 0, ScriptedHost(tmp_path / "scratch", lambda items: [Drop(DropReason.BLACK, "") for _ in items]))


def test_of_two_parts_with_an_input_the_first_counts(tmp_path: Path):
    """As a store that cannot refuse to put a name twice may leave them: A's part, then B's, which had not seen it."""
    config = asking_config(tmp_path, tmp_path / "set", placement=WAIT, numbers=5, defers={3: 1})
    run(config)
    root, plan = open_root(config), plans_of(config)[0]
    first = read_part(root, plan.folder, 0, 0)
    other = dataclasses.replace(first.deferred[0], item_id=first.done[0].item_id)
    second = dataclasses.replace(first, part=1, done=first.done[1:], deferred=(other, *first.deferred), files=())
    root.put_bytes_if_absent(layout.manifest(plan.folder, 0, 1), second.to_json())
    kept = read_kept(root, plan.folder, 0)
    assert set(kept.done.values()) == {0} and [Path(name).stem for name in kept.deferred] == ["03"]


def test_summaries_do_not_count_what_is_deferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from internvid_pipeline.engine import status

    monkeypatch.setattr(status, "SUMMARY_STEP", 1)
    config = asking_config(tmp_path, tmp_path / "set", placement=WAIT, defers={3: 1})
    run(config)
    root = open_root(config)
    read = StatusReader(root, plans_of(config), range(4)).read()
    assert (read[0].partitions_done, read[0].inputs, read[0].deferred) == (3, 15, 1)
    release(root, plans_of(config)[0], 0)
    run(config)
    read = StatusReader(root, plans_of(config), range(4)).read()
    assert (read[0].partitions_done, read[0].inputs, read[0].deferred, read[0].next_try_at) == (4, 20, 0, "")


# --- interleavings --------------------------------------------------------------------------------------------------------------------


class ScriptedHost:
    """A host whose outcomes are told by a function."""

    def __init__(self, scratch: Path, script: Any) -> None:
        self.scratch, self.script = scratch, script
        self.told: list[str] = []
        scratch.mkdir(parents=True, exist_ok=True)

    def run(self, items: Sequence[Item[Any]]) -> list[Outcome[Any]]:
        return list(self.script(items))

    def committed(self, item_ids: Collection[str]) -> None:
        self.told += item_ids

    def close(self) -> None: ...

    def abandon(self) -> None: ...


KINDS = st.sampled_from(["emit", "emit", "drop", "fail", "defer", "defer", "left alone"])
# An attempt: what it says of each of the five items, and attempts that others make from beginning to end while it is at work.
ATTEMPT = st.recursive(
    st.tuples(st.lists(KINDS, min_size=5, max_size=5), st.just([])),
    lambda inner: st.tuples(st.lists(KINDS, min_size=5, max_size=5), st.lists(inner, max_size=2)),
    max_leaves=5,
)


class Interleaved:
    """One partition, worked on by many at once. tried: by item, the states of the partition that those who tried it had begun with."""

    def __init__(self, folder: Path) -> None:
        self.config = asking_config(folder, folder / "set", numbers=5, placement={"max_deferrals": 3})
        run(self.config, until="toy_asking")
        self.root, self.plan = Root(str(folder / "own")), plans_of(self.config)[0]
        self.root.put_bytes_if_absent(layout.sources_table(0), open_root(self.config).read_bytes(layout.sources_table(0)))
        self.folder, self.count = folder, 0
        self.rules = DeferralRules(3, 0.0)

    def attempt(self, kinds: Sequence[str], twins: Sequence[Any]) -> Manifest:
        self.count += 1
        scratch = self.folder / f"scratch-{self.count}"
        before = read_kept(self.root, self.plan.folder, 0)

        def script(items: Sequence[Item[Any]]) -> list[Outcome[Any]]:
            assert not {item.record.uri for item in items} & before.done.keys(), "what is done is not tried again"
            outcomes = [self.outcome(kinds[int(Path(item.record.uri).stem)], item.record.uri, scratch) for item in items]
            for twin in twins:
                self.attempt(*twin)
            return outcomes

        host = ScriptedHost(scratch, script)
        manifest = run_partition(self.root, self.plan, 0, host, self.rules)
        after = read_kept(self.root, self.plan.folder, 0)
        if isinstance(manifest, PartManifest):
            assert set(host.told) <= after.done.keys()
        return manifest

    def outcome(self, kind: str, uri: str, scratch: Path) -> Outcome[Any]:
        number = int(Path(uri).stem)
        if kind == "emit":
            path = scratch / f"{number}.bin"
            path.write_bytes(expected(number)[1])
            return Emit((NumberRecord(number=number, media=MediaRef.scratch(path)), NumberRecord(number=number + 1000)))
        if kind == "drop":
            return Drop(DropReason.BLACK, f"{number}")
        if kind == "fail":
            return Fail("Gone", f"{number}")
        return Defer("RateLimited", f"{number}", 0.0, kind == "defer")


@settings(max_examples=40, deadline=None)
@given(attempts=st.lists(ATTEMPT, min_size=1, max_size=4))
def test_however_attempts_are_interleaved_every_input_has_one_outcome(tmp_path_factory: pytest.TempPathFactory, attempts: list[Any]):
    logging.disable(logging.CRITICAL)
    state = Interleaved(tmp_path_factory.mktemp("interleaved"))
    for kinds, twins in attempts:
        parts = read_kept(state.root, state.plan.folder, 0).parts
        manifest = state.attempt(kinds, twins)
        now = read_kept(state.root, state.plan.folder, 0)
        assert now.parts[: len(parts)] == parts, "a part never changes"
        assert sum(len(part.done) for part in now.parts) == len(now.done), "an input stands in one of them"
        if isinstance(manifest, PartManifest):
            kept = read_kept(state.root, state.plan.folder, 0)
            assert len(kept.done) + len(kept.deferred) == 5 and not kept.done.keys() & kept.deferred.keys()
            assert all(one.attempts < 3 for one in kept.deferred.values())
    while isinstance(manifest, PartManifest):
        manifest = state.attempt(["emit"] * 5, [])
    assert manifest == read_manifest(state.root, state.plan.folder, 0) == state.attempt(["fail"] * 5, [])
    assert manifest.inputs == 5 == manifest.emitted + manifest.dropped + manifest.failed
    rows = read_rows(state.root, state.plan.folder, 0, NumberRecord)
    emitted = [row.number for row in rows if row.media is not None]
    assert [row.number for row in rows] == [own for number in emitted for own in (number, number + 1000)] and emitted == sorted(emitted)
    assert all(state.root.read_media(row.media) == expected(row.number)[1] for row in rows if row.media is not None)
    losses = [row for kind in ("drops", "failures") for _, row in read_losses(state.root, state.plan, kind)]
    lost = [int(Path(row.item_id).stem) for row in losses]
    assert sorted([*emitted, *lost]) == list(range(5)), "each once"
    assert validate_dataset(state.root, [state.plan], [0], read_media=True).problems == []
    logging.disable(logging.NOTSET)
