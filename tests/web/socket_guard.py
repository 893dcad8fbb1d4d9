"""Says when anything but loopback is spoken to: in this process, and in those that import the fake site's extractors."""

import ipaddress
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG = "INTERNVID_TEST_OUTSIDE"  # a file in which all processes note what they should not have done
_outside: list[str] = []


def _is_loopback(host: object) -> bool:
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return text in ("localhost", "None", "")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _watch(event: str, args: tuple) -> None:
    if event in ("socket.connect", "socket.sendto"):
        host = args[1][0] if isinstance(args[1], tuple) else None  # other addresses are files of this machine
    elif event == "socket.getaddrinfo":
        host = args[0]
        if not isinstance(host, str) or not any(character.isalpha() for character in host):
            return  # a number is looked up nowhere; a test may ask what becomes of a private one
    else:
        return
    if not _is_loopback(host):
        _outside.append(f"{event} {host}")
        if os.environ.get(LOG):
            with open(os.environ[LOG], "a") as file:
                file.write(f"{event} {host}\n")


sys.addaudithook(_watch)


@contextmanager
def only_loopback(folder: Path) -> Iterator[None]:
    """Fails the test in which anything else was spoken to, here or in a process that it started. folder: for the note."""
    _outside.clear()
    log = folder / "outside.log"
    before = os.environ.get(LOG)
    os.environ[LOG] = str(log)
    try:
        yield
    finally:
        os.environ.pop(LOG)
        if before is not None:
            os.environ[LOG] = before
    told = log.read_text() if log.exists() else ""
    assert not _outside and not told, f"spoken to: {_outside} {told}"
