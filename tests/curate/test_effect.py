from dataclasses import replace

import numpy as np
import pytest

from curate.effect import cleaning_effect, interval_over_groups
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
