"""Which rows belong to the videos that are to go."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.records import VideoRecord
from internvid_pipeline.storage import Root, done_partitions, layout, read_arrow, read_manifest

_VIDEO_COLUMNS = ("video_id", "source_uri", "external_id", "url")


@dataclass
class Targets:
    """uris: addresses of the inputs. video_ids, source_ids: theirs. partitions: that hold them. unknown: what was asked for and is not
    there. names: every name that must not come back."""

    uris: set[str] = field(default_factory=set)
    video_ids: set[str] = field(default_factory=set)
    source_ids: set[str] = field(default_factory=set)
    partitions: set[int] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def owns(self, name: str | None) -> bool:
        """True for an item, clip, caption, … of such a video, or its address."""
        if not name:
            return False
        if name in self.uris or name in self.video_ids:
            return True
        return name.split("/", 1)[0].rsplit("_", 2)[0] in self.video_ids

    def mask(self, table: pa.Table, columns: Iterable[str]) -> pa.Array:
        """True for the rows of a table that are theirs by one of these columns."""
        found = [False] * table.num_rows
        for column in columns:
            if column in table.column_names:
                found = [own or self.owns(name) for own, name in zip(found, table[column].to_pylist(), strict=True)]
        return pa.array(found, pa.bool_())


def find_targets(root: Root, plans: Sequence[StagePlan], asked: Sequence[str]) -> Targets:
    """Looks for videos by their id, their id on the site, or their address, in the sources and the tables of videos. Inputs that are
    copies of them (the same bytes) go with them. Raises StorageError."""
    found = Targets(names=set(asked))
    wanted = set(asked)
    met: set[str] = set()
    videos: dict[str, str] = {}
    for plan in plans:
        if plan.build().writes is VideoRecord:
            for partition in sorted(done_partitions(root, plan.folder)):
                path = read_manifest(root, plan.folder, partition).path_of("rows")
                for row in read_arrow(root, path, _VIDEO_COLUMNS).to_pylist() if path else ():
                    videos[row["source_uri"]] = row["video_id"]
                    hits = wanted.intersection(value for value in row.values() if value)
                    if hits:
                        met |= hits
                        found.uris.add(row["source_uri"])
    sources = SourceIndex(root).read()
    for partition in sources.partitions:
        _add_sources(root, partition, wanted, met, found)
    while _with_copies(root, sources.partitions, found):
        pass
    found.video_ids = {videos[uri] for uri in found.uris if uri in videos}
    found.unknown = [name for name in asked if name not in met]
    found.names |= found.uris | found.video_ids | found.source_ids
    return found


def _add_sources(root: Root, partition: int, wanted: set[str], met: set[str], found: Targets) -> None:
    for row in read_arrow(root, layout.sources_table(partition)).to_pylist():
        hits = wanted.intersection(value for value in (row["uri"], row["source_id"], row["external_id"]) if value)
        if hits or row["uri"] in found.uris:
            met |= hits
            found.uris.add(row["uri"])
            found.source_ids.add(row["source_id"])
            found.partitions.add(partition)


def _with_copies(root: Root, partitions: Sequence[int], found: Targets) -> bool:
    """Adds inputs that were left out as copies of these; their rows name them. True where there were some."""
    before = len(found.uris)
    for partition in partitions:
        for row in read_arrow(root, layout.sources_table(partition), ("uri", "source_id", "duplicate_of")).to_pylist():
            if row["duplicate_of"] in found.uris:
                found.uris.add(row["uri"])
                found.source_ids.add(row["source_id"])
                found.partitions.add(partition)
    return len(found.uris) > before
