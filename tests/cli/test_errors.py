"""Whatever is wrong, the user reads one line that begins with `internvid: ` and gets exit status 2 or 3; never a traceback, and nothing in
the root that a later run would take for data."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.conftest import ENVIRONMENT, Run, make_videos, write_toy
from tests.conftest import mounted

YAML_START = "root: {root}\nsource: {{path: {videos}}}\n"
TOY_STAGES = "stages:\n  tests.toy_stages:Numbers:\n  tests.toy_stages:Squares:\n"

# Name: config text (None: the toy's), arguments of the command, exit status, words of the message.
# {root}, {videos}, {config}, {here} are places of the case; `run --engine inline` unless the arguments begin with a command.
Case = tuple[str | None, tuple[str, ...], int, tuple[str, ...]]
CASES: dict[str, Case] = {
    "no such config": (None, ("run", "nosuch"), 2, ("no config 'nosuch'", "demo")),
    "config is a folder": (None, ("run", "{here}"), 2, ("no config", "give a YAML file")),
    "config is not YAML": ("a: [1\nb: 2\n", (), 2, ("line 2", "not YAML")),
    "config is binary": ("\x00\x01", (), 2, ("not YAML",)),
    "no stages": (YAML_START, (), 2, ("stages is missing",)),
    "unknown key": (YAML_START + "sauce: {{}}\n" + TOY_STAGES, (), 2, ("unknown key 'sauce'", "did you mean 'source'")),
    "unknown key in a stage": (YAML_START + "stages: {{cut_clips: {{treshold: 3}}}}\n", (), 2, ("'treshold'", "did you mean 'threshold'")),
    "unknown model": (YAML_START + "stages: {{score_alignment: {{model: stand-in-scoer}}}}\n", (), 2, ("did you mean stand-in-scorer",)),
    "unknown stage": (YAML_START + "stages: {{cut_clip: }}\n", (), 2, ("unknown stage 'cut_clip'", "did you mean 'cut_clips'")),
    "stage without its table": (
        YAML_START + "stages: {{'tests.toy_stages:Squares': }}\n",
        (),
        2,
        ("reads NumberRecord rows, but no stage",),
    ),
    "placement of no stage": (None, ("placement.stages.squares.cpus=1",), 2, ("no such stage", "toy_squares")),
    "unknown override": (None, ("source.pth=x",), 2, ("did you mean 'path'",)),
    "unknown engine": (None, ("--engine", "spark"), 2, ("'spark' is not one of 'ray', 'inline'", "--help")),
    "unknown option": (None, ("--quick",), 2, ("No such option: --quick",)),
    "unknown command": (None, ("rnu", "{config}"), 2, ("No such command 'rnu'",)),
    "unknown --until": (None, ("--until", "toy_cubes"), 2, ("no stage 'toy_cubes'", "toy_numbers, toy_squares")),
    "unknown --only": (None, ("--only", "toy_cubes"), 2, ("no stage 'toy_cubes'",)),
    "--until with --only": (None, ("--until", "toy_numbers", "--only", "toy_squares"), 2, ("exclude each other",)),
    "no root": (None, ("root=",), 2, ("root is empty",)),
    "root is a file": (None, ("root={config}",), 2, ("is a file; give a folder",)),
    "root below a file": (None, ("root={config}/set",), 3, ("Not a directory", "{config}/set")),
    "root with a long name": (None, ("root=" + "x" * 300,), 2, ("File name too long",)),
    "unknown scheme of the root": (None, ("root=nosuch://bucket/set",), 2, ("nosuch:// is not known",)),
    "root that cannot be written": (None, ("root=http://127.0.0.1:9/set",), 3, ("http://127.0.0.1:9/set",)),
    "root on a read-only file system": (None, ("root=/proc/internvid",), 3, ("cannot write", "/proc/internvid")),
    "no source": (None, ("source.path=",), 2, ("source.path is empty",)),
    "missing source": (None, ("source.path={here}/nothing",), 2, ("does not exist", "{here}/nothing")),
    "empty source": (None, ("source.path={here}/empty",), 2, ("no videos in '{here}/empty'",)),
    "unknown scheme of the source": (None, ("source.path=nosuch://host/v",), 2, ("nosuch",)),
    "list without paths": (None, ("source.path={here}/list.csv",), 2, ("line 2 has no path",)),
    "plan of a bad config": (None, ("plan", "{config}", "sauce=1"), 2, ("did you mean 'source'",)),
    "plan of a missing source": (None, ("plan", "{config}", "source.path={here}/nothing"), 2, ("does not exist",)),
    "show of an unknown stage": (YAML_START + "stages: {{cut_clip: }}\n", ("config", "show", "{config}"), 2, ("did you mean",)),
    "explain of no field": (None, ("config", "explain", "stages.nothing"), 2, ("no field starts with 'stages.nothing'",)),
    "status of no data set": (None, ("status", "{here}/empty"), 2, ("holds no data set", "dataset.yaml is missing")),
    "status of a missing folder": (None, ("status", "{here}/nothing"), 2, ("holds no data set",)),
    "status of a file": (None, ("status", "{config}"), 2, ("is a file",)),
    "failures of no data set": (None, ("failures", "{here}/empty"), 2, ("holds no data set",)),
    "validate of no data set": (None, ("validate", "{here}/empty"), 2, ("holds no data set",)),
    "status of a damaged data set": (None, ("status", "{here}/damaged1"), 2, ("damaged1/dataset.yaml is damaged", "run the config again")),
    "status of a binary data set": (None, ("validate", "{here}/damaged2"), 2, ("damaged2/dataset.yaml is damaged",)),
    "status of another program's": (None, ("failures", "{here}/damaged3"), 2, ("damaged3/dataset.yaml", "unknown key 'colour'")),
    "damaged sources table": (None, ("root={here}/damaged4",), 3, ("sources/00000.parquet", "not a whole Parquet table")),
}


def prepare(here: Path, text: str | None) -> Path:
    make_videos(here / "videos", 1, 2)
    (here / "empty").mkdir()
    (here / "list.csv").write_text("title\nx\n")
    for number, data in ((1, b"a: [1\n"), (2, b"\xff\xfe\x00"), (3, b"colour: red\nstages: {cut_clips: }\n")):
        (here / f"damaged{number}").mkdir()
        (here / f"damaged{number}" / "dataset.yaml").write_bytes(data)
    (here / "damaged4" / "sources").mkdir(parents=True)
    (here / "damaged4" / "sources" / "00000.parquet").write_bytes(b"PAR1 and no more")
    config = write_toy(here)
    if text is not None:
        config.write_text(text.format(root=here / "set", videos=here / "videos"))
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, internvid: Run) -> dict[str, tuple[Path, "subprocess.CompletedProcess[str]"]]:
    """All cases, run two at a time since each is a start of Python."""

    def one(name: str) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
        text, arguments, _, _ = CASES[name]
        here = tmp_path_factory.mktemp("case")
        config = prepare(here, text)
        filled = [argument.format(here=here, config=config) for argument in arguments]
        if not filled or filled[0] not in ("run", "rnu", "plan", "config", "status", "failures", "validate"):
            filled = ["run", str(config), *(() if "--engine" in filled else ("--engine", "inline")), *filled]
        return here, internvid(*filled, cwd=here)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CASES, pool.map(one, CASES), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_an_exit_status(name: str, finished: dict[str, tuple[Path, "subprocess.CompletedProcess[str]"]]):
    _, _, status, words = CASES[name]
    here, done = finished[name]
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("internvid: ")
    for word in words:
        assert word.format(here=here, config=here / "toy.yaml") in done.stderr
    assert done.returncode == status
    assert done.stdout == ""
    assert len(done.stderr) < 700
    assert not list((here / "set").rglob("*")), "something was written"


def without_privileges() -> list[str]:
    """What makes root obey permissions like everybody: to be put before a command."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read all, and there is no setpriv here")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_source_and_a_root_without_permission(tmp_path: Path):
    make_videos(tmp_path / "videos" / "closed", 1)
    make_videos(tmp_path / "open", 1)
    (tmp_path / "set").mkdir()
    (tmp_path / "set").chmod(0o555)
    (tmp_path / "videos" / "closed").chmod(0o000)
    start = [
        *without_privileges(),
        sys.executable,
        "-m",
        "internvid_pipeline.cli.main",
        "run",
        str(write_toy(tmp_path)),
        "--engine",
        "inline",
    ]
    try:
        for override, status, words in (
            ("name=x", 2, ("Permission denied", "videos/closed")),
            (f"source.path={tmp_path}/open", 3, ("cannot write to the root", "Permission denied")),
        ):
            done = subprocess.run([*start, override], capture_output=True, text=True, env=ENVIRONMENT)
            assert done.returncode == status, done.stderr
            assert done.stderr.startswith("internvid: ") and done.stderr.count("\n") == 1
            assert all(word in done.stderr for word in words), done.stderr
            assert list((tmp_path / "set").iterdir()) == []
    finally:
        (tmp_path / "videos" / "closed").chmod(0o755)
        (tmp_path / "set").chmod(0o755)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small disk", 200 * 1024) as folder:
        yield folder


def test_a_disk_that_is_full_during_the_run(small_disk: Path, tmp_path: Path, internvid: Run):
    """With room for the first partitions only: status 3, lines that say so; with room again, the same command ends what was begun."""
    make_videos(tmp_path / "videos", *range(11, 21))
    config = write_toy(tmp_path, with_media=True, copies=20)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 100_000)
    arguments = ("run", config, f"root={small_disk}/set", "placement.partition_attempts=1", "--engine", "inline")
    full = internvid(*arguments)
    assert full.returncode == 3, full.stderr
    assert "No space left on device" in full.stderr and "Traceback" not in full.stderr
    assert all(line.startswith(("internvid: ", "toy_")) for line in full.stderr.splitlines())
    filler.unlink()
    again = internvid(*arguments)
    assert again.returncode == 0, again.stderr
    valid = internvid("validate", f"{small_disk}/set", "--read-media")
    assert valid.returncode == 0, valid.stdout


def test_a_disk_that_is_full_from_the_start(small_disk: Path, tmp_path: Path, internvid: Run):
    make_videos(tmp_path / "videos", 1)
    with open(small_disk / "filler", "wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(b"x" * 4096)
    done = internvid("run", write_toy(tmp_path), f"root={small_disk}/set", "--engine", "inline")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert done.stderr.startswith("internvid: cannot write to the root") and "No space left on device" in done.stderr
    assert [file for file in (small_disk / "set").rglob("*") if file.is_file()] == []


def test_debugging_shows_the_traceback(tmp_path: Path, internvid: Run):
    done = internvid("run", "nosuch", env={"INTERNVID_DEBUG": "1"})
    assert "internvid: no config 'nosuch'" in done.stderr and "Traceback" in done.stderr
    assert done.returncode != 0
