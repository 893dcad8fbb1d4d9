"""Copies of what lies in an object store or behind an address, on the local disk of a node: whole or not there."""

import hashlib
import os
import shutil
import uuid
from pathlib import Path, PurePosixPath

import fsspec

from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage.retry import retried
from internvid_pipeline.storage.secrets import redacted


def fetched_place(uri: str, label: str, cache: Path) -> Path:
    """Where a copy of `uri` lies in `cache`, whether or not it is there. label: changes with the content (a version, a commit)."""
    name = PurePosixPath(uri.rstrip("/")).name[:60] or "files"
    digest = hashlib.sha256(f"{uri} {label}".encode()).hexdigest()
    return cache / f"{digest[:16]}-{name}"


def fetch_once(uri: str, label: str, cache: Path) -> Path:
    """The local copy of a folder (or, where `uri` names one, of a file), fetched where it is not there. It is put together beside its place
    and moved there when it is whole, so that what is there can be taken as it is, also from a cache that is read-only.

    Raises StorageError where it cannot be fetched or written.
    """
    place = fetched_place(uri, label, cache)
    if place.exists():
        return place
    staged = cache / f".{place.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        staged.mkdir(parents=True)
        _copy(uri, staged)
        source = staged / "file" if (staged / "file").is_file() else staged
        try:
            source.rename(place)
        except OSError:
            if not place.exists():  # else another worker was first
                raise
    except ImportError as error:
        raise StorageError(f"cannot open {uri}: {error}; install the driver, for s3:// `pip install 'internvid-pipeline[s3]'`") from error
    except Exception as error:  # drivers raise what they like
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise StorageError(redacted(f"cannot fetch {uri} into {cache}: {reason}")) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return place


def _copy(uri: str, staged: Path) -> None:
    """All files below `uri` into a folder, or the file itself as `file`."""
    filesystem, base = fsspec.core.url_to_fs(uri)
    if uri.startswith(("http://", "https://")) or retried(lambda: filesystem.isfile(base)):
        retried(lambda: filesystem.get_file(base, str(staged / "file")))
        return
    paths = retried(lambda: filesystem.find(base))
    if not paths:
        raise FileNotFoundError(2, "there is nothing")
    for path in paths:
        target = staged / PurePosixPath(path).relative_to(PurePosixPath(base))
        if ".." in target.parts or (target.name == "file" and target.parent == staged):
            raise ValueError(f"refuses the name {path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        retried(lambda path=path, target=target: filesystem.get_file(path, str(target)))  # type: ignore[misc]
