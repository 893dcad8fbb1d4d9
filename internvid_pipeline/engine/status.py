"""Reading the statuses of a plan, also where it has hundreds of thousands of manifests.

Reading every manifest is the cost: half a million small files take a quarter of a minute of CPU time and, on S3, twenty cents. The
driver of a run reads each of them once anyhow, and now and then stores what it has summed up, one `summary.json` per stage: which
partitions, and their sums. Manifests never change, so a summary stays true however old it is, and whoever wrote it; a reader checks
that its partitions are there and reads the rest. It is a view: deleting it costs only time. What withdraws a manifest deletes it first.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.report import StageStatus
from internvid_pipeline.engine.sums import from_ranges, status_of, sum_partitions, summed_by_processes, to_ranges
from internvid_pipeline.errors import InternvidError
from internvid_pipeline.storage import DeferredInput, Root, layout, read_part
from internvid_pipeline.storage.inventory import list_state

SUMMARY_VERSION = 1
SUMMARY_STEP = 1000  # a summary is written anew when it would spare reading this many manifests more
_NOT_SUMS = ("stage", "fingerprint", "partitions", "ready", "deferred", "deferred_by_class", "next_try_at")
_WORTH_PROCESSES = 20_000  # manifests; starting a process costs about as much as reading this many


class StatusReader:
    """Statuses of a plan, each manifest read once however often they are asked for.

    writes_summaries: store what was summed up, for the next reader: for the driver of a run. processes: share the reading of very many
    manifests of a local root among as many.
    """

    def __init__(
        self, root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], writes_summaries: bool = False, processes: int = 1
    ) -> None:
        self.root, self.plans, self.partitions = root, plans, frozenset(partitions)
        self.writes_summaries, self.processes = writes_summaries, processes
        self._statuses = {plan.name: _empty(plan, len(self.partitions)) for plan in plans}
        self._seen: dict[str, set[int]] = {plan.name: set() for plan in plans}
        self._stored: dict[str, int] = {}
        self._last_parts: dict[str, dict[int, int]] = {plan.name: {} for plan in plans}
        self._open: dict[tuple[str, int], tuple[int, tuple[DeferredInput, ...]]] = {}

    def read(self) -> list[StageStatus]:
        """The statuses as they are now, in the order of the plan. Raises StorageError."""
        fresh = {plan.folder: sorted((self._listed(plan) & self.partitions) - self._seen[plan.name]) for plan in self.plans}
        sums = self._summed({folder: partitions for folder, partitions in fresh.items() if partitions})
        for plan in self.plans:
            for status, there in sums.get(plan.folder, ()):
                self._statuses[plan.name].merge(status)
                self._seen[plan.name] |= there
            if self.writes_summaries and len(self._seen[plan.name]) - self._stored[plan.name] >= SUMMARY_STEP:
                self._write_summary(plan)
        self._count_ready()
        for plan in self.plans:
            self._count_deferred(plan)
        return list(self._statuses.values())

    def _count_ready(self) -> None:
        done = {plan.folder: self._seen[plan.name] for plan in self.plans}
        for plan in self.plans:
            there = self.partitions
            for folder in plan.upstream:
                if folder in done:  # a reader of some stages only knows nothing of the others
                    there = there & done[folder]
            self._statuses[plan.name].ready = len(there - self._seen[plan.name])

    def _count_deferred(self, plan: StagePlan) -> None:
        """From the last part of each partition that is not done; a part never changes, and is read once."""
        last = {number: part for number, part in self._last_parts[plan.name].items() if number in self.partitions}
        found: list[DeferredInput] = []
        for partition, part in last.items():
            if self._open.get((plan.name, partition), (-1, ()))[0] != part:
                self._open[plan.name, partition] = part, read_part(self.root, plan.folder, partition, part).deferred
            found += self._open[plan.name, partition][1]
        status = self._statuses[plan.name]
        status.deferred = len(found)
        status.deferred_by_class = dict(sorted(Counter(one.error_class for one in found).items()))
        status.next_try_at = min((one.not_before for one in found), default="")

    def _summed(self, fresh: Mapping[str, Sequence[int]]) -> dict[str, list[tuple[StageStatus, set[int]]]]:
        """Sums over partitions of stages, by their folders, and which of them were there."""
        if self.root.is_local and self.processes > 1 and sum(map(len, fresh.values())) >= _WORTH_PROCESSES:
            return summed_by_processes(self.root, fresh, self.processes)
        return {folder: [sum_partitions(self.root, folder, partitions)] for folder, partitions in fresh.items()}

    def _listed(self, plan: StagePlan) -> set[int]:
        """Partitions that are done. The first time takes over the stored sums, if all their partitions are in the listing and in this
        plan; else all manifests are read. (On S3 listings take long, and what a summary covers is not listed again: what withdraws
        manifests deletes the summary first.)"""
        seen = self._seen[plan.name]
        if plan.name in self._stored:
            done, self._last_parts[plan.name] = list_state(self.root, plan.folder, seen)
            return done
        self._stored[plan.name] = 0
        status, covered = read_summary(self.root, plan) or (None, set())
        done, self._last_parts[plan.name] = list_state(self.root, plan.folder, covered)
        if status is not None and covered <= self.partitions and covered <= done:
            self._statuses[plan.name].merge(status)
            seen |= covered
            self._stored[plan.name] = len(covered)
        return done

    def _write_summary(self, plan: StagePlan) -> None:
        seen = self._seen[plan.name]
        with contextlib.suppress(InternvidError, OSError):  # it spares time later; its lack is no reason to end a run
            self.root.replace_bytes(layout.summary_file(plan.folder), summary_bytes(self._statuses[plan.name], seen))
            self._stored[plan.name] = len(seen)


def _empty(plan: StagePlan, partitions: int) -> StageStatus:
    return StageStatus(plan.name, plan.fingerprint, partitions)


def summary_bytes(status: StageStatus, partitions: Collection[int]) -> bytes:
    """A summary of these partitions as it is stored."""
    sums = {key: value for key, value in asdict(status).items() if key not in _NOT_SUMS}
    return json.dumps({"summary_version": SUMMARY_VERSION, "partitions": to_ranges(partitions), "sums": sums}).encode()


def read_summary(root: Root, plan: StagePlan) -> tuple[StageStatus, set[int]] | None:
    """The stored sums of a stage and the partitions they are of; None where there are none, or none that we understand."""
    try:
        data = json.loads(root.read_bytes(layout.summary_file(plan.folder)))
        if data["summary_version"] != SUMMARY_VERSION:
            return None
        covered = from_ranges(data["partitions"])
        status = status_of({"stage": plan.name, "fingerprint": plan.fingerprint, "partitions": len(covered), **data["sums"]})
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    is_sound = status.partitions_done == len(covered) and status.inputs == status.emitted + status.dropped + status.failed
    return (status, covered) if is_sound else None
