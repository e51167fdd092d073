from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.measuring.hashing import turned as turned_by_numpy
from curate.stage.errors import DataError
from train.batches import Batches, class_weights, cut_mix, folds, mix_up, turned
from train.configs import FitConfig
from train.sets import LabelledSet, read_built

PLAIN = FitConfig(batch=16, flips="none", class_weights="none")


@pytest.fixture(scope="module")
def train(built):
    return read_built(built).train


@pytest.fixture(scope="module")
def mixed_copies(write_built, tmp_path_factory):
    return read_built(write_built(tmp_path_factory.mktemp("mixed"), soft=True, benchmark=False)).train


def numbered(n, classes=2, side=4, soft=None, height=None):
    """A set whose image i is of grey level i, of class i mod K, each a source of its own."""
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((height or side, side, 3), np.uint8)
    ids = tuple(map(str, range(n)))
    return LabelledSet(
        "train", "train", images, np.arange(n) % classes, soft, ids, np.array(ids), np.arange(n), np.zeros(n, np.int64),
        tuple("abcdefgh"[:classes]),
    )  # fmt: skip


def epoch_of(batches):
    return [batches[step] for step in range(len(batches))]


def levels_of(made):
    return np.concatenate([images[:, 0, 0, 0] for images, _, _ in made]).tolist()


# An epoch


def test_an_epoch_has_each_row_once_in_an_order_of_its_own():
    batches = Batches(numbered(60), replace(PLAIN, batch=10), np.ones(2), 0)
    seen = [levels_of(epoch_of(batches))]
    batches.begin(0, 1)
    seen.append(levels_of(epoch_of(batches)))
    batches.begin(1, 1)
    seen.append(levels_of(epoch_of(batches)))
    for order in seen:
        assert sorted(order) == list(range(60))
        assert order != list(range(60))
    assert seen[0] != seen[1] != seen[2] != seen[0]


@pytest.mark.parametrize(("n", "batch", "steps"), [(60, 16, 4), (17, 16, 2), (16, 16, 1), (5, 16, 1), (1, 1, 1)])
def test_all_batches_are_of_one_size_and_leave_no_row_out(n, batch, steps):
    made = epoch_of(Batches(numbered(n), replace(PLAIN, batch=batch), np.ones(2), 3))
    assert len(made) == steps
    size = min(n, batch)
    for images, targets, weights in made:
        assert (images.shape, targets.shape, weights.shape) == ((size, 4, 4, 3), (size, 2), (size,))
        assert (images.dtype, targets.dtype, weights.dtype) == (np.uint8, np.float32, np.float32)
    seen = levels_of(made)
    assert set(seen) == set(range(n))
    assert sorted(seen[:n]) == list(range(n))  # what comes twice comes last


def test_a_batch_depends_on_seed_epoch_and_number_only(train):
    config = replace(PLAIN, flips="dihedral", mixup=0.4, cutmix=1.0, mix=0.7)
    one, other = (Batches(train, config, np.ones(3), 5) for _ in range(2))
    one.begin(1, 2)
    expected = epoch_of(one)
    other.begin(1, 1)
    other[3]
    other.begin(1, 2)
    for step in (4, 0, 4, 6):
        for a, b in zip(expected[step], other[step], strict=True):
            assert (a == b).all()
    another = Batches(train, config, np.ones(3), 6)
    another.begin(1, 2)
    assert not (another[0][0] == expected[0][0]).all()


def test_images_come_with_their_own_labels(train):
    rows = {train.batch([row])[0].tobytes(): row for row in range(len(train))}
    for images, targets, _ in epoch_of(Batches(train, PLAIN, np.ones(3), 0)):
        found = [rows[image.tobytes()] for image in images]
        assert targets.tolist() == train.targets(found).tolist()


def test_rows_that_are_left_out_never_come(train):
    kept = np.arange(10, 47)
    shown = np.concatenate([images for images, _, _ in epoch_of(Batches(train, PLAIN, np.ones(3), 0, rows=kept))])
    assert {image.tobytes() for image in shown} == {image.tobytes() for image in train.batch(kept)}


def test_nothing_left_to_fit_on_is_told(train):
    with pytest.raises(DataError, match="no image of train is left"):
        Batches(train, PLAIN, np.ones(3), 0, rows=np.zeros(0, np.int64))


def test_keras_sees_the_batches_in_order_and_fits_on_them(train):
    import keras

    seen = []

    class Watched(Batches):
        def __getitem__(self, step):
            seen.append(step)
            return super().__getitem__(step)

    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    batches = Watched(train, PLAIN, np.ones(3), 0)
    assert batches.num_batches == 7
    model.fit(batches, epochs=2, verbose=0, shuffle=False)
    assert seen[-14:] == [*range(7), *range(7)]


# Flips


@pytest.mark.parametrize("element", range(8))
def test_turning_is_what_numpy_does_with_views(rng, element):
    images = rng.integers(0, 256, (3, 9, 9, 3), dtype=np.uint8)
    before = images.copy()
    expected = np.moveaxis(turned_by_numpy(np.moveaxis(images, -1, 1), element), 1, -1)
    assert (turned(images, np.full(3, element)) == expected).all()
    assert (images == before).all()


def test_each_image_is_turned_by_itself(rng):
    images = np.repeat(rng.integers(0, 256, (1, 6, 6, 3), dtype=np.uint8), 8, axis=0)
    assert len({image.tobytes() for image in turned(images, np.arange(8))}) == 8


@pytest.mark.parametrize(
    ("flips", "height", "expected"), [("none", 6, 1), ("flip", 6, 2), ("dihedral", 6, 8), ("dihedral", 4, 4)]
)
def test_images_appear_in_all_orientations_that_are_asked_for_and_that_fit(rng, flips, height, expected):
    images = np.repeat(rng.integers(0, 256, (1, height, 6, 3), dtype=np.uint8), 200, axis=0)
    given = replace(numbered(200), images=images)
    batches = Batches(given, FitConfig(batch=200, flips=flips), np.ones(2), 0)
    shown = [image.tobytes() for image in batches[0][0]]
    counts = [shown.count(one) for one in set(shown)]
    assert len(counts) == expected
    assert min(counts) > 0.5 * 200 / expected
    mirrored = images[0, :, ::-1].tobytes()
    assert (mirrored in shown) == (flips != "none")
    batches.begin(0, 1)
    assert ([image.tobytes() for image in batches[0][0]] != shown) == (expected > 1)


# Weights


def test_class_weights_are_as_documented():
    labels = np.array([0] * 6 + [1] * 3 + [2] * 1)
    given = replace(numbered(10, classes=3), labels=labels)
    plan = np.array([0.5, 1.0, 2.0])
    assert class_weights("none", given, plan).tolist() == [1, 1, 1]
    assert class_weights("plan", given, plan).tolist() == [0.5, 1, 2]
    assert class_weights("balanced", given, plan) == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert class_weights("counts", given, plan) == pytest.approx([10 / 6, 10 / 3, 10])
    assert class_weights("balanced", given, plan)[labels].mean() == pytest.approx(1)
    assert class_weights("counts", given, plan, rows=np.arange(6, 10)) == pytest.approx([0, 4 / 3, 4])


def test_soft_labels_count_by_their_shares():
    soft = np.array([[0.75, 0.25], [0.25, 0.75], [1, 0], [0, 0]], np.float32)
    given = replace(numbered(4), soft=soft)
    assert class_weights("counts", given, np.ones(2)) == pytest.approx([3 / 2, 3 / 1])
    _, targets, weights = Batches(given, replace(PLAIN, batch=4), np.array([1.0, 3.0]), 0)[0]
    assert sorted(weights.tolist()) == [0, 1, 1.5, 2.5]
    assert weights == pytest.approx(targets @ [1, 3])


def test_each_image_weighs_what_its_class_does():
    _, targets, weights = Batches(numbered(6, classes=3), replace(PLAIN, batch=6), np.array([1.0, 2, 4]), 0)[0]
    assert weights.tolist() == [1.0 * 2 ** row.argmax() for row in targets]


# MixUp and CutMix


def test_mixup_is_the_weighted_mean_of_images_labels_and_weights(rng):
    images = rng.integers(0, 256, (8, 5, 7, 3), dtype=np.uint8)
    targets, weights = np.eye(8, dtype=np.float32), np.arange(8, dtype=np.float32)
    mixed, shares, weighed = mix_up((images, targets, weights), 0.4, np.random.default_rng(2))
    drawn = np.random.default_rng(2)
    kept, partner = drawn.beta(0.4, 0.4), drawn.permutation(8)
    assert 0.05 < kept < 0.95
    expected = kept * images.astype(float) + (1 - kept) * images[partner].astype(float)
    assert np.abs(mixed - expected).max() <= 0.5 + 1e-6
    assert mixed.dtype == np.uint8
    assert shares == pytest.approx(kept * targets + (1 - kept) * targets[partner], abs=1e-6)
    assert weighed == pytest.approx(kept * weights + (1 - kept) * weights[partner], abs=1e-5)
    assert shares.dtype == weighed.dtype == np.float32


@given(st.integers(0, 10_000), st.sampled_from([0.2, 1.0, 5.0]))
def test_cutmix_labels_follow_the_pixels(seed, alpha):
    n, height, width = 6, 9, 12
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((height, width, 3), np.uint8)
    before = images.copy()
    targets = np.eye(n, dtype=np.float32)
    mixed, shares, weighed = cut_mix(
        (images, targets, np.arange(n, dtype=np.float32)), alpha, np.random.default_rng(seed)
    )
    assert (images == before).all()
    for picture, share, weight in zip(mixed, shares, weighed, strict=True):
        area = np.bincount(picture[..., 0].ravel(), minlength=n) / (height * width)
        assert share == pytest.approx(area, abs=1e-6)
        assert weight == pytest.approx(area @ np.arange(n), abs=1e-5)
        assert (np.diff(picture, axis=-1) == 0).all()
    windows = mixed[..., 0] != before[..., 0]
    rows, columns = np.nonzero(windows.any(axis=0))
    if len(rows):  # one window, of the same place in all
        block = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        assert all(window[block].all() for window in windows if window.any())


def test_the_window_of_cutmix_has_the_share_that_is_drawn_but_for_what_lies_outside():
    kept = []
    targets, weights = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    for seed in range(2000):
        _, shares, _ = cut_mix((np.zeros((2, 64, 64, 3), np.uint8), targets, weights), 1.0, np.random.default_rng(seed))
        kept += [shares[0, 0]] if shares[0, 1] else []
    # A side of s about any place is s - s^2/4 long on average, and s^2 is uniform: 1 - (1/2 - 1/5 + 1/48).
    assert np.mean(kept) == pytest.approx(0.679, abs=0.02)


@pytest.mark.parametrize(
    ("given", "mix"), [({"mixup": 0.4}, 0.3), ({"cutmix": 1.0}, 0.6), ({"mixup": 0.4, "cutmix": 1.0}, 0.5)]
)
def test_that_share_of_the_batches_is_mixed(given, mix):
    batches = Batches(numbered(600, classes=8), replace(PLAIN, batch=2, mix=mix, **given), np.ones(8), 0)
    mixed = [((targets > 0) & (targets < 1)).any() for _, targets, _ in epoch_of(batches)]
    # A partner of the same class, or the image itself, mixes nothing that labels show: 1/2 of pairs.
    assert abs(np.mean(mixed) - mix / 2) < 0.1


def test_of_mixup_and_cutmix_one_is_taken_by_chance():
    images = np.zeros((40, 8, 8, 3), np.uint8)
    images[::2] = 200
    given = replace(numbered(40), images=images)
    batches = Batches(given, replace(PLAIN, batch=2, mixup=1.0, cutmix=1.0, mix=1.0), np.ones(2), 0)
    kinds = set()
    for epoch in range(3):
        batches.begin(0, epoch)
        for mixed, targets, _ in epoch_of(batches):
            if 0.1 < targets[0].max() < 0.9:
                kinds.add("mixup" if len(np.unique(mixed[0])) == 1 else "cutmix")
    assert kinds == {"mixup", "cutmix"}


def test_nothing_is_mixed_where_nothing_is_asked_for(train):
    for _, targets, _ in epoch_of(Batches(train, replace(PLAIN, mix=1.0), np.ones(3), 0)):
        assert set(np.unique(targets)) == {0, 1}


# Copies beside their source


def test_a_consistency_batch_is_sources_copies_and_other_copies(train):
    batches = Batches(train, replace(PLAIN, batch=30, jsd=12.0), np.ones(3), 0)
    rows = {train.batch([row])[0].tobytes(): row for row in range(len(train))}
    assert len(batches) == 4  # 36 sources, ten a step
    seen, pairs = [], set()
    for epoch in range(5):
        batches.begin(0, epoch)
        for images, targets, weights in epoch_of(batches):
            assert images.shape[0] == len(targets) == len(weights) == 30
            found = np.array([rows[image.tobytes()] for image in images]).reshape(3, 10)
            assert (train.sources[found] == train.sources[found[0]]).all()
            assert (train.copies[found[0]] == 0).all()
            assert (train.copies[found[1:]] > 0).all()
            assert (found[1] != found[2]).all()
            pairs |= set(map(tuple, train.copies[found].T.tolist()))
            assert (targets.reshape(3, 10, 3) == targets[:10]).all()
            seen += found[0].tolist() if epoch == 0 else []
    assert set(seen) == set(np.flatnonzero(train.copies == 0))
    assert pairs == {(0, 1, 2), (0, 2, 1)}


def test_a_source_and_its_copies_are_turned_alike(train):
    batches = Batches(train, replace(PLAIN, batch=30, jsd=12.0, flips="dihedral"), np.ones(3), 0)
    before = {image.tobytes() for image in train.batch(np.arange(len(train)))}
    images = batches[0][0].reshape(3, 10, 32, 32, 3)
    for one in range(10):
        views = images[:, one]
        assert any(all(undone(view, element).tobytes() in before for view in views) for element in range(8))


def undone(image, element):
    if element & 1:
        image = image[:, ::-1]
    if element & 2:
        image = image[::-1]
    if element & 4:
        image = image.transpose(1, 0, 2)
    return np.ascontiguousarray(image)


def test_consistency_keeps_to_the_rows_that_are_left(train):
    kept = np.flatnonzero(train.labels != 1)
    for images, targets, _ in epoch_of(Batches(train, replace(PLAIN, jsd=1.0), np.ones(3), 0, rows=kept)):
        assert len(images)
        assert not targets[:, 1].any()


def test_consistency_needs_two_copies_of_each(train, write_built, tmp_path):
    alone = read_built(write_built(tmp_path, copies=1, benchmark=False)).train
    with pytest.raises(DataError, match=r"two copies .*; 36 of 36 have fewer, such as blob-.*--copies 2.*--jsd"):
        Batches(alone, replace(PLAIN, jsd=1.0), np.ones(3), 0)
    lacking = np.delete(np.arange(len(train)), 5)
    with pytest.raises(DataError, match=f"; 1 of 36 have fewer, such as {train.sources[5]}"):
        Batches(train, replace(PLAIN, jsd=1.0), np.ones(3), 0, rows=lacking)
    with pytest.raises(DataError, match="; 0 of 0 have fewer"):
        Batches(train, replace(PLAIN, jsd=1.0), np.ones(3), 0, rows=np.array([1, 2]))


def test_consistency_with_mixed_copies_is_refused(mixed_copies):
    with pytest.raises(DataError, match="were mixed with other images"):
        Batches(mixed_copies, replace(PLAIN, jsd=1.0), np.ones(3), 0)


# Folds


def test_every_source_is_measured_once_and_no_group_is_on_both_sides(train):
    dealt = folds(train, 4, 0)
    assert len(dealt) == 4
    assert sorted(np.concatenate([held for _, held in dealt]).tolist()) == np.flatnonzero(train.copies == 0).tolist()
    for rows, held in dealt:
        assert not set(train.groups[rows]) & set(train.groups[held])
        assert (train.copies[held] == 0).all()
        assert (train.copies[rows] > 0).any()
        held_groups = np.isin(train.groups, train.groups[held])
        assert len(rows) + held_groups.sum() == len(train)


def test_folds_have_every_class_alike_and_follow_the_seed(train):
    first = folds(train, 4, 0)
    for _, held in first:
        counts = np.bincount(train.labels[held], minlength=3)
        assert counts.min() >= 2
        assert counts.max() <= 4
    again, other = folds(train, 4, 0), folds(train, 4, 1)
    assert all((a[1] == b[1]).all() for a, b in zip(first, again, strict=True))
    assert any(a[1].tolist() != b[1].tolist() for a, b in zip(first, other, strict=True))


def test_more_folds_than_a_class_has_groups_are_refused(train):
    with pytest.raises(DataError, match="class crimson has 11 groups of images in train; 12 folds need 12"):
        folds(train, 12, 0)
