"""`internvid plan`: what a run would compute, and why."""

from internvid_pipeline.cli.options import ConfigArgument, JsonOption, OverridesArgument, print_json


def plan(config: ConfigArgument, overrides: OverridesArgument = None, as_json: JsonOption = False) -> None:
    """Show what a run would compute and why, before anything is spent. Reads only."""
    from internvid_pipeline.config import load_config

    loaded = load_config(config, overrides or [])  # a wrong one is said before the engine is even imported
    from rich.markup import escape
    from rich.table import Table

    from internvid_pipeline.cli.progress import wide_console
    from internvid_pipeline.engine import preview

    found = preview(loaded)
    if as_json:
        print_json(found.to_dict())
        return
    console = wide_console()
    console.print(
        f"{found.inputs} inputs, {found.new_inputs} of them new; {found.partitions} partitions in {escape(found.root)}", highlight=False
    )
    table = Table("stage", "fingerprint", box=None, pad_edge=False, header_style="bold")
    table.add_column("to compute", justify="right")
    table.add_column("done", justify="right")
    table.add_column("why", overflow="fold")
    for stage in found.stages:
        table.add_row(escape(stage.stage), stage.fingerprint, str(stage.to_compute), str(stage.done), escape("; ".join(stage.reasons)))
    console.print(table)
