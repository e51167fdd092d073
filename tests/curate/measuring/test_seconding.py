from pathlib import Path

import numpy as np
import pytest

from curate.measuring.embedding import Embedder, beside
from curate.measuring.evidence import measure
from curate.measuring.seconding import TOO_MANY, labels_missed, seen_again
from curate.sets.imageset import ImageSet, Picture, Source, Unreadable

SIZE = 16


def clusters(n: int, apart: float, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings float16 (n, 32) of classes that lie so far apart in units of their spread, and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    vectors = rng.normal(size=(classes, 32))[labels] * apart + rng.normal(size=(n, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), labels


def digests(n: int) -> np.ndarray:
    return np.array([f"{row:04}" for row in range(n)])


def test_labels_of_classes_that_lie_apart_are_found():
    vectors, labels = clusters(200, 2)
    assert labels_missed(vectors, labels, digests(200)) < 0.02


def test_labels_of_classes_that_lie_in_one_another_are_missed():
    vectors, labels = clusters(200, 0.1)
    assert labels_missed(vectors, labels, digests(200)) > 0.5


def test_wrong_labels_are_missed_one_by_one():
    vectors, labels = clusters(400, 2)
    wrong = np.random.default_rng(1).choice(400, 60, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 4
    assert labels_missed(vectors, labels, digests(400)) == pytest.approx(0.15, abs=0.02)


def test_leaving_out_is_what_fitting_without_each_would_be():
    vectors, labels = clusters(60, 0.3)
    exact = vectors.astype(np.float64)
    exact -= exact.mean(axis=0)
    targets = np.eye(4)[labels] - np.eye(4)[labels].mean(axis=0)
    ridge = 0.1 * (exact**2).sum() / 60
    missed = 0
    for row in range(60):
        rest = np.arange(60) != row
        weights = np.linalg.solve(exact[rest].T @ exact[rest] + ridge * np.eye(32), exact[rest].T @ targets[rest])
        missed += (exact[row] @ weights).argmax() != labels[row]
    assert labels_missed(vectors, labels, digests(60)) == pytest.approx(missed / 60)


def test_copies_and_pictures_without_a_label_do_not_count():
    vectors, labels = clusters(100, 0.3)
    alone = labels_missed(vectors, labels, digests(100))
    twice = np.concatenate([vectors, vectors, vectors])
    more = np.concatenate([labels, labels, np.full(100, -1)])
    names = np.concatenate([digests(100), digests(100), digests(300)[200:]])
    assert labels_missed(twice, more, names) == alone


@pytest.mark.parametrize("labels", [np.full(50, -1), np.zeros(50, np.int64)], ids=["none", "one class"])
def test_without_two_classes_nothing_is_missed(labels):
    vectors, _ = clusters(50, 1)
    assert labels_missed(vectors, labels, digests(50)) == 0.0
    assert TOO_MANY > 0


def test_a_set_of_equal_vectors_breaks_nothing():
    assert 0 <= labels_missed(np.ones((10, 8), np.float16), np.arange(10) % 2, digests(10)) <= 1


# The second look


def embedder(name: str, dimensions: int) -> Embedder:
    weights = np.random.default_rng(dimensions).normal(size=(SIZE * SIZE * 3, dimensions)).astype(np.float32)
    return Embedder(name, SIZE, dimensions, name, name, lambda batch: batch.reshape(len(batch), -1) @ weights)


class Pictures:
    """Pictures of which some cannot be read."""

    def __init__(self, pixels: np.ndarray, broken: set[int]):
        self.pixels, self.broken = pixels, broken

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> Picture:
        if row in self.broken:
            raise Unreadable("cut short")
        return Picture(self.pixels[row], self.pixels[row])


def small_set(broken: set[int] = frozenset()) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (150, 20, 20, 3), np.uint8)
    pixels[7] = pixels[3]
    ids = tuple(map(str, range(150)))
    return ImageSet(Pictures(pixels, set(broken)), np.full(150, -1), ids, (), Source("files", Path("album")))


@pytest.mark.parametrize("workers", [1, 3])
def test_looking_again_gives_what_looking_with_both_at_once_gives(workers):
    images = small_set({5})
    first, second = embedder("first", 6), embedder("second", 9)
    once = measure(images, first, workers)
    told = []
    both = seen_again(images, once.embeddings, once.digests, second, workers, told.append)
    expected = measure(images, beside([first, second]), workers)
    assert both.dtype == np.float16
    np.testing.assert_array_equal(both, expected.embeddings)
    np.testing.assert_array_equal(both[7], both[3])
    assert not both[5].any()
    assert told[-1] == 148


def test_a_picture_that_cannot_be_read_any_more_is_no_failure():
    images = small_set()
    first = embedder("first", 6)
    once = measure(images, first, 1)
    images.images.broken.add(9)
    both = seen_again(images, once.embeddings, once.digests, embedder("second", 9), 1)
    assert np.isfinite(both.astype(np.float32)).all()
