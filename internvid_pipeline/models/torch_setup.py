"""torch, ready for use: device, number format, and a mend for torchvision beside a CPU build of torch. Imported by adapters only."""

import importlib.util
from pathlib import Path
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.weights import packages_for


def import_torch(preset: ModelPreset) -> Any:
    """The torch module. Must come before the first import of torchvision, open_clip, timm or transformers' processors in a process.
    Raises SetupError where it is not installed."""
    with packages_for(preset):
        import torch
    _mend_torchvision(torch)
    return torch


def _mend_torchvision(torch: Any) -> None:
    """Registers the two operator schemas without which `import torchvision` dies beside a CPU build of torch.

    torchvision's binary in the package index is built for CUDA; its library does not load there, and torchvision then looks up the
    schemas that the library would have registered. Transforms and models need no more than the schemas. Does nothing where the library
    loads or torchvision is not installed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return
    try:
        _ = torch.ops.torchvision.nms
        return
    except (AttributeError, RuntimeError):
        pass  # not registered yet
    for library in Path(spec.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
            return
        except OSError:
            continue  # built for CUDA libraries that this machine lacks
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def device_and_dtype(torch: Any, preset: ModelPreset) -> tuple[Any, Any]:
    """A torch.device and torch.dtype: the first visible GPU if there is one, bfloat16 where it computes in it; else CPU and float32.
    A dtype written in the preset is taken as it stands."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if preset.dtype != "auto":
        return device, getattr(torch, preset.dtype)
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return device, torch.bfloat16 if has_bfloat16 else torch.float32
