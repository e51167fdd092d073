"""The decisions on a scan as its page needs them: which rows each line is about, from any line on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from ..deciding import holding_of, record, take_back
from ..decisions import NOT_COPIES, Decision, History, Proposal, Undoing, decisions_path, read_history
from ..scans import Scanned


@dataclass
class Session:
    """What was decided through one review: line -> action of what stands, and how many earlier ones it took back."""

    standing: dict[int, str] = field(default_factory=dict)
    taken_back: int = 0

    def counts(self) -> Counter[str]:
        """action -> how many stand."""
        return Counter(self.standing.values())


class Journal:
    """The decisions.jsonl beside a scan, read and written for its page; any number of threads may do so at once.

    classes  in the order of their numbers
    """

    def __init__(self, scan: Scanned, classes: Sequence[str]) -> None:
        self._scan, self._path = scan, decisions_path(scan.folder.parent)
        self._class_numbers = {name: number for number, name in enumerate(classes)}
        self._lock = Lock()
        self.session = Session()

    def after(self, line: int) -> dict[str, object]:
        """{"line": the last one, "entries": what the lines after `line` say}. Raises DataError."""
        with self._lock:
            return self._after(line)

    def notes(self) -> tuple[str, ...]:
        """What a person should know of the decisions that there are: which were carried over, which do not hold.

        Raises DataError where a line is none.
        """
        with self._lock:
            history = read_history(self._path)
        return (*history.notes, *holding_of(self._scan.roster, history).notes)

    def append(self, proposals: Sequence[Proposal], since: int | None) -> dict[str, object]:
        """Record decisions, all or none; what `after` says of the lines from `since` on, None for the new ones alone.

        Raises DataError, UnknownName, OutputError.
        """
        with self._lock:
            before = read_history(self._path).lines if since is None else since
            new = record(self._scan, proposals).made
            self.session.standing.update({decision.line: decision.action for decision in new})
            return self._after(before)

    def take_back(self, lines: Sequence[int], since: int | None) -> dict[str, object]:
        """Take decisions back, all or none, by their lines. Raises DataError, OutputError."""
        with self._lock:
            before = read_history(self._path).lines if since is None else since
            take_back(self._scan, lines)
            for line in set(lines):
                if self.session.standing.pop(line, None) is None:
                    self.session.taken_back += 1
            return self._after(before)

    def _after(self, line: int) -> dict[str, object]:
        history = read_history(self._path)
        later = [entry for entry in history.log if entry.line > line]
        rows = self._rows_of(later, history)
        return {"line": history.lines, "entries": [self._in_words(entry, rows) for entry in later]}

    def _in_words(self, entry: Decision | Undoing, rows: Mapping[int, Sequence[int]]) -> dict[str, object]:
        if isinstance(entry, Undoing):
            return {"line": entry.line, "undo": entry.undo}
        return {
            "line": entry.line,
            "rows": list(rows[entry.line]),
            "action": entry.action,
            "label": self._class_numbers.get(entry.label, -1),
            "why": entry.why,
            "when": entry.when,
            "by": entry.by,
        }

    def _rows_of(self, entries: Sequence[Decision | Undoing], history: History) -> dict[int, Sequence[int]]:
        """line -> the rows that its decision is about: where the ids are, unless other pixels have them by now."""
        roster, rows, adrift = self._scan.roster, dict[int, Sequence[int]](), list[Decision]()
        for decision in entries:
            if isinstance(decision, Undoing):
                continue
            names = _named(decision)
            own = [roster.row_of.get(name, -1) for name, _ in names]
            if all(
                row >= 0 and digest in ("", roster.digests[row]) for row, (_, digest) in zip(own, names, strict=True)
            ):
                rows[decision.line] = own
            else:
                adrift.append(decision)
        if adrift:
            carried = holding_of(roster, history).rows
            rows |= {decision.line: carried.get(decision.line, ()) for decision in adrift}
        return rows


def _named(decision: Decision) -> list[tuple[str, str]]:
    """(id, digest) of each image that a decision is about."""
    if decision.action != NOT_COPIES:
        return [(decision.id, decision.digest)]
    digests = decision.digests or ("",) * len(decision.ids)
    return list(zip(decision.ids, digests, strict=False))
