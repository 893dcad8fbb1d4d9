"""`internvid browse`: look at clips and choose thresholds."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from internvid_pipeline.cli.options import RootArgument


def browse(
    root: RootArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any free one.")] = 0,
    annotator: Annotated[
        str | None, typer.Option(help="Whose keep and reject marks these are; default: your login name.", show_default=False)
    ] = None,
    sample_clips: Annotated[
        int, typer.Option(min=0, help="Of a larger set, whole partitions drawn by hash until there are so many clips; 0: all.")
    ] = 2_000_000,
    memory_mb: Annotated[int, typer.Option(min=200, help="Most memory of the database; the rest waits on local disk.")] = 700,
    cache_dir: Annotated[
        Path | None,
        typer.Option(help="Where the index is kept for the next start; default: ~/.cache/internvid/browse.", show_default=False),
    ] = None,
    cache: Annotated[bool, typer.Option("--cache/--no-cache", help="Keep the index, which holds titles and captions.")] = True,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in your web browser.")] = False,
) -> None:
    """Serve a page, to this machine only, in which people look at clips, captions and what was lost, mark clips, and set thresholds."""
    import getpass
    import webbrowser

    from internvid_pipeline.browse.kept_index import default_cache
    from internvid_pipeline.browse.server import Server, check_packages, opened_browser
    from internvid_pipeline.cli.dataset import open_dataset

    check_packages()
    opened, config, plans, partitions = open_dataset(root)
    whose = annotator or getpass.getuser()
    print(f"reading the tables of {len(partitions)} partitions", file=sys.stderr)
    place = (cache_dir or default_cache()) if cache else None
    with opened_browser(opened, config.name, plans, partitions, whose, sample_clips, memory_mb, _shown, place) as browser:
        print(f"index: {browser.index.origin}", file=sys.stderr)
        server = Server(browser, port)
        print(f"{server.url}\nCtrl-C ends it. Who has this address can look at the data set; it answers to this machine only.", flush=True)
        if open_page:
            webbrowser.open(server.url)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            server.run()


def _shown(done: int, total: int) -> None:
    """How far the reading is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr, flush=True)
