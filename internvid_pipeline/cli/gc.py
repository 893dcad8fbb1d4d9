"""`internvid gc`: delete what no config needs any more."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json

if TYPE_CHECKING:
    from internvid_pipeline.engine import StagePlan
    from internvid_pipeline.storage import Root


def gc(
    root: RootArgument,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="CONFIG", help="Keep this config's results too; may be repeated.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    grace_hours: Annotated[float, typer.Option(min=0, help="Leave what is younger, by the store's clock.")] = 24.0,
    idle_minutes: Annotated[float, typer.Option(min=0, help="Refuse if anything was written this recently: a run may be at work.")] = 15.0,
    unreplaced: Annotated[
        bool, typer.Option("--unreplaced", help="Delete old results also where the current config's own are not complete.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete results of old configs, files that no manifest names, and leftovers of killed processes.

    Kept: whatever the config of the last run (dataset.yaml) or one given by --keep leads to, and what rows of its tables point at.
    """
    from internvid_pipeline.engine.gc import delete_garbage, find_garbage
    from internvid_pipeline.errors import UsageError
    from internvid_pipeline.units import size_text

    if not dry_run and not yes and (as_json or not sys.stdin.isatty()):
        raise UsageError("gc deletes: give --yes, or --dry-run to see what would go")
    opened, plans, partitions = _kept(root, keep or [])
    report = find_garbage(opened, plans, partitions, grace_hours * 3600, unreplaced)
    deletes = bool(report.garbage) and not dry_run
    if not as_json:
        for found in report.garbage:
            print(f"{found.kind:8} {found.place}  {len(found.files)} files, {size_text(found.size_bytes)}: {found.why}")
        for place, why in report.kept:
            print(f"kept     {place}: {why}")
        print(f"{report.num_files} files, {size_text(report.size_bytes)}" + ("; nothing was deleted (--dry-run)" if dry_run else ""))
    if deletes and not yes:
        deletes = typer.confirm("delete them?", default=False)
    if deletes:
        delete_garbage(opened, report, idle_minutes * 60)
        if not as_json:
            print("deleted")
    if as_json:
        print_json({**report.to_dict(), "deleted": deletes})


def _kept(uri: str, configs: list[str]) -> "tuple[Root, list[StagePlan], list[int]]":
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.config import load_config
    from internvid_pipeline.engine import build_plan

    opened, _, plans, partitions = open_dataset(uri)
    for path in configs:
        plans = [*plans, *build_plan(load_config(path), len(partitions))]
    return opened, plans, partitions
