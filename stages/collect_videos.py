"""From a query, channel or playlist to the videos that it shows, with what is known of them before anything is downloaded.

InternVid took the top results of 6,104 action queries and the popular videos of trending channels (arXiv:2307.06942, section 3.1); how many
results per query is not stated (about 836 on average).
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.records import CandidateRecord, DropReason, SourceRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, Resources, Stage, WorkerContext
from internvid_pipeline.storage import scratch_base
from internvid_pipeline.web.downloader import Asker
from internvid_pipeline.web.metadata import text, trimmed, video_id_of
from internvid_pipeline.web.rules import number
from internvid_pipeline.web.settings import ExtractorSettings, NetworkSettings

_DESCRIPTION_CHARS = 2000


class CollectVideosConfig(Section):
    """How sites are asked for lists."""

    most: int = Field(default=10_000, ge=1, description="Most videos of one query, channel or playlist.")
    extractor: ExtractorSettings = Field(default_factory=ExtractorSettings, description="How sites are read.")
    network: NetworkSettings = Field(
        default_factory=NetworkSettings, description="Pace, patience, limits.", json_schema_extra={"fingerprint": False}
    )


class CollectVideos(Stage[CollectVideosConfig, SourceRecord, CandidateRecord]):
    """One row per video shown. A query that shows none is dropped."""

    name = "collect_videos"
    config_type = CollectVideosConfig
    reads = SourceRecord
    writes = CandidateRecord

    @property
    def resources(self) -> Resources:
        """Waiting is most of the work."""
        return Resources(cpus=0.25, memory_mb=1500, batch_size=1, load_threads=4)

    def deadline_s(self, record: SourceRecord) -> float:
        """The limit of an item, and time to wait for the host."""
        del record
        return self.config.network.item_limit_s + self.config.network.longest_wait_s + 120.0

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        network = self.config.network
        folder = Path(network.state_dir).expanduser() if network.state_dir else scratch_base() / "pace"
        self._asker = Asker(network, self.config.extractor, folder, worker.nodes)

    def load(self, record: SourceRecord) -> dict[str, Any]:
        """The site's list."""
        return self._asker.ask(record.uri, {"playlistend": self.config.most})

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[CandidateRecord]]:
        return [self._candidates(item) for item in batch]

    def _candidates(self, item: Item[SourceRecord]) -> Outcome[CandidateRecord]:
        info = item.payload if item.payload is not None else self.load(item.record)
        listed = info.get("entries") if info.get("_type") in ("playlist", "multi_video") else [info]
        rows: dict[str, CandidateRecord] = {}
        for rank, entry in enumerate((listed or [])[: self.config.most]):
            row = _candidate(entry, item.record, rank)
            if row is not None:
                rows.setdefault(row.candidate_id, row)
        if not rows:
            return Drop(DropReason.NO_RESULTS, "shows no videos")
        return Emit(tuple(rows.values()))


def _candidate(entry: Any, source: SourceRecord, rank: int) -> CandidateRecord | None:
    """A row, None for what is no video (a deleted entry, a list within the list)."""
    if not isinstance(entry, Mapping) or not entry.get("id"):
        return None
    url = text(entry.get("webpage_url") or entry.get("url"), 4000)
    extractor = text(entry.get("ie_key") or entry.get("extractor_key"), 80)
    if url is None or extractor is None or entry.get("_type") == "playlist":
        return None
    listed = json.loads(source.metadata_json)
    views = number(entry.get("view_count"))
    external_id = str(text(entry["id"], 400))
    return CandidateRecord(
        candidate_id=video_id_of(extractor, external_id),
        extractor=extractor,
        external_id=external_id,
        url=url,
        query=source.queries[0] if source.queries else source.uri,
        query_language=text(listed.get("query_language"), 40),
        rank=rank,
        title=text(entry.get("title"), 1000),
        description=text(entry.get("description"), _DESCRIPTION_CHARS),
        duration_s=number(entry.get("duration")),
        uploader=text(entry.get("uploader") or entry.get("channel"), 1000),
        view_count=None if views is None else int(views),
        live_status=text(entry.get("live_status"), 40),
        info_json=trimmed(entry),
    )
