"""What is spoiled in shards and exports is found, by a data set's root and by the shards alone; and real readers read what is whole."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.cli.validate import _of_dataset, _of_shards
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.exporters.export_log import remember_export
from internvid_pipeline.exporters.files import export_file
from internvid_pipeline.exporters.formats import FORMATS, ExportOptions, open_format
from internvid_pipeline.records import SampleRecord

Members = list[tuple[str, bytes]]


@pytest.fixture
def root(made_set: Path, tmp_path: Path) -> Path:
    ours_alone = shutil.ignore_patterns("export_log")  # other tests export the set that all share
    shutil.copytree(made_set, tmp_path / "root", ignore=ours_alone)
    text = (made_set / "dataset.yaml").read_text().replace(str(made_set), str(tmp_path / "root"))
    (tmp_path / "root" / "dataset.yaml").write_text(text)
    return tmp_path / "root"


def read_tar(path: Path) -> Members:
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def write_tar(path: Path, members: Members) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uname, info.gname = len(data), 0o644, "internvid", "internvid"
            tar.addfile(info, io.BytesIO(data))


def without_part(members: Members) -> Members:
    return [member for member in members if member != members[5]]


def other_bytes(members: Members) -> Members:
    return [(name, data[:-1] + b"?") if number == 4 else (name, data) for number, (name, data) in enumerate(members)]


def caption_of_another(members: Members) -> Members:
    return [(name, members[5][1]) if number == 2 else (name, data) for number, (name, data) in enumerate(members)]


def caption_of_another_in_both(members: Members) -> Members:
    metadata = json.loads(members[0][1])
    metadata["caption"] = members[5][1].decode()
    return [(members[0][0], json.dumps(metadata).encode()), members[1], (members[2][0], members[5][1]), *members[3:]]


def key_twice(members: Members) -> Members:
    return [*members, *members[:3]]


SPOILS: dict[str, tuple[Callable[[Members], Members], str]] = {
    "a missing part": (without_part, "lacks txt"),
    "a wrong hash": (other_bytes, "its mp4 does not have the sha256 in its json"),
    "a caption of another clip": (caption_of_another, "its txt is not the caption in its json"),
    "a caption of another clip, in the json too": (caption_of_another_in_both, "its caption is none of the captions of its clip"),
    "a key twice": (key_twice, "already"),
}


@pytest.mark.parametrize(("spoil", "words"), SPOILS.values(), ids=list(SPOILS))
def test_spoiled_shards_are_found(root: Path, spoil: Callable[[Members], Members], words: str):
    shard = sorted((root / "shards/default").glob("*.tar"))[0]
    assert not _of_shards(str(root / "shards"), True).problems and not _of_dataset(str(root), True).problems
    write_tar(shard, spoil(read_tar(shard)))
    alone = _of_shards(str(shard), True)
    assert any(words in problem.what for problem in alone.problems), alone.problems
    whole = _of_dataset(str(root), True)
    assert any(shard.name in problem.where for problem in whole.problems)


def test_a_caption_that_the_tables_do_not_know(root: Path):
    """The sample agrees with itself, and has the same length: only the tables tell."""
    shard = sorted((root / "shards/default").glob("*.tar"))[0]
    members = read_tar(shard)
    data = shard.read_bytes()
    caption = members[2][1]
    shard.write_bytes(data.replace(caption, caption.replace(b"made", b"fake")))
    assert any(problem.what == "its txt is not the caption that the selection chose" for problem in _of_dataset(str(root), False).problems)


@pytest.mark.parametrize("keep", [0.9, 0.5, 0.01])
def test_a_truncated_shard_is_found(root: Path, keep: float):
    shard = sorted((root / "shards/default").glob("*.tar"))[0]
    data = shard.read_bytes()
    shard.write_bytes(data[: int(len(data) * keep)])
    assert any("tar" in problem.what or "cut short" in problem.what for problem in _of_shards(str(shard), False).problems)
    assert any("its manifest says" in problem.what for problem in _of_dataset(str(root), False).problems)
    shard.write_bytes(data[:-1024])
    told = [problem.what for problem in _of_shards(str(shard), False).problems]
    assert f"is cut short: it has {len(data) - 1024} bytes and no end" in told


def test_an_index_that_is_wrong(root: Path):
    folder = root / "shards/default"
    first, *_ = sorted(folder.glob("*.tar"))
    index = first.with_name(f"{first.name}.idx")
    index.write_bytes(index.read_bytes()[:-8])
    listing = json.loads((folder / "index.json").read_text())
    listing["shardlist"][-1]["sha256"] = "0" * 64
    (folder / "index.json").write_text(json.dumps({**listing, "shardlist": listing["shardlist"][1:]}))
    found = {Path(problem.where).name: problem.what for problem in _of_shards(str(folder), True).problems}
    last = listing["shardlist"][-1]["url"]
    assert found[index.name].startswith("does not tell where")
    assert found[first.name] in ("is not in the index", "does not have the sha256 of the index")
    assert found[last] in ("does not have the sha256 of the index", "is not in the index")


@pytest.mark.parametrize("name", FORMATS)
def test_spoiled_exports_are_found(root: Path, tmp_path: Path, name: str):
    opened, _, plans, partitions = open_dataset(str(root))
    path, media = tmp_path / "export", tmp_path / "clips"
    export_file(opened, plans, partitions, "default", open_format(name, ExportOptions()), path, media)
    fields = {"format": name, "selection": "default", "media": str(media), "options": {}}
    remember_export(opened, "file", str(path), fields)
    assert not _of_dataset(str(root), True).problems
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    spoils = {
        "cut short": whole[: len(whole) // 2],
        "a row less": b"".join([*lines[:1], *lines[2:]]),
        "a row twice": b"".join([*lines[:2], *lines[1:]]),
        "other words": whole.replace(b"00000000002", b"00000000003", 1),
    }
    for what, data in spoils.items():
        if data == whole:
            continue  # a format of which this set has no rows
        path.write_bytes(data)
        assert any(str(path) in problem.where for problem in _of_dataset(str(root), False).problems), what
    path.write_bytes(whole)
    clips = sorted(media.iterdir())
    clips[0].write_bytes(clips[1].read_bytes()[:-1])
    clips[1].write_bytes(b"?" + clips[1].read_bytes()[1:])
    clips[2].unlink()
    found = {Path(problem.where).name for problem in _of_dataset(str(root), True).problems}
    assert found == {clip.name for clip in clips[:3]}


def test_wids_reads_every_sample_by_its_number(made_set: Path, tmp_path: Path):
    import wids

    opened, _, plans, partitions = open_dataset(str(made_set))
    rows = {row.clip_id: row for partition in partitions for row in read_rows(opened, plans[-1].folder, partition, SampleRecord)}
    index = made_set / "shards/default/index.json"
    data = wids.ShardListDataset(str(index), cache_dir=str(tmp_path), keep=True)
    listing = json.loads(index.read_text())["shardlist"]
    assert len(data) == sum(shard["nsamples"] for shard in listing)
    found = [data[number] for number in range(len(data))]
    assert sorted(one["__key__"] for one in found) == sorted(row.clip_id for row in rows.values())
    for one in found:
        assert one[".json"]["clip_id"] == one["__key__"] and one[".txt"] == one[".json"]["caption"]
        assert one[".mp4"].read() == f"the clip {one['__key__']} ".encode() * 200
