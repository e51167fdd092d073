"""decisions.jsonl: a person's word on what a scan found, a line for each; appended whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from .findings import DROP, KEEP, REVIEW
from .stage.errors import DataError, OutputError, UnknownName
from .stage.lines import json_text
from .stage.shortness import short_repr

RELABEL, NOT_COPIES = "relabel", "not_copies"
VERDICTS = (KEEP, DROP, REVIEW)
ACTIONS = (*VERDICTS, RELABEL, NOT_COPIES)


@dataclass(frozen=True)
class Decision:
    """What a person said: of one image, or that several are no copies of each other.

    id, digest    of the image, and of the pixels that were decided on, "" where they are not known
    given         name of the class that it had then;  label  that of a relabelled one
    copies        images that had these very pixels then, 0 where that is not known
    ids, digests  of images that are no copies of each other
    over          the line of an earlier decision on the same image, which had another id then; 0 for none
    line          of decisions.jsonl, from 1
    """

    id: str
    action: str
    why: str
    when: str
    by: str
    digest: str
    line: int
    given: str = ""
    label: str = ""
    copies: int = 0
    ids: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    over: int = 0


@dataclass(frozen=True)
class Undoing:
    """A line that takes back the decision of another line."""

    undo: int
    when: str
    line: int


@dataclass(frozen=True)
class Proposal:
    """A decision that is yet to be checked and recorded.

    id      of the image;  ids  of images that are no copies of each other
    label   name of the class to relabel it to
    digest, digests, given  as in a Decision, where it comes from a file of such;  by  who decided, "" whoever records
    """

    action: str
    id: str = ""
    ids: tuple[str, ...] = ()
    label: str = ""
    why: str = ""
    digest: str = ""
    digests: tuple[str, ...] = ()
    given: str = ""
    by: str = ""


@dataclass(frozen=True)
class History:
    """decisions.jsonl as read.

    decisions  those that were not undone, in order
    whole      bytes up to the end of the last whole line;  lines  how many these are
    log        every line that says something, in order
    """

    decisions: list[Decision]
    whole: int
    lines: int
    notes: tuple[str, ...]
    log: tuple[Decision | Undoing, ...] = ()

    __repr__ = short_repr

    @cached_property
    def current(self) -> list[Decision]:
        """The decisions on single images that no later one on the same image and pixels replaces, in order."""
        alone = [decision for decision in self.decisions if decision.action != NOT_COPIES]
        replaced = {decision.over for decision in alone}
        last = {(d.id, d.digest): d.line for d in alone}
        lines = {*last.values()} - replaced
        return [decision for decision in alone if decision.line in lines]

    @cached_property
    def standing(self) -> dict[str, Decision]:
        """id -> the last decision on it."""
        return {decision.id: decision for decision in self.current}

    @cached_property
    def apart(self) -> list[Decision]:
        """The decisions that tell images apart."""
        return [decision for decision in self.decisions if decision.action == NOT_COPIES]


NOTHING = History([], 0, 0, ())


def decisions_path(artifacts: Path) -> Path:
    """Where the decisions on the scan in a folder of artifacts are kept."""
    return Path(artifacts) / "decisions.jsonl"


def now() -> str:
    """The time in UTC, as decisions bear it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def standing(artifacts: Path) -> dict[str, Decision]:
    """The decisions in force on single images, by id: of each the last that was not undone. Raises DataError."""
    return read_history(decisions_path(artifacts)).standing


def read_history(path: Path) -> History:
    """What a decisions.jsonl holds, nothing where there is none. Raises DataError where it cannot be read."""
    try:
        return _parse(path, path.read_bytes())
    except FileNotFoundError:
        return _parse(path, b"")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


# Lines


@dataclass(frozen=True)
class _Parsed:
    """What the first whole lines of a file say: it is only ever appended to, so that they are parsed once."""

    data: bytes = b""
    lines: int = 0
    decisions: Mapping[int, Decision] = field(default_factory=dict)
    log: tuple[Decision | Undoing, ...] = ()

    @cached_property
    def history(self) -> History:
        """What a file that ends with these lines says."""
        return History(list(self.decisions.values()), len(self.data), self.lines, (), self.log)


_REMEMBERED = 4  # files whose lines are remembered
_memory: dict[Path, _Parsed] = {}


def _parse(path: Path, data: bytes) -> History:
    """The history that the bytes of decisions.jsonl hold. Raises DataError with the number of a malformed line."""
    before = _memory.get(path, _Parsed())
    if not data.startswith(before.data):  # edited by hand
        before = _Parsed()
    lines = data[len(before.data) :].split(b"\n")
    rest = lines.pop()  # what follows the last line's end: nothing, unless a write was cut short
    if lines:
        before = _memory[path] = _continued(before, data[: len(data) - len(rest)], lines, path)
        for oldest in list(_memory)[:-_REMEMBERED]:
            _memory.pop(oldest, None)
    if not rest.strip():
        return before.history
    decisions, number = dict(before.decisions), before.lines + 1
    try:
        entry = _taken(json.loads(rest), number, decisions)
    except (ValueError, TypeError, RecursionError):
        note = f"line {number} of {path.name} was cut short while it was written, and does not count"
        return replace(before.history, notes=(note,))
    return History(list(decisions.values()), len(data), number, (), (*before.log, entry))


def _continued(before: _Parsed, data: bytes, lines: Sequence[bytes], path: Path) -> _Parsed:
    """What a file says whose last lines are these. Raises DataError with the number of a malformed one."""
    decisions, log = dict(before.decisions), list(before.log)
    for number, text in enumerate(lines, before.lines + 1):
        try:
            if text.strip():
                log.append(_taken(json.loads(text), number, decisions))
        except (ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f'{path}, line {number} is no decision: {error}. Needed is an object with "id" and "action" (keep, '
                'drop, review, or relabel with "label"). Correct that line, or empty it.'
            ) from None
    return _Parsed(data, before.lines + len(lines), decisions, tuple(log))


def _taken(entry: object, number: int, decisions: dict[int, Decision]) -> Decision | Undoing:
    """What one line says, once the decisions so far, by line, follow it. Raises ValueError with what is wrong."""
    if not isinstance(entry, dict):
        raise ValueError("it is not an object")
    if "undo" in entry:
        if not isinstance(entry["undo"], int) or entry["undo"] not in decisions:
            raise ValueError(f"no decision stands on line {entry['undo']!r} to be undone")
        del decisions[entry["undo"]]
        return Undoing(entry["undo"], str(entry.get("when", "")), number)
    decision = _decision(entry, number)
    decisions[number] = decision
    return decision


def _decision(entry: Mapping[str, object], number: int) -> Decision:
    name, action, label = entry.get("id", ""), entry.get("action"), entry.get("label", "")
    ids, digests = (_texts(entry.get(key, [])) for key in ("ids", "digests"))
    if action == NOT_COPIES:
        if len(ids) < 2:
            raise ValueError('it tells no images apart: "ids" is a list of two or more')
        name = ""
    elif not isinstance(name, str) or "id" not in entry:
        raise ValueError("it names no id")
    if action not in ACTIONS:
        raise ValueError(f"its action is {action!r}")
    if action == RELABEL and not (isinstance(label, str) and label):
        raise ValueError('it names no class: "label" is the name of one')
    why, when, by, digest, before = (str(entry.get(key, "")) for key in ("why", "when", "by", "digest", "given"))
    copies, over = (value if isinstance(value := entry.get(key), int) else 0 for key in ("copies", "over"))
    return Decision(
        str(name), str(action), why, when, by, digest, number,
        given=before, label=str(label) if action == RELABEL else "", copies=copies, ids=ids, digests=digests, over=over,
    )  # fmt: skip


def _texts(value: object) -> tuple[str, ...]:
    """A list of texts. Raises ValueError where it is none."""
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError('"ids" and "digests" are lists of texts')
    return tuple(value)


def append_decisions(path: Path, entries: Callable[[History], Sequence[Mapping[str, object]]]) -> History:
    """Append what `entries` makes of the history so far, all of it or nothing; return the history with it."""
    try:
        with path.open("a+b") as file:
            _lock_decisions(file)  # until the file is closed
            file.seek(0)
            data = file.read()
            past = _parse(path, data)
            # A line cut short was never a decision; joined to the next it would spoil that one too.
            start = data[: past.whole]
            added = "".join(json_text(entry, indent=None) + "\n" for entry in entries(past))
            if not added:
                return past
            # A byte that is no UTF-8, typed in a reason, becomes the escape \udc.., which JSON reads back.
            new = (b"\n" if start and not start.endswith(b"\n") else b"") + added.encode("utf-8", "backslashreplace")
            try:
                file.truncate(past.whole)
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), past.whole)
                raise
            after = _parse(path, start + new)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}. No decision was taken.") from error
    return replace(after, notes=past.notes) if past.notes else after


def _lock_decisions(file: BinaryIO) -> None:
    """Keep other processes from writing the file until it is closed, where the system can."""
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)


# Proposals


def proposals_of(entries: Iterable[object]) -> list[Proposal]:
    """The decisions that JSON objects propose: {"id", "action", "label"?, "ids"?, "why"?}, more is left aside.

    Raises DataError with the number of an entry that is none.
    """
    return [_proposal(entry, number) for number, entry in enumerate(entries, 1)]


def proposal(decision: Decision) -> Proposal:
    """The decision, to be recorded elsewhere."""
    return Proposal(
        decision.action, decision.id, decision.ids, decision.label, decision.why,
        digest=decision.digest, digests=decision.digests, given=decision.given, by=decision.by,
    )  # fmt: skip


def action_named(text: str) -> str:
    """The action that a person typed, "" for none: letters of either case, words joined by anything.

    >>> action_named(" Not copies"), action_named("")
    ('not_copies', '')

    Raises UnknownName.
    """
    name = re.sub(r"[\s_-]+", "_", text.strip().lower())
    if name and name not in ACTIONS:
        raise UnknownName.among("action", name, ACTIONS)
    return name


def _proposal(entry: object, number: int) -> Proposal:
    def refused(fault: str) -> DataError:
        return DataError(f"entry {number} is no decision: {fault}. Nothing was decided.")

    if not isinstance(entry, Mapping):
        raise refused('it is no object with "id" and "action"')
    text = {
        key: "" if entry.get(key) is None else str(entry[key])
        for key in ("action", "id", "label", "why", "digest", "given", "by")
    }
    ids, digests = (entry.get(key) or () for key in ("ids", "digests"))
    if isinstance(ids, str) or not isinstance(ids, Sequence) or not isinstance(digests, Sequence):
        raise refused('"ids" is a list')
    try:
        action = action_named(text.pop("action"))
    except UnknownName as error:
        raise refused(str(error)) from None
    if not action:
        raise refused('it has no "action"')
    if action == RELABEL and not text["label"]:
        raise refused('it names no class to relabel to, its "label"')
    if (action == NOT_COPIES and len(ids) < 2) or (action != NOT_COPIES and not text["id"]):
        raise refused('it has no "ids", two or more' if action == NOT_COPIES else 'it has no "id"')
    return Proposal(action, ids=tuple(map(str, ids)), digests=tuple(map(str, digests)), **text)
