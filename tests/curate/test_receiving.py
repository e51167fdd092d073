from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from handmade import scanned
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.deciding import holding_of, record
from curate.decisions import VERDICTS, Proposal, decisions_path, read_history
from curate.proposals import READERS, Reader, Received
from curate.receiving import proposals_from
from curate.scans import Scanned, open_scan
from curate.stage.errors import DataError


def scan_of(folder: Path, order: list[int]) -> Scanned:
    """A scan of seven drawn images in some order, whose ids are their rows."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
    np.savez(folder / "d.npz", images=pixels[order], labels=np.array(order) % 2, class_names=["cat", "dog"])
    return open_scan(scanned(folder / "d.npz", folder / "a", []) / "scan")


@pytest.fixture
def scan(tmp_path) -> Scanned:
    return scan_of(tmp_path, list(range(7)))


@given(
    choices=st.dictionaries(st.integers(0, 6), st.sampled_from(VERDICTS), min_size=1),
    order=st.permutations(range(7)),
)
@settings(max_examples=15, deadline=None)
def test_decisions_of_one_scan_come_to_another_by_the_pictures(tmp_path_factory, choices, order):
    scan = scan_of(tmp_path_factory.mktemp("a"), list(range(7)))
    path = record(scan, [Proposal(action, str(row)) for row, action in choices.items()]).path
    other = scan_of(tmp_path_factory.mktemp("b"), order)
    received = proposals_from(path, other)
    record(other, received.proposals)
    held = holding_of(other.roster, read_history(decisions_path(other.folder.parent)))
    assert {order[row]: action for row, action in held.actions.items()} == choices
    assert received.notes == ()
    assert record(other, received.proposals).made == ()


def test_what_is_of_another_set_is_refused_and_what_is_so_in_part_is_told(tmp_path, scan):
    path = tmp_path / "d.jsonl"
    lines = [{"id": "1", "action": "drop", "digest": "0" * 32}, {"id": "2", "action": "keep", "digest": "1" * 32}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=r"d.jsonl is of another set: of its 2 decisions none .* such as 1"):
        proposals_from(path, scan)
    path.write_text(path.read_text() + '{"id": "3", "action": "drop"}\n')
    received = proposals_from(path, scan)
    assert [proposal.id for proposal in received.proposals] == ["3"]
    assert received.notes == ("2 of the 3 decisions of d.jsonl are not on images of this scan, such as 1",)


def test_a_file_of_nothing_known_names_what_is(tmp_path, scan):
    with pytest.raises(DataError, match=r"x.csv does not exist"):
        proposals_from(tmp_path / "x.csv", scan)
    (tmp_path / "x.bin").write_bytes(b"\x00\x01")
    with pytest.raises(DataError, match=r"x.bin is no file of decisions.*: table, json"):
        proposals_from(tmp_path / "x.bin", scan)


def test_a_reader_that_was_added_reads_what_it_takes(tmp_path, scan, monkeypatch):
    known = dict(READERS._entries)
    monkeypatch.setattr(READERS, "_entries", known)
    READERS.put(
        "tool",
        Reader(lambda path, head: head.startswith(b'{"tool"'), lambda path, scan: Received([Proposal("drop", "1")])),
    )
    (tmp_path / "x.json").write_text('{"tool": 1}')
    assert list(proposals_from(tmp_path / "x.json", scan).proposals) == [Proposal("drop", "1")]
