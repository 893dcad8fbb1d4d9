"""`internvid jobs`: what runs on a cluster, and what has run."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from internvid_pipeline.cli.launch_options import AddressOption
from internvid_pipeline.cli.options import JsonOption, print_json

if TYPE_CHECKING:
    from internvid_pipeline.cluster.jobs import Job


def jobs(
    address: AddressOption = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that wait or run.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the jobs that were launched on a cluster, the newest last."""
    from internvid_pipeline.cluster.address import server_address
    from internvid_pipeline.cluster.jobs import JobServer

    found = [job for job in JobServer(server_address(address)).jobs() if job.is_active or not active]
    if as_json:
        print_json([job.to_dict() for job in found])
        return
    from rich.markup import escape
    from rich.table import Table

    from internvid_pipeline.cli.progress import wide_console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("job", "status", "exit", "started", "took", "root"):
        table.add_column(name, overflow="fold", no_wrap=name == "job")
    for job in found:
        code = "" if job.exit_status is None else str(job.exit_status)
        table.add_row(escape(job.id), job.status.lower(), code, _started(job), _took(job), escape(job.root))
    wide_console().print(table)


def _started(job: "Job") -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started_s)) if job.started_s else ""


def _took(job: "Job") -> str:
    from internvid_pipeline.units import duration_text

    return duration_text(max(0.0, (job.ended_s or time.time()) - job.started_s)) if job.started_s else ""
