"""Every field of a config model with its type, bounds, default and meaning, taken from the model itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_MODULE = re.compile(r"(?<![\w'\"])(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")  # `package.module.` before a name, but not in quotes
_BOUNDS = (
    ("ge", ">="),
    ("gt", ">"),
    ("le", "<="),
    ("lt", "<"),
    ("min_length", "length >="),
    ("max_length", "length <="),
    ("pattern", "matches"),
)


@dataclass(frozen=True, slots=True)
class FieldHelp:
    """One field: dotted path, type, bounds, default and meaning as text. in_fingerprint: a change recomputes the stage."""

    path: str
    type: str
    bounds: str
    default: str
    meaning: str
    in_fingerprint: bool


def explain(model: type[BaseModel], prefix: str = "", in_fingerprint: bool = True) -> Iterator[FieldHelp]:
    """The fields of a model in order, each nested model's fields below it."""
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        extra = field.json_schema_extra
        inside = in_fingerprint and not (isinstance(extra, dict) and extra.get("fingerprint") is False)
        yield FieldHelp(path, _type_text(field.annotation), _bounds(field), _default(field), field.description or "", inside)
        nested = _nested(field.annotation)
        if nested is not None:
            yield from explain(nested, path, inside)


def _nested(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        found = _nested(inner)
        if found is not None:
            return found
    return None


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return "mapping" if issubclass(annotation, BaseModel) else annotation.__name__
    return _MODULE.sub("", str(annotation)).replace("NoneType", "None")


def _bounds(field: FieldInfo) -> str:
    words = []
    for rule in field.metadata:
        for attribute, sign in _BOUNDS:
            value = getattr(rule, attribute, None)
            if value is not None:
                words.append(f"{sign} {value}")
    return ", ".join(words)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={}) if field.default is PydanticUndefined else field.default
    if isinstance(value, BaseModel):
        return "see below"
    return repr(list(value)) if isinstance(value, tuple) else repr(value)
