"""Which clips mean the same: SemDeDup (Abbas et al. 2023, arXiv:2303.09540, section 3 and its algorithm 1) over vectors of an image-text
model. Clusters by k-means; within a cluster the items are put in order of their similarity to its centre, the least similar first (the
paper keeps "hard" examples), and one goes that is more similar than the threshold to any before it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from internvid_pipeline.selection.faiss_door import load_faiss

_SEED = 1
_ITERATIONS = 20
_TRAINING_PER_CLUSTER = 64
_ROWS = 65_536
_BLOCK = 2048  # rows of a similarity matrix at a time


def semantic_duplicates(
    vectors: NDArray[np.float16], threshold: float, num_clusters: int, first: NDArray[np.bool_]
) -> Iterator[tuple[int, int, float]]:
    """(item, the item before it that is most similar, cosine) for each item that goes.

    vectors: float16 [n, width], rows of length 1. first: bool [n], items that come before all others and never go (an exclusion set).
    num_clusters: copies that fall into different ones are not found. Memory: the largest cluster in single precision."""
    labels, centres = _clusters(vectors, min(num_clusters, len(vectors)))
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(len(centres) + 1))
    for cluster, centre in enumerate(centres):
        members = order[bounds[cluster] : bounds[cluster + 1]]
        if len(members) > 1:
            yield from _of_cluster(vectors, members, centre, threshold, first)


def _of_cluster(
    vectors: NDArray[np.float16], members: NDArray[np.int64], centre: NDArray[np.float32], threshold: float, first: NDArray[np.bool_]
) -> Iterator[tuple[int, int, float]]:
    rows = vectors[members].astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order = np.lexsort((members, rows @ centre, ~first[members]))
    rows, members = rows[order], members[order]
    for start in range(0, len(rows), _BLOCK):
        similar = rows[start : start + _BLOCK] @ rows[: start + _BLOCK].T
        similar[np.arange(len(similar))[:, None] + start <= np.arange(similar.shape[1])[None, :]] = -2.0  # itself and those behind it
        nearest = similar.argmax(axis=1)
        for row in np.flatnonzero(similar[np.arange(len(similar)), nearest] > threshold):
            if not first[members[start + row]]:
                yield int(members[start + row]), int(members[nearest[row]]), float(similar[row, nearest[row]])


def _clusters(vectors: NDArray[np.float16], number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Number of each row's cluster, and the clusters' centres [number, width], of unit length."""
    faiss = load_faiss()
    if number <= 1:
        centre = np.asarray(vectors[:_ROWS], np.float32).mean(axis=0, keepdims=True)
        return np.zeros(len(vectors), np.int64), centre / max(1e-9, float(np.linalg.norm(centre)))
    step = max(1, len(vectors) // (number * _TRAINING_PER_CLUSTER))
    kmeans = faiss.Kmeans(
        vectors.shape[1], number, niter=_ITERATIONS, seed=_SEED, spherical=True, min_points_per_centroid=1, max_points_per_centroid=256
    )
    kmeans.train(np.ascontiguousarray(vectors[::step], np.float32))
    labels = [
        kmeans.index.search(np.ascontiguousarray(vectors[start : start + _ROWS], np.float32), 1)[1][:, 0]
        for start in range(0, len(vectors), _ROWS)
    ]
    return np.concatenate(labels).astype(np.int64), np.asarray(kmeans.centroids, np.float32)
