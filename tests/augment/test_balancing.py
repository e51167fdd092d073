import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.balancing import class_weights, effective_number, plan_copies
from augment.configs import BALANCES, BuildConfig
from curate.stage.errors import DataError

CLASSES = ("a", "b", "c")


def labels_of(*counts):
    """So many labels of each class, shuffled, and all their rows."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).permutation(labels), np.arange(len(labels))


def planned(counts, copies=2, different=None, classes=CLASSES, **given):
    labels, rows = labels_of(*counts)
    return plan_copies(labels, rows, classes, BuildConfig(**given), copies, different), labels


def table(done, *columns):
    return done.table[list(columns)].to_numpy().tolist()


def copies_by_class(done, labels):
    return [sorted(done.copies[labels[done.rows] == code].tolist()) for code in range(labels.max() + 1)]


# How many of each class


def test_oversampling_gives_every_class_as_many_images_as_the_largest_gets():
    done, labels = planned((6, 4, 3))
    assert table(done, "class", "sources", "used", "copies", "most of one", "images") == [
        ["a", 6, 6, 12, 2, 18],
        ["b", 4, 4, 14, 4, 18],
        ["c", 3, 3, 15, 5, 18],
    ]
    assert copies_by_class(done, labels) == [[2] * 6, [3, 3, 4, 4], [5, 5, 5]]
    assert done.images == 54
    assert done.notes == ()
    assert done.weights.tolist() == [1, 1, 1]


def test_oversampling_without_copies_still_fills_up_the_smaller_classes():
    done, _ = planned((6, 4, 3), copies=0)
    assert table(done, "copies", "images") == [[0, 6], [2, 6], [3, 6]]


def test_undersampling_leaves_as_many_pictures_as_the_smallest_class_has():
    done, labels = planned((6, 4, 3), balance="undersample")
    assert table(done, "sources", "used", "copies", "images") == [[6, 3, 6, 9], [4, 3, 6, 9], [3, 3, 6, 9]]
    assert copies_by_class(done, labels) == [[2, 2, 2]] * 3
    assert len(done.rows) == 9


def test_a_number_of_images_leaves_pictures_out_or_makes_copies():
    done, labels = planned((6, 4, 3), balance="4")
    assert table(done, "used", "copies", "images") == [[4, 0, 4], [4, 0, 4], [3, 1, 4]]
    assert copies_by_class(done, labels)[2] == [0, 0, 1]


@pytest.mark.parametrize("balance", ["weights", "none"])
def test_without_balancing_every_picture_has_as_many_copies(balance):
    done, _ = planned((6, 4, 3), balance=balance)
    assert table(done, "used", "copies", "images") == [[6, 12, 18], [4, 8, 12], [3, 6, 9]]
    assert done.copies.tolist() == [2] * 13
    assert done.weights == pytest.approx([39 / 54, 39 / 36, 39 / 27])


def test_the_cap_holds_and_is_told_of():
    done, labels = planned((20, 6, 2), cap=4)
    assert table(done, "copies", "most of one", "images") == [[40, 2, 60], [24, 4, 30], [8, 4, 10]]
    assert copies_by_class(done, labels)[2] == [4, 4]
    assert done.notes == ("b and c get fewer images than were asked for: a picture gets at most 4 copies (--cap)",)
    assert done.weights == pytest.approx([100 / (3 * 60), 100 / (3 * 30), 100 / (3 * 10)])


def test_of_a_policy_with_few_different_copies_no_more_are_made():
    done, _ = planned((20, 6, 6), copies=2, different=7, cap=16)
    assert table(done, "copies", "most of one") == [[40, 2], [42, 7], [42, 7]]
    assert done.notes == ("b and c get fewer images than were asked for: a picture has 7 different copies",)


def test_one_class_alone_that_is_short_is_told_of_in_the_singular():
    done, _ = planned((20, 20, 2), cap=4)
    assert done.notes == ("c gets fewer images than were asked for: a picture gets at most 4 copies (--cap)",)


def test_of_many_classes_that_are_short_some_are_named():
    done, _ = planned((90, *[2] * 8), copies=0, cap=1, classes=tuple("abcdefghi"))
    assert done.notes[0].startswith("b, c, d, e, f and 3 more get fewer images than were asked for")


def test_a_class_without_a_picture_stays_without():
    done, _ = planned((6, 0, 3))
    assert table(done, "sources", "used", "copies", "images") == [[6, 6, 12, 18], [0, 0, 0, 0], [3, 3, 15, 18]]
    assert done.weights.tolist() == [1, 0, 1]
    assert done.notes == ()
    few, _ = planned((6, 0, 3), balance="undersample")
    assert table(few, "used") == [[3], [0], [3]]
    many, _ = planned((6, 0, 3), balance="5")
    assert table(many, "images") == [[5], [0], [5]]


@pytest.mark.parametrize("balance", [*BALANCES, "5"])
def test_a_class_with_a_single_picture_gets_copies_of_it_up_to_the_cap(balance):
    done, _ = planned((6, 1, 3), balance=balance, cap=4)
    images = {"oversample": 5, "undersample": 3, "weights": 3, "none": 3, "5": 5}[balance]
    assert table(done, "sources", "used", "images")[1] == [1, 1, images]
    undersampled = "undersampling leaves one picture of every class, as b has no more; --min-class helps"
    assert (undersampled in done.notes) == (balance == "undersample")


def test_several_classes_of_a_single_picture_are_told_in_the_plural():
    done, _ = planned((1, 1, 3), balance="undersample")
    assert "undersampling leaves one picture of every class, as a and b have no more; --min-class helps" in done.notes


def test_an_empty_training_split_is_refused():
    with pytest.raises(DataError, match=r"the training split is empty\. Give it a share, such as --train 0\.7"):
        plan_copies(np.array([0, 1]), np.zeros(0, np.int64), CLASSES[:2], BuildConfig(), 4)


def test_only_the_rows_that_are_given_are_used():
    labels, rows = labels_of(6, 4, 3)
    some = rows[::-1][:9]
    done = plan_copies(labels, some, CLASSES, BuildConfig(), 1)
    assert done.rows.tolist() == sorted(some.tolist())
    assert done.table["sources"].tolist() == np.bincount(labels[some], minlength=3).tolist()


# By chance, and by the seed alone


def test_which_pictures_are_left_out_and_copied_once_more_is_drawn_from_the_seed():
    draws = [planned((60, 40, 7), balance="20", seed=seed) for seed in (0, 0, 1)]
    (one, labels), (same, _), (other, _) = draws
    assert np.array_equal(one.rows, same.rows)
    assert np.array_equal(one.copies, same.copies)
    assert not np.array_equal(one.rows, other.rows)
    thrice = [of.rows[(of.copies == 2) & (labels[of.rows] == 2)].tolist() for of in (one, other)]
    assert [len(rows) for rows in thrice] == [6, 6]
    assert thrice[0] != thrice[1]


def test_the_rows_may_come_in_any_order():
    labels, rows = labels_of(9, 5, 3)
    config = BuildConfig(balance="7")
    one, other = (plan_copies(labels, order, CLASSES, config, 2) for order in (rows, rows[::-1]))
    assert np.array_equal(one.rows, other.rows)
    assert np.array_equal(one.copies, other.copies)


@given(
    counts=st.lists(st.sampled_from([0, 2, 3, 5, 17, 40]), min_size=1, max_size=5).filter(any),
    copies=st.integers(0, 9),
    cap=st.integers(0, 12),
    balance=st.sampled_from([*BALANCES, "1", "6", "33"]),
    different=st.none() | st.integers(1, 8),
    seed=st.integers(0, 5),
)
def test_no_class_gets_more_than_its_target_and_copies_are_dealt_evenly(counts, copies, cap, balance, different, seed):
    labels, rows = labels_of(*counts)
    before = labels.copy(), rows.copy()
    config = BuildConfig(balance=balance, cap=cap, seed=seed)
    classes = tuple("abcde"[: len(counts)])
    done = plan_copies(labels, rows, classes, config, copies, different)
    assert np.array_equal(labels, before[0])
    assert np.array_equal(rows, before[1])
    assert (np.diff(done.rows) > 0).all()
    most = cap if different is None else min(cap, different)
    largest = {"oversample": max(counts) * (1 + copies), "undersample": min(filter(None, counts)) * (1 + copies)}
    for code, count in enumerate(counts):
        of = done.copies[labels[done.rows] == code]
        total = len(of) + of.sum()
        target = config.count or largest.get(balance, count * (1 + copies)) if count else 0
        assert total == min(target, len(of) * (1 + most)) or (total == len(of) and total <= target)
        assert not count or 0 < len(of) <= count
        assert len(of) == count or balance not in ("oversample", "weights", "none")
        assert np.ptp(of) <= 1 if len(of) else True
        assert (of <= most).all()
    assert done.table["images"].sum() == done.images == len(done.rows) + done.copies.sum()
    assert done.weights @ done.table["images"] == pytest.approx(done.images)


# What pictures are worth


def test_the_effective_number_has_the_values_of_the_paper():
    # (1 - 0.999^n) / (1 - 0.999); Cui et al., 2019.
    found = effective_number(np.array([0, 1, 10, 1000, 10_000, 1_000_000]))
    assert found == pytest.approx([0, 1, 9.955, 632.305, 999.955, 1000], abs=1e-3)


def test_copies_add_nothing_to_the_effective_number():
    one, many = (planned((1000, 4, 3), copies=copies)[0].table["effective"].tolist() for copies in (0, 4))
    assert one == many == [632, 4, 3]


def test_the_weights_give_every_class_the_same_say():
    weights = class_weights(np.array([10, 30, 0, 60]))
    assert weights == pytest.approx([100 / 30, 100 / 90, 0, 100 / 180])
