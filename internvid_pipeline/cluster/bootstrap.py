"""First command of every job on a cluster: is there what the library needs to start at all? Only the standard library is imported, and
nothing here is newer than Python 3.7, so that an older one can say that it is too old.

`python -m internvid_pipeline.cluster.bootstrap` prints nothing where all is well; else one line, and exit status 3.
"""

import importlib.util
import sys

OLDEST_PYTHON = (3, 11)
CORE_PACKAGES = (
    "ray", "typer", "rich", "pydantic", "yaml", "fsspec", "psutil", "numpy", "pyarrow", "av", "scenedetect", "ffmpeg", "imageio_ffmpeg",
    "PIL", "webdataset",
)  # fmt: skip


def is_missing(package: str) -> bool:
    """True where `import package` would find nothing. Imports nothing."""
    try:
        return importlib.util.find_spec(package) is None
    except (ImportError, ValueError):
        return True


def complaint() -> str:
    """What is missing, in one line; empty where all is well."""
    if sys.version_info < OLDEST_PYTHON:
        found, wanted = (".".join(str(part) for part in version[:2]) for version in (sys.version_info, OLDEST_PYTHON))
        return "the cluster has Python {} and {} or newer is needed; start it from another image".format(found, wanted)  # noqa: UP032
    missing = [package for package in CORE_PACKAGES if is_missing(package)]
    if missing:
        return "the head of the cluster lacks {}; install internvid-pipeline[ray] there, or launch with --pip".format(", ".join(missing))
    return ""


if __name__ == "__main__":
    line = complaint()
    if line:
        sys.stderr.write("internvid: " + line + "\n")
        sys.exit(3)
