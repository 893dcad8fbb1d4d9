"""Checking shards by themselves, wherever they lie (downloaded, copied): no tables are needed."""

import hashlib
import json
import tarfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from internvid_pipeline.engine.validate import Problem
from internvid_pipeline.storage import file_sha256, index_offsets

_PARTS = ("json", "mp4", "txt")  # at least; others may be there


def shard_paths(place: Path) -> list[Path]:
    """The tar that `place` is, or all tars below it; empty where there are none."""
    if place.is_file():
        return [place] if place.suffix == ".tar" else []
    return sorted(place.rglob("*.tar"))


def check_shards(paths: Sequence[Path], read_media: bool) -> Iterator[tuple[int, list[Problem]]]:
    """(samples, what is wrong) of each tar, and at the end of the indexes beside them. read_media: also compare the hashes of clips and
    shards. A key may stand once in all shards of a folder."""
    keys: dict[tuple[Path, str], Path] = {}
    for path in paths:
        yield _check_tar(path, keys, read_media)
    for folder in sorted({path.parent for path in paths}):
        yield 0, list(_check_index(folder, read_media))


def _check_tar(path: Path, keys: dict[tuple[Path, str], Path], read_media: bool) -> tuple[int, list[Problem]]:
    problems: list[Problem] = []
    offsets: list[int] = []
    own: set[str] = set()
    end = 0
    try:
        with open(path, "rb") as file, tarfile.open(path, "r:") as tar:
            for key, group in groupby(tar, key=lambda member: member.name.split(".", 1)[0]):
                members = list(group)
                offsets.append(members[0].offset)
                last = members[-1]
                end = last.offset_data + -(-last.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                known = keys.setdefault((path.parent, key), path)
                if known != path or key in own:
                    problems.append(Problem(f"{path}, {key}", f"stands in {known.name} already"))
                own.add(key)
                problems += [Problem(f"{path}, {key}", what) for what in _check_sample(key, members, file, read_media)]
    except (tarfile.TarError, OSError, EOFError) as error:
        problems.append(Problem(str(path), f"is no whole tar: {error}"))
    if path.stat().st_size < end + 2 * tarfile.BLOCKSIZE:
        problems.append(Problem(str(path), f"is cut short: it has {path.stat().st_size} bytes and no end"))
    index = path.with_name(f"{path.name}.idx")
    if index.exists() and index_offsets(index.read_bytes()) != [*offsets, end]:
        problems.append(Problem(str(index), "does not tell where the samples of its tar lie"))
    return len(offsets), problems


def _check_sample(key: str, members: Sequence[tarfile.TarInfo], file: BinaryIO, read_media: bool) -> Iterator[str]:
    names = [member.name.split(".", 1)[1] if "." in member.name else "" for member in members]
    if len(set(names)) < len(names):
        yield f"holds a part twice: {', '.join(sorted(names))}"
    missing = [part for part in _PARTS if part not in names]
    if missing:
        yield f"lacks {', '.join(missing)}"
        return
    parts = {
        name: _data(file, member) for name, member in zip(names, members, strict=True) if name in _PARTS and (name != "mp4" or read_media)
    }
    try:
        metadata: dict[str, Any] = json.loads(parts["json"])
    except ValueError as error:
        yield f"its json is none: {error}"
        return
    if metadata.get("clip_id") != key:
        yield f"its json is of {metadata.get('clip_id')}"
    caption = metadata.get("caption")
    if caption != parts["txt"].decode(errors="replace"):
        yield "its txt is not the caption in its json"
    if caption not in [one.get("text") for one in metadata.get("captions", [])]:
        yield "its caption is none of the captions of its clip"
    if read_media and hashlib.sha256(parts["mp4"]).hexdigest() != metadata.get("sha256"):
        yield "its mp4 does not have the sha256 in its json"


def _data(file: BinaryIO, member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    data = file.read(member.size)
    if len(data) < member.size:
        raise EOFError(f"{member.name} ends after {len(data)} of {member.size} bytes")
    return data


def _check_index(folder: Path, read_media: bool) -> Iterator[Problem]:
    path = folder / "index.json"
    if not path.is_file():
        return
    try:
        shards = {str(shard["url"]): shard for shard in json.loads(path.read_bytes())["shardlist"]}
    except (ValueError, KeyError, TypeError) as error:
        yield Problem(str(path), f"is no index of shards: {error}")
        return
    there = {file.name for file in folder.glob("*.tar")}
    for name in sorted(there ^ set(shards)):
        yield Problem(str(folder / name), "is not in the index" if name in there else "is missing")
    for name in sorted(there & set(shards)):
        size = (folder / name).stat().st_size
        if size != shards[name]["filesize"]:
            yield Problem(str(folder / name), f"has {size} bytes, the index says {shards[name]['filesize']}")
        elif read_media and file_sha256(folder / name) != shards[name]["sha256"]:
            yield Problem(str(folder / name), "does not have the sha256 of the index")
