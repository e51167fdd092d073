from dataclasses import replace

import numpy as np
import pytest

from curate.measuring.conflicts import opinion_on, settled, with_stand_ins
from curate.measuring.probe import Probe

ANT, BEE = range(2)


@pytest.fixture(scope="module")
def copies(cells, evidence_of):
    """Those of four pictures of which the first two rows are one, and so are the next two."""
    return evidence_of(cells[0][[0, 0, 1, 1]]).copies


def probe_of(*probabilities):
    """A probe that gives each of the first rows these probabilities of an ant."""
    ant = np.array(probabilities)
    return Probe(np.arange(len(ant)), np.stack([ant, 1 - ant], axis=1), np.arange(2), np.arange(len(ant)), 0 * ant)


def test_copies_have_the_mean_of_what_the_probe_gives_each():
    labels = np.array([ANT, BEE, ANT, ANT])
    opinion = opinion_on(np.array([0, 1]), labels, probe_of(0.9, 0.7, 0.1, 0.1))
    assert opinion == pytest.approx({ANT: 0.8, BEE: 0.2})
    assert opinion_on(np.array([2, 3]), labels, probe_of(0.9, 0.7, 0.4, 0.2)) == pytest.approx({ANT: 0.3})


def test_of_rows_that_no_probe_judged_there_is_no_opinion():
    labels = np.array([ANT, BEE, ANT, BEE])
    assert opinion_on(np.array([0, 1]), labels, None) == {}
    assert opinion_on(np.array([2, 3]), labels, probe_of(0.9, 0.9)) == {}


def test_the_first_copy_whose_label_the_probe_accepts_is_kept(copies):
    labels = np.array([BEE, ANT, BEE, ANT])
    changed = settled(copies, labels, probe_of(0.9, 0.8, 0.6, 0.6))
    assert changed.kept.tolist() == [1, 1, 2, 2]
    assert copies.kept.tolist() == [0, 0, 2, 2]


def test_without_a_probe_or_a_conflict_the_copies_stay_as_they_are(copies):
    for labels, probe in (([BEE, ANT, BEE, ANT], None), ([BEE, BEE, ANT, ANT], probe_of(0.9, 0.9, 0.1, 0.1))):
        same = settled(copies, np.array(labels), probe)
        assert (same.kept == copies.kept).all()
        assert (same.distance == replace(copies).distance).all()


def test_where_the_kept_copy_leaves_the_best_that_stays_is_kept_one_of_its_label_first(cells, evidence_of):
    # Rows 0 to 3 are one picture, 4 and 5 another, 6 stands alone.
    copies = evidence_of(cells[0][[0, 0, 0, 0, 1, 1, 2]]).copies
    labels = np.array([0, 1, 0, 0, 0, 0, 0])

    def kept(*leaving: int) -> list[int]:
        leaves = np.isin(np.arange(7), leaving)
        return with_stand_ins(copies, labels, leaves).kept.tolist()

    assert kept() == kept(1, 2, 5, 6) == [0, 0, 0, 0, 4, 4, 6]
    assert kept(0) == [2, 2, 2, 2, 4, 4, 6]
    assert kept(0, 2, 4) == [3, 3, 3, 3, 5, 5, 6]
    assert kept(0, 2, 3) == [1, 1, 1, 1, 4, 4, 6]
    assert kept(0, 1, 2, 3) == [0, 0, 0, 0, 4, 4, 6]
