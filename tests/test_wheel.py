"""The wheel holds both packages and the configs, and works in an empty environment, away from the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_it_holds_both_packages_and_the_configs_and_no_tests(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("internvid_pipeline", "stages"):
        shipped = (".py", ".css", ".html", ".js", ".svg")  # what `report` and `browse` show is in it too
        wanted = {file.relative_to(REPOSITORY).as_posix() for file in (REPOSITORY / folder).rglob("*") if file.suffix in shipped}
        assert wanted and wanted <= names
    configs = {f"internvid_pipeline/{file.relative_to(REPOSITORY).as_posix()}" for file in (REPOSITORY / "configs").rglob("*.yaml")}
    assert len(configs) > 5 and configs <= names
    others = {name.split("/")[0] for name in names} - {"internvid_pipeline", "stages"}
    assert len(others) == 1 and next(iter(others)).endswith(".dist-info"), "tests, benchmarks and the like do not belong into it"
    assert not [name for name in names if name.startswith("internvid_pipeline/configs/configs") or "__pycache__" in name]


def test_its_metadata(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))).decode()
    assert "License-Expression: Apache-2.0" in metadata and "Requires-Python: >=3.11" in metadata
    core = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert core and not [line for line in core if "torch" in line or "ray" in line.split(">")[0].split()[-1:]], "the core needs neither"
    extras = set(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    assert {line.split(": ")[1] for line in metadata.splitlines() if line.startswith("Provides-Extra")} == extras
    scripts = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt"))).decode()
    assert "internvid = internvid_pipeline.cli.main:main" in scripts


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel's core in it and nothing else."""
    place = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    uv = Path(sys.executable).parent / "uv"
    installer = [str(uv), "pip", "install", "--python"] if uv.exists() else [sys.executable, "-m", "pip", "--python"]
    command = [*installer, str(place / "bin" / "python"), *([] if uv.exists() else ["install"]), "--quiet"]
    env = {**os.environ, "UV_FIND_LINKS": os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "")}
    env = {name: value for name, value in env.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV") and (name != "UV_FIND_LINKS" or value)}
    done = subprocess.run([*command, "-c", str(REPOSITORY / "constraints.txt"), str(wheel)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return place / "bin"


def run(installed: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([str(installed / "internvid"), *arguments], cwd=folder, capture_output=True, text=True, env=env)


def test_it_runs_from_another_folder(installed: Path, tmp_path: Path):
    help_ = run(installed, tmp_path, "--help")
    assert help_.returncode == 0, help_.stderr
    assert "Usage: internvid" in help_.stdout
    explained = run(installed, tmp_path, "config", "explain", "stages.cut_clips")
    assert explained.returncode == 0, explained.stderr
    assert "stages.cut_clips.threshold" in explained.stdout
    shown = run(installed, tmp_path, "config", "show", "demo")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == (REPOSITORY / "tests" / "config" / "golden" / "demo.yaml").read_text(encoding="utf-8")
    doctor = run(installed, tmp_path, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "missing " not in doctor.stdout
    assert not list(tmp_path.iterdir())


def test_what_is_not_installed_is_said_in_one_line(installed: Path, tmp_path: Path):
    """The core has no Ray: asked for it, the run says what to install, or how to go on without."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")
    done = run(installed, tmp_path, "run", "demo", "root=out", "source.path=videos")
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("internvid: ") and done.stderr.count("\n") == 1
    assert "ray" in done.stderr and ("--engine inline" in done.stderr or "pip install" in done.stderr)


def test_it_runs_without_extras(installed: Path, tmp_path: Path):
    """A broken file through the shipped demo config on the inline engine: it fails, and everything is accounted for."""
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"no video")
    done = run(installed, tmp_path, "run", "demo", "root=out", "source.path=videos", "--engine", "inline", "-q")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    failures = run(installed, tmp_path, "failures", "out")
    assert "a.mp4" in failures.stdout and "1 in all" in failures.stdout
    shutil.rmtree(tmp_path / "out")
