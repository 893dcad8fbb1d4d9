"""Which exports were made of a data set, so that what is removed from it can be taken out of them too."""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.errors import StorageError
from internvid_pipeline.exporters.files import export_file
from internvid_pipeline.exporters.formats import ExportOptions, open_format
from internvid_pipeline.storage import Root, layout


def remember_export(root: Root, kind: str, target: str, fields: dict[str, Any]) -> bool:
    """Notes an export. kind: `file` or `hub`. target: its path or repository; the newest export of it is kept. False where the root cannot
    be written: reading it is all that an export needs."""
    name = hashlib.sha256(f"{kind}\0{target}".encode()).hexdigest()[:16]
    content = {"kind": kind, "target": target, **fields}
    try:
        root.replace_bytes(f"{layout.EXPORT_LOG}/{name}.json", json.dumps(content, indent=1, ensure_ascii=False).encode())
    except StorageError:
        return False
    return True


def remembered_exports(root: Root, kind: str) -> Iterator[dict[str, Any]]:
    """Exports of one kind, as they were noted."""
    for name in root.list_names(layout.EXPORT_LOG):
        content = json.loads(root.read_bytes(f"{layout.EXPORT_LOG}/{name}"))
        if content["kind"] == kind:
            yield content


def refresh_files(
    root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], video_ids: Collection[str]
) -> Iterator[tuple[str, int]]:
    """Writes again the exported files that are still there, and deletes these videos' clips beside them. Yields (path, rows)."""
    for one in remembered_exports(root, "file"):
        path, media = Path(one["target"]), Path(one["media"]) if one["media"] else None
        if media is not None and media.is_dir():
            for file in media.glob("*.mp4"):
                if file.stem.rsplit("_", 2)[0] in video_ids:
                    file.unlink()
        if path.is_file():
            target = open_format(one["format"], ExportOptions(**one["options"]))
            yield str(path), export_file(root, plans, partitions, one["selection"], target, path, None).num_rows
