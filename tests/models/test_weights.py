import http.server
import json
import threading
from functools import partial
from pathlib import Path

import fsspec
import huggingface_hub.constants
import pytest

from internvid_pipeline.config.presets import ModelPreset, load_preset
from internvid_pipeline.errors import SetupError
from internvid_pipeline.models import build_scorer, fetch_weights
from internvid_pipeline.models.weights import packages_for, weights_file, weights_folder
from tests.models.chat_server import endpoint_preset

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


def stored(uri: str, **files: bytes) -> None:
    filesystem = fsspec.filesystem("memory")
    for name, data in files.items():
        filesystem.pipe_file(f"{uri.removeprefix('memory:/')}/{name.replace('__', '.')}", data)


def test_object_store_is_copied_once_and_then_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    uri = "memory://bucket/models/tiny"
    stored(uri, config__json=b"{}", model__safetensors=b"w")
    preset = ModelPreset(name="mine", task="alignment", adapter="open_clip", repository=uri, commit="v3")
    monkeypatch.setenv("INTERNVID_MODELS", str(tmp_path / "cache"))
    with pytest.raises(SetupError, match=r"weights of model 'mine' .* are not at .*: internvid models fetch mine, or set INTERNVID_MODELS"):
        weights_folder(preset)
    fetch_weights(preset)
    folder = weights_folder(preset)
    assert folder.parent == tmp_path / "cache" and (folder / "model.safetensors").read_bytes() == b"w"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [folder.name], "nothing half-done is left"
    fsspec.filesystem("memory").rm("/bucket", recursive=True)
    (tmp_path / "cache").chmod(0o555)
    fetch_weights(preset)
    assert weights_folder(preset) == folder, "what is there is taken as it is, also from a folder that is read-only"
    (tmp_path / "cache").chmod(0o755)
    with pytest.raises(SetupError, match=r"model 'mine': cannot fetch memory://bucket/models/tiny into .*there is nothing"):
        fetch_weights(preset.model_copy(update={"commit": "v4"}))
    assert (preset.published_name, preset.published_commit) == ("mine", "v3")


def test_folder_of_an_object_store_without_a_model_is_refused(tmp_path: Path):
    uri = "memory://bucket/half"
    stored(uri, config__json=b"{}")
    preset = ModelPreset(name="mine", task="alignment", adapter="open_clip", repository=uri, commit="v3")
    fetch_weights(preset, tmp_path)
    with pytest.raises(SetupError, match=r"memory://bucket/half holds no complete model .*; it needs config\.json or"):
        weights_folder(preset, tmp_path)


def test_single_file_of_an_address(tmp_path: Path):
    (tmp_path / "head.pth").write_bytes(b"linear")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_address[1]}/head.pth"
    preset = ModelPreset(name="head", task="aesthetic", adapter="linear_head", repository=uri, commit="v1", base_model="clip")
    fetch_weights(preset, tmp_path / "cache")
    server.shutdown()
    server.server_close()
    fetch_weights(preset, tmp_path / "cache")
    assert weights_file(preset, tmp_path / "cache").read_bytes() == b"linear"
    with pytest.raises(SetupError, match=r"model 'head': cannot fetch http://127\.0\.0\.1"):
        fetch_weights(preset.model_copy(update={"commit": "v2"}), tmp_path / "cache")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


def test_endpoints_and_packages_need_nothing(tmp_path: Path):
    assert fetch_weights(endpoint_preset("http://127.0.0.1:9/v1"), tmp_path) is None
    assert fetch_weights(load_preset("rapidocr"), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
