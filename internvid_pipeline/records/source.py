"""One row per input, as the list or folder gave it. Written once per partition, never changed."""

from dataclasses import dataclass

from internvid_pipeline.records.clip_request import ClipRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """source_id: identity of the input: a hash of its uri and size.
    uri: absolute path or URL.
    size_bytes: None where the file could not be looked at.
    sha256: of the file's bytes, only where another input has the same size (it decides whether they are duplicates).
    duplicate_of: uri of the earlier input with the same bytes.
    metadata_json: further columns of the list file (title, language, …) as a JSON object.
    extractor, external_id: identity on its site (`youtube`, `dQw4w9WgXcQ`), None where it is not known before asking.
    queries: everything that found it: words searched for, channels, playlists.
    clip_requests: the spans that a published list wants of it; empty: clips are found by the detector.
    attempt: 1, and one more each time that `retry` takes a failed input again.
    """

    source_id: str
    uri: str
    size_bytes: int | None = None
    sha256: str | None = None
    duplicate_of: str | None = None
    metadata_json: str = "{}"
    extractor: str | None = None
    external_id: str | None = None
    queries: tuple[str, ...] = ()
    clip_requests: tuple[ClipRequest, ...] = ()
    attempt: int = 1

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.uri
