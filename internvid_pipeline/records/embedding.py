"""One row per clip and model that embeds pictures: its frames as unit vectors, computed once for all who compare them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_STORED = np.dtype("<f2")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRecord:
    """frames: source numbers of the frames embedded, in time order. width: numbers per vector. vectors: one row per frame, of length 1,
    float16, little-endian, row after row; `matrix` reads them. Half precision moves a cosine by less than 1e-3 (tests/stages/
    test_embed_frames.py) and halves what a large set stores. model, model_commit, is_stand_in: what embedded."""

    clip_id: str
    video_id: str
    model: str
    model_commit: str
    frames: tuple[int, ...]
    width: int
    vectors: bytes
    is_stand_in: bool

    @property
    def item_id(self) -> str:
        """Name of this row in drops, failures and messages."""
        return f"{self.clip_id}/{self.model}"

    def matrix(self) -> npt.NDArray[np.float32]:
        """(len(frames), width) float32, rows of length 1."""
        rows = np.frombuffer(self.vectors, dtype=_STORED).reshape(len(self.frames), self.width).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def stored_vectors(matrix: npt.NDArray[np.float32]) -> bytes:
    """(n, width) float32 as it stands in `EmbeddingRecord.vectors`."""
    return np.ascontiguousarray(matrix, dtype=_STORED).tobytes()
