"""Loading a model of transformers from a folder, the same way for every family."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.models.base import Answer, RgbImage
from internvid_pipeline.models.torch_setup import device_and_dtype, import_torch
from internvid_pipeline.models.weights import check_loaded, loading, packages_for, weights_folder

_FLASH_CAPABILITY = (8, 0)  # Ampere, the first that flash-attn 2 runs on


@dataclass(frozen=True)
class Pretrained:
    """A model in evaluation mode on its device, with what prepares its inputs."""

    torch: Any
    device: Any
    dtype: Any
    model: Any
    processor: Any


def load_pretrained(preset: ModelPreset, model_class: str, processor_class: str = "AutoProcessor") -> Pretrained:
    """Loads a preset's weights into `transformers.<model_class>`, straight onto the GPU where there is one and split over several where
    the preset asks for more than one. Raises SetupError where a package or the weights are missing or do not fit."""
    folder = weights_folder(preset)
    torch = import_torch(preset)
    with packages_for(preset):
        import transformers
        from transformers.utils import logging as hf_logging
    hf_logging.disable_progress_bar()  # a bar for each worker hides the run's own progress
    hf_logging.set_verbosity_error()  # its warnings come with every clip; what matters of them is checked below
    device, dtype = device_and_dtype(torch, preset)
    options: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "output_loading_info": True}
    if device.type == "cuda":
        options["device_map"] = "auto" if preset.gpus > 1 else {"": device}
    with loading(preset, folder):
        processor = getattr(transformers, processor_class).from_pretrained(folder, local_files_only=True)
        make = getattr(transformers, model_class).from_pretrained
        if _has_flash_attention(torch, device, dtype):
            try:
                model, info = make(folder, **options, attn_implementation="flash_attention_2")
            except (ValueError, ImportError):  # a family without it; the default is the best of torch's own kernels
                model, info = make(folder, **options)
        else:
            model, info = make(folder, **options)
        check_loaded(preset, info["missing_keys"])
        if device.type != "cuda":
            model = model.to(device)
    return Pretrained(torch, device, dtype, model.eval(), processor)


def _has_flash_attention(torch: Any, device: Any, dtype: Any) -> bool:
    if device.type != "cuda" or dtype == torch.float32 or importlib.util.find_spec("flash_attn") is None:
        return False
    return bool(torch.cuda.get_device_capability(device) >= _FLASH_CAPABILITY)


def scaled_picture(pictures: Any, image: RgbImage) -> RgbImage:
    """A picture as a processor of transformers scales and cuts it, before it makes numbers of it: a model can be given it in its place."""
    scaled = pictures(images=[image], do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
    (picture,) = scaled.reshape(-1, *scaled.shape[-3:])  # a processor of videos takes the list for a video
    return np.asarray(picture.permute(1, 2, 0).contiguous().numpy().round(), dtype=np.uint8)


def stop_tokens(model: Any) -> frozenset[int]:
    """Numbers of the tokens with which a decoder ends its text."""
    ends = model.generation_config.eos_token_id
    return frozenset() if ends is None else frozenset(ends if isinstance(ends, list) else [ends])


def answer_of(text: str, tokens: Sequence[int], stops: frozenset[int], max_new_tokens: int) -> Answer:
    """What a decoder said. tokens: all that it wrote, with what fills the row behind the end. stops: those of `stop_tokens`; without any
    it is not known how the text ended."""
    written = next((i for i, token in enumerate(tokens) if token in stops), None)
    is_cut = bool(stops) and written is None and len(tokens) >= max_new_tokens
    return Answer(" ".join(text.split()), "length" if is_cut else "stop", len(tokens) if written is None else written)


def greedy(max_new_tokens: int) -> dict[str, Any]:
    """Options of `generate` for the one likeliest text, so that the same input always gets the same answer; the settings for sampling that
    some models bring are put aside."""
    return {"max_new_tokens": max_new_tokens, "do_sample": False, "num_beams": 1, "temperature": None, "top_p": None, "top_k": None}
