import numpy as np
import pytest

from curate.measuring.noise import log_softmax, noise

K = 4


def weak(rng, n=4000, sure=1.0, classes=K):
    """Log probabilities that are right as often as they say, where `sure` is 1, and classes drawn by them."""
    logits = rng.normal(0, 3, (n, classes))
    p = np.exp(log_softmax(logits))
    truth = (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return log_softmax(logits / sure), truth


def mislabelled(rng, truth, share, neighbours=False):
    """The labels with some share wrong: any other, or the class next to the true one."""
    rows = rng.random(len(truth)) < share
    shift = 1 if neighbours else rng.integers(1, K, len(truth))
    return np.where(rows, (truth + shift) % K, truth), rows


def test_a_weak_probe_is_no_noise(rng):
    logs, truth = weak(rng)
    outcome = noise(logs[None], truth)
    assert (np.exp(logs).max(axis=1) < 0.9).mean() > 0.2  # it is wrong often, and knows it
    assert outcome.rate < 0.01
    assert (outcome.odds > 0).sum() <= 4


@pytest.mark.parametrize("neighbours", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_share_of_wrong_labels_is_estimated(rng, share, neighbours):
    logs, truth = weak(rng)
    labels, wrong = mislabelled(rng, truth, share, neighbours)
    assert noise(logs[None], labels).rate == pytest.approx(wrong.mean(), abs=0.01 + 0.1 * share)


@pytest.mark.parametrize("neighbours", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_as_many_are_wrong_as_the_odds_say(rng, share, neighbours):
    logs, truth = weak(rng)
    labels, wrong = mislabelled(rng, truth, share, neighbours)
    odds = noise(logs[None], labels).odds
    chance = 1 / (1 + np.exp(-odds))
    for least, tolerance in ((0.5, 0.1), (0.9, 0.05)):
        rows = chance >= least
        assert wrong[rows].mean() == pytest.approx(chance[rows].mean(), abs=tolerance)


def test_copies_of_a_picture_speak_once(rng):
    logs, truth = (part[:120] for part in weak(rng))
    labels = mislabelled(rng, truth, 0.1, neighbours=False)[0]
    of_pictures = noise(logs[None], labels)
    of_copies = noise(np.repeat(logs, 5, axis=0)[None], np.repeat(labels, 5), copies=5)
    assert of_copies.rate == pytest.approx(of_pictures.rate, abs=1e-3)
    np.testing.assert_allclose(of_copies.odds[::5], of_pictures.odds, atol=0.05)


@pytest.mark.parametrize("sure", [0.25, 3.0])
def test_what_is_too_sure_of_itself_is_stretched_to_what_it_is_worth(rng, sure):
    logs, truth = weak(rng, sure=sure)
    outcome = noise(logs[None], truth)
    assert outcome.weights[0] == pytest.approx(sure, rel=0.15)
    np.testing.assert_allclose(outcome.truth, np.exp(log_softmax(logs * outcome.weights[0])))


def test_a_view_that_says_nothing_counts_for_nothing(rng):
    logs, truth = weak(rng)
    other = log_softmax(rng.normal(0, 3, logs.shape))
    weights = noise(np.stack([logs, other]), truth).weights
    assert weights[0] == pytest.approx(1, abs=0.1)
    assert weights[1] < 0.05


def test_two_views_of_the_same_are_better_than_each(rng):
    logits = rng.normal(0, 3, (3000, K))
    truth = logits.argmax(axis=1)
    views = np.stack([log_softmax(logits + rng.normal(0, 2, logits.shape)) for _ in range(2)])
    right = [(noise(part, truth).truth.argmax(axis=1) == truth).mean() for part in (views[:1], views[1:], views)]
    assert right[2] > max(right[:2])


def test_the_slopes_of_the_likelihood_are_those_of_its_differences(rng):
    from curate.measuring.noise import _loss, _Model, _proportions

    logs, truth = weak(rng, n=50)
    views, confused = np.stack([logs, logs**2 / 9]), _proportions(np.ones((K, K)))[:, truth].T

    def loss(at):
        return _loss(_Model(at[:-1], 1 / (1 + np.exp(-at[-1]))), views, truth, confused, trusted=10)

    at = np.array([0.7, 0.2, -2.0])
    steps = [(loss(at + step)[0] - loss(at - step)[0]) / 2e-5 for step in 1e-5 * np.eye(3)]
    np.testing.assert_allclose(loss(at)[1], steps, rtol=1e-4)


def test_of_many_rows_a_sample_is_fitted_and_all_are_judged(rng, monkeypatch):
    monkeypatch.setattr("curate.measuring.noise._MOST", 1)
    logs, truth = weak(rng, n=6000)
    labels, wrong = mislabelled(rng, truth, 0.1)
    outcome = noise(logs[None], labels)
    assert len(outcome.odds) == 6000
    assert outcome.rate == pytest.approx(wrong.mean(), abs=0.03)
