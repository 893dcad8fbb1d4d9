"""`internvid report`: a page that shows the data set."""

from pathlib import Path
from typing import Annotated

import typer

from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json


def report(
    root: RootArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write into; default: report/ in a local root.")] = None,
    sample_clips: Annotated[
        int, typer.Option(min=0, help="Distributions are counted from about so many clips, whole partitions drawn by hash; 0: all.")
    ] = 500_000,
    machines: Annotated[
        str | None,
        typer.Option(help="A machines file with prices: adds what the work has cost (internvid plan --help).", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML file with the funnel, distributions, words, examples and costs, and the same figures as PNG, SVG and tables."""
    import datetime
    import os

    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.cli.status import cost_so_far
    from internvid_pipeline.cluster.machines import load_cluster
    from internvid_pipeline.errors import UsageError
    from internvid_pipeline.report.draw import check_matplotlib
    from internvid_pipeline.report.facts import gather
    from internvid_pipeline.report.write import write_report

    check_matplotlib()
    cluster = load_cluster(machines) if machines is not None else None
    opened, config, plans, partitions = open_dataset(root)
    if out is None:
        if opened.folder is None:
            raise UsageError(f"the root {root} is not a local folder; say where to write with --out")
        out = opened.folder / "report"
    facts = gather(
        opened,
        config.name,
        plans,
        partitions,
        made_at=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        most_clips=sample_clips,
        costs=None if cluster is None else lambda status: cost_so_far(status, cluster),
        currency=cluster.currency if cluster else "",
        processes=os.cpu_count() or 1,
    )
    written = write_report(facts, out)
    if as_json:
        print_json({"page": str(written[0]), "files": [str(path) for path in written], **facts.to_dict()})
        return
    print(f"{written[0]}: {facts.sampled}")
    print(f"{len(written) - 1} files beside it: figures/, tables.md, report.json")
    if not all(row.closes for row in facts.stages):
        print("note: sums do not close in some stage; internvid validate tells more")
