"""Pictures as directions in a feature space, where the angle between two says how differently they look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curate.measuring.embedding import BUILTIN, load_embedder
from curate.measuring.properties import square
from curate.stage.engine import chunks
from curate.stage.shortness import short_repr

# Below, the backbones see too little; above, the time grows and nothing else.
SMALLEST, LARGEST = 96, 160
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Features:
    """Calling it with pictures gives their features; safe from several threads.

    name, describe, digest  of the embedder (see curate.measuring.embedding.Embedder)
    size        pixels a side that pictures are resized to
    dimensions  of one feature
    workers     threads that it was made for
    """

    name: str
    describe: str
    digest: str
    size: int
    dimensions: int
    embed: Callable[[np.ndarray], np.ndarray]
    workers: int = 1

    __repr__ = short_repr

    def some(self, sample: int) -> int:
        """How many pictures to look at instead of `sample`: the built-in descriptor is ten times slower."""
        return max(1, sample // 4) if self.name == BUILTIN else sample

    def __call__(self, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """float32 (n, dimensions) of length 1, of n uint8 (H, W, 3) pictures of any size."""
        vectors = np.zeros((len(images), self.dimensions), np.float32)
        for rows in chunks(len(images), _AT_ONCE):
            vectors[rows.start : rows.stop] = self.embed(np.stack([square(images[row], self.size) for row in rows]))
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def load_features(
    backbone: str, weights: str | None, size: int, workers: int, say: Callable[[str], None] = lambda line: None
) -> tuple[Features, str]:
    """The features of pictures at `size` pixels a side, and a note for the person ("" if all is as asked).

    Backbones are found, and replaced by the built-in descriptor, as for a scan: see `load_embedder`.
    """
    embedder, note = load_embedder(backbone, weights, size, workers, say)
    return Features(
        embedder.name, embedder.describe, embedder.digest, embedder.size, embedder.dimensions, embedder.embed, workers
    ), note


def input_size(side: int) -> int:
    """What pictures of `side` pixels are resized to: the next multiple of 32, but from 96 to 160."""
    return int(np.clip(-(-side // 32) * 32, SMALLEST, LARGEST))


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """float64 (n,): cosine distance, 0..2, between the features (n, D) of n pictures and those of n others."""
    return np.asarray(1 - np.einsum("nd,nd->n", first, second, dtype=np.float64))
