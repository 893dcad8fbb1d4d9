"""`internvid stop`: end a job."""

import sys

import typer

from internvid_pipeline.cli.launch_options import AddressOption
from internvid_pipeline.cli.logs import JobArgument


def stop(job: JobArgument, address: AddressOption = None) -> None:
    """Stop a job, and wait until it has ended. What is done is kept; the same launch goes on from there."""
    from internvid_pipeline.cluster.address import server_address
    from internvid_pipeline.cluster.jobs import JobServer
    from internvid_pipeline.cluster.submission import STOP_WAIT_S

    server = JobServer(server_address(address))
    found = server.find(job)
    if not found.is_active:
        print(f"{found.id} has ended already ({found.status.lower()})")
        return
    server.stop(found.id)
    ended = server.wait_until_ended(found.id, STOP_WAIT_S + 20)
    if ended.is_active:
        print(f"internvid: {found.id} was told to stop and has not ended yet; look again with `internvid jobs`", file=sys.stderr)
        raise typer.Exit(3)
    print(f"{found.id} {ended.status.lower()}")
