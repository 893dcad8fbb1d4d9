"""What names videos and is no result of a stage: marks, reports, inputs that were left out, the config, files of this machine."""

from typing import Any

import pyarrow.compute as pc

from internvid_pipeline.config import from_yaml, to_yaml
from internvid_pipeline.removal.targets import Targets
from internvid_pipeline.storage import RemovalJournal, Root, layout, parquet_bytes, read_arrow
from internvid_pipeline.storage.inventory import list_files, list_folders
from internvid_pipeline.web.downloads import downloads_folder, forget_downloads
from internvid_pipeline.web.excluded import video_id_of_address

_LISTS = ("ids", "urls", "queries", "channels")
_REPORT = "report"


def clean_views(root: Root, targets: Targets, journal: RemovalJournal) -> None:
    """Adds to the journal what is to be done with them. Raises StorageError."""
    paths = [f"{layout.marks_folder(name)}/{file}" for name in root.list_names(layout.MARKS) for file in _marks(root, name)]
    for path in [*paths, *([layout.EXCLUDED] if root.exists(layout.EXCLUDED) else [])]:
        table = read_arrow(root, path)
        kept = table.filter(pc.invert(targets.mask(table)))
        if kept.num_rows < table.num_rows:
            journal.replace[path] = parquet_bytes(kept)
    folders = [_REPORT, *(f"{_REPORT}/{name}" for name in list_folders(root, _REPORT))]
    journal.delete += [file.path for folder in folders for file in list_files(root, folder)]  # it holds pictures: written anew by `report`
    _clean_config(root, targets, journal)


def forget_on_this_machine(root: Root, targets: Targets) -> None:
    """Deletes downloads under way, and what killed processes left. Other machines' go within a week, or with their next run."""
    root.clean_staging()
    forget_downloads(downloads_folder(root.uri), targets.source_ids)


def _marks(root: Root, annotator: str) -> list[str]:
    return [name for name in root.list_names(layout.marks_folder(annotator)) if name.endswith(".parquet")]


def _clean_config(root: Root, targets: Targets, journal: RemovalJournal) -> None:
    """Lists that stand in the config itself; what the user's own files say is not ours."""
    try:
        data: dict[str, Any] = from_yaml(root.read_bytes(layout.DATASET_FILE).decode())
    except FileNotFoundError:
        return
    source = data.get("source", {})
    before = {name: source[name] for name in (*_LISTS, "path") if name in source}
    for name, value in before.items():
        if isinstance(value, list):
            source[name] = [entry for entry in value if not _names(targets, str(entry))]
        elif value in targets.uris:
            source[name] = ""
    if any(source[name] != value for name, value in before.items()):
        journal.replace[layout.DATASET_FILE] = to_yaml(data).encode()


def _names(targets: Targets, entry: str) -> bool:
    own = entry in targets.names or entry in targets.external_ids or targets.owns(entry)
    return own or video_id_of_address(entry) in targets.video_ids
