import numpy as np
import pytest

from curate.measuring.belonging import NEAREST, belonging

CLASSES, EACH = 6, 40


def clouds(rng, classes=CLASSES, each=EACH, apart=9.0):
    """Clouds of points in 40 dimensions, and their labels: distances within are much alike, those between are, too."""
    labels = np.repeat(np.arange(classes), each)
    return (rng.normal(0, 1, (classes, 40)) * apart / 9)[labels] * 2 + rng.normal(0, 1, (len(labels), 40)), labels


def fits_of(points, labels, key=None, references=None):
    points = points.astype(np.float32)
    key = np.arange(len(labels)) if key is None else key
    return belonging(points, points, labels, key, np.arange(len(labels)) if references is None else references)


@pytest.fixture
def strange(rng):
    """Clouds, the first rows of which are under another label, and strangers after them, under labels of no reason."""
    points, labels = clouds(rng)
    labels[:4] = 3
    points = np.concatenate([points, 2 * rng.normal(0, 1, (12, 40)) + rng.normal(0, 1, (12, 40))])
    return points, np.concatenate([labels, np.arange(12) % CLASSES])


def test_a_class_has_its_middle_at_nought_and_pictures_of_others_lie_at_one(rng):
    points, labels = clouds(rng)
    fits = fits_of(points, labels)
    assert np.median(fits.own) == pytest.approx(0, abs=0.1)
    labels[0] = 5
    assert fits_of(points, labels).own[0] == pytest.approx(1, abs=0.4)


def test_strangers_are_told_and_next_to_no_others(strange):
    fits = fits_of(*strange)
    assert fits.apart
    assert (fits.odds[-12:] > 0).sum() >= 11
    assert (fits.odds[:4] > 0).all()
    assert (fits.odds[4:-12] > 0).sum() <= 2


def test_a_picture_under_a_wrong_label_fits_its_own_and_a_stranger_fits_none(strange):
    fits = fits_of(*strange)
    assert (fits.fit[:4] > 0).all()
    assert fits.rival[:4].tolist() == [0] * 4
    assert (fits.fit[-12:] < 0).all()
    assert np.isneginf(fits.fit[fits.own < 0]).all()  # of what fits its own class nothing is asked


def test_clouds_that_lie_in_each_other_tell_no_strangers(rng):
    points, labels = clouds(rng, apart=0.0)
    points[5] += 20
    fits = fits_of(points, labels)
    assert not fits.apart
    assert np.isneginf(fits.odds).all()


def test_copies_do_not_vouch_for_each_other(strange):
    points, labels = strange
    points, labels = np.concatenate([points, np.repeat(points[-1:], NEAREST, 0)]), np.append(labels, [5] * NEAREST)
    copies = np.arange(len(labels))
    copies[-NEAREST:] = len(labels) - NEAREST - 1
    together, apart = fits_of(points, labels, copies), fits_of(points, labels)
    assert (together.odds[-NEAREST:] > 0).all()
    assert (apart.odds[-NEAREST:] < 0).all()


def test_a_copy_of_a_picture_of_its_class_is_of_it_whatever_was_done_to_it(strange):
    points, labels = strange
    copies = np.arange(len(labels))
    copies[-1] = 150  # a stranger is a copy of an ordinary picture
    assert labels[150] == 3
    for label, apart in ((3, False), (5, True)):
        labels[-1] = label
        assert (fits_of(points, labels, copies).odds[-1] > 0) == apart


def test_small_classes_and_rows_without_a_label_or_a_picture_are_left_out(rng):
    points, labels = clouds(rng)
    labels[:36] = -1  # of the first class four are left
    key = np.arange(len(labels))
    key[50] = -1
    fits = fits_of(points, labels, key, np.delete(np.arange(len(labels)), 50))
    assert np.isnan(fits.own[:41]).sum() == 40
    assert np.isnan(fits.own[50])
    assert np.isfinite(np.delete(fits.own, [*range(40), 50])).all()
    assert not (fits.rival == 0).any()


@pytest.mark.parametrize("labels", [np.zeros(30, np.int64), np.full(30, -1), np.arange(30) // 5])
def test_where_there_are_no_two_classes_to_tell_by_nothing_is_said(rng, labels):
    assert fits_of(rng.normal(0, 1, (30, 5)), labels) is None


def test_of_large_classes_a_sample_says_the_same(rng, monkeypatch, strange):
    whole = fits_of(*strange)
    monkeypatch.setattr("curate.measuring.belonging._TELLING", 25)
    sampled = fits_of(*strange)
    assert ((whole.odds > 0) == (sampled.odds > 0)).mean() > 0.97
