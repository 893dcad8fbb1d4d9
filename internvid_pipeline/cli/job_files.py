"""The files that `internvid launch` prints for other schedulers."""

import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from internvid_pipeline.cluster.groups import WorkerGroup
    from internvid_pipeline.cluster.submission import RunOptions
    from internvid_pipeline.config import DatasetConfig


def _groups(
    config: "DatasetConfig", options: "RunOptions", cpu_nodes: str, gpu_nodes: str, cpus_per_node: int, gpus_per_node: int
) -> "tuple[dict[str, Any], list[WorkerGroup]]":
    """The job's config, and the machines for its stages; says which places the machines must share."""
    from internvid_pipeline.cluster.groups import parse_range, worker_groups
    from internvid_pipeline.cluster.shipment import job_config
    from internvid_pipeline.engine import build_plan, select_stages

    data = job_config(config)
    plans = select_stages(build_plan(config, 0), options.until, options.only)
    ranges = parse_range("--cpu-nodes", cpu_nodes), parse_range("--gpu-nodes", gpu_nodes)
    say_local_places(data)
    return data, worker_groups(plans, *ranges, cpus_per_node, gpus_per_node)


def rayjob(config: "DatasetConfig", options: "RunOptions", image: str | None, secret: str | None, *sizes: Any) -> str:
    """A RayJob. Raises UsageError without an image."""
    import importlib.metadata

    from internvid_pipeline.cluster.kuberay import rayjob_yaml
    from internvid_pipeline.errors import SetupError

    if not image:
        raise typer.BadParameter("--kuberay needs --image: one with Ray and internvid-pipeline in it (README, On a cluster)")
    try:
        version = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        raise SetupError("the RayJob names its version of Ray, and none is installed here: pip install 'internvid-pipeline[ray]'") from None
    data, groups = _groups(config, options, *sizes)
    return rayjob_yaml(config, data, groups, options, image, version, secret)


def sbatch(config: "DatasetConfig", options: "RunOptions", nodes: int, python: str, *sizes: Any) -> str:
    """An sbatch script."""
    from internvid_pipeline.cluster.slurm import sbatch_script

    data, groups = _groups(config, options, *sizes)
    return sbatch_script(config, data, groups, options, nodes, python)


def say_local_places(data: "dict[str, Any]") -> None:
    """Says on standard error which places of the config are folders."""
    from internvid_pipeline.cluster.shipment import local_places

    for place in local_places(data):
        print(f"internvid: {place} is a folder; every node must see it under this name", file=sys.stderr)
