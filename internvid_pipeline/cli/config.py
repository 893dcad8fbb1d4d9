"""`internvid config explain | show`: every field, and a config with everything filled in."""

from dataclasses import asdict
from typing import Annotated

import typer

from internvid_pipeline.cli.options import ConfigArgument, JsonOption, OverridesArgument, print_json

app = typer.Typer(help="Explain the fields of a config, or show one with everything filled in.", no_args_is_help=True)


@app.command()
def explain(
    field: Annotated[
        str | None, typer.Argument(help="Only fields that start with this, such as stages.cut_clips.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Every field: type, bounds, default, meaning. A * marks fields whose change recomputes the stage."""
    from internvid_pipeline.config import DatasetConfig
    from internvid_pipeline.config import explain as explained
    from internvid_pipeline.errors import UsageError
    from internvid_pipeline.registry import stage_class, stage_names

    fields = [asdict(found) for found in explained(DatasetConfig, in_fingerprint=False)]
    for name in stage_names():
        fields += [asdict(found) for found in explained(stage_class(name).config_type, f"stages.{name}")]
    chosen = [found for found in fields if field is None or found["path"].startswith(field)]
    if not chosen:
        raise UsageError(f"no field starts with {field!r}; `internvid config explain` lists all")
    if as_json:
        print_json(chosen)
        return
    for found in chosen:
        star = "*" if found["in_fingerprint"] else ""
        bounds = f", {found['bounds']}" if found["bounds"] else ""
        print(f"{found['path']}{star}  ({found['type']}{bounds}; default {found['default']})\n    {found['meaning']}")


@app.command()
def show(config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False) -> None:
    """A config with overrides, defaults and model presets filled in."""
    from internvid_pipeline.config import load_config, to_yaml
    from internvid_pipeline.registry import resolved

    data = resolved(load_config(config, overrides or []))
    if as_json:
        print_json(data)
    else:
        print(to_yaml(data), end="")
