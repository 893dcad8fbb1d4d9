"""kill -9 at random moments, run again: every byte equals an undisturbed run's, and what was finished is not computed again.

The seeds are fixed and printed, so that a failure can be repeated. Only processes that the test started are killed.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import contents, manifest_times

REPO = Path(__file__).resolve().parents[2]
CONFIG = """
name: kill-test
root: {root}
source: {{path: {source}, partition_videos: 2}}
stages:
  tests.toy_stages:Numbers: {{with_media: true, copies: 2, work_s: 0.1}}
  tests.toy_stages:Squares: {{work_s: 0.05, raises: [7]}}
  tests.toy_stages:Totals: {{}}
placement: {{workers: 2, stages: {{toy_squares: {{deadline_factor: 60}}}}}}
max_failed_ratio: 0.5
"""
KILLS = 10
WORKER_KILLS = 6
RUN_DEADLINE_S = 240


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    for number in range(60):
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    return folder


_started: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def no_run_is_left() -> Iterator[None]:
    """A test that fails half-way must not leave its run behind, to disturb the tests after it."""
    yield
    while _started:
        process = _started.pop()
        if process.poll() is None:
            kill_tree(process)


def start(config: Path, engine: str) -> subprocess.Popen[bytes]:
    """A driver of its own; its output goes to a file beside the config."""
    with open(config.with_suffix(".log"), "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "internvid_pipeline.cli.main", "run", str(config), "--engine", engine],
            cwd=REPO,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    _started.append(process)
    return process


def write_config(folder: Path, source: Path) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    config, root = folder / "config.yaml", folder / "root"
    config.write_text(CONFIG.format(root=root, source=source))
    return config, root


def finish(config: Path, engine: str) -> None:
    process = start(config, engine)
    assert process.wait(timeout=RUN_DEADLINE_S) == 0, config.with_suffix(".log").read_text()[-3000:]


@pytest.fixture(scope="module")
def undisturbed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    config, root = write_config(tmp_path_factory.mktemp("undisturbed"), source)
    finish(config, "inline")
    return contents(root)


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """The driver and everything that it started."""
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=20)


def wait_for_progress(process: subprocess.Popen[bytes], root: Path, num_manifests: int) -> None:
    """Waits until the run has finished one more partition: to strike during start-up would test nothing."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and len(manifest_times(root)) <= num_manifests:
        time.sleep(0.05)


def stage_workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Processes of the driver in which stages work: Ray's actors and the children that they watch."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            line = " ".join(child.cmdline())
        except psutil.Error:
            continue
        if "internvid_pipeline.engine.workers.child" in line or (line.startswith("ray::") and "StageRunner" in line):
            found.append(child)
    return found


@pytest.mark.kill
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_kill_workers(source: Path, tmp_path: Path, undisturbed: dict[str, str]):
    """Workers are killed while the run goes on; it finishes by itself."""
    seed = 20261121
    print(f"seed {seed}")
    chance = random.Random(seed)
    config, root = write_config(tmp_path, source)
    process = start(config, "ray")
    killed = 0
    while process.poll() is None and killed < WORKER_KILLS:
        time.sleep(chance.uniform(0.2, 1.5))
        workers = stage_workers(process) if process.poll() is None else []
        if workers:
            victim = chance.choice(workers)
            os.kill(victim.pid, signal.SIGKILL)
            killed += 1
    assert process.wait(timeout=RUN_DEADLINE_S) == 0, config.with_suffix(".log").read_text()[-3000:]
    assert killed == WORKER_KILLS, "the run was over before it could be disturbed enough"
    assert contents(root) == undisturbed


@pytest.mark.kill
@pytest.mark.ray
@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_kill_driver_with_all_its_workers(source: Path, tmp_path: Path, undisturbed: dict[str, str]):
    """The whole run is killed ten times at random moments of its work, and resumed; every second time on the engine that starts at once,
    so that each also goes on from what the other left."""
    seed = 5051
    print(f"seed {seed}")
    chance = random.Random(seed)
    config, root = write_config(tmp_path, source)
    finished: dict[str, int] = {}
    for lap in range(KILLS):
        process = start(config, "inline" if lap % 2 else "ray")
        wait_for_progress(process, root, len(finished))
        time.sleep(chance.uniform(0.0, 1.5))
        kill_tree(process)
        now = manifest_times(root)
        assert finished.items() <= now.items(), "a finished partition was computed again"
        finished = now
    finish(config, "ray")
    assert finished.items() <= manifest_times(root).items()
    assert contents(root) == undisturbed
    assert not list((root / ".tmp").iterdir()), "what killed workers left is cleaned"
