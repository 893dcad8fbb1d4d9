"""Which inputs are left out because their ids stand in files of the user's (`source.exclude_ids`)."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import DropReason, DropRecord, SourceRecord
from internvid_pipeline.web.id_set import IdSet, build_id_set, read_ids
from internvid_pipeline.web.list_files import kept, local_list

_YOUTUBE = re.compile(
    r"https?://(?:[\w-]+\.)*(?:youtu\.be/|youtube\.com/(?:watch\?(?:[^#]*&)?v=|shorts/|embed/|live/))([\w-]{11})(?![\w-])"
)


def open_id_set(files: Sequence[str]) -> IdSet:
    """The ids of these files. The set is made once and kept on this machine, below the system's temporary folder, until a file changes or
    nobody asked for it in a week. Raises UsageError."""
    paths = [local_list(file) if "://" in file else Path(file).expanduser().absolute() for file in files]
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise UsageError(f"source.exclude_ids: {path} cannot be read: {error.strerror}") from error
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return IdSet(kept("excluded", digest.hexdigest(), lambda target: build_id_set(read_ids(paths), target), "excluded.ids"))


def site_id(extractor: str | None, external_id: str | None, uri: str) -> tuple[str | None, str] | None:
    """Site and id of an input: as they are known, or as an address of YouTube shows them; None where neither tells."""
    if external_id is not None:
        return extractor, external_id
    match = _YOUTUBE.match(uri)
    return ("Youtube", match[1]) if match else None


def excluded(records: Iterable[SourceRecord], ids: IdSet) -> Iterator[SourceRecord | DropRecord]:
    """The same records, those whose id stands in `ids` as drops."""
    for record in records:
        known = site_id(record.extractor, record.external_id, record.uri)
        if known is not None and ids.holds(*known):
            message = f"{known[1]} stands in a file of source.exclude_ids"
            yield DropRecord(stage="collect_videos", item_id=record.uri, part_of=None, reason=DropReason.EXCLUDED, message=message)
        else:
            yield record
