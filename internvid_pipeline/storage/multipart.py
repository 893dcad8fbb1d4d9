"""Large files to S3 in parts: a part that fails is sent again alone, memory holds a few parts at a time, and the last request, which makes
the object appear, carries the condition."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from internvid_pipeline.storage.retry import retried

if TYPE_CHECKING:
    from internvid_pipeline.storage.object_store import ObjectStore

MARK = "internvid-put"  # in the object's metadata: which put made it
PART_BYTES = 16 * 2**20
_MOST_PARTS = 10_000  # S3's own limit
_THREADS = 4


def upload_parts(store: "ObjectStore", staged: Path, path: str) -> bool:
    """Puts a large local file as an object; False where the name is taken. An upload that is given up is aborted; one whose process
    is killed stays, invisible but paid for, until the bucket's life-cycle rule for incomplete uploads removes it (set one)."""
    if store.size_bytes(path) is not None:
        return False  # cheaper than sending gigabytes to be refused at the end
    bucket, key, _ = store.filesystem.split_path(f"{store.base}/{path}")
    place = {"Bucket": bucket, "Key": key}
    mark = uuid.uuid4().hex
    begun = retried(lambda: store.filesystem.call_s3("create_multipart_upload", Metadata={MARK: mark}, **place))
    upload = {**place, "UploadId": begun["UploadId"]}
    condition = {"IfNoneMatch": "*"} if store.is_conditional else {}
    try:
        parts = _send(store, staged, upload)

        def complete() -> None:
            try:
                store.named(
                    lambda: store.filesystem.call_s3("complete_multipart_upload", MultipartUpload={"Parts": parts}, **upload, **condition)
                )
            except FileNotFoundError as error:  # NoSuchUpload: an attempt whose answer was lost has completed it
                raise FileExistsError(path) from error

        is_ours = store.settled(complete, path, staged, mark)
    except BaseException:
        _abort(store, upload)
        raise
    if not is_ours:
        _abort(store, upload)
    return is_ours


def _send(store: "ObjectStore", staged: Path, upload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sends all parts, a few at a time. Returns what completes the upload."""
    size = staged.stat().st_size
    step = max(PART_BYTES, -(-size // _MOST_PARTS))

    def send(number: int) -> dict[str, Any]:
        with open(staged, "rb") as file:
            file.seek((number - 1) * step)
            body = file.read(step)
        answer = retried(lambda: store.filesystem.call_s3("upload_part", PartNumber=number, Body=body, **upload))
        return {"PartNumber": number, "ETag": answer["ETag"]}

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as pool:
        return list(pool.map(send, range(1, -(-size // step) + 1)))


def _abort(store: "ObjectStore", upload: Mapping[str, Any]) -> None:
    try:
        store.filesystem.call_s3("abort_multipart_upload", **upload)
    except Exception:  # noqa: BLE001 - it is being given up already; drivers raise what they like
        return
