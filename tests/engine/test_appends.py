"""Planning at scale: what is read to learn what is known does not grow with the number of partitions."""

from pathlib import Path

import pytest

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine import partition_numbers
from internvid_pipeline.engine.appends import PARTITIONS_PER_ENTRY, SourceIndex
from internvid_pipeline.engine.inputs import Input
from internvid_pipeline.engine.partitions import append_partitions
from internvid_pipeline.storage import Root, layout

SOURCE = SourceConfig(path="x", partition_videos=1)


def inputs(number: int) -> list[Input]:
    return [Input(f"https://host/{index}.mp4", 1000 + index) for index in range(number)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that are read from here on."""
    read: list[str] = []
    real = Root.read_bytes
    monkeypatch.setattr(Root, "read_bytes", lambda root, path: read.append(path) or real(root, path))
    return read


def test_planning_again_reads_the_log_and_no_table(tmp_path: Path, counted: list[str]):
    number = 2 * PARTITIONS_PER_ENTRY + 7
    root = Root(str(tmp_path))
    assert append_partitions(root, inputs(number), SOURCE) == list(range(number))
    counted.clear()
    index = SourceIndex(root)
    assert append_partitions(root, inputs(number), SOURCE, index) == []
    assert sorted(set(counted)) == [layout.append_entry(entry) for entry in range(3)]
    assert len(counted) == 3, "and each of them once"
    assert index.partitions == partition_numbers(root) == list(range(number))
    assert index.seconds == {number: (1000 + number) / 250_000 for number in range(number)}
    counted.clear()
    assert append_partitions(root, inputs(number + 2), SOURCE) == [number, number + 1]
    assert not [path for path in counted if "appends" not in path]


def test_roots_that_were_planned_before_there_was_a_log(tmp_path: Path):
    root = Root(str(tmp_path))
    append_partitions(root, inputs(5), SOURCE)
    root.delete(layout.append_entry(0))
    assert append_partitions(root, inputs(7), SOURCE) == [5, 6]
    assert sorted(SourceIndex(root).read().table["uri"].to_pylist()) == sorted(entry.uri for entry in inputs(7))
    assert append_partitions(root, inputs(7), SOURCE) == []
