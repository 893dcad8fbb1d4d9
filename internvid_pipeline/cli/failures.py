"""`internvid failures`: what was lost, and why."""

from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json


def failures(
    root: RootArgument,
    stage: Annotated[str | None, typer.Option(help="Only this stage.", show_default=False)] = None,
    drops: Annotated[bool, typer.Option("--drops", help="Show what was dropped on purpose too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most rows to print (all are counted).")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List items that failed (and, with --drops, were dropped), each with its reason; not those that `retry` has taken again."""
    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.engine import read_losses, select_stages
    from internvid_pipeline.engine.attempts import superseded_names

    opened, _, plans, _ = open_dataset(root)
    chosen = select_stages(plans, None, stage)
    superseded = superseded_names(opened, plans)
    kinds = ("failures", "drops") if drops else ("failures",)
    found = [
        {"kind": kind.removesuffix("s"), "partition": partition, **asdict(row)}
        for plan in chosen
        for kind in kinds
        for partition, row in read_losses(opened, plan, kind, superseded)
    ]
    if as_json:
        print_json(found)
        return
    for row in found[:limit]:
        print(f"{row['stage']}  {row.get('error_class') or row.get('reason')}  {row['item_id']}\n    {row['message']}")
    counts = Counter(str(row.get("error_class") or row.get("reason")) for row in found)
    words = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    print(
        f"{len(found)} in all{': ' + words if words else ''}"
        + (f"; {len(found) - limit} not shown (--limit)" if len(found) > limit else "")
    )
