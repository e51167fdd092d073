"""One exact table of nearest neighbours, from which duplicates, outliers, labels and the map are all read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..stage.engine import one_thread
from ..stage.shortness import short_repr

NEIGHBOURS = 32
ENOUGH = 20  # as many as any check looks at
DIMENSIONS = 128
# Above this many rows an exact search takes minutes; where FAISS is installed its index takes seconds.
EXACT_LIMIT = 60_000


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest rows of each row, nearest first, itself left out.

    rows       int64 (M,): the rows of the set that take part
    indices    int64 (M, k), positions in `rows`
    distances  float32 (M, k), Euclidean, in the space of `features`
    features   float32 (M, d)
    """

    rows: np.ndarray
    indices: np.ndarray
    distances: np.ndarray
    features: np.ndarray

    __repr__ = short_repr


def principal_features(embeddings: np.ndarray, fit_on: np.ndarray | None = None) -> np.ndarray:
    """float32 (N, d): embeddings on the main axes of their variation, d <= 128, centred and not rescaled.

    fit_on  rows that the axes are found from; at most 20,000 of them are used, evenly spread.
    """
    centre, axes = principal_axes(embeddings, fit_on)
    out = np.empty((len(embeddings), axes.shape[1]), np.float32)
    for start in range(0, len(embeddings), 8192):
        out[start : start + 8192] = (embeddings[start : start + 8192].astype(np.float32) - centre) @ axes
    return out


def principal_axes(embeddings: np.ndarray, fit_on: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(centre (D,), axes (D, d)) of embeddings (N, D): see principal_features."""
    from scipy.linalg import eigh

    base = np.arange(len(embeddings)) if fit_on is None else fit_on
    if len(base) > 20_000:
        base = base[np.linspace(0, len(base) - 1, 20_000).astype(np.int64)]
    d = embeddings.shape[1]
    size = min(DIMENSIONS, d, max(1, len(base) - 1))
    if len(base) < 2:
        return np.zeros(d, np.float32), np.zeros((d, size), np.float32)
    sample = embeddings[base].astype(np.float32)
    centre = sample.mean(axis=0)
    sample -= centre
    # Only the leading eigenvectors, of a matrix that is D x D whatever N is: a quarter of the time of a whole PCA.
    covariance = sample.T @ sample / len(sample)
    with one_thread():
        _, axes = eigh(covariance, subset_by_index=[d - size, d - 1])
    axes = axes[:, ::-1]
    # An eigenvector may point either way; each is made to point where its largest part is positive.
    return centre, axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(size)])


def evenly(features: np.ndarray, rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some rows, evenly spread along the leading axes: the same whatever order they come in."""
    if len(rows) <= most:
        return rows
    order = np.lexsort(features[rows, :3].T[::-1])
    return np.asarray(np.sort(rows[order[np.linspace(0, len(rows) - 1, most).astype(np.int64)]]))


def nearest(features: np.ndarray, rows: np.ndarray, k: int = NEIGHBOURS) -> Neighbours:
    """The k nearest among `rows` of each of them (fewer where there are fewer rows). Ties go to the lower row."""
    points = np.ascontiguousarray(features[rows], dtype=np.float32)
    return _search(rows, points, points, np.arange(len(rows)), k)


def nearest_to(features: np.ndarray, rows: np.ndarray, own: np.ndarray, table: Neighbours) -> Neighbours:
    """The nearest in a table of each of some other rows, as many as the table has of its own.

    own  int64 (R,): the position in the table that is left out, one for each of the rows

    Indices are positions in `table.rows`. Ties go to the lower position.
    """
    points = np.ascontiguousarray(features[rows], dtype=np.float32)
    return _search(rows, points, table.features, own, table.indices.shape[1])


def _search(rows: np.ndarray, points: np.ndarray, among_points: np.ndarray, own: np.ndarray, k: int) -> Neighbours:
    """Neighbours of points (R, d) among others (M, d): k of each, the position `own` (R,) left out."""
    k = min(k, len(among_points) - 1)
    if k < 1 or not len(rows):
        empty = np.zeros((len(rows), max(k, 0)))
        return Neighbours(rows, empty.astype(np.int64), empty.astype(np.float32), points)
    if len(among_points) > EXACT_LIMIT and index_available():
        distances, indices = _by_index(points, among_points, k + 1)
    else:
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(among_points)
        distances, indices = search.kneighbors(points)
    # A row is its own nearest neighbour, but not always the first: a twin is just as near.
    itself = indices == own[:, None]
    itself[~itself.any(axis=1), -1] = True
    shape = (len(rows), k)
    indices, distances = indices[~itself].reshape(shape), distances[~itself].reshape(shape)
    order = np.lexsort((indices, distances.astype(np.float32)), axis=1)
    return Neighbours(
        rows,
        np.take_along_axis(indices, order, 1).astype(np.int64),
        np.take_along_axis(distances, order, 1).astype(np.float32),
        points,
    )


def among(table: Neighbours, rows: np.ndarray, features: np.ndarray) -> Neighbours:
    """The neighbours among some rows, read off a table where it holds them and enough of theirs, else searched for."""
    if np.array_equal(rows, table.rows):
        return table
    if not np.isin(rows, table.rows).all():
        return nearest(features, rows)
    mask = np.isin(table.rows, rows)
    usable = mask[table.indices[mask]]
    k = int(usable.sum(axis=1).min(initial=table.indices.shape[1]))
    if k < ENOUGH:
        return nearest(features, rows)
    # The first k that remain of each row, in their order.
    first = np.argsort(~usable, axis=1, kind="stable")[:, :k]
    position = np.cumsum(mask) - 1
    return Neighbours(
        table.rows[mask],
        position[np.take_along_axis(table.indices[mask], first, axis=1)],
        np.take_along_axis(table.distances[mask], first, axis=1),
        table.features[mask],
    )


def index_available() -> bool:
    """Whether FAISS is installed (the extra [ann])."""
    from importlib.util import find_spec

    return find_spec("faiss") is not None


def _by_index(points: np.ndarray, among_points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices by FAISS: coarse cells by k-means, the sixteen nearest of them searched exactly."""
    import faiss

    size = points.shape[1]
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(size), size, int(4 * np.sqrt(len(among_points))))
    index.cp.seed = 0
    index.train(among_points[np.linspace(0, len(among_points) - 1, min(len(among_points), 200_000)).astype(np.int64)])
    index.add(among_points)
    index.nprobe = 16
    squared, indices = index.search(points, k)
    return np.sqrt(np.maximum(squared, 0)), indices
