"""Removing videos: finding them, preparing new versions of all that they are in, and putting these in place of the old."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.compute as pc

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.shard_index import write_shard_index
from internvid_pipeline.removal.old_results import discard_old_results
from internvid_pipeline.removal.partition import Changes, remove_from_partition
from internvid_pipeline.removal.side_tables import clean_side_tables
from internvid_pipeline.removal.targets import Targets, find_targets
from internvid_pipeline.storage import (
    RemovalJournal,
    Root,
    add_tombstones,
    finish_removals,
    layout,
    parquet_bytes,
    read_arrow,
)


@dataclass
class RemovalReport:
    """What was taken out. unknown: names that nothing in the data set has; they cannot come in later. rows: by stage. shards: new versions
    of shards. files: that were deleted; bytes of them."""

    videos: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    partitions: list[int] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    shards: list[str] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return asdict(self)


def remove_videos(root: Root, plans: Sequence[StagePlan], asked: Sequence[str], dry_run: bool = False) -> RemovalReport:
    """Takes videos out of every table, media file, shard and index, and sees to it that they do not come back. plans: of the data set's
    config; results of other configs that hold them are deleted. dry_run: only says what would go. Raises StorageError; calling it again
    goes on."""
    if not dry_run:
        finish_removals(root)
    targets = find_targets(root, plans, asked)
    report = RemovalReport(sorted(targets.video_ids | (targets.uris if not targets.video_ids else set())), targets.unknown)
    report.partitions = sorted(targets.partitions)
    if not dry_run:
        add_tombstones(root, targets.names)
    if not targets.uris:
        _index_shards(root, plans, dry_run)
        return report
    journal, changes = RemovalJournal(), Changes(root, targets, dry_run)
    with root.staging() as folder:
        for partition in sorted(targets.partitions | changes.with_samples(plans)):
            remove_from_partition(changes, plans, partition, folder)
    report.rows, report.shards = dict(changes.rows), sorted(changes.shards)
    if dry_run:
        return report
    journal.replace |= changes.manifests
    journal.delete += [layout.summary_file(plan.folder) for plan in plans]
    for place in {plan.publish_dir for plan in plans if plan.publish_dir is not None}:
        journal.delete += [layout.shard_index(f"{place}/{name}") for name in root.list_names(place)]
    _clean_sources(root, targets, journal)
    clean_side_tables(root, plans, targets, journal)
    journal.delete += [*changes.superseded, *discard_old_results(root, plans, targets)]
    report.files, report.size_bytes = len(journal.delete), sum(root.size_bytes(path) or 0 for path in journal.delete)
    journal.carry_out(root)
    _index_shards(root, plans, dry_run)
    return report


def _index_shards(root: Root, plans: Sequence[StagePlan], dry_run: bool) -> None:
    """Indexes are views: they go with the removal and are written anew, now or by the next run."""
    for plan in plans if not dry_run else ():
        write_shard_index(root, plan)


def _clean_sources(root: Root, targets: Targets, journal: RemovalJournal) -> None:
    """Their rows in the partitions' tables of inputs and in the log of appends."""
    paths = [layout.sources_table(partition) for partition in sorted(targets.partitions)]
    paths += [f"{layout.APPENDS}/{name}" for name in root.list_names(layout.APPENDS) if name.endswith(".parquet")]
    for path in paths:
        table = read_arrow(root, path)
        kept = table.filter(pc.invert(targets.mask(table, ("uri",))))
        if kept.num_rows < table.num_rows:
            journal.replace[path] = parquet_bytes(kept)
