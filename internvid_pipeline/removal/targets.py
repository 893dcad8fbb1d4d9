"""What is to be removed: the names of the asked-for videos in a data set."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from internvid_pipeline.engine import StagePlan
from internvid_pipeline.engine.appends import SourceIndex
from internvid_pipeline.records import SourceRecord, VideoRecord
from internvid_pipeline.storage import Root, layout, read_arrow, read_manifest, read_parts
from internvid_pipeline.storage.inventory import list_state
from internvid_pipeline.web.excluded import known_names, video_id_of_address

NAMES = ("video_id", "clip_id", "uri", "source_uri", "item_id", "part_of", "candidate_id", "url")
_VIDEO_COLUMNS = ("video_id", "source_uri", "external_id", "url")
_SOURCE_COLUMNS = ("source_id", "uri", "extractor", "external_id", "duplicate_of")
_NUMBERED = re.compile(r"#\d+$")  # an input that a partition has twice


@dataclass
class Targets:
    """uris: addresses of the inputs. video_ids, source_ids, external_ids: theirs, the last ones on their sites. partitions: that
    hold them. unknown: what was asked for and is not there. names: every name that must not come back."""

    uris: set[str] = field(default_factory=set)
    video_ids: set[str] = field(default_factory=set)
    source_ids: set[str] = field(default_factory=set)
    external_ids: set[str] = field(default_factory=set)
    partitions: set[int] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def owns(self, name: str | None) -> bool:
        """True for an item, clip, caption, … of such a video, or its address."""
        if not name:
            return False
        if name in self.uris or name in self.video_ids or _NUMBERED.sub("", name) in self.uris:
            return True
        return name.split("/", 1)[0].rsplit("_", 2)[0] in self.video_ids

    def mask(self, table: pa.Table, columns: Iterable[str] = NAMES) -> pa.Array:
        """True for the rows of a table that are theirs by one of these columns."""
        found = [False] * table.num_rows
        for column in columns:
            if column in table.column_names:
                found = [own or self.owns(name) for own, name in zip(found, table[column].to_pylist(), strict=True)]
        return pa.array(found, pa.bool_())


def find_targets(root: Root, plans: Sequence[StagePlan], asked: Sequence[str], also: Iterable[Sequence[str]] = ()) -> Targets:
    """Looks for videos by their id, their id on the site, or their address (on YouTube any form of it), in the sources and the tables of
    videos. Inputs that are copies of them (the same bytes) and other addresses of them go with them. also: ids and addresses of videos
    that were found elsewhere, and by what else they are known. Raises StorageError."""
    also = list(also)
    search = _Search(set(asked) | {name for names in also for name in names[:2]}, also)
    search.wanted |= {video_id for name in asked if (video_id := video_id_of_address(name)) is not None}
    videos = {row["source_uri"]: row for row in _videos(root, plans)}
    sources = SourceIndex(root).read().partitions
    while search.pass_over(root, videos.values(), sources):
        pass
    found = search.found
    ids = {name: video_id_of_address(name) for name in asked}
    found.unknown = [name for name in asked if name not in search.met and ids[name] not in search.met]
    found.names |= set(asked) | found.uris | found.video_ids | found.source_ids | {one for one in ids.values() if one is not None}
    return found


@dataclass
class _Search:
    """wanted: names that were asked for. met: names that something has."""

    wanted: set[str]
    also: Sequence[Sequence[str]]
    met: set[str] = field(default_factory=set)
    found: Targets = field(default_factory=Targets)

    def pass_over(self, root: Root, videos: Iterable[dict[str, str]], sources: Sequence[int]) -> bool:
        """Looks at everything once. True where there was something new, whose names something else may have."""
        found, before = self.found, self._size()
        for names in self.also:
            found.video_ids.add(names[0])
            found.uris.add(names[1])
            self.met |= set(names)
        for row in videos:
            if self._hits(row.values()) or row["source_uri"] in found.uris or row["video_id"] in found.video_ids:
                found.uris.add(row["source_uri"])
                found.video_ids.add(row["video_id"])
                found.external_ids |= {row["external_id"]} if row["external_id"] else set()
        for partition in sources:
            for row in read_arrow(root, layout.sources_table(partition), _SOURCE_COLUMNS).to_pylist():
                self._look_at(partition, row)
        return self._size() > before

    def _look_at(self, partition: int, row: dict[str, str | None]) -> None:
        found, uri, source_id = self.found, str(row["uri"]), str(row["source_id"])
        record = SourceRecord(source_id=source_id, uri=uri, extractor=row["extractor"], external_id=row["external_id"])
        known = known_names(record)
        names = {*known, row["external_id"]}
        is_copy = row["duplicate_of"] in found.uris
        if self._hits(names) or uri in found.uris or is_copy or not found.video_ids.isdisjoint(names):
            found.uris.add(uri)
            found.source_ids.add(source_id)
            found.partitions.add(partition)
            found.video_ids |= set(known) - {uri, source_id}
            found.external_ids |= {row["external_id"]} if row["external_id"] else set()

    def _hits(self, names: Iterable[str | None]) -> bool:
        hits = self.wanted.intersection(name for name in names if name)
        self.met |= hits
        return bool(hits)

    def _size(self) -> int:
        return len(self.found.uris) + len(self.found.video_ids) + len(self.found.partitions)


def _videos(root: Root, plans: Sequence[StagePlan]) -> Iterator[dict[str, str]]:
    """Names of all videos, those in parts of partitions that are not done among them."""
    for plan in plans:
        if plan.build().writes is VideoRecord:
            done, parts = list_state(root, plan.folder)
            manifests = [read_manifest(root, plan.folder, partition) for partition in sorted(done)]
            manifests += [part for partition in sorted(parts) for part in read_parts(root, plan.folder, partition)]
            for manifest in manifests:
                path = manifest.path_of("rows")
                yield from read_arrow(root, path, _VIDEO_COLUMNS).to_pylist() if path else ()
