"""decisions.jsonl: a person's word on what a scan found, a line for each; appended whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from .findings import DROP, KEEP, REVIEW
from .stage.errors import DataError, OutputError
from .stage.shortness import short_repr

ACTIONS = (KEEP, DROP, REVIEW)


@dataclass(frozen=True)
class Decision:
    """What a person said of one image.

    digest  of the pixels that were decided on, "" where that is not known
    line    of decisions.jsonl, from 1
    """

    id: str
    action: str
    why: str
    when: str
    by: str
    digest: str
    line: int


@dataclass(frozen=True)
class History:
    """decisions.jsonl as read.

    decisions  those that were not undone, in order
    whole      bytes up to the end of the last whole line;  lines  how many these are
    """

    decisions: list[Decision]
    whole: int
    lines: int
    notes: tuple[str, ...]
    standing: dict[str, Decision] = field(init=False)

    __repr__ = short_repr

    def __post_init__(self) -> None:
        object.__setattr__(self, "standing", {decision.id: decision for decision in self.decisions})


def decisions_path(artifacts: Path) -> Path:
    """Where the decisions on the scan in a folder of artifacts are kept."""
    return Path(artifacts) / "decisions.jsonl"


def now() -> str:
    """The time in UTC, as decisions bear it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def standing(artifacts: Path) -> dict[str, Decision]:
    """The decisions in force, by id: of each image the last that was not undone. Raises DataError."""
    return read_history(decisions_path(artifacts)).standing


def in_force(artifacts: Path, ids: Sequence[str], digests: Sequence[str]) -> dict[int, str]:
    """row -> action of the decisions that hold for a set: on images that it has, and whose pixels are the same."""
    row_of = {name: row for row, name in enumerate(ids)}
    held = [decision for decision in standing(artifacts).values() if decision.id in row_of]
    return {
        row_of[decision.id]: decision.action
        for decision in held
        if not decision.digest or decision.digest == digests[row_of[decision.id]]
    }


def read_history(path: Path) -> History:
    """What a decisions.jsonl holds, nothing where there is none. Raises DataError where it cannot be read."""
    try:
        return _parse(path, path.read_bytes())
    except FileNotFoundError:
        return _parse(path, b"")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _parse(path: Path, data: bytes) -> History:
    """The history that the bytes of decisions.jsonl hold. Raises DataError with the number of a malformed line."""
    lines = data.split(b"\n")
    rest = lines.pop()  # what follows the last line's end: nothing, unless a write was cut short
    decisions: dict[int, Decision] = {}
    whole = len(data) - len(rest)
    notes: tuple[str, ...] = ()
    for number, text in enumerate([*lines, rest] if rest else lines, 1):
        if not text.strip():
            continue
        try:
            _take(json.loads(text), number, decisions)
        except (ValueError, TypeError, RecursionError) as error:
            if number <= len(lines):
                raise DataError(
                    f"{path}, line {number} is no decision: {error}. "
                    'Needed is an object with "id" and "action" (keep, drop or review). Correct that line, or empty it.'
                ) from None
            notes = (f"line {number} of {path.name} was cut short while it was written, and does not count",)
        else:
            whole = max(whole, len(data) if number > len(lines) else 0)
    return History(list(decisions.values()), whole, len(lines) + (whole == len(data) and bool(rest)), notes)


def _take(entry: object, number: int, decisions: dict[int, Decision]) -> None:
    """Add what one line says to the decisions so far, by line. Raises ValueError with what is wrong."""
    if not isinstance(entry, dict):
        raise ValueError("it is not an object")
    if "undo" in entry:
        if not isinstance(entry["undo"], int) or entry["undo"] not in decisions:
            raise ValueError(f"no decision stands on line {entry['undo']!r} to be undone")
        del decisions[entry["undo"]]
        return
    name, action = entry.get("id"), entry.get("action")
    if not isinstance(name, str):
        raise ValueError("it names no id")
    if action not in ACTIONS:
        raise ValueError(f"its action is {action!r}")
    why, when, by, digest = (str(entry.get(key, "")) for key in ("why", "when", "by", "digest"))
    decisions[number] = Decision(name, str(action), why, when, by, digest, number)


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
            added = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries(past))
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
    return History(after.decisions, after.whole, after.lines, past.notes)


def _lock_decisions(file: BinaryIO) -> None:
    """Keep other processes from writing the file until it is closed, where the system can."""
    if sys.platform != "win32":
        import fcntl

        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
