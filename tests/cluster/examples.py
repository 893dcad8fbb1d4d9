"""The examples in configs/cluster/: `python -m tests.cluster.examples` writes them anew."""

import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
_ON_S3 = ["internvid", "root=s3://bucket/internvid", "source.path=s3://bucket/videos"]
_KUBERAY = ["--kuberay", "--image", "registry.example.com/internvid:0.1.0", "--secret", "object-store"]
EXAMPLES = {
    "kuberay-internvid.yaml": [*_ON_S3, *_KUBERAY, "--cpu-nodes", "1:40", "--gpu-nodes", "1:16"],
    "slurm-internvid.sbatch": [*_ON_S3, "--slurm", "--nodes", "8", "--cpus-per-node", "32", "--gpus-per-node", "4"],
}


def example(name: str) -> str:
    """What `internvid launch` prints for it. The version of Ray is the one that is installed."""
    command = [sys.executable, "-m", "internvid_pipeline.cli.main", "launch", *EXAMPLES[name]]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    for name in EXAMPLES:
        (REPO / "configs" / "cluster" / name).write_text(example(name))
