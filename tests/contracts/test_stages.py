"""The contract of `stage.Stage`, over every stage in stages/: a new file there is picked up by itself."""

import dataclasses
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from internvid_pipeline.config import explain, fingerprint_of, result_fields
from internvid_pipeline.records import schema_of
from internvid_pipeline.registry import build_stage, stage_class, stage_names
from internvid_pipeline.stage import Resources, Stage

REPO = Path(__file__).resolve().parents[2]


def test_there_are_stages():
    assert {"import_videos", "cut_clips", "caption_clips", "score_alignment", "select_clips", "write_shards"} <= set(stage_names())


@pytest.mark.parametrize("name", stage_names())
class TestStage:
    def test_names_agree(self, name: str):
        cls = stage_class(name)
        assert cls.name == name
        assert cls.__module__ == f"stages.{name}"
        assert isinstance(cls.version, int) and cls.version >= 1
        verb, _, thing = name.partition("_")
        assert verb and thing, "a stage is named verb_object"

    def test_reads_and_writes_records(self, name: str):
        cls = stage_class(name)
        for record in (cls.reads, cls.writes, *cls.joins):
            assert dataclasses.is_dataclass(record)
            assert len(schema_of(record)) >= 2
            assert "item_id" in dir(record), "rows must be nameable in drops and failures"

    def test_only_process_is_abstract(self, name: str):
        assert Stage.__abstractmethods__ == {"process"}
        assert not inspect.isabstract(stage_class(name))

    def test_defaults_build(self, name: str):
        stage = build_stage(name, {})
        assert isinstance(stage.config, BaseModel)
        assert isinstance(stage.resources, Resources)
        assert stage.resources.cpus > 0 and stage.resources.memory_mb >= 100
        assert isinstance(stage.needs_reduce, bool)

    def test_constructor_touches_nothing(self, name: str):
        """Building a stage with its default config, in a process of its own, imports no model library and opens no file for writing."""
        probe = (
            "import sys, builtins, io\n"
            "opened = []\n"
            "writes = lambda mode: isinstance(mode, str) and bool(set(mode) & set('wax+'))\n"
            "sys.addaudithook(lambda event, args: opened.append(args[0]) if event == 'open' and writes(args[1]) else None)\n"
            "sys.addaudithook(lambda event, args: opened.append(event) if event in ('socket.connect', 'subprocess.Popen') else None)\n"
            "from internvid_pipeline.registry import build_stage\n"
            f"build_stage({name!r}, {{}})\n"
            "heavy = {'torch', 'transformers', 'open_clip', 'ray'} & set(sys.modules)\n"
            "assert not heavy, heavy\n"
            "assert not opened, opened\n"
        )
        done = subprocess.run([sys.executable, "-B", "-c", probe], cwd=REPO, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    def test_config_travels(self, name: str):
        """A worker builds the same stage from the plain fields that the plan carries."""
        stage = build_stage(name, {})
        again = build_stage(name, stage.config.model_dump(mode="json"))
        assert fingerprint_of(result_fields(again.config)) == fingerprint_of(result_fields(stage.config))
        assert pickle.loads(pickle.dumps(stage.config)) == stage.config

    def test_every_field_is_explained(self, name: str):
        for field in explain(stage_class(name).config_type, f"stages.{name}"):
            assert len(field.meaning) > 10, f"{field.path} has no meaning"

    def test_refuses_unknown_keys(self, name: str):
        from internvid_pipeline.errors import UsageError

        with pytest.raises(UsageError, match=f"stages.{name}: unknown key 'no_such_key'"):
            build_stage(name, {"no_such_key": 1})

    def test_has_a_test_of_its_own(self, name: str):
        assert (REPO / "tests" / "stages" / f"test_{name}.py").is_file()
