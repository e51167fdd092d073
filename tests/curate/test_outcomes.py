from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import images_table

from curate.configs import ApplyConfig
from curate.deciding import holding_of
from curate.decisions import History, _decision
from curate.findings import Finding, findings_table
from curate.outcomes import Outcome, Tables, groups_apart, outcome_of
from curate.scans import Roster

CONFLICT, NEAR, EXACT = "label_conflict", "near_duplicate", "exact_duplicate"


def tables(
    labels: str,
    groups: Sequence[int],
    said: Sequence[tuple[int, str, str]],
    pairs: Sequence[tuple[int, int, float]] = (),
) -> Tables:
    """A scan of images a, b, c ...: a class of each, their groups of copies, findings, linked pairs."""
    names = labels.split()
    classes = sorted(set(names))
    n = len(names)
    table = images_table(
        {
            "row": range(n),
            "id": list("abcdefgh"[:n]),
            "label": [classes.index(name) for name in names],
            "label_name": names,
            "digest": [f"d{row}" for row in range(n)],
            "split": [""] * n,
            "group": np.array(groups, np.int64),
        }
    )
    findings = findings_table(
        Finding(row, "abcdefgh"[row], check, 1.0, -1, action, "so") for row, check, action in said
    )
    linked = pd.DataFrame(
        [(a, b, "near", d) for a, b, d in pairs], columns=["row_a", "row_b", "kind", "distance"]
    ).astype({"row_a": "int64", "row_b": "int64", "distance": "float32"})
    return Tables(table, findings, linked)


def held_by(scan: Tables, decisions: Mapping[str, str], apart: Sequence[str] = ()):
    """What holds of decisions id -> action, or "=class"; and of images told apart, such as "ab"."""
    entries = [
        {"id": name, "action": "relabel", "label": action[1:]} if action[0] == "=" else {"id": name, "action": action}
        for name, action in decisions.items()
    ]
    entries += [{"action": "not_copies", "ids": list(ids)} for ids in apart]
    table = scan.table
    roster = Roster(
        table["id"].tolist(), table["digest"].tolist(), table["label_name"].tolist(), sorted(set(table["label_name"]))
    )
    decided = [_decision(entry, line) for line, entry in enumerate(entries, 1)]
    return holding_of(roster, History(decided, 0, len(decided), ()))


def outcome(scan: Tables, decisions: Mapping[str, str] = {}, apart: Sequence[str] = (), **options: object) -> Outcome:
    return outcome_of(scan, held_by(scan, decisions, apart), ApplyConfig(**{"strict": False, **options}))


# b is a near copy of a, under another label
PAIR = tables(
    "cat dog cat dog", [0, 0, -1, -1], [(0, CONFLICT, "review"), (1, CONFLICT, "review"), (1, NEAR, "review")]
)


def test_a_relabelled_row_is_kept_under_its_new_label():
    result = outcome(PAIR, {"c": "=dog"})
    assert result.relabelled == {2: "dog"}
    assert result.verdict.tolist() == ["review", "review", "keep", "keep"]
    assert result.clean.tolist() == [True] * 4
    assert outcome(PAIR, {"c": "=cat"}).relabelled == {}


@pytest.mark.parametrize(
    ("decisions", "verdicts"),
    [
        ({"b": "=cat"}, ["drop", "keep"]),
        ({"a": "=dog"}, ["keep", "drop"]),
        ({"a": "=dog", "b": "=dog"}, ["keep", "keep"]),
        ({"b": "drop"}, ["review", "drop"]),
        ({"b": "keep"}, ["review", "keep"]),
    ],
)
def test_once_a_conflict_is_settled_the_other_copies_follow(decisions, verdicts):
    assert outcome(PAIR, decisions).verdict[:2].tolist() == verdicts


def test_of_three_copies_two_of_which_agree_by_now_the_conflict_is_over_when_all_do():
    said = [(row, CONFLICT, "review") for row in range(3)] + [(1, NEAR, "review"), (2, NEAR, "review")]
    scan = tables("cat dog dog", [0, 0, 0], said)
    assert outcome(scan, {"b": "=cat"}).verdict.tolist() == ["review", "keep", "review"]
    assert outcome(scan, {"b": "=cat", "c": "drop"}).verdict.tolist() == ["drop", "keep", "drop"]
    assert outcome(scan, {"a": "=dog"}).verdict.tolist() == ["keep", "drop", "drop"]


def test_a_label_that_is_certainly_wrong_does_not_come_back_with_the_picture_relabelled():
    said = [(0, CONFLICT, "review"), (1, CONFLICT, "drop"), (1, NEAR, "review")]
    scan = tables("cat dog", [0, 0], said, [(0, 1, 0.1)])
    assert outcome(scan, {"a": "=dog"}).verdict.tolist() == ["keep", "drop"]
    assert outcome(scan, {"a": "drop"}).verdict.tolist() == ["drop", "drop"]
    assert outcome(scan, apart=["ab"]).verdict.tolist() == ["keep", "keep"]


def test_a_relabelled_copy_that_contradicts_one_that_stays_is_told():
    scan = tables("cat cat", [0, 0], [(1, NEAR, "drop")])
    assert outcome(scan, {"b": "keep"}).notes == ()
    scan = tables("cat cat dog", [0, 0, -1], [(1, NEAR, "drop")])
    result = outcome(scan, {"b": "=dog"})
    assert result.clean.tolist() == [True] * 3
    assert result.notes == (
        "copies of one picture are in the clean set under two labels: b (dog) and a (cat); drop one of them, or "
        "relabel it",
    )


# Told apart


COPIES = tables("cat cat cat cat", [0, 0, 0, 0], [(1, NEAR, "drop"), (2, NEAR, "drop"), (3, EXACT, "drop")],
                [(0, 1, 0.1), (0, 2, 0.2), (1, 2, 0.05), (2, 3, 0.3)])  # fmt: skip


def test_those_that_leave_only_for_being_copies_stay_once_told_apart():
    assert outcome(COPIES).clean.tolist() == [True, False, False, False]
    assert outcome(COPIES, apart=["abcd"]).clean.tolist() == [True] * 4
    # b and c are more alike than either is to a.
    apart = outcome(COPIES, apart=["ab"])
    assert apart.clean.tolist() == [True, True, False, False]
    assert apart.notes == ()


def test_of_each_part_one_stays_and_a_fault_of_its_own_counts():
    scan = Tables(COPIES.table, findings_table([
        *(Finding(row, "abcd"[row], NEAR, 1.0, -1, "drop", "so") for row in (1, 2, 3)),
        Finding(1, "b", "blurred", 1.0, -1, "drop", "so"),
    ]), COPIES.pairs)  # fmt: skip
    assert outcome(scan, apart=["ab"]).clean.tolist() == [True, False, True, False]
    assert outcome(scan, apart=["abcd"]).clean.tolist() == [True, False, True, True]


def test_a_conflict_between_those_told_apart_is_none():
    assert outcome(PAIR, apart=["ab"]).verdict.tolist() == ["keep"] * 4
    assert outcome(PAIR, {"a": "drop"}, apart=["ab"]).verdict.tolist() == ["drop", "keep", "keep", "keep"]


def test_the_groups_of_those_told_apart_are_parted():
    held = held_by(COPIES, {}, ["ab"])
    group = groups_apart(COPIES.table, COPIES.pairs, held)
    assert group[0] != group[1] == group[2] == group[3]


@given(
    decisions=st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["keep", "drop", "review", "=cat", "=dog"])),
    apart=st.lists(st.sampled_from(["ab", "bc", "abd"]), max_size=2, unique=True),
    strict=st.booleans(),
    labels=st.lists(st.sampled_from(["cat", "dog"]), min_size=4, max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_a_persons_word_is_the_last_and_of_every_picture_one_stays(decisions, apart, strict, labels):
    labels = [*labels, "cat", "dog"]
    said = [(1, NEAR, "drop"), (2, NEAR, "review"), (3, EXACT, "drop")]
    if len(set(labels[:4])) > 1:
        said += [(row, CONFLICT, "review") for row in range(4)]
    scan = tables(" ".join(labels), [0, 0, 0, 0, -1, -1], said, [(0, 1, 0.1), (0, 2, 0.2), (1, 2, 0.05), (2, 3, 0.3)])
    result = outcome(scan, decisions, apart, strict=strict)
    for name, action in decisions.items():
        row = "abcd".index(name)
        assert result.verdict[row] == ("keep" if action[0] == "=" else action)
        assert result.clean[row] == (action in ("keep", "=cat", "=dog") or (action == "review" and not strict))
    group = groups_apart(scan.table, scan.pairs, held_by(scan, decisions, apart))
    if not strict:
        for number in set(group[:4].tolist()):
            rows = [row for row in range(4) if group[row] == number]
            parts = [[row] for row in rows] if number == -1 else [rows]
            for part in parts:
                undecided = [row for row in part if "abcd"[row] not in decisions]
                assert result.clean[part].any() or not undecided
    assert result.clean[4:].all()
