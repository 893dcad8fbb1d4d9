"""Log lines: JSON that a collector can rely on, files per process, and no credentials."""

import json
import logging
import os
from pathlib import Path

import pytest

from internvid_pipeline.engine import logs
from internvid_pipeline.errors import UsageError
from tests.cli.conftest import Run, make_videos, write_toy

KEYS = {"time", "level", "message", "dataset", "stage", "partition", "item", "logger", "host", "pid"}
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch):
    for name in (logs.FORMAT_VARIABLE, logs.FOLDER_VARIABLE, logs.DATASET_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    logger = logging.getLogger("internvid_pipeline")
    kept = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = kept


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_as_json(internvid: Run, tmp_path: Path):
    make_videos(tmp_path / "videos", -1, 0, 1, 2, 3, 4, 5)
    config = write_toy(tmp_path, {"raises": [3]})
    options = ("--engine", "inline", "--log-format", "json", "--log-folder", tmp_path / "logs")
    done = internvid("run", config, *options)
    assert done.returncode == 0, done.stderr
    found = lines(done.stderr)
    assert found and all(set(line) >= KEYS and line["dataset"] == "toy" for line in found)
    units = [line for line in found if line["message"] == "partition done"]
    both = [(name, number) for name in ("toy_numbers", "toy_squares") for number in range(3)]
    assert sorted((line["stage"], line["partition"]) for line in units) == both
    assert sum(line["inputs"] for line in units if line["stage"] == "toy_squares") == 6
    (failure,) = [line for line in found if line["item"]]
    assert (failure["level"], failure["stage"], failure["item"], failure["error_class"]) == ("warning", "toy_squares", "3", "ValueError")
    assert "3 is not to my taste" in failure["message"]
    assert found[-1]["message"] == "run ended" and found[-1]["partitions_not_run"] == 0
    (file,) = (tmp_path / "logs").iterdir()
    assert file.name.startswith("toy-") and file.suffix == ".jsonl"
    assert [line["message"] for line in lines(file.read_text())] == [line["message"] for line in found]


def test_text_says_no_more_than_before(internvid: Run, tmp_path: Path):
    make_videos(tmp_path / "videos", 1, 3)
    done = internvid("run", write_toy(tmp_path, {"raises": [3]}), "--engine", "inline", "-q")
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_format_and_a_folder_that_cannot_be(internvid: Run, tmp_path: Path):
    config = write_toy(tmp_path)
    assert internvid("run", config, "--log-format", "xml").returncode == 2
    (tmp_path / "file").write_text("")
    done = internvid("run", config, "--log-folder", tmp_path / "file" / "logs")
    assert done.returncode == 2 and "cannot write logs" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("form", logs.FORMATS)
def test_credentials_are_masked(form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    logs.set_up(form, dataset="d")
    try:
        raise OSError(f"signature of {SECRET} is wrong")
    except OSError:
        about = logs.where("cut", None, f"https://me:{SECRET}@host/v.mp4", url="https://me:password@host/")
        logging.getLogger("internvid_pipeline.test").exception("cannot fetch with %s", SECRET, extra=about)
    written = capsys.readouterr().err
    assert written and SECRET not in written and "password@" not in written


def test_what_is_nobodys_is_null_and_a_line_is_a_line(capsys: pytest.CaptureFixture[str]):
    logs.set_up("json", dataset="d")
    logging.getLogger("internvid_pipeline.x").warning("two\nlines and “quotes” 視頻")
    (line,) = lines(capsys.readouterr().err)
    assert (line["stage"], line["partition"], line["item"], line["level"]) == (None, None, None, "warning")
    assert line["message"] == "two\nlines and “quotes” 視頻" and line["time"].endswith("+00:00")


def test_a_worker_logs_as_its_environment_says_and_never_fails_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    logs.set_up_worker()
    assert not any(getattr(handler, "is_internvid", False) for handler in logging.getLogger("internvid_pipeline").handlers)
    (tmp_path / "file").write_text("")
    os.environ |= {logs.FORMAT_VARIABLE: "text", logs.FOLDER_VARIABLE: str(tmp_path / "file" / "logs")}
    logs.set_up_worker()
    assert "cannot write logs" in capsys.readouterr().err
    logging.getLogger("internvid_pipeline.x").warning("alone", extra=logs.where("cut", 7, "clip"))
    assert capsys.readouterr().err == "internvid: cut, partition 7, clip: alone\n"
    with pytest.raises(UsageError):
        logs.set_up("xml")
