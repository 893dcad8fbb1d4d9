"""A tiny repository in the Hub's cache whose own code has the interface of ViCLIP's, as it lies on the Hub: a config whose path to the
vocabulary is relative, a model of several files that transformers 4 would have loaded, and no more."""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.tiny_parts import SEED
from internvid_pipeline.models.torch_setup import import_torch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "nobody/tiny-viclip"
_CONFIG = {
    "architectures": ["ViCLIP"],
    "auto_map": {"AutoConfig": "configuration_viclip.Config", "AutoModel": "viclip.ViCLIP"},
    "size": "t",
    "tokenizer_path": "./words.txt",
}
_CONFIG_CODE = """
from transformers import PretrainedConfig

class Config(PretrainedConfig):
    def __init__(self, **fields):
        super().__init__(**fields)
"""
_TOKENIZER_CODE = """
class Tokenizer:
    def __init__(self, path):
        self.numbers = {word: i + 1 for i, word in enumerate(open(path).read().split())}

    def encode(self, text):
        return [self.numbers.get(word, 0) for word in text.split()]
"""
# `linspace(...).item()` while it is built, and no `post_init`: what `from_pretrained` of transformers 5 does not survive.
_MODEL_CODE = """
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from .configuration_viclip import Config
from .tokenizer import Tokenizer

class ViCLIP(PreTrainedModel):
    _auto_class = "AutoModel"
    config_class = Config

    def __init__(self, config=PretrainedConfig()):
        super().__init__(config)
        self.tokenizer = Tokenizer(config.tokenizer_path)
        self.max_txt_l, self.inputs_image_res, self.video_input_num_frames = 6, 16, 8
        self.rates = [x.item() for x in torch.linspace(0, 0.1, 3)]
        self.frame, self.times = nn.Linear(3 * 16, 12), nn.Parameter(torch.randn(1, 8, 12))
        self.words, self.places = nn.Embedding(100, 12), nn.Parameter(torch.randn(6, 12))

    def encode_vision(self, image, test=False):
        assert image.shape[1:] == (8, 3, 16, 16), image.shape
        rows = image.unflatten(3, (4, 4)).unflatten(5, (4, 4)).mean(dim=(4, 6)).flatten(2)
        return torch.tanh(self.frame(rows) + self.times).mean(dim=1)

    def encode_text(self, text):
        texts = [text] if isinstance(text, str) else text
        numbers = torch.zeros(len(texts), self.max_txt_l, dtype=torch.int)
        for i, one in enumerate(texts):
            found = self.tokenizer.encode(one)[: self.max_txt_l]
            numbers[i, : len(found)] = torch.tensor(found, dtype=torch.int)
        return torch.tanh(self.words(numbers.to(self.words.weight.device)) * self.places).sum(dim=1)

    def get_text_features(self, input_text, tokenizer, text_feature_dict={}):
        if input_text in text_feature_dict:
            return text_feature_dict[input_text]
        with torch.no_grad():
            features = self.encode_text(input_text).float()
            features /= features.norm(dim=-1, keepdim=True)
            text_feature_dict[input_text] = features
        return features

    def get_vid_features(self, input_frames):
        with torch.no_grad():
            features = self.encode_vision(input_frames, test=True).float()
            features /= features.norm(dim=-1, keepdim=True)
        return features
"""


@contextlib.contextmanager
def tiny_viclip_at(folder: Path) -> Iterator[ModelPreset]:
    """The preset of a tiny ViCLIP. Inside, the Hub's cache, and the place that its code is copied to for import, lie below `folder`."""
    preset = _save(folder)
    from huggingface_hub import constants
    from transformers import dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(folder / "modules"))
        patch.setattr(sys, "path", [*sys.path])  # transformers adds the folder
        for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
            patch.delitem(sys.modules, name)  # of an earlier folder
        yield preset


def _save(folder: Path) -> ModelPreset:
    fields = {"name": "tiny-viclip", "task": "video_alignment", "adapter": "viclip", "repository": REPOSITORY, "commit": COMMIT}
    preset = ModelPreset(**fields, trust_remote_code=True, batch_size=24)
    torch = import_torch(preset)
    from safetensors.torch import save_file

    files = snapshot(folder)
    files.mkdir(parents=True)
    for name, text in {
        "config.json": json.dumps(_CONFIG),
        "configuration_viclip.py": _CONFIG_CODE,
        "tokenizer.py": _TOKENIZER_CODE,
        "viclip.py": _MODEL_CODE,
        "words.txt": "a man dog two people are cooking in the kitchen street x",
    }.items():
        (files / name).write_text(text, encoding="utf-8")
    torch.manual_seed(SEED)
    shapes = {"frame.weight": (12, 48), "frame.bias": (12,), "times": (1, 8, 12), "words.weight": (100, 12), "places": (6, 12)}
    save_file({name: torch.randn(shape) for name, shape in shapes.items()}, files / "model.safetensors")
    return preset


def snapshot(folder: Path) -> Path:
    """Where its files lie."""
    return folder / "hub" / f"models--{REPOSITORY.replace('/', '--')}" / "snapshots" / COMMIT
