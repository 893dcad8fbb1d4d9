"""`internvid config explain`: type, bounds, default and meaning of every field, out of the models themselves."""

from typing import Any, Literal

import annotated_types
import pytest
from pydantic import BaseModel, Field

from internvid_pipeline.config import DatasetConfig, FieldHelp, Section, explain
from internvid_pipeline.registry import stage_class, stage_names


def all_fields() -> list[FieldHelp]:
    found = list(explain(DatasetConfig, in_fingerprint=False))
    for name in stage_names():
        found += explain(stage_class(name).config_type, f"stages.{name}")
    return found


FIELDS = all_fields()


def test_every_stage_and_section_is_there():
    paths = [field.path for field in FIELDS]
    assert len(paths) == len(set(paths))
    assert {"root", "source.path", "source.partition_mb", "placement.stages.max_workers", "max_failed_ratio"} <= set(paths)
    assert len([name for name in stage_names() if any(path.startswith(f"stages.{name}.") for path in paths)]) >= 5


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.path)
def test_every_field_says_everything(field: FieldHelp):
    assert field.type and "<class" not in field.type and "internvid_pipeline" not in field.type
    assert field.default and "Undefined" not in field.default
    assert len(field.meaning) > 10 and field.meaning.strip() == field.meaning
    assert field.meaning.rstrip(")`").endswith("."), "a meaning is a sentence"


def models(model: type[BaseModel]) -> list[type[BaseModel]]:
    from internvid_pipeline.config.explain import _nested

    inner = [found for field in model.model_fields.values() if (found := _nested(field.annotation))]
    return [model, *(deep for found in inner for deep in models(found))]


@pytest.mark.parametrize("model", [DatasetConfig, *(stage_class(name).config_type for name in stage_names())])
def test_every_bound_is_shown(model: type[BaseModel]):
    """Each rule that pydantic enforces on a field of any depth appears among its bounds."""
    rules = 0
    for inner in models(model):
        shown = {field.path: field.bounds for field in explain(inner)}
        for name, field in inner.model_fields.items():
            for rule in field.metadata:
                for kind, attribute in (
                    (annotated_types.Ge, "ge"),
                    (annotated_types.Gt, "gt"),
                    (annotated_types.Le, "le"),
                    (annotated_types.Lt, "lt"),
                    (annotated_types.MinLen, "min_length"),
                    (annotated_types.MaxLen, "max_length"),
                ):
                    if isinstance(rule, kind):
                        rules += 1
                        assert str(getattr(rule, attribute)) in shown[name], f"{inner.__name__}.{name}: {attribute}"
    assert rules > 0 or not any(field.metadata for inner in models(model) for field in inner.model_fields.values())


class Inner(Section):
    depth: int = Field(default=3, ge=1, lt=9, description="How deep.")


class Outer(Section):
    needed: str = Field(description="Must be there.", min_length=2, max_length=7, pattern="^a")
    kind: Literal["x", "y"] = Field(default="x", description="Which.")
    inner: Inner = Field(default_factory=Inner, description="Below.", json_schema_extra={"fingerprint": False})
    many: tuple[Inner, ...] = Field(default=(), description="Several.")
    none: float | None = Field(default=None, gt=0, le=2.5, description="Maybe.")


def test_types_bounds_and_defaults_of_all_kinds():
    found: dict[str, Any] = {field.path: field for field in explain(Outer, "o")}
    assert list(found) == ["o.needed", "o.kind", "o.inner", "o.inner.depth", "o.many", "o.many.depth", "o.none"]
    needed = found["o.needed"]
    assert (needed.type, needed.default) == ("str", "required")
    assert needed.bounds == "length >= 2, length <= 7, matches ^a"
    assert found["o.kind"].type == "Literal['x', 'y']"
    assert (found["o.none"].type, found["o.none"].bounds, found["o.none"].default) == ("float | None", "> 0, <= 2.5", "None")
    assert found["o.inner.depth"].bounds == ">= 1, < 9"
    assert [path for path, field in found.items() if not field.in_fingerprint] == ["o.inner", "o.inner.depth"]
