"""Cutting a plan into segments that run one after the other: at each barrier, and where the workers of all stages at once do not fit.

Every pool of a Ray Data plan holds its minimum of workers from start to end; pools that do not fit together wait for each other
without end. A segment is therefore filled only as far as the fewest workers of each of its stages fit, on the nodes as they are: two
nodes of two CPUs have no room for a worker of four, and a worker's part of a GPU is a part of one."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.errors import SetupError

_ROUNDING = 1e-9


@dataclass
class Node:
    """What is free on a machine: GPUs one by one, all other resources by Ray's names."""

    free: dict[str, float]
    gpus: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, resources: Mapping[str, float]) -> "Node":
        """A machine of which so much is free; a part of a GPU is a part of one."""
        gpus = resources.get("GPU", 0.0)
        rest = gpus - int(gpus)
        return cls(dict(resources), [1.0] * int(gpus) + ([rest] if rest > _ROUNDING else []))

    def take(self, needs: Mapping[str, float]) -> bool:
        """Takes what one worker needs, if it is there."""
        others = {name: amount for name, amount in needs.items() if name != "GPU" and amount > 0}
        if any(self.free.get(name, 0.0) + _ROUNDING < amount for name, amount in others.items()):
            return False
        if not self._take_gpus(needs.get("GPU", 0.0)):
            return False
        for name, amount in others.items():
            self.free[name] -= amount
        return True

    def _take_gpus(self, amount: float) -> bool:
        if amount <= 0:
            return True
        if amount < 1:
            roomy = [index for index, free in enumerate(self.gpus) if free + _ROUNDING >= amount]
            if not roomy:
                return False
            fullest = min(roomy, key=self.gpus.__getitem__)
            self.gpus[fullest] -= amount
            return True
        whole = [index for index, free in enumerate(self.gpus) if free > 1 - _ROUNDING][: int(amount)]
        if len(whole) < amount:
            return False
        for index in whole:
            self.gpus[index] = 0.0
        return True


Machines = Sequence[Mapping[str, float]]


def cut_segments(plans: Sequence[StagePlan], machines: Machines | None) -> list[list[StagePlan]]:
    """Consecutive groups of stages. machines: the resources of each node; None where stages take turns and everything fits. Raises
    SetupError where a single worker does not fit on any node."""
    segments: list[list[StagePlan]] = []
    for plan in plans:
        if machines is not None:
            _check_one(plan, machines)
        if not segments or plan.is_barrier or (machines is not None and not _fit([*segments[-1], plan], machines)):
            segments.append([])
        segments[-1].append(plan)
    return segments


def _fit(plans: Sequence[StagePlan], machines: Machines) -> bool:
    """True where the fewest workers of all stages have room at once; the largest are placed first."""
    nodes = [Node.of(machine) for machine in machines]
    workers = [plan.needs for plan in plans for _ in range(plan.min_workers)]
    workers.sort(key=lambda needs: (needs.get("GPU", 0.0), needs.get("CPU", 0.0)), reverse=True)
    return all(any(node.take(needs) for node in nodes) for needs in workers)


def _check_one(plan: StagePlan, machines: Machines) -> None:
    nodes = [Node.of(machine) for machine in machines]
    if any(copy.deepcopy(node).take(plan.needs) for node in nodes):
        return
    for name, amount in plan.needs.items():
        most = max((machine.get(name, 0.0) for machine in machines), default=0.0)
        if amount > most + _ROUNDING:
            known = {"CPU": "cpus", "GPU": "gpus"}.get(name)
            what, key = (known, known) if known else (f"of {name!r}", f"custom.{name}")
            raise SetupError(
                f"stage {plan.name} needs {amount:g} {what} for one worker and no machine has more than {most:g}; "
                f"run where there are more, or set placement.stages.{plan.name}.{key}={most:g}"
            )
    raise SetupError(
        f"stage {plan.name} needs {_words(plan.needs)} for one worker and no machine has all of it; "
        f"lower placement.stages.{plan.name}.cpus, gpus or custom"
    )


def _words(needs: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)


def segment_lines(segments: Sequence[Sequence[StagePlan]]) -> list[str]:
    """What runs together and why not all of it, one line per segment; none where everything runs at once."""
    if len(segments) < 2:
        return []
    lines = []
    for number, segment in enumerate(segments, 1):
        reason = ""
        if number > 1:
            reason = " (looks at many partitions at once)" if segment[0].is_barrier else " (has no room beside those before it)"
        lines.append(f"segment {number} of {len(segments)}: {', '.join(plan.name for plan in segment)}{reason}")
    return lines
