import json
from pathlib import Path

import huggingface_hub.constants
import pytest

from internvid_pipeline.config.presets import ModelPreset, load_preset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models import build_scorer, fetch_weights
from internvid_pipeline.models.weights import packages_for, weights_folder

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PRESET = ModelPreset(name="tiny", task="alignment", adapter="open_clip", repository="nobody/nothing", commit=COMMIT)


def cached(cache: Path, *names: str) -> Path:
    """A snapshot in the Hub's cache, laid out as the Hub's client does."""
    folder = cache / "models--nobody--nothing" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_snapshot_of_the_commit_is_found_without_network(tmp_path: Path):
    folder = cached(tmp_path, "config.json", "model.safetensors")
    assert weights_folder(PRESET, tmp_path) == folder
    fetch_weights(PRESET, tmp_path)


@pytest.mark.parametrize("names", [None, (), ("config.json",), ("model.safetensors",)])
def test_missing_weights_give_the_command_that_fetches_them(tmp_path: Path, names: tuple[str, ...] | None):
    if names is not None:
        cached(tmp_path, *names)
    with pytest.raises(SetupError) as caught:
        weights_folder(PRESET, tmp_path)
    command = f"hf download nobody/nothing --revision {COMMIT} --cache-dir {tmp_path}"
    assert str(caught.value) == f"weights of nobody/nothing at commit {COMMIT} are not here; fetch them: {command}"


def test_another_commit_in_the_cache_does_not_count(tmp_path: Path):
    cached(tmp_path, "config.json", "model.safetensors")
    with pytest.raises(SetupError, match="are not here"):
        weights_folder(PRESET.model_copy(update={"commit": COMMIT[::-1]}), tmp_path)


def test_download_that_was_cut_short_is_not_taken_for_whole(tmp_path: Path):
    folder = cached(tmp_path, "config.json", "model-1.safetensors")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
    )
    with pytest.raises(SetupError, match="are not here"):
        weights_folder(PRESET, tmp_path)
    (folder / "model-2.safetensors").write_bytes(b"")
    assert weights_folder(PRESET, tmp_path) == folder


def test_builder_and_fetch_say_so_offline(tmp_path: Path):
    assert huggingface_hub.constants.HF_HUB_OFFLINE, "these tests must not look for a network"
    with pytest.raises(SetupError, match=rf"nobody/nothing at commit {COMMIT} .*hf download nobody/nothing --revision {COMMIT}$"):
        build_scorer(PRESET)
    with pytest.raises(SetupError, match=rf"cannot fetch nobody/nothing at commit {COMMIT} .*offline.*hf download nobody/nothing"):
        fetch_weights(PRESET, tmp_path)


def test_local_folder(tmp_path: Path):
    local = ModelPreset(name="mine", task="alignment", adapter="open_clip", repository=str(tmp_path / "w"))
    with pytest.raises(SetupError, match=r"model 'mine': no folder .*/w; `repository` must name"):
        weights_folder(local)
    (tmp_path / "w").mkdir()
    with pytest.raises(SetupError, match=r"holds no complete model; it needs config\.json or open_clip_config\.json, and all weights"):
        fetch_weights(local)
    (tmp_path / "w" / "model.safetensors").write_bytes(b"")
    (tmp_path / "w" / "open_clip_config.json").write_bytes(b"")
    assert weights_folder(local) == tmp_path / "w"


def test_stand_ins_need_nothing(tmp_path: Path):
    assert fetch_weights(load_preset("stand-in-scorer"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_missing_package_gives_the_line_that_installs_it():
    with (
        pytest.raises(
            SetupError,
            match=r"model 'tiny' needs the package 'no_such_package', which is not installed: pip install 'internvid-pipeline\[models\]'",
        ),
        packages_for(PRESET),
    ):
        import no_such_package  # noqa: F401
