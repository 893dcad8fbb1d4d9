"""The clips of a selection with everything known of them, streamed partition by partition."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.errors import UsageError
from internvid_pipeline.records import CaptionRecord, ClipRecord, ScoreRecord, SelectionRecord, SpeechRecord, VideoRecord
from internvid_pipeline.storage import Root, done_partitions

_TABLES = (SelectionRecord, ClipRecord, VideoRecord, CaptionRecord, ScoreRecord, SpeechRecord)


@dataclass(frozen=True)
class ExportSample:
    """A clip that a selection keeps. caption: the selection's choice among `captions` (text by scale; `speech`: what is said, in
    English where it is known, else as it is said). scores: the highest value by scorer. speech: None where nothing is said."""

    clip: ClipRecord
    video: VideoRecord
    caption: str
    captions: dict[str, str]
    scores: dict[str, float]
    speech: SpeechRecord | None = None

    @property
    def file_name(self) -> str:
        """Name of the clip's file in shards and folders."""
        return f"{self.clip.clip_id}.mp4"

    @property
    def start_s(self) -> float:
        """Since the video's first frame, as players and published lists count; a container's clock may start elsewhere."""
        return max(0.0, self.clip.start_s - self.video.start_s)

    @property
    def end_s(self) -> float:
        """See start_s."""
        return max(0.0, self.clip.end_s - self.video.start_s)


def selection_names(plans: Sequence[StagePlan]) -> tuple[str, ...]:
    """Selections of a plan, in the config's order. Raises UsageError where no stage selects."""
    for plan in plans:
        if plan.build().writes is SelectionRecord:
            return tuple(plan.fields["selections"])
    raise UsageError("the config has no stage that selects clips; add select_clips")


def chosen_selection(plans: Sequence[StagePlan], name: str | None) -> str:
    """The asked selection, else the only one, else `default`. Raises UsageError where that is none."""
    names = selection_names(plans)
    chosen = name or (names[0] if len(names) == 1 else "default")
    if chosen not in names:
        raise UsageError(f"no selection {chosen!r}; there are {', '.join(names)}; say which with --selection")
    return chosen


def read_samples(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], selection: str) -> Iterator[ExportSample]:
    """In the order of the clips table, one partition in memory at a time. Raises UsageError for an unknown selection and where the
    selection is not done in all partitions (an export of a part would look whole)."""
    chosen_selection(plans, selection)
    folders: dict[type, list[str]] = {kind: _folders(plans, kind) for kind in _TABLES}
    missing = set(partitions) - done_partitions(root, folders[SelectionRecord][-1])
    if missing:
        raise UsageError(f"select_clips is not done in {len(missing)} of {len(partitions)} partitions; run the config to its end first")
    for partition in partitions:
        yield from _of_partition(root, folders, partition, selection)


def _folders(plans: Sequence[StagePlan], kind: type) -> list[str]:
    return [plan.folder for plan in plans if plan.build().writes is kind]


def _of_partition(root: Root, folders: dict[type, list[str]], partition: int, selection: str) -> Iterator[ExportSample]:
    def rows(kind: type) -> list[Any]:
        return [row for folder in folders[kind] for row in read_rows(root, folder, partition, kind)]

    chosen = {row.clip_id: row for row in rows(SelectionRecord) if row.selection == selection}
    if not chosen:
        return
    videos = {row.video_id: row for row in rows(VideoRecord)}
    captions: dict[str, dict[str, str]] = {}
    for caption in rows(CaptionRecord):
        captions.setdefault(caption.clip_id, {})[caption.scale] = caption.text
    scores: dict[str, dict[str, float]] = {}
    for score in rows(ScoreRecord):
        own = scores.setdefault(score.clip_id, {})
        own[score.scorer] = max(score.value, own.get(score.scorer, score.value))
    last = folders[SpeechRecord][-1:]  # each stage of speech takes the place of the one before
    speech = {row.clip_id: row for folder in last for row in read_rows(root, folder, partition, SpeechRecord)}
    clips = read_rows(root, folders[ClipRecord][-1], partition, ClipRecord)
    for clip in clips:
        if clip.clip_id in chosen:
            own_captions, said = captions.get(clip.clip_id, {}), speech.get(clip.clip_id)
            if said is not None:
                own_captions["speech"] = said.english or said.text
            own_scores = scores.get(clip.clip_id, {})
            yield ExportSample(clip, videos[clip.video_id], chosen[clip.clip_id].caption, own_captions, own_scores, said)
