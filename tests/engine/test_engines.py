"""The inline engine: the same bytes each time, parts of a plan, new inputs. tests/engine/test_on_ray.py holds Ray against it."""

from pathlib import Path

import pytest

from internvid_pipeline.engine import run_dataset
from internvid_pipeline.errors import UsageError
from tests.conftest import contents, manifest_times
from tests.engine.conftest import poisoned_config


def test_inline_twice_is_the_same(source: Path, tmp_path: Path, inline_contents: dict[str, str]):
    run_dataset(poisoned_config(tmp_path, source, workers=3), engine="inline")
    assert contents(tmp_path) == inline_contents


def test_only_and_until(source: Path, tmp_path: Path):
    config = poisoned_config(tmp_path, source)
    report = run_dataset(config, engine="inline", only="toy_squares")
    assert len(report.errors) == 4 and "not there" in str(report.errors[0]), "nothing to read yet: said, not crashed"
    assert [status.stage for status in run_dataset(config, engine="inline", until="toy_numbers").statuses] == ["toy_numbers"]
    done = run_dataset(config, engine="inline", only="toy_squares")
    assert [(status.stage, status.partitions_done) for status in done.statuses] == [("toy_squares", 4)]
    with pytest.raises(UsageError, match="no stage 'toy_cubes'"):
        run_dataset(config, engine="inline", until="toy_cubes")


def test_new_inputs_compute_new_partitions_only(source: Path, tmp_path: Path):
    """And a stage that looks at all partitions is computed again, under another fingerprint."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in source.iterdir():
        (videos / path.name).write_bytes(path.read_bytes())
    root = tmp_path / "root"
    run_dataset(poisoned_config(root, videos), engine="inline")
    before = manifest_times(root)
    for number in range(30, 33):
        (videos / f"{number}.mp4").write_bytes(b"y" * number)
    report = run_dataset(poisoned_config(root, videos), engine="inline")
    after = manifest_times(root)
    new = {name.split("/")[0]: name for name in after.keys() - before.keys() if "totals" not in name}
    assert before.items() <= after.items()
    assert sorted(name.rsplit("/", 1)[1] for name in new.values()) == ["00004.manifest.json", "00004.manifest.json"]
    assert report.new_partitions == 1
    assert len({name.split("/")[1] for name in after if name.startswith("toy_totals/")}) == 2
