"""A scan as a file: Parquet, one row per frame, so that thresholds can be changed, or scores looked at, without decoding again."""

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from internvid_pipeline.errors import StorageError
from internvid_pipeline.media.orientation import Orientation
from internvid_pipeline.media.times import FrameTimes
from internvid_pipeline.media.video_scan import VideoScan

_VERSION = 1
_ABOUT = b"internvid.scan"
_SCORE = "score."  # before the columns that detectors made
_FRAME_COLUMNS = {"pts": pa.int64(), "luma_mean": pa.float32(), "luma_change": pa.float32(), "damaged": pa.bool_()}


def write_scan(scan: VideoScan, path: Path) -> None:
    """Everything but the kept frames, which are rows of a table. Columns: pts, luma_mean, luma_change, damaged, and `score.<column>` for
    each score; what is said of the whole video is JSON in the file's metadata. Raises OSError."""
    damaged = np.zeros(scan.num_frames, dtype=np.bool_)
    damaged[scan.damaged] = True
    columns: dict[str, Any] = {"pts": scan.times.pts, "luma_mean": scan.luma_mean, "luma_change": scan.luma_change, "damaged": damaged}
    columns |= {f"{_SCORE}{name}": scores for name, scores in sorted(scan.scores.items())}
    fields = [pa.field(name, _FRAME_COLUMNS.get(name, pa.float32()), nullable=False) for name in columns]
    table = pa.table(list(columns.values()), schema=pa.schema(fields, metadata={_ABOUT: json.dumps(_about(scan)).encode()}))
    # Times grow evenly, and the bytes of neighbouring floats are alike: both are stored so that zstd sees it.
    encodings = {"pts": "DELTA_BINARY_PACKED"} | {field.name: "BYTE_STREAM_SPLIT" for field in fields if field.type == pa.float32()}
    pq.write_table(table, path, compression="zstd", use_dictionary=False, column_encoding=encodings, write_statistics=False)


def read_scan(source: Path | bytes) -> VideoScan:
    """Exactly what was written. Raises StorageError where it is no such file or contradicts itself."""
    name = source.name if isinstance(source, Path) else "scan file"
    try:
        opened = pq.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        table = opened.read(use_threads=False)
        about = json.loads((table.schema.metadata or {})[_ABOUT])
        if about["version"] != _VERSION:
            raise StorageError(f"{name}: is of version {about['version']}, this program reads {_VERSION}; run scan_videos again")
        return _scan(table, about)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, ZeroDivisionError, RecursionError) as error:
        if isinstance(error, OSError) and not isinstance(error, pa.ArrowException) and error.errno is not None:
            raise
        raise StorageError(f"{name}: is no scan file or is damaged ({type(error).__name__}: {error}); run scan_videos again") from error


def _about(scan: VideoScan) -> dict[str, Any]:
    times, ratio = scan.times, scan.sample_aspect_ratio
    return {
        "version": _VERSION,
        "end_pts": times.end_pts,
        "time_base": [times.time_base.numerator, times.time_base.denominator],
        "repaired": times.repaired,
        "interlaced": scan.interlaced,
        "rotation_deg": scan.orientation.rotation_deg,
        "orientation_filters": scan.orientation.filters,
        "sample_aspect_ratio": [ratio.numerator, ratio.denominator],
        "broken_off": scan.broken_off,
        "detectors": scan.detectors,
        "fast": scan.fast,
    }


def _scan(table: pa.Table, about: dict[str, Any]) -> VideoScan:
    if table.num_rows == 0:
        raise ValueError("it has no frames")
    for name, kind in _FRAME_COLUMNS.items():
        if table.schema.field(name).type != kind:
            raise ValueError(f"column {name} is {table.schema.field(name).type}, not {kind}")
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    pts = columns["pts"]
    if (np.diff(pts) <= 0).any() or about["end_pts"] <= pts[-1]:
        raise ValueError("its times do not increase")
    filters = tuple((str(name), str(argument)) for name, argument in about["orientation_filters"])
    return VideoScan(
        times=FrameTimes(pts, int(about["end_pts"]), Fraction(*about["time_base"]), bool(about["repaired"])),
        scores={
            name.removeprefix(_SCORE): np.asarray(values, dtype=np.float32) for name, values in columns.items() if name.startswith(_SCORE)
        },
        luma_mean=columns["luma_mean"],
        luma_change=columns["luma_change"],
        damaged=np.flatnonzero(columns["damaged"]).astype(np.int64),
        interlaced=bool(about["interlaced"]),
        orientation=Orientation(int(about["rotation_deg"]), filters),
        sample_aspect_ratio=Fraction(*about["sample_aspect_ratio"]),
        broken_off=None if about["broken_off"] is None else str(about["broken_off"]),
        detectors=tuple(str(name) for name in about["detectors"]),
        fast=bool(about["fast"]),
    )
