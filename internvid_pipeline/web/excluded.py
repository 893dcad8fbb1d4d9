"""Which inputs are left out because their ids stand in files of the user's (`source.exclude_ids`)."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import DropReason, DropRecord, SourceRecord
from internvid_pipeline.web.id_set import IdSet, build_id_set, read_ids
from internvid_pipeline.web.list_files import kept, local_list
from internvid_pipeline.web.metadata import video_id_of

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


def video_id_of_address(uri: str) -> str | None:
    """The id that a video has here, where its address tells it (YouTube's, in any form)."""
    known = site_id(None, None, uri)
    return video_id_of(known[0], known[1]) if known is not None and known[0] is not None else None


def known_names(record: SourceRecord) -> tuple[str, ...]:
    """All names that an input is known by before it is fetched: its address, its id, and the id that its video will have, where the
    address or its site tells that."""
    extractor, external_id = site_id(record.extractor, record.external_id, record.uri) or (None, None)
    if not extractor or not external_id or extractor.lower() == "generic":  # whose ids are base names of files
        return (record.uri, record.source_id)
    return (record.uri, record.source_id, video_id_of(extractor, external_id))


def excluded(records: Iterable[SourceRecord], ids: IdSet) -> Iterator[SourceRecord | DropRecord]:
    """The same records, those whose id stands in `ids` as drops."""
    for record in records:
        known = site_id(record.extractor, record.external_id, record.uri)
        if known is not None and ids.holds(*known):
            message = f"{known[1]} stands in a file of source.exclude_ids"
            yield DropRecord(stage="collect_videos", item_id=record.uri, part_of=None, reason=DropReason.EXCLUDED, message=message)
        else:
            yield record
