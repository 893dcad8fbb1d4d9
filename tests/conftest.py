"""Shared by all tests: data sets of toy stages, and a Ray that touches nothing outside the test's folder."""

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from internvid_pipeline.config import DatasetConfig, config_from

if TYPE_CHECKING:
    from tests.s3 import S3

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session", autouse=True)
def _own_places(tmp_path_factory: pytest.TempPathFactory):
    """Ray's token, and the scratch folder, are the tests' own: never files that lie in the home folder."""
    folder = tmp_path_factory.mktemp("places")
    token = folder / "ray-token"
    token.write_text(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    os.environ["INTERNVID_CACHE"] = str(folder / "cache")
    yield


@pytest.fixture(scope="session")
def s3() -> Iterator["S3"]:
    """One S3 store for all tests of this process."""
    pytest.importorskip("moto", reason="moto serves S3 here")
    from tests.s3 import s3_server

    with s3_server() as store:
        yield store


@pytest.fixture(scope="module")
def embedded_ray() -> Iterator[None]:
    """One embedded Ray for all tests of a module: a run uses the Ray that its process is connected to, and leaves it as it was."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_metrics_report_interval_ms", "500")
        options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR", "object_store_memory": 100 * 2**20}
        ray.init(address="local", **options)
    yield
    assert ray.is_initialized(), "a run has ended a Ray that was not its own"
    ray.shutdown()


def shared_videos() -> Path | None:
    """The folder of real test videos, where there is one: INTERNVID_TEST_VIDEOS or ../shared/videos beside the checkout."""
    place = Path(os.environ.get("INTERNVID_TEST_VIDEOS") or Path(__file__).resolve().parents[2] / "shared" / "videos")
    return place if place.is_dir() else None


@pytest.fixture
def numbers_folder(tmp_path: Path) -> Path:
    """Twenty empty-ish files named 0.mp4 … 19.mp4, each with other bytes."""
    folder = tmp_path / "numbers"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, so that of two processes that share the files neither is left with one of minutes at the end: by turns one that
    starts a cluster and one that does not, since two clusters at once are too much for two cores; then those of the engine."""
    slow = {folder: list(dict.fromkeys(item.path for item in items if item.path.parent.name == folder)) for folder in ("cluster", "e2e")}
    turns = {path: (turn, folder) for folder, paths in slow.items() for turn, path in enumerate(paths)}
    last = len(turns)
    items.sort(key=lambda item: turns.get(item.path, (last + (item.path.parent.name != "engine"), "")))


def toy_config(root: Path | str, source: Path, squares: dict | None = None, numbers: dict | None = None, **more) -> DatasetConfig:
    """Numbers, then squares, in partitions of five."""
    stages = {"tests.toy_stages:Numbers": numbers or {}, "tests.toy_stages:Squares": squares or {}, **more.pop("stages", {})}
    raw = {"name": "toy", "root": str(root), "source": {"path": str(source), "partition_videos": 5}, "stages": stages, **more}
    return config_from(raw)


@contextlib.contextmanager
def mounted(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A file system of its own of so many bytes; skips the test where this process may not mount one."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


_TIMINGS = ("started_at", "finished_at", "wall_s", "host")
NOT_DATA = (".tmp/", "generations/", "dataset.yaml")


def without_timings(manifest: bytes) -> bytes:
    """What is the same in every run of the same config."""
    fields = {key: value for key, value in json.loads(manifest).items() if key not in _TIMINGS}
    for deferred in fields.get("deferred", ()):
        del deferred["not_before"]
    return json.dumps(fields, sort_keys=True).encode()


def contents(root: Path) -> dict[str, str]:
    """sha256 of every file of a data set, by its path; manifests without their timings, and without what names the root itself or the
    runs that it has seen."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(NOT_DATA):
            data = path.read_bytes()
            found[name] = hashlib.sha256(without_timings(data) if name.endswith(".manifest.json") else data).hexdigest()
    return found


def manifest_times(root: Path) -> dict[str, int]:
    """When each manifest was written, in nanoseconds: a partition computed again would have a new one. Made for a root at work too:
    `.tmp`, whose folders come and go, is not entered."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".tmp"]
        for path in (Path(folder, name) for name in names if name.endswith(".manifest.json")):
            found[path.relative_to(root).as_posix()] = path.stat().st_mtime_ns
    return found
