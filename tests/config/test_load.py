"""Reading configs: what is wrong is said in one line, with the place and what would be right."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from internvid_pipeline.config import config_from, from_yaml, load_config, to_yaml, validated
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.errors import UsageError
from internvid_pipeline.registry import build_stages, resolved

TOY = {"name": "toy", "root": "out", "source": {"path": "in"}, "stages": {"tests.toy_stages:Numbers": {}, "tests.toy_stages:Squares": {}}}


def with_value(path: str, value: Any) -> dict[str, Any]:
    """TOY with one value set; `/` parts the keys."""
    raw: dict[str, Any] = yaml.safe_load(yaml.safe_dump(TOY))
    inner = raw
    *parents, last = path.split("/")
    for part in parents:
        inner = inner.setdefault(part, {})
    inner[last] = value
    return raw


def error_of(raw: Any) -> str:
    with pytest.raises(UsageError) as caught:
        build_stages(config_from(raw))
    return str(caught.value)


UNKNOWN_KEYS = {
    "rooot": "did you mean 'root'",
    "stage": "did you mean 'stages'",
    "source/pth": "did you mean 'path'",
    "source/partition_video": "did you mean 'partition_videos'",
    "placement/ray_adress": "did you mean 'ray_address'",
    "placement/stages/toy_squares/max_worker": "did you mean 'max_workers'",
    "placement/stages/toy_squares/batchsize": "did you mean 'batch_size'",
    "stages/tests.toy_stages:Squares/promt": "did you mean 'prompt'",
    "stages/tests.toy_stages:Numbers/copy": "did you mean 'copies'",
    "stages/select_clips/minimal_caption": "unknown key 'minimal_caption'",
    "source/zzzzzz": "known keys: ",
}


@pytest.mark.parametrize(("path", "hint"), UNKNOWN_KEYS.items(), ids=list(UNKNOWN_KEYS))
def test_an_unknown_key_names_the_nearest(path: str, hint: str):
    message = error_of(with_value(path, 3))
    assert hint in message
    assert path.rsplit("/", 1)[-1] in message
    assert "\n" not in message


def test_an_unknown_key_inside_a_preset_names_the_nearest():
    model = {"name": "x", "task": "alignment", "adapter": "stand-in", "promptt": "?"}
    message = error_of({"stages": {"score_alignment": {"model": model}}})
    assert "'model.promptt'" in message and "did you mean 'prompt'" in message


WRONG_VALUES: dict[str, tuple[Any, str]] = {
    "name": ("a/b", "name = 'a/b'"),
    "max_failed_ratio": (2, "less than or equal to 1"),
    "source/partition_videos": (0, "greater than or equal to 1"),
    "source/partition_mb": ("many", "source.partition_mb = 'many'"),
    "source/extensions": ("mp4", "source.extensions = 'mp4'"),
    "source": ([], "source = []"),
    "root": (2024, "root = 2024"),
    "stages": ({}, "no stages; name at least one"),
    "placement/stages/toy_squares/cpus": (-1, "placement.stages.toy_squares.cpus = -1"),
    "placement/stages/toy_squares": (3, "placement.stages.toy_squares = 3"),
    "placement/isolate": ("maybe", "placement.isolate = 'maybe'"),
    "stages/tests.toy_stages:Squares/raises": ([1, "x"], "stages.tests.toy_stages:Squares: raises.1 = 'x'"),
    "stages/tests.toy_stages:Squares": ("fast", "stages.tests.toy_stages:Squares"),
    "placement/stages/toy_sqares": ({}, "did you mean 'toy_squares'"),
    "stages/cut_clip": ({}, "did you mean 'cut_clips'"),
    "stages/tests.toy_stages:Square": ({}, "has no Stage named 'Square'"),
    "stages/no.such.module:Stage": ({}, "no module 'no.such.module'"),
}


@pytest.mark.parametrize(("path", "value", "wanted"), [(p, *rest) for p, rest in WRONG_VALUES.items()], ids=list(WRONG_VALUES))
def test_a_wrong_value_is_shown_with_what_would_be_right(path: str, value: Any, wanted: str):
    message = error_of(with_value(path, value))
    assert wanted in message
    assert "\n" not in message


def test_a_missing_key_is_named():
    assert "stages is missing" in error_of({"root": "out"})


def test_a_long_value_does_not_drown_the_message():
    assert len(error_of(with_value("source/partition_mb", "x" * 100_000))) < 500
    assert len(error_of(with_value("source", [{"path": "x" * 1000}] * 1000))) < 500


@pytest.mark.parametrize("raw", [None, [], "text", 7])
def test_what_is_no_mapping_is_refused(raw: Any):
    with pytest.raises(UsageError, match="a config is a mapping"):
        config_from(raw)


def test_a_stage_without_fields_has_its_defaults():
    config = config_from({"stages": {"tests.toy_stages:Numbers": None}})
    assert resolved(config)["stages"] == {"tests.toy_stages:Numbers": {"copies": 1, "with_media": False, "work_s": 0.0, "huge": []}}


def test_what_the_caller_holds_is_not_changed():
    raw = with_value("source/path", "in")
    config_from(raw, ["source.path=other", "stages.tests.toy_stages:Numbers.copies=5"])
    assert raw == with_value("source/path", "in")


NOT_YAML = {
    "unclosed": ("name: a\nstages: [1, 2\n", "line 3"),
    "indent": ("name: a\nsource:\n  path: x\n bad: y\n", "line 4"),
    "tab": ("stages:\n\ta: 1\n", "line 2"),
    "alias": ("name: *nobody\n", "line 1"),
    "object": ("name: !!python/object/apply:os.system [echo]\n", "line 1"),
    "date": ("name: a\nroot: 2024-13-45\n", "month"),
    "control": ("name: a\x07b\n", "not YAML"),
    "twice": ("name: a\nstages:\n  cut_clips: {}\n  cut_clips: {}\n", "'cut_clips' stands there twice at line 4"),
    "itself": ("stages: &a\n  x: *a\n", "too deep"),
    "deep": ("stages: " + "[" * 3000 + "]" * 3000 + "\n", "too deep"),
    "bomb": ("a0: &a0 [1,1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1},*a{n - 1}]\n" for n in range(1, 40)), "too large"),
}


@pytest.mark.parametrize(("text", "wanted"), NOT_YAML.values(), ids=list(NOT_YAML))
def test_what_is_not_yaml_is_said_with_its_line(tmp_path: Path, text: str, wanted: str):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_config(str(tmp_path / "c.yaml"))
    assert wanted in str(caught.value)
    assert str(tmp_path / "c.yaml") in str(caught.value)
    assert len(" ".join(str(caught.value).split())) < 500


def test_merge_keys_and_anchors_are_fine(tmp_path: Path):
    (tmp_path / "c.yaml").write_text(
        "stages:\n  tests.toy_stages:Numbers: &n {copies: 2}\n  tests.toy_stages:Totals:\n    <<: *n\n    copies: 3\n"
    )
    assert load_config(str(tmp_path / "c.yaml")).stages["tests.toy_stages:Totals"] == {"copies": 3}


def test_files_that_cannot_be_read(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(UsageError, match=r"cannot read config .*latin\.yaml"):
        load_config(str(tmp_path / "latin.yaml"))
    for missing in (str(tmp_path), str(tmp_path / "none.yaml"), "~nobody-of-this-name/c.yaml", "x" * 5000, ""):
        with pytest.raises(UsageError, match=r"no config .*give a YAML file or one of .*demo"):
            load_config(missing)
    with pytest.raises(UsageError, match="did you mean demo"):
        load_config("dmeo")


def test_an_empty_file_is_no_config(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("# nothing yet\n")
    with pytest.raises(UsageError, match="a config is a mapping"):
        load_config(str(tmp_path / "c.yaml"))


def test_shipped_configs_are_found_by_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert load_config("demo").name == "demo"
    assert load_config("demo") == load_config(str(configs_dir() / "demo.yaml"))


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path):
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbfname: toy\r\nstages:\r\n  tests.toy_stages:Numbers:\r\n")
    assert load_config(str(tmp_path / "c.yaml")).name == "toy"


def test_plain_data_survives_yaml():
    data = {"name": "視頻 مرحبا 🎬", "rules": [{"column": "motion", "minimum": 0.1}], "empty": None, "text": "no", "number": "007"}
    assert from_yaml(to_yaml(data)) == data
    with pytest.raises(UsageError, match="not YAML"):
        from_yaml("a: [")


def test_a_resolved_config_resolves_to_itself():
    once = resolved(config_from(with_value("placement/stages/toy_squares/cpus", 2)))
    again = resolved(config_from(from_yaml(to_yaml(once))))
    assert once == again


def test_validated_gives_the_model():
    from internvid_pipeline.config import SourceConfig

    assert validated(SourceConfig, {"path": "x", "partition_videos": "3"}, "source").partition_videos == 3
