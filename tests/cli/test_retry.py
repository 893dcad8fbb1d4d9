"""`run`, `status`, `failures` and `retry` over inputs that are deferred, as people see them."""

import json
from pathlib import Path

import yaml

from tests.cli.conftest import Run
from tests.deferring_stages import asking_config


def test_from_deferred_to_done(tmp_path: Path, internvid: Run):
    fields = {"defers": {1: 1, 4: 1, 7: 1}, "gone": (2,), "placement": {"deferral_s": 3600}}
    config = asking_config(tmp_path, tmp_path / "my set", **fields)
    path = tmp_path / "asking.yaml"
    path.write_text(yaml.safe_dump(json.loads(config.model_dump_json(exclude={"source": {"extensions"}}))))
    done = internvid("run", path, "--engine", "inline", "-q")
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("internvid: 3 inputs are deferred, the first until 20") and line.endswith(f"internvid retry '{tmp_path}/my set'")
    assert "deferred in toy_asking: 2 RateLimited, 1 ServerFault; the first may be tried again from 20" in done.stdout
    status = internvid("status", config.root)
    assert status.returncode == 0 and "deferred" in status.stdout.splitlines()[0] and "2 RateLimited, 1 ServerFault" in status.stdout
    asking, squares = json.loads(internvid("status", config.root, "--json").stdout)["stages"]
    assert (asking["deferred"], asking["deferred_by_class"], squares["deferred"]) == (3, {"RateLimited": 2, "ServerFault": 1}, 0)
    again = internvid("retry", config.root, "--class", "ServerFault", "--engine", "inline", "-q")
    assert again.returncode == 3 and again.stdout.startswith("1 deferred inputs may be tried now\n"), again.stderr
    all_of_it = internvid("retry", config.root, "--engine", "inline", "-q")
    assert all_of_it.returncode == 0 and all_of_it.stderr == "", all_of_it.stderr
    assert " deferred" not in all_of_it.stdout.split("\n", 1)[1]
    marked = internvid("retry", config.root, "--class", "Gone", "--class", "Private", "--no-run")
    assert marked.returncode == 0 and marked.stdout == "1 failed inputs are taken again in 1 new partitions\n"
    assert "0 in all" in internvid("failures", config.root).stdout
    wrong = internvid("retry", config.root, "--stage", "toy_nothing")
    assert wrong.returncode == 2 and "no stage 'toy_nothing'" in wrong.stderr
