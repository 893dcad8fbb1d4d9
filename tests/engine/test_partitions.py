"""Cutting inputs into partitions: nothing lost, nothing twice, nothing changed once it is written."""

import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine.inputs import Input, list_inputs
from internvid_pipeline.engine.partitions import append_partitions, partition_numbers, read_sources, source_id
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.storage import Root, layout, read_table


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(str(tmp_path / "set"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "videos").mkdir()
    return tmp_path / "videos"


def append(root: Root, folder: Path, **more: Any) -> list[int]:
    source = SourceConfig(path=str(folder), **more)
    return append_partitions(root, list_inputs(source), source)


def rows(root: Root) -> list[SourceRecord]:
    return read_sources(root, partition_numbers(root))


def partitions(root: Root) -> list[list[str]]:
    return [[Path(row.uri).name for row in read_sources(root, [number])] for number in partition_numbers(root)]


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(name.encode() * (len(list(folder.iterdir())) + 1))


def test_inputs_become_partitions_in_their_order(root: Root, folder: Path):
    fill(folder, "a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4")
    assert append(root, folder, partition_videos=2) == [0, 1, 2]
    assert partitions(root) == [["a.mp4", "b.mp4"], ["c.mp4", "d.mp4"], ["e.mp4"]]
    assert rows(root)[0] == SourceRecord(source_id=rows(root)[0].source_id, uri=str(folder / "a.mp4"), size_bytes=5)


def test_new_inputs_append_and_what_is_written_never_changes(root: Root, folder: Path):
    fill(folder, "b.mp4", "d.mp4")
    append(root, folder, partition_videos=2)
    before = root.read_bytes(layout.sources_table(0))
    assert append(root, folder, partition_videos=1) == []
    fill(folder, "a.mp4", "c.mp4", "e.mp4")
    assert append(root, folder, partition_videos=2) == [1, 2]
    assert partitions(root) == [["b.mp4", "d.mp4"], ["a.mp4", "c.mp4"], ["e.mp4"]]
    assert root.read_bytes(layout.sources_table(0)) == before


def test_an_input_that_is_gone_stays_where_it_was(root: Root, folder: Path):
    fill(folder, "a.mp4", "b.mp4")
    append(root, folder)
    (folder / "a.mp4").unlink()
    assert append(root, folder) == []
    assert sorted(Path(row.uri).name for row in rows(root)) == ["a.mp4", "b.mp4"]


def test_a_file_found_by_other_means_is_not_new(root: Root, folder: Path):
    fill(folder, "a.mp4")
    append(root, folder)
    (folder / "list.csv").write_text("path,title\na.mp4,A\n")
    assert append(root, folder / "list.csv") == []
    assert append(root, folder / "*.mp4") == []  # type: ignore[arg-type]


def test_a_file_that_has_changed_is_new(root: Root, folder: Path):
    fill(folder, "a.mp4")
    append(root, folder)
    (folder / "a.mp4").write_bytes(b"longer than it was before")
    assert append(root, folder) == [1]
    assert len({row.source_id for row in rows(root)}) == 2


def test_partitions_are_bounded_by_size(root: Root, folder: Path):
    """Sizes in MB: 1, 1, 3 (alone too large for 2), 1, 1. Sparse files."""
    for name, size_mb in (("a", 1), ("b", 1), ("c", 3), ("d", 1), ("e", 1)):
        with open(folder / f"{name}.mp4", "wb") as file:
            file.write(name.encode())
            file.truncate(size_mb * 10**6)
    append(root, folder, partition_mb=2, partition_videos=10)
    assert partitions(root) == [["a.mp4", "b.mp4"], ["c.mp4"], ["d.mp4", "e.mp4"]]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (16, [1] * 16), (17, [2] * 8 + [1]), (100, [7] * 14 + [2]), (600, [32] * 18 + [24])]
)
def test_without_a_number_inputs_are_shared_among_sixteen(root: Root, count: int, sizes: list[int]):
    inputs = [Input(f"https://host/{number}.mp4", None) for number in range(count)]
    append_partitions(root, inputs, SourceConfig(path="x"))
    assert [len(part) for part in partitions(root)] == sizes


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.none() | st.integers(0, 3 * 10**6), min_size=1, max_size=40),
    videos=st.none() | st.integers(1, 9),
    megabytes=st.integers(1, 4),
)
def test_every_input_is_in_one_partition_within_the_bounds(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int | None], videos: int | None, megabytes: int
):
    root = Root(str(tmp_path_factory.mktemp("set")))
    inputs = [Input(f"https://host/{number}.mp4", size) for number, size in enumerate(sizes)]
    numbers = append_partitions(root, inputs, SourceConfig(path="x", partition_videos=videos, partition_mb=megabytes))
    assert numbers == partition_numbers(root) == list(range(len(numbers)))
    assert [row.uri for row in rows(root)] == [entry.uri for entry in inputs]
    for number in numbers:
        part = read_sources(root, [number])
        assert 1 <= len(part) <= (videos or 32)
        assert len(part) == 1 or sum(row.size_bytes or 0 for row in part) <= megabytes * 10**6


def test_duplicates_by_bytes_within_one_run(root: Root, folder: Path):
    """b and d have a's bytes, c only its size, e is a link to a."""
    for name, data in (("a", b"same"), ("b", b"same"), ("c", b"othr"), ("d", b"same"), ("f", b"longer")):
        (folder / f"{name}.mp4").write_bytes(data)
    (folder / "e.mp4").symlink_to(folder / "a.mp4")
    append(root, folder, partition_videos=2)
    found = {Path(row.uri).name: row for row in rows(root)}
    assert {name: row.duplicate_of for name, row in found.items() if row.duplicate_of} == {
        name: str(folder / "a.mp4") for name in ("b.mp4", "d.mp4", "e.mp4")
    }
    assert found["c.mp4"].sha256 is not None
    assert found["f.mp4"].sha256 is None, "a file of a size of its own is not read"


def test_duplicates_by_bytes_across_runs(root: Root, folder: Path):
    """The earlier file was not hashed when it was alone with its size; it is when another comes."""
    (folder / "z.mp4").write_bytes(b"same")
    append(root, folder)
    (folder / "a.mp4").write_bytes(b"same")
    (folder / "b.mp4").write_bytes(b"diff")
    append(root, folder)
    (folder / "c.mp4").write_bytes(b"diff")
    append(root, folder)
    assert [(Path(row.uri).name, row.duplicate_of) for row in rows(root)] == [
        ("z.mp4", None),
        ("a.mp4", str(folder / "z.mp4")),
        ("b.mp4", None),
        ("c.mp4", str(folder / "b.mp4")),
    ]


def test_a_duplicate_whose_first_file_is_gone_is_the_first(root: Root, folder: Path):
    (folder / "z.mp4").write_bytes(b"same")
    append(root, folder)
    (folder / "z.mp4").unlink()
    (folder / "a.mp4").write_bytes(b"same")
    append(root, folder)
    assert [row.duplicate_of for row in rows(root)] == [None, None]


def test_duplicates_with_names_that_are_not_utf_8(root: Root, folder: Path):
    for name in (b"a\xff.mp4", b"b\xff.mp4"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"same")
    append(root, folder)
    first, second = rows(root)
    assert first.duplicate_of is None
    assert second.duplicate_of == first.uri == f"file://{folder}/a%FF.mp4"


def test_what_cannot_be_read_is_nobodys_duplicate(root: Root, folder: Path):
    (folder / "broken1.mp4").symlink_to(folder / "nothing")
    (folder / "broken2.mp4").symlink_to(folder / "nothing")
    append(root, folder)
    assert [(row.size_bytes, row.sha256, row.duplicate_of) for row in rows(root)] == [(None, None, None)] * 2


def test_metadata_is_kept_as_json(root: Root, folder: Path):
    """Half a surrogate pair is no UTF-8 and could not stand in a table."""
    fill(folder, "a.mp4", "b.mp4")
    (folder / "l.jsonl").write_text(
        '{"path": "a.mp4", "title": "視頻 🎬", "tags": ["x"], "a": 1}\n{"path": "b.mp4", "title": "\\ud83c!"}\n'
    )
    append(root, folder / "l.jsonl")
    first, second = rows(root)
    assert json.loads(first.metadata_json) == {"title": "視頻 🎬", "tags": ["x"], "a": 1}
    assert json.loads(second.metadata_json) == {"title": "?!"}


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, folder: Path):
    fill(folder, "a.mp4", "b.mp4", "c.mp4")
    one, two = Root(str(tmp_path / "one")), Root(str(tmp_path / "two"))
    for root in (one, two):
        append(root, folder, partition_videos=2)
    assert [one.read_bytes(layout.sources_table(n)) for n in (0, 1)] == [two.read_bytes(layout.sources_table(n)) for n in (0, 1)]


def test_ids_depend_on_place_and_size():
    ids = {source_id(Input(uri, size)) for uri in ("/a", "/b", "https://h/a") for size in (None, 0, 1)}
    assert len(ids) == 9
    assert source_id(Input("/a", 1, {"title": "x"})) == source_id(Input("/a", 1))


@pytest.mark.parametrize("planners", [2, 5])
def test_planners_at_once_lose_and_double_nothing(root: Root, planners: int):
    """Each knows a part of the inputs, and each part overlaps with the next; every planner is told of the partitions that it wrote."""
    source = SourceConfig(path="x", partition_videos=1)
    every = [Input(f"https://host/{number}.mp4", number) for number in range(60)]
    start = threading.Barrier(planners)
    told: dict[int, list[int]] = {}
    errors: list[BaseException] = []

    def plan(index: int) -> None:
        start.wait()
        try:
            told[index] = append_partitions(Root(root.uri), every[index * 5 : index * 5 + 40], source)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=plan, args=(index,)) for index in range(planners)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    counts = Counter(row.uri for row in rows(root))
    assert set(counts.values()) == {1}
    assert set(counts) == {entry.uri for entry in every[: (planners - 1) * 5 + 40]}
    numbers = partition_numbers(root)
    assert numbers == list(range(len(numbers)))
    assert sorted(number for own in told.values() for number in own) == numbers


def test_other_files_among_the_sources_are_no_partitions(root: Root, folder: Path):
    fill(folder, "a.mp4")
    append(root, folder)
    for name in ("00001.parquet.tmp", "notes.parquet", ".00002.parquet", "x.txt", "²²²²².parquet", "7.parquet"):
        root.put_bytes_if_absent(f"sources/{name}", b"1")
    assert partition_numbers(root) == [0]
    assert append(root, folder) == []
    assert read_table(root, layout.sources_table(0), SourceRecord) == rows(root)
