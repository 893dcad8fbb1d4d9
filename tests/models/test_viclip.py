"""ViCLIP's adapter: code that a repository brings is run from the commit's snapshot alone, offline, and says what it says by itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from internvid_pipeline.config.presets import ModelPreset, load_preset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models import build_video_scorer, fetch_weights
from internvid_pipeline.models.torch_setup import import_torch
from tests.models.pictures import noise
from tests.models.tiny_viclip import COMMIT, snapshot, tiny_viclip_at

VIDEOS = [[noise(10 * i + j, 40 + 8 * i, 48) for j in range(8)] for i in range(5)]
TEXTS = ["a man", "two people are cooking in the kitchen on the street", "a dog", "x x", "a dog in the kitchen"]


@pytest.fixture
def preset(tmp_path: Path) -> Iterator[ModelPreset]:
    with tiny_viclip_at(tmp_path) as preset:
        yield preset


def own_scores(folder: Path) -> list[float]:
    """The repository's own functions, called as in its demo, one pair at a time."""
    torch = import_torch(load_preset("viclip-l-14"))
    from safetensors.torch import load_file
    from transformers import AutoConfig
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
    config.tokenizer_path = str(folder / "words.txt")
    model: Any = get_class_from_dynamic_module("viclip.ViCLIP", folder)(config)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    found = []
    for video, text in zip(VIDEOS, TEXTS, strict=True):
        tube = np.stack([(cv2.resize(frame, (16, 16)) / 255.0 - mean) / deviation for frame in video])[None].transpose(0, 1, 4, 2, 3)
        words = model.get_text_features(text, model.tokenizer, {})
        found.append(float((model.get_vid_features(torch.from_numpy(tube).float()) @ words.T)[0, 0].detach()))
    return found


def test_scores_equal_the_repositorys_own_functions(preset: ModelPreset, tmp_path: Path):
    folder = snapshot(tmp_path)
    expected = own_scores(folder)
    fetch_weights(preset)
    for batch_size in (8, 24, 1000):
        scorer = build_video_scorer(preset.model_copy(update={"batch_size": batch_size}))
        np.testing.assert_allclose(scorer.scores(VIDEOS, TEXTS), expected, atol=1e-4)
    assert np.ptp(expected) > 0.01 and (scorer.num_frames, scorer.name, scorer.commit) == (8, "nobody/tiny-viclip", COMMIT)
    ahead = [[scorer.prepared(frame) for frame in video] for video in VIDEOS]
    assert ahead[0][0].shape == (16, 16, 3) and np.array_equal(scorer.scores(ahead, TEXTS), scorer.scores(VIDEOS, TEXTS))
    short = scorer.scores([VIDEOS[0][:3]], TEXTS[:1])
    np.testing.assert_allclose(short, scorer.scores([VIDEOS[0][:3] + [VIDEOS[0][2]] * 5], TEXTS[:1]), atol=1e-6)
    assert scorer.scores([], []).shape == (0,)


def test_code_of_another_repository_is_not_run(preset: ModelPreset, tmp_path: Path):
    config = snapshot(tmp_path) / "config.json"
    fields = json.loads(config.read_text())
    fields["auto_map"]["AutoModel"] = "somebody/else--viclip.ViCLIP"
    config.write_text(json.dumps(fields))
    with pytest.raises(SetupError, match=r"its code lies in somebody/else, which the commit of nobody/tiny-viclip does not pin$"):
        build_video_scorer(preset)
    config.write_text(json.dumps({**fields, "auto_map": {}}))
    with pytest.raises(SetupError, match=r"config\.json names no code for AutoModel$"):
        build_video_scorer(preset)


def test_code_is_not_run_without_opting_in_nor_half_a_model_taken(preset: ModelPreset, tmp_path: Path):
    folder = snapshot(tmp_path)
    (folder / "viclip.py").write_text(f"open({str(tmp_path / 'was-run')!r}, 'w')\n" + (folder / "viclip.py").read_text())
    with pytest.raises(SetupError, match="its preset does not say trust_remote_code: true"):
        build_video_scorer(preset.model_copy(update={"trust_remote_code": False}))
    assert not (tmp_path / "was-run").exists()
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["places"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(SetupError, match="files lack 1 weights of adapter 'viclip', such as places"):
        build_video_scorer(preset)
    assert (tmp_path / "was-run").exists()
    (folder / "tokenizer.py").write_text("import a_package_that_nobody_has\n")
    with pytest.raises(
        SetupError, match=r"model 'tiny-viclip' cannot be loaded from .*ModuleNotFoundError: No module named 'a_package_that_nobody_has'"
    ) as caught:
        build_video_scorer(preset)
    assert "\n" not in str(caught.value)
