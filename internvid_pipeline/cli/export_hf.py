"""`internvid export hf`: publish on the Hugging Face Hub."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json


def export_hf(
    root: RootArgument,
    repo: Annotated[str, typer.Option("--repo", help="Repository org/name; the tables go to org/name-metadata.")],
    selection: Annotated[list[str] | None, typer.Option("--selection", "-s", help="Which selections, repeatable; default: all.")] = None,
    public: Annotated[bool, typer.Option("--public", help="Create the repositories public; default: private. Existing ones stay.")] = False,
    ids_only: Annotated[
        bool, typer.Option("--ids-only", help="Ids, times, captions and scores only, in InternVid's columns; no media, no titles.")
    ] = False,
    licence: Annotated[str, typer.Option("--licence", help="The data set's licence, as the Hub writes it (cc-by-4.0).")] = "other",
    contact: Annotated[str, typer.Option("--contact", help="Whom to ask for removal; stands in the card.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent and deleted; change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Publish shards, tables and a data card on the Hugging Face Hub. Only what changed is sent; a stopped upload goes on."""
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.exporters.export_log import remember_export
    from internvid_pipeline.exporters.hub.publish import HubExport, build_trees, checked_repo
    from internvid_pipeline.exporters.hub.upload import HubRepository
    from internvid_pipeline.exporters.samples import chosen_selection, selection_names
    from internvid_pipeline.storage import owned_scratch
    from internvid_pipeline.units import size_text

    checked_repo(repo)
    opened, config, plans, partitions = open_dataset(root)
    names = tuple(chosen_selection(plans, name) for name in selection) if selection else selection_names(plans)
    export = HubExport(repo, names, licence, contact, ids_only)
    results = []
    if not dry_run:  # before the first file is sent: a removal must reach whatever arrived
        fields = {"selections": list(names), "licence": licence, "contact": contact, "ids_only": ids_only}
        if not remember_export(opened, "hub", repo, fields):
            print("note: the root cannot be written, so internvid remove will not reach this export", file=sys.stderr)
    with owned_scratch() as scratch:
        for tree in build_trees(opened, config, plans, partitions, export, scratch):
            hub = HubRepository(tree.repo)
            if not dry_run:
                hub.create(private=not public)
            plan = hub.plan(tree.files)
            if dry_run:
                results.append(plan.to_dict())
                text = f"would send {len(plan.send)} files ({size_text(plan.send_bytes)}), keep {len(plan.keep)}, delete {len(plan.delete)}"
            else:
                with _progress(tree.repo, show=not as_json) as observer:
                    done = hub.upload(plan, opened, scratch, observer)
                results.append(done.to_dict())
                text = f"{done.sent} files sent in {done.commits} commits, {done.kept} were there, {done.deleted} deleted"
            if not as_json:
                print(f"{hub.url}: {text}")
    if as_json:
        print_json(results)


@contextlib.contextmanager
def _progress(repo: str, show: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; calls take files sent and files to send."""
    from rich.console import Console
    from rich.progress import Progress

    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # one bar is enough
    console = Console(stderr=True)
    with Progress(console=console, disable=not (show and console.is_terminal), transient=True) as bar:
        task = bar.add_task(repo, total=None)
        yield lambda sent, total: bar.update(task, completed=sent, total=total)
