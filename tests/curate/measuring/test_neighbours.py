import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from curate.measuring import neighbours
from curate.measuring.neighbours import DIMENSIONS, nearest, nearest_to, principal_features


def brute_force(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and distances of the k nearest, itself left out, ties to the lower row."""
    distance = np.sqrt(((points[:, None].astype(float) - points[None]) ** 2).sum(axis=2))
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distance, order, axis=1)


@settings(deadline=None, max_examples=20)
@given(n=st.integers(2, 60), d=st.integers(1, 20), k=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_the_table_is_that_of_comparing_every_pair(n, d, k, seed):
    points = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    found = nearest(points, np.arange(n), k)
    indices, distances = brute_force(points, min(k, n - 1))
    assert found.indices.shape == (n, min(k, n - 1))
    np.testing.assert_allclose(found.distances, distances, rtol=1e-4, atol=1e-5)
    # Rows that are equally far to the last digit may stand in either order.
    away = np.sqrt(((points[:, None] - points[found.indices]) ** 2).sum(axis=2))
    np.testing.assert_allclose(away, distances, rtol=1e-4, atol=1e-5)
    assert (found.indices == indices).mean() > 0.99


def test_only_the_given_rows_take_part_and_indices_count_among_them(rng):
    points = rng.normal(size=(40, 5)).astype(np.float32)
    rows = np.arange(1, 40, 3)
    found = nearest(points, rows, 4)
    alone = nearest(points[rows], np.arange(len(rows)), 4)
    assert (found.rows == rows).all()
    assert (found.indices == alone.indices).all()
    assert (found.features == points[rows]).all()
    assert found.distances.dtype == np.float32
    assert found.indices.dtype == np.int64


def test_a_row_is_never_its_own_neighbour_not_even_among_twins(rng):
    points = np.repeat(rng.normal(size=(6, 3)).astype(np.float32), 5, axis=0)
    found = nearest(points, np.arange(30), 4)
    assert not (found.indices == np.arange(30)[:, None]).any()
    # The four nearest of each are its four twins.
    assert (found.indices // 5 == np.arange(30)[:, None] // 5).all()
    assert (np.diff(np.sort(found.indices, axis=1), axis=1) > 0).all()
    np.testing.assert_allclose(found.distances, 0, atol=1e-3)


def test_more_twins_than_neighbours_are_no_trouble():
    found = nearest(np.ones((50, 4), np.float32), np.arange(50), 8)
    assert not (found.indices == np.arange(50)[:, None]).any()
    assert all(len(set(row)) == 8 for row in found.indices.tolist())


def test_ties_go_to_the_lower_row():
    points = np.array([[0.0], [1], [-1], [3]], np.float32)
    assert nearest(points, np.arange(4), 2).indices[0].tolist() == [1, 2]


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_rows_have_no_neighbours(n):
    found = nearest(np.ones((3, 4), np.float32), np.arange(n))
    assert found.indices.shape == found.distances.shape == (n, 0)
    assert found.features.shape == (n, 4)


def test_fewer_rows_than_neighbours_give_all_there_are(rng):
    found = nearest(rng.normal(size=(5, 3)).astype(np.float32), np.arange(5), 32)
    assert np.sort(found.indices, axis=1).tolist() == [[j for j in range(5) if j != i] for i in range(5)]


def test_distances_grow_along_a_row(rng):
    found = nearest(rng.normal(size=(80, 6)).astype(np.float32), np.arange(80), 20)
    assert (np.diff(found.distances, axis=1) >= 0).all()


@pytest.mark.parametrize("shape", [(200, 40), (30, 200), (300, 200)])
def test_the_main_axes_are_those_of_scikit_learn_up_to_their_sign(rng, shape):
    embeddings = (rng.normal(size=shape) * np.linspace(3, 0.1, shape[1])).astype(np.float32)
    found = principal_features(embeddings)
    assert found.dtype == np.float32
    size = min(DIMENSIONS, shape[1], shape[0] - 1)
    assert found.shape == (shape[0], size)
    expected = PCA(size, svd_solver="full").fit_transform(embeddings.astype(float))
    kept = min(size, 20)  # further axes of nearly one length may be mixed
    signs = np.sign((found * expected[:, :size]).sum(axis=0))[:kept]
    np.testing.assert_allclose(found[:, :kept], expected[:, :kept] * signs, atol=0.02)
    # Rotating leaves distances as they are.
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(expected, axis=1), rtol=1e-3)


def test_the_axes_are_found_from_the_given_rows_only(rng):
    embeddings = rng.normal(size=(60, 8)).astype(np.float32)
    embeddings[40:] = 100
    found = principal_features(embeddings, fit_on=np.arange(40))
    np.testing.assert_allclose(found[:40], principal_features(embeddings[:40]), atol=1e-3)
    np.testing.assert_allclose(found[:40].mean(axis=0), 0, atol=1e-3)


def test_an_axis_always_points_the_same_way(rng):
    embeddings = rng.normal(size=(50, 6)).astype(np.float32)
    one = principal_features(embeddings)
    other = principal_features(embeddings[::-1])[::-1]
    np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("n", [0, 1])
def test_one_row_has_no_axes_to_lie_on(n):
    found = principal_features(np.ones((n, 12), np.float16))
    assert len(found) == n
    assert not found.any()


def test_equal_rows_lie_in_one_place():
    assert np.allclose(principal_features(np.full((20, 5), 0.3, np.float16)), 0, atol=1e-3)


def test_of_very_many_rows_a_spread_sample_gives_the_axes(rng, monkeypatch):
    embeddings = (rng.normal(size=(20_500, 4)) * (4, 3, 2, 1)).astype(np.float32)
    found = principal_features(embeddings)
    np.testing.assert_allclose(found.std(axis=0), (4, 3, 2, 1), rtol=0.05)


def test_an_index_finds_nearly_the_same_neighbours_as_the_exact_search(rng, monkeypatch):
    pytest.importorskip("faiss", reason="the extra [ann] is not installed")
    points = rng.normal(size=(600, 8)).astype(np.float32)
    exact = nearest(points, np.arange(600), 10)
    monkeypatch.setattr(neighbours, "EXACT_LIMIT", 100)
    found = nearest(points, np.arange(600), 10)
    assert not (found.indices == np.arange(600)[:, None]).any()
    shared = [len(set(a) & set(b)) for a, b in zip(exact.indices.tolist(), found.indices.tolist(), strict=True)]
    assert np.mean(shared) > 9


def test_without_the_index_a_large_set_is_searched_exactly(rng, monkeypatch):
    features = rng.normal(size=(20, 3)).astype(np.float32)
    exact = nearest(features, np.arange(20))
    monkeypatch.setattr(neighbours, "EXACT_LIMIT", 10)
    monkeypatch.setattr(neighbours, "index_available", lambda: False)
    found = nearest(features, np.arange(20))
    assert np.array_equal(found.indices, exact.indices)


def test_rows_that_a_table_does_not_hold_are_searched_for(rng):
    features = rng.normal(size=(90, 6)).astype(np.float32)
    rows = np.arange(10, 90)
    found = neighbours.among(nearest(features, np.arange(80)), rows, features)
    assert np.array_equal(found.rows, rows)
    assert np.array_equal(found.indices, nearest(features, rows).indices)


@pytest.mark.parametrize("left_out", [[], [3, 40], list(range(0, 60, 2))])
def test_neighbours_among_some_rows_are_those_that_a_search_finds(rng, left_out):
    features = rng.normal(size=(90, 6)).astype(np.float32)
    rows = np.setdiff1d(np.arange(90), left_out)
    read_off = neighbours.among(nearest(features, np.arange(90)), rows, features)
    searched = nearest(features, rows)
    k = read_off.indices.shape[1]
    assert k >= neighbours.ENOUGH
    assert np.array_equal(read_off.rows, searched.rows)
    assert np.array_equal(read_off.indices, searched.indices[:, :k])
    assert np.allclose(read_off.distances, searched.distances[:, :k])


def test_other_rows_find_their_nearest_in_a_table_with_one_of_it_left_out(rng):
    features = rng.normal(size=(60, 8)).astype(np.float32)
    table = nearest(features, np.arange(40), 5)
    rows, own = np.array([45, 41, 59]), np.array([3, 0, 39])
    found = nearest_to(features, rows, own, table)
    assert found.rows.tolist() == rows.tolist()
    for i, row in enumerate(rows):
        gaps = np.linalg.norm(features[:40] - features[row], axis=1)
        gaps[own[i]] = np.inf
        assert found.indices[i].tolist() == np.argsort(gaps)[:5].tolist()
        assert found.distances[i] == pytest.approx(np.sort(gaps)[:5], rel=1e-4)
    assert nearest_to(features, rows[:0], own[:0], table).indices.shape == (0, 5)


def test_the_main_axes_are_the_same_to_the_bit_on_any_number_of_threads(rng):
    embeddings = rng.normal(size=(1500, 400)).astype(np.float16)
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            found.append(principal_features(embeddings))
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
