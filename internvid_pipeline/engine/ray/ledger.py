"""The ledger of a run, in an actor on the driver's node."""

from typing import Any

from internvid_pipeline.engine.workers.ledger import Ledger

_ANSWER_S = 10.0


class RayLedger:
    """A `ledger.Ledger` in an actor on the driver's node. What cannot be counted is let through: counting is no reason to stop."""

    def __init__(self) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        # It holds its counts for as long as the driver lives; one that is killed starts from nothing.
        self.actor: Any = ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(Ledger).remote()

    def _ask(self, method: str, *arguments: Any) -> Any:
        import ray

        try:
            return ray.get(getattr(self.actor, method).remote(*arguments), timeout=_ANSWER_S)
        except ray.exceptions.RayError:
            return None

    def begin(self, stage: str, partition: int) -> int:
        return int(self._ask("begin", stage, partition) or 0)

    def end(self, stage: str, partition: int, is_last: bool = False) -> None:
        if is_last:
            self._ask("end", stage, partition)
        else:
            self.actor.end.remote(stage, partition)

    def beat(self) -> None:
        self.actor.beat.remote()

    def idle_s(self) -> float:
        """Seconds since any worker gave a sign of life; 0 where the ledger does not answer."""
        return float(self._ask("idle_s") or 0.0)
