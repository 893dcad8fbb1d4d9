"""From an address to a video: asked about, judged by rules before a byte of it is fetched, downloaded, and kept with all that is known.

InternVid gathered video, audio, subtitles, title, description, query words and tags of 7.1 million YouTube videos, of 10 s to 30 min and
360P to 720P (arXiv:2307.06942, section 3.1); those bounds are the defaults of `rules`. Local files and objects of a store pass through as
`import_videos` would take them, so that a mixed list works.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import Field

from internvid_pipeline.config import Section
from internvid_pipeline.errors import Unsupported
from internvid_pipeline.media.container import prepare_worker
from internvid_pipeline.media.limits import MediaLimits
from internvid_pipeline.media.packet_copy import copy_spans, join_streams
from internvid_pipeline.media.probe import probe
from internvid_pipeline.media.video_row import video_record, without_picture
from internvid_pipeline.records import DropReason, MediaRef, SourceRecord, SubtitleRef, VideoRecord
from internvid_pipeline.stage import Drop, Emit, Item, Outcome, PartDrop, Resources, Stage, WorkerContext
from internvid_pipeline.storage import local_path, scratch_base
from internvid_pipeline.web.downloader import Downloader, DownloadSettings, Fetched, Rejected
from internvid_pipeline.web.downloads import Entry, downloads_folder, open_entry, remove_stale
from internvid_pipeline.web.metadata import columns, video_id_of
from internvid_pipeline.web.rules import MetadataRules, judge_duration, judge_resolution
from internvid_pipeline.web.settings import ExtractorSettings, NetworkSettings
from internvid_pipeline.web.subtitles import SubtitleSettings


class DownloadVideosConfig(Section):
    """What is taken from the web, and how politely."""

    rules: MetadataRules = Field(default_factory=MetadataRules, description="Which videos are taken.")
    subtitles: SubtitleSettings = Field(default_factory=SubtitleSettings, description="Which subtitles are kept.")
    extractor: ExtractorSettings = Field(default_factory=ExtractorSettings, description="How sites are read.")
    spans_only: bool = Field(
        default=False, description="Of a published list's videos fetch only the stretches around its spans, where the server knows ranges."
    )
    object_stores: tuple[str, ...] = Field(
        default=("s3", "gs", "gcs", "az", "abfs", "hf", "memory"), description="Protocols besides http(s) that a list may name."
    )
    limits: MediaLimits = Field(default_factory=MediaLimits, description="Files that claim more are failures.")
    network: NetworkSettings = Field(
        default_factory=NetworkSettings, description="Pace, patience, limits.", json_schema_extra={"fingerprint": False}
    )


@dataclass
class _Loaded:
    """What `load` hands to `process`. fetched None: a local file."""

    fetched: Fetched | None
    folder: Path | None = None


class DownloadVideos(Stage[DownloadVideosConfig, SourceRecord, VideoRecord]):
    """One row per input that is a video and may be taken."""

    name = "download_videos"
    config_type = DownloadVideosConfig
    reads = SourceRecord
    writes = VideoRecord

    @property
    def resources(self) -> Resources:
        """Waiting is most of the work: several downloads in one process."""
        return Resources(cpus=0.5, memory_mb=2000, batch_size=1, load_threads=4)

    def deadline_s(self, record: SourceRecord) -> float:
        """The item's own limit, and time to wait for the host and to look at the file."""
        del record
        network = self.config.network
        return network.item_limit_s + network.timeout_s + network.longest_wait_s + 300.0

    def setup(self, worker: WorkerContext) -> None:
        super().setup(worker)
        prepare_worker()
        network = self.config.network
        self._entries: dict[str, tuple[str, Entry]] = {}
        self._downloads = downloads_folder(worker.root.uri)
        remove_stale(self._downloads)
        self._downloader = Downloader(
            DownloadSettings(
                network=network,
                extractor=self.config.extractor,
                rules=self.config.rules,
                subtitles=self.config.subtitles,
                object_stores=self.config.object_stores,
                spans_only=self.config.spans_only,
                state_folder=Path(network.state_dir).expanduser() if network.state_dir else scratch_base() / "pace",
                nodes=worker.nodes,
            )
        )

    def load(self, record: SourceRecord) -> Drop | _Loaded:
        """Everything that waits for the network."""
        if record.duplicate_of is not None:
            return Drop(DropReason.DUPLICATE, f"same bytes as {record.duplicate_of}")
        if local_path(record.uri) is not None:
            return _Loaded(None)
        entry = self._entry(record)

        def spans(picture: BinaryIO, sound: BinaryIO | None, wanted: Sequence[tuple[float, float | None]]) -> tuple[Path, float]:
            return copy_spans(picture, sound, wanted, entry.folder, "spans", self.config.limits)

        fetched = self._downloader.fetch(record, entry.folder, spans)
        if isinstance(fetched, Rejected):
            return Drop(fetched.reason, fetched.message)
        return _Loaded(fetched, entry.folder)

    def _entry(self, record: SourceRecord) -> Entry:
        """The item's folder: this worker's from an earlier try, or what another left behind."""
        if record.source_id in self._entries:
            return self._entries[record.source_id][1]
        entry = open_entry(self._downloads, record.source_id, f"{self.config.rules.max_resolution} {self.config.spans_only}")
        self._entries[record.source_id] = (record.item_id, entry)
        return entry

    def process(self, batch: Sequence[Item[SourceRecord]]) -> list[Outcome[VideoRecord]]:
        return [self._look_at(item) for item in batch]

    def _look_at(self, item: Item[SourceRecord]) -> Outcome[VideoRecord]:
        loaded = item.payload if item.payload is not None else self.load(item.record)
        if not isinstance(loaded, _Loaded):
            return loaded
        if loaded.fetched is None or loaded.folder is None:
            return self._local(item.record)
        return self._downloaded(item.record, loaded.fetched, loaded.folder)

    def committed(self, item_ids: Collection[str]) -> None:
        """Deletes the downloads of these inputs. Others were deferred: what is there of them stays, for whoever tries them next."""
        for uri, entry in self._entries.values():
            if uri in item_ids:
                entry.delete()
            else:
                entry.close()
        self._entries.clear()

    def _local(self, source: SourceRecord) -> Outcome[VideoRecord]:
        path = self.worker.root.local_file(MediaRef(uri=source.uri), self.worker.scratch)
        media = probe(path, self.config.limits)
        if media.video is None:
            return Drop(DropReason.NO_VIDEO, without_picture(media))
        return Emit((video_record(source, media, media.video, path),))

    def _downloaded(self, source: SourceRecord, fetched: Fetched, folder: Path) -> Outcome[VideoRecord]:
        path = self._joined(fetched, folder)
        media = probe(path, self.config.limits)
        if media.video is None:
            return Drop(DropReason.NO_VIDEO, without_picture(media))
        rules, video = self.config.rules, media.video
        judged = None if fetched.start_s is not None or video.duration_s is None else judge_duration(video.duration_s, rules)
        judged = judged or judge_resolution(video.width_px, video.height_px, rules)
        if judged is not None and fetched.info is None:  # a plain file says so itself; a site has been judged by what it says
            return Drop(*judged)
        about = columns(fetched.info) if fetched.info is not None else {"url": source.uri}
        extractor = source.extractor or about.get("extractor")
        external_id = source.external_id or about.get("external_id")
        video_id = video_id_of(extractor, external_id) if extractor and external_id and extractor != "Generic" else None
        record = video_record(source, media, video, path, video_id=video_id, formats=fetched.formats, **about)
        stem = record.video_id
        placed = self._place(path, f"{stem}{path.suffix}")
        subtitles = tuple(
            SubtitleRef(
                language=track.language,
                kind=track.kind,
                format=track.format,
                media=MediaRef.scratch(self._place(file, f"{stem}.{number:03d}.{track.format}")),
            )
            for number, (track, file) in enumerate(fetched.subtitles.items())
        )
        more: dict[str, Any] = {"start_s": fetched.start_s, "spans_only": True} if fetched.start_s is not None else {}
        lost = tuple(
            PartDrop(f"{stem}/{track.language}", DropReason.SUBTITLES, message) for track, message in fetched.lost_subtitles.items()
        )
        return Emit((replace(record, media=MediaRef.scratch(placed), subtitles=subtitles, **more),), lost)

    def _joined(self, fetched: Fetched, folder: Path) -> Path:
        if len(fetched.media) == 1:
            return fetched.media[0]
        if len(fetched.media) != 2:
            raise Unsupported(f"the format asked for has {len(fetched.media)} files; picture and sound are two")
        return join_streams(fetched.media[0], fetched.media[1], folder, "joined", self.config.limits)

    def _place(self, file: Path, name: str) -> Path:
        """The file under its name in the worker's scratch folder, by a link: the download stays until the partition is committed."""
        target = self.worker.scratch / name
        target.unlink(missing_ok=True)
        target.hardlink_to(file)
        return target

    def teardown(self) -> None:
        for _, entry in self._entries.values():
            entry.close()
