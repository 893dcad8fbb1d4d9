"""A finished data set of made clips, run once for all tests of exports."""

from pathlib import Path

import pytest

from internvid_pipeline.engine import run_dataset
from tests.made_stages import made_config


@pytest.fixture(scope="session")
def made_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-set")
    report = run_dataset(made_config(folder / "root", folder / "videos"), engine="inline")
    assert not report.errors and not any(status.failed for status in report.statuses)
    return folder / "root"
