"""Connecting to Ray: an embedded one of this process, the cluster of this job, or one at an address."""

import contextlib
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from internvid_pipeline.errors import SetupError

_LOCAL_STORE_BYTES = 100 * 2**20  # rows are numbers; the object store never holds media
_own: list[object] = []  # not empty where this module has connected: what somebody else has connected is left to them


def start(address: str) -> None:
    """Connects to Ray: an embedded one (`local`), the cluster of this job (`auto`) or host:port. Where this process is connected already,
    that is used, and `stop` leaves it. Raises SetupError."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # under `uv run` Ray would rebuild the environment in every worker
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # else a thread of a plan that was left starts a cluster of its own
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what goes wrong is raised or in Ray's own log files
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise SetupError("Ray is not installed: `pip install 'internvid-pipeline[ray]'`, or run with --engine inline") from error
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    environment: dict[str, str] = {}
    if address == "local":
        if not os.environ.get("RAY_AUTH_TOKEN_PATH"):
            # Ray would write a token into the home folder, which may be read-only; an embedded one needs none that outlives it.
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Workers inherit the environment. (A `runtime_env` says the same, and makes Ray start each of them anew.)
        environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        options |= {"include_dashboard": False, "object_store_memory": _LOCAL_STORE_BYTES}
    try:
        with _silent_stderr(), _kept_sigterm(), _set(environment):
            ray.init(**options)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SetupError(f"cannot start Ray at {address!r}: {reason}; check placement.ray_address") from error
    _own.append(address)


def stop() -> None:
    """Disconnects, if `start` connected; an embedded Ray ends with all its workers."""
    import ray

    if _own:
        _own.clear()
        ray.shutdown()


@contextlib.contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment while the block runs."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Ray's C++ half announces its log level on stderr, past Python; errors are raised all the same."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextlib.contextmanager
def _kept_sigterm() -> Iterator[None]:
    """Ray puts a handler of its own on SIGTERM that ends the process on the spot; ours stops the run in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
