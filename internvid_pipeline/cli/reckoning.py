"""Estimates and simulations for people."""

from rich.markup import escape
from rich.table import Table

from internvid_pipeline.cli.progress import wide_console
from internvid_pipeline.cluster.estimate import Estimate
from internvid_pipeline.cluster.machines import ClusterDescription
from internvid_pipeline.cluster.simulate import Simulation
from internvid_pipeline.units import size_text


def show_estimate(found: Estimate, cluster: ClusterDescription) -> None:
    """Table, sums, bottleneck, money, and what was measured and what assumed."""
    console = wide_console()
    console.print(
        f"{found.videos:,} videos, {found.video_hours:,.0f} h, {found.partitions:,} partitions; "
        f"{cluster.cpus:,.0f} CPUs and {cluster.gpus:,.0f} GPUs",
        highlight=False,
    )
    table = Table("stage", box=None, pad_edge=False, header_style="bold")
    for name in ("items", "CPU h", "GPU h", "stored", "objects", "PUT", "GET", "workers", "alone h"):
        table.add_column(name, justify="right")
    table.add_column("rate")
    table.add_column("from", overflow="fold")
    for stage in found.stages:
        table.add_row(
            escape(stage.stage),
            _count(stage.items),
            f"{stage.cpu_hours:,.0f}",
            f"{stage.gpu_hours:,.0f}",
            size_text(stage.size_bytes),
            _count(stage.objects),
            _count(stage.writes),
            _count(stage.reads),
            f"{stage.workers:,}",
            f"{stage.alone_hours:,.1f}",
            stage.basis,
            escape(stage.source),
        )
    sums = (_count(found.objects), _count(found.writes), _count(found.reads))
    hours = (f"{found.cpu_hours:,.0f}", f"{found.gpu_hours:,.0f}")
    table.add_row("all", "", *hours, size_text(found.size_bytes), *sums, "", "", "", "", style="bold")
    console.print(table)
    lines = [f"wall time {found.wall_hours:,.1f} h ({found.wall_hours / 24:,.1f} days); bottleneck: {found.bottleneck}, {found.why}"]
    lines += [_money_line(found), *(f"assumed: {words}" for words in found.assumptions)]
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _money_line(found: Estimate) -> str:
    money = found.money
    parts = {"machines": money.machines, "requests": money.requests, "storage a month": money.storage_per_month}
    words = [f"{name} {'no price' if sum_ is None else f'{sum_:,.0f} {money.currency}'.strip()}" for name, sum_ in parts.items()]
    return f"money: {', '.join(words)} ({money.prices_from or 'prices are to be set in the machines file'})"


def _count(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):,.1f} {unit}"
    return f"{value:,.0f}"


def show_simulation(found: Simulation) -> None:
    """Table of the stages, the run, and what the store must bear."""
    console = wide_console()
    console.print(f"simulated: {found.videos:,} videos, {found.partitions:,} partitions, {found.units:,} units", highlight=False)
    table = Table("stage", box=None, pad_edge=False, header_style="bold")
    for name in ("workers", "from h", "to h", "busy", "99-100 % h", "longest queue", "mean queue", "names", "LISTs", "list s", "PUT/s"):
        table.add_column(name, justify="right")
    for flow in found.stages:
        table.add_row(
            escape(flow.stage),
            f"{flow.workers:,}",
            f"{flow.start_h:,.1f}",
            f"{flow.end_h:,.1f}",
            f"{flow.busy:.1%}",
            f"{flow.tail_h:,.2f}",
            f"{flow.longest_queue:,}",
            f"{flow.mean_queue:,.0f}",
            _count(flow.names),
            f"{flow.lists:,}",
            f"{flow.list_s:,.0f}",
            f"{flow.writes_per_s:,.1f}",
        )
    console.print(table)
    idle = "" if found.gpu_idle is None else f"; GPUs idle {found.gpu_idle:.1%} of the time"
    lines = [
        f"wall time {found.wall_h:,.1f} h ({found.wall_h / 24:,.1f} days), the last 1 % in {found.tail_h:,.2f} h{idle}",
        f"bottleneck: {found.bottleneck}; {found.manifests:,} manifests, {found.objects:,} objects",
        *(f"{'holds' if holds else 'DOES NOT HOLD'}: {words}" for words, holds in found.holds),
        "not played: failures, autoscaling, unequal machines",
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)
