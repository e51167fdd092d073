from dataclasses import replace

import numpy as np
import pytest

from curate.effect import cleaning_effect, interval_over_groups, unexplained_labels
from curate.findings import DROP, KEEP


def verdict(*dropped):
    actions = np.full(160, KEEP, dtype="<U6")
    actions[list(dropped)] = DROP
    return actions


def test_where_nothing_is_dropped_nothing_changes(clean):
    effect = cleaning_effect(clean, verdict())
    assert effect.before == effect.after
    assert effect.low <= effect.after <= effect.high
    assert effect.rows == 160


def test_it_is_measured_on_rows_that_stay(clean):
    assert cleaning_effect(clean, verdict(*range(60))).rows == 100


def test_without_wrong_labels_to_learn_from_the_probe_is_better(clean):
    labels = clean.images.labels.copy()
    wrong = np.arange(0, 160, 3)
    labels[wrong] = 0
    evidence = replace(clean, images=replace(clean.images, labels=labels))
    effect = cleaning_effect(evidence, verdict(*wrong))
    assert effect.after > effect.before


def test_where_nothing_can_be_learnt_or_too_few_rows_stay_there_is_none(clean):
    assert cleaning_effect(replace(clean, probe=None), verdict()) is None
    assert cleaning_effect(clean, verdict(*range(141))) is None
    assert cleaning_effect(clean, verdict(*range(140))) is not None


def test_an_interval_is_wider_where_rows_come_in_groups():
    hits = np.tile([1.0, 1.0, 1.0, 0.0], 50).reshape(10, 20).T.ravel()
    alone = interval_over_groups(hits, np.arange(200), seed=0)
    together = interval_over_groups(np.sort(hits), np.arange(200) // 20, seed=0)
    assert alone[0] < 0.75 < alone[1]
    assert together[1] - together[0] > alone[1] - alone[0]
    assert alone == pytest.approx(interval_over_groups(hits, np.arange(200), seed=0))


def with_guesses(evidence, guesses):
    """The same evidence, whose probe is sure of these classes."""
    probabilities = np.eye(len(evidence.probe.classes))[guesses]
    return replace(evidence, probe=replace(evidence.probe, probabilities=probabilities))


def test_classes_that_the_pictures_tell_apart_need_no_word(clean):
    assert unexplained_labels(clean) == ""
    assert unexplained_labels(replace(clean, probe=None)) == ""


def test_where_the_probe_guesses_at_random_the_classes_may_be_none(clean):
    rows = np.arange(len(clean.probe.rows))
    guesses = np.random.default_rng(0).permutation(rows % len(clean.probe.classes))
    note = unexplained_labels(with_guesses(clean, guesses))
    assert note.startswith("the pictures do not tell the classes apart: the label probe is right in 0.")
    assert note.endswith("name something else with --classes-from")


def test_a_frequent_class_that_is_always_guessed_is_chance_and_one_that_is_known_is_not(clean):
    labels = clean.images.labels.copy()
    labels[clean.probe.rows] = np.where(np.arange(len(clean.probe.rows)) % 5 < 2, 1, 0)
    uneven = replace(clean, images=replace(clean.images, labels=labels))
    own = np.searchsorted(clean.probe.classes, labels[clean.probe.rows])
    assert "0.600 of the images, and by chance in 0.600" in unexplained_labels(with_guesses(uneven, np.zeros_like(own)))
    assert unexplained_labels(with_guesses(uneven, own)) == ""


def test_where_half_is_known_the_classes_are_some(clean):
    own = np.searchsorted(clean.probe.classes, clean.images.labels[clean.probe.rows])
    half = np.where(np.arange(len(own)) % 2, own, 0)
    assert unexplained_labels(with_guesses(clean, half)) == ""
