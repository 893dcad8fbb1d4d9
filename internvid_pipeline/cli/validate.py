"""`internvid validate`: is what lies there whole and right."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json

if TYPE_CHECKING:
    from internvid_pipeline.engine.validate import ValidationReport


def validate(
    root: RootArgument,
    read_media: Annotated[bool, typer.Option("--read-media", help="Read every byte and check it against its hash.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check manifests, tables, media references, shards, and the exports that were made; or, given a shard or a folder of shards without
    a data set, these alone. Exit status 1 where something is wrong."""
    report = _of_shards(root, read_media) or _of_dataset(root, read_media)
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


def _of_shards(place: str, read_media: bool) -> "ValidationReport | None":
    """Of shards alone; None where `place` is something else."""
    from internvid_pipeline.engine.validate import ValidationReport
    from internvid_pipeline.exporters.check_shards import check_shards, shard_paths
    from internvid_pipeline.storage import layout

    path = Path(place)
    if "://" in place or not path.exists() or (path / layout.DATASET_FILE).exists():
        return None
    report = ValidationReport()
    paths = shard_paths(path)
    for samples, problems in check_shards(paths, read_media):
        report.checked_samples += samples
        report.problems += problems
    return report if paths else None


def _of_dataset(root: str, read_media: bool) -> "ValidationReport":
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.engine.validate import validate_dataset
    from internvid_pipeline.exporters.check_exports import check_exports

    opened, _, plans, partitions = open_dataset(root)
    report = validate_dataset(opened, plans, partitions, read_media)
    report.problems += check_exports(opened, plans, partitions, read_media)
    return report
