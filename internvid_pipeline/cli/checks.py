"""What `internvid doctor` looks at. A check is `ok`, `optional` (something some configs need is not there) or `missing`."""

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from internvid_pipeline import __version__
from internvid_pipeline.config.presets import load_preset, preset_names
from internvid_pipeline.errors import InternvidError
from internvid_pipeline.storage import scratch_base
from internvid_pipeline.units import size_text

_CORE = ("av", "scenedetect-headless", "ffmpeg-python", "pyarrow", "webdataset", "pydantic", "fsspec")
_OPTIONAL = (
    ("ray", "ray", "running on several cores or machines (--engine inline works without)"),
    ("torch", "models", "real captions and scores"),
    ("transformers", "models", "BLIP-2 and the summariser"),
    ("open_clip_torch", "models", "alignment scores"),
    ("faster-whisper", "speech", "what is said in the videos"),
    ("lingua-language-detector", "speech", "the language of texts"),
    ("yt-dlp", "download", "videos from the web"),
    ("s3fs", "s3", "a root on s3://"),
    ("faiss-cpu", "dedupe", "near and semantic doubles (deduplicate_clips)"),
    ("huggingface_hub", "hf", "weights from the Hub"),
    ("matplotlib", "report", "internvid report"),
    ("starlette", "browse", "internvid browse"),
)
_OLD_DAYS = 60
_LOW_DISK_BYTES = 5 * 10**9


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. state: `ok`, `optional` or `missing`. advice: what to do, empty where nothing is wrong."""

    name: str
    state: str
    found: str
    advice: str = ""


def run_checks(folder: str) -> list[Check]:
    """All checks, in the order of the report."""
    return [*_basics(), *_packages(), *_downloading(), _ffmpeg(), _gpu(), *_weights(), *_disks(folder)]


def _basics() -> Iterator[Check]:
    yield Check("internvid", "ok", __version__)
    yield Check("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Check("cpus", "ok", str(os.cpu_count()))


def _packages() -> Iterator[Check]:
    for name in _CORE:
        version = _version(name)
        yield (
            Check(name, "ok", version)
            if version
            else Check(name, "missing", "not installed", "pip install --force-reinstall internvid-pipeline")
        )
    for name, extra, use in _OPTIONAL:
        version = _version(name)
        yield (
            Check(name, "ok", version)
            if version
            else Check(name, "optional", "not installed", f"for {use}: pip install 'internvid-pipeline[{extra}]'")
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _downloading() -> Iterator[Check]:
    """Sites change every few weeks, and yt-dlp after them; its version is the day of its release."""
    version = _version("yt-dlp")
    if version is None:
        return
    try:
        released = datetime.date(*(int(part) for part in version.split(".")[:3]))
    except (ValueError, TypeError):
        yield Check("yt-dlp's age", "optional", f"unknown, version {version}", "pip install -U yt-dlp yt-dlp-ejs")
    else:
        days = (datetime.date.today() - released).days
        advice = f"sites may have changed since; pip install -U yt-dlp yt-dlp-ejs (older than {_OLD_DAYS} days)" if days > _OLD_DAYS else ""
        yield Check("yt-dlp's age", "optional" if advice else "ok", f"{days} days", advice)
    yield _script_runtime()


def _script_runtime() -> Check:
    """YouTube's players are scripts, which yt-dlp runs in one of these (with the package yt-dlp-ejs)."""
    found = [f"{name} ({path})" for name in ("deno", "node", "bun", "qjs") if (path := shutil.which(name))]
    if not found:
        return Check("JavaScript", "optional", "no runtime", "YouTube needs one: pip install deno, or node 22 or newer")
    if _version("yt-dlp-ejs") is None:
        return Check("JavaScript", "optional", found[0], "YouTube needs yt-dlp-ejs besides: pip install yt-dlp-ejs")
    return Check("JavaScript", "ok", found[0])


def _ffmpeg() -> Check:
    from internvid_pipeline.media.ffmpeg import ffmpeg_path, ffmpeg_version

    try:
        return Check("ffmpeg", "ok", f"{ffmpeg_version()} ({ffmpeg_path()})")
    except InternvidError as error:
        return Check("ffmpeg", "optional", "not found", str(error))


def _gpu() -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("gpu", "optional", "unknown without torch")
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", "optional", "none", "real models run on the CPU, slowly; stand-ins need none")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Check("gpu", "ok", ", ".join(names))


def _weights() -> Iterator[Check]:
    """Of the models that the shipped configs name, those whose weights are on this machine."""
    if _version("huggingface_hub") is None:
        return
    from internvid_pipeline.models.weights import weights_folder

    for name in preset_names():
        preset = load_preset(name)
        if not preset.is_stand_in and not preset.brings_no_files:
            try:
                yield Check(f"weights of {name}", "ok", str(weights_folder(preset)))
            except InternvidError as error:
                yield Check(f"weights of {name}", "optional", "not here", f"a run fetches them once per node; beforehand: {error}")


def _disks(folder: str) -> Iterator[Check]:
    for name, place in (("disk", Path(folder).absolute()), ("scratch (TMPDIR)", scratch_base())):
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        free = shutil.disk_usage(there).free
        advice = (
            f"less than {size_text(_LOW_DISK_BYTES)}: clips and frames take about as much as the videos" if free < _LOW_DISK_BYTES else ""
        )
        yield Check(name, "optional" if advice else "ok", f"{size_text(free)} free at {there}", advice)
