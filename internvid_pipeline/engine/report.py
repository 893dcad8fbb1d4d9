"""What became of everything: counts per stage, read from the manifests alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import DropRecord, FailureRecord
from internvid_pipeline.storage import Manifest, Root, done_partitions, read_manifest, read_table


@dataclass
class StageStatus:
    """One stage: partitions done of all, and inputs = emitted + dropped + failed over the done ones. wall_s: seconds of work."""

    stage: str
    fingerprint: str
    partitions: int
    partitions_done: int = 0
    inputs: int = 0
    emitted: int = 0
    dropped: int = 0
    failed: int = 0
    rows: int = 0
    dropped_parts: int = 0
    drops_by_reason: dict[str, int] = field(default_factory=dict)
    failures_by_class: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    wall_s: float = 0.0

    @property
    def failed_ratio(self) -> float:
        """Share of the inputs that failed, 0 where there are none."""
        return self.failed / self.inputs if self.inputs else 0.0

    def add(self, manifest: Manifest) -> None:
        """Counts one more partition."""
        self.partitions_done += 1
        for name in ("inputs", "emitted", "dropped", "failed", "rows", "dropped_parts"):
            setattr(self, name, getattr(self, name) + getattr(manifest, name))
        self.drops_by_reason = dict(Counter(self.drops_by_reason) + Counter(manifest.drops_by_reason))
        self.failures_by_class = dict(Counter(self.failures_by_class) + Counter(manifest.failures_by_class))
        self.size_bytes += sum(file.size_bytes for file in manifest.files)
        self.wall_s = round(self.wall_s + manifest.wall_s, 3)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


class StatusReader:
    """Statuses of a plan, each manifest read once however often they are asked for."""

    def __init__(self, root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> None:
        self.root, self.plans, self.partitions = root, plans, frozenset(partitions)
        self._statuses = {plan.name: StageStatus(plan.name, plan.fingerprint, len(self.partitions)) for plan in plans}
        self._seen: dict[str, set[int]] = {plan.name: set() for plan in plans}

    def read(self) -> list[StageStatus]:
        """The statuses as they are now, in the order of the plan."""
        for plan in self.plans:
            for partition in sorted((done_partitions(self.root, plan.folder) & self.partitions) - self._seen[plan.name]):
                self._statuses[plan.name].add(read_manifest(self.root, plan.folder, partition))
                self._seen[plan.name].add(partition)
        return list(self._statuses.values())


def read_losses(root: Root, plan: StagePlan, kind: str) -> Iterator[tuple[int, DropRecord | FailureRecord]]:
    """Rows of the drops or failures tables (`kind`: "drops" or "failures") of a stage, with their partition."""
    for partition in sorted(done_partitions(root, plan.folder)):
        path = read_manifest(root, plan.folder, partition).path_of(kind)
        if path is not None:
            rows: Sequence[DropRecord | FailureRecord]
            rows = read_table(root, path, DropRecord) if kind == "drops" else read_table(root, path, FailureRecord)
            yield from ((partition, row) for row in rows)
