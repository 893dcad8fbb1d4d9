"""`internvid run`: compute what is missing."""

import signal
from enum import StrEnum
from typing import Annotated, Any

import typer

from internvid_pipeline.cli.availability import availability
from internvid_pipeline.cli.options import ConfigArgument, OverridesArgument


class Engine(StrEnum):
    """What distributes the work."""

    RAY = "ray"
    INLINE = "inline"


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


def run(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    engine: Annotated[
        Engine, typer.Option(help="ray: workers on this machine or a cluster; inline: one after the other, without Ray.")
    ] = Engine.RAY,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage.", show_default=False)] = None,
    only: Annotated[
        str | None, typer.Option(metavar="STAGE", help="Run just this stage, on what is there for it.", show_default=False)
    ] = None,
    max_failed_ratio: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="End with status 1 when a larger share of a stage's inputs failed; default: the config's."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="json: standard error is one JSON object a line, for log collectors; workers log alike.")
    ] = LogFormat.TEXT,
    log_folder: Annotated[
        str | None, typer.Option(help="Each process also writes its log lines to a file in this local folder.", show_default=False)
    ] = None,
) -> None:
    """Run a config: compute what is missing, resume what was stopped.

    Example: internvid run configs/demo.yaml root=my-set source.path=videos/
    """
    from internvid_pipeline.config import load_config

    loaded = load_config(config, overrides or [])  # a wrong one is said before the engine is even imported
    from internvid_pipeline.cli.progress import Progress, print_result
    from internvid_pipeline.engine import logs, run_dataset
    from internvid_pipeline.web.sources import asks_the_web

    logs.set_up(log_format.value, log_folder, loaded.name)
    signal.signal(signal.SIGTERM, _interrupt)  # a scheduler's polite end is the same as Ctrl-C
    with Progress(quiet) as progress:
        report = run_dataset(loaded, engine.value, until, only, progress.show)
    print_result(report, loaded)
    if asks_the_web(loaded.source) and report.num_partitions:
        availability(loaded.root)
    raise typer.Exit(report.exit_status(loaded.max_failed_ratio if max_failed_ratio is None else max_failed_ratio))


def _interrupt(number: int, frame: Any) -> None:
    del number, frame
    raise KeyboardInterrupt
