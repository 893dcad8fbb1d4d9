"""What Ray Data remembers of every block that has passed, forgotten again.

A plan has a block for every partition in every stage, and Ray keeps statistics of each until the plan ends, for a table that nobody here
asks for: 15 kB for each partition of six stages, gigabytes at InternVid's size (benchmarks/throughput.py trivial).
"""

from typing import Any


class ForgetBlocks:
    """A Ray Data ExecutionCallback (by its methods: Ray is not imported here)."""

    def before_execution_starts(self, executor: Any) -> None:
        """Nothing has passed yet."""

    def on_execution_step(self, executor: Any) -> None:
        """Where this version of Ray keeps no such list, or calls it otherwise, nothing happens."""
        for operator in getattr(executor, "_topology", None) or ():
            kept = getattr(operator, "_output_blocks_stats", None)
            if isinstance(kept, list):
                kept.clear()

    def after_execution_succeeds(self, executor: Any) -> None:
        """The plan is over."""

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        """The plan is over."""
