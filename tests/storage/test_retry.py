"""A store that fails now and then, and one that fails for good: what is tried again, for how long, and what is recognised as done."""

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from internvid_pipeline.errors import StorageError, UsageError
from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage import Root, check_root_uri, is_transient, object_store, redacted, retried
from tests.cluster.faulty_s3 import FaultyStore, faulty
from tests.s3 import S3

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"


@pytest.fixture
def store(s3: S3) -> Iterator[Callable[..., FaultyStore]]:
    """Starts a proxy with the given faults; this process's S3 traffic goes through it."""
    s3.bucket("bucket")
    with contextlib.ExitStack() as stack:

        def start(**options) -> FaultyStore:
            proxy = stack.enter_context(faulty(s3.env["AWS_ENDPOINT_URL"], seed=7, **options))
            stack.enter_context(s3.led_to(AWS_SECRET_ACCESS_KEY=SECRET, AWS_ENDPOINT_URL=proxy.url))
            return proxy

        yield start


def new_root(**more) -> Root:
    return Root(f"s3://bucket/{uuid.uuid4().hex}", **more)


def test_a_put_whose_answer_was_lost_is_recognised(store):
    """Every second request is carried out and its answer lost. What was written is ours all the same, and nobody else's."""
    proxy = store(share=0.5, kinds=["cut_after"])
    root = new_root()
    assert [root.put_bytes_if_absent(f"s/{number}", f"mine {number}".encode()) for number in range(15)] == [True] * 15
    proxy.set(share=0.3)
    assert [root.put_bytes_if_absent(f"s/{number}", b"theirs") for number in range(15)] == [False] * 15
    assert [root.read_bytes(f"s/{number}") for number in range(15)] == [f"mine {number}".encode() for number in range(15)]
    assert proxy.counts()["cut_after"] > 15, "nothing was tested"


@pytest.mark.parametrize("kinds", [["cut_after"], ["internal", "half"], ["slow_down", "cut_before"]], ids=" ".join)
def test_a_large_file_arrives_by_parts_over_a_bad_line(kinds: list[str], store, tmp_path: Path):
    store(share=0.25, kinds=kinds)
    root, data = new_root(), os.urandom(2**20) * 40
    for letter, is_first in ((b"1", True), (b"2", False)):
        (tmp_path / "tar").write_bytes(letter + data)
        assert root.put_if_absent(tmp_path / "tar", "big.tar") is is_first
    assert root.size_bytes("big.tar") == len(data) + 1
    assert root.read_media(MediaRef(uri="big.tar", offset_bytes=0, size_bytes=9)) == b"1" + data[:8]
    assert root.read_media(MediaRef(uri="big.tar", offset_bytes=len(data) - 7, size_bytes=8)) == data[-8:]


def test_a_store_that_is_down_is_given_up_in_time(store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INTERNVID_STORAGE_RETRY_S", "6")
    proxy = store(share=1.0, kinds=["slow_down", "internal", "cut_before"])
    with pytest.raises(StorageError) as caught:
        new_root().put_bytes_if_absent("x", b"1")
    assert "\n" not in str(caught.value) and "s3://bucket" in str(caught.value)
    assert 1 < proxy.counts()["requests"] <= 16, "it was tried again, and not for ever"


def test_a_store_that_never_answers_is_left(store, monkeypatch: pytest.MonkeyPatch):
    """The request hangs for a minute and a half; the driver's read timeout ends it, and the next attempt finds the put done."""
    real = object_store._options

    def impatient(uri: str, attempts: int) -> dict:
        options = real(uri, attempts)
        options["config_kwargs"]["read_timeout"] = 1
        return options

    monkeypatch.setattr(object_store, "_options", impatient)
    proxy = store(share=1.0, kinds=["hang"])
    root = new_root()
    root.store  # noqa: B018 - opened with the short timeout
    import threading

    threading.Timer(3, lambda: proxy.set(share=0.0)).start()
    assert root.put_bytes_if_absent("x", b"mine") is True
    assert root.read_bytes("x") == b"mine"
    assert proxy.counts()["hang"] > 0


@pytest.mark.parametrize(("conditions", "wanted"), [("keep", True), ("ignore", False), ("refuse", False)])
def test_whether_a_store_has_conditional_puts_is_found_out(conditions: str, wanted: bool, store):
    store(share=0.2, conditions=conditions)
    root = new_root()
    root.check_writable()
    assert root.is_conditional is wanted
    assert root.put_bytes_if_absent("x", b"1") is True
    assert root.put_bytes_if_absent("x", b"2") is False
    assert root.read_bytes("x") == b"1"


def test_what_passes_and_what_does_not():
    class EndpointConnectionError(Exception):
        pass

    class Answered(Exception):
        def __init__(self, status: int) -> None:
            self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}

    passing = [TimeoutError(), ConnectionResetError(), EndpointConnectionError(), OSError(errno.EBUSY, "SlowDown")]
    passing += [Answered(status) for status in (408, 409, 429, 500, 502, 503, 504)]
    final = [FileNotFoundError(), FileExistsError(), PermissionError(), ValueError(), OSError(errno.ENOSPC, "full"), Answered(501)]
    final += [Answered(status) for status in (400, 403, 404, 412)]
    assert [is_transient(error) for error in passing] == [True] * len(passing)
    assert [is_transient(error) for error in final] == [False] * len(final)
    wrapped = OSError(errno.EIO, "something")
    wrapped.__cause__ = Answered(503)
    assert is_transient(wrapped)


def test_the_last_error_is_raised_and_nothing_is_tried_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    calls = []

    def fail() -> None:
        calls.append(1)
        raise TimeoutError(f"attempt {len(calls)}")

    with pytest.raises(TimeoutError, match="attempt 8"):
        retried(fail)
    calls.clear()
    with pytest.raises(TimeoutError, match="attempt 1"):
        retried(fail, limit_s=0)

    def refuse() -> None:
        calls.append(1)
        raise PermissionError("no")

    calls.clear()
    with pytest.raises(PermissionError):
        retried(refuse)
    assert len(calls) == 1


def test_secrets_are_kept_out_of_messages(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghij")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/tmp/some/token")
    text = f"refused {SECRET} and hf_abcdefghij at https://user:pass-word@host/x in /tmp/some/token"
    assert redacted(text) == "refused *** and *** at https://***@host/x in /tmp/some/token"


@pytest.mark.parametrize("uri", [f"s3://AKIDEXAMPLE:{SECRET}@bucket/set", "s3://key@bucket/set"])
def test_credentials_in_a_root_are_refused_and_not_repeated(uri: str):
    with pytest.raises(UsageError, match="credentials in a URI") as caught:
        check_root_uri(uri)
    assert SECRET not in str(caught.value) and "AKIDEXAMPLE" not in str(caught.value)
