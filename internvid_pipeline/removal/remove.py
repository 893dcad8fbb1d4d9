"""Removing videos: finding them, preparing new versions of all that they are in, and putting these in place of the old."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow.compute as pc

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.shard_index import write_shard_index
from internvid_pipeline.removal.collected import Collected
from internvid_pipeline.removal.edit import Changes
from internvid_pipeline.removal.old_results import discard_old_results
from internvid_pipeline.removal.partition import remove_from_partition, unnamed_files, with_samples
from internvid_pipeline.removal.side_tables import clean_side_tables
from internvid_pipeline.removal.targets import Targets, find_targets
from internvid_pipeline.removal.views import clean_views, forget_on_this_machine
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
    """Takes videos out of every table, media file, shard and index, out of what queries showed (`collect/`), marks and reports, and sees
    to it that they do not come back. plans: of the data set's config; results of other configs that hold them are deleted. dry_run: only
    says what would go. Raises StorageError; calling it again goes on."""
    collected = Collected.of(root)
    if not dry_run:
        for one in (root, *([collected.root] if collected else [])):
            finish_removals(one)
    targets = find_targets(root, plans, asked, collected.shown(asked) if collected else ())
    report = RemovalReport(sorted(targets.video_ids or targets.uris), targets.unknown, sorted(targets.partitions))
    if not dry_run:
        forget_on_this_machine(root, targets)
        add_tombstones(root, targets.names)
    if collected is not None:  # before the data set itself, which tells what is asked for: cut short in between, this is found again
        inner = collected.targets(asked, targets)
        if not dry_run:
            add_tombstones(collected.root, inner.names)
        _take_out(collected.root, collected.plans, inner, report, dry_run)
    _take_out(root, plans, targets, report, dry_run)
    for plan in plans if not dry_run else ():  # indexes are views: they go with the removal and are written anew, now or by the next run
        write_shard_index(root, plan)
    return report


def _take_out(root: Root, plans: Sequence[StagePlan], targets: Targets, report: RemovalReport, dry_run: bool) -> None:
    """Takes videos out of one data set, in one go that can be repeated."""
    if not targets.uris and not targets.video_ids:
        return
    journal, changes = RemovalJournal(), Changes(root, targets, dry_run)
    partitions = targets.partitions | with_samples(changes, plans)
    with root.staging() as folder:
        for partition in sorted(partitions):
            remove_from_partition(changes, plans, partition, folder)
    report.rows |= {stage: count + report.rows.get(stage, 0) for stage, count in changes.rows.items()}
    report.shards += sorted(changes.shards)
    if dry_run:
        return
    journal.replace |= changes.manifests
    journal.delete += [layout.summary_file(plan.folder) for plan in plans]
    for place in {plan.publish_dir for plan in plans if plan.publish_dir is not None}:
        journal.delete += [layout.shard_index(f"{place}/{name}") for name in root.list_names(place)]
    _clean_sources(root, targets, journal)
    clean_side_tables(root, plans, targets, journal)
    clean_views(root, targets, journal)
    journal.delete += [*changes.superseded, *unnamed_files(changes, plans, partitions), *discard_old_results(root, plans, targets)]
    journal.delete = list(dict.fromkeys(journal.delete))
    sizes = [size for path in journal.delete if (size := root.size_bytes(path)) is not None]
    report.files, report.size_bytes = report.files + len(sizes), report.size_bytes + sum(sizes)
    journal.carry_out(root)


def _clean_sources(root: Root, targets: Targets, journal: RemovalJournal) -> None:
    """Their rows in the partitions' tables of inputs and in the log of appends."""
    paths = [layout.sources_table(partition) for partition in sorted(targets.partitions)]
    paths += [f"{layout.APPENDS}/{name}" for name in root.list_names(layout.APPENDS) if name.endswith(".parquet")]
    for path in paths:
        table = read_arrow(root, path)
        kept = table.filter(pc.invert(targets.mask(table, ("uri",))))
        if kept.num_rows < table.num_rows:
            journal.replace[path] = parquet_bytes(kept)
