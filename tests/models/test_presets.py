from pathlib import Path

import pytest
from pydantic import BaseModel

from internvid_pipeline.config import changed_fields, result_fields, to_yaml, validated
from internvid_pipeline.config.presets import ModelPreset, PresetField, configs_dir, load_preset, preset_names
from internvid_pipeline.errors import UsageError
from internvid_pipeline.models import check_preset

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Config(BaseModel):
    model: PresetField


def written(folder: Path, **fields: object) -> str:
    file = folder / "mine.yaml"
    file.write_text(to_yaml(fields))
    return str(file)


def test_every_shipped_preset_is_pinned_and_has_an_adapter():
    names = preset_names()
    assert {"stand-in-captioner", "stand-in-summariser", "stand-in-scorer", "blip2-opt-2.7b"} <= set(names)
    for name in names:
        preset = load_preset(name)
        assert preset.name == name
        assert preset.is_stand_in or len(preset.commit) == (len("3.10.0") if preset.adapter == "rapidocr" else 40)
        assert check_preset(preset, preset.task) is preset
    assert (configs_dir() / "models" / f"{names[0]}.yaml").is_file()


def test_unknown_name_lists_the_known_and_names_the_nearest():
    with pytest.raises(UsageError, match=r"no model preset 'blip2-opt': known are .*flan-t5-large.*did you mean blip2-opt-2\.7b\?"):
        load_preset("blip2-opt")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"repository": "org/name"}, r"commit = '': write the full commit, 40 hexadecimal digits; `hf models info org/name`"),
        ({"repository": "org/name", "commit": "main"}, r"commit = 'main': write the full commit"),
        ({"repository": "org/name", "commit": COMMIT[:12]}, r"commit = '0123456789ab': write the full commit"),
        ({"commit": COMMIT}, r"repository = '': write a Hub id such as org/name"),
        ({"repository": "name", "commit": COMMIT}, r"repository = 'name': write a Hub id"),
        ({"repository": "org/name", "commit": COMMIT, "promt": "x"}, r"unknown key 'promt'; did you mean 'prompt'\?"),
        ({"adapter": "stand-in", "commit": "v0"}, r"commit = 'v0': this release has version v1 of the stand-ins"),
        ({"adapter": "stand-in", "repository": "org/name"}, r"repository = 'org/name': a stand-in has no weights"),
        ({"repository": "org/name", "commit": COMMIT, "batch_size": 0}, r"batch_size = 0"),
        ({"repository": "s3://bucket/model"}, r"commit = '': write the version, date or commit of the weights"),
        ({"repository": "s3://key:secret@bucket/model", "commit": "v1"}, r"credentials in a URI would end up in tables"),
        ({"adapter": "openai", "repository": "gpt"}, r"commit = '': write the version, date or commit"),
        ({"adapter": "openai", "commit": "v1"}, r"repository = '': write the model's name as the endpoint knows it"),
        ({"adapter": "openai", "repository": "gpt", "commit": "v1"}, r"adapter openai and field endpoint belong together"),
        ({"adapter": "rapidocr"}, r"commit = '': write the version, date or commit"),
        ({"adapter": "viclip", "repository": "org/name", "commit": COMMIT}, rf"of org/name at commit {COMMIT}: read it there, then write"),
        ({"adapter": "viclip", "repository": "org/name", "trust_remote_code": True}, r"commit = '': write the full commit"),
        ({"adapter": "viclip", "repository": "/folder", "trust_remote_code": True}, r"trust_remote_code needs a commit, or for a folder"),
        ({"repository": "org/name", "commit": COMMIT, "trust_remote_code": True}, r"adapter blip2 runs no code of a repository; leave"),
    ],
)
def test_bad_preset_is_refused_with_its_file_and_what_to_write(tmp_path: Path, fields: dict[str, object], message: str):
    path = written(tmp_path, **{"task": "caption", "adapter": "blip2", **fields})
    with pytest.raises(UsageError, match=message) as caught:
        load_preset(path)
    assert path in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("- 1", "holds list"), ("a: [", "is not YAML"), (None, "No such file")])
def test_file_that_is_no_preset(tmp_path: Path, text: str | None, message: str):
    if text is not None:
        (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_preset(str(tmp_path / "mine.yaml"))
    assert "mine.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_yaml_never_builds_objects(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text("name: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(UsageError, match="is not YAML"):
        load_preset(str(tmp_path / "mine.yaml"))


def test_field_takes_a_name_a_path_or_a_mapping(tmp_path: Path):
    path = written(tmp_path, task="caption", adapter="blip2", repository="org/name", commit=COMMIT)
    assert Config(model="stand-in-captioner").model.commit == "v1"
    assert Config(model=path).model.name == "mine"
    again = Config.model_validate(Config(model=path).model_dump(mode="json"))
    assert again == Config(model=path)
    with pytest.raises(UsageError, match="no model preset 'nothing'"):
        validated(Config, {"model": "nothing"}, "config")


def test_relative_folder_is_meant_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = written(tmp_path, task="caption", adapter="blip2", repository="./weights")
    monkeypatch.chdir("/")
    preset = load_preset(path)
    assert preset.repository == str((tmp_path / "weights").resolve())
    assert (preset.published_name, preset.published_commit) == ("mine", "local")


def test_only_placement_stays_outside_the_fingerprint():
    fields = {"name": "a", "task": "caption", "adapter": "blip2", "repository": "org/name", "commit": COMMIT}
    before = result_fields(ModelPreset(**fields))
    assert result_fields(ModelPreset(**fields, gpus=1, memory_mb=999, batch_size=3)) == before
    after = result_fields(ModelPreset(**{**fields, "commit": COMMIT[::-1]}, prompt="a photo of", dtype="float32"))
    assert {path for path, _, _ in changed_fields(before, after)} == {"commit", "prompt", "dtype"}


def test_preset_of_another_task_or_without_adapter_is_refused():
    with pytest.raises(UsageError, match="'stand-in-scorer' is for task 'alignment'; here a preset for task 'caption' is wanted"):
        check_preset(load_preset("stand-in-scorer"), "caption")
    unknown = ModelPreset(name="a", task="caption", adapter="telepathy", repository="/a")
    with pytest.raises(UsageError, match="no adapter 'telepathy' for task 'caption'; known are blip2, stand-in"):
        check_preset(unknown, "caption")
