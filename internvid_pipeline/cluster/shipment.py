"""What is sent to a cluster with a job: our packages and those of a user's own stages as source, and the resolved config, in one zip."""

import importlib.util
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline.config import DatasetConfig, to_yaml
from internvid_pipeline.config.presets import configs_dir
from internvid_pipeline.errors import UsageError
from internvid_pipeline.registry import resolved
from internvid_pipeline.units import size_text

CONFIG_FILE = "config.yaml"
_OWN = ("internvid_pipeline", "stages")
_MOST_BYTES = 50 * 10**6  # Ray keeps it in the head's memory
_LEFT_OUT = {"__pycache__", ".git", ".venv", "node_modules"}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # no times in it: equal content is one package to Ray, and is not sent twice


def job_config(config: DatasetConfig) -> dict[str, Any]:
    """The config as the job gets it: every default and preset filled in, local paths made absolute, Ray found by the job itself."""
    data = resolved(config)
    data["root"] = _absolute(config.root)
    data["source"]["path"] = _absolute(config.source.path)
    data["placement"]["ray_address"] = "auto"
    return data


def _absolute(place: str) -> str:
    if not place or "://" in place:
        return place
    return str(Path(place).expanduser().absolute())


def local_places(data: dict[str, Any]) -> list[str]:
    """Paths of a job's config that lie in a file system and not in an object store; each node must see them."""
    return [place for place in (data["root"], data["source"]["path"]) if place and "://" not in place]


def own_packages(config: DatasetConfig, more: Sequence[str]) -> list[str]:
    """Top-level packages to send: ours, those of stages named `module:Class`, and `more`."""
    named = [key.partition(":")[0].partition(".")[0] for key in config.stages if ":" in key]
    return list(dict.fromkeys([*_OWN, *named, *more]))


def collect_files(config: dict[str, Any], packages: Sequence[str]) -> dict[str, bytes]:
    """What is sent, by name: `<package>/…`, and `config.yaml`. Raises UsageError for a package that is not here, or too much."""
    files = {name: path.read_bytes() for package in packages for name, path in _files(package)}
    for path in sorted(configs_dir().rglob("*.yaml")):  # beside the package in a checkout, inside it in a wheel
        files[f"internvid_pipeline/configs/{path.relative_to(configs_dir()).as_posix()}"] = path.read_bytes()
    total = sum(len(data) for data in files.values())
    if total > _MOST_BYTES:
        raise UsageError(
            f"the packages {', '.join(packages)} hold {size_text(total)} and at most {size_text(_MOST_BYTES)} are sent with a job; "
            "install the large ones on the cluster"
        )
    return {**files, CONFIG_FILE: to_yaml(config).encode()}


def write_zip(files: Mapping[str, bytes], target: Path) -> None:
    """The files as one zip at a temporary place."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def _files(package: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise UsageError(f"the package {package!r} is to be sent and is not on the Python path here")
    if not spec.submodule_search_locations:
        if spec.origin is None or not spec.origin.endswith(".py"):
            raise UsageError(f"{package!r} is not a package of Python source; install it on the cluster")
        yield Path(spec.origin).name, Path(spec.origin)
        return
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder).rglob("*")):
            inner = path.relative_to(folder)
            if path.is_file() and not any(part in _LEFT_OUT or part.startswith(".") for part in inner.parts):
                yield f"{package}/{inner.as_posix()}", path
