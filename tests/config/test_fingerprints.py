"""Fingerprints: what changes a result changes them, what does not does not."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from internvid_pipeline.config import Section, changed_fields, config_from, fingerprint_of, load_config, result_fields
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.engine import build_plan
from internvid_pipeline.registry import build_stages, resolved

NUMBERS, SQUARES, TOTALS = (f"tests.toy_stages:{name}" for name in ("Numbers", "Squares", "Totals"))
TOY = {"root": "out", "stages": {NUMBERS: {}, SQUARES: {}, TOTALS: {}}}
CONFIGS = sorted(configs_dir().glob("*.yaml"))
PLACEMENTS = st.fixed_dictionaries(
    {},
    optional={
        "max_workers": st.none() | st.integers(100, 10_000),
        "min_workers": st.integers(1, 100),
        "custom": st.dictionaries(st.sampled_from(["nvme", "node:head"]), st.floats(0.01, 4), max_size=2),
        "cpus": st.none() | st.floats(0.01, 1024),
        "gpus": st.none() | st.floats(0.01, 0.99) | st.integers(0, 64).map(float),
        "memory_mb": st.none() | st.integers(64, 10**6),
        "batch_size": st.none() | st.integers(1, 100_000),
        "load_threads": st.none() | st.integers(1, 256),
        "deadline_factor": st.floats(0.01, 1000),
    },
)
COMMON = st.fixed_dictionaries(
    {},
    optional={
        "ray_address": st.sampled_from(["local", "auto", "10.0.0.1:6379"]),
        "workers": st.none() | st.integers(1, 10_000),
        "isolate": st.booleans(),
        "partition_attempts": st.integers(1, 100),
    },
)


def fingerprints(config: Any, partitions: int = 3) -> dict[str, str]:
    return {plan.name: plan.fingerprint for plan in build_plan(config, partitions)}


def a_file_of(raw: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    names = [stage.name for stage in build_stages(config_from(raw))]
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    return {**raw, "placement": {**data.draw(COMMON), "stages": {name: data.draw(PLACEMENTS) for name in chosen}}}


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_placement_changes_any_fingerprint_of_the_toys(data: st.DataObject):
    assert fingerprints(config_from(a_file_of(TOY, data))) == fingerprints(config_from(TOY))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_placement_changes_any_fingerprint_of_a_shipped_config(file: Path, data: st.DataObject):
    raw = resolved(load_config(str(file)))
    assert fingerprints(config_from(a_file_of(raw, data))) == fingerprints(load_config(str(file)))


def test_there_are_shipped_configs_with_stages():
    assert [file.stem for file in CONFIGS if len(fingerprints(load_config(str(file)))) >= 6] != []


def test_where_the_data_lies_and_what_it_is_called_change_nothing():
    more = {**TOY, "root": "elsewhere", "name": "other", "source": {"path": "x", "partition_videos": 1}, "max_failed_ratio": 1}
    assert fingerprints(config_from(more)) == fingerprints(config_from(TOY))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda part: st.dictionaries(st.text(max_size=4), part))
)
def test_the_order_of_keys_does_not_matter(value: Any):
    def shuffled(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        items = list(part.items())
        random.Random(7).shuffle(items)
        return {key: shuffled(inner) for key, inner in reversed(items)}

    assert fingerprint_of({"x": shuffled(value)}) == fingerprint_of({"x": value})


def test_the_order_of_keys_in_a_file_does_not_matter():
    turned = {"stages": {NUMBERS: {}, SQUARES: {"work_s": 1, "prompt": "a"}, TOTALS: {}}}
    straight = {"stages": {NUMBERS: {}, SQUARES: {"prompt": "a", "work_s": 1.0}, TOTALS: {}}}
    assert fingerprints(config_from(turned)) == fingerprints(config_from(straight))


def test_a_default_spelled_out_is_the_same():
    assert fingerprints(config_from({"stages": resolved(config_from(TOY))["stages"]})) == fingerprints(config_from(TOY))


SQUARES_FIELDS = {"raises": [3], "segfaults": [3], "hangs": [1], "setup_fails": True, "work_s": 0.5, "prompt": "other"}


@pytest.mark.parametrize(("field", "value"), SQUARES_FIELDS.items(), ids=list(SQUARES_FIELDS))
def test_each_field_changes_its_stage_and_what_reads_it(field: str, value: Any):
    before = fingerprints(config_from(TOY))
    after = fingerprints(config_from({"stages": {NUMBERS: {}, SQUARES: {field: value}, TOTALS: {}}}))
    assert {name for name in before if before[name] != after[name]} == {"toy_squares", "toy_totals"}


@pytest.mark.parametrize("field", ["copies", "with_media", "work_s"])
def test_a_field_of_the_first_stage_changes_all(field: str):
    before = fingerprints(config_from(TOY))
    after = fingerprints(config_from({"stages": {NUMBERS: {field: 1 if field == "with_media" else 2}, SQUARES: {}, TOTALS: {}}}))
    assert not set(before.items()) & set(after.items())


def other_value(value: Any) -> Any:
    """Another value of the same type, for a change that nobody can overlook."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    return None


def leaves(fields: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(fields, dict):
        return [leaf for key, part in fields.items() for leaf in leaves(part, (*path, key))]
    if isinstance(fields, list):
        return [leaf for key, part in enumerate(fields) for leaf in leaves(part, (*path, key))]
    return [path] if other_value(fields) is not None else []


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_each_result_field_of_a_shipped_config_is_in_its_fingerprint(file: Path):
    """Changes each value inside what the fingerprint is made from, and each stage's part of it by itself."""
    changed = 0
    for plan in build_plan(load_config(str(file)), 3):
        for path in leaves(dict(plan.made_from)):
            import copy

            other = copy.deepcopy(dict(plan.made_from))
            inner: Any = other
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = other_value(inner[path[-1]])
            assert fingerprint_of(other) != plan.fingerprint, f"{plan.name}: {path}"
            changed += 1
    assert changed > 20


def test_the_number_of_partitions_counts_only_for_a_stage_that_looks_at_all():
    three, four = fingerprints(config_from(TOY), 3), fingerprints(config_from(TOY), 4)
    assert {name for name in three if three[name] != four[name]} == {"toy_totals"}


def test_fields_out_of_the_fingerprint_are_left_out_at_any_depth():
    from pydantic import Field

    class Model(Section):
        name: str = "m"
        gpus: float = Field(default=1, json_schema_extra={"fingerprint": False})

    class Config(Section):
        model: Model = Model()
        models: tuple[Model, ...] = (Model(),)
        by_name: Mapping[str, Model] = Field(default={"a": Model()})

    plain = {"model": {"name": "m"}, "models": [{"name": "m"}], "by_name": {"a": {"name": "m"}}}
    assert result_fields(Config()) == plain
    assert result_fields(Config(model=Model(gpus=3), models=(Model(gpus=4),))) == plain


def test_changed_fields_name_paths_and_values():
    old = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": True}
    new = {"a": 1, "b": {"c": [1, 3], "d": "y"}, "new": None, "more": 2}
    assert changed_fields(old, new) == [("b.c", [1, 2], [1, 3]), ("b.d", "x", "y"), ("gone", True, None), ("more", None, 2)]
    assert changed_fields(old, old) == []


def test_fingerprints_are_twelve_hexadecimal_digits_that_do_not_change():
    assert fingerprint_of({"a": 1, "b": "視頻"}) == "f655ac0ac5c9"
    assert all(len(found) == 12 and int(found, 16) >= 0 for found in fingerprints(config_from(TOY)).values())
