"""decide, record, take_back: a person's word on images of a scan; and which images it holds for."""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from .decisions import (
    ACTIONS,
    NOT_COPIES,
    RELABEL,
    Decision,
    History,
    Proposal,
    append_decisions,
    decisions_path,
    now,
)
from .findings import DROP
from .scans import Roster, Scanned, open_scan
from .stage.errors import DataError, UnknownName
from .stage.lines import counted
from .stage.shortness import short_repr


@dataclass(frozen=True)
class Decisions:
    """What was written down, and all that is in force on single images, by id.

    made  the decisions just made;  taken_back  those just taken back
    """

    path: Path
    made: tuple[Decision, ...]
    standing: Mapping[str, Decision]
    notes: tuple[str, ...] = ()
    taken_back: tuple[Decision, ...] = ()

    __repr__ = short_repr


def decide(artifacts: Path, decisions: Mapping[str, str] | Sequence[Proposal], why: str = "") -> Decisions:
    """Write down a person's decisions on images of a scan: one line of artifacts/decisions.jsonl for each.

    decisions  id -> "keep", "drop" or "review", or proposals, which may relabel and tell copies apart
    why        in the person's words, of those that have none of their own

    The clean set follows with `apply`. Either all are written or none is: raises DataError where an id is not in the
    scan, UnknownName for another action or class, OutputError where nothing can be written.
    """
    proposals = (
        [Proposal(action, name) for name, action in decisions.items()] if isinstance(decisions, Mapping) else decisions
    )
    UnknownName.check("action", (proposal.action for proposal in proposals), ACTIONS)
    if not proposals:
        raise DataError(
            "no ids were given. Give those of the images to decide on, from the column id of images.parquet."
        )
    scan = open_scan(Path(artifacts) / "scan")
    return record(scan, [replace(proposal, why=proposal.why or why) for proposal in proposals])


def record(scan: Scanned, proposals: Sequence[Proposal], by: str = "person") -> Decisions:
    """Append these decisions on a scan to decisions.jsonl, all or nothing; what holds already is not said twice.

    by  who decided, where a proposal does not say

    Raises DataError where an id is not in the scan or two proposals contradict each other, UnknownName for a class or
    an action that is none, OutputError where nothing can be written.
    """
    _check(scan, proposals)
    when, count = now(), 0

    def entries(past: History) -> list[Mapping[str, object]]:
        nonlocal count
        earlier = _earlier(scan.roster, proposals, past)
        apart = {frozenset(decision.digests) for decision in past.apart}
        lines: list[Mapping[str, object]] = []
        for proposal in dict.fromkeys(proposals):
            held = earlier.get(proposal.id)
            if proposal.action == NOT_COPIES:
                digests = frozenset(scan.roster.digests[scan.roster.row_of[name]] for name in proposal.ids)
                holds = digests in apart
            else:
                holds = held is not None and _same(held, proposal)
            if not holds:
                lines.append(_line(scan.roster, proposal, held, when, by))
        count = len(lines)
        return lines

    path = decisions_path(scan.folder.parent)
    history = append_decisions(path, entries)
    return Decisions(path, tuple(history.decisions[-count:]) if count else (), history.standing, history.notes)


def take_back(scan: Scanned, lines: Sequence[int]) -> Decisions:
    """Take back the decisions of these lines of decisions.jsonl, all or none; an earlier one on an image counts again.

    Raises DataError where one of them does not stand, as when another window has taken it back already.
    """
    path = decisions_path(scan.folder.parent)
    undone: list[Decision] = []

    def entries(past: History) -> list[Mapping[str, object]]:
        stands = {decision.line: decision for decision in past.decisions}
        gone = [line for line in lines if line not in stands]
        if gone:
            raise DataError(f"no decision stands on line {gone[0]} of {path} any more. Nothing was taken back.")
        undone[:] = [stands[line] for line in dict.fromkeys(lines)]
        return [{"undo": decision.line, "when": now()} for decision in undone]

    history = append_decisions(path, entries)
    return Decisions(path, (), history.standing, history.notes, tuple(undone))


def _same(held: Decision, proposal: Proposal) -> bool:
    """Whether a decision says what is proposed, and gives a reason where one is proposed."""
    agree = held.action == proposal.action and held.label == proposal.label
    return agree and proposal.why in ("", held.why)


def _earlier(roster: Roster, proposals: Sequence[Proposal], past: History) -> dict[str, Decision]:
    """id -> the decision that holds for it, of those that are decided on again."""
    rows = {roster.row_of[proposal.id] for proposal in proposals if proposal.action != NOT_COPIES}
    digests = {roster.digests[row] for row in rows}
    ids = {roster.ids[row] for row in rows}
    near = [decision for decision in past.current if decision.id in ids or decision.digest in digests]
    # Most ids are what they were: only where pixels of theirs were decided on under others it takes a closer look.
    if any(decision.digest in digests and not _stays(decision, roster) for decision in near if decision.digest):
        held = holding_of(roster, past).decisions
    else:
        held = {roster.row_of[decision.id]: decision for decision in near if _stays(decision, roster)}
    return {roster.ids[row]: held[row] for row in rows if row in held}


def _line(roster: Roster, proposal: Proposal, held: Decision | None, when: str, by: str) -> dict[str, object]:
    """The line of decisions.jsonl that a proposal becomes."""
    facts = {"why": proposal.why, "when": when, "by": proposal.by or by}
    if proposal.action == NOT_COPIES:
        ids = list(dict.fromkeys(proposal.ids))
        digests = [roster.digests[roster.row_of[name]] for name in ids]
        return {"action": NOT_COPIES, "ids": ids, **facts, "digests": digests}
    row = roster.row_of[proposal.id]
    digest = roster.digests[row]
    line: dict[str, object] = {"id": proposal.id, "action": proposal.action}
    if proposal.action == RELABEL:
        line["label"] = proposal.label
    line |= {**facts, "digest": digest, "given": roster.given[row]}
    copies = len(roster.rows_of.get(digest, ()))
    if copies > 1:
        line["copies"] = copies
    if held is not None and held.id != proposal.id:
        line["over"] = held.line
    return line


# What can be decided


def _check(scan: Scanned, proposals: Sequence[Proposal]) -> None:
    """Raise DataError or UnknownName where a proposal is none that can be decided on this scan."""
    roster = scan.roster
    UnknownName.check("action", (proposal.action for proposal in proposals), ACTIONS)
    check_known([name for proposal in proposals for name in proposal.ids or (proposal.id,)], roster, scan.folder)
    wanted: dict[str, Proposal] = {}
    for proposal in proposals:
        if proposal.action == NOT_COPIES:
            check_apart(roster, proposal.ids)
            continue
        other = wanted.setdefault(proposal.id, proposal)
        if (other.action, other.label) != (proposal.action, proposal.label):
            raise DataError(
                f"{proposal.id} is decided on twice: {in_words(other)}; {in_words(proposal)}. Decide on it once."
            )
        if not roster.digests[roster.row_of[proposal.id]] and proposal.action != DROP:
            raise DataError(
                f"{proposal.id} cannot be decoded, so that it can only be dropped. Repair the file and scan again."
            )
        if proposal.action == RELABEL:
            check_class(roster, proposal.label)


def in_words(decision: Decision | Proposal) -> str:
    """ "drop 63", "relabel 63 to monocyte", "63, 93 are no copies of each other"."""
    if decision.action == NOT_COPIES:
        return f"{', '.join(decision.ids)} are no copies of each other"
    return f"{decision.action} {decision.id}{f' to {decision.label}' if decision.action == RELABEL else ''}"


def check_class(roster: Roster, name: str) -> None:
    """Raise where no image of the set has this class: UnknownName, or DataError where the set has no labels."""
    if not roster.classes:
        raise DataError(
            f"the set has no labels, so that nothing can be relabelled to {name!r}. Give it some, and scan."
        )
    UnknownName.check("class", [name], roster.classes)


def check_apart(roster: Roster, ids: Sequence[str]) -> None:
    """Raise DataError where images cannot be told apart: fewer than two, or equal pixels."""
    if len(set(ids)) < 2:
        raise DataError("to say that images are no copies of each other takes two ids or more, separated by commas.")
    seen: dict[str, str] = {}
    for name in dict.fromkeys(ids):
        digest = roster.digests[roster.row_of[name]]
        if not digest:
            raise DataError(f"{name} cannot be decoded, so that nothing is known of its copies.")
        if digest in seen:
            raise DataError(
                f"{seen[digest]} and {name} have the same pixels, so that they are copies of each other in any case. "
                f"To have both in the clean set, keep them: `curate apply --keep-id {seen[digest]} --keep-id {name}`."
            )
        seen[digest] = name


_COMPARED = 5_000  # ids that are compared letter by letter: a tenth of a second


def check_known(wanted: Sequence[str], roster: Roster, folder: Path) -> None:
    """Raise DataError where an id is none of the scan's, naming the nearest one."""
    strange = [name for name in wanted if name not in roster.row_of]
    if not strange:
        return
    near = nearest_id(strange[0], roster)
    hint = f" Did you mean {near!r}?" if near else ""
    more = f", nor have {len(strange) - 1:,} more of those given" if len(strange) > 1 else ""
    raise DataError(
        f"no image of the scan in {folder} has the id {strange[0]!r}{more}.{hint} "
        f"Ids are the column id of {folder / 'images.parquet'}; nothing was decided."
    )


def nearest_id(name: str, roster: Roster) -> str:
    """The id of the set that is most like a name, "" where none is."""
    return next(iter(difflib.get_close_matches(name, _near(name, roster.ids), n=1)), "")


def _near(name: str, ids: Sequence[str]) -> Sequence[str]:
    """Ids worth a comparison: all of a small set; of a large one namesakes, and the neighbours in order."""
    if len(ids) <= _COMPARED:
        return ids
    base = name.rpartition("/")[2].lower()
    ordered = sorted(ids)
    at = bisect_left(ordered, name)
    namesakes = [other for other in ids if other.rpartition("/")[2].lower() == base]
    return [*namesakes[:_COMPARED], *ordered[max(0, at - 200) : at + 200]]


# What holds


@dataclass(frozen=True, eq=False)
class Holding:
    """Which decisions hold for a set: those on pictures that it has, wherever these are by now.

    decisions  row -> the decision in force on it
    apart      rows that are no copies of each other, for each decision that says so
    rows       line of decisions.jsonl -> the rows that its decision holds for
    moved      how many hold for images that have other ids now
    gone       decisions that do not: their image is no longer in the set
    unnamed    decisions that do not: their class is no longer in the set
    """

    decisions: Mapping[int, Decision]
    apart: tuple[tuple[int, ...], ...]
    rows: Mapping[int, tuple[int, ...]]
    moved: int
    gone: tuple[Decision, ...]
    unnamed: tuple[Decision, ...]

    @property
    def actions(self) -> dict[int, str]:
        """row -> action."""
        return {row: decision.action for row, decision in self.decisions.items()}

    @property
    def relabelled(self) -> dict[int, str]:
        """row -> the name of the class that a person gave it."""
        return {row: decision.label for row, decision in self.decisions.items() if decision.action == RELABEL}

    @cached_property
    def kinds(self) -> dict[str, int]:
        """action -> how many decisions of that kind hold, in the order of actions."""
        counts = Counter(decision.action for decision in self.decisions.values()) | Counter(
            {NOT_COPIES: len(self.apart)} if self.apart else {}
        )
        return {action: counts[action] for action in ACTIONS if counts[action]}

    @property
    def notes(self) -> tuple[str, ...]:
        """What was carried over and what was not; nothing where all hold for the ids that they were made on."""
        held, same = len(self.rows), len(self.rows) - self.moved
        parts = [f"{counted(held, 'decision')} {'holds' if held == 1 else 'hold'}"] if held else []
        if self.moved:
            where = f": {same:,} on the same ids, {self.moved:,}" if same else ","
            parts[0] += f"{where} on images that have other ids now"
        for lost, noun in ((self.gone, "image"), (self.unnamed, "class")):
            if lost:
                parts.append(_told_of_lost(lost, noun, counting=not parts))
        return ("; ".join(parts),) if self.moved or self.gone or self.unnamed else ()


def _told_of_lost(lost: Sequence[Decision], noun: str, counting: bool) -> str:
    """ "2 do not: their image is no longer in the set, such as ...": of decisions that do not hold."""
    first = lost[0]
    named = first.label if noun == "class" else first.id or first.ids[0]
    if counting:
        verb = f"{counted(len(lost), 'decision')} {'does' if len(lost) == 1 else 'do'} not hold"
    else:
        verb = f"{len(lost):,} {'does' if len(lost) == 1 else 'do'} not"
    subject = f"its {noun} is" if len(lost) == 1 else f"their {'classes' if noun == 'class' else 'images'} are"
    return f"{verb}: {subject} no longer in the set, such as {named}"


def holding_of(roster: Roster, history: History) -> Holding:
    """Which decisions hold for a set: on the row of their id where that has their pixels, else on a row that has.

    Of rows of the same pixels the one of the same class comes first, and each takes one decision. Where copies of a
    picture were taken out of the set since, those are taken for gone that were decided on.
    """
    decisions: dict[int, Decision] = {}
    adrift: list[Decision] = []
    unnamed: list[Decision] = []
    for decision in history.current:
        if decision.action == RELABEL and decision.label not in roster.classes:
            unnamed.append(decision)
        elif _stays(decision, roster):
            decisions[roster.row_of[decision.id]] = decision
        else:
            adrift.append(decision)
    same = len(decisions)
    gone = _carried(adrift, decisions, roster)
    rows: dict[int, tuple[int, ...]] = {decision.line: (row,) for row, decision in decisions.items()}
    moved = len(decisions) - same
    apart = []
    for decision in history.apart:
        places = _places(decision, roster)
        if len(places) < 2:
            gone.append(decision)
            continue
        apart.append(places)
        rows[decision.line] = places
        moved += any(roster.ids[row] != name for row, name in zip(places, decision.ids, strict=False))
    ordered = sorted(gone, key=lambda decision: decision.line)
    return Holding(dict(sorted(decisions.items())), tuple(apart), rows, moved, tuple(ordered), tuple(unnamed))


def _stays(decision: Decision, roster: Roster) -> bool:
    """Whether the image of a decision's id has the pixels that were decided on, as far as they are known."""
    row = roster.row_of.get(decision.id)
    return row is not None and decision.digest in ("", roster.digests[row])


def _carried(adrift: Iterable[Decision], decisions: dict[int, Decision], roster: Roster) -> list[Decision]:
    """Give decisions on images that have other ids now to rows that have none; those that find no row."""
    by_digest: dict[str, list[Decision]] = {}
    gone = []
    for decision in adrift:
        if decision.digest in roster.rows_of:
            by_digest.setdefault(decision.digest, []).append(decision)
        else:
            gone.append(decision)
    for digest, lines in by_digest.items():
        rows = roster.rows_of[digest]
        free = [row for row in rows if row not in decisions]
        decided = [decisions[row] for row in rows if row in decisions] + lines
        copies = max(decision.copies for decision in decided)
        undecided = max(0, copies - len(decided))  # which stay, if any does
        places = max(0, len(free) - undecided) if copies else len(free)
        for decision in sorted(lines, key=lambda decision: -decision.line):
            if not places:
                gone.append(decision)
                continue
            row = next((row for row in free if roster.given[row] == decision.given), free[0])
            free.remove(row)
            places -= 1
            decisions[row] = decision
    return gone


def _places(decision: Decision, roster: Roster) -> tuple[int, ...]:
    """A row for each picture of a decision that tells some apart, as far as the set has them."""
    places = []
    for name, digest in zip(decision.ids, decision.digests or [""] * len(decision.ids), strict=False):
        row = roster.row_of.get(name)
        if row is not None and digest in ("", roster.digests[row]):
            places.append(row)
        elif digest in roster.rows_of:
            places.append(roster.rows_of[digest][0])
    return tuple(dict.fromkeys(places))


# Ids as they are typed


def ids_in(text: str, roster: Roster) -> list[str]:
    """The ids that a text names, separated by commas; one that holds commas itself is taken whole where the set has it.

    What is no id of the set is given as it is, for `check_known` to tell of.
    """
    if text in roster.row_of:
        return [text]
    parts = text.split(",")
    names: list[str] = []
    start = 0
    while start < len(parts):
        for end in range(len(parts), start, -1):
            joined = ",".join(parts[start:end])
            name = joined if joined in roster.row_of else joined.strip()
            if name in roster.row_of or end == start + 1:
                names += [name] if name else []
                start = end
                break
    return names


def relabelled_in(text: str, roster: Roster) -> list[Proposal]:
    """What ID=CLASS proposes; ids and classes may hold "=" and commas: what the set has decides.

    Raises DataError or UnknownName where it names no image or no class of the set.
    """
    cuts = [(text[:at], text[at + 1 :]) for at, letter in enumerate(text) if letter == "="]
    if not cuts:
        raise DataError(
            f"{text!r} relabels nothing. Needed is ID=CLASS, such as 63={next(iter(roster.classes), 'CLASS')}."
        )
    readings = [(ids_in(ids, roster), label if label in roster.classes else label.strip()) for ids, label in cuts]
    fits = [
        [bool(ids) and all(name in roster.row_of for name in ids), label in roster.classes] for ids, label in readings
    ]
    fitting = [reading for reading, fit in zip(readings, fits, strict=True) if all(fit)]
    if len(fitting) > 1:
        raise DataError(
            f"{text!r} can be read in several ways, as {fitting[0][0][0]!r} to {fitting[0][1]!r} and as "
            f"{fitting[1][0][0]!r} to {fitting[1][1]!r}. Give it in a file: --from FILE."
        )
    # The reading of which more is known, for an error that says what is not.
    ids, label = fitting[0] if fitting else readings[max(range(len(readings)), key=lambda at: sum(fits[at]))]
    return [Proposal(RELABEL, name, label=label) for name in ids]
