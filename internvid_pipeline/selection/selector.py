"""Rules over a set: for each clip and selection, whether it is kept, and by which rule it was left out."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from internvid_pipeline.errors import UsageError
from internvid_pipeline.selection.database import SetDatabase, quoted
from internvid_pipeline.selection.draws import inverse_count_draw, uniform_draw
from internvid_pipeline.selection.expressions import columns_of
from internvid_pipeline.selection.rules import Rule, Selection

KEPT = -1  # no rule left the clip out
_BATCH_ROWS = 100_000


def decide(database: SetDatabase, selections: Mapping[str, Selection]) -> Iterator[pa.RecordBatch]:
    """Batches of rows {partition: int64, clip_id: string, selection: string, rule: int64, value: float64 or null}, by the order of the
    set and then of `selections`.

    rule: position of the rule that left the clip out, KEPT for none. value: what that rule looked at, null where the clip has none, or
    the rule looks at several columns or at none. Memory: about 50 bytes for each clip that a draw can choose from, else the database's
    own bound. Raises UsageError for a rule that cannot be computed."""
    connection = database.connection
    for number, selection in enumerate(selections.values()):
        connection.execute("CREATE TABLE alive AS SELECT number FROM rows")
        connection.execute(f"CREATE TABLE fate_{number} (number BIGINT, rule BIGINT, value DOUBLE)")
        for position, rule in enumerate(selection.rules):
            _apply(database, rule, position, f"fate_{number}")
        connection.execute(f"INSERT INTO fate_{number} SELECT number, {KEPT}, NULL FROM alive")
        connection.execute("DROP TABLE alive")
    names = list(selections)
    parts = [
        f"SELECT r.number, r.partition, r.clip_id, {number} AS position, f.rule, f.value FROM rows r JOIN fate_{number} f USING (number)"
        for number in range(len(names))
    ]
    if not parts:
        return
    query = connection.sql(f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY number, position")
    for batch in query.to_arrow_reader(_BATCH_ROWS):
        positions = batch.column("position").to_numpy(zero_copy_only=False)
        selection_names = pa.array([names[position] for position in positions], pa.string())
        columns = [batch.column("partition").cast(pa.int64()), batch.column("clip_id").cast(pa.string()), selection_names]
        yield pa.RecordBatch.from_arrays(
            [*columns, batch.column("rule"), batch.column("value")], names=["partition", "clip_id", "selection", "rule", "value"]
        )


class HasConnection(Protocol):
    """A database with the table `rows` of `SetDatabase`."""

    connection: Any


def count_kept(database: HasConnection, selection: Selection, pool: str, members: str) -> tuple[list[int], frozenset[int]]:
    """How many clips are left after each rule, the first number before any; and which of some clips are left at the end.

    The same rules by the same SQL as `decide`, without the fates of all clips and without writing anything: fast enough to be asked while
    somebody moves a slider, and safe for several threads. pool: a condition over `rows` that says which clips there are to choose from.
    members: a query for numbers of clips. Raises UsageError for a rule that cannot be computed, and for draws and quotas: they depend on
    more than thresholds, and only `decide` makes them."""
    tests = [f"({pool})"]
    with database.connection.cursor() as cursor, _computed(", ".join(rule.words for rule in selection.rules)):
        for rule in selection.rules:
            condition = row_condition(rule)
            if condition is None and rule.top_ratio is not None and rule.column is not None:
                column = quoted(rule.column.lower())
                living = f"FROM (SELECT {column} FROM rows WHERE {tests[-1]})"
                condition = f"{column} >= {_threshold(cursor, rule.top_ratio, column, living)}"
            if condition is None:
                raise UsageError(f"{rule.words}: only select_clips itself can count this")
            tests.append(f"{tests[-1]} AND ({condition})")
        counted = ", ".join(f"count(*) FILTER (WHERE {test})" for test in tests)
        counts = [int(count) for count in cursor.execute(f"SELECT {counted} FROM rows").fetchone() or ()]
        found = cursor.execute(f"SELECT number FROM rows SEMI JOIN ({members}) m USING (number) WHERE {tests[-1]}").fetchall()
    return counts, frozenset(number for (number,) in found)


@contextlib.contextmanager
def _computed(words: str) -> Iterator[None]:
    """What the database cannot do with a rule is the rule's fault."""
    import duckdb

    try:
        yield
    except (duckdb.BinderException, duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        raise UsageError(f"rule {words!r} cannot be computed: {str(error).splitlines()[0]}") from error


def _apply(database: SetDatabase, rule: Rule, position: int, fates: str) -> None:
    """Moves the clips that the rule leaves out from `alive` to `fates`."""
    connection = database.connection
    value = quoted(rule.column.lower()) if rule.column else "NULL"
    number_value = f"TRY_CAST({value} AS DOUBLE)"
    with _computed(rule.words):
        connection.execute(f"CREATE TABLE passed AS {_passing(database, rule)}")
    connection.execute(
        f"INSERT INTO {fates} SELECT number, {position}, {number_value} FROM rows SEMI JOIN alive USING (number) "
        "ANTI JOIN passed USING (number)"
    )
    connection.execute("DROP TABLE alive")
    connection.execute("ALTER TABLE passed RENAME TO alive")


def _passing(database: SetDatabase, rule: Rule) -> str:
    """SQL for the numbers of the living clips that a rule keeps."""
    living = "FROM rows SEMI JOIN alive USING (number)"
    condition = row_condition(rule)
    if condition is not None:
        return f"SELECT number {living} WHERE {condition}"
    if rule.draw is not None:
        return _drawn(database, rule, living)
    assert rule.column is not None
    column = quoted(rule.column.lower())
    if rule.top_ratio is not None:
        return f"SELECT number {living} WHERE {column} >= {_threshold(database.connection, rule.top_ratio, column, living)}"
    if rule.most_per_value is not None:
        # By a hash of the clip's id: no clip is preferred for its place in the list, and more clips never push out a kept value's order.
        ranked = f"SELECT number, row_number() OVER (PARTITION BY {column} ORDER BY md5(clip_id), number) AS place {living}"
        return f"SELECT number FROM ({ranked} WHERE {column} IS NOT NULL) WHERE place <= {rule.most_per_value}"
    raise AssertionError(f"no rule: {rule}")


def row_condition(rule: Rule) -> str | None:
    """SQL that is true for the rows that a rule keeps; None where a clip's fate depends on the others'."""
    if rule.where is not None:
        columns_of(rule.where)  # checked again here: nothing else may reach the database
        return f"({rule.where}\n)"
    if rule.needs_set:
        return None
    assert rule.column is not None
    column = quoted(rule.column.lower())
    bounds = [
        f"{column} >= {rule.minimum!r}" if rule.minimum is not None else "",
        f"{column} <= {rule.maximum!r}" if rule.maximum is not None else "",
    ]
    return " AND ".join(bound for bound in bounds if bound)


def _threshold(connection: Any, ratio: float, column: str, living: str) -> str:
    """The value from which on the highest `ratio` of the values lie; ties are all kept."""
    count = connection.execute(f"SELECT count({column}) {living}").fetchone()
    num_values = int(count[0]) if count else 0
    if num_values == 0:
        return "NULL"
    kept = max(1, int(np.floor(num_values * ratio + 1e-9)))
    row = connection.execute(
        f"SELECT {column} {living} WHERE {column} IS NOT NULL ORDER BY {column} DESC LIMIT 1 OFFSET {kept - 1}"
    ).fetchone()
    assert row is not None
    return f"CAST('{float(row[0])!r}' AS DOUBLE)"


def _drawn(database: SetDatabase, rule: Rule, living: str) -> str:
    assert rule.draw is not None
    connection = database.connection
    if rule.draw.per_video:
        # DIV's weights need only to know which clips share a video: numbers in place of names keep 100 million of them small.
        groups = connection.execute(
            f"SELECT dense_rank() OVER (ORDER BY video_id)::INTEGER AS video, number {living} ORDER BY number"
        ).fetchnumpy()
        numbers = groups["number"]
        chosen = inverse_count_draw(groups["video"], rule.draw.num_clips, rule.draw.seed)
    else:
        numbers = connection.execute(f"SELECT number {living} ORDER BY number").fetchnumpy()["number"]
        chosen = uniform_draw(len(numbers), rule.draw.num_clips, rule.draw.seed)
    connection.register("chosen", pa.table({"number": np.sort(numbers[chosen])}))
    connection.execute("CREATE OR REPLACE TEMP TABLE drawn AS SELECT number FROM chosen")
    connection.unregister("chosen")
    return "SELECT number FROM drawn ORDER BY number"
