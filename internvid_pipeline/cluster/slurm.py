"""A config as an sbatch script: a Ray cluster of the allocation's nodes, the run on its first node, and the end of the time limit turned
into a requeue, which goes on where it stopped.

The script starts head and workers itself. `ray symmetric-run` does that too, but gives the nodes 30 s to come together, which a cold
Python environment on a network file system does not keep.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from internvid_pipeline.cluster.groups import WorkerGroup
from internvid_pipeline.cluster.submission import STOP_WAIT_S, RunOptions, root_key
from internvid_pipeline.config import DatasetConfig, to_yaml

_END_OF_CONFIG = "END_OF_INTERNVID_CONFIG"
_BODY = r"""
set -euo pipefail

PYTHON={python}
work=$(mktemp -d)
cat > "$work/config.yaml" <<'{end}'
{config}{end}

# The script runs on the first node, which is the head. Nobody else on the machine may use this cluster: it has a token of its own.
head_ip=$(hostname --ip-address | cut -d' ' -f1)
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$("$PYTHON" -c 'import secrets; print(secrets.token_hex(32))')
export RAY_USAGE_STATS_ENABLED=0
started=()
driver=
requeue=

finish() {{
  for process in "${{started[@]}}"; do kill -TERM "$process" 2>/dev/null || true; done
  wait || true
  rm -rf "$work"
}}
trap finish EXIT
# Sent {warning_s} s before the time limit: the run stops in order, and the job is queued again.
trap 'requeue=yes; [ -z "$driver" ] || kill -TERM "$driver"' USR1
trap '[ -z "$driver" ] || kill -TERM "$driver"' TERM INT

start=("$PYTHON" -m ray.scripts.scripts start --block --disable-usage-stats --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus={gpus}{custom})
head=(--head --node-ip-address="$head_ip" --port="$port" --include-dashboard=false --temp-dir="$work/ray")
"${{start[@]}}" "${{head[@]}}" > "$work/head.log" 2>&1 &
started+=($!)
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
  each=(--nodes="$others" --ntasks="$others" --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" --exclude="$(hostname)")
  srun "${{each[@]}}" "${{start[@]}}" --address="$head_ip:$port" &
  started+=($!)
fi

"$PYTHON" -m internvid_pipeline.cluster.bootstrap
RAY_ADDRESS="$head_ip:$port" "$PYTHON" -m internvid_pipeline.cli.main job "$work/config.yaml" --nodes "$SLURM_JOB_NUM_NODES"{options} &
driver=$!
status=0
wait "$driver" || status=$?
while kill -0 "$driver" 2>/dev/null; do status=0; wait "$driver" || status=$?; done  # a signal ends `wait`, not the run
if [ -n "$requeue" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""
_WARNING_S = STOP_WAIT_S + 80


def sbatch_script(
    config: DatasetConfig, data: Mapping[str, Any], groups: Sequence[WorkerGroup], options: RunOptions, nodes: int, python: str
) -> str:
    """The script. data: the job's resolved config. Slurm's nodes are all of one kind: the largest that any group asks for."""
    cpus, gpus = max(group.cpus for group in groups), max(group.gpus for group in groups)
    custom = {name: amount for group in groups for name, amount in group.custom.items()}
    directives = {
        "job-name": f"internvid-{config.name}-{root_key(data['root'])}",
        "nodes": nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": cpus,
        "mem": f"{max(group.memory_mb for group in groups)}M",
        **({"gpus-per-node": gpus} if gpus else {}),
        "time": "24:00:00",
        "signal": f"B:USR1@{_WARNING_S}",
        "dependency": "singleton",  # of two jobs of one name the second waits: one data set is run once at a time
        "open-mode": "append",
    }
    lines = ["#!/bin/bash", *(f"#SBATCH --{name}={value}" for name, value in directives.items()), "#SBATCH --requeue"]
    body = _BODY.format(
        python=shlex.quote(python),
        end=_END_OF_CONFIG,
        config=to_yaml(dict(data)),
        warning_s=_WARNING_S,
        gpus=gpus,
        custom=f" --resources={shlex.quote(json.dumps(custom))}" if custom else "",
        options="".join(f" {shlex.quote(word)}" for word in options.words()),
    )
    return "\n".join(lines) + "\n" + body
