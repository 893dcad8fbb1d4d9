"""Ctrl-C, and a scheduler's SIGTERM: the run stops, says how to go on, and what was done is kept."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRONMENT, Run, make_videos, write_toy


@pytest.mark.kill
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_stopped_run_says_how_to_go_on(number: signal.Signals, tmp_path: Path, internvid: Run):
    make_videos(tmp_path / "videos", *range(3))
    config = write_toy(tmp_path, work_s=0.3)
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--engine", "inline", "source.partition_videos=1"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    for _ in range(600):
        if list((tmp_path / "set").glob("toy_numbers/*/*.manifest.json")):
            break
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130, errors
    assert errors.splitlines()[-1] == "internvid: stopped; what is done is kept, the same command goes on from there"
    assert "Traceback" not in errors
    done = {file: file.stat().st_mtime_ns for file in (tmp_path / "set").glob("toy_*/*/*.manifest.json")}
    assert 0 < len(done) < 6
    again = internvid(*command[3:])
    assert again.returncode == 0, again.stderr
    assert {file: file.stat().st_mtime_ns for file in done} == done, "what was done is not computed again"
    assert len(list((tmp_path / "set").glob("toy_*/*/*.manifest.json"))) == 6
    assert list((tmp_path / "set" / ".tmp").iterdir()) == []
