"""Speech is searched, shown with its times, and counted in the report, where the set has a table of it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from internvid_pipeline import records
from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.config import config_from, from_yaml
from internvid_pipeline.engine import run_dataset
from internvid_pipeline.engine.read_items import read_rows
from internvid_pipeline.report.facts import gather
from internvid_pipeline.report.reading import record_type
from tests.browse.conftest import Client, serve
from tests.made_stages import made_config

pytestmark = pytest.mark.skipif(record_type("SpeechRecord") is None, reason="this version has no table of speech")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("spoken")
    raw = made_config(folder / "root", folder / "videos", num_videos=6).model_dump(mode="json")
    stages = {}
    for name, fields in raw["stages"].items():
        stages[name] = fields
        if name.endswith("MadeClips"):
            stages["tests.browse.speech_stage:MadeSpeech"] = {}
    report = run_dataset(config_from({**raw, "stages": stages}), engine="inline")
    assert not report.errors and not any(status.failed for status in report.statuses)
    yield from serve(folder / "root")


def test_its_language_is_a_filter_and_a_rule(spoken: Client):
    """Counted, written down, and run: the same clips. Its words can be rules too."""
    names = {entry["value"]: entry["clips"] for entry in spoken.get("set")["names"]["speech_languages"]}
    assert set(names) == {"zh", "ar", "en", ""} and sum(names.values()) == spoken.get("set")["clips"]
    asked = {
        "chinese": {"wanted": {"speech_languages": ["zh"]}},
        "not_english": {"wanted": {"speech_languages": ["ar", ""]}},
        "world": {"wanted": {"search": "world", "search_in": "speech"}, "with_search": True},
    }
    expected = {"chinese": names["zh"], "not_english": names["ar"] + names[""], "world": names["zh"] + names["ar"]}
    selections = {}
    for name, more in asked.items():
        found = spoken.post("yaml", {"name": name, **more})
        assert found["kept"] == expected[name]
        assert len(spoken.clips(show="kept" if name != "world" else "all", wanted=more["wanted"])) == expected[name]
        selections |= from_yaml(found["yaml"])["stages"]["select_clips"]["selections"]
    opened, config, _, _ = open_dataset(str(spoken.root))
    changed = config.model_copy(update={"stages": {**config.stages, "select_clips": {"selections": selections}}})
    assert not run_dataset(changed, engine="inline").errors
    opened, _, plans, partitions = open_dataset(str(spoken.root))
    plan = next(plan for plan in plans if plan.build().writes is records.SelectionRecord)
    kept = Counter(row.selection for one in partitions for row in read_rows(opened, plan.folder, one, records.SelectionRecord))
    run_dataset(config, engine="inline")
    assert kept == expected


@pytest.mark.parametrize(("words", "text"), [("世界", "你好，世界"), ("بالعالم", "مرحبا بالعالم"), ("hello world", None)])
def test_it_is_searched_in_its_language_and_in_its_translation(spoken: Client, words: str, text: str | None):
    found = spoken.clips(wanted={"search": words, "search_in": "speech"})
    assert found and len(found) < spoken.get("set")["clips"]
    for clip in found:
        (row,) = spoken.get(f"clip?n={clip['number']}")["speech"]
        assert row["text"] == text if text else row["translation"] == "Hello, world"
    assert not spoken.clips(wanted={"search": words, "search_in": "captions"})


def test_it_is_shown_with_its_times(spoken: Client):
    assert spoken.get("set")["has_speech"]
    clip = spoken.clips(wanted={"search": "世界"})[0]
    (row,) = spoken.get(f"clip?n={clip['number']}")["speech"]
    (utterance,) = row["transcripts"][0]["utterances"]
    assert (utterance["start_s"], utterance["end_s"], utterance["text"]) == (0.2, 0.8, "你好，世界")


def test_the_report_counts_it(spoken: Client, tmp_path: Path):
    opened, config, plans, partitions = open_dataset(str(spoken.root))
    facts = gather(opened, config.name, plans, partitions, made_at="now")
    figure = next(figure for figure in facts.figures if figure.name == "speech_languages")
    assert {bar.label for bar in figure.bars} <= {"zh", "ar", "en"} and figure.total == sum(
        row.rows for row in facts.stages if row.stage == "made_speech"
    )
    assert any(row.model.role == "speech" and row.model.is_stand_in for row in facts.models)
