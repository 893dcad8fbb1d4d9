"""Tiny models of the real families, made once for all tests of this folder. Nothing is downloaded."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models import tiny

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny-models")


def _saved(save: Callable[[Path], ModelPreset]) -> Any:
    """A fixture: the preset of what `save` writes, once."""

    @pytest.fixture(scope="session")
    def preset(models_folder: Path) -> ModelPreset:
        return save(models_folder / save.__name__)

    return preset


blip2_preset = _saved(tiny.save_tiny_blip2)
seq2seq_preset = _saved(tiny.save_tiny_seq2seq)
clip_preset = _saved(tiny.save_tiny_open_clip)
instruct_preset = _saved(tiny.save_tiny_instruct)
xclip_preset = _saved(tiny.save_tiny_xclip)
classifier_preset = _saved(tiny.save_tiny_classifier)
