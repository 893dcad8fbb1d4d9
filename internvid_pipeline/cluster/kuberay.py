"""A config as a RayJob for the KubeRay operator: a ConfigMap with the resolved config, a head that does no work, and groups of workers
between which the autoscaler moves. Library and dependencies come with the image; credentials from a Secret of the cluster."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from internvid_pipeline.cluster.groups import WorkerGroup
from internvid_pipeline.cluster.submission import STOP_WAIT_S, RunOptions, root_key
from internvid_pipeline.config import DatasetConfig, to_yaml

_CONFIG_FOLDER = "/etc/internvid"
_CONFIG_NAME = "config.yaml"
_SCRATCH = "/scratch"
_LONGEST_NAME = 47  # KubeRay's own bound, so that the names it derives fit into Kubernetes' 63
_WAIT_FOR_NODES_S = 900.0
_IDLE_S = 300


def rayjob_yaml(
    config: DatasetConfig,
    data: Mapping[str, Any],
    groups: Sequence[WorkerGroup],
    options: RunOptions,
    image: str,
    ray_version: str,
    secret: str | None = None,
) -> str:
    """Two YAML documents for `kubectl create -f -`. data: the job's resolved config. secret: name of a Secret whose keys become variables
    of every container. `create` refuses a second job on the same root while the first is there: their names are equal."""
    name = rayjob_name(config.name, data["root"])
    placement = {**data["placement"], "wait_for_nodes_s": data["placement"].get("wait_for_nodes_s") or _WAIT_FOR_NODES_S}
    job_data = {**data, "placement": placement}
    labels = {"app.kubernetes.io/name": "internvid", "app.kubernetes.io/instance": name}
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {_CONFIG_NAME: to_yaml(job_data)},
    }
    words = ["python", "-m", "internvid_pipeline.cli.main", "job", f"{_CONFIG_FOLDER}/{_CONFIG_NAME}", *options.words()]
    job = {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "entrypoint": " ".join(words),  # no shell operators: the operator splits it into words
            "runtimeEnvYAML": to_yaml({"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)}}),
            "backoffLimit": 2,  # a new cluster after a failure goes on where the last one stopped
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": 600,
            "rayClusterSpec": {
                "rayVersion": ray_version,
                "enableInTreeAutoscaling": True,
                "autoscalerOptions": {"version": "v2", "upscalingMode": "Default", "idleTimeoutSeconds": _IDLE_S},
                "headGroupSpec": _head(image, name, secret),
                "workerGroupSpecs": [_workers(group, image, secret) for group in groups],
            },
        },
    }
    return f"{to_yaml(config_map)}---\n{to_yaml(job)}"


def rayjob_name(name: str, root: str) -> str:
    """A name that Kubernetes takes: small letters, digits, dashes."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    room = _LONGEST_NAME - len("internvid--") - 8
    return f"internvid-{slug[:room].strip('-') or 'set'}-{root_key(root)}"


def _head(image: str, name: str, secret: str | None) -> dict[str, Any]:
    container = {
        **_container("ray-head", image, secret, cpus=2, memory_mb=8000, gpus=0),
        "ports": [
            {"containerPort": 6379, "name": "gcs-server"},
            {"containerPort": 8265, "name": "dashboard"},
            {"containerPort": 8080, "name": "metrics"},
        ],
        "volumeMounts": [{"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True}, *_scratch_mount()],
    }
    volumes = [{"name": "config", "configMap": {"name": name}}, {"name": "scratch", "emptyDir": {}}]
    # Without CPUs no stage is placed on the head: one that runs out of memory there would end the cluster.
    return {"rayStartParams": {"num-cpus": "0"}, "template": {"spec": {"containers": [container], "volumes": volumes}}}


def _workers(group: WorkerGroup, image: str, secret: str | None) -> dict[str, Any]:
    container = {**_container("ray-worker", image, secret, group.cpus, group.memory_mb, group.gpus), "volumeMounts": _scratch_mount()}
    spec: dict[str, Any] = {
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "terminationGracePeriodSeconds": 60,  # a partition under way is committed or given up within 30 s
    }
    if group.gpus:
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    parameters = {"resources": json.dumps(json.dumps(dict(group.custom)))} if group.custom else {}
    return {
        "groupName": group.name,
        "replicas": max(1, group.nodes.fewest),
        "minReplicas": group.nodes.fewest,
        "maxReplicas": group.nodes.most,
        "rayStartParams": parameters,
        "template": {"spec": spec},
    }


def _container(name: str, image: str, secret: str | None, cpus: int, memory_mb: int, gpus: int) -> dict[str, Any]:
    amounts = {"cpu": str(cpus), "memory": f"{memory_mb}M", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    container: dict[str, Any] = {
        "name": name,
        "image": image,
        "resources": {"limits": dict(amounts), "requests": dict(amounts)},
        "env": [{"name": "TMPDIR", "value": _SCRATCH}],
    }
    return {**container, "envFrom": [{"secretRef": {"name": secret}}]} if secret else container


def _scratch_mount() -> list[dict[str, Any]]:
    return [{"name": "scratch", "mountPath": _SCRATCH}]
