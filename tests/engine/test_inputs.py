"""From `source.path` to inputs: folders, globs, list files, and names that nobody expects."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from internvid_pipeline.config import SourceConfig
from internvid_pipeline.engine import Input, list_inputs
from internvid_pipeline.errors import UsageError
from internvid_pipeline.storage import Root, local_path


def inputs(path: Path | str, exclude: Path | None = None, **more: Any) -> list[Input]:
    return list_inputs(SourceConfig(path=str(path), **more), exclude)


def names(path: Path | str, exclude: Path | None = None, **more: Any) -> list[str]:
    return [Path(found.uri).name for found in inputs(path, exclude, **more)]


def make(folder: Path, *paths: str) -> Path:
    for number, path in enumerate(paths):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * (number + 1))
    return folder


def error_of(path: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        inputs(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_searched_with_its_subfolders_in_a_fixed_order(tmp_path: Path):
    make(tmp_path, "b.mp4", "a.MP4", "z/1.webm", "c/2.mkv", "c/d/3.mov", "notes.txt", "mp4", "c/poster.jpg", "clip.mp4.part")
    found = inputs(tmp_path)
    assert [Path(entry.uri).relative_to(tmp_path).as_posix() for entry in found] == ["a.MP4", "b.mp4", "c/2.mkv", "c/d/3.mov", "z/1.webm"]
    assert all(os.path.isabs(entry.uri) for entry in found)
    assert [entry.size_bytes for entry in found] == [2, 1, 4, 5, 3]


def test_only_the_wanted_endings(tmp_path: Path):
    make(tmp_path, "a.mp4", "b.xyz", "c.webm")
    assert names(tmp_path, extensions=(".XYZ", "webm")) == ["b.xyz", "c.webm"]


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path):
    make(tmp_path, "a.mp4", ".hidden.mp4", "._a.mp4", ".trash/b.mp4", "c/.d/e.mp4")
    assert names(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("written", ["{0}/out", "{0}/out/", "{0}/x/../out", "{0}/link"])
def test_the_root_inside_the_source_folder_is_not_searched(tmp_path: Path, written: str):
    make(tmp_path, "a.mp4", "out/videos/b.mp4", "out/c.mp4", "x/out/d.mp4")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    assert names(tmp_path, Root(written.format(tmp_path)).folder) == ["a.mp4", "d.mp4"]
    assert names(f"{tmp_path}/x/..", Root(written.format(tmp_path)).folder) == ["a.mp4", "d.mp4"]


def test_a_root_that_does_not_exist_yet_excludes_nothing(tmp_path: Path):
    assert names(make(tmp_path, "a.mp4", "b/c.mp4"), tmp_path / "out") == ["a.mp4", "c.mp4"]


def test_links_to_files_are_inputs_and_links_to_folders_are_not_followed(tmp_path: Path):
    make(tmp_path, "v/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "v" / "link.mp4").symlink_to(tmp_path / "elsewhere" / "b.mp4")
    (tmp_path / "v" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "v" / "loop").symlink_to(tmp_path / "v")
    (tmp_path / "v" / "broken.mp4").symlink_to(tmp_path / "nothing.mp4")
    found = inputs(tmp_path / "v")
    assert [(Path(entry.uri).name, entry.size_bytes) for entry in found] == [("a.mp4", 1), ("broken.mp4", None), ("link.mp4", 2)]


ODD_NAMES = [
    "two words.mp4",
    'it\'s "quoted".mp4',
    "new\nline.mp4",
    "tab\t.mp4",
    "a#b?c*[d].mp4",
    "100%.mp4",
    "視頻 مقطع 🎬.mp4",
    "-rf.mp4",
    "$HOME.mp4",
]


def test_names_that_nobody_expects(tmp_path: Path):
    make(tmp_path, *ODD_NAMES)
    assert names(tmp_path) == sorted(ODD_NAMES)
    assert all(local_path(entry.uri) == tmp_path / Path(entry.uri).name for entry in inputs(tmp_path))


def test_a_name_that_is_not_utf_8(tmp_path: Path):
    """It cannot stand in a table as it is; its URI can, and leads back to the file."""
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 100%.mp4"))
    file.write_bytes(b"xyz")
    (found,) = inputs(tmp_path)
    assert found.uri == f"file://{tmp_path}/caf%E9%20100%25.mp4"
    assert (local_path(found.uri), found.size_bytes) == (file, 3)
    (tmp_path / "list.txt").write_text(found.uri + "\n")
    assert inputs(tmp_path / "list.txt") == [found]
    assert inputs(found.uri) == [found]


def test_globs(tmp_path: Path):
    make(tmp_path, "a1.mp4", "a2.mp4", "b.mp4", "c/a3.mp4", "a4.xyz")
    (tmp_path / "a5.mp4").mkdir()
    assert names(f"{tmp_path}/a*") == ["a1.mp4", "a2.mp4", "a4.xyz"]
    assert names(f"{tmp_path}/**/a?.mp4") == ["a1.mp4", "a2.mp4", "a3.mp4"]
    assert names(f"file://{tmp_path}/[ab]*.mp4") == ["a1.mp4", "a2.mp4", "b.mp4"]


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path):
    make(tmp_path, "season [1]/a.mp4", "e[2].mp4", "e2.mp4")
    assert names(tmp_path / "season [1]") == ["a.mp4"]
    assert names(tmp_path / "e[2].mp4") == ["e[2].mp4"]


def test_one_video(tmp_path: Path):
    make(tmp_path, "a.mp4", "odd.ending")
    assert names(tmp_path / "a.mp4") == ["a.mp4"]
    assert names(tmp_path / "odd.ending") == ["odd.ending"]


def test_a_list_in_plain_text(tmp_path: Path):
    """Byte order mark, comments, blank lines, spaces around, Windows and old Mac line ends, relative paths and URLs."""
    make(tmp_path, "v/a b.mp4", "v/c.mp4", "v/odd\u2028name.mp4")
    lines = (
        "\ufeff# a comment\r\n\r\nv/a b.mp4\r\n  v/../v/c.mp4  \r\n#v/x.mp4\rhttps://host/x.mp4?a=1\r\nv/none.mp4\r\nv/odd\u2028name.mp4"
    )
    (tmp_path / "list.txt").write_bytes(lines.encode())
    uris = [str(tmp_path / "v/a b.mp4"), str(tmp_path / "v/c.mp4"), "https://host/x.mp4?a=1", str(tmp_path / "v/none.mp4")]
    found = inputs(tmp_path / "list.txt")
    assert [entry.uri for entry in found] == [*uris, str(tmp_path / "v/odd\u2028name.mp4")]
    assert [entry.size_bytes for entry in found] == [1, 2, None, None, 3]


@pytest.mark.parametrize("column", ["path", "file", "video", "uri", "url", "source_uri"])
def test_a_csv_list_with_metadata(tmp_path: Path, column: str):
    make(tmp_path, "a.mp4", "b, c.mp4")
    rows = f'title,{column},language,empty\r\n"A, ""quoted""\nsecond line",a.mp4,fr,\r\n視頻,"b, c.mp4",zh,\r\n'
    (tmp_path / "l.CSV").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    first, second = inputs(tmp_path / "l.CSV")
    assert (first.uri, dict(first.metadata)) == (str(tmp_path / "a.mp4"), {"title": 'A, "quoted"\nsecond line', "language": "fr"})
    assert (second.uri, dict(second.metadata)) == (str(tmp_path / "b, c.mp4"), {"title": "視頻", "language": "zh"})


def test_a_jsonl_list_with_metadata(tmp_path: Path):
    """U+2028 in a title does not end the line; a bare string is a path; a blank line is none."""
    make(tmp_path, "a.mp4", "b.mp4")
    row = {"title": "one\u2028two\u0085", "path": "a.mp4", "tags": ["x", "y"], "views": 3, "none": None, "ok": False}
    (tmp_path / "l.jsonl").write_bytes((json.dumps(row, ensure_ascii=False) + '\r\n\r\n"b.mp4"\n').encode("utf-8-sig"))
    first, second = inputs(tmp_path / "l.jsonl")
    assert dict(first.metadata) == {"title": "one\u2028two\u0085", "tags": ["x", "y"], "views": 3, "ok": False}
    assert (second.uri, dict(second.metadata)) == (str(tmp_path / "b.mp4"), {})


def test_a_parquet_list_with_metadata(tmp_path: Path):
    make(tmp_path, "a.mp4", "b.mp4")
    pq.write_table(pa.table({"title": ["α", None], "video": ["a.mp4", "b.mp4"], "start": [1.5, 2.5]}), tmp_path / "l.parquet")
    first, second = inputs(tmp_path / "l.parquet")
    assert (Path(first.uri).name, dict(first.metadata)) == ("a.mp4", {"title": "α", "start": 1.5})
    assert (Path(second.uri).name, dict(second.metadata)) == ("b.mp4", {"start": 2.5})


def test_paths_in_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Relative to the list and not to the current folder; absolute, `~` and file:// as they are."""
    make(tmp_path, "lists/a.mp4", "b.mp4", "home/c.mp4", "d e.mp4")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "lists")
    (tmp_path / "lists" / "l.txt").write_text(f"a.mp4\n../b.mp4\n~/c.mp4\nfile://{tmp_path}/d%20e.mp4\n{tmp_path}/b.mp4\n")
    assert [Path(entry.uri).relative_to(tmp_path).as_posix() for entry in inputs("l.txt")] == [
        "lists/a.mp4",
        "b.mp4",
        "home/c.mp4",
        "d e.mp4",
    ]


def test_the_first_of_two_rows_of_one_file_wins(tmp_path: Path):
    make(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "l.csv").write_text("path,title\na.mp4,first\nb.mp4,other\n./a.mp4,second\n")
    assert [(Path(entry.uri).name, entry.metadata["title"]) for entry in inputs(tmp_path / "l.csv")] == [
        ("a.mp4", "first"),
        ("b.mp4", "other"),
    ]


def test_rows_that_no_file_can_match_stay_inputs_of_their_own(tmp_path: Path):
    """A NUL and half a surrogate pair: each is one input that cannot be read, and no end of the run."""
    make(tmp_path, "a.mp4")
    (tmp_path / "l.jsonl").write_text('"a\\u0000.mp4"\n"b\\ud800.mp4"\n"https://host/\\udfff.mp4"\n"a.mp4"\n')
    found = inputs(tmp_path / "l.jsonl")
    assert [entry.size_bytes for entry in found] == [None, None, None, 1]
    assert all(entry.uri.encode() for entry in found)


BROKEN_LISTS: dict[str, tuple[str, bytes, str]] = {
    "csv without a path column": ("l.csv", b"title,name\nx,y\n", "line 2 has no path; one of the columns path, file, video"),
    "csv with an empty path": ("l.csv", b"path,title\na.mp4,x\n,y\n", "line 3 has no path"),
    "csv with a huge field": ("l.csv", b'path\n"' + b"x" * 200_000 + b'"\n', "line 2 is not CSV: field larger than field limit"),
    "jsonl without a path": ("l.jsonl", b'{"path": "a"}\n\n{"title": "x"}\n', "line 3 has no path"),
    "jsonl with a number as path": ("l.jsonl", b'{"path": 7}\n', "line 1 has no path"),
    "jsonl with a list": ("l.jsonl", b"[1]\n", "line 1 has no path"),
    "jsonl that is none": ("l.jsonl", b'{"path": "a"}\n{"path": \n', "line 2 is not JSON"),
    "jsonl too deep": ("l.jsonl", b"[" * 100_000, "line 1 is not JSON"),
    "text of another encoding": ("l.txt", b"a.mp4\ncaf\xe9.mp4\n", "is not UTF-8: byte 9"),
    "parquet that is none": ("l.parquet", b"PAR1 not", "is not Parquet"),
    "empty text": ("l.txt", b"\n# nothing\n", "no videos in"),
    "empty csv": ("l.csv", b"", "no videos in"),
}


@pytest.mark.parametrize(("name", "data", "wanted"), BROKEN_LISTS.values(), ids=list(BROKEN_LISTS))
def test_a_wrong_list_is_said_with_its_line(tmp_path: Path, name: str, data: bytes, wanted: str):
    (tmp_path / name).write_bytes(data)
    message = error_of(tmp_path / name)
    assert wanted in message
    assert str(tmp_path / name) in message


def test_a_parquet_list_without_a_path_column(tmp_path: Path):
    pq.write_table(pa.table({"title": ["x"]}), tmp_path / "l.parquet")
    assert "row 1 has no path" in error_of(tmp_path / "l.parquet")


def test_what_is_not_there(tmp_path: Path):
    assert "source.path is empty" in error_of("")
    assert "does not exist" in error_of(tmp_path / "nothing")
    assert "does not exist" in error_of(tmp_path / "nothing.csv")
    assert "no videos in" in error_of(f"{tmp_path}/*.mp4")
    assert "looked for files ending in mp4" in error_of(tmp_path)
    assert "cannot be read" in error_of("~nobody-of-this-name/videos")
    assert "source.path" in error_of("x" * 5000)


@pytest.mark.parametrize("uri", ["nosuch://host/x", "http://127.0.0.1:9/videos/", "memory://never/was"])
def test_a_uri_that_leads_nowhere(uri: str):
    assert uri in error_of(uri)


def test_videos_and_lists_of_another_store():
    root = Root("memory://inputs")
    for name in ("v/b.mp4", "v/a.webm", "v/notes.md", "v/deep/c.MP4"):
        root.put_bytes_if_absent(name, b"12345")
    root.put_bytes_if_absent("list.csv", b"path,title\nv/b.mp4,B\nhttps://host/x.mp4,X\n")
    assert [entry.uri for entry in inputs("memory://inputs/v")] == [f"memory:///inputs/v/{n}" for n in ("a.webm", "b.mp4", "deep/c.MP4")]
    assert [entry.size_bytes for entry in inputs("memory://inputs/v/*.mp4")] == [5]
    assert [entry.uri for entry in inputs("memory://inputs/list.csv")] == ["memory://inputs/v/b.mp4", "https://host/x.mp4"]


def test_a_folder_that_may_not_be_read(tmp_path: Path):
    """Neither the folder itself nor one below it is left out in silence. Root looks as another user."""
    place = Path(tempfile.mkdtemp(prefix="internvid-test-"))  # tmp_path cannot be entered by another user
    make(place, "a.mp4", "closed/b.mp4")
    place.chmod(0o755)
    (place / "closed").chmod(0o000)
    own = os.geteuid()
    try:
        if own == 0:
            os.seteuid(65534)
        assert "Permission denied" in error_of(place)
        assert str(place / "closed") in error_of(place)
        assert "Permission denied" in error_of(place / "closed")
        assert "Permission denied" in error_of(place / "closed" / "list.csv")
    finally:
        os.seteuid(own)
        (place / "closed").chmod(0o755)
        shutil.rmtree(place)
