"""Every record type through Arrow and Parquet and back, with text of many scripts."""

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from internvid_pipeline import records
from internvid_pipeline.errors import ContractError
from internvid_pipeline.records import MediaRef, SourceRecord, from_table, schema_of, to_table
from internvid_pipeline.storage import Root, read_arrow, read_table, write_table

TYPES = [found for name in records.__all__ if dataclasses.is_dataclass(found := getattr(records, name))]
TEXTS = [
    "",
    "שלום עולם",
    "مرحبا بالعالم",
    "視頻剪輯",
    "ビデオ",
    "비디오",
    "🎬👨‍👩‍👧",
    "a\u2028b",
    "line\nbreak",
    "tab\t",
    "\x00",
    "e\u0301",
    "\ufeffBOM",
]
INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    int: INT64,
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
}


def values(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in SCALARS:
        return SCALARS[annotation]
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return st.none() | values(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is tuple:
        return st.lists(values(get_args(annotation)[0]), max_size=3).map(tuple)
    return rows_of(annotation)


def rows_of(record_type: Any) -> st.SearchStrategy[Any]:
    return st.builds(record_type, **{name: values(annotation) for name, annotation in get_type_hints(record_type).items()})


def an_example(record_type: Any) -> Any:
    """One plain record, every optional field filled."""
    fill: dict[Any, Any] = {str: "text", int: 3, float: 0.5, bool: True}

    def value(annotation: Any) -> Any:
        if annotation in fill:
            return fill[annotation]
        if get_origin(annotation) in (typing.Union, types.UnionType):
            return value(next(part for part in get_args(annotation) if part is not type(None)))
        if get_origin(annotation) is tuple:
            return (value(get_args(annotation)[0]),) * 2
        return an_example(annotation)

    return record_type(**{name: value(annotation) for name, annotation in get_type_hints(record_type).items()})


def test_there_are_records_to_test():
    assert {found.__name__ for found in TYPES} >= {
        "SourceRecord",
        "VideoRecord",
        "ClipRecord",
        "CaptionRecord",
        "ScoreRecord",
        "SampleRecord",
    }


@pytest.mark.parametrize("record_type", TYPES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_table_gives_back_its_records(record_type: Any, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    rows = data.draw(st.lists(rows_of(record_type), max_size=4))
    folder = tmp_path_factory.mktemp("table")
    write_table(rows, record_type, folder / "t.parquet")
    root = Root(str(folder))
    assert read_table(root, "t.parquet", record_type) == rows
    assert read_arrow(root, "t.parquet").schema.equals(schema_of(record_type))


@pytest.mark.parametrize("record_type", TYPES)
def test_an_empty_table_keeps_its_schema(record_type: Any, tmp_path: Path):
    write_table([], record_type, tmp_path / "t.parquet")
    table = read_arrow(Root(str(tmp_path)), "t.parquet")
    assert table.num_rows == 0
    assert table.schema.equals(schema_of(record_type))
    assert from_table(table, record_type) == []


@pytest.mark.parametrize("record_type", TYPES)
def test_none_only_where_the_type_says_so(record_type: Any):
    """Nullability of every column follows `| None`, and None elsewhere is refused with the column's name."""
    schema = schema_of(record_type)
    row = an_example(record_type)
    for name, annotation in get_type_hints(record_type).items():
        may_be_none = type(None) in get_args(annotation)
        assert schema.field(name).nullable is may_be_none, name
        changed = dataclasses.replace(row, **{name: None})
        if may_be_none:
            assert from_table(to_table([changed], record_type), record_type) == [changed]
        else:
            with pytest.raises(ContractError, match=name):
                to_table([row, changed], record_type)


def test_none_inside_a_nested_record_is_refused():
    clip = an_example(records.ClipRecord)
    for changed in (
        dataclasses.replace(clip, media=MediaRef(uri=None)),  # type: ignore[arg-type]
        dataclasses.replace(clip, frames=(dataclasses.replace(clip.frames[0], time_s=None),)),
        dataclasses.replace(clip, frames=(None,)),
    ):
        with pytest.raises(ContractError, match="ClipRecord"):
            to_table([changed], records.ClipRecord)


def test_a_value_of_another_type_is_refused():
    with pytest.raises(ContractError, match="SourceRecord"):
        to_table([SourceRecord(source_id="a", uri="/a", size_bytes="many")], SourceRecord)  # type: ignore[arg-type]
    with pytest.raises(ContractError, match="SourceRecord"):
        to_table([SourceRecord(source_id="a", uri="/a", size_bytes=2**63)], SourceRecord)


def test_columns_that_the_first_row_leaves_empty_are_kept():
    rows = [SourceRecord(source_id="a", uri="/a"), SourceRecord(source_id="b", uri="/b", size_bytes=5, sha256="ab")]
    assert from_table(to_table(rows, SourceRecord), SourceRecord) == rows


def test_further_columns_are_left_out():
    table = to_table([SourceRecord(source_id="a", uri="/a")], SourceRecord)
    wider = table.append_column("colour", pa.array(["red"]))
    assert from_table(wider, SourceRecord) == [SourceRecord(source_id="a", uri="/a")]


def test_a_missing_column_is_named():
    table = to_table([SourceRecord(source_id="a", uri="/a")], SourceRecord).drop_columns(["uri"])
    with pytest.raises(KeyError, match="uri"):
        from_table(table, SourceRecord)


def test_a_type_that_a_record_cannot_hold_is_named():
    @dataclasses.dataclass
    class Odd:
        when: complex

    with pytest.raises(TypeError, match=r"complex.*use str, int"):
        schema_of(Odd)


def test_a_scratch_reference_knows_its_file():
    ref = MediaRef.scratch(Path("/tmp/a b.mp4"), 3, 4)
    assert (ref.scratch_path, ref.offset_bytes, ref.size_bytes) == (Path("/tmp/a b.mp4"), 3, 4)
    assert MediaRef(uri="/tmp/a b.mp4").scratch_path is None


@pytest.mark.parametrize("record_type", [found for found in TYPES if hasattr(found, "item_id")])
def test_every_row_of_a_stage_has_a_name(record_type: Any):
    assert "text" in an_example(record_type).item_id
