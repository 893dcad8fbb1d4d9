"""The site, and a watch that nothing but loopback is spoken to."""

import sys
from collections.abc import Iterator

import pytest

from tests.web.site import Site, running_site

_outside: list[str] = []


def _watch(event: str, args: tuple) -> None:
    if event == "socket.connect" and isinstance(args[1], tuple) and not str(args[1][0]).startswith(("127.", "::1")):
        _outside.append(str(args[1]))


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def nothing_outside_loopback() -> Iterator[None]:
    _outside.clear()
    yield
    assert not _outside, f"connected to {_outside}"


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as running:
        yield running
