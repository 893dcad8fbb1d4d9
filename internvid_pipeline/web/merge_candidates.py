"""From what queries, channels and lists showed to inputs: one per video whatever found it, with all that found it.

Seven million candidates are not held: a first reading keeps a hash, a query and a place for each (some thirty bytes), a second one makes
an input of each first appearance, in the order of the tables.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.records import CandidateRecord, DropReason, DropRecord, SourceRecord
from internvid_pipeline.web.id_set import IdSet
from internvid_pipeline.web.list_inputs import source_id

Batches = Callable[[], Iterable[list[CandidateRecord]]]
STAGE = "collect_videos"


def merge_candidates(batches: Batches, exclude: IdSet | None = None) -> Iterator[SourceRecord | DropRecord]:
    """One SourceRecord per extractor and id, with all its queries; a DropRecord (reason `excluded`) for one that stands in `exclude`.

    `batches()` gives the candidates, in a fixed order, afresh at each call; it is called twice.
    """
    hashes, queries, names = _first_reading(batches)
    order = np.argsort(hashes, kind="stable")
    ends = np.flatnonzero(np.append(hashes[order][1:] != hashes[order][:-1], True)) if len(order) else np.empty(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    group_of_first = np.full(len(hashes), -1, dtype=np.int64)
    group_of_first[order[starts]] = np.arange(len(starts))
    number = 0
    for batch in batches():
        for candidate in batch:
            group = int(group_of_first[number])
            number += 1
            if group < 0:
                continue
            if exclude is not None and exclude.holds(candidate.extractor, candidate.external_id):
                message = f"{candidate.external_id} stands in a file of source.exclude_ids"
                yield DropRecord(stage=STAGE, item_id=candidate.candidate_id, part_of=None, reason=DropReason.EXCLUDED, message=message)
                continue
            found_by = queries[order[starts[group] : ends[group] + 1]]
            yield _source(candidate, tuple(dict.fromkeys(names[query] for query in found_by.tolist())))


def _first_reading(batches: Batches) -> tuple[NDArray[Any], NDArray[np.int32], list[str]]:
    """Of each candidate the hash of its identity (16 bytes: two of ten million share one with a chance below 1e-24) and its query."""
    hashes, queries = bytearray(), bytearray()
    names: dict[str, int] = {}
    for batch in batches():
        for candidate in batch:
            key = f"{candidate.extractor.lower()}\0{candidate.external_id}".encode(errors="replace")
            hashes += hashlib.blake2b(key, digest_size=16).digest()
            queries += names.setdefault(candidate.query, len(names)).to_bytes(4, "little")
    pairs = np.frombuffer(hashes, dtype=np.dtype([("high", "<u8"), ("low", "<u8")]))
    return _as_one(pairs), np.frombuffer(queries, dtype="<i4").astype(np.int32), list(names)


def _as_one(pairs: NDArray[Any]) -> NDArray[Any]:
    """Numbers that are equal where the pairs are: sorting whole numbers is ten times faster than sorting pairs."""
    order = np.lexsort((pairs["low"], pairs["high"]))
    changes = np.ones(len(pairs), dtype=np.int64)
    changes[1:] = (pairs["high"][order][1:] != pairs["high"][order][:-1]) | (pairs["low"][order][1:] != pairs["low"][order][:-1])
    ranks = np.empty(len(pairs), dtype=np.int64)
    ranks[order] = np.cumsum(changes)
    return ranks


def _source(candidate: CandidateRecord, queries: tuple[str, ...]) -> SourceRecord:
    known = {
        "title": candidate.title,
        "description": candidate.description,
        "duration_s": candidate.duration_s,
        "rank": candidate.rank,
        "query_language": candidate.query_language,
    }
    return SourceRecord(
        source_id=source_id(candidate.url),
        uri=candidate.url,
        metadata_json=json.dumps({key: value for key, value in known.items() if value is not None}, ensure_ascii=False, sort_keys=True),
        extractor=candidate.extractor,
        external_id=candidate.external_id,
        queries=queries,
    )
