"""`internvid demo`: the whole pipeline on videos made on the spot, or on one's own, with stand-ins instead of models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from internvid_pipeline.engine import RunReport


def demo(
    videos: Annotated[
        str | None, typer.Option(help="Your own videos instead of made ones: a folder, glob or list.", show_default=False)
    ] = None,
    root: Annotated[Path, typer.Option(help="Where the data set goes.")] = Path("demo-dataset"),
    engine: Annotated[str, typer.Option(help="ray or inline.")] = "ray",
) -> None:
    """Make a few videos, run the whole pipeline on them without weights or network, and show what became of every input."""
    from internvid_pipeline.cli.progress import Progress, print_result
    from internvid_pipeline.config import load_config
    from internvid_pipeline.engine import run_dataset

    source = videos or _made_videos(root)
    config = load_config("demo", [f"root={root}", f"source.path={source}"])
    with Progress(quiet=False) as progress:
        report = run_dataset(config, engine, observer=progress.show)
    print_result(report, config)
    _show(str(root), report)
    raise typer.Exit(report.exit_status(config.max_failed_ratio))


def _made_videos(root: Path) -> Path:
    from internvid_pipeline.media.synth import make_demo_videos

    folder = root / "videos"
    made = make_demo_videos(folder)
    print(f"made {len(made)} videos in {folder}: known cuts, speech or music, text, stillness, a duplicate, broken files")
    return folder


def _show(root: str, report: "RunReport") -> None:
    """Every input's fate, and how to read what came out."""
    from rich.markup import escape
    from rich.table import Table

    from internvid_pipeline.cli.dataset import open_dataset
    from internvid_pipeline.cli.progress import wide_console
    from internvid_pipeline.engine.outcomes import input_outcomes

    opened, _, plans, partitions = open_dataset(root)
    table = Table("input", "became", box=None, pad_edge=False, header_style="bold")
    table.add_column("clips", justify="right")
    table.add_column("in shards", justify="right")
    table.add_column("what was lost, and why", overflow="fold")
    for found in input_outcomes(opened, plans, partitions):
        table.add_row(escape(Path(found.uri).name), found.outcome, str(found.clips), str(found.in_shards), escape(found.reason))
    console = wide_console()
    console.print()
    console.print(table)
    console.print("\nRead the shards:\n", markup=False)
    print(
        "import glob, webdataset as wds\n"
        f'samples = wds.WebDataset(sorted(glob.glob("{root}/shards/default/*.tar")), shardshuffle=False).decode()\n'
        'for sample in samples: print(sample["__key__"], sample["txt"], len(sample["mp4"]), sample["json"]["duration_s"])'
    )
    if report.new_partitions == 0:
        print("\n(nothing was computed again: all partitions were done)")
