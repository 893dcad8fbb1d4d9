"""Tiny models of the real families, made once for all tests of this folder. Nothing is downloaded."""

import os
from pathlib import Path

import pytest

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models import tiny

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny-models")


@pytest.fixture(scope="session")
def blip2_preset(models_folder: Path) -> ModelPreset:
    return tiny.save_tiny_blip2(models_folder / "blip2")


@pytest.fixture(scope="session")
def seq2seq_preset(models_folder: Path) -> ModelPreset:
    return tiny.save_tiny_seq2seq(models_folder / "t5")


@pytest.fixture(scope="session")
def clip_preset(models_folder: Path) -> ModelPreset:
    return tiny.save_tiny_open_clip(models_folder / "clip")


@pytest.fixture(scope="session")
def instruct_preset(models_folder: Path) -> ModelPreset:
    return tiny.save_tiny_instruct(models_folder / "instruct")


@pytest.fixture(scope="session")
def xclip_preset(models_folder: Path) -> ModelPreset:
    return tiny.save_tiny_xclip(models_folder / "xclip")


@pytest.fixture(scope="session")
def classifier_preset(models_folder: Path) -> ModelPreset:
    return tiny.save_tiny_classifier(models_folder / "classifier")
