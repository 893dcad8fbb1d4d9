"""One row per input, as the list or folder gave it. Written once per partition, never changed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """source_id: identity of the input: a hash of its uri and size.
    uri: absolute path or URL.
    size_bytes: None where the file could not be looked at.
    sha256: of the file's bytes, only where another input has the same size (it decides whether they are duplicates).
    duplicate_of: uri of the earlier input with the same bytes.
    metadata_json: further columns of the list file (title, language, …) as a JSON object.
    """

    source_id: str
    uri: str
    size_bytes: int | None = None
    sha256: str | None = None
    duplicate_of: str | None = None
    metadata_json: str = "{}"

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return self.uri
