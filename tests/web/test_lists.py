"""Published lists: recognised by their columns, grouped by video, wrong lines named."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import SourceRecord, to_table
from internvid_pipeline.units import timestamp
from internvid_pipeline.web.clip_lists import parse_time
from internvid_pipeline.web.sources import collection_inputs, web_inputs


def internvid_row(video: str, start: float, end: float, caption: str = "a man rides", **scores: float) -> dict:
    return {"YoutubeID": video, "Start_timestamp": timestamp(start), "End_timestamp": timestamp(end), "Caption": caption, **scores}


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def sources(path: Path, **more: object) -> list[SourceRecord]:
    found = web_inputs(SourceConfig.model_validate({"path": str(path), **more}))
    assert found is not None
    return list(found)


def test_internvid_lines_are_grouped_by_video(tmp_path: Path):
    rows = [
        internvid_row("-bbbbbbbbbb", 111.578, 113.647, "zwei „Katzen“", Aesthetic_Score=4.3, UMT_Score=0.41),
        internvid_row("aaaaaaaaaaa", 3600.5, 3601),
        internvid_row("-bbbbbbbbbb", 1, 2, "earlier", **{"UMT-SIM": 0.3}),
        internvid_row("-bbbbbbbbbb", 1, 2, "earlier", **{"UMT-SIM": 0.3}),
    ]
    first, second = sources(write_jsonl(tmp_path / "InternVid-10M-flt.jsonl", rows))
    assert (first.uri, first.extractor, first.external_id) == ("https://www.youtube.com/watch?v=-bbbbbbbbbb", "Youtube", "-bbbbbbbbbb")
    assert [(one.start_s, one.end_s, one.caption) for one in first.clip_requests] == [
        (1, 2, "earlier"),
        (111.578, 113.647, "zwei „Katzen“"),
    ]
    assert {(one.scorer, one.value) for one in first.clip_requests[1].scores} == {("aesthetic", 4.3), ("umt_sim", 0.41)}
    assert [(one.scorer, one.value) for one in first.clip_requests[0].scores] == [("umt_sim", 0.3)], "the older spelling"
    assert first.clip_requests[0].list_name == "InternVid-10M-flt" and second.clip_requests[0].start_s == 3600.5
    assert to_table([first, second], SourceRecord).num_rows == 2


def test_panda_rows_hold_lists_and_quoted_line_breaks(tmp_path: Path):
    path = tmp_path / "panda70m_testing.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["videoID", "url", "timestamp", "caption", "matching_score", "desirable_filtering"])
        spans = "[['0:00:16.300', '0:00:32.566'], ['0:00:44.100', '0:00:49.066']]"
        writer.writerow(
            ["---4IxR2xOg", "https://x", spans, '["A man\'s dog.", \'Two\\nlines, "quoted".\']', "[0.45, 0.44]", "['desirable', 'x']"]
        )
        writer.writerow(["bbbbbbbbbbb", "https://x", "[[1, 2]]", "['one\nline break']".replace("\n", "\\n"), "[0.1]", "break\nin a cell"])
    first, second = sources(path)
    assert [(one.start_s, one.end_s) for one in first.clip_requests] == [(16.3, 32.566), (44.1, 49.066)]
    assert first.clip_requests[0].caption == "A man's dog." and first.clip_requests[1].scores[0].scorer == "matching"
    assert second.external_id == "bbbbbbbbbbb" and second.clip_requests[0].caption == "one\nline break"


def test_openvid_rows_are_whole_files(tmp_path: Path):
    path = tmp_path / "OpenVid-1M.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "video",
                "caption",
                "aesthetic score",
                "motion score",
                "temporal consistency score",
                "camera motion",
                "frame",
                "fps",
                "seconds",
            ]
        )
        writer.writerow(["celebv_a_0.mp4", "A face.", "5.1", "2.5", "0.99", "static", "100", "25", "4.0"])
    (one,) = sources(path)
    (other,) = sources(path, list_base="s3://bucket/videos/")
    assert one.uri == str(tmp_path / "celebv_a_0.mp4") and other.uri == "s3://bucket/videos/celebv_a_0.mp4" and one.extractor is None
    (request,) = one.clip_requests
    assert (request.start_s, request.end_s, request.caption) == (0, None, "A face.")
    assert {score.scorer: score.value for score in request.scores} == {"aesthetic": 5.1, "motion_score": 2.5, "temporal_consistency": 0.99}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**internvid_row("aaaaaaaaaaa", 1, 2), "End_timestamp": "0:0:x"}, "row 2: '0:0:x' is no time"),
        (internvid_row("aaaaaaaaaaa", 2, 2), "row 2: its span ends at 2 s"),
        ({**internvid_row("", 1, 2)}, "row 2: YoutubeID"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, row: dict, words: str):
    path = write_jsonl(tmp_path / "l.jsonl", [internvid_row("bbbbbbbbbbb", 1, 2), row])
    with pytest.raises(UsageError, match=words):
        sources(path)


def test_other_lists_are_left_to_the_engine(tmp_path: Path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"path": "a.mp4"}\n')
    assert web_inputs(SourceConfig(path=str(path))) is None
    assert web_inputs(SourceConfig(path=str(tmp_path))) is None


def test_ids_urls_queries_and_channels(tmp_path: Path):
    (tmp_path / "ids.txt").write_text("aaaaaaaaaaa\n# no\nhttps://youtu.be/bbbbbbbbbbb?t=1\n\naaaaaaaaaaa\n")
    (tmp_path / "queries.jsonl").write_text(
        '{"search_word": "骑车", "search_word_id": "riding a bike"}\n{"query": "faire du vélo", "language": "fr"}\n'
    )
    source = SourceConfig(
        ids=str(tmp_path / "ids.txt"), urls=("https://example.org/v.mp4",), queries=str(tmp_path / "queries.jsonl"), per_query=7
    )
    found = web_inputs(source)
    assert found is not None
    assert [record.uri.rsplit("=")[-1] for record in found] == ["aaaaaaaaaaa", "bbbbbbbbbbb", "https://example.org/v.mp4"]
    asked = collection_inputs(source.model_copy(update={"channels": ("https://www.youtube.com/@x",)}))
    assert [record.uri for record in asked] == [
        "ytsearch7:riding a bike",
        "ytsearch7:骑车",
        "ytsearch7:faire du vélo",
        "https://www.youtube.com/@x",
    ]
    assert asked[1].queries == ("骑车",) and '"zh"' in asked[1].metadata_json
    with pytest.raises(UsageError, match=r"source\.ids"):
        list(web_inputs(SourceConfig(ids="no-such-file")) or [])


@given(st.integers(0, 10**9))
def test_times_are_read_as_they_are_written(milliseconds: int):
    assert parse_time(timestamp(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)


@given(st.text(max_size=20))
def test_other_texts_are_no_times(text: str):
    try:
        assert parse_time(text) >= 0
    except ValueError as error:
        assert "no time" in str(error)


def test_lists_in_a_store_packed_or_in_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same inputs, wherever and however the list lies; what it was made of may change."""
    import gzip
    import tempfile

    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = [internvid_row("aaaaaaaaaaa", 1, 2, "one", Aesthetic_Score=4.0), internvid_row("bbbbbbbbbbb", 3, 4, "two", Aesthetic_Score=5.0)]
    path = write_jsonl(tmp_path / "InternVid-10M-flt.jsonl", rows)
    wanted = sources(path)
    packed = tmp_path / "packed" / "InternVid-10M-flt.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(path.read_bytes()))
    table = packed.with_name("InternVid-10M-flt.parquet")
    pq.write_table(pa.Table.from_pylist(rows), table)
    remote = "memory://lists/InternVid-10M-flt.jsonl"
    for data in (path.read_bytes(), path.read_bytes().split(b"\n")[0] + b"\n"):
        with fsspec.open(remote, "wb") as file:
            file.write(data)
        assert sources(remote) == wanted[: data.count(b"\n")]
    assert sources(packed) == sources(table) == wanted and sources(packed) == wanted
    own = tmp_path / "own.parquet"
    pq.write_table(pa.table({"path": ["a.mp4"]}), own)
    assert web_inputs(SourceConfig(path=str(own))) is None and web_inputs(SourceConfig(path="memory://lists/*.jsonl")) is None
    with pytest.raises(UsageError, match="cannot be read"):
        web_inputs(SourceConfig(path="memory://lists/none.jsonl"))
