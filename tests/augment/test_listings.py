import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.balancing import plan_copies
from augment.configs import BuildConfig
from augment.listings import COMPOSED_COPIES, Listing, list_images, stratified

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [60, 30, 10]))
ROWS = {
    "train": np.flatnonzero(np.arange(100) % 5 < 3),
    "val": np.flatnonzero(np.arange(100) % 5 == 3),
    "test": np.flatnonzero(np.arange(100) % 5 == 4),
}


def made(most=8, seed=0):
    dealt = plan_copies(LABELS, ROWS["train"], ("a", "b", "c"), BuildConfig(), 2)
    return list_images(ROWS, LABELS, dealt, most, seed), dealt


def test_a_listing_of_rows_has_each_rows_copies_side_by_side():
    listing = Listing.each(np.array([5, 2]), range(1, 4))
    assert listing.rows.tolist() == [5, 5, 5, 2, 2, 2]
    assert listing.copies.tolist() == [1, 2, 3, 1, 2, 3]
    assert Listing.each(np.array([5, 2])).copies.tolist() == [0, 0]


def test_an_empty_listing_has_length_zero():
    assert len(Listing.each(np.zeros(0, np.int64), range(1, 4))) == 0


def test_the_training_set_holds_every_picture_and_every_copy_once():
    found, dealt = made()
    pairs = list(zip(found["train"].rows.tolist(), found["train"].copies.tolist(), strict=True))
    wanted = {(row, c) for row, n in zip(dealt.rows.tolist(), dealt.copies.tolist(), strict=True) for c in range(n + 1)}
    assert len(pairs) == len(set(pairs)) == dealt.images
    assert set(pairs) == wanted


def test_copies_follow_their_picture():
    train = made()[0]["train"]
    starts = np.flatnonzero(train.copies == 0)
    assert len(set(train.rows[starts].tolist())) == len(starts)
    for begin, end in zip(starts, [*starts[1:], len(train)], strict=True):
        assert train.copies[begin:end].tolist() == list(range(end - begin))
        assert len(set(train.rows[begin:end].tolist())) == 1


def test_pictures_are_shuffled_by_the_seed():
    orders = [made(seed=seed)[0]["train"].rows.tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize(("split", "role"), [("val", "validation"), ("test", "test")])
def test_the_benchmark_is_of_a_sample_of_its_split_and_composed_tracks_of_more_copies(split, role):
    found, _ = made(most=8)
    assert found[split].rows.tolist() == ROWS[split].tolist()
    sample, composed = found[f"{role} sample"], found[f"{role} composed"]
    assert len(sample) == 8
    assert set(sample.rows.tolist()) <= set(ROWS[split].tolist())
    assert not sample.copies.any()
    assert composed.rows.tolist() == np.repeat(sample.rows, COMPOSED_COPIES).tolist()
    assert set(composed.copies.tolist()) == set(range(1, 1 + COMPOSED_COPIES))


def test_an_empty_split_gives_empty_lists():
    dealt = plan_copies(LABELS, ROWS["train"], ("a", "b", "c"), BuildConfig(), 2)
    found = list_images({**ROWS, "test": np.zeros(0, np.int64)}, LABELS, dealt, 8, 0)
    assert [len(found[name]) for name in ("test", "test sample", "test composed")] == [0, 0, 0]


def test_a_sample_has_every_class_in_its_proportion():
    rows = np.arange(100)
    sample = stratified(rows, LABELS, 20, 0)
    assert np.bincount(LABELS[sample]).tolist() == [12, 6, 2]
    assert sample.tolist() == sorted(set(sample.tolist()))


def test_a_sample_of_all_is_all_in_order():
    assert stratified(np.array([7, 3, 9]), LABELS, 3, 0).tolist() == [3, 7, 9]


def test_a_sample_is_drawn_from_the_seed():
    rows = np.arange(100)
    one, same, other = (stratified(rows, LABELS, 20, seed).tolist() for seed in (0, 0, 1))
    assert one == same != other


@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any),
    most=st.integers(1, 60),
    seed=st.integers(0, 9),
)
def test_one_share_of_every_class_rounded_is_in_a_sample(counts, most, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rows = np.arange(len(labels))
    sample = stratified(rows, labels, most, seed)
    assert len(sample) == min(most, len(rows))
    assert (np.diff(sample) > 0).all()
    of, got = (np.bincount(some, minlength=len(counts)) for some in (labels, labels[sample]))
    got, of = got[of > 0], of[of > 0]
    assert ((got - 0.5) / of).max() <= ((got + 0.5) / of).min() + 1e-12
