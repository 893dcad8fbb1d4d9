"""The resolved form of every file in `configs/`, kept in `tests/config/golden/`: a change of a default shows in the diff that makes it.

Renew one, after reading what changed, with
    internvid config show NAME > tests/config/golden/NAME.yaml
"""

from pathlib import Path

import pytest

from internvid_pipeline.config import load_config, to_yaml
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.registry import resolved

GOLDEN = Path(__file__).parent / "golden"
CONFIGS = sorted(file.stem for file in configs_dir().glob("*.yaml"))


def test_every_config_has_its_golden_form_and_no_other_is_there():
    assert CONFIGS
    assert sorted(file.stem for file in GOLDEN.glob("*.yaml")) == CONFIGS


@pytest.mark.parametrize("name", CONFIGS)
def test_the_resolved_form_is_the_golden_one(name: str):
    assert to_yaml(resolved(load_config(name))) == (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
