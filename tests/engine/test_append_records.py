"""Streams of inputs: each taken once, of grown lists what is new, whoever else plans at the same time."""

import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine import append_records as streams
from internvid_pipeline.engine import partition_numbers
from internvid_pipeline.engine.append_records import append_records, count_new
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.partitions import read_sources
from internvid_pipeline.records import ClipRequest, SourceRecord
from internvid_pipeline.storage import Root, layout
from internvid_pipeline.web.list_inputs import source_id

SOURCE = SourceConfig(partition_videos=3)
Spans = dict[int, set[tuple[int, int]]]


def request(start: int, end: int) -> ClipRequest:
    """end 99: to the end of the video."""
    return ClipRequest(
        start_s=start / 2, end_s=None if end == 99 else end / 2, caption=f"{start}", caption_scale="fused", scores=(), list_name="list"
    )


def record(video: int, spans: set[tuple[int, int]] = frozenset()) -> SourceRecord:  # type: ignore[assignment]
    uri = f"https://host/{video}"
    return SourceRecord(source_id=source_id(uri), uri=uri, clip_requests=tuple(request(*span) for span in sorted(spans)))


def taken(root: Root) -> list[SourceRecord]:
    return read_sources(root, partition_numbers(root))


def wanted(root: Root) -> Counter[tuple[str, float, float | None]]:
    return Counter((row.uri, one.start_s, one.end_s) for row in taken(root) for one in row.clip_requests)


lists = st.dictionaries(st.integers(0, 12), st.sets(st.tuples(st.integers(0, 5), st.sampled_from([6, 7, 99])), min_size=0, max_size=4))


@settings(max_examples=40, deadline=None)
@given(appended=st.lists(lists, min_size=1, max_size=4))
def test_each_input_and_each_span_is_taken_once(tmp_path_factory: pytest.TempPathFactory, appended: list[Spans]):
    """Lists one after the other, each perhaps with more of what is known; what `count_new` says is what is appended."""
    root = Root(str(tmp_path_factory.mktemp("set")))
    every: dict[int, set[tuple[int, int]]] = {}
    for listed in appended:
        records = [record(video, spans) for video, spans in listed.items()]
        before = len(taken(root))
        total, new = count_new(SourceIndex(root).read(), records)
        append_records(SourceIndex(root).read(), iter(records), SOURCE)
        assert (total, new) == (len(records), len(taken(root)) - before)
        assert append_records(SourceIndex(root).read(), iter(records), SOURCE) == []
        for video, spans in listed.items():
            every.setdefault(video, set()).update(spans)
    asked = wanted(root)
    assert set(asked.values()) <= {1}
    assert set(asked) == {
        (f"https://host/{video}", *(request(*span).start_s, request(*span).end_s)) for video in every for span in every[video]
    }
    assert {row.uri for row in taken(root)} == {f"https://host/{video}" for video in every}
    assert len({row.source_id for row in taken(root)}) == len(taken(root))


def test_an_entry_holds_a_bounded_number_of_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "_MOST_HELD", 12)
    root = Root(str(tmp_path))
    numbers = append_records(SourceIndex(root).read(), (record(video) for video in range(40)), SOURCE)
    assert numbers == partition_numbers(root) == list(range(14)) and len(root.list_names(layout.APPENDS)) == 4
    assert [row.uri for row in taken(root)] == [f"https://host/{video}" for video in range(40)]


@pytest.mark.parametrize(("count", "size"), [(5, 1), (100, 7), (5000, 32)])
def test_without_a_number_a_small_stream_is_shared_among_sixteen(tmp_path: Path, count: int, size: int):
    root = Root(str(tmp_path))
    append_records(SourceIndex(root).read(), (record(video) for video in range(count)), SourceConfig())
    assert len(read_sources(root, [0])) == size and len(taken(root)) == count


def test_what_is_left_out_is_asked_only_of_new_inputs(tmp_path: Path):
    root = Root(str(tmp_path))
    append_records(SourceIndex(root).read(), [record(1), record(2)], SOURCE)
    seen: list[str] = []

    def keep(records):
        for one in records:
            seen.append(one.uri)
            if not one.uri.endswith("3"):
                yield one

    append_records(SourceIndex(root).read(), [record(number) for number in range(5)], SOURCE, keep)
    assert seen == [f"https://host/{number}" for number in (0, 3, 4)]
    assert sorted(row.uri for row in taken(root)) == [f"https://host/{number}" for number in (0, 1, 2, 4)]


def test_planners_at_once_lose_and_double_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each has a part of a list, which overlaps with the next one's, also in the spans of one video."""
    monkeypatch.setattr(streams, "_MOST_HELD", 6)
    start = threading.Barrier(4)
    told: dict[int, list[int]] = {}
    errors: list[BaseException] = []

    def plan(index: int) -> None:
        start.wait()
        try:
            merged: Spans = {}
            for number in range(index * 10, index * 10 + 50):
                merged.setdefault(number % 40, set()).add((number // 40, 50))
            records = [record(video, spans) for video, spans in merged.items()]
            told[index] = append_records(SourceIndex(Root(str(tmp_path))).read(), records, SOURCE)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=plan, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    root = Root(str(tmp_path))
    asked = wanted(root)
    assert set(asked.values()) == {1} and len(asked) == 80
    assert sorted(number for own in told.values() for number in own) == partition_numbers(root)
