import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.decisions import (
    NOT_COPIES,
    RELABEL,
    VERDICTS,
    _memory,
    append_decisions,
    decisions_path,
    proposal,
    read_history,
    standing,
)
from curate.stage.errors import DataError


def entry(name: str, action: str = "keep") -> dict[str, str]:
    return {"id": name, "action": action}


@given(cut=st.integers(1, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_last_line_cut_short_anywhere_is_told_and_does_not_count(tmp_path_factory, cut):
    artifacts = tmp_path_factory.mktemp("a")
    whole = b'{"id": "1", "action": "keep"}\n'
    torn = '{"id": "3", "action": "drop", "why": "größer 😀"}'.encode()
    torn = torn[: 1 + cut % (len(torn) - 1)]
    (artifacts / "decisions.jsonl").write_bytes(whole + torn)
    assert list(standing(artifacts)) == ["1"]


def test_where_there_is_no_file_nothing_was_decided(tmp_path):
    assert standing(tmp_path) == {}
    assert read_history(decisions_path(tmp_path)).lines == 0


def test_entries_are_made_of_the_history_and_come_after_it(tmp_path):
    path = decisions_path(tmp_path)
    append_decisions(path, lambda history: [entry("1"), entry("2", "drop")])
    history = append_decisions(path, lambda history: [{"undo": history.decisions[-1].line}, entry("3")])
    assert [(decision.id, decision.line) for decision in history.decisions] == [("1", 1), ("3", 4)]
    assert history == read_history(path)
    assert list(history.standing) == ["1", "3"]
    assert len(path.read_text().splitlines()) == 4


def test_entries_that_cannot_be_written_leave_the_file_as_it_was(tmp_path):
    path = decisions_path(tmp_path)
    append_decisions(path, lambda history: [entry("1")])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        append_decisions(path, lambda history: [entry("2"), {"id": object()}])
    assert path.read_bytes() == before


def test_a_line_that_is_no_decision_is_named_by_its_number(tmp_path):
    lines = [json.dumps(entry("1")), "", json.dumps({"id": "2", "action": "burn"}), ""]
    decisions_path(tmp_path).write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"line 3 is no decision: its action is 'burn'"):
        standing(tmp_path)


TEXT = st.text(max_size=12)
ENTRY = st.one_of(
    st.builds(
        lambda name, action, why, digest: {"id": name, "action": action, "why": why, "digest": digest},
        TEXT, st.sampled_from(VERDICTS), TEXT, TEXT,
    ),
    st.builds(
        lambda name, label, given: {"id": name, "action": RELABEL, "label": label, "given": given},
        TEXT, st.text(min_size=1, max_size=12), TEXT,
    ),
    st.builds(
        lambda ids, why: {"action": NOT_COPIES, "ids": ids, "digests": ids, "why": why},
        st.lists(TEXT, min_size=2, max_size=4), TEXT,
    ),
)  # fmt: skip


@given(rounds=st.lists(st.one_of(st.lists(ENTRY, max_size=3), st.just("undo"), st.just("edited")), max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_however_much_of_it_was_read_before(tmp_path_factory, rounds):
    path = decisions_path(tmp_path_factory.mktemp("a"))
    said: list[tuple[object, ...]] = []
    for step in rounds:
        if step == "undo":
            append_decisions(path, lambda history: [{"undo": d.line} for d in history.decisions[-1:]])
            del said[-1:]
        elif step == "edited" and path.exists():
            if b'"undo"' in path.read_bytes():  # which names a line by its number
                continue
            path.write_bytes(b"\n" + path.read_bytes())
        elif step != "edited":
            append_decisions(path, lambda history, entries=step: entries)
            said += [
                (entry.get("id", ""), entry["action"], entry.get("why", ""), entry.get("digest", ""),
                 entry.get("label", ""), entry.get("given", ""), tuple(entry.get("ids", ())))
                for entry in step
            ]  # fmt: skip
        history = read_history(path)
        assert [(d.id, d.action, d.why, d.digest, d.label, d.given, d.ids) for d in history.decisions] == said
        _memory.clear()
        assert read_history(path) == history
        assert [proposal(d).label for d in history.decisions] == [label for *_, label, _, _ in said]
