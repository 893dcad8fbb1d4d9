"""An S3 store for tests: moto's server on loopback. The fixture `s3` (tests/conftest.py) is one for all tests of a process; each module has
buckets of its own names."""

import contextlib
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import NOT_DATA, without_timings


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def objects(filesystem: Any, prefix: str) -> dict[str, str]:
    """As `contents`, of a prefix in a bucket."""
    found = {}
    for path in sorted(filesystem.find(prefix)):
        name = path.removeprefix(f"{prefix}/")
        if not name.startswith(NOT_DATA):
            data = filesystem.cat_file(path)
            found[name] = hashlib.sha256(without_timings(data) if name.endswith(".manifest.json") else data).hexdigest()
    return found


@dataclass(frozen=True)
class S3:
    """A store on loopback. env: what a client needs; not set in this process. filesystem: opened with it."""

    env: Mapping[str, str]
    filesystem: Any

    def bucket(self, name: str) -> str:
        """Its URI; made where it is not there."""
        if not self.filesystem.exists(name):
            self.filesystem.call_s3("create_bucket", Bucket=name)
        return f"s3://{name}"

    @contextlib.contextmanager
    def led_to(self, **more: str) -> Iterator[None]:
        """This process's S3 traffic goes to the store while the block runs. more: further variables, or others in their place."""
        import fsspec

        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.env, **more}.items():
                patch.setenv(name, value)
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            yield
        fsspec.get_filesystem_class("s3").clear_instance_cache()


@contextlib.contextmanager
def s3_server(*buckets: str) -> Iterator[S3]:
    """moto's server in a process of its own (a thread would take the interpreter's lock from the test), with these buckets made."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for_port(process, port)
        import s3fs

        options = {"key": "test", "secret": "test", "endpoint_url": url, "client_kwargs": {"region_name": "us-east-1"}}
        filesystem = s3fs.S3FileSystem(**options, use_listings_cache=False, skip_instance_cache=True)
        env = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        store = S3(env, filesystem)
        for bucket in buckets:
            store.bucket(bucket)
        yield store
    finally:
        process.kill()
        process.wait()


def _wait_for_port(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError("moto's server did not start within 30 s")
