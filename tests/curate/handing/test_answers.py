from __future__ import annotations

from dataclasses import replace

import pytest

from curate.decisions import Proposal
from curate.handing.answers import Answer, received

UNTOUCHED = Answer("a", "d", given="cat", decided="", action="", label="cat", by="CVAT")


def test_what_nobody_touched_is_no_decision():
    assert UNTOUCHED.proposal is None
    assert replace(UNTOUCHED, label="").proposal is None
    assert replace(UNTOUCHED, decided="relabel dog", label="dog").proposal is None
    assert replace(UNTOUCHED, decided="drop", action="drop").proposal is None


@pytest.mark.parametrize(
    ("changes", "action", "label"),
    [
        ({"label": "dog"}, "relabel", "dog"),
        ({"label": "dog", "action": "drop"}, "drop", ""),
        ({"confirmed": True}, "keep", ""),
        ({"confirmed": True, "decided": "drop", "action": "drop"}, "drop", ""),
        ({"decided": "relabel dog"}, "keep", ""),
        ({"decided": "relabel dog", "label": "bee"}, "relabel", "bee"),
        ({"decided": "drop", "action": "review"}, "review", ""),
    ],
)
def test_what_was_changed_or_confirmed_is_one(changes, action, label):
    made = replace(UNTOUCHED, **changes).proposal
    assert made == Proposal(action, "a", label=label, digest="d", given="cat", by="CVAT")


def test_how_many_were_left_alone_is_told():
    made = received([UNTOUCHED, replace(UNTOUCHED, label="dog"), UNTOUCHED], ["so"])
    assert [proposal.label for proposal in made.proposals] == ["dog"]
    assert made.notes == ("so", "nothing was decided on 2 images of the file")
    assert received([replace(UNTOUCHED, label="dog")]).notes == ()
