"""From `source.path` to the list of inputs: a folder, a glob, one file, a list file, or the same at an fsspec URI."""

import csv
import glob
import io
import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.errors import UsageError
from internvid_pipeline.storage import check_no_credentials, local_path, redacted

_PATH_COLUMNS = ("path", "file", "video", "uri", "url", "source_uri")
_LISTS = (".txt", ".csv", ".jsonl", ".parquet")


@dataclass(frozen=True, slots=True)
class Input:
    """One input as the source names it. uri: absolute path or URL. size_bytes: None where it could not be looked at."""

    uri: str
    size_bytes: int | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def list_inputs(source: SourceConfig, exclude: Path | None = None) -> list[Input]:
    """The inputs of `source.path` in a fixed order, each uri once. `exclude` (the data set's own root) is not searched.
    Raises UsageError."""
    path = source.path
    if not path:
        raise UsageError(
            "source.path is empty; give a folder, a glob, a video or a list file (source.path=videos/), or source.ids, urls, queries or "
            "channels"
        )
    check_no_credentials("source.path", path)
    is_remote = "://" in path and not path.startswith("file://")
    found = _remote(path, source) if is_remote else _local(path, source, exclude)
    unique: dict[str, Input] = {}
    for entry in found:
        unique.setdefault(entry.uri, entry)
    inputs = list(unique.values())
    if not inputs:
        raise UsageError(f"no videos in {path!r}; looked for files ending in {', '.join(source.extensions)} (source.extensions)")
    return inputs


def _local(path: str, source: SourceConfig, exclude: Path | None) -> Iterator[Input]:
    try:
        place = local_path(path) or Path(path).expanduser()
        is_folder, is_file = place.is_dir(), place.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, no permission; `~nobody`
        raise UsageError(f"source.path {path!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if is_folder:
        yield from _folder(place.absolute(), source.extensions, exclude)
    elif is_file and place.suffix.lower() in _LISTS:
        try:
            data = place.read_bytes()
        except OSError as error:
            raise UsageError(f"list file {path} cannot be read: {error.strerror}") from error
        yield from (_from_row(row, str(place.absolute().parent)) for row in _rows(data, place.suffix.lower(), path))
    elif is_file:
        yield _of_file(place.absolute())
    elif glob.has_magic(path):
        matches = sorted(glob.glob(str(place), recursive=True))
        yield from (_of_file(Path(match).absolute()) for match in matches if os.path.isfile(match))
    else:
        raise UsageError(f"source.path {path!r} does not exist; give a folder, a glob, a video or a list file ({', '.join(_LISTS)})")


def _folder(folder: Path, extensions: tuple[str, ...], exclude: Path | None) -> Iterator[Input]:
    endings = tuple(f".{extension.lower().lstrip('.')}" for extension in extensions)

    def refuse(error: OSError) -> None:  # os.walk would leave a folder out without a word, and its videos with it
        raise UsageError(f"source.path: {error.filename!r} cannot be read: {error.strerror}") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is_same(Path(parent, name), exclude))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(endings):
                yield _of_file(Path(parent, name))


def _is_same(folder: Path, other: Path | None) -> bool:
    """True where both are one folder, however they are written (`..`, links)."""
    return other is not None and other.exists() and folder.samefile(other)


def _of_file(path: Path, metadata: Mapping[str, Any] | None = None) -> Input:
    try:
        size: int | None = path.stat().st_size
    except (OSError, ValueError):  # ValueError: a NUL in the name
        size = None
    try:
        uri = str(path)
        uri.encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 cannot stand in a table
        uri = "file://" + urllib.parse.quote_from_bytes(_name_bytes(uri))
    return Input(uri, size, metadata or {})


def _name_bytes(name: str) -> bytes:
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:  # half a surrogate pair out of a JSON list: no file has such a name, and its import will say so
        return name.encode(errors="surrogatepass")


def _rows(data: bytes, suffix: str, where: str) -> Iterator[dict[str, Any]]:
    """Rows of a list file, each with its path under the key `path`. Raises UsageError naming the line."""
    if suffix == ".parquet":
        yield from (_with_path(row, f"{where} row {number}") for number, row in enumerate(_parquet_rows(data, where), 1))
        return
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"list file {where} is not UTF-8: byte {error.start}") from error
    if suffix == ".csv":
        yield from _csv_rows(text, where)
        return
    # Not str.splitlines: it also cuts at U+2028 and U+0085, which stand in titles and names.
    lines = (line.strip() for line in re.split(r"\r\n|\n|\r", text))
    if suffix == ".txt":
        yield from ({"path": line} for line in lines if line and not line.startswith("#"))
    else:
        numbered = ((number, line) for number, line in enumerate(lines, 1) if line)
        yield from (_with_path(_json_row(line, where, number), f"{where} line {number}") for number, line in numbered)


def _csv_rows(text: str, where: str) -> Iterator[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            yield _with_path(row, f"{where} line {reader.line_num}")
    except csv.Error as error:
        raise UsageError(f"list file {where} line {reader.line_num + 1} is not CSV: {error}") from error


def _parquet_rows(data: bytes, where: str) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(use_threads=False).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise UsageError(f"list file {where} is not Parquet: {error}") from error
    return rows


def _json_row(line: str, where: str, number: int) -> Any:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"list file {where} line {number} is not JSON: {error}") from error
    return {"path": row} if isinstance(row, str) else row


def _with_path(row: Any, where: str) -> dict[str, Any]:
    if isinstance(row, dict):
        for column in _PATH_COLUMNS:
            if isinstance(row.get(column), str) and row[column].strip():
                return {**{key: value for key, value in row.items() if key != column and key is not None}, "path": row[column].strip()}
    raise UsageError(f"list file {where} has no path; one of the columns {', '.join(_PATH_COLUMNS)} must hold it")


def _from_row(row: Mapping[str, Any], base: str) -> Input:
    path = str(row["path"])
    metadata = {key: value for key, value in row.items() if key != "path" and value not in (None, "")}
    if "://" in path and not path.startswith("file://"):
        return Input(check_no_credentials("input", path.encode(errors="replace").decode()), None, metadata)
    if base.find("://") > 0:
        return Input(f"{base}/{path}".encode(errors="replace").decode(), None, metadata)
    place = local_path(path) or Path(base, os.path.expanduser(path))
    return _of_file(Path(os.path.normpath(place)), metadata)


def _remote(uri: str, source: SourceConfig) -> Iterator[Input]:
    try:
        filesystem, path = fsspec.core.url_to_fs(uri)
        if uri.lower().endswith(_LISTS):
            suffix = "." + uri.rsplit(".", 1)[-1].lower()
            yield from (_from_row(row, uri.rsplit("/", 1)[0]) for row in _rows(filesystem.cat_file(path), suffix, uri))
            return
        found = filesystem.glob(path, detail=True) if glob.has_magic(path) else filesystem.find(path, detail=True)
    except UsageError:
        raise
    except Exception as error:  # drivers raise what they like: botocore's errors (no credentials, no route) are no OSErrors
        raise UsageError(redacted(f"source.path {uri!r} cannot be read: {error}")) from error
    endings = tuple(f".{extension.lower().lstrip('.')}" for extension in source.extensions)
    for name, info in sorted(found.items()):
        if info["type"] == "file" and (glob.has_magic(path) or name.lower().endswith(endings)):
            yield Input(filesystem.unstrip_protocol(name), int(info["size"]))
