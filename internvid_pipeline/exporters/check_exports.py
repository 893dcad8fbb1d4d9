"""Checking exported files against the tables that they were made from, and the clips beside them."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.validate import Problem
from internvid_pipeline.errors import UsageError
from internvid_pipeline.exporters.export_log import remembered_exports
from internvid_pipeline.exporters.formats import ExportOptions, Format, open_format
from internvid_pipeline.exporters.samples import read_samples
from internvid_pipeline.storage import Root, file_sha256

_MOST = 20  # problems of one file; a row too many shifts all behind it


def check_exports(root: Root, plans: Sequence[StagePlan], partitions: Sequence[int], read_media: bool) -> Iterator[Problem]:
    """What is wrong with the exports that were made of the set and are still there. read_media: compare hashes of clips too."""
    for one in remembered_exports(root, "file"):
        path = Path(one["target"])
        if path.is_file():
            target = open_format(one["format"], ExportOptions(**one["options"]))
            expected = target.rows(read_samples(root, plans, partitions, one["selection"]))
            yield from _first(_check_rows(target, path, expected))
        if one["media"] and Path(one["media"]).is_dir():
            for sample in read_samples(root, plans, partitions, one["selection"]):
                file = Path(one["media"]) / sample.file_name
                media = sample.clip.media
                if not file.is_file():
                    yield Problem(str(file), "is missing")
                elif file.stat().st_size != media.size_bytes:
                    yield Problem(str(file), f"has {file.stat().st_size} bytes, its clip {media.size_bytes}")
                elif read_media and media.sha256 and file_sha256(file) != media.sha256:
                    yield Problem(str(file), "does not have the sha256 of its clip")


def _first(problems: Iterator[Problem]) -> Iterator[Problem]:
    for number, problem in enumerate(problems):
        if number == _MOST:
            yield Problem(problem.where, "and more")
            return
        yield problem


def _check_rows(target: Format, path: Path, expected: Iterator[Any]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    is_same = True
    number = 0
    try:
        for number, row in enumerate(target.read(path), 1):
            where, text = f"{path} row {number}", _text(row)
            wrong = target.check(row)
            if wrong:
                yield Problem(where, wrong)
            if text in seen:
                yield Problem(where, f"is row {seen[text]} once more")
            seen.setdefault(text, number)
            if is_same:
                wanted = next(expected, None)
                is_same = wanted is not None and _text(wanted) == text
                if not is_same:
                    yield Problem(where, "is not what the tables give" if wanted is not None else "is one more than the tables give")
    except UsageError as error:
        yield Problem(str(path), str(error))
        return
    if is_same and next(expected, None) is not None:
        yield Problem(str(path), f"ends after {number} rows; the tables give more")


def _text(row: Any) -> str:
    return row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)
