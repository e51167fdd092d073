"""A second network's look at a set whose labels the first one does not find: whether it is needed, and the look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..sets.imageset import UNLABELLED, ImageSet, Unreadable, evenly
from ..stage.engine import chunks, in_turn, one_thread, threaded
from .duplicates import first_of_each
from .embedding import Embedder, normalised, side_by_side
from .evidence import CHUNK
from .properties import square

# Of MobileNetV2: 0.03 to 0.07 on blood cells and digits, with 2 % of wrong labels too, where a second network finds 1 %
# more of them; 0.10 to 0.33 on photographs of 5 to 22 classes, where it leaves half of the mistakes.
TOO_MANY = 1 / 12
_SAMPLE = 1000  # different pictures; of 500 the share strays by 0.02, of 2,000 by no less than of 1,000
_RIDGE = 0.1  # of the mean variance; three times more or less move the share by 0.01


def labels_missed(embeddings: np.ndarray, labels: np.ndarray, digests: np.ndarray) -> float:
    """The share of labels that a linear classifier of all other pictures does not find: 0 .. 1.

    embeddings  float16 (N, D);  labels  int64 (N,);  digests  str (N,), of equal pictures the first counts

    Of at most 1,000 labelled pictures, evenly spread, each left out in turn: ridge regression on the classes, of which
    all that leave one out follow from one inverse (Allen 1974). 0 where there are fewer than two classes.
    """
    first = first_of_each(digests)
    rows = np.flatnonzero((first == np.arange(len(first))) & (labels != UNLABELLED))
    rows = rows[evenly(len(rows), _SAMPLE)]
    classes, codes = np.unique(labels[rows], return_inverse=True)
    if len(classes) < 2:
        return 0.0
    vectors = embeddings[rows].astype(np.float32)
    vectors -= vectors.mean(axis=0)
    targets = np.eye(len(classes), dtype=np.float32)[codes]
    targets -= targets.mean(axis=0)
    with one_thread():
        likeness = vectors @ vectors.T
        likeness[np.diag_indices(len(rows))] += max(_RIDGE * np.trace(likeness) / len(rows), 1e-9)
        inverse = np.linalg.inv(likeness)
    predictions = targets - (inverse @ targets) / np.diag(inverse)[:, None]
    return float((predictions.argmax(axis=1) != codes).mean())


def seen_again(
    images: ImageSet,
    embeddings: np.ndarray,
    digests: np.ndarray,
    embedder: Embedder,
    workers: int,
    progress: Callable[[int], None] = lambda rows: None,
) -> np.ndarray:
    """float16 (N, D + d): embeddings (N, D) with those of another embedder beside them: as if both had looked at once.

    digests  str (N,), "" where unreadable: each different picture is read once more
    """
    first = first_of_each(digests)
    rows = np.flatnonzero(first == np.arange(len(first))).tolist()
    second = np.zeros((len(embeddings), embedder.dimensions), np.float32)

    def look(part: list[int]) -> None:
        views = []
        for row in part:
            with in_turn():
                try:
                    views.append(square(images.images[row].pixels, embedder.size))
                except Unreadable:  # it was readable a moment ago
                    views.append(np.zeros((embedder.size, embedder.size, 3), np.uint8))
        second[part] = embedder.embed(np.stack(views))

    pieces = [rows[piece.start : piece.stop] for piece in chunks(len(rows), CHUNK)]
    for number, _ in enumerate(threaded(look, pieces, workers), 1):
        progress(min(number * CHUNK, len(rows)))
    out = np.zeros((len(embeddings), embeddings.shape[1] + embedder.dimensions), np.float16)
    out[first >= 0] = normalised(side_by_side([embeddings[first >= 0], second[first[first >= 0]]]))
    return out
