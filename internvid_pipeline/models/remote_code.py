"""Models whose code lies in their repository: run only where the preset says so, and from the snapshot of the preset's commit alone."""

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models.weights import check_loaded, packages_for

_LOCK = ".internvid.lock"


def remote_model(preset: ModelPreset, folder: Path, adapt: Callable[[Any], None] = lambda config: None) -> Any:
    """The class that config.json names for AutoModel, with the folder's weights, on the CPU, in evaluation mode. adapt: changes its config
    before the model is built. Raises SetupError where the preset does not opt in, the code lies elsewhere, or files are missing.

    Not by `AutoModel.from_pretrained`: that builds models without memory for their numbers first, which code written for transformers 4
    does not survive (it reads numbers while it is built, and tells transformers nothing of tied weights), and it keeps the class that it
    has once seen beside a config, whatever the folder holds now.
    """
    if not preset.trust_remote_code:
        raise SetupError(f"model {preset.name!r} runs code of {preset.repository}; its preset does not say trust_remote_code: true")
    reference = _class_reference(preset, folder)
    with packages_for(preset):
        from safetensors.torch import load_file
        from transformers import AutoConfig
        from transformers.dynamic_module_utils import get_class_from_dynamic_module
    pinned: dict[str, Any] = {"code_revision": preset.commit, "local_files_only": True}
    with _alone():
        config = AutoConfig.from_pretrained(folder, trust_remote_code=True, **pinned)
        model_class: Any = get_class_from_dynamic_module(reference, folder, **pinned)
    adapt(config)
    model = model_class(config)
    weights = {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}
    if not weights:
        raise SetupError(f"model {preset.name!r}: {folder} holds no .safetensors file; pickled weights beside remote code are not read")
    check_loaded(preset, model.load_state_dict(weights, strict=False).missing_keys)
    return model.eval()


def _class_reference(preset: ModelPreset, folder: Path) -> str:
    """What config.json names for AutoModel, as `module.Class`. Classes of other repositories (`org/name--module.Class`), of which no commit
    is known, are refused."""
    names = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("auto_map", {})
    elsewhere = sorted(str(name).partition("--")[0] for name in names.values() if "--" in str(name))
    if elsewhere:
        raise SetupError(f"model {preset.name!r}: its code lies in {elsewhere[0]}, which the commit of {preset.repository} does not pin")
    if "AutoModel" not in names:
        raise SetupError(f"model {preset.name!r}: {folder / 'config.json'} names no code for AutoModel")
    return str(names["AutoModel"])


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One process of a node at a time: transformers copies the code, file by file and in place, to where it imports it from
    (HF_MODULES_CACHE), and another would import half a file."""
    from transformers import dynamic_module_utils

    folder = Path(dynamic_module_utils.HF_MODULES_CACHE)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
