"""What became of every input: the line that a person asks for, put together from the tables."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from internvid_pipeline.engine.attempts import superseded_sources
from internvid_pipeline.engine.gather import group_of
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.records import ClipRecord, DropRecord, FailureRecord, SampleRecord, ScanRecord, SourceRecord, VideoRecord
from internvid_pipeline.storage import DeferredInput, Root, read_manifest, read_part, read_table, without_credentials
from internvid_pipeline.storage.inventory import list_state

_LOST = ("dropped", "failed")
_WHOLE = (SourceRecord, VideoRecord, ScanRecord)  # inputs of stages that look at whole videos


@dataclass(frozen=True, slots=True)
class InputOutcome:
    """One input. outcome: `clips`, `dropped`, `failed`, `deferred` or `pending`. clips: clips cut from it. in_shards: those that are in
    shards. reason: why it was lost or put off, or what was lost of it; empty where nothing was."""

    uri: str
    outcome: str
    clips: int
    in_shards: int
    reason: str


def input_outcomes(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]) -> Iterator[InputOutcome]:
    """One outcome per input, in the order of the partitions; of an input that was taken again its last attempt's."""
    yield from (outcome for _, _, outcome in _last_attempts(root, plans, partitions))


def lost_inputs(
    root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]
) -> Iterator[tuple[SourceRecord, DropRecord | FailureRecord]]:
    """Inputs of which there is nothing, at their last attempt, with the loss that ended it."""
    yield from ((source, loss) for source, loss, outcome in _last_attempts(root, plans, partitions) if loss and outcome.outcome in _LOST)


def _last_attempts(
    root: Root, plans: Sequence[StagePlan], partitions: Sequence[int]
) -> Iterator[tuple[SourceRecord, DropRecord | FailureRecord | None, InputOutcome]]:
    superseded = superseded_sources(root)
    states = {plan.folder: list_state(root, plan.folder) for plan in plans}
    gathered = _Gathered(root, [plan for plan in plans if plan.gather_partitions], {folder: state[0] for folder, state in states.items()})
    for partition in partitions:
        former = superseded.get(partition, ())
        done = [plan for plan in plans if partition in states[plan.folder][0] and not plan.gather_partitions]
        deferred: dict[str, DeferredInput] = {}
        for plan in plans:
            last = states[plan.folder][1].get(partition)
            if last is not None:
                deferred |= {one.item_id: one for one in read_part(root, plan.folder, partition, last).deferred}
        for source, loss, outcome in _of_partition(root, done, partition, gathered.of_group(partition), deferred):
            if source.uri not in former:
                yield source, loss, outcome


class _Gathered:
    """What became of clips in stages that deal the rows of a group of partitions out anew; the last group read is kept."""

    def __init__(self, root: Root, plans: Sequence[StagePlan], done: Mapping[str, set[int]]) -> None:
        self._root, self._plans, self._done = root, plans, done
        self._group: range = range(0)
        self._found: tuple[Counter[str], dict[str, Counter[str]]] = Counter(), {}

    def of_group(self, partition: int) -> tuple[Counter[str], dict[str, Counter[str]]]:
        """Samples, and reasons of losses, by video, in the group of a partition."""
        if partition not in self._group:
            self._found = Counter(), {}
            for plan in self._plans:
                try:
                    self._group = group_of(self._root, plan, partition)
                except FileNotFoundError:  # it has not come so far
                    continue
                for member in sorted(self._done[plan.folder].intersection(self._group)):
                    self._add(plan, member)
        return self._found

    def _add(self, plan: StagePlan, partition: int) -> None:
        samples, lost_parts = self._found
        _collect_losses(self._root, plan, partition, False, {}, lost_parts)
        if plan.build().writes is SampleRecord:
            for row in read_rows(self._root, plan.folder, partition, SampleRecord):
                samples[row.video_id] += 1


def _of_partition(
    root: Root,
    plans: Sequence[StagePlan],
    partition: int,
    of_group: tuple[Mapping[str, int], Mapping[str, Counter[str]]],
    deferred: Mapping[str, DeferredInput],
) -> Iterator[tuple[SourceRecord, DropRecord | FailureRecord | None, InputOutcome]]:
    samples, lost_in_group = of_group
    losses: dict[str, DropRecord | FailureRecord] = {}
    videos: dict[str, str] = {}
    clips: Counter[str] = Counter()
    lost_parts: dict[str, Counter[str]] = {}
    for plan in plans:
        stage = plan.build()
        writes = stage.writes
        _collect_losses(root, plan, partition, stage.reads in _WHOLE, losses, lost_parts)
        if writes in (VideoRecord, ClipRecord):
            for row in read_rows(root, plan.folder, partition, writes):
                if writes is VideoRecord:
                    videos[row.source_uri] = row.video_id
                else:
                    clips[row.video_id] += 1
    for source in read_rows(root, None, partition, SourceRecord):
        video_id = videos.get(source.uri, "")
        loss = losses.get(source.uri) or losses.get(video_id)
        parts = lost_parts.get(video_id, Counter()) + lost_in_group.get(video_id, Counter())
        outcome = _outcome(source.uri, loss, clips[video_id], samples.get(video_id, 0), parts)
        waits = deferred.get(without_credentials(source.uri)) or deferred.get(video_id)
        if waits is not None and outcome.outcome == "pending":
            outcome = InputOutcome(source.uri, "deferred", 0, 0, f"{waits.error_class}: {waits.message}")
        yield source, loss, outcome


def _collect_losses(
    root: Root,
    plan: StagePlan,
    partition: int,
    are_whole: bool,
    losses: dict[str, DropRecord | FailureRecord],
    lost_parts: dict[str, Counter[str]],
) -> None:
    """Sorts a stage's losses into whole inputs (`are_whole`: the stage reads sources or videos) and clips of a video."""
    manifest = read_manifest(root, plan.folder, partition)
    drops, failures = manifest.path_of("drops"), manifest.path_of("failures")
    rows: list[DropRecord | FailureRecord] = [
        *(read_table(root, drops, DropRecord) if drops else []),
        *(read_table(root, failures, FailureRecord) if failures else []),
    ]
    for row in rows:
        part_of = row.part_of if isinstance(row, DropRecord) else None
        if are_whole and part_of is None:
            losses.setdefault(row.item_id, row)
            continue
        owner = part_of or row.item_id.split("/", 1)[0].rsplit("_", 2)[0]
        reason = row.reason if isinstance(row, DropRecord) else row.error_class
        lost_parts.setdefault(owner, Counter())[reason] += 1


def _outcome(uri: str, loss: DropRecord | FailureRecord | None, clips: int, in_shards: int, parts: Counter[str]) -> InputOutcome:
    if loss is not None and not clips:
        kind, name = ("dropped", loss.reason) if isinstance(loss, DropRecord) else ("failed", loss.error_class)
        return InputOutcome(uri, kind, 0, 0, f"{name}: {loss.message}")
    words = ", ".join(f"{count} {reason}" for reason, count in sorted(parts.items()))
    return InputOutcome(uri, "clips" if clips else "pending", clips, in_shards, words)
