import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from train.configs import FitConfig
from train.losses import cross_entropy, divergence, loss_of

HARD = FitConfig(label_smoothing=0.0)


def value(tensor):
    return ops.convert_to_numpy(tensor)


def some(rng, n=12, classes=4, soft=False):
    """(labels, probabilities), float32 (n, K)."""
    labels = rng.dirichlet(np.ones(classes), n) if soft else np.eye(classes)[rng.integers(classes, size=n)]
    return labels.astype(np.float32), rng.dirichlet(np.ones(classes), n).astype(np.float32)


def test_cross_entropy_is_the_logarithm_of_what_the_class_was_given():
    labels, given = np.float32([[0, 1, 0], [1, 0, 0]]), np.float32([[0.2, 0.5, 0.3], [0.25, 0.25, 0.5]])
    assert value(loss_of(HARD)(labels, given)) == pytest.approx([math.log(2), math.log(4)], rel=1e-6)


def test_soft_labels_count_by_their_shares():
    labels, given = np.float32([[0.75, 0.25]]), np.float32([[0.5, 0.5]])
    assert value(cross_entropy(labels, given)) == pytest.approx([math.log(2)], rel=1e-6)
    given = np.float32([[0.8, 0.2]])
    assert value(cross_entropy(labels, given)) == pytest.approx(
        [-0.75 * math.log(0.8) - 0.25 * math.log(0.2)], rel=1e-6
    )


def test_smoothing_spreads_a_share_of_the_label_over_all_classes():
    labels, given = np.float32([[1, 0]]), np.float32([[0.9, 0.1]])
    expected = -0.95 * math.log(0.9) - 0.05 * math.log(0.1)
    assert value(loss_of(FitConfig(label_smoothing=0.1))(labels, given)) == pytest.approx([expected], rel=1e-6)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_agrees_with_keras_own(rng, soft, smoothing):
    labels, given = some(rng, soft=soft)
    mine = value(loss_of(FitConfig(label_smoothing=smoothing))(labels, given))
    theirs = value(keras.losses.categorical_crossentropy(labels, given, label_smoothing=smoothing))
    assert mine == pytest.approx(theirs, rel=1e-5)
    assert mine.shape == (12,)


def test_the_focal_loss_is_that_of_the_paper():
    labels, given = np.float32([[1, 0], [1, 0]]), np.float32([[0.9, 0.1], [0.1, 0.9]])
    loss = value(loss_of(FitConfig(focal=2.0, label_smoothing=0.0))(labels, given))
    assert loss == pytest.approx([0.1**2 * -math.log(0.9), 0.9**2 * -math.log(0.1)], rel=1e-5)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_agrees_with_keras_own(rng, soft, gamma):
    labels, given = some(rng, soft=soft)
    mine = value(loss_of(FitConfig(focal=gamma, label_smoothing=0.1))(labels, given))
    theirs = value(
        keras.losses.categorical_focal_crossentropy(labels, given, alpha=1.0, gamma=gamma, label_smoothing=0.1)
    )
    assert mine == pytest.approx(theirs, rel=1e-4)


def test_a_sure_answer_costs_a_finite_amount_however_wrong():
    labels, given = np.float32([[1, 0], [0, 1]]), np.float32([[0, 1], [0, 1]])
    for config in (HARD, FitConfig(focal=2.0), FitConfig(focal=0.5)):
        loss = value(loss_of(config)(labels, given))
        assert np.isfinite(loss).all()
        assert loss[0] > 50
        assert loss[1] < 10


def test_a_surely_wrong_answer_still_has_a_gradient():
    """Where a loss is cut off at 1e-7, as Keras' own is, such a picture would never be learned."""
    start = np.float32([[20, -20]])  # a probability of 4e-18
    dense = keras.layers.Dense(2, use_bias=False)
    model = keras.Sequential([keras.Input((1,)), dense, keras.layers.Softmax()])
    dense.set_weights([start])
    model.compile(keras.optimizers.SGD(1.0), loss_of(HARD), jit_compile=False)
    model.fit(np.float32([[1]]), np.float32([[0, 1]]), verbose=0)
    # The gradient of cross-entropy is what was predict_sets less what is true: 1 and -1.
    assert dense.get_weights()[0] == pytest.approx(np.float32([[19, -19]]), rel=1e-4)


# Consistency


def test_the_divergence_of_equal_views_is_none(rng):
    _, given = some(rng)
    assert value(divergence(given, given, given)) == pytest.approx(np.zeros(12), abs=1e-6)


def test_the_divergence_of_two_sure_and_opposite_views_is_the_logarithm_of_two():
    yes, no = np.float32([[1, 0]]), np.float32([[0, 1]])
    assert value(divergence(yes, no)) == pytest.approx([math.log(2)], rel=1e-5)


def test_the_divergence_is_the_entropy_of_the_mean_less_the_mean_entropy(rng):
    views = [some(rng)[1] for _ in range(3)]

    def entropy(p):
        return -(p * np.log(p)).sum(axis=1)

    expected = entropy(np.mean(views, axis=0)) - np.mean([entropy(view) for view in views], axis=0)
    assert value(divergence(*views)) == pytest.approx(expected, abs=1e-5)


@given(st.integers(0, 10_000))
def test_the_divergence_is_symmetric_and_between_none_and_the_logarithm_of_three(seed):
    rng = np.random.default_rng(seed)
    views = [rng.dirichlet(np.full(5, 0.3), 4).astype(np.float32) for _ in range(3)]
    found = value(divergence(*views))
    assert found == pytest.approx(value(divergence(views[2], views[0], views[1])), abs=1e-5)
    assert (found >= -1e-5).all()
    assert (found <= math.log(3) + 1e-5).all()


def test_the_loss_with_consistency_is_that_of_the_source_and_the_divergence_of_all_three(rng):
    labels, _ = some(rng, 4)
    views = [some(rng, 4)[1] for _ in range(3)]
    stacked = np.concatenate([labels] * 3), np.concatenate(views)
    found = value(loss_of(FitConfig(jsd=12.0, label_smoothing=0.1))(*stacked))
    expected = value(cross_entropy(labels, views[0], 0.1)) + 12 * value(divergence(*views))
    assert found.shape == (12,)
    assert found == pytest.approx(np.tile(expected, 3), rel=1e-5)
    assert found.mean() == pytest.approx(expected.mean(), rel=1e-5)


def test_labels_of_the_copies_do_not_matter_to_it(rng):
    labels, given = some(rng, 12)
    other = labels.copy()
    other[4:] = other[4:, ::-1]
    loss = loss_of(FitConfig(jsd=1.0))
    assert (value(loss(labels, given)) == value(loss(other, given))).all()


def test_keras_takes_it_with_weights_and_means_it(rng):
    labels, given = some(rng, 6)
    weights = np.float32([1, 2, 3, 1, 2, 3])
    model = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    for config in (HARD, FitConfig(jsd=2.0)):
        model.compile("sgd", loss_of(config), jit_compile=False)
        told = model.evaluate(given, labels, sample_weight=weights, batch_size=6, verbose=0)
        expected = (value(loss_of(config)(labels, given)) * weights).sum() / 6
        assert told == pytest.approx(expected, rel=1e-5)
