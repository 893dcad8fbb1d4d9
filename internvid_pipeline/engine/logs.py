"""What is logged and where. Modules log with `logging.getLogger(__name__)`; `where(...)` says which stage, partition and item it is about.

Lines go to standard error of the process that logs: of the driver to the terminal or the job's log, of a worker to Ray's log folder on
its node, where Ray's dashboard, `ray logs` and every log collector look. With a log folder (`--log-folder`, INTERNVID_LOG_FOLDER) each
process writes its own file there too; it is a local folder or a mounted one, never the data set's root: an object store cannot append.

As JSON (`--log-format json`, INTERNVID_LOG_FORMAT) a line is one object that always has the keys time, level, message, dataset, stage,
partition, item, logger, host and pid (null where they do not apply), and what an event adds. Credentials are masked.
"""

import datetime
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from internvid_pipeline.errors import UsageError
from internvid_pipeline.storage import redacted

FORMATS = ("text", "json")
FORMAT_VARIABLE, FOLDER_VARIABLE, DATASET_VARIABLE = "INTERNVID_LOG_FORMAT", "INTERNVID_LOG_FOLDER", "INTERNVID_DATASET"
_ROOT = "internvid_pipeline"
_FIELDS = ("dataset", "stage", "partition", "item")


def where(stage: str | None = None, partition: int | None = None, item: str | None = None, **more: Any) -> dict[str, Any]:
    """`extra=` of a log call: what the event is about, and figures that belong to it."""
    return {"internvid": {"stage": stage, "partition": partition, "item": item, **more}}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = getattr(record, "internvid", {})
    return {"dataset": os.environ.get(DATASET_VARIABLE), **found}


class JsonFormatter(logging.Formatter):
    """One line of JSON per event."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        line: dict[str, Any] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": redacted(record.getMessage()),
        }
        line |= {name: fields.pop(name, None) for name in _FIELDS}
        line |= {"logger": record.name, "host": socket.gethostname(), "pid": record.process, **fields}
        if record.exc_info:
            line["traceback"] = redacted(self.formatException(record.exc_info))
        return json.dumps({key: redacted(value) if isinstance(value, str) else value for key, value in line.items()}, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people: what the command line says itself looks the same."""

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        about = [str(fields["stage"])] if fields.get("stage") else []
        about += [f"partition {fields['partition']}"] if fields.get("partition") is not None else []
        about += [str(fields["item"])] if fields.get("item") else []
        return redacted(f"internvid: {', '.join(about)}{': ' if about else ''}{' '.join(record.getMessage().split())}")


def set_up(form: str = "text", folder: str | None = None, dataset: str = "") -> None:
    """Once in the driver; workers are told. Raises UsageError."""
    if form not in FORMATS:
        raise UsageError(f"no log format {form!r}; choose one of {', '.join(FORMATS)}")
    os.environ[FORMAT_VARIABLE] = form
    os.environ[DATASET_VARIABLE] = dataset
    if folder is not None:
        os.environ[FOLDER_VARIABLE] = str(Path(folder).expanduser().absolute())
    try:
        _install(is_driver=True)
    except OSError as error:
        raise UsageError(f"cannot write logs to {folder}: {error.strerror or error}") from error


def settings() -> dict[str, str]:
    """How this process logs, for its workers: those of a cluster have another environment."""
    return {name: os.environ[name] for name in (FORMAT_VARIABLE, FOLDER_VARIABLE, DATASET_VARIABLE) if name in os.environ}


def set_up_worker(given: Mapping[str, str] | None = None) -> None:
    """In a worker's process: logs as its driver does (`given`), else as the environment says, and nothing if that says nothing. A folder
    that cannot be written is no reason to lose work."""
    os.environ.update(given or {})
    if FORMAT_VARIABLE in os.environ:
        try:
            _install(is_driver=False)
        except OSError as error:
            logging.getLogger(__name__).warning("cannot write logs to %s: %s", os.environ.get(FOLDER_VARIABLE), error)


def is_json() -> bool:
    """True where standard error carries JSON lines, and nothing else should be written there."""
    return os.environ.get(FORMAT_VARIABLE) == "json"


def _install(is_driver: bool) -> None:
    logger = logging.getLogger(_ROOT)
    for old in [handler for handler in logger.handlers if getattr(handler, "is_internvid", False)]:
        logger.removeHandler(old)
        old.close()
    form = JsonFormatter() if is_json() else TextFormatter()
    stream = logging.StreamHandler(sys.stderr)
    stream.setLevel(logging.INFO if is_json() else logging.WARNING)
    if is_driver and not is_json():
        # What became of single partitions the command itself says at the end, and `internvid failures` afterwards.
        stream.addFilter(lambda record: _fields(record).get("partition") is None)
    _add(logger, stream, form)
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"{os.environ.get(DATASET_VARIABLE) or 'internvid'}-{socket.gethostname()}-{os.getpid()}.jsonl"
        _add(logger, logging.FileHandler(Path(folder, name), encoding="utf-8", delay=True), JsonFormatter())
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _add(logger: logging.Logger, handler: logging.Handler, form: logging.Formatter) -> None:
    handler.setFormatter(form)
    handler.is_internvid = True  # type: ignore[attr-defined]  # told apart from those of a program that uses the library
    logger.addHandler(handler)
