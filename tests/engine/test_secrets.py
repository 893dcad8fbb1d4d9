"""Credentials come from the environment and stay there: they are in nothing that a run writes or says."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.faulty_s3 import faulty
from tests.s3 import S3

REPO = Path(__file__).resolve().parents[2]
SIGNATURE = "a1b2c3d4e5f60718293a4b5c6d7e8f90"
SIGNED = f"https://videos.example/seven.mp4?X-Amz-Expires=300&X-Amz-Signature={SIGNATURE}"
SECRETS = {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY", "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjEXAMPLETOKEN=="}


@pytest.mark.ray
def test_a_run_tells_nobody_its_credentials(s3: S3, tmp_path: Path, numbers_folder: Path):
    """On Ray over S3, with items that fail, a stage that says the secret aloud, an input with a signed address, and at last a store that
    refuses: nothing of what lies in the bucket, on the disk, in Ray's logs or in the output holds the secrets. The signed address stands
    in the tables, which are data, and nowhere else."""
    stages: dict[str, Any] = {"tests.toy_stages:Numbers": {"with_media": True}, "tests.toy_stages:Squares": {"says_secret": [3]}}
    outputs = b""
    (tmp_path / "s").mkdir()
    ray_folder = Path("/tmp") / f"iv-{os.getpid()}"
    s3.bucket("secrets")
    with faulty(s3.env["AWS_ENDPOINT_URL"], seed=3, share=0.1) as store:
        more = {"AWS_ENDPOINT_URL": store.url, "TMPDIR": str(tmp_path / "s"), "RAY_TMPDIR": str(ray_folder), "PYTHONPATH": str(REPO)}
        env = {**os.environ, **s3.env, **SECRETS, **more, "INTERNVID_LOG_FORMAT": "json"}
        for share, wanted in ((0.05, 1), (1.0, 3)):
            store.set(share=share, kinds=["internal", "cut_before", "cut_after"])
            command = [sys.executable, "-m", "internvid_pipeline.cli.main", "run", write(tmp_path, numbers_folder, stages)]
            env |= {"INTERNVID_STORAGE_RETRY_S": "20" if wanted == 1 else "3"}
            done = subprocess.run([*command, "--log-format", "json"], env=env, cwd=REPO, capture_output=True, timeout=250)
            outputs += done.stdout + done.stderr
            assert done.returncode == wanted, done.stderr[-2000:]
        found = {path: s3.filesystem.cat_file(path) for path in s3.filesystem.find("secrets")}
    for folder in (tmp_path, ray_folder):
        found |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    import shutil

    shutil.rmtree(ray_folder, ignore_errors=True)
    assert any("manifest" in path for path in found), "the bucket was not searched"
    assert any(path.endswith((".log", ".out", ".err")) for path in found), f"Ray's logs were not searched: {sorted(found)[-20:]}"
    found["output"] = outputs
    told = [(path, name) for path, data in found.items() for name, secret in SECRETS.items() if secret.encode() in data]
    assert told == []
    signed = [path for path, data in found.items() if SIGNATURE.encode() in data and not path.endswith((".parquet", "inputs.txt"))]
    assert signed == []
    named = [path for path, data in found.items() if b"seven.mp4" in data and path.startswith(str(ray_folder))]
    assert named, "the failure is logged by its address, without the signature"


def write(folder: Path, source: Path, stages: dict[str, Any]) -> str:
    import json

    config = folder / "config.yaml"
    placement = {"workers": 1, "partition_attempts": 2, "stages": {"toy_squares": {"deadline_factor": 60}}}
    listed = folder / "inputs.txt"
    listed.write_text("\n".join([*map(str, sorted(source.iterdir())), SIGNED]))
    raw = {"root": "s3://secrets/set", "source": {"path": str(listed), "partition_videos": 11}, "stages": stages, "placement": placement}
    config.write_text(json.dumps({**raw, "max_failed_ratio": 0.01}))
    return str(config)
