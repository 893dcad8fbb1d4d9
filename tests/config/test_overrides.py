"""`key=value` on the command line."""

from typing import Any

import pytest

from internvid_pipeline.config import config_from
from internvid_pipeline.errors import UsageError
from internvid_pipeline.registry import build_stages

NUMBERS, SQUARES = "tests.toy_stages:Numbers", "tests.toy_stages:Squares"


def config_with(*overrides: str) -> Any:
    return config_from({"root": "out", "stages": {NUMBERS: None, SQUARES: {"prompt": "old"}}}, overrides)


@pytest.mark.parametrize(
    ("override", "attribute", "value"),
    [
        ("source.partition_videos=7", "partition_videos", 7),
        ("source.partition_videos=null", "partition_videos", None),
        ("source.extensions=[mp4, webm]", "extensions", ("mp4", "webm")),
        ("source.path=videos/a b", "path", "videos/a b"),
        ("source.path=2024", "path", "2024"),
        ("source.path=007", "path", "007"),
        ("source.path=yes", "path", "yes"),
        ("source.path=~", "path", "~"),
        ("source.path=null", "path", "null"),
        ("source.path=2024-01-01", "path", "2024-01-01"),
        ("source.path=*.mp4", "path", "*.mp4"),
        ("source.path=[ab]*/{x}.mp4", "path", "[ab]*/{x}.mp4"),
        ("source.path=a=b&c", "path", "a=b&c"),
        ("source.path=a: b # c", "path", "a: b # c"),
        ("source.path=C:\\videos", "path", "C:\\videos"),
        ("source.path=", "path", ""),
    ],
)
def test_values_of_the_source(override: str, attribute: str, value: Any):
    assert getattr(config_with(override).source, attribute) == value


def test_root_and_name_are_text_whatever_they_look_like():
    config = config_with("root=12", "name=34")
    assert (config.root, config.name) == ("12", "34")
    assert config_with("root=@home").root == "@home"


def test_fields_of_stages_and_placement():
    config = config_with(
        f"stages.{SQUARES}.prompt='new words: and more'",
        f"stages.{NUMBERS}.copies=3",
        "placement.stages.toy_squares.cpus=0.5",
        "placement.isolate=false",
        "max_failed_ratio=0.5",
    )
    numbers, squares = build_stages(config)
    assert numbers.config.copies == 3
    assert squares.config.prompt == "new words: and more"
    assert config.placement.of("toy_squares").cpus == 0.5
    assert config.placement.isolate is False
    assert config.max_failed_ratio == 0.5


def test_a_stage_can_be_added_and_the_last_override_wins():
    config = config_with("stages.tests.toy_stages:Totals={}", "name=a", "name=b")
    assert list(config.stages)[-1] == "tests.toy_stages:Totals"
    assert config.name == "b"


@pytest.mark.parametrize("override", ["root", "=x", "", "a..b=1", ".root=x", "root.=x"])
def test_what_is_no_override(override: str):
    with pytest.raises(UsageError, match=r"write key=value, such as source\.path=videos"):
        config_with(override)


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("name.first=x", "has no fields"),
        ("stages=3", "stages = 3"),
        ("source.pth=x", "did you mean 'path'"),
        ("placement.stages.toy_squares.cpu=1", "did you mean 'cpus'"),
        ("source.partition_videos=[1", "the value is not YAML"),
        ("source.partition_videos=2024-13-45", "the value is not YAML"),
        ("source.partition_videos=many", "source.partition_videos = 'many'"),
        ("rot=x", "did you mean 'root'"),
    ],
)
def test_a_wrong_override_says_what_is_wrong(override: str, wanted: str):
    with pytest.raises(UsageError) as caught:
        config_from({"name": "a", "root": "out", "stages": {NUMBERS: None}}, [override])
    assert wanted in str(caught.value)
    assert len(" ".join(str(caught.value).split())) < 400
