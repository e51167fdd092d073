from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import scanned
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.deciding import decide, holding_of, ids_in, record, relabelled_in, take_back
from curate.decisions import NOT_COPIES, RELABEL, VERDICTS, Proposal, append_decisions, decisions_path, read_history
from curate.scans import Roster, Scanned, open_scan
from curate.stage.errors import DataError, UnknownName


@pytest.fixture
def scan(tmp_path) -> Scanned:
    """Of eight small images of two classes; row 2 has the pixels of row 0."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 5, 3), dtype=np.uint8)
    pixels[2] = pixels[0]
    np.savez(tmp_path / "d.npz", images=pixels, labels=np.arange(8) % 2, class_names=["cat", "dog"])
    return open_scan(scanned(tmp_path / "d.npz", tmp_path / "a", []) / "scan")


def written(scan: Scanned) -> list[dict[str, object]]:
    path = decisions_path(scan.folder.parent)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def history_of(tmp_path: Path, *entries: dict[str, object]):
    return append_decisions(decisions_path(tmp_path), lambda past: entries)


def roster(*pictures: str, ids: str = "", given: str = "") -> Roster:
    """Images named a, b, c ... of these pixels."""
    return Roster(
        ids or "abcdefgh"[: len(pictures)], pictures, given.split() or ["cat"] * len(pictures), ["cat", "dog"]
    )


# Recording


def test_each_kind_is_one_line(scan):
    made = record(
        scan,
        [Proposal(RELABEL, "3", label="cat", why="ears"), Proposal("drop", "0"), Proposal(NOT_COPIES, ids=("4", "5"))],
    ).made
    lines = written(scan)
    digests = scan.roster.digests
    assert [decision.line for decision in made] == [1, 2, 3]
    fixed = [{key: value for key, value in line.items() if key not in ("when", "by")} for line in lines]
    assert fixed == [
        {"id": "3", "action": "relabel", "label": "cat", "why": "ears", "digest": digests[3], "given": "dog"},
        {"id": "0", "action": "drop", "why": "", "digest": digests[0], "given": "cat", "copies": 2},
        {"action": "not_copies", "ids": ["4", "5"], "why": "", "digests": [digests[4], digests[5]]},
    ]
    assert {line["by"] for line in lines} == {"person"}


def test_what_holds_already_is_not_said_twice_but_for_another_reason(scan):
    proposals = [Proposal(RELABEL, "3", label="cat", why="ears"), Proposal(NOT_COPIES, ids=("4", "5"))]
    record(scan, proposals)
    assert record(scan, [replace(proposals[0], why=""), Proposal(NOT_COPIES, ids=("5", "4"))]).made == ()
    assert record(scan, proposals).made == ()
    assert [d.why for d in record(scan, [Proposal(RELABEL, "3", label="cat", why="tail")]).made] == ["tail"]
    assert len(written(scan)) == 3


@pytest.mark.parametrize(
    ("proposals", "error", "message"),
    [
        ([Proposal("drop", "0"), Proposal("keep", "x")], DataError, r"has the id 'x'"),
        ([Proposal("drop", "0"), Proposal(RELABEL, "1", label="dgo")], UnknownName, r"no class named 'dgo'.*'dog'"),
        ([Proposal("drop", "0"), Proposal("keep", "0")], DataError, r"0 is decided on twice: drop 0; keep 0"),
        (
            [Proposal(RELABEL, "0", label="dog"), Proposal(RELABEL, "0", label="cat")],
            DataError,
            r"twice: relabel 0 to dog; relabel",
        ),
        (
            [Proposal("drop", "1"), Proposal(NOT_COPIES, ids=("0", "2"))],
            DataError,
            r"same pixels.*--keep-id 0 --keep-i",
        ),
        ([Proposal(NOT_COPIES, ids=("4", "4"))], DataError, r"takes two ids"),
        ([Proposal(NOT_COPIES, ids=("4", "x"))], DataError, r"has the id 'x'"),
        ([Proposal("burn", "4")], UnknownName, r"no action named 'burn'"),
    ],
)
def test_all_are_written_or_none(scan, proposals, error, message):
    with pytest.raises(error, match=message):
        record(scan, proposals)
    assert written(scan) == []


def test_without_labels_nothing_can_be_relabelled(tmp_path):
    np.savez(tmp_path / "d.npz", images=np.random.default_rng(0).integers(0, 255, (3, 4, 4, 3), dtype=np.uint8))
    artifacts = scanned(tmp_path / "d.npz", tmp_path / "a", [])
    with pytest.raises(DataError, match=r"the set has no labels, so that nothing can be relabelled to 'cat'"):
        decide(artifacts, [Proposal(RELABEL, "1", label="cat")])


def test_a_class_that_has_no_image_yet_is_a_class_where_the_scan_names_it(scan):
    proposal = Proposal(RELABEL, "1", label="owl")
    with pytest.raises(UnknownName, match=r"no class named 'owl'"):
        record(scan, [proposal])
    entries = [{"name": name} for name in ("cat", "dog", "owl")]
    (scan.folder / "overview.json").write_text(json.dumps({"classes": entries}))
    assert [decision.label for decision in record(open_scan(scan.folder), [proposal]).made] == ["owl"]


def test_lines_are_taken_back_by_number_and_once(scan):
    record(scan, [Proposal("drop", "1"), Proposal(NOT_COPIES, ids=("4", "5")), Proposal("keep", "3")])
    taken = take_back(scan, [2, 1])
    assert [decision.line for decision in taken.taken_back] == [2, 1]
    assert list(taken.standing) == ["3"]
    with pytest.raises(DataError, match=r"no decision stands on line 2 of .* any more"):
        take_back(scan, [3, 2])
    assert list(read_history(taken.path).standing) == ["3"]
    assert [entry.line for entry in read_history(taken.path).log] == [1, 2, 3, 4, 5]


def test_a_decision_more_takes_milliseconds_whatever_was_decided_before(tmp_path):
    n = 5_000
    pixels = np.arange(n, dtype=np.uint16)[:, None, None] >> np.arange(16, dtype=np.uint16).reshape(1, 4, 4) & 1
    np.savez(tmp_path / "d.npz", images=(255 * pixels).astype(np.uint8), labels=np.arange(n) % 2)
    scan = open_scan(scanned(tmp_path / "d.npz", tmp_path / "a", []) / "scan")
    record(scan, [Proposal("keep", str(row)) for row in range(n)])
    seconds = []
    for row in range(20):
        start = time.perf_counter()
        record(scan, [Proposal("drop", str(row))])
        seconds.append(time.perf_counter() - start)
    assert np.median(seconds) < 0.1
    assert len(written(scan)) == n + 20


# What holds


def test_decisions_hold_by_the_pixels_whatever_the_ids_are(tmp_path):
    history = history_of(
        tmp_path,
        {"id": "a", "action": "drop", "digest": "1"},
        {"id": "b", "action": "relabel", "label": "dog", "digest": "2"},
        {"id": "c", "action": "keep", "digest": "gone"},
        {"action": "not_copies", "ids": ["a", "b"], "digests": ["1", "2"]},
        {"id": "d", "action": "keep"},
    )
    held = holding_of(roster("2", "1", "3", "4"), history)
    assert held.actions == {0: "relabel", 1: "drop", 3: "keep"}
    assert held.relabelled == {0: "dog"}
    assert held.apart == ((1, 0),)
    assert held.rows == {1: (1,), 2: (0,), 4: (1, 0), 5: (3,)}
    assert held.kinds == {"keep": 1, "drop": 1, "relabel": 1, "not_copies": 1}
    assert held.notes == (
        "4 decisions hold: 1 on the same ids, 3 on images that have other ids now; 1 does not: its image is no longer "
        "in the set, such as c",
    )


def test_where_all_hold_on_their_ids_there_is_nothing_to_tell(tmp_path):
    held = holding_of(roster("1", "2"), history_of(tmp_path, {"id": "a", "action": "drop", "digest": "1"}))
    assert held.notes == ()


def test_a_class_that_is_gone_is_told(tmp_path):
    history = history_of(tmp_path, {"id": "a", "action": "relabel", "label": "owl", "digest": "1"})
    held = holding_of(roster("1"), history)
    assert held.actions == {}
    assert held.notes == ("1 decision does not hold: its class is no longer in the set, such as owl",)


def test_of_equal_pixels_each_decision_takes_a_row_of_its_own_the_one_of_its_class_first(tmp_path):
    history = history_of(
        tmp_path,
        {"id": "x", "action": "drop", "digest": "1", "given": "dog", "copies": 2},
        {"id": "y", "action": "keep", "digest": "1", "given": "cat", "copies": 2},
    )
    assert holding_of(roster("1", "1", given="cat dog"), history).actions == {0: "keep", 1: "drop"}


def test_of_copies_that_were_taken_out_those_decided_on_are_taken_for_gone(tmp_path):
    history = history_of(tmp_path, {"id": "b", "action": "drop", "digest": "1", "copies": 2})
    held = holding_of(roster("1", ids=["a"]), history)
    assert held.actions == {}
    assert len(held.gone) == 1
    assert holding_of(roster("1", "1", ids=["a", "c"]), history).actions == {0: "drop"}


def test_a_new_decision_on_an_image_that_moved_replaces_the_old_one_and_gives_way_to_it(scan):
    # Rows 0 and 2 have the same pixels: the old one must not slip to the other of them.
    path = decisions_path(scan.folder.parent)
    line = {"id": "7", "action": "drop", "digest": scan.roster.digests[0], "given": "cat"}
    append_decisions(path, lambda past: [line])
    assert holding_of(scan.roster, read_history(path)).actions == {0: "drop"}
    record(scan, [Proposal("keep", "0")])
    assert holding_of(scan.roster, read_history(path)).actions == {0: "keep"}
    record(scan, [Proposal("review", "7")])  # the image that has that id now
    assert holding_of(scan.roster, read_history(path)).actions == {0: "keep", 7: "review"}
    take_back(scan, [2])
    assert holding_of(scan.roster, read_history(path)).actions == {0: "drop", 7: "review"}


ROWS = 7
CHOICE = st.tuples(st.integers(0, ROWS - 1), st.sampled_from([*VERDICTS, RELABEL]))


@given(
    choices=st.lists(CHOICE, max_size=10),
    order=st.permutations(range(ROWS)),
    more=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_a_set_that_is_reordered_and_grown_keeps_every_decision_on_its_picture(tmp_path_factory, choices, order, more):
    folder = tmp_path_factory.mktemp("h")
    digests = [f"{row:032x}" for row in range(ROWS + more)]
    lines = [
        {"id": str(row), "action": action, "label": "dog", "digest": digests[row], "given": "cat"}
        for row, action in choices
    ]
    history = history_of(folder, *lines)
    ids = [str(row) for row in range(ROWS + more)]
    shuffled = [*[digests[row] for row in order], *digests[ROWS:]]
    held = holding_of(Roster(ids, shuffled, ["cat"] * len(ids), ["cat", "dog"]), history)
    assert {order[row]: action for row, action in held.actions.items()} == dict(choices)
    assert held.gone == ()
    kept_ids = sum(order[row] == row for row in held.decisions)
    assert held.moved == len(held.decisions) - kept_ids


# Ids as they are typed


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("63", ["63"]), ("63,93", ["63", "93"]), ("63, 93,", ["63", "93"]), ("a,b", ["a,b"]),
        ("63,a,b,93", ["63", "a,b", "93"]), ("a,b,a", ["a,b", "a"]), ("nope,63", ["nope", "63"]), ("", []),
    ],
)  # fmt: skip
def test_ids_are_separated_by_commas_and_those_that_hold_some_are_whole(text, names):
    ids = ["63", "93", "a", "a,b"]
    assert ids_in(text, Roster(ids, ids, ids, [])) == names


@pytest.mark.parametrize(
    ("text", "proposed"),
    [
        ("63=cat", [("63", "cat")]), ("63,93 = cat", [("63", "cat"), ("93", "cat")]), ("a=b=cat", [("a=b", "cat")]),
        ("63=c=d", [("63", "c=d")]),
        ("a=b=c=d", [("a=b", "c=d")]), ("63=cta", [("63", "cta")]), ("36=cat", [("36", "cat")]),
    ],
)  # fmt: skip
def test_what_is_relabelled_is_read_by_what_the_set_has(text, proposed):
    ids = ["63", "93", "a=b"]
    proposals = relabelled_in(text, Roster(ids, ids, ids, ["cat", "c=d"]))
    assert [(proposal.id, proposal.label) for proposal in proposals] == proposed


def test_what_can_be_read_in_two_ways_is_refused():
    images = Roster(["a", "a=b"], ["1", "2"], ["", ""], ["c", "b=c"])
    with pytest.raises(DataError, match=r"several ways, as 'a' to 'b=c' and as 'a=b' to 'c'"):
        relabelled_in("a=b=c", images)
    with pytest.raises(DataError, match=r"Needed is ID=CLASS, such as 63=c"):
        relabelled_in("a", images)
