"""The site, and a watch that nothing but loopback is spoken to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.site import Site, running_site
from tests.web.socket_guard import only_loopback


@pytest.fixture(autouse=True)
def nothing_outside_loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with only_loopback(Path(tmp_path_factory.mktemp("guard"))):
        yield


@pytest.fixture
def site() -> Iterator[Site]:
    with running_site() as running:
        yield running
