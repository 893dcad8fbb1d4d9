"""Folders in which a stage publishes files under their own names (`shards/<selection>/`): always one version, the current one.

When the config has changed, the files there are another fingerprint's. Before new ones are written, each old manifest is first renamed
to a withdrawal (so that nothing takes the partition for done any more), then its files are deleted, then the withdrawal: a crash in
between leaves a withdrawal that the next run finishes, never a manifest whose files are gone. Old tables stay, so that going back
costs only the packing.
"""

import re

from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.storage import Root, done_partitions, layout, manifest_from_json

_WITHDRAWAL = re.compile(r"\d{5,}\.withdrawn\.json")


def withdraw_superseded(root: Root, plan: StagePlan) -> int:
    """Withdraws what other fingerprints of the stage published in the same folder. Returns the number of files deleted."""
    if plan.publish_dir is None:
        return 0
    num_deleted = 0
    for fingerprint in root.list_names(plan.name):
        folder = layout.stage_folder(plan.name, fingerprint)
        if fingerprint != plan.fingerprint:
            _rename_manifests(root, folder, plan.publish_dir)
        num_deleted += _finish_withdrawals(root, folder)
    return num_deleted


def _rename_manifests(root: Root, folder: str, publish_dir: str) -> None:
    for partition in sorted(done_partitions(root, folder)):
        path = layout.manifest(folder, partition)
        data = root.read_bytes(path)
        published = [file.path for file in manifest_from_json(data, path).files if file.kind == "published"]
        if not published or any(file.startswith(f"{publish_dir}/") for file in published):
            root.put_bytes_if_absent(layout.withdrawal(folder, partition), data)
            root.delete(path)


def _finish_withdrawals(root: Root, folder: str) -> int:
    num_deleted = 0
    for name in root.list_names(folder):
        if _WITHDRAWAL.fullmatch(name):
            path = f"{folder}/{name}"
            for file in manifest_from_json(root.read_bytes(path), path).files:
                if file.kind == "published":
                    root.delete(file.path)
                    num_deleted += 1
            root.delete(path)
    return num_deleted
