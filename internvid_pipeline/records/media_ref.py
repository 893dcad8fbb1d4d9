"""Where a piece of media lies. Rows point at media and never carry it."""

from dataclasses import dataclass
from pathlib import Path

_SCRATCH = "scratch:"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRef:
    """A byte range of a file.

    uri: relative to the data set's root (`cut_clips/ab12…/00042.tar`), or absolute for a source outside it (`/videos/a.mp4`).
    offset_bytes: where the piece begins in the file; None means the whole file.
    size_bytes: length of the piece.
    sha256: of the piece, hexadecimal; None where it is not known.
    """

    uri: str
    offset_bytes: int | None = None
    size_bytes: int | None = None
    sha256: str | None = None

    @classmethod
    def scratch(cls, path: Path, offset_bytes: int | None = None, size_bytes: int | None = None) -> "MediaRef":
        """A file that a stage has just written into its worker's scratch folder; the engine stores it when it commits the
        partition and replaces this reference by the stored one."""
        return cls(uri=f"{_SCRATCH}{path}", offset_bytes=offset_bytes, size_bytes=size_bytes)

    @property
    def scratch_path(self) -> Path | None:
        """The local file of a reference made by `scratch`, None for a stored one."""
        return Path(self.uri.removeprefix(_SCRATCH)) if self.uri.startswith(_SCRATCH) else None
