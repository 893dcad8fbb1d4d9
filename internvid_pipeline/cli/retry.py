"""`internvid retry`: take again what was put off, or what failed."""

import signal
from typing import TYPE_CHECKING, Annotated

import typer

from internvid_pipeline.cli.options import RootArgument
from internvid_pipeline.cli.run import Engine, _interrupt

if TYPE_CHECKING:
    from internvid_pipeline.engine.retry import Retry


def retry(
    root: RootArgument,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Inputs that were put off or failed with this error (GeoBlocked, WorkerDied, …; may be repeated). Without it: all that "
            "was put off, and nothing that failed.",
            show_default=False,
        ),
    ] = None,
    stage: Annotated[str | None, typer.Option(help="Only what stopped in this stage.", show_default=False)] = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Only mark it: the next run (or launch) does it.")] = False,
    engine: Annotated[Engine, typer.Option(help="As of internvid run.")] = Engine.RAY,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only the result.")] = False,
) -> None:
    """Take deferred inputs again now, whatever they were told to wait, or failed ones of the classes given; then run what that needs.

    Failed inputs become new inputs, in partitions of their own; done partitions stay as they are, and counts go by the last attempt.
    New inputs of the source are left to the next run. Example: internvid retry my-set --class GeoBlocked
    """
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.cli.progress import Progress, print_result
    from internvid_pipeline.engine import logs, run_dataset, select_stages
    from internvid_pipeline.engine.retry import mark_for_retry

    opened, config, plans, partitions = open_dataset(root)
    config = config.model_copy(update={"root": root})
    select_stages(plans, None, stage)
    opened.check_writable()
    marked = mark_for_retry(opened, config, plans, partitions, tuple(classes or ()), stage)
    print(_words(marked))
    if no_run or not (marked.released or marked.again):
        return
    logs.set_up(dataset=config.name)
    signal.signal(signal.SIGTERM, _interrupt)
    with Progress(quiet) as progress:
        report = run_dataset(config, engine.value, observer=progress.show, takes_inputs=False)
    print_result(report, config)
    raise typer.Exit(report.exit_status(config.max_failed_ratio))


def _words(marked: "Retry") -> str:
    words = []
    if marked.released:
        words.append(f"{marked.released} deferred inputs may be tried now")
    if marked.again:
        words.append(f"{marked.again} failed inputs are taken again in {len(marked.partitions)} new partitions")
    if not words:
        words.append("nothing to take again")
    if marked.other_failures:
        others = ", ".join(f"{count} {name}" for name, count in marked.other_failures.most_common())
        words.append(f"failed and not chosen (--class): {others}")
    return "; ".join(words)
