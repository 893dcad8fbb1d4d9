"""Turning a partition's results into data: files first, each under a name that was free, the manifest last.

Nothing is ever overwritten. Where a file's name is taken (by a worker that died before its manifest, or by a twin that is at work on
the same partition), the file there is taken over if it holds the same bytes; otherwise ours goes under its content's hash. The
manifest names the files it answers for, so whichever of two writers commits first, the partition is whole.
"""

import hashlib
from pathlib import Path, PurePosixPath

from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage.manifest import StoredFile
from internvid_pipeline.storage.media_tar import file_sha256
from internvid_pipeline.storage.root import Root


def _same_content(root: Root, path: str, size_bytes: int, sha256: str) -> bool:
    if root.size_bytes(path) != size_bytes:
        return False
    digest = hashlib.sha256()
    step = 2**24
    for offset in range(0, size_bytes, step):
        ref = MediaRef(uri=path, offset_bytes=offset, size_bytes=min(step, size_bytes - offset))
        digest.update(root.read_media(ref))
    return digest.hexdigest() == sha256


def store_file(root: Root, staged: Path, path: str, kind: str) -> StoredFile:
    """Stores a finished local file as `path`, or beside it where that name holds other bytes. Returns where it lies.

    Where the store cannot refuse to put a name twice, the content's hash is always in the name: two writers within one instant
    would otherwise exchange the bytes under a manifest."""
    size_bytes, sha256 = staged.stat().st_size, file_sha256(staged)
    if root.is_conditional and (root.put_if_absent(staged, path) or _same_content(root, path, size_bytes, sha256)):
        return StoredFile(kind, path, size_bytes, sha256)
    name = PurePosixPath(path)
    stem, _, suffixes = name.name.partition(".")
    other = str(name.with_name(f"{stem}.{sha256[:12]}.{suffixes}"))
    root.put_if_absent(staged, other)  # if that is taken too, then by these very bytes, which its name says
    return StoredFile(kind, other, size_bytes, sha256)
