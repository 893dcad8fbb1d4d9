"""Keep and reject marks: a table of their own beside the data, one file for each start of the browser, so that each has one writer."""

import datetime
import re
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path

from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import MarkRecord
from internvid_pipeline.storage import Root, layout, owned_scratch, read_table, write_table

VERDICTS = ("keep", "reject", "none")
_ANNOTATOR = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}"


def checked_annotator(name: str) -> str:
    """`name`, if a folder can be called so. Raises UsageError."""
    if not re.fullmatch(_ANNOTATOR, name) or ".." in name:
        raise UsageError(f"{name!r} cannot name who marks: letters, digits, dot, dash and underscore, at most 41")
    return name


def read_marks(root: Root) -> dict[str, MarkRecord]:
    """The latest mark of each clip, of all people; clips whose mark was taken back are not there. Raises StorageError."""
    latest: dict[str, MarkRecord] = {}
    for annotator in root.list_names(layout.MARKS):
        folder = layout.marks_folder(annotator)
        for name in root.list_names(folder):
            for mark in read_table(root, f"{folder}/{name}", MarkRecord) if name.endswith(".parquet") else ():
                if mark.clip_id not in latest or latest[mark.clip_id].marked_at < mark.marked_at:
                    latest[mark.clip_id] = mark
    return {clip_id: mark for clip_id, mark in latest.items() if mark.verdict != "none"}


class Marks:
    """The marks of a data set, and those that are made now. Every mark is stored before `store` returns. Safe for several threads."""

    def __init__(self, root: Root, annotator: str) -> None:
        self._root, self._annotator = root, checked_annotator(annotator)
        self._lock = threading.Lock()
        self._own: list[MarkRecord] = []
        self._all = read_marks(root)
        started = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = f"{layout.marks_folder(self._annotator)}/{started}-{uuid.uuid4().hex[:8]}.parquet"

    @property
    def verdicts(self) -> Mapping[str, str]:
        """`keep` or `reject` by clip."""
        return {clip_id: mark.verdict for clip_id, mark in self._all.items()}

    def verdict(self, clip_id: str) -> str:
        """`keep`, `reject`, or `none`."""
        mark = self._all.get(clip_id)
        return mark.verdict if mark is not None else "none"

    def store(self, clip_id: str, video_id: str, verdict: str) -> None:
        """Marks a clip. Raises UsageError for an unknown verdict, StorageError where the root cannot be written: it is then not marked."""
        if verdict not in VERDICTS:
            raise UsageError(f"{verdict!r} is no verdict; there are {', '.join(VERDICTS)}")
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        mark = MarkRecord(clip_id=clip_id, video_id=video_id, verdict=verdict, annotator=self._annotator, marked_at=now)
        with self._lock:
            own = [*self._own, mark]
            self._root.replace_bytes(self.path, _table_bytes(own))
            self._own = own
            if verdict == "none":
                self._all.pop(clip_id, None)
            else:
                self._all[clip_id] = mark


def _table_bytes(marks: list[MarkRecord]) -> bytes:
    with owned_scratch() as folder:
        staged = Path(folder) / "marks.parquet"
        write_table(marks, MarkRecord, staged)
        return staged.read_bytes()
