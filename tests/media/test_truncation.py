"""What a file's own structure tells about an end that is missing, for each kind of container, byte by byte."""

import random
from pathlib import Path

import pytest

from internvid_pipeline.media.container import open_media
from internvid_pipeline.media.declared_end import overrun
from internvid_pipeline.media.limits import MediaLimits
from tests.media.hostile_mutants import KINDS, Kind, write_kind

# What is cut at these steps leaves no trace: whole packets, and nothing says that more should follow.
_UNIT = {"ts": 188}
_FAST = tuple(kind for kind in KINDS if kind.codec not in ("libvpx-vp9", "libx265", "prores_ks") and kind.note != "faststart")
_FORMATS = {"mp4": "mov", "mkv": "matroska", "webm": "matroska", "mpg": "mpeg", "ts": "mpegts", "wmv": "asf", "ogv": "ogg"}


def _name(kind: Kind) -> str:
    return _FORMATS.get(kind.suffix, kind.suffix)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return {kind.name: write_kind(kind, folder).read_bytes() for kind in _FAST}


@pytest.mark.parametrize("kind", _FAST, ids=lambda kind: kind.name)
def test_whole_files_are_whole(tmp_path: Path, files: dict[str, bytes], kind: Kind):
    path = tmp_path / f"v.{kind.suffix}"
    path.write_bytes(files[kind.name])
    with open_media(path, MediaLimits()) as container:
        assert _name(kind) in container.format.name.split(",")
        assert overrun(path, container.format.name) is None


@pytest.mark.parametrize("kind", [kind for kind in _FAST if kind.suffix not in ("mp4", "mpg", "flv")], ids=lambda kind: kind.name)
def test_a_cut_anywhere_is_seen(tmp_path: Path, files: dict[str, bytes], kind: Kind):
    """At sixty places by chance in the last nine tenths. mp4 is told by its index (test_scan), except in fragments."""
    data, chance = files[kind.name], random.Random(kind.name)
    path = tmp_path / f"v.{kind.suffix}"
    for _ in range(60):
        end = chance.randrange(len(data) // 10, len(data) - 20)
        path.write_bytes(data[:end])
        assert overrun(path, _name(kind)) is not None or end % _UNIT.get(kind.suffix, len(data)) == 0, end


@pytest.mark.parametrize("name", ["mpg-mpeg2video", "flv-flv"])
def test_streams_of_packets_are_seen_to_break_off_inside_one(tmp_path: Path, files: dict[str, bytes], name: str):
    """Between two of them nothing tells the file from a shorter recording."""
    data, chance = files[name], random.Random(name)
    path = tmp_path / "v"
    seen = 0
    for _ in range(60):
        path.write_bytes(data[: chance.randrange(len(data) // 10, len(data) - 20)])
        seen += overrun(path, _FORMATS.get(name[:3], name[:3])) is not None
    assert seen >= 56


def test_a_program_stream_that_ends_between_two_packets(tmp_path: Path, files: dict[str, bytes]):
    path = tmp_path / "v.mpg"
    path.write_bytes(files["mpg-mpeg2video"][: 2048 * 9])
    assert overrun(path, "mpeg") is None


def test_a_transport_stream_that_lost_bytes_on_the_way_is_no_cut(tmp_path: Path, files: dict[str, bytes]):
    """Its end is whole; a part in the middle is gone, and the packets behind it stand at other places."""
    data = files["ts-libx264"]
    path = tmp_path / "v.ts"
    path.write_bytes(data[:20_000] + data[20_100:])
    assert overrun(path, "mpegts") is None


def test_a_last_sound_packet_that_is_not_all_there(tmp_path: Path, files: dict[str, bytes]):
    """Cut between two packets of 188 bytes, inside the sound's last PES packet, which says how long it is."""
    data = files["ts-mpeg2video"]
    path = tmp_path / "v.ts"
    words = set()
    for count in range(len(data) // 188 - 60, len(data) // 188):
        path.write_bytes(data[: count * 188])
        words.add(overrun(path, "mpegts"))
    assert any(word and "lacks" in word for word in words)


@pytest.mark.parametrize("name", ["mov", "matroska", "avi", "asf", "ogg", "flv", "mpeg", "mpegts"])
def test_nonsense_is_no_error(tmp_path: Path, name: str):
    """Bytes by chance, also very few, and the beginnings of real files: an answer or none, never an exception."""
    path, chance = tmp_path / "x", random.Random(name)
    heads = [b"", b"RIFF", b"\x1a\x45\xdf\xa3\x18\x53\x80\x67", b"OggS", b"\0\0\1\xba", b"\x47" * 400, b"\0\0\0\1mdat", bytes(30)]
    for length in (1, 3, 4, 12, 200, 5000):
        for head in heads:
            path.write_bytes(head + chance.randbytes(length))
            assert isinstance(overrun(path, name), str | None)
