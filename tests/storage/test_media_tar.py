"""The tar of a partition's media: the same bytes from the same files, and offsets that hold."""

import hashlib
import os
import tarfile
from pathlib import Path

import pytest

from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage import MediaTarWriter, Root, file_sha256

NAMES = ("a.mp4", "empty.mp4", "block.mp4", "block1.mp4", "視頻 مقطع 🎬.mp4", "n" * 140 + ".mp4", "long " + "é" * 90 + ".mp4")
SIZES = (1000, 0, 512, 513, 3, 70_000, 1)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
        (folder / name).write_bytes(bytes([number + 65]) * size)
    return [folder / name for name in NAMES]


def pack(files: list[Path], target: Path) -> dict[Path, MediaRef]:
    with MediaTarWriter(target) as tar:
        for file in files:
            tar.add(file)
    return tar.refs(target.name)


def test_offsets_read_back_the_bytes(files: list[Path], tmp_path: Path):
    refs = pack(files, tmp_path / "m.tar")
    root = Root(str(tmp_path))
    assert list(refs) == files
    for file, ref in refs.items():
        data = file.read_bytes()
        assert root.read_media(ref) == data
        assert (ref.uri, ref.size_bytes, ref.sha256) == ("m.tar", len(data), hashlib.sha256(data).hexdigest())


def test_tarfile_reads_the_same_at_the_same_places(files: list[Path], tmp_path: Path):
    refs = pack(files, tmp_path / "m.tar")
    with tarfile.open(tmp_path / "m.tar") as tar:
        members = tar.getmembers()
        assert [member.name for member in members] == list(NAMES)
        for member, file in zip(members, files, strict=True):
            reader = tar.extractfile(member)
            assert reader is not None
            assert reader.read() == file.read_bytes()
            assert member.offset_data == refs[file].offset_bytes


def test_the_same_files_give_the_same_bytes(files: list[Path], tmp_path: Path):
    """Times, modes and owners of the files differ between the two."""
    pack(files, tmp_path / "one.tar")
    for file in files:
        os.utime(file, (1, 1))
        file.chmod(0o600)
    pack(files, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar} == {(0, 0, 0, "", "", 0o644)}


def test_a_file_added_twice_is_stored_once(files: list[Path], tmp_path: Path):
    assert pack([files[0], files[0], files[2], files[0]], tmp_path / "m.tar").keys() == {files[0], files[2]}
    with tarfile.open(tmp_path / "m.tar") as tar:
        assert len(tar.getmembers()) == 2


def test_two_files_of_one_name_keep_their_own_bytes(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = tmp_path / "a" / "same.jpg", tmp_path / "b" / "same.jpg"
    one.write_bytes(b"one")
    two.write_bytes(b"two!")
    refs = pack([one, two], tmp_path / "m.tar")
    assert [Root(str(tmp_path)).read_media(refs[file]) for file in (one, two)] == [b"one", b"two!"]


def test_no_file_gives_an_empty_tar(tmp_path: Path):
    assert pack([], tmp_path / "m.tar") == {}
    with tarfile.open(tmp_path / "m.tar") as tar:
        assert tar.getmembers() == []


def test_a_large_file_is_hashed_whole(tmp_path: Path):
    data = os.urandom(3_000_001)
    (tmp_path / "x").write_bytes(data)
    assert file_sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()
