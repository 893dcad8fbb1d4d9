"""Checks on the cluster itself, at the start of a job: what would otherwise end a run after hours, or never let it begin, is said in
one line in seconds."""

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from internvid_pipeline.cluster.marks import CHECKED
from internvid_pipeline.cluster.packages import packages_of
from internvid_pipeline.cluster.shipment import local_places
from internvid_pipeline.config import DatasetConfig
from internvid_pipeline.engine import StagePlan, open_root
from internvid_pipeline.engine import ray as ray_engine
from internvid_pipeline.engine.segments import Node, cut_segments
from internvid_pipeline.errors import InternvidError, SetupError, StorageError
from internvid_pipeline.storage import Root, layout
from internvid_pipeline.storage.secrets import redacted

_STORE_DEADLINE_S = 20.0  # a driver that finds nobody tries for minutes
_NODES_DEADLINE_S = 25.0
_JOIN_DEADLINE_S = 600.0
_MOST_NODES = 64  # of a larger cluster, so many are looked at: of each kind some

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClusterNode:
    """A machine of the cluster. resources: by Ray's names."""

    id: str
    host: str
    resources: Mapping[str, float]


def check_cluster(config: DatasetConfig, plans: Sequence[StagePlan], num_nodes: int = 1) -> str:
    """Connects to the cluster of this job and checks storage, resources, and each node's packages. num_nodes: first waits
    until so many have joined, for a bounded time. Returns what was checked, in one line. Raises SetupError, StorageError, UsageError."""
    root = open_root(config)
    try:
        within(_STORE_DEADLINE_S, root.check_writable, f"the root {root.uri}")
    except StorageError as error:
        raise StorageError(f"seen from the head of the cluster: {error}{_credentials_advice(root)}") from error
    ray_engine.start("auto")
    nodes = _nodes(num_nodes)
    if not config.placement.wait_for_nodes_s:  # an autoscaling cluster is asked for what is missing, by the engine
        _check_resources(plans, nodes)
    chosen = _chosen(nodes)
    with _seen_file(root) as token:
        silent = _check_nodes(config, plans, root, chosen, token)
    words = f"{CHECKED} {len(chosen)} of {len(nodes)} nodes: packages, and that they write to {root.uri}"
    return words + (f"; no answer in time from {', '.join(silent)}" if silent else "")


def within(deadline_s: float, work: Callable[[], T], what: str) -> T:
    """The result of `work`, done in a thread that is left behind when it takes too long. Raises what it raises; StorageError after the
    deadline."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed on to the caller
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(deadline_s)
    if errors:
        raise errors[0]
    if not results and thread.is_alive():
        raise StorageError(f"{what} gave no answer within {deadline_s:.0f} s; check its endpoint (AWS_ENDPOINT_URL) and the network")
    return results[0]


def _credentials_advice(root: Root) -> str:
    if root.is_local:
        return "; every node must see this folder, so give a shared one, or an object store (s3://bucket/prefix)"
    return "; give the nodes access, or pass variables on with --env 'AWS_*'"


def _nodes(num_nodes: int) -> list[ClusterNode]:
    import ray

    deadline = time.monotonic() + _JOIN_DEADLINE_S
    while len(alive := [node for node in ray.nodes() if node["Alive"]]) < num_nodes and time.monotonic() < deadline:
        time.sleep(1.0)
    return [ClusterNode(node["NodeID"], node["NodeManagerAddress"], node["Resources"]) for node in alive]


def _check_resources(plans: Sequence[StagePlan], nodes: Sequence[ClusterNode]) -> None:
    try:
        cut_segments(plans, [node.resources for node in nodes])
    except SetupError as error:
        there = [f"{node.resources.get('CPU', 0):g} CPU + {node.resources.get('GPU', 0):g} GPU" for node in nodes]
        kinds = ", ".join(f"{there.count(kind)} x {kind}" for kind in dict.fromkeys(there))
        raise SetupError(f"{error}; the cluster's nodes: {kinds}; for one that grows by itself set placement.wait_for_nodes_s") from error


def _chosen(nodes: Sequence[ClusterNode]) -> list[ClusterNode]:
    """All nodes, or of a large cluster some of each kind."""
    kinds: dict[tuple[Any, ...], list[ClusterNode]] = {}
    for node in nodes:
        kind = tuple(sorted((name, amount) for name, amount in node.resources.items() if name in ("CPU", "GPU")))
        kinds.setdefault(kind, []).append(node)
    each = max(1, _MOST_NODES // max(1, len(kinds)))
    return [node for members in kinds.values() for node in members[:each]]


class _seen_file:
    """A small file in the root while nodes look for it: a folder of the same name on another machine is not the root."""

    def __init__(self, root: Root) -> None:
        self.root, self.path = root, f"{layout.STAGING}/seen-{uuid.uuid4().hex}"

    def __enter__(self) -> str:
        self.root.replace_bytes(self.path, b"internvid")
        return self.path

    def __exit__(self, *error: object) -> None:
        self.root.delete(self.path)


def _check_nodes(config: DatasetConfig, plans: Sequence[StagePlan], root: Root, nodes: Sequence[ClusterNode], token: str) -> list[str]:
    """Looks at each node by a small task on it. Returns the hosts that did not answer. Raises SetupError with what the first lacks."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    places = local_places(config.model_dump(mode="json"))
    tasks = {}
    for node in nodes:
        packages = sorted(
            {package for plan in plans if _can_run(plan, node) for package in packages_of(plan, [root.uri, config.source.path])}
        )
        # No CPUs: it must start on a node that is busy, and on a head that does no work.
        remote = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False))(_probe())
        tasks[remote.remote(packages, root.uri, token, places)] = node
    ready, late = ray.wait(list(tasks), num_returns=len(tasks), timeout=_NODES_DEADLINE_S)
    for task in ready:
        try:
            problem = ray.get(task)
        except ray.exceptions.RayError as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            problem = f"cannot run a task: {redacted(lines[-1].strip())}"
        if problem:
            raise SetupError(f"node {tasks[task].host} {problem}")
    return [tasks[task].host for task in late]


def _can_run(plan: StagePlan, node: ClusterNode) -> bool:
    return Node.of(node.resources).take(plan.needs)


def _probe() -> Callable[..., str]:
    """The task. Made here so that Ray sends its code and does not look for this module: it must run where the library cannot."""

    def probe(packages: list[str], root_uri: str, token: str, places: list[str]) -> str:
        import importlib.util
        import os

        missing = []
        for package in packages:
            try:
                if importlib.util.find_spec(package) is None:
                    missing.append(package)
            except (ImportError, ValueError):
                missing.append(package)
        if missing:
            return f"lacks the package {', '.join(missing)}; install it there, or launch with --pip"
        unseen = [place for place in places if not os.path.exists(place.split("*")[0])]
        if unseen:
            return f"does not see {unseen[0]}; give a folder that all nodes share, or an object store (s3://bucket/prefix)"
        from internvid_pipeline.cluster.preflight import within
        from internvid_pipeline.storage import Root

        root = Root(root_uri)
        try:
            if not within(20.0, lambda: root.exists(token), f"the root {root_uri}"):
                return f"sees another place under {root_uri} than the head does; give a shared folder, or an object store"
            within(20.0, root.check_writable, f"the root {root_uri}")
        except InternvidError as error:
            return str(error)
        return ""

    return probe
