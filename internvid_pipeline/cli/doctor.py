"""`internvid doctor`: is this machine ready."""

from typing import Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, print_json


def doctor(
    folder: Annotated[str, typer.Argument(help="Where data is to lie; its free disk is looked at.")] = ".",
    as_json: JsonOption = False,
) -> None:
    """Check Python, packages, ffmpeg, Ray, GPUs and disk. Exit status 3 where something that every run needs is missing."""
    from internvid_pipeline.cli.checks import run_checks

    checks = run_checks(folder)
    if as_json:
        print_json([{"check": check.name, "state": check.state, "found": check.found, "advice": check.advice} for check in checks])
    else:
        for check in checks:
            print(f"{check.state:8} {check.name:22} {check.found}" + (f"\n{'':31} {check.advice}" if check.advice else ""))
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(3)
