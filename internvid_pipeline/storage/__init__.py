"""The only place that writes: the root of a data set, its tables, media tars and manifests."""

from internvid_pipeline.storage import layout
from internvid_pipeline.storage.commit import store_file
from internvid_pipeline.storage.fetched import fetch_once, fetched_place
from internvid_pipeline.storage.local_files import replaced_file
from internvid_pipeline.storage.manifest import Manifest, StoredFile, done_partitions, manifest_from_json, read_manifest
from internvid_pipeline.storage.media_tar import MediaTarWriter, file_sha256
from internvid_pipeline.storage.retry import is_transient, retried
from internvid_pipeline.storage.root import Root, check_root_uri, local_path
from internvid_pipeline.storage.scratch import (
    held_bytes,
    owned_folder,
    owned_scratch,
    remove_orphans,
    remove_own,
    scratch_base,
    scratch_bound_bytes,
)
from internvid_pipeline.storage.secrets import redacted
from internvid_pipeline.storage.tables import read_arrow, read_parquet, read_table, write_arrow, write_table

__all__ = [
    "Manifest",
    "MediaTarWriter",
    "Root",
    "StoredFile",
    "check_root_uri",
    "done_partitions",
    "fetch_once",
    "fetched_place",
    "file_sha256",
    "held_bytes",
    "is_transient",
    "layout",
    "local_path",
    "manifest_from_json",
    "owned_folder",
    "owned_scratch",
    "read_arrow",
    "read_manifest",
    "read_parquet",
    "read_table",
    "redacted",
    "remove_orphans",
    "remove_own",
    "replaced_file",
    "retried",
    "scratch_base",
    "scratch_bound_bytes",
    "store_file",
    "write_arrow",
    "write_table",
]
