"""Clips to look at: one for each bin of the measures, and some for each reason for which items were lost."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from internvid_pipeline.errors import StorageError
from internvid_pipeline.exporters.hub.statistics import DURATION_EDGES_S, bucket_names
from internvid_pipeline.report.figures import best_scores, even_edges
from internvid_pipeline.report.frames import PictureFinder, evenly
from internvid_pipeline.report.sample import Sample, numbers_of

_FRAMES = 4
_FRAME_HEIGHT_PX = 90
_JPEG_QUALITY = 72
_MOST_FRAME_BYTES = 8 * 10**6
_MOST_SIDE_PX = 8192
_BINS = 5
_PER_REASON = 2
_MOST_REASONS = 60
_MOST_TEXT = 300


@dataclass(frozen=True)
class Example:
    """label: what it stands for. item_id, text: a clip and its caption, or a lost item and the message. strip: JPEG of up to four frames
    side by side, None where nothing was kept of it."""

    label: str
    item_id: str
    text: str
    strip: bytes | None


@dataclass(frozen=True)
class ExampleGroup:
    """Examples under one heading."""

    title: str
    examples: tuple[Example, ...]


def all_examples(sample: Sample, finder: PictureFinder) -> list[ExampleGroup]:
    """Groups for clip length, motion and every score, and for each stage the reasons. The same set gives the same examples."""
    measures = [
        ("length of the clip", sample.clips.select(["clip_id", "duration_s"]).rename_columns(["clip_id", "value"]), DURATION_EDGES_S, "s"),
        ("motion", sample.clips.select(["clip_id", "motion"]).rename_columns(["clip_id", "value"]), None, ""),
        *((f"score {name}", table, None, "") for name, table in best_scores(sample).items()),
    ]
    found = [(title, unit, list(_per_bin(table, edges, unit))) for title, table, edges, unit in measures]
    wanted = pa.array(sorted({clip_id for _, _, rows in found for _, clip_id, _ in rows}), pa.string())
    texts = _captions(sample, wanted)
    own = sample.clips.filter(pc.is_in(sample.clips["clip_id"], value_set=wanted))
    places = dict(zip(own["clip_id"].to_pylist(), own["partition"].to_pylist(), strict=True))
    groups = []
    for title, unit, rows in found:
        examples = []
        for label, clip_id, value in rows:
            words = f"{label} ({value:.3g}{' ' + unit if unit else ''})"
            examples.append(Example(words, clip_id, texts.get(clip_id, ""), _strip(finder, places.get(clip_id), clip_id, None)))
        if examples:
            groups.append(ExampleGroup(f"By {title}", tuple(examples)))
    return [*groups, *_lost(sample, finder)]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _captions(sample: Sample, wanted: pa.Array) -> dict[str, str]:
    """Of some clips the caption chosen for the shards, else any."""
    found: dict[str, str] = {}
    for table, column in ((sample.captions, "text"), (sample.selections, "caption")):
        own = table.filter(pc.is_in(table["clip_id"], value_set=wanted))
        found.update(zip(own["clip_id"].to_pylist(), own[column].to_pylist(), strict=True))
    return {clip_id: text[:_MOST_TEXT] for clip_id, text in found.items()}


def _per_bin(table: pa.Table, edges: tuple[float, ...] | None, unit: str) -> Iterator[tuple[str, str, float]]:
    """(label, clip, value): in each bin the clip whose id has the smallest hash."""
    table = table.filter(pc.is_finite(table["value"]))
    values = numbers_of(table["value"])
    if not len(values):
        return
    if edges is None:
        fine = even_edges(values.tolist())
        step = max(1, -(-(len(fine) - 1) // _BINS))
        bounds = [*fine[:-1:step], fine[-1]]
        labels = [f"{low:g} to {high:g}" for low, high in pairwise(bounds)]
    else:
        bounds, labels = [float("-inf"), *edges, float("inf")], bucket_names(edges, unit)
    for place, (label, (low, high)) in enumerate(zip(labels, pairwise(bounds), strict=True)):
        is_last = place == len(labels) - 1
        below = pc.less_equal(table["value"], high) if is_last else pc.less(table["value"], high)
        inside = table.filter(pc.and_(pc.greater_equal(table["value"], low), below))
        if inside.num_rows:
            rows = zip(inside["clip_id"].to_pylist(), inside["value"].to_pylist(), strict=True)
            clip_id, value = min(rows, key=lambda row: _hash(row[0]))
            yield label, clip_id, value


def _lost(sample: Sample, finder: PictureFinder) -> Iterator[ExampleGroup]:
    counted = sample.losses.group_by(["stage", "kind", "name"], use_threads=False).aggregate([("item_id", "count")]).to_pylist()
    order = {stage: place for place, stage in enumerate(finder.stages)}
    for row in sorted(counted, key=lambda row: (order[row["stage"]], row["kind"], -row["item_id_count"], row["name"]))[:_MOST_REASONS]:
        of_it = pc.and_(pc.equal(sample.losses["stage"], row["stage"]), pc.equal(sample.losses["name"], row["name"]))
        losses = sample.losses.filter(pc.and_(of_it, pc.equal(sample.losses["kind"], row["kind"])))
        items = losses["item_id"].to_pylist()
        first = sorted(range(len(items)), key=lambda place: _hash(items[place]))[:_PER_REASON]
        chosen = losses.take(pa.array(first, pa.int64())).to_pylist()
        examples = [
            Example(
                "part of an input" if loss["part_of"] is not None else "whole input",
                loss["item_id"].rsplit("/", 1)[-1] if loss["item_id"].startswith("/") else loss["item_id"],
                loss["message"][:_MOST_TEXT],
                _strip(finder, loss["partition"], loss["item_id"], loss["part_of"]),
            )
            for loss in chosen
        ]
        yield ExampleGroup(f"{row['stage']}: {row['kind']}, {row['name']} ({row['item_id_count']:,})", tuple(examples))


def _strip(finder: PictureFinder, partition: int | None, item_id: str, part_of: str | None) -> bytes | None:
    """None also where media that a row points at cannot be had: the table is still worth showing."""
    try:
        found = finder.find(partition, item_id, part_of) if partition is not None else None
        frames = [finder.read(frame.media, _MOST_FRAME_BYTES) for frame in evenly(found.frames, _FRAMES)] if found else []
    except (StorageError, FileNotFoundError):
        return None
    return film_strip(frames) if frames else None


def film_strip(frames: Iterable[bytes]) -> bytes | None:
    """JPEGs side by side, 90 pixels high; None where one is no JPEG of a fair size."""
    from PIL import Image, UnidentifiedImageError

    pictures = []
    for data in frames:
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP", "PNG")) as image:
                if max(image.size) > _MOST_SIDE_PX:
                    return None
                image.draft("RGB", (4 * _FRAME_HEIGHT_PX, _FRAME_HEIGHT_PX))
                width = max(1, min(4 * _FRAME_HEIGHT_PX, round(image.width * _FRAME_HEIGHT_PX / image.height)))
                pictures.append(image.convert("RGB").resize((width, _FRAME_HEIGHT_PX)))
        except (UnidentifiedImageError, OSError, ValueError):
            return None
    strip = Image.new("RGB", (sum(picture.width + 2 for picture in pictures) - 2, _FRAME_HEIGHT_PX), "white")
    left = 0
    for picture in pictures:
        strip.paste(picture, (left, 0))
        left += picture.width + 2
    buffer = io.BytesIO()
    strip.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return buffer.getvalue()
