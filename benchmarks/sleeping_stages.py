"""Stages that sleep for a while per partition, so that many workers can be at work on few cores."""

import json
import os
import time
from collections.abc import Sequence

from benchmarks.trivial_stages import NothingRecord
from internvid_pipeline.config import Section
from internvid_pipeline.records import SourceRecord
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage


class SleepConfig(Section):
    """work_s: seconds per partition. cpus, gpus: logical ones of a worker."""

    work_s: float = 1.0
    cpus: float = 1.0
    gpus: float = 0.0


class _Sleeping(Stage[SleepConfig, NothingRecord, NothingRecord]):
    config_type = SleepConfig
    reads = NothingRecord
    writes = NothingRecord
    whole_partition = True

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.config.cpus, gpus=self.config.gpus, load_threads=1)

    def process(self, batch: Sequence[Item[NothingRecord]]) -> list[Outcome[NothingRecord]]:
        begun = time.time()
        if self.config.work_s:
            time.sleep(self.config.work_s)
        log = os.environ.get("INTERNVID_BENCH_LOG")
        if log:
            handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(handle, f"{json.dumps([self.name, begun, time.time(), batch[0].partition])}\n".encode())
            os.close(handle)
        return [Emit((NothingRecord(video_id=item.record.item_id),)) for item in batch]


class S0(_Sleeping):
    """Reads the sources."""

    name = "sleep_0"
    reads = SourceRecord


class S1(_Sleeping):
    """Reads the stage before, as all that follow."""

    name = "sleep_1"


class S2(_Sleeping):
    """As S1."""

    name = "sleep_2"


class S3(_Sleeping):
    """As S1."""

    name = "sleep_3"


class S4(_Sleeping):
    """As S1."""

    name = "sleep_4"


class S5(_Sleeping):
    """As S1."""

    name = "sleep_5"


STAGES = ("S0", "S1", "S2", "S3", "S4", "S5")
