import subprocess
import sys

import pytest

from internvid_pipeline.config.presets import load_preset
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torchvision_can_be_imported_in_a_fresh_process():
    code = """
from internvid_pipeline.config.presets import load_preset
from internvid_pipeline.models.torch_setup import import_torch
preset = load_preset("blip2-opt-2.7b")
import_torch(preset)
import_torch(preset)
import torchvision.transforms.v2
print("ok")
"""
    assert run_python(code) == "ok"


def test_door_and_stages_import_no_torch():
    code = """
import sys
import internvid_pipeline.models, stages.caption_clips, stages.score_alignment
stages.caption_clips.CaptionClips(stages.caption_clips.CaptionClipsConfig())
stages.score_alignment.ScoreAlignment(stages.score_alignment.ScoreAlignmentConfig())
print(sorted({"torch", "transformers", "open_clip", "huggingface_hub"} & set(sys.modules)))
"""
    assert run_python(code) == "[]"


@pytest.mark.parametrize(("written", "chosen"), [("float32", "float32"), ("bfloat16", "bfloat16"), ("auto", None)])
def test_device_and_dtype(written: str, chosen: str | None):
    preset = load_preset("blip2-opt-2.7b").model_copy(update={"dtype": written})
    torch = import_torch(preset)
    device, dtype = device_and_dtype(torch, preset)
    assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    fitting = "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"
    assert dtype == getattr(torch, chosen or fitting)
