"""`internvid logs`: what a job printed."""

from typing import Annotated

import typer

from internvid_pipeline.cli.launch import follow_job
from internvid_pipeline.cli.launch_options import AddressOption

JobArgument = Annotated[str, typer.Argument(help="A job's id, the beginning of one, or its data set's name.", show_default=False)]


def logs(
    job: JobArgument,
    address: AddressOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended; then end with its exit status.")] = False,
) -> None:
    """Print a job's log. Ctrl-C leaves the job running."""
    from internvid_pipeline.cluster.address import server_address
    from internvid_pipeline.cluster.jobs import JobServer

    server = JobServer(server_address(address))
    found = server.find(job)
    if follow:
        raise typer.Exit(follow_job(server, found.id))
    print(server.logs(found.id), end="")
