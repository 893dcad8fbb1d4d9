"""`internvid models`: the shipped presets, and their weights brought to this machine before a run, for nodes without network."""

from typing import Annotated

import typer

from internvid_pipeline.config.presets import load_preset, preset_names

app = typer.Typer(help="Model presets, and their weights.", no_args_is_help=True)


@app.command("list")
def list_presets() -> None:
    """All shipped presets: name, task, adapter, repository, commit."""
    for name in preset_names():
        preset = load_preset(name)
        print(f"{name}\t{preset.task}\t{preset.adapter}\t{preset.repository or '-'}\t{preset.commit}")


@app.command("fetch")
def fetch(presets: Annotated[list[str], typer.Argument(help="Names of presets, or paths of preset files ending in .yaml.")]) -> None:
    """Fetches weights: from the Hub into its cache (HF_HUB_CACHE), all else into INTERNVID_MODELS. What is there costs nothing."""
    from internvid_pipeline.models import fetch_weights

    for preset in [load_preset(name) for name in presets]:
        fetch_weights(preset)
        print(f"{preset.name}: {'needs no weights' if preset.brings_no_files else 'is here'}")
