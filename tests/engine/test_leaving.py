"""SIGTERM in the middle of a commit: it is finished where there is time, given up where there is none, and never half of it is data."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
CODE = """
import sys, threading, time
from internvid_pipeline.engine.workers import leaving
from internvid_pipeline.storage import Root
leaving.COMMIT_S = float(sys.argv[2])
root = Root(sys.argv[1])
leaving.leave_on_sigterm(root.abandon_staging)
with leaving.committing(), root.staging() as staging:
    (staging / "rows").write_bytes(b"rows")
    root.put_bytes_if_absent("s/rows", b"rows")
    print("begun", flush=True)
    time.sleep(float(sys.argv[3]))  # a slow store
    root.put_bytes_if_absent("s/manifest", b"done")
assert leaving.is_leaving()
with leaving.committing():
    root.put_bytes_if_absent("s/next", b"never")
"""


@pytest.mark.kill
@pytest.mark.parametrize(("patience_s", "store_s", "wanted"), [(20.0, 1.0, ["manifest", "rows"]), (0.5, 60.0, ["rows"])])
def test_notice_in_the_middle_of_a_commit(tmp_path: Path, patience_s: float, store_s: float, wanted: list[str]):
    command = [sys.executable, "-c", CODE, str(tmp_path / "set"), str(patience_s), str(store_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPO)})
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)  # a scheduler that repeats itself changes nothing
    assert process.wait(timeout=30) == 1
    assert time.monotonic() - begun < 30, "within a spot market's notice"
    process.stdout.close()
    assert sorted(path.name for path in (tmp_path / "set" / "s").iterdir()) == wanted, "nothing is begun after the notice"
    assert not list((tmp_path / "set" / ".tmp").iterdir()), "and nothing is left behind"
