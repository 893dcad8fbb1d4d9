"""The browser's index is kept from one start to the next: what is opened is always what making it anew would give."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from internvid_pipeline.browse.index import SetIndex
from internvid_pipeline.browse.open_index import opened_index
from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.engine import StatusReader, run_dataset
from internvid_pipeline.removal import remove_videos
from internvid_pipeline.report.reading import SetReader
from tests.made_stages import made_config


def run(folder: Path, videos: int) -> Path:
    assert not run_dataset(made_config(folder / "root", folder / "videos", videos, 3), engine="inline").errors
    return folder / "root"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    run(tmp_path, 6)
    yield tmp_path


def opened(root: Path, cache: Path | None) -> Any:
    store, _, plans, partitions = open_dataset(str(root))
    return opened_index(SetReader(store, plans, partitions), StatusReader(store, plans, partitions).read(), cache, 1000, 300, None)


def content(index: SetIndex) -> dict[str, Any]:
    orders = {"rows": "number", "texts": "number", "lost": "id"}
    tables = {name: index.rows(f"SELECT * FROM {name} ORDER BY {order}") for name, order in orders.items()}
    return {**tables, "about": (index.columns, index.partitions, index.pool, index.has_speech, index.sliders)}


def looked_at(root: Path, cache: Path | None) -> tuple[str, dict[str, Any]]:
    with opened(root, cache) as index:
        return index.origin, content(index)


def test_it_is_made_once_and_new_partitions_are_added(place: Path):
    root, cache = place / "root", place / "cache"
    origin, first = looked_at(root, cache)
    assert origin.startswith("made in ") and str(cache) in origin and len(first["rows"]) > 10
    files = list(cache.rglob("*.duckdb"))
    assert len(files) == 1 and oct(files[0].parent.stat().st_mode)[-3:] == "700"
    with ExitStack() as stack:
        two = [stack.enter_context(opened(root, cache)) for _ in range(2)]
        assert [index.origin.startswith(f"kept in {files[0]}") for index in two] == [True, True]
        assert [content(index) for index in two] == [first, first]
        two[0].rows("INSERT INTO marked VALUES (1, 'keep')")
        assert two[1].rows("SELECT * FROM marked") == [], "marks are each browser's own"
        run(place, 9)
        origin, more = looked_at(root, cache)
        assert origin.startswith("new partitions added: 1, in ")
        assert content(two[0]) == first, "who reads the earlier one goes on"
    assert more == looked_at(root, None)[1] and more["rows"][: len(first["rows"])] == first["rows"]
    assert len(more["rows"]) > len(first["rows"]) and len(list(cache.rglob("*.*"))) == 1
    assert looked_at(root, cache)[0].startswith("kept in ")


def test_a_removal_is_seen(place: Path):
    root, cache = place / "root", place / "cache"
    looked_at(root, cache)
    store, _, plans, _ = open_dataset(str(root))
    gone = "youtube-00000000004"
    assert gone.encode() in b"".join(path.read_bytes() for path in cache.rglob("*.duckdb"))
    remove_videos(store, plans, [gone])
    origin, found = looked_at(root, cache)
    assert origin.startswith("made in ") and gone not in str(found) and found == looked_at(root, None)[1]
    assert gone.encode() not in b"".join(path.read_bytes() for path in cache.rglob("*") if path.is_file())


def test_what_cannot_be_read_or_kept_is_made_anew(place: Path):
    root, cache = place / "root", place / "cache"
    expected = looked_at(root, cache)[1]
    (file,) = cache.rglob("*.duckdb")
    file.write_bytes(file.read_bytes()[:5000])
    origin, found = looked_at(root, cache)
    assert origin.startswith("made in ") and found == expected
    (place / "file").write_text("no folder")
    origin, found = looked_at(root, place / "file")
    assert "not kept" in origin and found == expected
