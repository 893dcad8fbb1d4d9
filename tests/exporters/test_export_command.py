"""`internvid export FORMAT` over a finished data set."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from internvid_pipeline.cli.main import app
from internvid_pipeline.exporters.formats import FORMATS, ExportOptions, open_format


def run(*arguments: str):
    return CliRunner().invoke(app, ["export", *arguments], catch_exceptions=True)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_of_a_real_set(name: str, made_set: Path, tmp_path: Path):
    out = tmp_path / "out.file"
    done = run(name, str(made_set), "--out", str(out), "-s", "default", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["num_samples"] == 36
    target = open_format(name, ExportOptions())
    rows = list(target.read(out))
    assert len(rows) == report["num_rows"]
    assert [wrong for row in rows if (wrong := target.check(row))] == []
    assert report["num_left_out"] == (36 if name == "internvideo2-avs" else 0), "made clips have no audio captions"
    assert [path.name for path in tmp_path.iterdir()] == ["out.file"]


def test_clips_as_files_and_going_on(made_set: Path, tmp_path: Path):
    media = tmp_path / "videos"
    arguments = ("viclip-json", str(made_set), "-s", "best", "--media", str(media), "--media-prefix", "videos/", "--json")
    first = json.loads(run(*arguments, "--out", str(tmp_path / "a.json")).stdout)
    rows = json.loads((tmp_path / "a.json").read_text())
    assert first["num_files"] == len(rows) == len(list(media.iterdir())) > 0
    for row in rows:
        assert (tmp_path / row["video"]).read_bytes().decode().startswith(f"the clip {Path(row['video']).stem} ")
    lost = next(media.iterdir())
    lost.unlink()
    again = json.loads(run(*arguments, "--out", str(tmp_path / "b.json")).stdout)
    assert (again["num_files"], again["num_present"]) == (1, len(rows) - 1)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_an_export_that_fails_leaves_the_old_one(made_set: Path, tmp_path: Path):
    out = tmp_path / "list.txt"
    out.write_text("the old one")
    done = run("videomae-list", str(made_set), "-s", "default", "--out", str(out), "--media-prefix", "my videos/")
    assert "white space" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["list.txt"]
    assert out.read_text() == "the old one"


def test_the_default_place_is_in_the_root(made_set: Path):
    done = run("internvid-jsonl", str(made_set), "-s", "best")
    assert done.exit_code == 0
    path = made_set / "exports" / "internvid-jsonl-best.jsonl"
    assert path.is_file() and str(path) in done.stdout
    path.unlink()
    path.parent.rmdir()
