"""Publishing to a server that speaks the Hub's API: what is sent, what is kept, what readers get, and what happens when it goes wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from internvid_pipeline.cli.dataset import open_dataset
from internvid_pipeline.exporters.samples import read_samples
from tests.exporters.hub_server import Hub

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture
def hub():
    server = Hub()
    yield server
    server.server.shutdown()
    server.server.server_close()


def environment(hub: Hub, home: Path, token: str = "hf_test") -> dict[str, str]:
    more = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
    more |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return {**os.environ, **more, "PYTHONPATH": str(REPO)}


def command(root: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "internvid_pipeline.cli.main", "export", "hf", str(root), "--repo", "me/made", *more]


def publish(hub: Hub, root: Path, home: Path, *more: str, token: str = "hf_test") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(root, *more), env=environment(hub, home, token), cwd=REPO, capture_output=True, text=True, timeout=240)


READ_BACK = """
import json, sys
from datasets import Video, load_dataset
from huggingface_hub import snapshot_download
found = {}
for streaming in (True, False):
    clips = load_dataset("me/made", "best", split="train", streaming=streaming).cast_column("mp4", Video(decode=False))
    found[f"clips {streaming}"] = [[row["__key__"], row["txt"], len(row["mp4"]["bytes"]), row["json"]["clip_id"]] for row in clips]
rows = load_dataset("me/made-metadata", "best", split="train")
found["rows"] = [[row["clip_id"], row["caption"], row["score_alignment"], row["title"], row["video_language"]] for row in rows]
found["default"] = load_dataset("me/made", split="train").num_rows
import wids
folder = snapshot_download("me/made", repo_type="dataset")
by_number = wids.ShardListDataset(f"{folder}/data/best/index.json", cache_dir="wids", keep=True)
samples = [by_number[number] for number in range(len(by_number))]
found["wids"] = [[one["__key__"], one[".txt"], len(one[".mp4"].read()), one[".json"]["clip_id"]] for one in samples]
print(json.dumps(found))
"""


@pytest.mark.timeout(400)
def test_what_readers_get_is_what_the_tables_say(hub: Hub, made_set: Path, tmp_path: Path):
    done = publish(hub, made_set, tmp_path)
    assert done.returncode == 0, done.stderr
    assert hub.private == {"me/made": True, "me/made-metadata": True}
    read = subprocess.run(
        [sys.executable, "-c", READ_BACK], env=environment(hub, tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert read.returncode == 0, read.stderr[-3000:]
    found = json.loads(read.stdout.splitlines()[-1])
    root, _, plans, partitions = open_dataset(str(made_set))
    samples = list(read_samples(root, plans, partitions, "best"))
    expected = [[one.clip.clip_id, one.caption, one.scores["alignment"], one.video.title, one.video.language] for one in samples]
    assert found["rows"] == expected
    clips = sorted([one.clip.clip_id, one.caption, one.clip.media.size_bytes, one.clip.clip_id] for one in samples)
    assert sorted(found["clips True"]) == sorted(found["clips False"]) == sorted(found["wids"]) == clips
    files = hub.repos["me/made"]
    shards = [name for name in files if name.endswith(".tar")]
    assert shards and all(files[f"{name}.idx"][-8:] == (len(files[name]) - 1024).to_bytes(8, "little") for name in shards)
    assert found["default"] == len(list(read_samples(root, plans, partitions, "default")))
    assert "hf_test" not in done.stdout + done.stderr


def test_the_card_is_one(hub: Hub, made_set: Path, tmp_path: Path):
    assert publish(hub, made_set, tmp_path, "--licence", "cc-by-4.0", "--contact", "people@example.org", "--public").returncode == 0
    assert hub.private == {"me/made": False, "me/made-metadata": False}
    text = hub.repos["me/made"]["README.md"].decode()
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    assert header["language"] == ["ar", "en", "zh"]
    assert [config["config_name"] for config in header["configs"]] == ["default", "best"]
    for words in ("top 0.4 by alignment", "made-captioner", "0123abc", "stand-in", "people@example.org", "| default | 36 | 12 |", "CC-BY"):
        assert words in text
    assert "<b>" not in text


def test_only_what_changed_is_sent_again(hub: Hub, made_set: Path, tmp_path: Path):
    first = publish(hub, made_set, tmp_path, "--json")
    sent = json.loads(first.stdout)
    shards = [name for name in hub.repos["me/made"] if name.endswith(".tar")]
    beside = [*(f"{name}.idx" for name in shards), "data/default/index.json", "data/best/index.json", "README.md"]
    assert sent[0]["sent"] == len(shards) + len(beside)
    hub.requests.clear()
    again = json.loads(publish(hub, made_set, tmp_path, "--json").stdout)
    assert [(one["sent"], one["commits"]) for one in again] == [(0, 0), (0, 0)]
    assert hub.uploads() == []
    spoiled = shards[-1]
    hub.repos["me/made"][spoiled] = b"another"
    hub.repos["me/made"]["data/default/000/99999-00000.tar"] = b"of an earlier version"
    hub.repos["me/made"]["notes.md"] = b"the owner's"
    plan = json.loads(publish(hub, made_set, tmp_path, "--json", "--dry-run").stdout)[0]
    assert (plan["send"], plan["delete"]) == ([spoiled], ["data/default/000/99999-00000.tar"])
    assert hub.repos["me/made"][spoiled] == b"another", "a dry run changes nothing"
    mended = json.loads(publish(hub, made_set, tmp_path, "--json").stdout)[0]
    assert (mended["sent"], mended["deleted"]) == (1, 1)
    assert sorted(hub.repos["me/made"]) == sorted([*shards, *beside, "notes.md"])


def test_a_busy_hub_is_waited_for(hub: Hub, made_set: Path, tmp_path: Path):
    hub.refusals = {"/preupload/": [503, 429], "/commit/": [500], "/repos/create": [502], "/tree/": [429]}
    done = publish(hub, made_set, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not any(hub.refusals.values())
    assert "README.md" in hub.repos["me/made"]


@pytest.mark.kill
def test_a_killed_upload_goes_on(hub: Hub, made_set: Path, tmp_path: Path):
    """Killed after its first blobs: nothing that arrived is sent twice."""
    hub.slow_s = 0.5
    process = subprocess.Popen(command(made_set), env=environment(hub, tmp_path), cwd=REPO, start_new_session=True)
    deadline = time.monotonic() + 120
    while not hub.blobs and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert hub.blobs, "it was killed in the middle"
    time.sleep(1.0)  # what was on its way arrives or breaks off
    arrived = set(hub.blobs)
    hub.requests.clear()
    hub.slow_s = 0.0
    done = publish(hub, made_set, tmp_path)
    assert done.returncode == 0, done.stderr
    sent = hub.uploads()
    assert not arrived & set(sent) and len(sent) == len(set(sent))
    wanted = {path.name for path in (made_set / "shards").rglob("*.tar")}
    assert {name.rsplit("/", 1)[-1] for name in hub.repos["me/made"] if name.endswith(".tar")} == wanted


def test_a_removal_is_pushed(hub: Hub, made_set: Path, tmp_path: Path):
    """The repositories then hold nothing of the video, and only what it was in is sent again."""
    root = tmp_path / "root"
    shutil.copytree(made_set, root)
    (root / "dataset.yaml").write_text((made_set / "dataset.yaml").read_text().replace(str(made_set), str(root)))
    assert publish(hub, root, tmp_path, "--licence", "cc-by-4.0").returncode == 0
    gone = "youtube-00000000003"
    assert any(gone.encode() in data for data in hub.repos["me/made"].values())
    hub.requests.clear()
    line = [sys.executable, "-m", "internvid_pipeline.cli.main", "remove", str(root), "--video-id", gone, "--yes", "--json"]
    done = subprocess.run(line, env=environment(hub, tmp_path), cwd=REPO, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["repo"] for one in report["pushed"]] == ["me/made", "me/made-metadata"]
    assert len(hub.uploads()) <= len(report["shards"]) + 2 * 2, "changed shards and tables, nothing else"
    for repo in ("me/made", "me/made-metadata"):
        for name, data in hub.repos[repo].items():
            assert gone.encode() not in data, name
            if name.endswith(".parquet"):
                (tmp_path / "table.parquet").write_bytes(data)
                assert gone not in str(pq.read_table(tmp_path / "table.parquet").to_pylist())
    assert "cc-by-4.0" in hub.repos["me/made"]["README.md"].decode()


def test_ids_only(hub: Hub, made_set: Path, tmp_path: Path):
    assert publish(hub, made_set, tmp_path, "--ids-only", "-s", "default").returncode == 0
    assert list(hub.repos) == ["me/made"]
    names = sorted(hub.repos["me/made"])
    assert names == ["README.md", "data/default/00000.parquet"]
    (tmp_path / "ids.parquet").write_bytes(hub.repos["me/made"][names[1]])
    rows = pq.read_table(tmp_path / "ids.parquet").to_pylist()
    assert len(rows) == 36
    assert rows[0] == {
        "YoutubeID": "00000000000",
        "Start_timestamp": "00:00:00.000",
        "End_timestamp": "00:00:03.000",
        "Caption": "A made caption of youtube-00000000000_000000000_000003000, fused",
        "Aesthetic_Score": rows[0]["Aesthetic_Score"],
        "UMT_Score": rows[0]["UMT_Score"],
    }


@pytest.mark.parametrize(
    ("more", "token", "status", "words"),
    [
        (["--repo", "no-slash"], "hf_test", 2, "is no repository"),
        (["--repo", "me/../x"], "hf_test", 2, "is no repository"),
        (["-s", "nothing"], "hf_test", 2, "there are default, best"),
        ([], "hf_wrong", 3, "log in with `hf auth login`"),
    ],
)
def test_refusals(hub: Hub, made_set: Path, tmp_path: Path, more: list[str], token: str, status: int, words: str):
    done = publish(hub, made_set, tmp_path, *more, token=token)
    assert (done.returncode, words in done.stderr) == (status, True), done.stderr
    assert done.stderr.count("\n") == 1
    assert token not in done.stderr


def test_an_unfinished_set_is_refused(hub: Hub, made_set: Path, tmp_path: Path):
    part = tmp_path / "part"
    shutil.copytree(made_set, part)
    for manifest in (part / "write_shards").rglob("00001.manifest.json"):
        manifest.unlink()
    done = publish(hub, part, tmp_path)
    assert done.returncode == 2
    assert "is not done in 1 of 3 partitions" in done.stderr
    assert not hub.repos.get("me/made")
