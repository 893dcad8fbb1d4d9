"""Witnesses that nothing but the input was read: files that must stay closed, and ports that nobody may call."""

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20
_EVENT = struct.Struct("iIII")  # struct inotify_event: watch, mask, cookie, length of the name that follows


class OpenedFiles:
    """Linux's inotify over single files: tells which of them any process has opened or read since the watch began."""

    def __init__(self, paths: list[Path]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be had")
        self._names = {}
        for path in paths:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_OPEN | _IN_ACCESS)
            if watch < 0:
                raise OSError(ctypes.get_errno(), f"cannot watch {path}")
            self._names[watch] = path

    def seen(self) -> set[Path]:
        """Files opened or read so far; each call begins anew."""
        found = set()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 16):
                position = 0
                while position < len(data):
                    watch, _, _, length = _EVENT.unpack_from(data, position)
                    found.add(self._names[watch])
                    position += _EVENT.size + length
        return found

    def close(self) -> None:
        os.close(self._fd)


class Ports:
    """A TCP and a UDP port on loopback. A TCP caller is counted and hung up on."""

    def __init__(self) -> None:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self._udp.setblocking(False)
        self.tcp_port, self.udp_port = self._tcp.getsockname()[1], self._udp.getsockname()[1]
        self._calls = 0
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                caller, _ = self._tcp.accept()
                self._calls += 1
                caller.close()

    @property
    def calls(self) -> int:
        """TCP connections and UDP datagrams so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._udp.recv(65536)
                self._calls += 1
        return self._calls

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._tcp.shutdown(socket.SHUT_RDWR)
        self._tcp.close()
        self._thread.join(5)
        self._udp.close()


@dataclass(frozen=True)
class Canaries:
    """What hostile files point at. video: an mp4. stream: a transport stream. picture: a PNG whose name has a number. text: a line of
    text. ports: nobody may call them."""

    video: Path
    stream: Path
    picture: Path
    text: Path
    ports: Ports
    files: OpenedFiles

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.tcp_port}/target.ts"


@contextlib.contextmanager
def canaries_in(folder: Path) -> Iterator[Canaries]:
    """Four files and two ports, watched from now on."""
    from PIL import Image

    from tests.media.made import shots_of, write_video

    folder.mkdir(parents=True, exist_ok=True)
    video = write_video(folder / "target.mp4", shots_of([10]))
    stream = write_video(folder / "target.ts", shots_of([10]))
    picture = folder / "target-001.png"
    Image.new("RGB", (64, 48), "red").save(picture)
    text = folder / "secret.txt"
    text.write_text("a secret\n")
    ports, files = Ports(), OpenedFiles([video, stream, picture, text])
    try:
        yield Canaries(video, stream, picture, text, ports, files)
    finally:
        ports.close()
        files.close()
