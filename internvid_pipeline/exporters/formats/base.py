"""What every format has in common: rows out of samples, written as a stream, and read back to be checked."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from internvid_pipeline.errors import UsageError
from internvid_pipeline.exporters.samples import ExportSample

# What ViCLIP's and UMT's loaders do to a caption before they count its words (internvid: dataset/utils.py pre_text).
_DELETED, _SPACED = re.compile(r"([,.'!?\"()*#:;~])"), re.compile(r"[-/]")


@dataclass(frozen=True)
class ExportOptions:
    """media_prefix: put before file names (`videos/`). seed: of whatever a format draws. form: variant of a format that has several.
    score: the scorer that stands in the one score column that some formats have."""

    media_prefix: str = ""
    seed: int = 42
    form: str = ""
    score: str = "alignment"


class Format(ABC):
    """name: on the command line, and in READERS. suffix: of the file. forms: variants, the first
    is the default. needs_files: the reader opens one file for each clip."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    forms: ClassVar[tuple[str, ...]] = ("",)
    needs_files: ClassVar[bool] = True

    def __init__(self, options: ExportOptions) -> None:
        if options.form not in ("", *self.forms):
            raise UsageError(f"{self.name} has no form {options.form!r}; it has {', '.join(self.forms) if any(self.forms) else 'one only'}")
        self.options = options
        self.form = options.form or self.forms[0]
        self.num_left_out = 0  # samples that `rows` met and that the reader would refuse

    @abstractmethod
    def rows(self, samples: Iterable[ExportSample]) -> Iterator[Any]:
        """Rows as they stand in the file. Samples that the reader would refuse are left out."""

    @abstractmethod
    def write(self, rows: Iterable[Any], file: BinaryIO) -> int:
        """Writes rows as they come. Returns their number."""

    @abstractmethod
    def read(self, path: Path) -> Iterator[Any]:
        """Rows of a written file. Raises UsageError where it is not whole."""

    @abstractmethod
    def check(self, row: Any) -> str | None:
        """What is wrong with a row for its reader, None where nothing is."""

    def path_of(self, sample: ExportSample) -> str:
        """The clip's file as the reader will find it below its data root."""
        return self.options.media_prefix + sample.file_name


class JsonLines(Format):
    """One JSON object in a line."""

    suffix = "jsonl"

    def write(self, rows: Iterable[Any], file: BinaryIO) -> int:
        count = 0
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            count += 1
        return count

    def read(self, path: Path) -> Iterator[Any]:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise UsageError(f"{path} line {number} is not JSON: {error}") from error


class JsonList(Format):
    """One JSON list over the whole file, one row in a line, so that it can be written and read as a stream."""

    suffix = "json"

    def write(self, rows: Iterable[Any], file: BinaryIO) -> int:
        count = 0
        file.write(b"[")
        for row in rows:
            file.write((b",\n" if count else b"\n") + json.dumps(row, ensure_ascii=False).encode())
            count += 1
        file.write(b"\n]\n")
        return count

    def read(self, path: Path) -> Iterator[Any]:
        try:
            rows = json.loads(path.read_bytes())
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}") from error
        if not isinstance(rows, list):
            raise UsageError(f"{path} holds a {type(rows).__name__}; its readers expect a list")
        yield from rows


class TextList(Format):
    """One line of text a row."""

    suffix = "txt"

    def write(self, rows: Iterable[Any], file: BinaryIO) -> int:
        count = 0
        for row in rows:
            file.write(f"{row}\n".encode())
            count += 1
        return count

    def read(self, path: Path) -> Iterator[Any]:
        with path.open(encoding="utf-8", newline="\n") as file:
            for line in file:
                yield line.removesuffix("\n")


def num_words(caption: str) -> int:
    """Words of a caption as ViCLIP's loader counts them; below two it drops the row."""
    return len(_SPACED.sub(" ", _DELETED.sub("", caption.lower())).split())


def wrong_keys(row: Any, keys: tuple[str, ...]) -> str | None:
    """What is wrong with a row's keys."""
    if not isinstance(row, dict):
        return f"is a {type(row).__name__}; it should be an object"
    return None if tuple(row) == keys else f"has the keys {', '.join(row)}; it should have {', '.join(keys)}"
