"""The one door to an ffmpeg binary. Decoding and encoding go through PyAV, which needs none; this is for what only the program has."""

import math
import os
import re
import shutil
import signal
import subprocess
import threading
from functools import lru_cache
from typing import IO, Any

from internvid_pipeline.errors import ItemError, MediaLimitError, SetupError, StorageError

_QUESTION_TIMEOUT_S = 60.0  # `-version` and `-filters` answer in well under a second; a cold disk is slower
_STDERR_TAIL_BYTES = 8192
_CHUNK_BYTES = 1 << 16
# Words of the C library for faults of the machine. "Input/output error" is not among them: ffmpeg says it of broken inputs too.
_MACHINE_FAULTS = ("No space left on device", "Disk quota exceeded", "Read-only file system", "Too many open files")


class FfmpegError(ItemError):
    """ffmpeg ended with another status than 0; the message carries the last line it wrote."""


class FfmpegTimeout(FfmpegError):
    """ffmpeg was still running at its deadline and was killed."""


def ffmpeg_path() -> str:
    """Path of the ffmpeg program: the one on PATH, else the binary inside the `imageio-ffmpeg` wheel. Raises SetupError."""
    on_path = shutil.which("ffmpeg")
    if on_path:
        return on_path
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise SetupError(
            f"no ffmpeg found: not on PATH, and the imageio-ffmpeg wheel gives none ({error}); "
            "run `pip install imageio-ffmpeg`, or install your system's ffmpeg package"
        ) from error


def ffmpeg_version() -> str:
    """Version as the binary states it, such as `5.1.6-0+deb12u1` or `n9.0.2`. Raises SetupError."""
    path = ffmpeg_path()
    answer = _ask(path, "-version")
    match = re.match(r"ffmpeg version (\S+)", answer)
    if not match:
        raise SetupError(f"{path} does not answer `-version` as ffmpeg does (it says {answer[:80]!r}); put a real ffmpeg on PATH")
    return match[1]


def has_filter(name: str) -> bool:
    """True where this ffmpeg was built with the filter `name`. Raises SetupError."""
    return name in _filter_names(ffmpeg_path())


@lru_cache(maxsize=8)
def _filter_names(path: str) -> frozenset[str]:
    # A line is `flags name inputs->outputs meaning`; the legend above the list has no arrow in its third column.
    columns = [line.split(maxsplit=3) for line in _ask(path, "-filters").splitlines()]
    return frozenset(row[1] for row in columns if len(row) >= 3 and "->" in row[2])


@lru_cache(maxsize=8)
def _ask(path: str, question: str) -> str:
    try:
        done = subprocess.run(
            [path, "-nostdin", "-hide_banner", question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_QUESTION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{path} cannot be run as ffmpeg ({error}); put a working ffmpeg on PATH") from error
    return done.stdout


def file_url(path: str | os.PathLike[str]) -> str:
    """A local path as ffmpeg takes it literally: without the prefix, `a:b.mp4` would name a protocol and `-x.mp4` an option."""
    return f"file:{os.fspath(path)}"


def run_ffmpeg(stream: Any, timeout_s: float, max_stdout_bytes: int = 1 << 30) -> bytes:
    """Run an ffmpeg-python output stream and return what it wrote to `pipe:` (empty where it writes files).

    timeout_s: wall-clock seconds after which ffmpeg and its process group are killed. max_stdout_bytes: bound of the answer.
    Inputs are read from files and pipes only: a playlist or a file name from a stranger cannot make ffmpeg open a connection.
    Raises FfmpegTimeout, FfmpegError (exit status other than 0), MediaLimitError (longer answer), StorageError (disk full),
    SetupError (no ffmpeg).
    """
    import ffmpeg

    command = [ffmpeg_path(), *_global_arguments(timeout_s), *_without_network(ffmpeg.get_args(stream, overwrite_output=True))]
    process = _start(command)
    assert process.stdout is not None and process.stderr is not None
    answer = _Drain(process.stdout, max_stdout_bytes, keep_tail=False)
    last_words = _Drain(process.stderr, _STDERR_TAIL_BYTES, keep_tail=True)
    timed_out = False
    try:
        process.wait(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        answer.join()
        last_words.join()
    if timed_out:
        raise FfmpegTimeout(f"ffmpeg was killed after {timeout_s:g} s, its deadline; its last line: {_last_line(last_words.data)}")
    if answer.overflowed:
        raise MediaLimitError(f"ffmpeg wrote more than {max_stdout_bytes} bytes to its pipe, the bound of this call")
    _check_exit(process.returncode, last_words.data)
    return bytes(answer.data)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a process group of its own, so that the kill at the deadline takes its children along
        )
    except OSError as error:
        raise SetupError(f"{command[0]} cannot be run as ffmpeg ({error}); put a working ffmpeg on PATH") from error


def _global_arguments(timeout_s: float) -> list[str]:
    # `-timelimit` bounds CPU seconds: should we be killed ourselves, nobody is left to kill ffmpeg at the deadline.
    cpu_limit_s = math.ceil(timeout_s * (os.cpu_count() or 1)) + 1
    return ["-nostdin", "-hide_banner", "-v", "error", "-timelimit", str(cpu_limit_s)]


def _without_network(arguments: list[str]) -> list[str]:
    """Put the list of allowed protocols before every input; the last mention counts, so no caller can widen it."""
    guarded: list[str] = []
    position = 0
    while position < len(arguments):
        if arguments[position] == "-i":
            guarded += ["-protocol_whitelist", "file,pipe", *arguments[position : position + 2]]
            position += 2
        else:
            guarded.append(arguments[position])
            position += 1
    return guarded


def _check_exit(status: int, stderr: bytearray) -> None:
    if status == 0:
        return
    ended = f"ffmpeg ended with status {status}" if status > 0 else f"ffmpeg was ended by signal {signal.Signals(-status).name}"
    message = f"{ended}: {_last_line(stderr)}"
    if any(fault in stderr.decode(errors="replace") for fault in _MACHINE_FAULTS):
        raise StorageError(message)
    raise FfmpegError(message)


def _last_line(stderr: bytearray) -> str:
    # ffmpeg names its parts with their addresses ("[mp4 @ 0x55d0]"), which would make two equal runs write different tables.
    text = re.sub(r" @ 0x[0-9a-f]+", "", stderr.decode(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "(it wrote nothing)"


class _Drain(threading.Thread):
    """Reads a pipe to its end, so that ffmpeg never blocks on a full one, and keeps at most `limit_bytes` of it."""

    def __init__(self, pipe: IO[bytes], limit_bytes: int, *, keep_tail: bool) -> None:
        super().__init__(daemon=True)
        self.data = bytearray()
        self.overflowed = False
        self._pipe, self._limit_bytes, self._keep_tail = pipe, limit_bytes, keep_tail
        self.start()

    def run(self) -> None:
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), _CHUNK_BYTES):
                self.data += chunk
                if len(self.data) <= self._limit_bytes:
                    continue
                self.overflowed = True
                if not self._keep_tail:
                    return  # closing the pipe ends ffmpeg: nobody wants the rest
                del self.data[: -self._limit_bytes]
