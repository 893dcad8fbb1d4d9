"""Whose run it is. Two drivers at once on one root would lose nothing, but do all work twice: the one that was started later owns the
stages that both run, and the earlier one stops.

Each start puts the next numbered file, if absent; the highest number is the owner, whoever is alive. No clock is read, nothing expires,
and a run that resumes after a crash waits for nobody. Only work that both have begun at that moment is done twice. Runs over other stages,
or under other fingerprints, do not disturb each other."""

import json
import re
import time
import uuid
from collections.abc import Sequence

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.errors import SetupError
from internvid_pipeline.storage import Root, layout

_NUMBERED = re.compile(r"(\d{5,})\.json")
_LOOK_S = 5.0


class Superseded(SetupError):
    """A later run has taken over what this one was doing."""


def newest(root: Root, folder: str) -> tuple[int, dict[str, str]]:
    """Number and content of the highest numbered file; (-1, {}) where there is none."""
    numbers = [int(match[1]) for name in root.list_names(folder) if (match := _NUMBERED.fullmatch(name))]
    if not numbers:
        return -1, {}
    content: dict[str, str] = json.loads(root.read_bytes(layout.generation_file(folder, max(numbers))))
    return max(numbers), content


def own_runs(root: Root, plans: Sequence[StagePlan]) -> str:
    """Makes a new run the owner of these stages. Returns the run's name, by which its workers know whether it still is."""
    run = uuid.uuid4().hex
    for plan in plans:
        folder = layout.run_generations(plan.folder)
        while True:
            number, _ = newest(root, folder)
            if root.put_bytes_if_absent(layout.generation_file(folder, number + 1), json.dumps({"run": run}).encode()):
                break
    return run


class Ownership:
    """A worker's view of it, at most a few seconds old."""

    def __init__(self, root: Root, plan: StagePlan, run: str) -> None:
        self.root, self.plan, self.run = root, plan, run
        self._looked_at = float("-inf")

    def check(self) -> None:
        """Raises Superseded where a later run owns the stage."""
        if not self.run or time.monotonic() - self._looked_at < _LOOK_S:
            return
        _, content = newest(self.root, layout.run_generations(self.plan.folder))
        if content.get("run", self.run) != self.run:
            raise Superseded(
                f"a run of this data set that was started later ({self.root.uri}, stage {self.plan.name}) has taken over; this one stops"
            )
        self._looked_at = time.monotonic()
