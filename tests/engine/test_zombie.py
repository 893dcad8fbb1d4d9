"""A worker that was taken for dead: suspended, and resumed after its twin has committed the same partition."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.config import load_config
from internvid_pipeline.engine import build_plan, open_root, run_dataset
from internvid_pipeline.storage import layout
from tests.conftest import contents

REPO = Path(__file__).resolve().parents[2]
CODE = """
import sys
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import build_plan, open_root, run_partition
from internvid_pipeline.engine.workers.host import open_host
from internvid_pipeline.engine.reduce import Reduced
config = load_config(sys.argv[1], [])
plan = build_plan(config, 1)[0]
host = open_host(plan, open_root(config), Reduced(), config.placement)
print(run_partition(open_root(config), plan, 0, host).started_at)
host.close()
"""


def start(config: Path, log: Path, work_s: float) -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(REPO), "INTERNVID_TEST_LOG": str(log), "INTERNVID_TEST_WORK_S": str(work_s)}
    return subprocess.Popen([sys.executable, "-c", CODE, str(config)], env=env, cwd=REPO, stdout=subprocess.PIPE, text=True)


@pytest.mark.kill
@pytest.mark.parametrize("moment", ["at work", "storing"])
def test_a_zombie_that_writes_late_changes_nothing(moment: str, tmp_path: Path):
    (tmp_path / "videos").mkdir()
    for number in range(4):
        (tmp_path / "videos" / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    stages: dict[str, Any] = {"tests.cluster.chaos_stages:Pieces": {}}
    raw = {"root": str(tmp_path / "root"), "source": {"path": str(tmp_path / "videos"), "partition_videos": 4}, "stages": stages}
    config, log = tmp_path / "config.yaml", tmp_path / "log"
    config.write_text(json.dumps({**raw, "placement": {"isolate": False}}))
    loaded = load_config(str(config), [])
    root, plan = open_root(loaded), build_plan(loaded, 1)[0]
    run_dataset(loaded.model_copy(update={"root": str(tmp_path / "straight")}), engine="inline")
    from internvid_pipeline.engine.appends import SourceIndex
    from internvid_pipeline.engine.inputs import list_inputs
    from internvid_pipeline.engine.partitions import append_partitions

    append_partitions(root, list_inputs(loaded.source), loaded.source, SourceIndex(root))
    zombie = start(config, log, 0.3)
    deadline = time.monotonic() + 60
    stored = tmp_path / "root" / ".tmp"
    while time.monotonic() < deadline and zombie.poll() is None:
        if log.exists() if moment == "at work" else list(stored.glob("*/*")):
            break
        time.sleep(0.0005)
    zombie.send_signal(signal.SIGSTOP)
    twin = start(config, tmp_path / "twin.log", 0.0)
    twin.communicate(timeout=60)
    path = tmp_path / "root" / layout.manifest(plan.folder, 0)
    before = (path.read_bytes(), path.stat().st_mtime_ns)
    zombie.send_signal(signal.SIGCONT)
    zombie.communicate(timeout=60)
    assert zombie.returncode == twin.returncode == 0
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before, "the first manifest stands"
    wanted = contents(tmp_path / "straight")
    found = contents(tmp_path / "root")
    assert {name: value for name, value in found.items() if name in wanted and "fingerprint" not in name} == {
        name: value for name, value in wanted.items() if "fingerprint" not in name and name in found
    }
    assert {name for name in found if "chaos_pieces" in name} == {
        name for name in wanted if "chaos_pieces" in name and not name.endswith("fingerprint.json") and not name.endswith("summary.json")
    }, "and nothing else is left"
