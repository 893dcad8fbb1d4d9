"""From a frozen record type to its Arrow schema and back, so that a table's columns are written down once: in the record.

Arrow types follow the annotations: str -> string, int -> int64, float -> float64, bool -> bool, bytes -> binary, `X | None` -> nullable,
`tuple[X, ...]` -> list, a record -> struct. A field without `| None` is not null. Schemas are always given to Arrow in full:
`pa.Table.from_pylist` alone keeps only the keys of the first row.
"""

import dataclasses
import functools
import operator
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import pyarrow as pa

from internvid_pipeline.errors import ContractError

R = TypeVar("R")
_SCALARS: Mapping[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def _arrow_type(annotation: Any) -> pa.DataType:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if get_origin(annotation) is tuple and get_args(annotation)[1:] == (Ellipsis,):
        return pa.list_(pa.field("item", _arrow_type(get_args(annotation)[0]), nullable=False))
    if dataclasses.is_dataclass(annotation):
        return pa.struct(list(schema_of(annotation)))
    raise TypeError(
        f"a record's field cannot be {annotation!r}; use str, int, float, bool, bytes, another record, tuple[X, ...] or X | None"
    )


def schema_of(record_type: Any) -> pa.Schema:
    """The Arrow schema of a record type, its columns in the order of the fields."""
    return _schema(record_type)


@functools.cache
def _schema(record_type: Hashable) -> pa.Schema:
    hints = get_type_hints(record_type)
    fields = []
    for field in dataclasses.fields(cast(Any, record_type)):
        annotation, nullable = _without_none(hints[field.name])
        fields.append(pa.field(field.name, _arrow_type(annotation), nullable=nullable))
    return pa.schema(fields)


def to_table(records: Iterable[Any], record_type: Any) -> pa.Table:
    """Records of one type as an Arrow table of `schema_of(record_type)`, in the order given. Raises ContractError where a value does
    not have the type of its field, or is None where that does not say `| None`."""
    try:
        table = pa.Table.from_pylist([_plain(record) for record in records], schema=schema_of(record_type))
    except (ValueError, TypeError, AttributeError, OverflowError, pa.ArrowException) as error:
        raise ContractError(f"a row is no {record_type.__name__}: {' '.join(str(error).split())}") from error
    for field, column in zip(table.schema, table.columns, strict=True):
        for chunk in column.chunks:
            _refuse_nulls(chunk, field, f"{record_type.__name__}.{field.name}")
    return table


def _plain(record: Any) -> dict[str, Any]:
    """A record as dictionaries and lists. `dataclasses.asdict` does the same, but copies every string and takes ten times as long."""
    names, values_of, nested = _shape(cast(Any, type(record)))
    row = dict(zip(names, values_of(record), strict=True))
    for name, is_record in nested:
        value = row[name]
        if isinstance(value, tuple):
            row[name] = [_plain(part) for part in value] if is_record else list(value)
        elif is_record and value is not None:
            row[name] = _plain(value)
    return row


@functools.cache
def _shape(kind: Hashable) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]], tuple[tuple[str, bool], ...]]:
    """The names of the fields, what gets all their values, and of the fields that are no scalars whether they hold records."""
    names = tuple(field.name for field in dataclasses.fields(cast(Any, kind)))
    values_of = operator.attrgetter(*names) if len(names) > 1 else lambda record: (getattr(record, names[0]),)
    nested = []
    for name, annotation in _hints(kind).items():
        annotation, _ = _without_none(annotation)
        inner = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
        if annotation not in _SCALARS:
            nested.append((name, dataclasses.is_dataclass(inner)))
    return names, values_of, tuple(nested)


def _refuse_nulls(array: pa.Array, field: pa.Field, path: str) -> None:
    """Arrow does not look at `nullable` when it makes a table; Parquet does when it is written, but does not say in which record."""
    if not field.nullable and array.null_count:
        raise ContractError(f"{path} is None in a row; its type does not allow that")
    if pa.types.is_struct(field.type):
        there = array.drop_null()
        for index, child in enumerate(field.type):
            _refuse_nulls(there.field(index), child, f"{path}.{child.name}")
    elif pa.types.is_list(field.type):
        _refuse_nulls(array.flatten(), field.type.value_field, f"{path}[]")


def _value(raw: Any, annotation: Any) -> Any:
    annotation, _ = _without_none(annotation)
    if raw is None or annotation in _SCALARS:
        return raw
    if get_origin(annotation) is tuple:
        return tuple(_value(part, get_args(annotation)[0]) for part in raw)
    return from_row(raw, annotation)


def from_row(row: Mapping[str, Any], record_type: type[R]) -> R:
    """One record from a row of `Table.to_pylist()`."""
    return record_type(**{name: _value(row[name], annotation) for name, annotation in _hints(cast(Any, record_type)).items()})


@functools.cache
def _hints(record_type: Hashable) -> dict[str, Any]:
    hints = get_type_hints(record_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(cast(Any, record_type))}


def from_table(table: pa.Table, record_type: type[R]) -> list[R]:
    """Records from a table that has at least the record's columns; others are left out."""
    return [from_row(row, record_type) for row in table.select(list(_hints(cast(Any, record_type)))).to_pylist()]
