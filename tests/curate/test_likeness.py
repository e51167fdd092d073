from __future__ import annotations

import numpy as np
import pytest

from curate import likeness
from curate.likeness import Likeness, looks_of, typical


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1, float16 as scans keep them."""
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture
def clouds(rng) -> np.ndarray:
    """600 vectors in twelve clouds of fifty."""
    centres = np.repeat(rng.normal(size=(12, 96)), 50, axis=0)
    return unit(centres + 0.4 * rng.normal(size=centres.shape))


def test_neighbours_are_those_of_an_exact_search_nearest_first(clouds):
    rows, distances = Likeness(clouds, np.arange(600)).nearest(7, 10)
    exact = 1 - clouds.astype(np.float32) @ clouds[7].astype(np.float32)
    exact[7] = 9
    assert rows.tolist() == np.argsort(exact, kind="stable")[:10].tolist()
    assert np.allclose(distances, exact[rows], atol=1e-6)


def test_among_many_rows_candidates_from_the_main_axes_lead_to_the_same(clouds, monkeypatch):
    exact = [Likeness(clouds, np.arange(600)).nearest(row, 5)[0].tolist() for row in range(0, 600, 7)]
    monkeypatch.setattr(likeness, "_ONE_BY_ONE", 10)
    quick = Likeness(clouds, np.arange(600))
    assert [quick.nearest(row, 5)[0].tolist() for row in range(0, 600, 7)] == exact


def test_of_pictures_that_look_the_same_one_is_told_and_never_the_own(clouds):
    vectors = clouds.copy()
    vectors[[1, 2, 3]] = vectors[0]
    looks = np.arange(600)
    looks[[1, 2]] = 0  # 3 has another label
    rows, distances = Likeness(vectors, looks).nearest(2, 4)
    assert rows[0] == 3
    assert distances[0] == pytest.approx(0, abs=2e-3)
    assert not {0, 1, 2} & set(rows.tolist())
    assert set(Likeness(vectors, looks).nearest(3, 600)[0].tolist()) & {0, 1, 2} == {0}


def test_what_cannot_be_read_has_no_neighbours_and_is_none(clouds):
    looks = np.arange(600)
    looks[:500] = -1
    rows, distances = Likeness(clouds, looks).nearest(3)
    assert len(rows) == len(distances) == 0
    assert Likeness(clouds, looks).nearest(550, 500)[0].min() >= 500


def test_embeddings_may_be_mapped_into_memory(clouds, tmp_path):
    np.save(tmp_path / "e.npy", clouds)
    mapped = np.load(tmp_path / "e.npy", mmap_mode="r")
    expected = Likeness(clouds, np.arange(600)).nearest(9)
    for part, other in zip(Likeness(mapped, np.arange(600)).nearest(9), expected, strict=True):
        assert part.tolist() == other.tolist()


def test_a_set_of_one_or_of_none_has_no_neighbours():
    assert len(Likeness(np.ones((1, 4), np.float16), np.array([0])).nearest(0)[0]) == 0
    assert len(Likeness(np.zeros((2, 0), np.float16), np.array([-1, -1])).nearest(0)[0]) == 0


def test_copies_look_the_same_under_one_label_alone():
    assert looks_of(["a", "a", "b", "a", "", ""], np.array([1, 1, 1, 2, 1, 1])).tolist() == [0, 0, 1, 2, -1, -1]


def test_typical_pictures_are_fine_and_nearest_to_the_centre_of_their_class(clouds):
    labels = np.arange(600) // 50
    fine = np.ones(600, bool)
    fine[:10] = False
    rows = typical(clouds, labels, 13, np.arange(600), fine)
    assert rows.shape == (13, 3)
    assert (labels[rows[:12]] == np.arange(12)[:, None]).all()
    assert (rows[12] == -1).all()
    assert rows[0].min() >= 10
    own = clouds[10:50].astype(np.float32)
    assert rows[0, 0] == 10 + np.argmax(own @ own.mean(axis=0))


def test_typical_pictures_differ_and_none_is_invented(clouds):
    labels = np.full(600, -1)
    labels[:4] = 0
    looks = np.arange(600)
    looks[1] = 0
    rows = typical(clouds, labels, 1, looks, np.ones(600, bool))
    assert sorted(rows[0].tolist()) == [0, 2, 3]
    labels[3] = -1
    assert sorted(typical(clouds, labels, 1, looks, np.ones(600, bool))[0].tolist()) == [-1, 0, 2]


def test_of_a_large_class_a_few_hundred_rows_say_what_is_typical(rng):
    vectors = unit(rng.normal(size=(5_000, 8)) + 2)
    rows = typical(vectors, np.zeros(5_000, np.int64), 1, np.arange(5_000), np.ones(5_000, bool))
    centre = vectors.astype(np.float32).mean(axis=0)
    assert (vectors[rows[0]].astype(np.float32) @ centre).min() > np.quantile(vectors.astype(np.float32) @ centre, 0.9)


@pytest.mark.parametrize("piece", [7, 8_192])
def test_the_nearest_of_many_rows_at_once_are_those_of_each(monkeypatch, piece):
    monkeypatch.setattr(likeness, "_PIECE", piece)
    rng = np.random.default_rng(3)
    embeddings = rng.normal(size=(40, 6)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings[5] = embeddings[9]
    looks = np.arange(40)
    looks[5], looks[7] = looks[9], -1
    one_by_one = likeness.Likeness(embeddings, looks)
    rows = np.array([0, 7, 9, 30])
    near = likeness.nearest_of_each(embeddings, looks, rows, 4)
    assert near == {row: one_by_one.nearest(row, 4)[0].tolist() for row in (0, 9, 30)}
    assert likeness.nearest_of_each(embeddings[:1], looks[:1], np.array([0]), 4) == {0: []}
