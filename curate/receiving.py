"""proposed, proposals_from: what the options of a command and files of decisions propose for the images of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .configs import DecideConfig
from .deciding import holding_of, ids_in, nearest_id, relabelled_in
from .decisions import NOT_COPIES, VERDICTS, Decision, History, Proposal
from .findings import DROP, KEEP
from .handing import atlas, cvat, fiftyone, labelstudio, spreadsheet  # noqa: F401  # each adds its reader
from .proposals import READERS, Received
from .scans import Scanned
from .sets.imageset import NO_GROUP
from .stage.errors import DataError, UnknownName
from .stage.lines import counted

_HEAD = 1 << 16  # bytes by which a file is told


def proposed(config: DecideConfig, scan: Scanned) -> Received:
    """All that a person proposes, by ids, by groups and in files, and notes on these. Raises DataError, UnknownName."""
    roster = scan.roster
    UnknownName.check("decision", filter(None, [config.decision]), VERDICTS)
    proposals = [
        Proposal(action, name)
        for action, texts in ((KEEP, config.keep_id), (DROP, config.drop_id))
        for text in texts
        for name in ids_in(text, roster)
    ]
    proposals += [proposal for text in config.relabel for proposal in relabelled_in(text, roster)]
    proposals += [Proposal(NOT_COPIES, ids=tuple(ids_in(text, roster))) for text in config.not_copies]
    for action, numbers in ((KEEP, config.keep_group), (DROP, config.drop_group)):
        for number in numbers:
            proposals += [Proposal(action, name) for name in _members(number, scan)]
    proposals += [Proposal(NOT_COPIES, ids=_pictures(number, scan)) for number in config.not_copies_group]
    notes: list[str] = []
    for path in config.from_file:
        received = proposals_from(Path(path), scan, config.decision)
        proposals += received.proposals
        notes += received.notes
    return Received([replace(proposal, why=proposal.why or config.why) for proposal in proposals], tuple(notes))


def _members(number: str, scan: Scanned) -> list[str]:
    """The ids of a group, of copies or of what a check found as a group. Raises DataError where there is none."""
    table, findings = scan.table, scan.findings
    wanted = int(number) if number.strip().isdecimal() else NO_GROUP
    rows = {*table.loc[table["group"] == wanted, "row"], *findings.loc[findings["group"] == wanted, "row"]} - {-1}
    if wanted == NO_GROUP or not rows:
        last = max(table["group"].max(), findings["group"].max()) if len(findings) else table["group"].max()
        numbers = f"they run from 0 to {last}" if last >= 0 else "it has none"
        raise DataError(
            f"the scan in {scan.folder} has no group {number!r}. Groups are the column group of images.parquet and "
            f"findings.parquet; {numbers}."
        )
    return [scan.roster.ids[row] for row in sorted(rows)]


def _pictures(number: str, scan: Scanned) -> tuple[str, ...]:
    """An id for each picture of a group of copies, equal pixels being one. Raises DataError where there is but one."""
    roster = scan.roster
    names = _members(number, scan)
    first = {roster.digests[roster.row_of[name]]: name for name in reversed(names)}
    if len(first) < 2:
        raise DataError(
            f"the images of group {number} have the same pixels, so that they are copies of each other in any case. To "
            f"have them all in the clean set, keep them: `curate apply --keep-group {number}`."
        )
    return tuple(reversed(first.values()))


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
