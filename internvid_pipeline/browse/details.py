"""Everything known of one clip or one lost item, read from its tables when it is shown; and results of other fingerprints."""

import functools
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.config import changed_fields
from internvid_pipeline.engine import StagePlan
from internvid_pipeline.errors import StorageError
from internvid_pipeline.records import CaptionRecord, ClipRecord, ScoreRecord, SelectionRecord, VideoRecord
from internvid_pipeline.report.frames import PictureFinder, is_inside
from internvid_pipeline.report.reading import LOSSES, SetReader, record_type
from internvid_pipeline.storage import layout
from internvid_pipeline.storage.inventory import list_folders

_MOST_CHANGES = 6
_MOST_VALUE = 80
_HIDDEN = ("media", "frames", "source_uri", "info_json", "clip_requests", "subtitles")


class Details:
    """Reads single items. Safe for several threads."""

    def __init__(self, reader: SetReader, finder: PictureFinder) -> None:
        self._reader, self._finder = reader, finder

    def clip(self, partition: int, clip_id: str, video_id: str) -> dict[str, Any]:
        """Clip, video, captions of every fingerprint, scores, speech with its times, selections, what was said of it when it was lost."""
        clip = self._rows(ClipRecord, partition, "clip_id", clip_id)
        video = self._rows(VideoRecord, partition, "video_id", video_id)
        speech = record_type("SpeechRecord")
        return {
            "clip": _shown(clip[-1]) if clip else {},
            "num_frames": len(clip[-1]["frames"]) if clip else 0,
            "plays": bool(clip) and not clip[-1]["media"]["uri"].startswith("/"),
            "video": _shown(video[-1]) if video else {},
            "captions": self.versions(CaptionRecord, partition, clip_id),
            "scores": self.versions(ScoreRecord, partition, clip_id),
            "speech": self._rows(speech, partition, "clip_id", clip_id) if speech and self._reader.folders(speech) else [],
            "selections": self._rows(SelectionRecord, partition, "clip_id", clip_id),
            "losses": self._losses(partition, clip_id),
        }

    def _rows(self, kind: type, partition: int, column: str, value: str) -> list[dict[str, Any]]:
        return _equal(self._table(self._reader.folders(kind), kind, partition), column, value)

    @functools.lru_cache(maxsize=64)  # noqa: B019 - lives as long as its command
    def _table(self, folders: tuple[str, ...], kind: type, partition: int) -> pa.Table:
        return self._reader.table_of(folders, kind, partition)

    def versions(self, kind: type, partition: int, clip_id: str) -> list[dict[str, Any]]:
        """Rows of a clip under every fingerprint that has them, the config's own first."""
        found = []
        for version in self.fingerprints(kind):
            folder = layout.stage_folder(version["stage"], version["fingerprint"])
            try:
                rows = _equal(self._table((folder,), kind, partition), "clip_id", clip_id)
            except (StorageError, FileNotFoundError) as error:  # of an older schema: said, and the others are shown
                found.append({**version, "rows": [], "error": str(error)[:300]})
                continue
            if rows or version["is_current"]:
                kept = [{name: value for name, value in row.items() if name not in ("clip_id", "video_id")} for row in rows]
                found.append({**version, "rows": kept})
        return found

    @functools.lru_cache(maxsize=16)  # noqa: B019
    def fingerprints(self, kind: type) -> tuple[dict[str, Any], ...]:
        """Results of the stages that write such rows: stage, fingerprint, is_current, changes (fields that differ from the config's)."""
        current = set(self._reader.folders(kind))
        found = []
        for plan in self._reader.plans:
            if plan.folder in current:
                names = list_folders(self._reader.root, plan.name)
                others = [name for name in names if name != plan.fingerprint]
                others = [name for name in others if self._reader.done(layout.stage_folder(plan.name, name))]
                for fingerprint in [plan.fingerprint, *others]:
                    changes = [] if fingerprint == plan.fingerprint else self._changes(plan, fingerprint)
                    version = {"stage": plan.name, "fingerprint": fingerprint, "is_current": fingerprint == plan.fingerprint}
                    found.append({**version, "changes": changes})
        return tuple(found)

    def _changes(self, plan: StagePlan, fingerprint: str) -> list[str]:
        path = layout.fingerprint_file(layout.stage_folder(plan.name, fingerprint))
        try:
            made_from = json.loads(self._reader.root.read_bytes(path))
        except (FileNotFoundError, ValueError):
            return []
        changed = changed_fields(made_from, dict(plan.made_from))
        return [f"{name}: {_short(old)} → {_short(new)}" for name, old, new in changed[:_MOST_CHANGES]]

    def _losses(self, partition: int, item: str) -> list[dict[str, Any]]:
        """Losses of an item or of its part in a selection or a scale."""
        found = []
        for plan in self._reader.plans:
            for kind, kind_type in LOSSES:
                table = self._reader.losses(plan, partition, kind, kind_type)
                same = pc.or_(pc.equal(table["item_id"], item), pc.starts_with(table["item_id"], f"{item}/"))
                found += [{"kind": "dropped" if kind == "drops" else "failed", **row} for row in table.filter(same).to_pylist()]
        return found

    def lost(self, partition: int, item_id: str, part_of: str | None) -> dict[str, Any]:
        """A lost item: what the stages said, and what there is to see of it."""
        pictures = self._finder.find(partition, item_id, part_of)
        video_id = part_of or item_id
        media = pictures.clip or pictures.video if pictures else None
        return {
            "losses": self._losses(partition, item_id),
            "video": next((_shown(row) for row in self._rows(VideoRecord, partition, "video_id", video_id)), {}),
            "num_frames": len(pictures.frames) if pictures else 0,
            "plays": media is not None and is_inside(media),
            "is_clip": bool(pictures and pictures.clip),
            "start_s": pictures.start_s if pictures and not pictures.clip else None,
            "end_s": pictures.end_s if pictures and not pictures.clip else None,
        }


def _equal(table: pa.Table, column: str, value: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.filter(pc.equal(table[column], value)).to_pylist()
    return found


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what is of no use to people, and without paths of the machine that made it."""
    return {name: value for name, value in row.items() if name not in _HIDDEN}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_VALUE else f"{text[: _MOST_VALUE - 1]}…"
