"""The command line as people use it: a process of its own, with the toy stages on its path."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
# With bytecode kept, wherever the environment says otherwise: compiling all modules anew costs each of many starts a quarter of its time.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": ""}
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def internvid() -> Run:
    """`internvid("status", root)`: runs the command in another process; its exit status, stdout and stderr. cwd, env, prefix (Python
    code to run before) as wanted."""

    def run(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "internvid_pipeline.cli.main", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd or REPOSITORY,
            env={**ENVIRONMENT, **(env or {})},
            timeout=120,
        )

    return run


def write_toy(folder: Path, squares: dict[str, object] | None = None, **numbers: object) -> Path:
    """A config of the toy stages over `folder/videos`, with `folder/set` as its root."""
    raw = {
        "name": "toy",
        "root": str(folder / "set"),
        "source": {"path": str(folder / "videos"), "partition_videos": 3},
        "stages": {"tests.toy_stages:Numbers": numbers or None, "tests.toy_stages:Squares": squares},
        "max_failed_ratio": 0.5,
    }
    (folder / "toy.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return folder / "toy.yaml"


def make_videos(folder: Path, *numbers: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 10))
    return folder


@pytest.fixture(scope="session")
def toy_set(tmp_path_factory: pytest.TempPathFactory, internvid: Run) -> Path:
    """Folder of a finished data set, not to be changed: 0 to 6, and -1, which is dropped; 3 fails. `toy.yaml` made it."""
    folder = tmp_path_factory.mktemp("toy")
    make_videos(folder / "videos", -1, 0, 1, 2, 3, 4, 5, 6)
    config = write_toy(folder, {"raises": [3]}, with_media=True)
    done = internvid("run", config, "--engine", "inline")
    assert done.returncode == 0, done.stderr
    return folder
