"""What a root's partitions hold already, in little memory, so that of millions of inputs only the new ones are taken.

An input is known by its id (20 bytes each, sorted). A video of a published list is also known by its spans: a longer list that asks for
more of a known video adds an input with the further spans only. Spans are told by 64 bits of hash: among ten million known ones a new
span is taken for a known one with a chance below 1e-12."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from internvid_pipeline.records import SourceRecord

_MIXER = np.uint64(0x9E3779B97F4A7C15)


class KnownInputs:
    """ids: of all inputs, as `SourceRecord.source_id`. spans: as `span_keys` gives them."""

    def __init__(self, ids: pa.ChunkedArray, spans: Sequence[NDArray[np.uint64]]) -> None:
        chunks = [np.array(chunk.to_pylist(), dtype=np.bytes_) for chunk in ids.chunks if len(chunk)]
        self._ids = np.sort(np.concatenate(chunks)) if chunks else np.empty(0, dtype="S20")
        self._spans = np.sort(np.concatenate([np.empty(0, dtype=np.uint64), *spans]))

    def new_of(self, records: Sequence[SourceRecord]) -> list[SourceRecord]:
        """Those of the records that are not known, in their order; of a known video whose list has grown, its further spans."""
        known = _among(np.array([record.source_id for record in records], dtype=np.bytes_), self._ids)
        grown = [record for record, is_known in zip(records, known.tolist(), strict=True) if is_known and record.clip_requests]
        further = iter(self._further(grown))
        found = []
        for record, is_known in zip(records, known.tolist(), strict=True):
            new = record if not is_known else next(further) if record.clip_requests else None
            if new is not None:
                found.append(new)
        return found

    def _further(self, records: Sequence[SourceRecord]) -> list[SourceRecord | None]:
        keys = _keys(
            [record.uri for record in records],
            [len(record.clip_requests) for record in records],
            np.array([request.start_s for record in records for request in record.clip_requests], dtype=np.float64),
            np.array([_end(request.end_s) for record in records for request in record.clip_requests], dtype=np.float64),
        )
        known = iter(_among(keys, self._spans).tolist())
        found: list[SourceRecord | None] = []
        for record in records:
            requests = tuple(request for request in record.clip_requests if not next(known))
            words = " ".join([record.source_id, *(f"{request.start_s!r} {request.end_s!r}" for request in requests)])
            new_id = hashlib.sha256(words.encode()).hexdigest()[:20]
            found.append(replace(record, source_id=new_id, clip_requests=requests) if requests else None)
        return found


def span_keys(table: pa.Table) -> NDArray[np.uint64]:
    """A hash of address, start and end for each span that the rows of a table of SourceRecords ask for."""
    counts = pc.list_value_length(table["clip_requests"]).to_numpy()
    rows = np.flatnonzero(counts)
    if not len(rows):
        return np.empty(0, dtype=np.uint64)
    table = table.select(["uri", "clip_requests"]).take(rows).combine_chunks()
    requests = table["clip_requests"].chunk(0).flatten()
    starts, ends = (pc.struct_field(requests, name) for name in ("start_s", "end_s"))
    return _keys(table["uri"].to_pylist(), counts[rows].tolist(), starts.to_numpy(), pc.fill_null(ends, _end(None)).to_numpy())


def _end(end_s: float | None) -> float:
    return -1.0 if end_s is None else end_s


def _keys(uris: Sequence[str], counts: Sequence[int], starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.uint64]:
    hashes = b"".join(hashlib.blake2b(uri.encode(errors="replace"), digest_size=8).digest() for uri in uris)
    keys = np.repeat(np.frombuffer(hashes, dtype=np.uint64), counts)
    for part in (starts, ends):
        keys = (keys ^ (part + 0.0).view(np.uint64)) * _MIXER
        keys ^= keys >> np.uint64(29)
    return keys


def _among(values: NDArray[np.generic], ordered: NDArray[np.generic]) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(values), dtype=np.bool_)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    found: NDArray[np.bool_] = ordered[places] == values
    return found
