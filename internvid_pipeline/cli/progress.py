"""What people see while a run goes on: a live table on a terminal, plain lines elsewhere; and the table at the end."""

import logging
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import RunReport, StageStatus
from internvid_pipeline.engine.logs import is_json, where
from internvid_pipeline.units import duration_text, size_text

_log = logging.getLogger(__name__)
_PLAIN_INTERVAL_S = 10.0
_PIPE_COLUMNS = 160


class Progress:
    """Shows statuses as they come. Use as a context manager around the run."""

    def __init__(self, quiet: bool) -> None:
        self.console = Console(stderr=True)
        self.quiet = quiet
        plain = quiet or is_json() or not self.console.is_terminal
        self._live = None if plain else Live(console=self.console, auto_refresh=False)
        self._started = time.monotonic()
        self._printed_at = 0.0
        self._first: dict[str, tuple[float, int, int]] = {}
        self._lines: dict[str, str] = {}

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, statuses: Sequence[StageStatus]) -> None:
        """Takes the statuses of now."""
        if self._live is not None:
            self._live.update(self._table(statuses), refresh=True)
        elif not self.quiet:
            self._print_lines(statuses)

    def _rate(self, status: StageStatus) -> tuple[str, str]:
        """Items per second and time left, from what was done since this stage first moved in this run: what lay there before cost
        nothing, and while a stage waits for the ones before it its clock stands."""
        now = time.monotonic()
        since, done, inputs = self._first.setdefault(status.stage, (now, status.partitions_done, status.inputs))
        if status.partitions_done == done:
            self._first[status.stage] = (now, done, inputs)
            return "", ""
        elapsed = max(now - since, 1e-3)
        left_s = elapsed * (status.partitions - status.partitions_done) / (status.partitions_done - done)
        return f"{(status.inputs - inputs) / elapsed:.2f}", duration_text(left_s) if status.partitions_done < status.partitions else ""

    def _table(self, statuses: Sequence[StageStatus]) -> Table:
        table = Table("stage", box=None, pad_edge=False)
        for name in ("partitions", "emitted", "dropped", "failed", "items/s", "left"):
            table.add_column(name, justify="right")
        for status in statuses:
            rate, left = self._rate(status)
            table.add_row(escape(status.stage), f"{status.partitions_done}/{status.partitions}", *_counts(status), rate, left)
        return table

    def _print_lines(self, statuses: Sequence[StageStatus]) -> None:
        """A line for each stage that moved, at most one round in ten seconds, and always when a stage is finished."""
        now = time.monotonic()
        rounds = now - self._printed_at >= _PLAIN_INTERVAL_S
        for status in statuses:
            finished = status.partitions_done == status.partitions
            rate, left = self._rate(status)
            done = f"{status.partitions_done}/{status.partitions} partitions"
            line = f"{status.stage}: {done}, {status.emitted} emitted, {status.dropped} dropped, {status.failed} failed"
            line += f", {status.deferred} deferred" if status.deferred else ""
            if (status.partitions_done or status.deferred) and line != self._lines.get(status.stage) and (rounds or finished):
                self._lines[status.stage] = line
                self._printed_at = now
                extra = (f", {rate} items/s" if rate else "") + (f", {left} left" if left else "")
                if is_json():
                    counts: dict[str, Any] = {key: value for key, value in status.to_dict().items() if isinstance(value, int | float)}
                    _log.info("progress", extra=where(status.stage, **counts))
                else:
                    print(f"{line}{extra}", file=sys.stderr, flush=True)


def _counts(status: StageStatus) -> tuple[str, str, str]:
    return str(status.emitted), str(status.dropped), f"[red]{status.failed}[/red]" if status.failed else "0"


def status_table(statuses: Sequence[StageStatus], more: Mapping[str, Sequence[str]] | None = None) -> Table:
    """Statuses for people. more: further columns, a text for each status. Deferred inputs have a column where there are any."""
    table = Table("stage", box=None, pad_edge=False, header_style="bold")
    if any(status.deferred for status in statuses):
        more = {"deferred": [str(status.deferred) for status in statuses], **(more or {})}
    for name in ("partitions", "inputs", "emitted", "dropped", "failed", "rows", "size", *(more or {})):
        table.add_column(name, justify="right")
    for index, status in enumerate(statuses):
        counts = (str(status.inputs), *_counts(status), str(status.rows), size_text(status.size_bytes))
        further = (texts[index] for texts in (more or {}).values())
        table.add_row(escape(status.stage), f"{status.partitions_done}/{status.partitions}", *counts, *further)
    return table


def loss_lines(statuses: Sequence[StageStatus]) -> list[str]:
    """For each stage that lost something or put something off: what, by reason."""
    lines = []
    for status in statuses:
        words = [f"{count} {reason}" for reason, count in {**status.drops_by_reason, **status.failures_by_class}.items()]
        if status.dropped_parts:
            words.append(f"{status.dropped_parts} parts of inputs")
        if words:
            lines.append(f"lost in {status.stage}: {', '.join(words)}")
        if status.deferred:
            why = ", ".join(f"{count} {name}" for name, count in status.deferred_by_class.items())
            lines.append(f"deferred in {status.stage}: {why}; the first may be tried again from {status.next_try_at[:19]} UTC on")
    return lines


def language_lines(statuses: Sequence[StageStatus]) -> list[str]:
    """For each stage whose rows are in more than one language: how many in which, the most first."""
    lines = []
    for status in statuses:
        if len(status.rows_by_language) > 1:
            ranked = sorted(status.rows_by_language.items(), key=lambda entry: (-entry[1], entry[0]))
            lines.append(f"languages in {status.stage}: {', '.join(f'{count} {language}' for language, count in ranked)}")
    return lines


def print_statuses(statuses: Sequence[StageStatus]) -> None:
    """Table and losses on standard output."""
    console = wide_console()
    console.print(status_table(statuses))
    for line in [*loss_lines(statuses), *language_lines(statuses)]:
        console.print(line, markup=False, highlight=False)


def wide_console() -> Console:
    """Standard output; in a pipe, where there is no width, a wide one, so that tables are not squeezed."""
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_COLUMNS)


def _print_errors(report: RunReport) -> None:
    for error in report.errors[:10]:
        print(f"internvid: {error}", file=sys.stderr)
    if len(report.errors) > 10:
        print(f"internvid: and {len(report.errors) - 10} more partitions", file=sys.stderr)
    if report.errors:
        print("internvid: not everything could be run; the same command goes on from there", file=sys.stderr)


def _print_deferred(report: RunReport, config: DatasetConfig) -> None:
    if report.deferred:
        first = min(status.next_try_at for status in report.statuses if status.deferred)
        print(
            f"internvid: {report.deferred} inputs are deferred, the first until {first[:19]} UTC: the same command takes them up again from"
            f" then on, and at once: internvid retry {shlex.quote(report.root or config.root)}",
            file=sys.stderr,
        )


def print_result(report: RunReport, config: DatasetConfig) -> None:
    """The end of a run: the table, where things lie, and what to do about what is missing."""
    print_statuses(report.statuses)
    if is_json():  # each error was logged when it happened
        left: dict[str, Any] = {"partitions_not_run": len(report.errors), "new_partitions": report.new_partitions}
        left["deferred"] = report.deferred
        _log.info("run ended", extra=where(**left))
    else:
        _print_errors(report)
        _print_deferred(report, config)
    if any(status.failed for status in report.statuses):
        print(f"what failed and why: internvid failures {shlex.quote(report.root or config.root)}")
