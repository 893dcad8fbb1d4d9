"""Cutting a plan into segments that run one after the other: at each barrier, and where the workers of all stages at once do not fit.

Every pool of a Ray Data plan holds its minimum of one worker from start to end; pools that do not fit together wait for each other
without end. A segment is therefore filled only as far as one worker of each of its stages fits."""

from collections.abc import Sequence

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.errors import SetupError


def cut_segments(plans: Sequence[StagePlan], cpus: float, gpus: float) -> list[list[StagePlan]]:
    """Consecutive groups of stages. Raises SetupError where a single worker does not fit."""
    segments: list[list[StagePlan]] = []
    used_cpus = used_gpus = 0.0
    for plan in plans:
        need = plan.resources
        if need.cpus > cpus or need.gpus > gpus:
            what, wanted, there = ("gpus", need.gpus, gpus) if need.gpus > gpus else ("cpus", need.cpus, cpus)
            raise SetupError(
                f"stage {plan.name} needs {wanted:g} {what} for one worker and there are {there:g}; "
                f"run where there are more, or set placement.stages.{plan.name}.{what}={there:g}"
            )
        fits = used_cpus + need.cpus <= cpus + 1e-9 and used_gpus + need.gpus <= gpus + 1e-9
        if not segments or plan.needs_reduce or not fits:
            segments.append([])
            used_cpus = used_gpus = 0.0
        segments[-1].append(plan)
        used_cpus += need.cpus
        used_gpus += need.gpus
    return segments
