"""`internvid remove`: take videos out of a data set, for good."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json

if TYPE_CHECKING:
    from internvid_pipeline.removal import RemovalReport
    from internvid_pipeline.storage import Root


def remove(
    root: RootArgument,
    video_id: Annotated[
        list[str] | None, typer.Option("--video-id", help="Our id, the site's, or the address; repeatable.", show_default=False)
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="A list of them, one a line.", show_default=False)] = None,
    push: Annotated[
        bool, typer.Option("--push/--no-push", help="Make the same change in the repositories on the Hub that `export hf` wrote.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take videos out of every table, media file, shard, index and export, and off the Hub; they do not come back with later runs.

    Runs at work on the data set should be stopped first. On the Hub, earlier commits still hold the files: squash its history there.
    """
    from internvid_pipeline.browse.kept_index import KeptIndexes, default_cache
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.errors import UsageError
    from internvid_pipeline.exporters.export_log import refresh_files
    from internvid_pipeline.removal import remove_videos

    asked = list(dict.fromkeys([*(video_id or []), *_listed(file)]))
    if not asked:
        raise UsageError("nothing to remove: give --video-id or --file")
    if not dry_run and not yes and (as_json or not sys.stdin.isatty()):
        raise UsageError("remove deletes: give --yes, or --dry-run to see what would go")
    opened, config, plans, partitions = open_dataset(root)
    report = remove_videos(opened, plans, asked, dry_run=True)
    if not as_json:
        _print(report, "would go" if dry_run or not yes else "goes")
    results: dict[str, Any] = {**report.to_dict(), "removed": False}
    if not dry_run and (yes or typer.confirm("remove them?", default=False)):
        report = remove_videos(opened, plans, asked)
        KeptIndexes(default_cache(), opened.uri).forget()
        exports = dict(refresh_files(opened, plans, partitions, report.videos))
        pushed = _pushed(opened, config, plans, partitions) if push else []
        results = {**report.to_dict(), "removed": True, "exports": exports, "pushed": pushed}
        if not as_json:
            for path, rows in exports.items():
                print(f"{path}: written again, {rows} rows")
            for one in pushed:
                print(f"{one['url']}: {one['sent']} files sent, {one['deleted']} deleted")
            print(f"{len(report.videos)} videos removed, {report.files} files deleted")
    if as_json:
        print_json(results)


def _listed(file: Path | None) -> list[str]:
    from internvid_pipeline.errors import UsageError

    if file is None:
        return []
    try:
        return [line.strip() for line in file.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--file {file} cannot be read: {error}") from error


def _print(report: "RemovalReport", verb: str) -> None:
    for name in report.unknown:
        print(f"{name}: not in this data set; it will not be let in")
    for name in report.videos:
        print(f"{name}: {verb}")
    rows = ", ".join(f"{count} of {stage}" for stage, count in report.rows.items() if count)
    print(f"rows: {rows or 'none'}; {len(report.shards)} shards")


def _pushed(opened: "Root", config: Any, plans: Any, partitions: Any) -> list[dict[str, Any]]:
    """The repositories that were published, brought to what the data set is now."""
    from internvid_pipeline.exporters.export_log import remembered_exports
    from internvid_pipeline.exporters.hub.publish import HubExport, build_trees
    from internvid_pipeline.exporters.hub.upload import HubRepository
    from internvid_pipeline.storage import owned_scratch

    done = []
    for one in remembered_exports(opened, "hub"):
        export = HubExport(one["target"], tuple(one["selections"]), one["licence"], one["contact"], one["ids_only"])
        with owned_scratch() as scratch:
            for tree in build_trees(opened, config, plans, partitions, export, scratch):
                hub = HubRepository(tree.repo)
                done.append(hub.upload(hub.plan(tree.files), opened, scratch).to_dict())
    return done
