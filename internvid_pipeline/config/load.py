"""Reading a config: YAML, overrides `key=value` from the command line, and errors that say what would be right."""

import contextlib
import difflib
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from internvid_pipeline.config.model import DatasetConfig
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.errors import UsageError

M = TypeVar("M", bound=BaseModel)
_MOST_VALUES = 100_000  # configs come from strangers too: a few aliases of aliases in YAML stand for billions of values
_TEXT_KEYS = ("root", "source.path", "name")  # a folder named 2024, `yes` or *.mp4 stays a name

_SHOWN_CHARS = 200  # of a wrong value


class _Loader(yaml.SafeLoader):
    """YAML's plain types only, and an error where a key stands twice: the first of two stages of one name would vanish in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands there twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _parsed(text: str) -> Any:
    """Plain data of YAML text. Raises UsageError saying what is wrong and where, to be put behind a colon."""
    try:
        return _plain(yaml.load(text, Loader=_Loader), [_MOST_VALUES])
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{problem or ' '.join(str(error).split())}{where}") from error
    except RecursionError as error:
        raise UsageError("it is nested too deep") from error
    except ValueError as error:  # a date that is none, such as 2024-13-45
        raise UsageError(str(error)) from error


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
        raw = _parsed(text)
    except UsageError as error:
        raise UsageError(f"config {path} is not YAML that we read: {error}") from error
    return config_from(raw, overrides, path)


def config_from(raw: Any, overrides: Sequence[str] = (), where: str = "config") -> DatasetConfig:
    """A config from plain data (a parsed YAML file). Raises UsageError."""
    if not isinstance(raw, dict):
        raise UsageError(f"{where} holds {type(raw).__name__}; a config is a mapping with `stages:` and `source:`")
    merged = _plain(raw, [_MOST_VALUES])
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


def _plain(value: Any, left: list[int]) -> Any:
    """A deep copy, so that overrides never change what the caller holds. left: how many values there may be yet."""
    left[0] -= 1
    if left[0] < 0:
        raise UsageError(f"it is too large: it stands for more than {_MOST_VALUES} values")
    if isinstance(value, Mapping):
        return {key: _plain(part, left) for key, part in value.items()}
    return [_plain(part, left) for part in value] if isinstance(value, list) else value


def _apply(config: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = _parts(key.strip())
    if not equals or not all(parts):
        raise UsageError(f"override {override!r}: write key=value, such as source.path=videos or stages.cut_clips.threshold=30")
    try:
        value = text if key.strip() in _TEXT_KEYS or not text else _parsed(text)
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


def validated(model: type[M], data: Any, where: str) -> M:
    """`data` as a `model`. Raises UsageError with the first error in words; an unknown key names the nearest known one."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{where}: unknown key {path!r}{_nearest(model, first['loc'])}{more}") from None
        if first["type"] == "missing":
            raise UsageError(f"{where}: {path} is missing{more}") from None
        message = first["msg"].removeprefix("Value error, ")
        value = repr(first["input"])
        shown = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}…"
        raise UsageError(f"{where}: {f'{path} = ' if path else ''}{shown}: {message}{more}") from None


def _nearest(model: type[BaseModel], location: Sequence[int | str]) -> str:
    known = _fields_at(model, location[:-1])
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known keys: {', '.join(known)}" if known else ""


def _fields_at(model: Any, location: Sequence[int | str]) -> list[str]:
    """Names of the fields of the model that `location` leads to, through optionals, tuples and mappings."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        for inner in get_args(model):
            if found := _fields_at(inner, location):
                return found
        return []
    if not location:
        return list(model.model_fields)
    field = model.model_fields.get(str(location[0]))
    if field is None:
        return []
    rest = location[1:]
    return _fields_at(field.annotation, rest) or _fields_at(field.annotation, rest[1:])


def to_yaml(data: Any) -> str:
    """Plain data as YAML text, keys in their order."""
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    return text


def from_yaml(text: str) -> Any:
    """Plain data of YAML text that this library wrote. Raises UsageError."""
    try:
        return _parsed(text)
    except UsageError as error:
        raise UsageError(f"not YAML that we read: {error}") from error
