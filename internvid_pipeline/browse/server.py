"""Serving on this machine's loopback, and nowhere else."""

import contextlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from internvid_pipeline.browse.app import Browser, build_app
from internvid_pipeline.browse.index import MEMORY_MB, MOST_CLIPS
from internvid_pipeline.browse.make_index import Observer
from internvid_pipeline.browse.marks import Marks
from internvid_pipeline.browse.open_index import opened_index
from internvid_pipeline.browse.queries import Queries
from internvid_pipeline.engine import StagePlan, StatusReader
from internvid_pipeline.errors import SetupError, UsageError
from internvid_pipeline.report.reading import SetReader
from internvid_pipeline.storage import Root

HOST = "127.0.0.1"


def check_packages() -> None:
    """Raises SetupError where what serves is not installed."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise SetupError("the browser needs starlette and uvicorn: pip install 'internvid-pipeline[browse]'") from error


@contextlib.contextmanager
def opened_browser(
    root: Root,
    name: str,
    plans: list[StagePlan],
    partitions: list[int],
    annotator: str,
    most_clips: int = MOST_CLIPS,
    memory_mb: int = MEMORY_MB,
    observer: Observer | None = None,
    cache: Path | None = None,
) -> Iterator[Browser]:
    """A browser over a data set. cache: where indexes are kept from one start to the next; None: it is made in a scratch folder, and
    deleted at the end. Raises UsageError, StorageError."""
    statuses = StatusReader(root, plans, partitions).read()
    marks = Marks(root, annotator)
    with opened_index(SetReader(root, plans, partitions), statuses, cache, most_clips, memory_mb, observer) as index:
        yield Browser(name, Queries(index, marks))


class Server:
    """A browser being served. url: to open; it holds the token."""

    def __init__(self, browser: Browser, port: int = 0, token: str | None = None) -> None:
        import uvicorn

        self.token = token or secrets.token_urlsafe(24)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            raise UsageError(f"port {port} of {HOST} cannot be had: {error.strerror}; give another with --port, 0: any") from error
        self._socket.listen(128)  # whoever reads the address below is answered, if a moment later
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}/{self.token}/"
        # No access log: it would hold the token. No lifespan: there is nothing to start.
        settings: dict[str, Any] = {"log_level": "error", "access_log": False, "lifespan": "off", "server_header": False, "ws": "none"}
        self._server = uvicorn.Server(uvicorn.Config(build_app(browser, self.token), timeout_graceful_shutdown=2, **settings))

    def run(self) -> None:
        """Serves until Ctrl-C or `stop`."""
        self._server.run([self._socket])

    def stop(self) -> None:
        """Ends `run`, which is in another thread."""
        self._server.should_exit = True
