"""From a name in the config to a stage: `cut_clips` is the one Stage class in `stages/cut_clips.py`; `my_package.my_module:MyStage` is a
user's own. The only place that loads stages."""

import difflib
import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

from internvid_pipeline.config import DatasetConfig, validated
from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.stage import Stage


def stage_names() -> list[str]:
    """Names of the shipped stages, in alphabetical order."""
    import stages

    return sorted(module.name for module in pkgutil.iter_modules(stages.__path__) if not module.name.startswith("_"))


def stage_class(name: str) -> type[Stage[Any, Any, Any]]:
    """The class behind a name. Raises UsageError for an unknown one, SetupError where its module cannot be imported."""
    if ":" in name:
        module_name, _, class_name = name.partition(":")
        found = getattr(_imported(module_name, name), class_name, None)
        if not (inspect.isclass(found) and issubclass(found, Stage)):
            raise UsageError(f"stage {name!r}: {module_name} has no Stage named {class_name!r}")
        return found
    if name not in stage_names():
        near = difflib.get_close_matches(name, stage_names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"unknown stage {name!r}: known are {', '.join(stage_names())}, or module:Class of your own{hint}")
    module = _imported(f"stages.{name}", name)
    own = [
        found
        for found in vars(module).values()
        if inspect.isclass(found) and issubclass(found, Stage) and found.__module__ == module.__name__
    ]
    if len(own) != 1 or own[0].name != name:
        raise UsageError(f"stages/{name}.py must hold exactly one Stage, with name = {name!r}; found {[found.name for found in own]}")
    return own[0]


def _imported(module_name: str, stage: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise UsageError(f"stage {stage!r}: no module {module_name!r} on the Python path") from error
        raise SetupError(f"stage {stage!r} needs the package {error.name!r}, which is not installed") from error


def build_stage(name: str, fields: Any) -> Stage[Any, Any, Any]:
    """A stage with its config from plain fields. Raises UsageError, SetupError."""
    cls = stage_class(name)
    return cls(validated(cls.config_type, {} if fields is None else fields, f"stages.{name}"))


def build_stages(config: DatasetConfig) -> list[Stage[Any, Any, Any]]:
    """All stages of a config, in its order. Raises UsageError where a field or the placement of an unknown stage is wrong."""
    built = [build_stage(name, fields) for name, fields in config.stages.items()]
    names = [stage.name for stage in built]
    for name in config.placement.stages:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"placement.stages.{name}: no such stage in this config; its stages are {', '.join(names)}{hint}")
    if len(set(names)) != len(names):
        raise UsageError(f"stages: two stages are named {next(name for name in names if names.count(name) > 1)!r}; names must differ")
    return built


def resolved(config: DatasetConfig) -> dict[str, Any]:
    """The config as plain data with every default and preset filled in."""
    data = config.model_dump(mode="json")
    data["stages"] = {key: stage.config.model_dump(mode="json") for key, stage in zip(config.stages, build_stages(config), strict=True)}
    return data
