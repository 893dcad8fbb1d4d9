"""What both engines are held against: a set with poison in it, and what the inline engine makes of it."""

from pathlib import Path

import pytest

from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import run_dataset
from tests.conftest import contents, toy_config

POISONED = {"raises": [3], "exits": [12]}


def poisoned_config(root: Path, source: Path, **placement: object) -> DatasetConfig:
    """Three stages over `source`, the last of which looks at all partitions."""
    numbers, stages = {"with_media": True, "copies": 2}, {"tests.toy_stages:Totals": {}}
    return toy_config(root, source, numbers=numbers, squares=POISONED, stages=stages, placement=placement)


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    for number in range(20):
        (folder / f"{number}.mp4").write_bytes(b"x" * (number + 1))
    return folder


@pytest.fixture(scope="session")
def inline_contents(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inline")
    report = run_dataset(poisoned_config(root, source), engine="inline")
    assert not report.errors
    return contents(root)
