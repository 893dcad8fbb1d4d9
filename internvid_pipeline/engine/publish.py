"""Folders in which a stage publishes files under their own names (`shards/<selection>/`): always one version, the current one.

Who publishes is decided by generations, numbered files put if absent: the newest names the fingerprint that owns the folder. A run with
another config takes the folder over by the next number. It then renames each old manifest to a withdrawal (so that nothing takes the
partition for done any more), deletes its files, then the withdrawal, and at last whatever else lies there (what killed workers left). A
crash in between leaves work that the next run finishes, never a manifest whose files are gone. Old tables stay, so that going back costs
only the packing.

A worker of the earlier run that is still alive looks at the generation before it stores anything and again after its manifest: it stops,
or takes back what it has just published. No clock is asked and no lock is held. Files are deleted only while they hold the bytes that
the withdrawn manifest names: a late deleter does not hit its successor's file of the same name.
"""

import hashlib
import json
import re

from internvid_pipeline.engine.ownership import Superseded, newest
from internvid_pipeline.engine.plan import StagePlan
from internvid_pipeline.records import MediaRef
from internvid_pipeline.storage import Manifest, Root, StoredFile, done_partitions, layout, manifest_from_json, read_manifest
from internvid_pipeline.storage.inventory import list_files, list_folders

_WITHDRAWAL = re.compile(r"\d{5,}\.withdrawn\.json")
_STEP_BYTES = 2**24


def check_current(root: Root, plan: StagePlan) -> None:
    """Raises Superseded where the stage publishes in a folder that another fingerprint owns by now."""
    if plan.publish_dir is None:
        return
    _, content = newest(root, layout.publish_generations(plan.publish_dir))
    if content.get("fingerprint", plan.fingerprint) != plan.fingerprint:
        raise Superseded(
            f"stage {plan.name}: a run with another config has taken over {plan.publish_dir}/ in {root.uri}; one config at a time may "
            "publish there: end the other run, or give this one another selection or root"
        )


def withdraw_superseded(root: Root, plan: StagePlan) -> int:
    """Makes the stage's fingerprint the owner of its folder and clears away what others published there. Returns how many files were
    deleted."""
    if plan.publish_dir is None:
        return 0
    generations = layout.publish_generations(plan.publish_dir)
    number, owner = newest(root, generations)
    while owner.get("fingerprint") != plan.fingerprint:
        data = json.dumps({"stage": plan.name, "fingerprint": plan.fingerprint}).encode()
        root.put_bytes_if_absent(layout.generation_file(generations, number + 1), data)
        number, owner = newest(root, generations)
    num_deleted = 0
    for fingerprint in root.list_names(plan.name):
        folder = layout.stage_folder(plan.name, fingerprint)
        if fingerprint != plan.fingerprint:
            for partition in sorted(done_partitions(root, folder)):
                _withdraw(root, folder, partition, plan.publish_dir)
        num_deleted += _finish_withdrawals(root, folder)
    ready = layout.generation_ready(generations, number)
    if not root.exists(ready):
        num_deleted += _sweep(root, plan, ready)
        root.put_bytes_if_absent(ready, b"")
    return num_deleted


def take_back(root: Root, plan: StagePlan, manifest: Manifest) -> None:
    """Withdraws a partition that was published too late. Raises Superseded."""
    try:
        check_current(root, plan)
    except Superseded:
        _withdraw(root, plan.folder, manifest.partition, plan.publish_dir or "")
        _finish_withdrawals(root, plan.folder)
        raise


def _withdraw(root: Root, folder: str, partition: int, publish_dir: str) -> None:
    path = layout.manifest(folder, partition)
    try:
        data = root.read_bytes(path)
    except FileNotFoundError:
        return  # another driver was faster
    published = [file.path for file in manifest_from_json(data, path).files if file.kind == "published"]
    if not published or any(file.startswith(f"{publish_dir}/") for file in published):
        root.delete(layout.summary_file(folder))  # it would go on counting what is no longer there
        root.put_bytes_if_absent(layout.withdrawal(folder, partition), data)
        root.delete(path)


def _finish_withdrawals(root: Root, folder: str) -> int:
    num_deleted = 0
    for name in root.list_names(folder):
        if _WITHDRAWAL.fullmatch(name):
            path = f"{folder}/{name}"
            try:
                withdrawn = manifest_from_json(root.read_bytes(path), path)
            except FileNotFoundError:
                continue
            num_deleted += sum(_delete_published(root, withdrawn, file) for file in withdrawn.files if file.kind == "published")
            root.delete(path)
    return num_deleted


def _delete_published(root: Root, withdrawn: Manifest, file: StoredFile) -> bool:
    """Deletes a published file, unless its name holds other bytes by now, or a manifest of a later fingerprint took it over."""
    if root.size_bytes(file.path) != file.size_bytes or _sha256(root, file) != file.sha256:
        return False
    for fingerprint in root.list_names(withdrawn.stage):
        folder = layout.stage_folder(withdrawn.stage, fingerprint)
        if root.exists(layout.manifest(folder, withdrawn.partition)):
            current = read_manifest(root, folder, withdrawn.partition)
            if any(other.path == file.path for other in current.files):
                return False
    root.delete(file.path)
    return True


def _sha256(root: Root, file: StoredFile) -> str:
    digest = hashlib.sha256()
    for offset in range(0, file.size_bytes, _STEP_BYTES):
        ref = MediaRef(uri=file.path, offset_bytes=offset, size_bytes=min(_STEP_BYTES, file.size_bytes - offset))
        digest.update(root.read_media(ref))
    return digest.hexdigest()


def _sweep(root: Root, plan: StagePlan, ready: str) -> int:
    """Deletes files in the folder that no manifest of the stage names. Only before the generation is ready, when none of its own workers
    has begun: whoever finds that another driver is further leaves the rest to it."""
    assert plan.publish_dir is not None
    folders = [plan.publish_dir, *(f"{plan.publish_dir}/{name}" for name in list_folders(root, plan.publish_dir))]
    paths = sorted(file.path for folder in folders for file in list_files(root, folder))
    if not paths:
        return 0
    own = {file.path for partition in done_partitions(root, plan.folder) for file in read_manifest(root, plan.folder, partition).files}
    num_deleted = 0
    for path in paths:
        if path not in own and not root.exists(ready):
            root.delete(path)
            num_deleted += 1
    return num_deleted
