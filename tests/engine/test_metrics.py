"""Metrics: nothing without Ray; with it, what Ray's own endpoint answers to Prometheus; and a dashboard that asks for nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.engine.metrics import METRICS
from tests.cli.conftest import ENVIRONMENT, make_videos, write_toy

SUFFIXES = ("_bucket", "_count", "_sum")
NAME = re.compile(r"ray_internvid_[a-z_]+")


def exported_names() -> dict[str, str]:
    """Every name that Prometheus knows, and the metric behind it."""
    names = {}
    for metric in METRICS:
        endings = SUFFIXES if metric.kind == "histogram" else ("",)
        names |= {f"{metric.exported}{ending}": metric.name for ending in endings}
    return names


def queries() -> list[str]:
    board = json.loads((configs_dir() / "cluster" / "grafana-dashboard.json").read_text())
    texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return texts + [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]


def test_the_dashboard_asks_for_metrics_and_labels_that_there_are():
    known, by_name = exported_names(), {metric.name: metric for metric in METRICS}
    asked = {}
    for text in queries():
        for name in NAME.findall(text):
            assert name in known, f"{name} in {text}"
            asked[known[name]] = True
            labels = set(re.findall(r"(?:by \(|, |\{)([a-z_]+)(?==|,|\))", text)) - {"le"}
            assert labels <= set(by_name[known[name]].tags) | {"dataset", "stage"}, (text, labels)
    assert set(asked) == set(by_name), "every metric is shown"


def test_each_panel_has_a_place_of_its_own():
    panels = json.loads((configs_dir() / "cluster" / "grafana-dashboard.json").read_text())["panels"]
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels) == len({p["id"] for p in panels})


def run_python(code: str, *arguments: object, timeout: float = 250) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**ENVIRONMENT, **os.environ}, timeout=timeout)


RUN = """
import sys
sys.path.insert(0, sys.argv[2])
from internvid_pipeline.config import load_config
from internvid_pipeline.engine import run_dataset
"""
WITHOUT = f"""{RUN}
run_dataset(load_config(sys.argv[1]), engine="inline")
assert "ray" not in sys.modules
"""


def test_without_ray_nothing_is_loaded_and_nothing_happens(tmp_path: Path):
    make_videos(tmp_path / "videos", 1, 2)
    done = run_python(WITHOUT, write_toy(tmp_path), Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
