"""`internvid plan`: what a run would compute, and why; what N videos would take; how a run of that size would flow."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from internvid_pipeline.cli.options import ConfigArgument, JsonOption, OverridesArgument, print_json

if TYPE_CHECKING:
    from internvid_pipeline.config import DatasetConfig
    from internvid_pipeline.engine import Preview
    from internvid_pipeline.engine.rates import Rates

_ABOUT = "Estimate and simulation"


def plan(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="CPU and GPU hours, storage, requests, money and time for --videos.", rich_help_panel=_ABOUT)
    ] = False,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Play the run out in time: queues, tail, idle GPUs, listings.", rich_help_panel=_ABOUT)
    ] = False,
    videos: Annotated[
        int | None, typer.Option(min=1, help="Videos to reckon with; default: the inputs of the source.", rich_help_panel=_ABOUT)
    ] = None,
    hours_per_video: Annotated[
        float | None, typer.Option(min=1e-6, help="Their mean length; default: as measured.", rich_help_panel=_ABOUT)
    ] = None,
    machines: Annotated[
        str | None,
        typer.Option(help="The cluster and its prices: a YAML file, or machines, machines-example.", rich_help_panel=_ABOUT),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(help="Rates of stages from a YAML file, in the place of measured ones (rates-internvid).", rich_help_panel=_ABOUT),
    ] = None,
    plot: Annotated[str | None, typer.Option(metavar="FILE", help="With --simulate: the curves as a PNG.", rich_help_panel=_ABOUT)] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would compute and why, before anything is spent. Reads only.

    With --estimate or --simulate: what --videos would take, from the rates in the manifests of what is done already.
    """
    from internvid_pipeline.config import load_config
    from internvid_pipeline.errors import UsageError

    loaded = load_config(config, overrides or [])  # a wrong one is said before the engine is even imported
    if estimate or simulate:
        _reckon(loaded, estimate, simulate, videos, hours_per_video, machines, rates, plot, as_json)
    elif any(option is not None for option in (videos, hours_per_video, machines, rates, plot)):
        raise UsageError("--videos, --hours-per-video, --machines, --rates and --plot belong to --estimate or --simulate; give one of them")
    else:
        _preview(loaded, as_json)


def _preview(config: "DatasetConfig", as_json: bool) -> None:
    from internvid_pipeline.engine import preview

    found = preview(config)
    if as_json:
        print_json(found.to_dict())
        return
    if found.collecting is not None:
        _show(found.collecting, "queries and channels")
    _show(found, "inputs")


def _show(found: "Preview", inputs: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    from internvid_pipeline.cli.progress import wide_console

    console = wide_console()
    console.print(
        f"{found.inputs} {inputs}, {found.new_inputs} of them new; {found.partitions} partitions in {escape(found.root)}", highlight=False
    )
    if found.collecting is not None and found.collecting.new_inputs:
        console.print("what the new queries and channels show is not known before they are asked", highlight=False)
    table = Table("stage", "fingerprint", box=None, pad_edge=False, header_style="bold")
    table.add_column("to compute", justify="right")
    table.add_column("done", justify="right")
    table.add_column("why", overflow="fold")
    for stage in found.stages:
        table.add_row(escape(stage.stage), stage.fingerprint, str(stage.to_compute), str(stage.done), escape("; ".join(stage.reasons)))
    console.print(table)


def _reckon(
    config: "DatasetConfig",
    estimates: bool,
    simulates: bool,
    videos: int | None,
    hours_per_video: float | None,
    machines: str | None,
    rates: str | None,
    plot: str | None,
    as_json: bool,
) -> None:
    from internvid_pipeline.cli.reckoning import show_estimate, show_simulation
    from internvid_pipeline.cluster.estimate import estimate
    from internvid_pipeline.cluster.machines import load_cluster
    from internvid_pipeline.cluster.simulate import simulate

    cluster = load_cluster(machines)
    known, inputs = _rates(config, rates, videos)
    data: dict[str, Any] = {}
    if estimates:
        estimated = estimate(known, cluster, inputs, hours_per_video)
        data["estimate"] = estimated.to_dict()
        if not as_json:
            show_estimate(estimated, cluster)
    if simulates:
        played = simulate(known, cluster, inputs, hours_per_video)
        data["simulation"] = played.to_dict()
        if not as_json:
            show_simulation(played)
        if plot is not None:
            from internvid_pipeline.cluster.plot import save_plot

            save_plot(played, plot)
    if as_json:
        print_json(data)


def _rates(config: "DatasetConfig", path: str | None, videos: int | None) -> "tuple[Rates, int]":
    """Rates of the stages, and how many videos to reckon with. A root is looked at only if the config names one."""
    from internvid_pipeline.cluster.given_rates import load_rates, with_given
    from internvid_pipeline.engine import StatusReader, build_plan, open_root, partition_numbers
    from internvid_pipeline.engine.rates import measured_rates
    from internvid_pipeline.errors import UsageError

    given = load_rates(path) if path is not None else None
    root = open_root(config) if config.root else None
    partitions = partition_numbers(root) if root is not None else []
    plans = build_plan(config, len(partitions))
    statuses = StatusReader(root, plans, partitions).read() if root is not None else []
    measured = measured_rates(plans if statuses else [], statuses)
    if videos is None:
        if not statuses or not statuses[0].inputs:
            raise UsageError("how many videos? nothing is computed yet in the config's root; give --videos")
        videos = statuses[0].inputs
    return with_given(plans, measured, given), videos
