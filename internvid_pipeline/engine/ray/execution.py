"""What Ray Data does while a plan runs: it is made to forget what has passed, and to end when nobody waits for it any more."""

from typing import Any

_running: list[Any] = []  # Ray Data's executors of this process


class Execution:
    """A Ray Data ExecutionCallback (by its methods: Ray is not imported here).

    A plan has a block for every partition in every stage, and Ray keeps statistics of each until the plan ends, for a table that nobody
    here asks for: 15 kB for each partition of six stages, gigabytes at InternVid's size (benchmarks/throughput.py trivial).
    """

    def before_execution_starts(self, executor: Any) -> None:
        """Notes it."""
        _running.append(executor)

    def on_execution_step(self, executor: Any) -> None:
        """Where this version of Ray keeps no such list, or calls it otherwise, nothing happens."""
        for operator in getattr(executor, "_topology", None) or ():
            kept = getattr(operator, "_output_blocks_stats", None)
            if isinstance(kept, list):
                kept.clear()

    def after_execution_succeeds(self, executor: Any) -> None:
        """Nothing is left to end."""
        if executor in _running:
            _running.remove(executor)

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        """As above."""
        self.after_execution_succeeds(executor)


def end() -> None:
    """Ends all plans of this process. One that is left to itself, stalled or given up, goes on in threads of its own when Ray is
    disconnected, and speaks to whatever this process connects to next."""
    import ray

    while _running:
        try:
            _running.pop().shutdown(force=True)
        except (ray.exceptions.RayError, ConnectionError):
            continue  # what it would speak to is gone
