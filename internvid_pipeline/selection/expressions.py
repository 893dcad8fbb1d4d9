"""Conditions that people write into a config, checked by their syntax tree before a database sees them."""

import functools
import json
from collections.abc import Iterator
from typing import Any

from internvid_pipeline.errors import UsageError

# Everything else (subqueries, files, settings, window functions, lambdas, star) is refused: a condition looks at one row.
_NODES = frozenset({"BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "OPERATOR", "TYPE"})
_OPERATORS = frozenset(("+", "-", "*", "/", "//", "%", "||", "~~", "!~~", "~~*", "!~~*"))
_FUNCTIONS = (
    *("abs", "ceil", "coalesce", "contains", "date_part", "ends_with", "floor", "greatest", "least", "len", "length", "list_contains"),
    *("ln", "log10", "lower", "md5", "nfc_normalize", "nullif", "prefix", "regexp_matches", "replace", "round", "sqrt", "starts_with"),
    *("strip_accents", "strlen", "substr", "substring", "suffix", "trim", "upper", "year"),
)
_MOST_CHARACTERS = 10_000


@functools.lru_cache(maxsize=256)
def columns_of(condition: str) -> tuple[str, ...]:
    """Names of the columns that a condition looks at, in lower case, in the order of first use.

    condition: one SQL expression that is true or false for a row, such as `duration_s between 1 and 120 and video_language = 'en'`.
    Operators, comparisons, CASE, CAST and the functions of `_FUNCTIONS` are allowed. Raises UsageError for anything else.
    """
    if len(condition) > _MOST_CHARACTERS:
        raise UsageError(f"a condition of {len(condition)} characters; the most is {_MOST_CHARACTERS}")
    found: list[str] = []
    for node in _nodes(_tree(condition)):
        kind, name = node["class"], str(node.get("function_name", ""))
        if kind not in _NODES or (kind == "FUNCTION" and name not in _OPERATORS and name not in _FUNCTIONS):
            what = f"the function {name}" if kind == "FUNCTION" else str(node.get("type", kind)).lower().replace("_", " ")
            raise UsageError(f"condition {condition!r} uses {what}; it may compare columns and use {', '.join(_FUNCTIONS)}")
        if kind == "COLUMN_REF":
            found.append(_column(node, condition))
    if not found:
        raise UsageError(f"condition {condition!r} looks at no column; compare one, such as duration_s >= 1")
    return tuple(dict.fromkeys(found))


@functools.cache
def _parser() -> Any:
    """An empty database that reads conditions: opening one costs more than all else."""
    import duckdb

    return duckdb.connect(":memory:")


def _tree(condition: str) -> Any:
    with _parser().cursor() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({condition}\n) FROM clips"]).fetchone()
    parsed = json.loads(row[0]) if row else {}
    if parsed.get("error"):
        raise UsageError(f"condition {condition!r} is no SQL expression: {parsed.get('error_message')}")
    statements = parsed.get("statements", [])
    select = statements[0]["node"] if len(statements) == 1 else {}
    is_plain = select.get("type") == "SELECT_NODE" and len(select.get("select_list", ())) == 1 and not select.get("where_clause")
    if not is_plain or select.get("modifiers") or select.get("group_expressions") or select.get("having"):
        raise UsageError(f"condition {condition!r} is not one expression; write one that is true for the clips to keep")
    return select["select_list"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """All nodes of a syntax tree."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _column(node: dict[str, Any], condition: str) -> str:
    names = node["column_names"]
    if len(names) != 1:
        raise UsageError(f"condition {condition!r}: {'.'.join(names)} has a dot; columns of videos are written video_<column>")
    return str(names[0]).lower()
