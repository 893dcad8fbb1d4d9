"""The only place that writes: the root of a data set, its tables, media tars and manifests."""

from internvid_pipeline.storage import layout
from internvid_pipeline.storage.commit import store_file
from internvid_pipeline.storage.fetched import fetch_once, fetched_place
from internvid_pipeline.storage.local_files import replaced_file
from internvid_pipeline.storage.manifest import (
    DeferredInput,
    DoneInput,
    Manifest,
    PartManifest,
    StoredFile,
    done_partitions,
    manifest_from_json,
    part_from_json,
    read_manifest,
    read_part,
    read_parts,
)
from internvid_pipeline.storage.media_tar import MediaTarWriter, file_sha256
from internvid_pipeline.storage.removal_journal import RemovalJournal, finish_removals
from internvid_pipeline.storage.retry import is_transient, retried
from internvid_pipeline.storage.root import Root, check_root_uri, local_path
from internvid_pipeline.storage.sample_tar import SampleTarWriter, index_bytes, index_offsets
from internvid_pipeline.storage.scratch import (
    held_bytes,
    owned_folder,
    owned_scratch,
    remove_orphans,
    remove_own,
    scratch_base,
    scratch_bound_bytes,
)
from internvid_pipeline.storage.secrets import check_no_credentials, redacted, without_credentials
from internvid_pipeline.storage.tables import parquet_bytes, read_arrow, read_parquet, read_table, write_arrow, write_table
from internvid_pipeline.storage.tombstones import Tombstones, add_tombstones, read_tombstones

__all__ = [
    "DeferredInput",
    "DoneInput",
    "Manifest",
    "MediaTarWriter",
    "PartManifest",
    "RemovalJournal",
    "Root",
    "SampleTarWriter",
    "StoredFile",
    "Tombstones",
    "add_tombstones",
    "check_no_credentials",
    "check_root_uri",
    "done_partitions",
    "fetch_once",
    "fetched_place",
    "file_sha256",
    "finish_removals",
    "held_bytes",
    "index_bytes",
    "index_offsets",
    "is_transient",
    "layout",
    "local_path",
    "manifest_from_json",
    "owned_folder",
    "owned_scratch",
    "parquet_bytes",
    "part_from_json",
    "read_arrow",
    "read_manifest",
    "read_parquet",
    "read_part",
    "read_parts",
    "read_table",
    "read_tombstones",
    "redacted",
    "remove_orphans",
    "remove_own",
    "replaced_file",
    "retried",
    "scratch_base",
    "scratch_bound_bytes",
    "store_file",
    "without_credentials",
    "write_arrow",
    "write_table",
]
