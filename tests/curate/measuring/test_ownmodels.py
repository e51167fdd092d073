from __future__ import annotations

import numpy as np
import pytest

from curate.measuring.ownmodels import check_order, own_embedder, own_opinion, own_probe
from curate.sets.imageset import ImageSet, Picture, Source, Unreadable
from curate.stage.errors import DataError

CLASSES = ("ant", "bee", "cow")


class Blanks:
    """N grey pictures, some of which cannot be read."""

    def __init__(self, n: int, unreadable: tuple[int, ...] = ()) -> None:
        self.n, self.unreadable = n, unreadable

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> Picture:
        if row in self.unreadable:
            raise Unreadable("is damaged")
        pixels = np.zeros((4, 4, 3), np.uint8)
        return Picture(pixels, pixels)


def blank_set(tmp_path, labels, unreadable=()):
    labels = np.asarray(labels)
    ids = tuple(map(str, range(len(labels))))
    classes = CLASSES if (labels >= 0).any() else ()
    return ImageSet(Blanks(len(labels), unreadable), labels, ids, classes, Source("npz", tmp_path / "d.npz"))


def shares_of(labels, right=0.8, wrong=(), seed=0):
    """Probabilities of `right` for each label, but in the rows `wrong` for the class after it."""
    labels = np.array(labels)
    labels[list(wrong)] = (labels[list(wrong)] + 1) % len(CLASSES)
    noise = np.random.default_rng(seed).uniform(0, 0.1, (len(labels), len(CLASSES)))
    shares = noise + np.where(np.eye(len(CLASSES))[labels] > 0, right, 0.05)
    return shares / shares.sum(axis=1, keepdims=True)


def saved(tmp_path, values):
    np.save(tmp_path / "own.npy", values)
    return tmp_path / "own.npy"


LABELS = np.arange(60) % 3
VECTORS = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)


def test_vectors_are_taken_as_they_are_and_named_with_their_digest(tmp_path):
    embedder, note = own_embedder(saved(tmp_path, VECTORS), blank_set(tmp_path, LABELS))
    assert embedder.vectors is not None
    assert (embedder.vectors == VECTORS).all()
    assert (embedder.dimensions, embedder.words, note) == (8, "embeddings from own.npy (8 numbers an image)", "")


@pytest.mark.parametrize(
    ("row", "value", "words"),
    [
        (7, np.nan, "the row of '7' holds NaN or infinity"),
        (7, np.inf, "NaN or infinity"),
        (7, 0, "nothing but zeros"),
        (slice(None), 1, "the same numbers in every row"),
    ],
)
def test_vectors_that_say_nothing_are_refused(tmp_path, row, value, words):
    vectors = VECTORS.copy()
    vectors[row] = value
    with pytest.raises(DataError, match=words):
        own_embedder(saved(tmp_path, vectors), blank_set(tmp_path, LABELS))
    with pytest.raises(DataError, match="2 numbers or more"):
        own_embedder(saved(tmp_path, VECTORS[:, :1]), blank_set(tmp_path, LABELS))


def test_rows_of_unreadable_pictures_may_hold_anything(tmp_path):
    vectors, shares = VECTORS.copy(), shares_of(LABELS)
    vectors[3], vectors[4], shares[3], shares[4] = np.nan, 0, np.nan, 7
    images = blank_set(tmp_path, LABELS, unreadable=(3, 4))
    own_embedder(saved(tmp_path, vectors), images)
    assert np.isnan(own_opinion(saved(tmp_path, shares), images).shares[3:5]).all()


def test_vectors_in_another_order_are_found_out_by_equal_pictures(tmp_path):
    twins = np.concatenate([VECTORS, VECTORS[:20]])
    digests = np.array([*map(str, range(60)), *map(str, range(20))])
    images = blank_set(tmp_path, np.concatenate([LABELS, LABELS[:20]]))
    check_order(own_embedder(saved(tmp_path, twins), images)[0], digests)
    shuffled = twins[np.random.default_rng(1).permutation(80)]
    with pytest.raises(DataError, match=r"another order than the images.*20 pairs of equal pictures"):
        check_order(own_embedder(saved(tmp_path, shuffled), images)[0], digests)
    check_order(own_embedder(saved(tmp_path, shuffled), images)[0], np.array([*map(str, range(80))]))


def test_probabilities_make_a_probe_that_doubts_wrong_labels(tmp_path):
    images = blank_set(tmp_path, LABELS)
    opinion = own_opinion(saved(tmp_path, shares_of(LABELS, wrong=(10, 20))), images)
    everything = np.arange(60)
    probe = own_probe(opinion, LABELS, everything % 5, np.ones(60, bool), everything)
    assert probe is not None
    assert set(np.argsort(-probe.odds)[:2].tolist()) == {10, 20}
    assert probe.classes.tolist() == [0, 1, 2]
    np.testing.assert_allclose(probe.probabilities.sum(axis=1), 1)
    assert own_probe(opinion, LABELS, everything % 5, LABELS == 0, everything) is None


def test_rows_without_a_label_may_hold_anything_and_take_no_part(tmp_path):
    labels, shares = LABELS.copy(), shares_of(LABELS)
    labels[5], shares[5] = -1, np.nan
    opinion = own_opinion(saved(tmp_path, shares), blank_set(tmp_path, labels))
    probe = own_probe(opinion, labels, np.arange(60) % 5, labels >= 0, np.arange(60))
    assert probe is not None
    assert 5 not in probe.rows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:, :2], r"has 2 columns, and the set 3 classes.*in this order: ant, bee, cow"),
        (lambda x: x[:59], r"has 59 rows, and the set 60 images"),
        (lambda x: np.log(x), r"numbers below 0 or above 1 \(60 such rows\).*softmax"),
        (lambda x: x * 0.95, r"numbers that add up to 0\.95"),
        (lambda x: np.where(np.arange(60)[:, None] == 9, np.nan, x), r"the row of '9' holds NaN"),
        (lambda x: x[:, [1, 2, 0]], r"in 0% of the images, and in 100% with its columns in another order"),
        (lambda x: x[np.random.default_rng(0).permutation(60)], r"as by chance"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused_with_what_is_needed(tmp_path, change, words):
    with pytest.raises(DataError, match=words):
        own_opinion(saved(tmp_path, change(shares_of(LABELS))), blank_set(tmp_path, LABELS))


def test_half_precision_and_two_decimals_add_up_to_one(tmp_path):
    own_opinion(saved(tmp_path, shares_of(LABELS).astype(np.float16)), blank_set(tmp_path, LABELS))
    own_opinion(saved(tmp_path, np.floor(shares_of(LABELS) * 100) / 100), blank_set(tmp_path, LABELS))


def test_a_model_that_was_fitted_to_what_it_predicts_is_told(tmp_path):
    opinion = own_opinion(saved(tmp_path, np.eye(3)[LABELS]), blank_set(tmp_path, LABELS))
    assert [note for note in opinion.notes if "hides their wrong labels" in note]
    assert not own_opinion(saved(tmp_path, shares_of(LABELS)), blank_set(tmp_path, LABELS)).notes


def test_probabilities_of_a_set_without_labels_are_refused(tmp_path):
    with pytest.raises(DataError, match="has no labels"):
        own_opinion(saved(tmp_path, shares_of(LABELS)), blank_set(tmp_path, np.full(60, -1)))
