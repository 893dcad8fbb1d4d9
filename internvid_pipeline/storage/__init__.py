"""The only place that writes: the root of a data set, its tables, media tars and manifests."""

from internvid_pipeline.storage import layout
from internvid_pipeline.storage.commit import store_file
from internvid_pipeline.storage.manifest import Manifest, StoredFile, done_partitions, manifest_from_json, read_manifest
from internvid_pipeline.storage.media_tar import MediaTarWriter, file_sha256
from internvid_pipeline.storage.root import Root, check_root_uri, local_path
from internvid_pipeline.storage.scratch import owned_folder, remove_orphans, scratch_base
from internvid_pipeline.storage.tables import read_arrow, read_table, write_table

__all__ = [
    "Manifest",
    "MediaTarWriter",
    "Root",
    "StoredFile",
    "check_root_uri",
    "done_partitions",
    "file_sha256",
    "layout",
    "local_path",
    "manifest_from_json",
    "owned_folder",
    "read_arrow",
    "read_manifest",
    "read_table",
    "remove_orphans",
    "scratch_base",
    "store_file",
    "write_table",
]
