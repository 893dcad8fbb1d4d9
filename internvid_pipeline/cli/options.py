"""Arguments that several commands share."""

import json
from typing import Annotated, Any

import typer

ConfigArgument = Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped config (demo, internvid).", show_default=False)]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Fields to set, such as root=OUT source.path=videos/ stages.cut_clips.threshold=30.", show_default=False),
]
RootArgument = Annotated[str, typer.Argument(help="The data set's root: a folder or a URI such as s3://bucket/prefix.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def print_json(data: Any) -> None:
    """Plain data as readable JSON on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))
