"""A removal is prepared beside the data, then carried out in one go that can be repeated: first all new files are stored under new names,
then a journal says which small files take whose place and which files go. A removal that was cut short is finished by the next one, or
by the next run."""

import json
import re
from dataclasses import dataclass, field

from internvid_pipeline.errors import StorageError
from internvid_pipeline.storage import layout
from internvid_pipeline.storage.root import Root

_JOURNAL = re.compile(r"(\d{5,})\.journal")


@dataclass
class RemovalJournal:
    """replace: contents of small files by path (manifests, sources). delete: paths."""

    replace: dict[str, bytes] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)

    def carry_out(self, root: Root) -> None:
        """Writes the journal, does what it says, and deletes it. Raises StorageError; the next call of `finish_removals` goes on."""
        if not self.replace and not self.delete:
            return
        names = root.list_names(layout.REMOVED)
        number = max((int(match[1]) for name in names if (match := _JOURNAL.fullmatch(name))), default=-1) + 1
        folder = f"{layout.REMOVED}/{number:05d}.new"
        staged = {f"{folder}/{position:06d}": path for position, path in enumerate(self.replace)}
        for new, path in staged.items():
            root.replace_bytes(new, self.replace[path])
        content = json.dumps({"replace": staged, "delete": self.delete}).encode()
        journal = f"{layout.REMOVED}/{number:05d}.journal"
        if not root.put_bytes_if_absent(journal, content):
            raise StorageError(f"another removal is at work in {root.uri}; start again when it is done")
        _apply(root, journal)


def finish_removals(root: Root) -> int:
    """Carries out what was cut short. Returns how many removals that were."""
    journals = sorted(name for name in root.list_names(layout.REMOVED) if _JOURNAL.fullmatch(name))
    for name in journals:
        _apply(root, f"{layout.REMOVED}/{name}")
    return len(journals)


def _apply(root: Root, journal: str) -> None:
    content = json.loads(root.read_bytes(journal))
    for new, path in content["replace"].items():
        try:
            root.replace_bytes(path, root.read_bytes(new))
        except FileNotFoundError:
            continue  # done already, by a call that was cut short while it tidied up
    for path in [*content["delete"], *content["replace"]]:
        root.delete(path)
    root.delete(journal)
