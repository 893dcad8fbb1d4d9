"""Every command explains itself, and does so without loading what only a run needs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRONMENT, Run

COMMANDS = (
    *("", "run", "retry", "plan", "status", "failures", "availability", "report", "browse", "validate", "remove", "gc", "doctor", "demo"),
    *("models", "models list", "models fetch"),
    *("launch", "jobs", "logs", "stop", "job", "config", "config explain", "config show"),
    *("export", "export hf", "export internvid-jsonl", "export internvid-icl"),
)
HIDDEN = ("job",)  # what `launch` starts on the cluster
HEAVY = ("ray", "torch", "av", "pyarrow", "transformers", "open_clip", "scenedetect", "cv2", "numpy", "webdataset")
PROBE = f"""
import sys
import internvid_pipeline.cli.main as main
sys.argv = ["internvid", *sys.argv[1:]]
try:
    main.main()
finally:
    print("LOADED", *[name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.fixture(scope="module")
def helps() -> dict[str, "subprocess.CompletedProcess[str]"]:
    def one(command: str) -> "subprocess.CompletedProcess[str]":
        start = [sys.executable, "-c", PROBE, *command.split(), "--help"]
        return subprocess.run(start, capture_output=True, text=True, env=ENVIRONMENT)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(COMMANDS, pool.map(one, COMMANDS), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_exits_0_and_loads_nothing_heavy(command: str, helps: dict[str, "subprocess.CompletedProcess[str]"]):
    done = helps[command]
    assert done.returncode == 0, done.stderr
    assert f"Usage: internvid {command}".rstrip() in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert done.stderr == ""


def test_every_command_is_in_the_list(helps: dict[str, "subprocess.CompletedProcess[str]"]):
    """COMMANDS is all there are, and each has a sentence in the help of its parent."""
    from internvid_pipeline.cli.main import app

    names = [command.name for command in app.registered_commands] + [group.name for group in app.registered_groups]
    assert sorted(names) == sorted({command.split()[0] for command in COMMANDS if command})
    for name in sorted(set(names) - set(HIDDEN)):
        line = next(line for line in helps[""].stdout.splitlines() if f" {name} " in line)
        assert len(line.replace(name, "").strip("│ ")) > 10


def test_the_command_alone_shows_its_help(internvid: Run):
    done = internvid()
    assert "Usage: internvid" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 2


def test_a_reader_that_has_seen_enough_is_no_error():
    """`internvid config explain --json | head -1`"""
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "config", "explain", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")


def test_doctor_says_what_is_there(internvid: Run, tmp_path: Path):
    import json

    done = internvid("doctor", tmp_path, "--json")
    found = {check["check"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 0, done.stdout
    assert {"internvid", "python", "cpus", "pyarrow", "av", "ffmpeg", "gpu", "disk", "scratch (TMPDIR)"} <= set(found)
    assert {check["state"] for check in found.values()} <= {"ok", "optional"}
    assert all(check["advice"] for check in found.values() if check["found"] == "not installed")
    assert "not installed" not in found["pyarrow"]["found"]
    assert {"yt-dlp's age", "JavaScript", "weights of blip2-opt-2.7b"} <= set(found)
    assert found["weights of blip2-opt-2.7b"]["state"] == "ok" or "hf download" in found["weights of blip2-opt-2.7b"]["advice"]
