from dataclasses import fields

import numpy as np
import pytest

from curate.configs import ScanConfig
from curate.findings import SEVERITY, THRESHOLD
from curate.gathering import gather
from curate.measuring.embedding import builtin
from curate.measuring.evidence import measure


def test_everything_is_there_at_once(clean):
    assert all(getattr(clean, field.name) is not None for field in fields(clean))
    n, m = len(clean), len(clean.representatives)
    assert clean.features.shape[0] == clean.position.shape[0] == clean.fold.shape[0] == clean.foreign.shape[0] == n
    assert clean.neighbours.indices.shape[0] == m
    assert (clean.representatives[clean.position] == clean.copies.kept).all()


def test_there_is_no_probe_only_where_there_is_nothing_to_learn(cells, evidence_of):
    assert evidence_of(cells[0][:60], cells[1][:60]).probe is not None
    assert evidence_of(cells[0][:60]).probe is None
    assert evidence_of(cells[0][:60], np.zeros(60, int)).probe is None


def test_every_check_has_a_threshold(cells, set_of):
    images = set_of(cells[0][:12], cells[1][:12])
    evidence = gather(images, measure(images, builtin(), 1), ScanConfig(thresholds={"dark": 0.8}), 1)
    assert set(evidence.thresholds) == set(SEVERITY)
    assert evidence.thresholds["dark"] == 0.8
    assert evidence.thresholds["light"] == THRESHOLD


@pytest.mark.parametrize(("splits", "kept"), [(None, 0), (("train", "val", "test"), 2), (("train", "val", "train"), 1)])
def test_of_copies_the_held_out_one_is_kept_else_the_first(cells, set_of, evidence_of, splits, kept):
    more = ("train",) * 20
    images = np.concatenate([cells[0][[0, 0, 0]], cells[0][1:21]])
    evidence = evidence_of(set_of(images, [0] * 23, splits=splits and (*splits, *more)))
    assert evidence.copies.kept[:3].tolist() == [kept] * 3


def test_copies_of_a_stranger_are_foreign_and_teach_nothing(cells, evidence_of):
    stripes = np.zeros((12, 96, 96, 3), np.uint8)
    stripes[:, ::2] = (255, 0, 255)
    evidence = evidence_of(np.concatenate([cells[0][:100], stripes]), np.append(cells[1][:100], np.arange(12) % 4))
    assert np.flatnonzero(evidence.foreign).tolist() == list(range(100, 112))
    assert not np.isin(evidence.probe.rows, range(100, 112)).any()
    assert set(evidence.representatives[evidence.native].tolist()) == set(evidence.representatives.tolist()) - {100}


def test_a_class_of_copies_of_another_has_pictures_of_its_own(cells, evidence_of):
    pictures, labels = (part[cells[1] < 3][:60] for part in cells)
    turned = np.rot90(pictures[labels == 0], axes=(1, 2))
    copied = evidence_of(np.concatenate([pictures, turned]), np.append(labels, np.full(len(turned), 3)))
    assert set(copied.images.labels[copied.probe.rows].tolist()) == {0, 1, 2, 3}


def test_a_class_whose_pictures_all_stand_under_another_label_too_is_judged_like_any(cells, evidence_of):
    twice = np.flatnonzero(cells[1] == 3)
    evidence = evidence_of(
        np.concatenate([cells[0], cells[0][twice]]), np.append(cells[1], [4] * len(twice)), classes=tuple("abcde")
    )
    assert not (evidence.images.labels[evidence.representatives] == 4).any()
    assert evidence.probe.classes.tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(evidence.belonging.own[160:]).all()
