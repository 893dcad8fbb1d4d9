"""`internvid status`: how far a data set is."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json

if TYPE_CHECKING:
    from internvid_pipeline.cluster.machines import ClusterDescription
    from internvid_pipeline.engine import StageStatus

_WATCH_S = 10.0
_LISTING_SHARE = 0.05


def status(
    root: RootArgument,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every ten seconds until everything is done.")] = False,
    window_hours: Annotated[float, typer.Option(min=0.1, max=24 * 7, help="Rates are over the last this many hours of work.")] = 1.0,
    machines: Annotated[
        str | None,
        typer.Option(help="A machines file with prices: adds what the work has cost so far (internvid plan --help).", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far a data set is, from its manifests alone: no access to the cluster is needed.

    Per stage: partitions done, ready (their inputs are there: under way or waiting for a worker, which cannot be told apart from
    outside), inputs = emitted + dropped + failed, those that are deferred, rates, and time left.
    """
    import os

    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.engine import StatusReader

    cluster = _cluster(machines)
    opened, config, plans, partitions = open_dataset(root)
    reader = StatusReader(opened, plans, partitions, processes=os.cpu_count() or 1)
    while True:
        start = time.monotonic()
        statuses = reader.read()
        if as_json:
            print_json({"root": opened.uri, "name": config.name, "partitions": len(partitions)} | _data(statuses, window_hours, cluster))
        else:
            _show(statuses, window_hours, cluster, clear=watch)
        if not watch or all(found.partitions_done == found.partitions for found in statuses):
            return
        time.sleep(max(_WATCH_S, (time.monotonic() - start) / _LISTING_SHARE))


def _cluster(path: str | None) -> "ClusterDescription | None":
    if path is None:
        return None
    from internvid_pipeline.cluster.machines import load_cluster

    return load_cluster(path)


def cost_so_far(status: "StageStatus", cluster: "ClusterDescription | None") -> float | None:
    """The share of a machine that the stage's workers held, times its price; None without a price."""
    if cluster is None or not status.wall_s:
        return 0.0 if cluster is not None else None
    price = cluster.share_price(status.cpu_s / status.wall_s, status.gpu_s / status.wall_s)
    return None if price is None else price * status.wall_s / 3600


def _data(statuses: "Sequence[StageStatus]", window_hours: float, cluster: "ClusterDescription | None") -> dict[str, Any]:
    from internvid_pipeline.engine.pace import paces

    stages = []
    for found, pace in zip(statuses, paces(statuses, window_hours * 3600), strict=True):
        rates = {"items_per_hour": round(pace.items_per_hour, 3), "video_hours_per_hour": round(pace.video_hours_per_hour, 3)}
        cost = cost_so_far(found, cluster)
        left_s = None if pace.left_s is None else round(pace.left_s)
        stages.append({**found.to_dict(), **rates, "left_s": left_s, "cost": None if cost is None else round(cost, 4)})
    costs = [stage["cost"] for stage in stages]
    total = None if None in costs else round(sum(costs), 4)
    return {
        "stages": stages,
        "last_finished_at": max(found.last_finished_at for found in statuses),
        "cost": total,
        "currency": cluster.currency if cluster else "",
    }


def _show(statuses: "Sequence[StageStatus]", window_hours: float, cluster: "ClusterDescription | None", clear: bool) -> None:
    from internvid_pipeline.cli.progress import language_lines, loss_lines, status_table, wide_console
    from internvid_pipeline.engine.pace import paces
    from internvid_pipeline.units import duration_text

    console = wide_console()
    found = paces(statuses, window_hours * 3600)
    columns: dict[str, list[str]] = {
        "ready": [str(status.ready) for status in statuses],
        "items/h": [f"{pace.items_per_hour:,.0f}" if pace.partitions_per_hour else "" for pace in found],
        "video h/h": [f"{pace.video_hours_per_hour:,.1f}" if pace.video_hours_per_hour else "" for pace in found],
        "left": ["" if not pace.left_s else duration_text(pace.left_s) for pace in found],
    }
    if cluster is not None:
        costs = [cost_so_far(status, cluster) for status in statuses]
        columns["cost"] = ["no price" if cost is None else f"{cost:,.2f}" for cost in costs]
    if clear and console.is_terminal:
        console.clear()
    console.print(status_table(statuses, columns))
    for line in [*loss_lines(statuses), *language_lines(statuses), *_last_lines(statuses, cluster)]:
        console.print(line, markup=False, highlight=False)


def _last_lines(statuses: "Sequence[StageStatus]", cluster: "ClusterDescription | None") -> list[str]:
    import datetime

    from internvid_pipeline.units import duration_text

    lines = []
    newest = max(status.last_finished_at for status in statuses)
    if newest:
        age_s = time.time() - datetime.datetime.fromisoformat(newest).timestamp()
        ago = f"{duration_text(age_s)} ago" if age_s >= 0 else "in the future, by the worker's clock"
        lines.append(f"last partition finished {ago} ({newest}); whether a run is at work manifests do not tell")
    if cluster is not None:
        costs = [cost_so_far(status, cluster) for status in statuses]
        if None not in costs:
            total = sum(cost or 0.0 for cost in costs)
            where = cluster.prices_from or "prices of unknown source"
            lines.append(f"work so far: {total:,.2f} {cluster.currency} ({where}); idle machines and storage apart")
        else:
            lines.append("no sum of money: a price is missing in the machines file")
    return lines
