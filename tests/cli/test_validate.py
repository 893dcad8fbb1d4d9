"""`internvid validate` finds what is broken in a copy of a good data set, names it, and exits with 1."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Run


@pytest.fixture
def damaged(toy_set: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_set / "set", tmp_path / "set")
    return tmp_path / "set"


def one(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def problems(internvid: Run, root: Path, *options: str, status: int = 1) -> list[tuple[str, str]]:
    done = internvid("validate", root, "--json", *options)
    assert done.returncode == status, done.stderr
    return [(found["where"], found["what"]) for found in json.loads(done.stdout)["problems"]]


def test_a_missing_file(internvid: Run, damaged: Path):
    gone = one(damaged, "toy_numbers/*/00001.tar")
    gone.unlink()
    assert problems(internvid, damaged) == [(gone.relative_to(damaged).as_posix(), "is missing")]


def test_a_missing_table(internvid: Run, damaged: Path):
    gone = one(damaged, "toy_squares/*/00002.parquet")
    gone.unlink()
    assert (gone.relative_to(damaged).as_posix(), "is missing") in problems(internvid, damaged)


def test_a_truncated_table(internvid: Run, damaged: Path):
    table = one(damaged, "toy_squares/*/00000.parquet")
    whole = table.read_bytes()
    table.write_bytes(whole[:-50])
    found = dict(problems(internvid, damaged))
    assert table.relative_to(damaged).as_posix() in found
    assert any("not a whole Parquet table" in what or "its manifest says" in what for what in found.values())


def test_a_changed_byte_is_found_by_reading_all(internvid: Run, damaged: Path):
    tar = one(damaged, "toy_numbers/*/00000.tar")
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    assert problems(internvid, damaged, status=0) == [], "sizes alone do not tell"
    assert problems(internvid, damaged, "--read-media") == [
        (tar.relative_to(damaged).as_posix(), "does not have the sha256 of its manifest")
    ]


def test_a_row_that_is_there_twice(internvid: Run, damaged: Path):
    path = one(damaged, "toy_squares/*/00000.parquet")
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(0, 1)]), path, compression="zstd")
    found = problems(internvid, damaged)
    twice = table.to_pylist()[0]["video_id"]
    assert any(where.endswith(f", {twice}") and "partition 0" in what for where, what in found)
    assert any("rows, its manifest says" in what for _, what in found)


def test_rows_of_another_schema(internvid: Run, damaged: Path):
    path = one(damaged, "toy_squares/*/00000.parquet")
    pq.write_table(pq.read_table(path).rename_columns(["video_id", "cube"]), path)
    assert any("does not hold SquareRecord rows" in what for _, what in problems(internvid, damaged))


def _edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        raw = json.loads(path.read_bytes())
        change(raw)
        path.write_text(json.dumps(raw))

    return edit


MANIFESTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "counts that do not close": (_edit(lambda raw: raw.update(inputs=99)), "99 inputs are not the sum"),
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:100]), "is not a manifest"),
    "a path out of the root": (_edit(lambda raw: raw["files"][0].update(path="../../etc/passwd")), "not a path below"),  # type: ignore[index]
}


@pytest.mark.parametrize(("change", "wanted"), MANIFESTS.values(), ids=list(MANIFESTS))
def test_a_damaged_manifest(internvid: Run, damaged: Path, change: Callable[[Path], object], wanted: str):
    change(one(damaged, "toy_squares/*/00001.manifest.json"))
    done = internvid("validate", damaged)
    assert done.returncode in (1, 3)
    assert wanted in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
