"""`internvid launch`: run a config on a cluster. And the hidden `internvid job`, which is what a launched job calls on the cluster."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from internvid_pipeline.cli.job_files import rayjob, say_local_places, sbatch
from internvid_pipeline.cli.launch_options import (
    AddressOption,
    CpuNodesOption,
    CpusOption,
    EnvOption,
    GpuNodesOption,
    GpusOption,
    ImageOption,
    KuberayOption,
    LogFormatOption,
    NodesOption,
    OnlyOption,
    PipOption,
    RatioOption,
    SecretOption,
    ShipOption,
    SlurmOption,
    UntilOption,
)
from internvid_pipeline.cli.options import ConfigArgument, OverridesArgument

if TYPE_CHECKING:
    from internvid_pipeline.cluster.jobs import JobServer
    from internvid_pipeline.cluster.submission import Submission
    from internvid_pipeline.config import DatasetConfig


def launch(
    config: ConfigArgument,
    overrides: OverridesArgument = None,
    address: AddressOption = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave once the checks on the cluster are done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be submitted; connect to nothing.")] = False,
    again: Annotated[bool, typer.Option("--again", "--force", help="Also where another job is at work on the same root.")] = False,
    env: EnvOption = None,
    pip: PipOption = False,
    ship: ShipOption = None,
    python: Annotated[str, typer.Option(help="Python on the cluster.")] = "python",
    kuberay: KuberayOption = False,
    slurm: SlurmOption = False,
    image: ImageOption = None,
    secret: SecretOption = None,
    cpu_nodes: CpuNodesOption = "1:8",
    gpu_nodes: GpuNodesOption = "1:4",
    nodes: NodesOption = 4,
    cpus_per_node: CpusOption = 16,
    gpus_per_node: GpusOption = 1,
    until: UntilOption = None,
    only: OnlyOption = None,
    max_failed_ratio: RatioOption = None,
    log_format: LogFormatOption = None,
) -> None:
    """Run a config on a Ray cluster, and follow it. Ctrl-C leaves the job running.

    Example: internvid launch internvid root=s3://bucket/set source.path=s3://bucket/videos --address http://head:8265 --env 'AWS_*'
    """
    from internvid_pipeline.config import load_config

    loaded = load_config(config, overrides or [])  # a wrong one is said before anything else is even imported
    from internvid_pipeline.cluster.address import server_address
    from internvid_pipeline.cluster.submission import RunOptions, build_submission

    _check_places(loaded)
    options = RunOptions(until, only, max_failed_ratio, log_format and log_format.value)
    if kuberay or slurm:
        if (kuberay and slurm) or env or pip or ship:
            raise typer.BadParameter(
                "--kuberay and --slurm print one file and take no --env, --pip or --ship: the image and the Secret hold these"
            )
        sizes = (cpu_nodes, gpu_nodes, cpus_per_node, gpus_per_node)
        print(rayjob(loaded, options, image, secret, *sizes) if kuberay else sbatch(loaded, options, nodes, python, *sizes), end="")
        return
    submission = build_submission(loaded, options, env or [], ship or [], pip, python)
    if dry_run:
        _print_submission(submission)
        return
    where = server_address(address)
    from internvid_pipeline.cluster.jobs import JobServer

    server = JobServer(where)
    server.submit(submission, again)
    say = f"launched {submission.id} at {where} (Ray {server.ray_version})"
    print(f"internvid: {say}", file=sys.stderr)
    raise typer.Exit(follow_job(server, submission.id, detach))


def _check_places(config: "DatasetConfig") -> None:
    from internvid_pipeline.errors import UsageError
    from internvid_pipeline.storage import check_root_uri

    check_root_uri(config.root)
    if not config.source.path:
        raise UsageError("source.path is empty; give a folder that all nodes see, or an object store: source.path=s3://bucket/videos")


def _print_submission(submission: "Submission") -> None:
    from internvid_pipeline.config import to_yaml

    print(to_yaml(submission.masked()), end="")
    say_local_places(submission.config)


def follow_job(server: "JobServer", job_id: str, detach: bool = False) -> int:
    """Prints the job's log as it comes; what the library says itself (`internvid: …`) on standard error. Returns the exit status."""
    from internvid_pipeline.cluster.follow import exit_status_of, follow, outcome
    from internvid_pipeline.cluster.marks import CHECKED

    said = False
    try:
        for line in follow(server, job_id):
            own = line.startswith("internvid: ")
            said = said or own
            print(line, file=sys.stderr if own else sys.stdout, flush=True)
            if detach and line.startswith(CHECKED):
                print(_how_to_follow(server, job_id), file=sys.stderr)
                return 0
        job = outcome(server, job_id)
    except KeyboardInterrupt:
        print(f"\ninternvid: left; the job goes on. {_how_to_follow(server, job_id)}", file=sys.stderr)
        return 0
    status = exit_status_of(job)
    if job.status == "STOPPED":
        print(f"internvid: {job_id} was stopped; what is done is kept, the same launch goes on from there", file=sys.stderr)
    elif status and not said:  # it did not get so far as to say anything itself
        print(f"internvid: {job_id} failed: {job.message or 'Ray does not say why'}", file=sys.stderr)
    return status


def _how_to_follow(server: "JobServer", job_id: str) -> str:
    place = f"{shlex.quote(job_id)} --address {shlex.quote(server.address)}"
    return f"follow: internvid logs -f {place}; stop: internvid stop {place}"


def job(
    config: ConfigArgument,
    until: UntilOption = None,
    only: OnlyOption = None,
    max_failed_ratio: RatioOption = None,
    nodes: Annotated[int, typer.Option(min=1, help="Wait until so many nodes have joined.")] = 1,
    log_format: LogFormatOption = None,
) -> None:
    """What a launched job runs on the cluster: checks, then the run."""
    from internvid_pipeline.config import load_config

    loaded = load_config(config, ["placement.ray_address=auto"])
    from internvid_pipeline.cli.run import Engine, LogFormat, run
    from internvid_pipeline.cluster.preflight import check_cluster
    from internvid_pipeline.engine import build_plan, select_stages

    print(check_cluster(loaded, select_stages(build_plan(loaded, 0), until, only), nodes), file=sys.stderr, flush=True)
    run(config, ["placement.ray_address=auto"], Engine.RAY, until, only, max_failed_ratio, False, log_format or LogFormat.TEXT)
