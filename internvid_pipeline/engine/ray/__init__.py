"""The engine on Ray: a Ray Data plan whose rows are partition numbers and whose operators are stages. Only this room imports ray.

Nothing of Ray's own retries, checkpoints or error limits is relied on: a worker looks whether its partition is committed, else computes
and commits, and passes the number on with what went wrong, if anything did. A dead worker is replaced by Ray and its partition run
again, which finds committed work done.
"""

from internvid_pipeline.engine.ray.connection import start, stop
from internvid_pipeline.engine.ray.nodes import machines
from internvid_pipeline.engine.ray.segment import run_segment

__all__ = ["machines", "run_segment", "start", "stop"]
