"""A video is taken out of a set of twenty shards: no byte, caption or id of it is left anywhere, everything else stays as it was."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.engine import preview, run_dataset
from internvid_pipeline.engine.outcomes import input_outcomes
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.engine.validate import validate_dataset
from internvid_pipeline.records import ClipRecord, SampleRecord
from internvid_pipeline.removal import remove_videos
from internvid_pipeline.storage import Root, finish_removals, read_arrow, read_tombstones
from tests.conftest import contents, manifest_times
from tests.made_stages import made_config

REPO = Path(__file__).resolve().parents[2]
GONE = "youtube-00000000007"
SHARDS = {"shard_samples": 5, "shuffle_partitions": 8}


def config_of(folder: Path, **stages):
    return made_config(folder / "root", folder / "videos", 30, 3, write_shards=SHARDS, **stages)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty videos in ten partitions, two selections, 26 shards."""
    folder = tmp_path_factory.mktemp("removal")
    report = run_dataset(config_of(folder), engine="inline")
    assert not report.errors
    assert len(list((folder / "root/shards").rglob("*.tar"))) >= 20
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "root", tmp_path / "root")
    text = (tmp_path / "root/dataset.yaml").read_text().replace(str(made / "root"), str(tmp_path / "root"))
    (tmp_path / "root/dataset.yaml").write_text(text)
    return tmp_path / "root"


def texts(root: Path) -> dict[str, str]:
    """All text that each file below a root holds, by its path: its name, raw bytes, and the values of tables."""
    opened, found = Root(str(root)), {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            name = path.relative_to(root).as_posix()
            found[name] = name + "\n" + path.read_bytes().decode(errors="replace")
            if path.suffix == ".parquet":
                found[name] += "\n" + str(read_arrow(opened, name).to_pylist())
    return found


def everything(root: Path) -> str:
    """All text that anything below a root holds."""
    return "\n".join(texts(root).values())


def naming(root: Path, *names: str) -> list[str]:
    """Files that name one of these."""
    return [path for path, text in texts(root).items() if any(name in text for name in names)]


def tables(root: Path, kind: type) -> dict[str, object]:
    opened, _, plans, partitions = open_dataset(str(root))
    plan = next(plan for plan in reversed(plans) if plan.build().writes is kind)
    return {row.item_id: row for partition in partitions for row in read_rows(opened, plan.folder, partition, kind)}


def samples(root: Path) -> dict[str, str]:
    """sha256 of each sample's bytes, as its row points at them."""
    opened = Root(str(root))
    return {name: hashlib.sha256(opened.read_media(row.media)).hexdigest() for name, row in tables(root, SampleRecord).items()}


def members(root: Path) -> dict[str, list[str]]:
    found = {}
    for path in (root / "shards").rglob("*.tar"):
        with tarfile.open(path) as tar:
            found[path.relative_to(root).as_posix()] = tar.getnames()
    return found


def remove(root: Path, *names: str):
    opened, _, plans, _ = open_dataset(str(root))
    return remove_videos(opened, plans, names)


def test_nothing_of_it_is_left_and_nothing_else_changed(root: Path):
    before, before_samples, before_clips = contents(root), samples(root), tables(root, ClipRecord)
    shards_with = {path for path, names in members(root).items() if any(GONE in name for name in names)}
    assert GONE in everything(root) and "/7.mp4" in everything(root)
    report = remove(root, GONE)
    text = everything(root)
    assert GONE not in text and "/7.mp4" not in text and f"the clip {GONE}" not in text and f"caption of {GONE}" not in text
    assert report.videos == [GONE] and set(report.shards) == shards_with
    clips = tables(root, ClipRecord)
    assert {name for name in before_clips if name not in clips} == {name for name in before_clips if name.startswith(GONE)}
    after = samples(root)
    assert after == {name: digest for name, digest in before_samples.items() if not name.startswith(GONE)}
    unchanged = {name: digest for name, digest in before.items() if name.endswith((".tar", ".tar.idx")) and name.startswith("shards/")}
    unchanged = {name: digest for name, digest in unchanged.items() if name.removesuffix(".idx") not in shards_with}
    assert unchanged and unchanged.items() <= contents(root).items(), "shards without it are the same files"
    opened, _, plans, partitions = open_dataset(str(root))
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []
    outcomes = list(input_outcomes(opened, plans, partitions))
    assert len(outcomes) == 29 and all(one.in_shards >= one.clips > 0 for one in outcomes)
    index = json.loads((root / "shards/default/index.json").read_text())
    assert sorted(shard["url"] for shard in index["shardlist"]) == sorted(path.name for path in (root / "shards/default").glob("*.tar"))
    assert sum(shard["nsamples"] for shard in index["shardlist"]) == sum(
        row.selection == "default" for row in tables(root, SampleRecord).values()
    )


def test_it_does_not_come_back(root: Path, made: Path):
    """On a resume, with another config, and under another name."""
    remove(root, GONE)
    times = manifest_times(root)
    config = made_config(root, made / "videos", 30, 3, write_shards=SHARDS)
    assert preview(config).new_inputs == 0
    assert run_dataset(config, engine="inline").new_partitions == 0
    assert manifest_times(root) == times, "nothing is computed again"
    copies = root.parent / "again"
    copies.mkdir()
    shutil.copyfile(made / "videos/7.mp4", copies / "7.mp4")
    changed = config.model_copy(update={"source": config.source.model_copy(update={"path": str(copies)})})
    report = run_dataset(changed, engine="inline")
    assert report.new_partitions == 1 and report.statuses[0].drops_by_reason == {"removed": 1}
    other = made_config(root, made / "videos", 30, 3, write_shards=SHARDS, made_captions={"words": "Other words for"})
    assert not run_dataset(other, engine="inline").errors
    assert f"{GONE}_" not in everything(root)


def test_results_of_other_configs_are_cleaned_too(root: Path, made: Path):
    other = made_config(root, made / "videos", 30, 3, write_shards=SHARDS, made_captions={"words": "Other words for"})
    run_dataset(other, engine="inline")
    assert f"A made caption of {GONE}" in everything(root), "the tables of the earlier config are there"
    remove(root, GONE)
    assert GONE not in everything(root)
    back = made_config(root, made / "videos", 30, 3, write_shards=SHARDS)
    assert not run_dataset(back, engine="inline").errors
    assert GONE not in everything(root)
    opened, _, plans, partitions = open_dataset(str(root))
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []


def test_several_at_once_by_all_their_names_and_one_that_is_not_there(root: Path, made: Path):
    report = remove(root, "youtube-00000000003", str(made / "videos/4.mp4"), "youtube-99999999999")
    assert report.videos == ["youtube-00000000003", "youtube-00000000004"] and report.unknown == ["youtube-99999999999"]
    text = everything(root)
    assert "youtube-00000000003" not in text and "youtube-00000000004" not in text and "youtube-99999999999" not in text
    assert read_tombstones(Root(str(root))).covers("youtube-99999999999")
    assert remove(root, "youtube-00000000003").videos == [], "again: nothing is left to do"
    remove(root, "youtube-00000000005")
    opened, _, plans, partitions = open_dataset(str(root))
    assert validate_dataset(opened, plans, partitions, read_media=True).problems == []


def test_a_removal_that_is_cut_short_is_finished(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Cut off at each of its steps: the same as in one go."""
    whole = root.parent / "whole"
    shutil.copytree(root, whole)
    remove(whole, GONE)
    expected = {name: digest for name, digest in contents(whole).items() if not name.endswith("dataset.yaml")}
    for step in (1, 5, 20, 40):
        place = root.parent / f"cut{step}"
        shutil.copytree(root, place)
        left = step
        deleted, replaced = Root.delete, Root.replace_bytes

        def counted(real, *arguments):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return real(*arguments)

        monkeypatch.setattr(Root, "delete", lambda *arguments, real=deleted: counted(real, *arguments))
        monkeypatch.setattr(Root, "replace_bytes", lambda *arguments, real=replaced: counted(real, *arguments))
        with pytest.raises(KeyboardInterrupt):
            remove(place, GONE)
        monkeypatch.undo()
        finish_removals(Root(str(place)))
        remove(place, GONE)
        assert GONE not in everything(place)
        found = contents(place)
        assert {name: found.get(name) for name in expected if name.startswith("shards")} == {
            name: digest for name, digest in expected.items() if name.startswith("shards")
        }


def internvid(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", *map(str, arguments)]
    return subprocess.run(command, cwd=REPO, env={**os.environ, "PYTHONPATH": str(REPO)}, capture_output=True, text=True, timeout=120)


def test_the_command_and_exports(root: Path, tmp_path: Path):
    for name in ("viclip-json", "internvid-icl"):
        assert internvid("export", name, root, "-s", "default", "--media", tmp_path / "clips").returncode == 0
    assert list((tmp_path / "clips").glob(f"{GONE}_*.mp4"))
    (tmp_path / "list.txt").write_text(f"# asked by mail\n{GONE}\n")
    asked = internvid("remove", root, "--file", tmp_path / "list.txt")
    assert asked.returncode == 2 and "give --yes, or --dry-run" in asked.stderr
    dry = internvid("remove", root, "--file", tmp_path / "list.txt", "--dry-run")
    assert dry.returncode == 0 and f"{GONE}: would go" in dry.stdout and GONE in everything(root)
    done = internvid("remove", root, "--file", tmp_path / "list.txt", "--yes", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["removed"] and len(report["exports"]) == 2 and report["videos"] == [GONE]
    assert GONE not in everything(root) and not list((tmp_path / "clips").glob(f"{GONE}_*"))
    assert len(list((tmp_path / "clips").iterdir())) > 50
