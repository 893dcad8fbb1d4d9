"""Plain data held against a pydantic model, with the first error in words."""

import difflib
from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from internvid_pipeline.errors import UsageError

M = TypeVar("M", bound=BaseModel)
_SHOWN_CHARS = 200  # of a wrong value


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
