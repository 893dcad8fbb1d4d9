"""No stage speaks to anything but loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.socket_guard import only_loopback


@pytest.fixture(autouse=True)
def nothing_outside_loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with only_loopback(Path(tmp_path_factory.mktemp("guard"))):
        yield
