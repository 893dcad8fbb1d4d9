"""Taking inputs again: deferred ones at once, failed ones as further attempts. It only marks what is to be done; a run then does it."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine.append_records import append_records
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.engine.attempts import next_attempt
from internvid_pipeline.engine.outcomes import lost_inputs
from internvid_pipeline.engine.parts import release
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import FailureRecord, SourceRecord
from internvid_pipeline.storage import Root
from internvid_pipeline.storage.inventory import list_state


@dataclass
class Retry:
    """What was marked. released: deferred inputs that are due now. again: failed inputs that are new attempts. partitions: that hold
    them. other_failures: failed inputs of classes that were not chosen, by class."""

    released: int = 0
    again: int = 0
    partitions: list[int] = field(default_factory=list)
    other_failures: Counter[str] = field(default_factory=Counter)


def mark_for_retry(
    root: Root,
    config: DatasetConfig,
    plans: Sequence[StagePlan],
    partitions: Sequence[int],
    classes: Collection[str] = (),
    stage: str | None = None,
) -> Retry:
    """Makes deferred inputs due, their attempts counted from nothing, and appends further attempts of failed ones. classes: only inputs
    that were put off or failed with one of these errors; without them deferred inputs alone. stage: only those that stopped in it.

    A failed input is taken again whole, and only where nothing came of it: a video of which there are clips is not, whatever happened to
    some of them. plans: of the config of the last run. Raises StorageError.
    """
    found = Retry()
    for plan in plans:
        if stage is None or plan.name == stage:
            for partition in sorted(list_state(root, plan.folder)[1].keys() & set(partitions)):
                found.released += release(root, plan, partition, classes)
    failed: list[SourceRecord] = []
    for source, loss in lost_inputs(root, plans, partitions) if classes else ():
        if isinstance(loss, FailureRecord) and (stage is None or loss.stage == stage):
            if loss.error_class in classes:
                failed.append(next_attempt(source))
            else:
                found.other_failures[loss.error_class] += 1
    found.again = len(failed)
    if failed:
        found.partitions = append_records(SourceIndex(root).read(), failed, config.source)
    return found
