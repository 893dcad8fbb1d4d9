"""Ctrl-C, and a scheduler's SIGTERM: the run stops, says how to go on, leaves no process behind, and goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import manifest_times
from tests.e2e.test_resume_after_kill import REPO, wait_for_progress, write_config


@pytest.mark.kill
@pytest.mark.parametrize(
    ("engine", "number"),
    [
        pytest.param("inline", signal.SIGINT, id="ctrl-c-inline"),
        pytest.param("inline", signal.SIGTERM, id="sigterm-inline"),
        pytest.param("ray", signal.SIGINT, id="ctrl-c-ray", marks=[pytest.mark.ray, pytest.mark.soak]),
        pytest.param("ray", signal.SIGTERM, id="sigterm-ray", marks=[pytest.mark.ray, pytest.mark.soak]),
    ],
)
def test_a_stopped_run_says_how_to_go_on(engine: str, number: signal.Signals, numbers_folder: Path, tmp_path: Path):
    config, root = write_config(tmp_path / "work", numbers_folder)
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--engine", engine]
    process = subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for_progress(process, root, 0)
    family = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the whole group
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "internvid: stopped; what is done is kept, the same command goes on from there"
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [member.cmdline() for member in alive]
    if number == signal.SIGTERM and engine == "inline":
        return  # what is left is the same as after Ctrl-C
    before = manifest_times(root)
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert before and before.items() <= manifest_times(root).items(), "what was done is not computed again"
    assert not list((root / ".tmp").iterdir())
