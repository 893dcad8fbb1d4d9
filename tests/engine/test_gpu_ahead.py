"""While a stage with a GPU works on a batch, the next one is loaded as a whole."""

import threading
from collections.abc import Sequence
from pathlib import Path

from internvid_pipeline.config import Section
from internvid_pipeline.engine.workers.worker import StageWorker
from internvid_pipeline.stage import Emit, Item, Outcome, Resources, Stage, WorkerContext
from internvid_pipeline.storage import Root
from tests.toy_stages import NumberRecord, SquareRecord

_WAIT_S = 10.0


class Watched(Stage[Section, NumberRecord, SquareRecord]):
    name = "watched"
    config_type = Section
    reads = NumberRecord
    writes = SquareRecord

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        self.loaded, self.changed = 0, threading.Condition()
        self.seen: list[int] = []

    def load(self, record: NumberRecord) -> int:
        with self.changed:
            self.loaded += 1
            self.changed.notify_all()
        return record.number

    def process(self, batch: Sequence[Item[NumberRecord]]) -> list[Outcome[SquareRecord]]:
        done = len(self.seen) + len(batch)
        with self.changed:
            self.changed.wait_for(lambda: self.loaded >= min(12, done + 4), timeout=_WAIT_S)
            self.seen += [self.loaded] * len(batch)
        return [Emit((SquareRecord(video_id=str(item.payload), square=item.payload**2),)) for item in batch]


def test_next_batch_is_there_when_this_one_is_done(tmp_path: Path):
    resources = Resources(gpus=0.5, batch_size=4, load_threads=1)
    stage = Watched(Section())
    worker = StageWorker(stage, WorkerContext(root=Root(str(tmp_path)), scratch=tmp_path, resources=resources))
    worker.run([(i, Item(NumberRecord(number=i))) for i in range(12)], lambda index: None, lambda index, outcome: None)
    worker.close()
    assert stage.seen == [8] * 4 + [12] * 8
