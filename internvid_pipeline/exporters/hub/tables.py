"""Rows of clips as the Hub's viewer shows them: flat, one type a column, no media."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from internvid_pipeline.exporters.formats import ExportOptions, open_format
from internvid_pipeline.exporters.hub.layout import HubFile, table_path
from internvid_pipeline.exporters.samples import ExportSample
from internvid_pipeline.records import CaptionScale
from internvid_pipeline.storage import file_sha256, write_arrow
from internvid_pipeline.units import timestamp

ROWS_PER_FILE = 100_000

_SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("video_id", pa.string()),
        ("source_uri", pa.string()),
        ("title", pa.string()),
        ("video_language", pa.string()),
        ("licence", pa.string()),
        ("start_timestamp", pa.string()),
        ("end_timestamp", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("duration_s", pa.float64()),
        ("fps", pa.float64()),
        ("width_px", pa.int64()),
        ("height_px", pa.int64()),
        ("motion", pa.float64()),
        ("has_audio", pa.bool_()),
        ("caption", pa.string()),
        *((f"caption_{scale}", pa.string()) for scale in CaptionScale),
        *((name, pa.string()) for name in ("speech", "speech_language", "speech_source", "speech_translation")),
    ]
)
_IDS_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("YoutubeID", "Start_timestamp", "End_timestamp", "Caption")),
        ("Aesthetic_Score", pa.float64()),
        ("UMT_Score", pa.float64()),
    ]
)


def table_files(samples: Iterable[ExportSample], selection: str, scorers: Sequence[str], folder: Path, ids_only: bool) -> Iterator[HubFile]:
    """Writes tables of ROWS_PER_FILE rows into `folder`, each given when it is there. scorers: one column each. Rows that a reader could
    take for a path of this machine are cleaned: of a local file only its name is published."""
    schema = _IDS_SCHEMA if ids_only else pa.schema([*_SCHEMA, *((f"score_{name}", pa.float64()) for name in scorers)])
    rows: Iterator[dict[str, object]] = (
        open_format("internvid-jsonl", ExportOptions()).rows(samples) if ids_only else (_row(sample, scorers) for sample in samples)
    )
    waiting: list[dict[str, object]] = []
    number = 0
    for row in rows:
        waiting.append(row)
        if len(waiting) == ROWS_PER_FILE:
            yield _written(waiting, schema, selection, number, folder)
            waiting, number = [], number + 1
    if waiting or number == 0:
        yield _written(waiting, schema, selection, number, folder)


def _written(rows: list[dict[str, object]], schema: pa.Schema, selection: str, number: int, folder: Path) -> HubFile:
    path = table_path(selection, number)
    staged = folder / path.replace("/", "-")
    write_arrow(pa.Table.from_pylist(rows, schema=schema), staged)
    return HubFile(path, staged.stat().st_size, file_sha256(staged), staged=staged)


def _row(sample: ExportSample, scorers: Sequence[str]) -> dict[str, object]:
    clip, video = sample.clip, sample.video
    uri = video.source_uri
    return {
        "clip_id": clip.clip_id,
        "video_id": clip.video_id,
        "source_uri": uri if uri.startswith(("http://", "https://")) else uri.rsplit("/", 1)[-1],
        "title": video.title,
        "video_language": video.language,
        "licence": video.licence,
        "start_timestamp": timestamp(sample.start_s),
        "end_timestamp": timestamp(sample.end_s),
        "start_s": sample.start_s,
        "end_s": sample.end_s,
        "duration_s": clip.duration_s,
        "fps": clip.fps,
        "width_px": clip.width_px,
        "height_px": clip.height_px,
        "motion": clip.motion,
        "has_audio": clip.has_audio,
        "caption": sample.caption,
        **{f"caption_{scale}": sample.captions.get(scale) for scale in CaptionScale},
        "speech": sample.speech.text if sample.speech else None,
        "speech_language": sample.speech.language if sample.speech else None,
        "speech_source": sample.speech.source if sample.speech else None,
        "speech_translation": sample.speech.translation if sample.speech else None,
        **{f"score_{name}": sample.scores.get(name) for name in scorers},
    }
