"""proposals_from(path, scan): decisions that were made elsewhere, for the images of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .deciding import holding_of, nearest_id
from .decisions import NOT_COPIES, Decision, History, Proposal
from .handing import atlas, cvat, fiftyone, labelstudio, spreadsheet  # noqa: F401  # each adds its reader
from .proposals import READERS, Received
from .scans import Scanned
from .stage.errors import DataError
from .stage.lines import counted

_HEAD = 1 << 16  # bytes by which a file is told


def proposals_from(path: Path, scan: Scanned, decision: str = "") -> Received:
    """The decisions that a file holds, or the export of a labelling tool, on images of a scan, and notes on them.

    decision  keep, drop or review: what becomes of the images of a file that only selects some

    Those with the digest of a picture are on the image that has it, whatever its id; others go by their ids. Raises
    DataError where it is no such file, or where nothing of it is of this scan.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist. Give decisions.jsonl of another scan, or a CSV with id and action.")
    head = b""
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(_HEAD)
    name = next((name for name in reversed(list(READERS)) if READERS[name].takes(path, head)), "")
    if not name:
        raise DataError(
            f"{path} is no file of decisions. Needed is a CSV with columns id and action, decisions.jsonl of another "
            f"scan, or what one of these readers takes: {', '.join(READERS)}."
        )
    received = READERS[name].read(path, scan)
    if received.selected and not decision:
        raise DataError(
            f"{path} selects {counted(len(received.selected), 'image')}, and does not say what becomes of them. "
            "Say it with --decision drop (or keep, or review)."
        )
    chosen = [replace(proposal, action=decision) for proposal in received.selected]
    proposals, lost = _matched([*received.proposals, *chosen], scan)
    if lost and not proposals:
        raise DataError(
            f"{path} is of another set: of its {counted(len(lost), 'decision')} none is on an image of the scan in "
            f"{scan.folder}, such as {_named(lost[0])}. Nothing was decided."
        )
    return Received(proposals, (*received.notes, *_notes(path, proposals, lost, scan)))


def _matched(proposals: Sequence[Proposal], scan: Scanned) -> tuple[list[Proposal], list[Proposal]]:
    """(those on images of the scan, by the ids that it has for them; the others)."""
    by_picture = [proposal for proposal in proposals if proposal.digest or proposal.digests]
    rows = _rows_of_pictures(by_picture, scan)
    matched: list[Proposal] = []
    lost: list[Proposal] = []
    for proposal in proposals:
        names = proposal.ids if proposal.action == NOT_COPIES else (proposal.id,)
        if proposal.digest or proposal.digests:
            names = tuple(scan.roster.ids[row] for row in rows.get(id(proposal), ()))
        if not names or any(name not in scan.roster.row_of for name in names):
            lost.append(proposal)
        elif proposal.action == NOT_COPIES:
            matched.append(replace(proposal, ids=names))
        else:
            matched.append(replace(proposal, id=names[0]))
    return matched, lost


def _rows_of_pictures(proposals: Sequence[Proposal], scan: Scanned) -> dict[int, tuple[int, ...]]:
    """identity of a proposal -> the rows that have the pictures which it names."""
    decisions = [
        Decision(
            *(proposal.id, proposal.action, proposal.why, "", proposal.by, proposal.digest, line),
            given=proposal.given,
            ids=proposal.ids,
            digests=proposal.digests,
        )
        for line, proposal in enumerate(proposals, 1)
    ]
    # A class that the set has not is an error when it is recorded, and no reason to leave the image aside.
    roster = replace(scan.roster, classes=["", *scan.roster.classes])
    rows = holding_of(roster, History(decisions, 0, len(decisions), ())).rows
    return {id(proposal): rows[line] for line, proposal in enumerate(proposals, 1) if line in rows}


def _named(proposal: Proposal) -> str:
    return proposal.id or proposal.ids[0]


def _notes(path: Path, matched: Sequence[Proposal], lost: Sequence[Proposal], scan: Scanned) -> list[str]:
    if not lost:
        return []
    near = nearest_id(_named(lost[0]), scan.roster)
    hint = f" (is {near} meant?)" if near not in ("", _named(lost[0])) else ""
    total = len(matched) + len(lost)
    are = "is not on an image" if len(lost) == 1 else "are not on images"
    return [
        f"{len(lost):,} of the {total:,} decisions of {path.name} {are} of this scan, such as {_named(lost[0])}{hint}"
    ]
