"""Where a model's weights lie: a local folder, a copy of a folder of an object store, or the Hub's cache at exactly the preset's commit.

Workers never download: `fetch_weights` runs once per node (`Stage.prepare_node`), `weights_folder` then looks at the disk alone, so that
a run without network works and a hundred workers do not fetch the same gigabytes.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from internvid_pipeline.config.presets import ModelPreset
from internvid_pipeline.errors import SetupError, StorageError
from internvid_pipeline.storage import fetch_once, fetched_place

# Formats of other frameworks; the pickled ones too where the repository has safetensors, which hold no code.
_NEVER = ["*.msgpack", "*.h5", "*.onnx", "*.tflite", "*.ot", "*.gguf", "onnx/*", "openvino/*", "coreml/*"]
_NEVER += ["checkpoint-*/*", "runs/*", "logs/*", "training_args.bin"]  # what was left of training: it can be ten times the model
_PICKLED = ["*.bin", "*.pt", "*.pth", "*.ckpt"]
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_SINGLE_FILE = "linear_head"
_CONFIGS = ("config.json", "open_clip_config.json")
# A folder that all nodes share, or one that an image brings, read-only; default: in the home folder.
CACHE_VARIABLE = "INTERNVID_MODELS"


def models_cache() -> Path:
    """Folder of copies from object stores and addresses. The Hub's own cache lies where its client keeps it (HF_HUB_CACHE)."""
    return Path(os.environ.get(CACHE_VARIABLE) or "~/.cache/internvid/models").expanduser()


@contextlib.contextmanager
def needs_package(what: str, extra: str) -> Iterator[None]:
    """Turns a missing package into a SetupError with the line that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        line = f"pip install 'internvid-pipeline[{extra}]'"
        raise SetupError(f"{what} needs the package {error.name!r}, which is not installed: {line}") from error


@contextlib.contextmanager
def packages_for(preset: ModelPreset, extra: str = "models") -> Iterator[None]:
    """As `needs_package`, for a model."""
    with needs_package(f"model {preset.name!r}", extra):
        yield


@contextlib.contextmanager
def loading(preset: ModelPreset, folder: Path) -> Iterator[None]:
    """Turns whatever a library raises while it reads `folder` into one line of SetupError."""
    try:
        yield
    except SetupError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise SetupError(f"model {preset.name!r} cannot be loaded from {folder} with adapter {preset.adapter!r}: {reason}") from error


def check_loaded(preset: ModelPreset, missing_keys: object) -> None:
    """Libraries fill weights that the files lack with random numbers and warn; here that is an error. Raises SetupError."""
    missing = sorted(str(key) for key in missing_keys) if isinstance(missing_keys, (list, set, tuple, frozenset)) else []
    if missing:
        raise SetupError(f"model {preset.name!r}: files lack {len(missing)} weights of adapter {preset.adapter!r}, such as {missing[0]}")


def weights_folder(preset: ModelPreset, cache: Path | None = None) -> Path:
    """The local folder with the preset's files; never touches the network. cache: the Hub's cache folder, by default the usual one
    (HF_HUB_CACHE). Raises SetupError with the command that fetches them where they are not there in full."""
    if preset.is_local:
        folder = Path(preset.repository).expanduser()
        if not folder.is_dir():
            raise SetupError(f"model {preset.name!r}: no folder {folder}; `repository` must name a folder with the model's files")
        if not _is_complete(folder):
            wanted = f"{' or '.join(_CONFIGS)}, and all weights ({', '.join(_WEIGHTS)})"
            raise SetupError(f"model {preset.name!r}: {folder} holds no complete model; it needs {wanted}")
        return folder
    if preset.is_uri:
        place = _copied(preset, cache)
        if not _is_complete(place):
            wanted = f"{' or '.join(_CONFIGS)}, and all weights ({', '.join(_WEIGHTS)})"
            raise SetupError(f"model {preset.name!r}: {preset.repository} holds no complete model (copied to {place}); it needs {wanted}")
        return place
    found = _cached(preset, cache)
    if found is None:
        raise SetupError(f"weights of {preset.repository} at commit {preset.commit} are not here; fetch them: {_command(preset, cache)}")
    return found


def weights_file(preset: ModelPreset, cache: Path | None = None) -> Path:
    """The local file of a preset whose repository names one file, or the single file of weights in its folder; never touches the network.
    Raises SetupError as `weights_folder`."""
    if preset.is_local:
        place = Path(preset.repository).expanduser()
    elif preset.is_uri:
        place = _copied(preset, cache)
    else:
        place = _cached_files(preset, cache) or Path()
        if place == Path():
            raise SetupError(
                f"weights of {preset.repository} at commit {preset.commit} are not here; fetch them: {_command(preset, cache)}"
            )
    files = [place] if place.is_file() else sorted(file for file in place.glob("*") if file.suffix in _WEIGHTS)
    if len(files) != 1:
        raise SetupError(f"model {preset.name!r}: wanted one file of weights at {place}, found {len(files)}")
    return files[0]


def _copied(preset: ModelPreset, cache: Path | None) -> Path:
    place = fetched_place(preset.repository, preset.commit, cache or models_cache())
    if not place.exists():
        line = f"fetch them: internvid models fetch {preset.name}, or set {CACHE_VARIABLE} to the folder that has them"
        raise SetupError(f"weights of model {preset.name!r} from {preset.repository} ({preset.commit}) are not at {place}; {line}")
    return place


def fetch_weights(preset: ModelPreset, cache: Path | None = None) -> None:
    """Brings the preset's files to the local disk unless they are there in full: from the Hub into its cache, from an object store or an
    address into `models_cache()`. Raises SetupError where that fails, the network is off (HF_HUB_OFFLINE=1) or a folder is missing."""
    if preset.brings_no_files:
        return
    if preset.adapter == _SINGLE_FILE and preset.is_local:
        weights_file(preset, cache)
        return
    if preset.is_uri:
        try:
            fetch_once(preset.repository, preset.commit, cache or models_cache())
        except StorageError as error:
            raise SetupError(f"model {preset.name!r}: {error}") from error
        return
    if preset.adapter == _SINGLE_FILE and _cached_files(preset, cache) is not None:
        return
    if preset.is_local or _cached(preset, cache) is not None:
        weights_folder(preset, cache)
        return
    with packages_for(preset):
        from huggingface_hub import HfApi, snapshot_download
    try:
        names = HfApi().list_repo_files(preset.repository, revision=preset.commit)
        pickled = _PICKLED if any(name.endswith(".safetensors") for name in names) else []
        snapshot_download(preset.repository, revision=preset.commit, cache_dir=cache, ignore_patterns=[*_NEVER, *pickled])
        if preset.adapter == _SINGLE_FILE:
            return
    except Exception as error:  # the client raises errors of three libraries
        reason = " ".join(str(error).split())[:200]
        message = f"cannot fetch {preset.repository} at commit {preset.commit} ({reason}); with network: {_command(preset, cache)}"
        raise SetupError(message) from error
    weights_folder(preset, cache)


def _cached(preset: ModelPreset, cache: Path | None) -> Path | None:
    folder = _cached_files(preset, cache)
    return folder if folder is not None and _is_complete(folder) else None


def _cached_files(preset: ModelPreset, cache: Path | None) -> Path | None:
    """The Hub's snapshot, whole or not."""
    with packages_for(preset):
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    try:
        return Path(snapshot_download(preset.repository, revision=preset.commit, cache_dir=cache, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _command(preset: ModelPreset, cache: Path | None) -> str:
    where = f" --cache-dir {cache}" if cache else ""
    return f"hf download {preset.repository} --revision {preset.commit}{where}"


def _is_complete(folder: Path) -> bool:
    """A download that was cut short leaves a folder: it must hold a config (without one, transformers fills the default model with random
    numbers), some weights, and every shard that an index names."""
    if not any((folder / config).is_file() for config in _CONFIGS):
        return False
    for index in folder.glob("*.safetensors.index.json"):
        shards = set(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}).values())
        if not all((folder / shard).is_file() for shard in shards):
            return False
    return any(file.is_file() and file.suffix in _WEIGHTS for file in folder.iterdir())
