"""A partition tried again when storage or the machine fails it; what the engines report of each."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from internvid_pipeline.engine.host import Host
from internvid_pipeline.engine.partition import run_partition
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.errors import InternvidError, SetupError, StorageError
from internvid_pipeline.storage import Root

_BACKOFF_S = 1.0


@dataclass(frozen=True, slots=True)
class PartitionError:
    """A partition that could not be run. is_fatal: so will be all others (missing weights, a bug in the stage)."""

    stage: str
    partition: int
    message: str
    is_fatal: bool

    def __str__(self) -> str:
        return f"stage {self.stage}, partition {self.partition}: {self.message}"


def attempt_partition(root: Root, plan: StagePlan, partition: int, host: Callable[[], Host], attempts: int) -> PartitionError | None:
    """Runs a stage over a partition, again with back-off where the store fails. None when the partition is done."""
    for attempt in range(1, attempts + 1):
        try:
            run_partition(root, plan, partition, host())
            return None
        except FileNotFoundError as error:
            return PartitionError(plan.name, partition, f"what it reads is not there: {error}", False)
        except StorageError as error:
            if attempt == attempts:
                return PartitionError(plan.name, partition, str(error), False)
        except OSError as error:
            if attempt == attempts:
                return PartitionError(
                    plan.name, partition, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", False
                )
        except InternvidError as error:
            return PartitionError(plan.name, partition, str(error), isinstance(error, SetupError) or not isinstance(error, StorageError))
        time.sleep(_BACKOFF_S * 2**attempt)
    return None
