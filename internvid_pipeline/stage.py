"""The contract of a stage: a function from partition to partition, one outcome for every input.

To add a stage, write `stages/<name>.py` with one subclass of Stage whose `name` is `<name>`, a test in `tests/stages/`, and an entry
`<name>:` under `stages:` in a config. `tests/contracts/test_stages.py` picks it up by itself. Only `process` must be written.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa
from pydantic import BaseModel

from internvid_pipeline.records import DropReason, MediaRef
from internvid_pipeline.storage import Root

C = TypeVar("C", bound=BaseModel)
In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class PartDrop:
    """A part of an input that was left out (one shot of a video) while the input itself is emitted. item_id names the part."""

    item_id: str
    reason: DropReason
    message: str


@dataclass(frozen=True, slots=True)
class Emit(Generic[Out]):
    """The input gave these rows, one or more. Media that was written into the worker's scratch folder is pointed at by
    `MediaRef.scratch(path)` inside the rows; the engine stores it."""

    records: tuple[Out, ...]
    dropped_parts: tuple[PartDrop, ...] = ()


@dataclass(frozen=True, slots=True)
class Drop:
    """The input was judged and left out. dropped_parts: the parts that led to it, where there are any."""

    reason: DropReason
    message: str
    dropped_parts: tuple[PartDrop, ...] = ()


@dataclass(frozen=True, slots=True)
class Fail:
    """The input could not be processed. Stages rarely build it: an exception raised by `load` or `process` becomes one."""

    error_class: str
    message: str
    detail: str = ""
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Defer:
    """The input cannot be had now (its site asks for fewer requests, or fails): it is tried again later, and its partition is not done
    until then. Stages rarely build it: `errors.Deferred`, raised by `load` or `process`, becomes one. retry_after_s: when the site
    wants to be asked again, None where it does not say. is_attempt: False where nobody was asked for this very input; it then does not
    count towards `placement.max_deferrals`."""

    error_class: str
    message: str
    retry_after_s: float | None = None
    is_attempt: bool = True


Outcome = Emit[Out] | Drop | Fail | Defer


@dataclass(frozen=True, slots=True)
class Item(Generic[In]):
    """One input of `process`. record: a row of the table that the stage reads. joined: rows of the tables in `joins` with the same
    clip_id (or video_id), by record type. payload: what `load` returned. partition: number of the partition being worked on. pile: the
    number that the stage's `gather` gave it."""

    record: In
    partition: int = 0
    joined: Mapping[type, tuple[Any, ...]] = field(default_factory=dict)
    payload: Any = None
    pile: int = 0


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker of a stage needs. cpus, gpus: shares for the scheduler. memory_mb: the worker (with its children) is ended
    when it holds more. batch_size: items per call of `process`. load_threads: calls of `load` that run ahead."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 4000
    batch_size: int = 8
    load_threads: int = 2


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker has. root: the data set, to read media from. scratch: a local folder of this worker's own; files that rows point
    at are taken from it and it is emptied after each partition. reduced: result of the stage's `reduce`. reduced_files: the files that
    it wrote, by name, as they lie in the data set. nodes: machines that may run workers of this stage, this one included: what all of
    them share (a site's patience) is divided by it."""

    root: Root
    scratch: Path
    resources: Resources
    reduced: Mapping[str, float] = field(default_factory=dict)
    reduced_files: Mapping[str, MediaRef] = field(default_factory=dict)
    nodes: int = 1


class SetTables(Protocol):
    """The tables that a stage reads and joins, over the whole data set, or (`gather`) over a group of its partitions."""

    @property
    def partitions(self) -> Sequence[int]:
        """Their numbers, ascending."""

    def table(self, partition: int, record_type: type, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one partition, in the schema of `record_type` or `columns` of it; of all stages that write such rows, one after the
        other. Raises FileNotFoundError where an upstream partition is not done, StorageError."""


class Stage(ABC, Generic[C, In, Out]):
    """Base of all stages. The constructor takes the config and touches nothing (no file, network, GPU): building a plan is free.

    name: file name, key in the config, folder in the data set. version: raise it when the same input and config would give another
    result. config_type: the pydantic model of the stage's part of the config. reads, joins, writes: record types; the engine finds
    the tables among the stages before this one. An input that lacks a row of a type in `joins` is not given to the stage: it was
    accounted for where that row was not made. optional_joins: as `joins`, but an input without such a row, and a plan without a stage
    that writes them, are both fine. whole_partition: `process` gets all items of a partition in one call.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    config_type: ClassVar[type[BaseModel]]
    reads: ClassVar[type]
    joins: ClassVar[tuple[type, ...]] = ()
    optional_joins: ClassVar[tuple[type, ...]] = ()
    writes: ClassVar[type]
    whole_partition: ClassVar[bool] = False
    worker: WorkerContext

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    def resources(self) -> Resources:
        """Needs of one worker; `placement:` in the config overrides single fields. May depend on the config (a stand-in needs no GPU)."""
        return Resources()

    @property
    def publish_dir(self) -> str | None:
        """None: files that rows point at are packed into the partition's tar. A folder below the root (`shards`): they are
        stored there under their paths in the scratch folder, and replace what an earlier config had put there."""
        return None

    @property
    def needs_reduce(self) -> bool:
        """True where `reduce` must look at all partitions before any is processed (a barrier)."""
        return False

    @property
    def gather_partitions(self) -> int:
        """0: the inputs of a partition are its own rows. Else so many partitions at most, all appended at once, form a group, and `gather`
        deals the group's rows out among them. The groups follow from the log of appends, so that new data changes none."""
        return 0

    def deadline_s(self, record: In) -> float:
        """Seconds that one input may take, loading included; the worker is ended when it takes longer."""
        del record
        return 600.0

    def prepare_node(self) -> None:
        """Called before a worker starts, by one worker of a node at a time: bring weights to the local disk, which must cost nothing the
        second time. Without it every worker of a node would fetch them at once."""

    def setup(self, worker: WorkerContext) -> None:
        """Called once per worker before the first item: load models (after `super().setup(worker)`, which keeps `self.worker`). Raises
        SetupError where the machine lacks something."""
        self.worker = worker

    def reduce(self, tables: SetTables, folder: Path) -> dict[str, float]:
        """Called once, before the partitions, where `needs_reduce`: looks at the tables of the whole set, in bounded memory. The numbers
        returned, and the files written into `folder`, are stored with the stage and given to every worker as `worker.reduced` and
        `worker.reduced_files`."""
        del tables, folder
        return {}

    def gather(self, tables: SetTables) -> pa.Table:
        """Called once per group where `gather_partitions`: one row per input, {partition: int64, the one that processes it; pile: int64, a
        number for the stage's own use; source: int64, the partition whose tables hold it; clip_id: string; item_id: string}, in the order
        in which `process` is to get them. Must be the same on every machine."""
        raise NotImplementedError(f"stage {self.name} gathers partitions but has no gather()")

    def load(self, record: In) -> Any:
        """Reading and decoding for one input, called in threads ahead of `process`. Its result is `Item.payload`."""
        del record
        return None

    def load_item(self, item: Item[In]) -> Any:
        """As `load`, for a stage that has to see the joined rows to know what to read; by default `load(item.record)`."""
        return self.load(item.record)

    @abstractmethod
    def process(self, batch: Sequence[Item[In]]) -> list[Outcome[Out]]:
        """One outcome per item, in order. An exception fails (`errors.Deferred`: puts off) the items of the batch one by one, never their
        neighbours."""

    def committed(self, item_ids: Collection[str]) -> None:
        """Called when the outcomes of these inputs (of one partition, by `item_id`) are stored for good: what was kept outside the scratch
        folder to go on from after a crash can be deleted. Inputs of the same `process` calls that are not among them were deferred. Not
        called by a worker that is killed between the storing and this, nor in another's place."""

    def teardown(self) -> None:
        """Called once per worker after the last item, if the worker is still alive."""
