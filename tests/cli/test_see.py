"""`report` and `browse` as commands: what they say, and where they stop."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.browse.conftest import strange_root  # noqa: F401 - a small real set
from tests.cli.conftest import ENVIRONMENT, REPOSITORY, Run


def test_a_report_of_any_set(internvid: Run, toy_set: Path, tmp_path: Path):
    """Also of one that has no clips."""
    done = internvid("report", toy_set / "set", "--out", tmp_path / "out", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [stage["closes"] for stage in found["stages"]] == [True, True] and found["num_inputs"] == 8
    page = (tmp_path / "out" / "report.html").read_text()
    assert "toy_squares" in page and "ValueError" in page and found["page"] == str(tmp_path / "out" / "report.html")


def test_wrong_places(internvid: Run, toy_set: Path, tmp_path: Path):
    done = internvid("browse", toy_set / "set")
    assert done.returncode == 2 and "no stage that makes clips" in done.stderr and len(done.stderr.splitlines()) <= 2
    done = internvid("report", tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1) and "holds no data set" in done.stderr


def test_it_serves_until_it_is_told_to_stop(strange_root: Path):  # noqa: F811
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "browse", str(strange_root), "--annotator", "me"]
    server = subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, **ENVIRONMENT}, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{url}api/set", timeout=30) as answer:
            assert json.loads(answer.read())["name"] == "strange-set"
    finally:
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 0
