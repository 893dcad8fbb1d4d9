"""Reading a config: YAML, overrides `key=value` from the command line, and errors that say what would be right."""

import contextlib
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline.config.model import DatasetConfig
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.config.validation import validated
from internvid_pipeline.config.yaml_text import parse_yaml, plain_copy
from internvid_pipeline.errors import UsageError

_TEXT_KEYS = ("root", "source.path", "name")  # a folder named 2024, `yes` or *.mp4 stays a name


def load_config(path: str, overrides: Sequence[str] = ()) -> DatasetConfig:
    """The config at `path`, or the shipped one of that bare name (`demo`), with overrides applied. Raises UsageError.

    The fields of the stages are not looked at here: the registry knows their types (`registry.build_stages`).
    """
    file = _find(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read config {path}: {getattr(error, 'strerror', None) or error}") from error
    try:
        raw = parse_yaml(text)
    except UsageError as error:
        raise UsageError(f"config {path} is not YAML that we read: {error}") from error
    return config_from(raw, overrides, path)


def config_from(raw: Any, overrides: Sequence[str] = (), where: str = "config") -> DatasetConfig:
    """A config from plain data (a parsed YAML file). Raises UsageError."""
    if not isinstance(raw, dict):
        raise UsageError(f"{where} holds {type(raw).__name__}; a config is a mapping with `stages:` and `source:`")
    merged = plain_copy(raw)
    for override in overrides:
        _apply(merged, override)
    stages = merged.get("stages")
    if isinstance(stages, dict):
        merged["stages"] = {name: {} if fields is None else fields for name, fields in stages.items()}
    return validated(DatasetConfig, merged, where)


def _find(path: str) -> Path:
    with contextlib.suppress(OSError, RuntimeError):  # a name that is too long; `~nobody`
        file = Path(path).expanduser()
        if file.is_file():
            return file
        shipped = configs_dir() / f"{path}.yaml"
        if "/" not in path and shipped.is_file():
            return shipped
    known = sorted(found.stem for found in configs_dir().glob("*.yaml"))
    near = difflib.get_close_matches(Path(path).stem, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"no config {path!r}: give a YAML file or one of {', '.join(known)}{hint}")


def _apply(config: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = _parts(key.strip())
    if not equals or not all(parts):
        raise UsageError(f"override {override!r}: write key=value, such as source.path=videos or stages.cut_clips.threshold=30")
    try:
        value = text if key.strip() in _TEXT_KEYS or not text else parse_yaml(text)
    except UsageError as error:
        raise UsageError(f"override {override!r}: the value is not YAML: {error}") from error
    inner = config
    for part in parts[:-1]:
        found = inner.setdefault(part, {})
        if found is None:
            found = inner[part] = {}
        if not isinstance(found, dict):
            raise UsageError(f"override {override!r}: {part} is {found!r} and has no fields")
        inner = found
    inner[parts[-1]] = value


def _parts(key: str) -> list[str]:
    """Keys of a dotted path; the name of a user's own stage (`stages.package.module:Class.field`) is one key."""
    module, colon, rest = key.removeprefix("stages.").partition(":")
    if not colon or not key.startswith("stages."):
        return key.split(".")
    name, *fields = rest.split(".")
    return ["stages", f"{module}:{name}", *fields]
