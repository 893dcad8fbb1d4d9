"""YAML in and out: plain types only, bounded, and errors in words."""

from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from internvid_pipeline.errors import UsageError

_MOST_VALUES = 100_000  # configs come from strangers too: a few aliases of aliases in YAML stand for billions of values


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


def parse_yaml(text: str) -> Any:
    """Plain data of YAML text. Raises UsageError saying what is wrong and where, to be put behind a colon."""
    try:
        return plain_copy(yaml.load(text, Loader=_Loader))
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{problem or ' '.join(str(error).split())}{where}") from error
    except RecursionError as error:
        raise UsageError("it is nested too deep") from error
    except ValueError as error:  # a date that is none, such as 2024-13-45
        raise UsageError(str(error)) from error


def plain_copy(value: Any, left: list[int] | None = None) -> Any:
    """A deep copy, so that overrides never change what the caller holds. left: how many values there may be yet. Raises UsageError
    for more than a config can need."""
    left = left or [_MOST_VALUES]
    left[0] -= 1
    if left[0] <= 0:
        raise UsageError(f"it is too large: it stands for more than {_MOST_VALUES} values")
    if isinstance(value, Mapping):
        return {key: plain_copy(part, left) for key, part in value.items()}
    return [plain_copy(part, left) for part in value] if isinstance(value, list) else value


class _Dumper(yaml.SafeDumper):
    """Text of several lines stands as it is read."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def to_yaml(data: Any) -> str:
    """Plain data as YAML text, keys in their order."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def from_yaml(text: str) -> Any:
    """Plain data of YAML text that this library wrote. Raises UsageError."""
    try:
        return parse_yaml(text)
    except UsageError as error:
        raise UsageError(f"not YAML that we read: {error}") from error
