"""Fingerprints: what a stage's result was made from, in twelve hexadecimal digits.

Into it go the stage's version, the fields of its config that change results, its models' names and commits (fields of their
presets) and the fingerprints of the stages that it reads. Workers, batch sizes and resources do not: a field marked
`json_schema_extra={"fingerprint": False}` is left out.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

LENGTH = 12  # 48 bits: among a thousand fingerprints of one stage a collision has a chance of 2e-9


def result_fields(config: BaseModel) -> dict[str, Any]:
    """The fields of a config that change results, nested models included, as plain data."""
    fields: dict[str, Any] = {}
    for name, field in type(config).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("fingerprint") is False:
            continue
        fields[name] = _plain(getattr(config, name))
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return result_fields(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return value


def fingerprint_of(inputs: Mapping[str, Any]) -> str:
    """Fingerprint of plain data; the order of keys does not matter."""
    canonical = json.dumps(inputs, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:LENGTH]


def changed_fields(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Where two pieces of plain data differ: (dotted path, old value, new value), an absent one as None."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in [*old, *(key for key in new if key not in old)]:
            found += changed_fields(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if old == new else [(path, old, new)]
