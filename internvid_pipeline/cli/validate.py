"""`internvid validate`: is what lies there whole and right."""

from typing import Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json


def validate(
    root: RootArgument,
    read_media: Annotated[bool, typer.Option("--read-media", help="Read every byte and check it against its hash.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check manifests, tables, media references and shards. Exit status 1 where something is wrong."""
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.engine.validate import validate_dataset

    opened, _, plans, partitions = open_dataset(root)
    report = validate_dataset(opened, plans, partitions, read_media)
    if as_json:
        print_json(report.to_dict())
    else:
        for problem in report.problems:
            print(f"{problem.where}: {problem.what}")
        for warning in report.warnings:
            print(f"note: {warning}")
        print(
            f"{report.checked_partitions} partitions, {report.checked_rows} rows, {report.checked_samples} samples: "
            f"{len(report.problems)} problems"
        )
    if report.problems:
        raise typer.Exit(1)
