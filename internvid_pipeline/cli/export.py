"""`internvid export`: the data set in the formats that training code reads."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from internvid_pipeline.cli.export_hf import export_hf
from internvid_pipeline.cli.options import JsonOption, RootArgument, print_json
from internvid_pipeline.exporters.readers import READERS

app = typer.Typer(help="Write a selection in a format that training code reads, or publish it.", no_args_is_help=True)

SelectionOption = Annotated[str | None, typer.Option("--selection", "-s", help="Which selection; default: the only one, or `default`.")]


def _command(name: str) -> Callable[..., None]:
    """The command of one format."""

    def export(
        root: RootArgument,
        selection: SelectionOption = None,
        out: Annotated[
            Path | None, typer.Option("--out", "-o", help="File to write; default: exports/FORMAT-SELECTION.* in a local root.")
        ] = None,
        media: Annotated[Path | None, typer.Option("--media", help="Also write each clip as a file into this folder.")] = None,
        media_prefix: Annotated[str, typer.Option("--media-prefix", help="Put before the clips' file names in the export (videos/).")] = "",
        form: Annotated[str, typer.Option("--form", help="Variant, where the format has several.")] = "",
        score: Annotated[str, typer.Option("--score", help="Scorer for the one score column of internvid-jsonl.")] = "alignment",
        seed: Annotated[int, typer.Option("--seed", help="Of what a format draws: instructions, dropped videos.")] = 42,
        as_json: JsonOption = False,
    ) -> None:
        from internvid_pipeline.cli.dataset import open_dataset
        from internvid_pipeline.errors import UsageError
        from internvid_pipeline.exporters.export_log import remember_export
        from internvid_pipeline.exporters.files import export_file
        from internvid_pipeline.exporters.formats import ExportOptions, open_format
        from internvid_pipeline.exporters.samples import chosen_selection

        target = open_format(name, ExportOptions(media_prefix, seed, form, score))
        opened, _, plans, partitions = open_dataset(root)
        chosen = chosen_selection(plans, selection)
        if out is None:
            if opened.folder is None:
                raise UsageError(f"the root {root} is not a local folder; say where to write with --out")
            out = opened.folder / "exports" / f"{target.name}-{chosen}.{target.suffix}"
        done = export_file(opened, plans, partitions, chosen, target, out, media)
        options = {"media_prefix": media_prefix, "seed": seed, "form": form, "score": score}
        more = {"format": name, "selection": chosen, "media": str(media.absolute()) if media else "", "options": options}
        if not remember_export(opened, "file", str(out.absolute()), more):
            print("note: the root cannot be written, so internvid remove will not reach this export", file=sys.stderr)
        if as_json:
            print_json(done.to_dict())
            return
        print(f"{done.path}: {done.num_rows} rows of {done.num_samples} clips in {chosen}")
        if done.num_left_out:
            print(f"{done.num_left_out} clips are left out: its reader would refuse them")
        if media is not None:
            print(f"{media}: {done.num_files} clips written, {done.num_present} were there")
        elif target.needs_files:
            print("its reader opens one file for each clip: write them with --media FOLDER")
        print(f"read by: {READERS[name]}")

    export.__doc__ = f"Read by {READERS[name]}."
    return export


app.command("hf")(export_hf)
for _name in READERS:
    app.command(_name)(_command(_name))
