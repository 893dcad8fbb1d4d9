"""The witnesses of tests/e2e/test_hostile_videos.py do see: the same files, given to ffmpeg without our bounds, read and call."""

import socket
import time
from pathlib import Path

import av
import pytest

from internvid_pipeline.errors import UnreadableMedia
from internvid_pipeline.media.container import open_media
from internvid_pipeline.media.limits import MediaLimits
from tests.media.hostile_references import write_references
from tests.media.hostile_watch import Canaries, canaries_in

_CARELESS = {
    "enable_drefs": "1",
    "use_absolute_path": "1",
    "safe": "0",
    "protocol_whitelist": "file,http,tcp,crypto,subfile,data,concat",
    "allowed_extensions": "ALL",
    "extension_picky": "0",
}


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("references")
    (folder / "source").mkdir()
    with canaries_in(folder / "canaries") as canaries:
        write_references(folder / "source", canaries)
        yield folder / "source", canaries


def _careless(path: Path) -> int:
    """Frames that plain PyAV decodes, allowed everything; 0 where it fails."""
    try:
        with av.open(str(path), options=_CARELESS, timeout=5) as container:
            return sum(1 for _ in container.decode(video=0))
    except (av.error.FFmpegError, IndexError):
        return 0


@pytest.mark.parametrize(
    "name",
    [
        "hls-relative.m3u8",
        "hls-absolute.m3u8",
        "hls-file.m3u8",
        "concat-relative.mp4",
        "concat-unsafe.mp4",
        "dref-alis.mp4",
        "dref-relative.mov",
    ],
)
def test_reading_another_file_is_seen(references: tuple[Path, Canaries], name: str):
    source, canaries = references
    canaries.files.seen()
    try:
        with open_media(source / name, MediaLimits()) as container:
            assert list(container.decode(video=0)) == []  # an external reference: its index is there, its media is not
    except UnreadableMedia as error:
        assert "not read" in str(error)
    assert canaries.files.seen() == set()
    assert _careless(source / name) == 10, "the attack works"
    seen = canaries.files.seen()
    assert seen and seen <= {canaries.stream, canaries.video}


@pytest.mark.parametrize("name", ["hls-http.m3u8", "hls-key.m3u8", "concat-http.mp4"])
def test_calling_a_port_is_seen(references: tuple[Path, Canaries], name: str):
    source, canaries = references
    before = canaries.ports.calls
    _careless(source / name)
    deadline = time.monotonic() + 10
    while canaries.ports.calls == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert canaries.ports.calls > before


def test_a_datagram_is_seen(references: tuple[Path, Canaries]):
    _, canaries = references
    before = canaries.ports.calls
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", ("127.0.0.1", canaries.ports.udp_port))
    deadline = time.monotonic() + 10
    while canaries.ports.calls == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert canaries.ports.calls == before + 1


def test_reading_and_touching_are_told_apart(references: tuple[Path, Canaries]):
    """Looking at a file's size is no reading; opening it is, though not a byte is read."""
    _, canaries = references
    canaries.files.seen()
    canaries.text.stat()
    assert canaries.files.seen() == set()
    canaries.text.open("rb").close()
    assert canaries.files.seen() == {canaries.text}
