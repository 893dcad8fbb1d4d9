"""Failed inputs that are taken again: as new inputs, while what is done stays, and everybody counts the last attempt."""

import threading
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.engine import build_plan, open_root, partition_numbers, read_losses, run_dataset
from internvid_pipeline.engine.attempts import next_attempt, superseded_names, superseded_sources
from internvid_pipeline.engine.availability import availability
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.partitions import read_sources
from internvid_pipeline.engine.retry import Retry, mark_for_retry
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import SourceRecord, VideoRecord
from internvid_pipeline.stage import Emit, Item, Outcome
from internvid_pipeline.storage import Root, layout
from tests.conftest import contents
from tests.deferring_stages import asking_config, tried
from tests.made_records import made_video
from tests.made_stages import MadeClips, MadeVideos, made_config


def run(config, **more: Any):
    return run_dataset(config, engine="inline", **more)


def mark(config, *classes: str, stage: str | None = None) -> Retry:
    root = open_root(config)
    partitions = partition_numbers(root)
    return mark_for_retry(root, config, build_plan(config, len(partitions)), partitions, classes, stage)


def sources(config) -> list[SourceRecord]:
    root = open_root(config)
    return read_sources(root, partition_numbers(root))


def test_failed_inputs_of_a_class_are_taken_again(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", gone=(3, 8, 9), drops=(5,))
    run(config)
    before = contents(tmp_path / "set")
    assert mark(config) == Retry() and mark(config, "Private").other_failures == {"Gone": 3}
    assert contents(tmp_path / "set") == before
    found = mark(config, "Private", "Gone")
    assert (found.again, found.partitions, found.released) == (3, [4], 0)
    assert mark(config, "Gone").again == 0, "they are waiting to be run"
    again = [source for source in sources(config) if source.attempt == 2]
    originals = {source.uri: source for source in sources(config) if source.attempt == 1}
    assert [Path(source.uri).stem for source in again] == ["03", "08", "09"]
    assert [next_attempt(originals[source.uri]) for source in again] == again
    assert len({source.source_id for source in sources(config)}) == 23
    report = run(config)
    assert report.new_partitions == 0, "the originals are known"
    asked = report.statuses[0]
    assert (asked.inputs, asked.emitted, asked.failed) == (23, 19, 3), "manifests of the first attempts stay as they are"
    assert before.items() <= contents(tmp_path / "set").items()
    root, plans = open_root(config), build_plan(config, len(partition_numbers(open_root(config))))
    assert list(read_losses(root, plans[0], "failures", superseded_names(root, plans))) == []
    assert len(list(read_losses(root, plans[0], "failures"))) == 3
    outcomes = [(Path(found.uri).stem, found.outcome) for found in input_outcomes(root, plans, partition_numbers(root))]
    assert len(outcomes) == 20 and dict(outcomes)["05"] == "dropped" and "failed" not in dict(outcomes).values()
    assert validate_dataset(root, plans, partition_numbers(root), read_media=True).problems == []
    assert tried(tmp_path / "state", 3) == tried(tmp_path / "state", 3, attempt=2) == 1


def test_attempts_follow_one_another(tmp_path: Path):
    """3 fails again and again: each attempt is of the one before."""
    config = asking_config(tmp_path, tmp_path / "set", defers={3: 99}, placement={"max_deferrals": 1})
    for attempt in (1, 2, 3):
        assert run(config).deferred == 0
        assert mark(config, "ServerFault").again == 0
        assert mark(config, "RateLimited", stage="toy_squares").again == 0
        assert mark(config, "RateLimited").partitions == [3 + attempt]
    assert [source.attempt for source in sources(config) if source.uri.endswith("/03.mp4")] == [1, 2, 3, 4]
    (former,) = {frozenset(uris) for uris in superseded_sources(open_root(config)).values()}
    assert [Path(uri).stem for uri in former] == ["03"]
    root, partitions = open_root(config), partition_numbers(open_root(config))
    outcomes = [found.outcome for found in input_outcomes(root, build_plan(config, len(partitions)), partitions) if "/03." in found.uri]
    assert outcomes == ["pending"], "of the last attempt"


def test_many_at_once_append_an_attempt_once(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", gone=tuple(range(20)))
    run(config, until="toy_asking")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            mark(config, "Gone")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and sorted(source.attempt for source in sources(config)) == [1] * 20 + [2] * 20


class FailingClips(MadeClips):
    """Fails on the first attempt of number 3, and on one of the others whose clips are there."""

    name = "failing_clips"

    def process(self, batch) -> list[Outcome[Any]]:
        for item in batch:
            if item.record.title.startswith("first") and item.record.source_uri.endswith("/3.mp4"):
                raise ValueError("not the first time")
        return super().process(batch)


class AttemptVideos(MadeVideos):
    """Tells the attempt in the title."""

    name = "attempt_videos"

    def process(self, batch: Any) -> list[Outcome[VideoRecord]]:
        return [self._titled(item) for item in batch]

    def _titled(self, item: Item[SourceRecord]) -> Outcome[VideoRecord]:
        title = "first" if item.record.attempt == 1 else "again"
        return Emit((made_video(f"youtube-{Path(item.record.uri).stem}", source_uri=item.record.uri, title=title),))


def test_a_video_that_failed_later_is_taken_again_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It then stands twice among the videos, of which only the second has clips; nothing takes that for a fault."""
    import sys

    monkeypatch.setitem(sys.modules, "tests.engine.test_retry", sys.modules[__name__])
    config = made_config(tmp_path / "set", tmp_path / "videos", num_videos=5)
    stages = {f"tests.engine.test_retry:{name}": {} for name in ("AttemptVideos", "FailingClips")}
    config = config.model_copy(update={"stages": stages, "max_failed_ratio": 1.0})
    assert run(config).statuses[1].failed == 1
    found = mark(config, "ValueError")
    assert found.again == 1
    run(config)
    root, partitions = open_root(config), partition_numbers(open_root(config))
    plans = build_plan(config, len(partitions))
    outcomes = {Path(found.uri).stem: (found.outcome, found.clips) for found in input_outcomes(root, plans, partitions)}
    assert outcomes == {str(number): ("clips", 2 + number % 3) for number in range(5)}
    assert validate_dataset(root, plans, partitions, read_media=False).problems == []
    assert availability(root, plans, partitions).videos == {"available": 5}
    assert mark(config, "ValueError").again == 0


def test_roots_that_were_planned_before_the_log_of_appends(tmp_path: Path):
    config = asking_config(tmp_path, tmp_path / "set", gone=(3,))
    run(config)
    root = Root(config.root)
    for name in root.list_names(layout.APPENDS):
        root.delete(f"{layout.APPENDS}/{name}")
    assert mark(config, "Gone").again == 1
    assert superseded_sources(root) == {0: {str(tmp_path / "videos" / "03.mp4")}}
    assert run(config).statuses[0].emitted == 20
