import numpy as np
import pytest
import threadpoolctl
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from train.probing import Probe, fit_probe


def blobs(seed: int, n: int = 300, classes: int = 3, apart: float = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = rng.normal(size=(classes, 6)) * apart
    return (centres[labels] + rng.normal(size=(n, 6))).astype(np.float32), labels


def one_hot(labels: np.ndarray, classes: int = 3) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[labels]


def test_the_probe_is_the_logistic_regression_of_scikit_learn_on_scaled_features():
    features, labels = blobs(0)
    probe = fit_probe(features, one_hot(labels), np.ones(len(labels)), lambda probe: 0.0, strengths=[0.01])
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    peer = LogisticRegression(C=1 / (0.01 * len(labels)), tol=1e-8, max_iter=1000).fit(scaled, labels)
    logits = probe(features)
    theirs = scaled @ peer.coef_.T + peer.intercept_
    difference = logits - theirs
    # Logits are known but for one number a row.
    assert np.abs(difference - difference.mean(axis=1, keepdims=True)).max() < 0.02


def test_shares_of_two_classes_teach_both():
    features, labels = blobs(1, apart=6)
    shares = one_hot(labels) * 0.6 + one_hot((labels + 1) % 3) * 0.4
    probe = fit_probe(features, shares, np.ones(len(labels)), lambda probe: 0.0, strengths=[1e-5])
    found = softmax(probe(features), axis=1)
    means = np.stack([found[labels == one].mean(axis=0) for one in range(3)])
    np.testing.assert_allclose(means, np.eye(3) * 0.6 + np.roll(np.eye(3), 1, axis=1) * 0.4, atol=0.05)


def test_a_row_of_twice_the_weight_counts_like_two_rows():
    features, labels = blobs(2, 90)
    weights = np.where(labels == 0, 2.0, 1.0)
    twice = np.concatenate([np.arange(90), np.flatnonzero(labels == 0)])
    scaling = features[twice].mean(axis=0), features[twice].std(axis=0) + 1e-6
    both = (features - scaling[0]) / scaling[1]
    # Scaled alike beforehand, so that only the weights differ.
    weighted = fit_probe(np.float32(both), one_hot(labels), weights, lambda probe: 0.0, strengths=[0.1])
    repeated = fit_probe(
        np.float32(both[twice]), one_hot(labels[twice]), np.ones(len(twice)), lambda probe: 0.0, strengths=[0.1]
    )
    assert (weighted(both).argmax(axis=1) == repeated(both).argmax(axis=1)).mean() > 0.97


def test_of_all_strengths_the_one_that_scores_best_is_taken_and_of_equals_the_strongest():
    features, labels = blobs(3)
    given = (features, one_hot(labels), np.ones(len(labels)))
    wanted = fit_probe(*given, lambda probe: -abs(probe.strength - 0.01), strengths=[0.1, 0.01, 0.001])
    assert wanted.strength == 0.01
    assert fit_probe(*given, lambda probe: 1.0, strengths=[0.1, 0.01]).strength == 0.1


def test_a_stronger_penalty_makes_smaller_weights():
    features, labels = blobs(4)
    given = (features, one_hot(labels), np.ones(len(labels)))
    norms = [np.linalg.norm(fit_probe(*given, lambda probe: 0.0, strengths=[s]).kernel) for s in (1.0, 0.1, 0.01)]
    assert norms == sorted(norms)


@pytest.mark.parametrize("constant", [0, 3])
def test_a_feature_that_never_changes_does_no_harm(constant):
    features, labels = blobs(5)
    features[:, 2] = constant
    probe = fit_probe(features, one_hot(labels), np.ones(len(labels)), lambda probe: 0.0)
    assert isinstance(probe, Probe)
    assert np.isfinite(probe(features)).all()
    assert (probe(features).argmax(axis=1) == labels).mean() > 0.9


@pytest.mark.parametrize("threads", [1, 2])
def test_the_weights_are_the_same_however_many_threads_there_are(threads):
    features = np.random.default_rng(6).normal(size=(3000, 400)).astype(np.float32)
    given = (features, one_hot(features[:, :3].argmax(axis=1)), np.ones(len(features)), lambda probe: 0.0)
    alone = fit_probe(*given)
    with threadpoolctl.threadpool_limits(threads, user_api="blas"):
        np.testing.assert_array_equal(fit_probe(*given).kernel, alone.kernel)
