"""When a table beside image files is used, and how it stands to what their folders say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ..stage.errors import DataError
from .directions import TABLE, Directions, column_of, of_folders
from .layouts import Levels, spoken
from .matching import Columns, add_table, rows_of
from .names import Kind, are_counted
from .sheets import SPREADSHEETS
from .tables import Table

# Of several tables these are looked into first.
_FIRST = ("labels", "train", "metadata")
_TABLES = 20  # more tables below a folder than this are not looked into
_LARGE = 500_000_000  # bytes of a table that is read unasked
_LABEL = "--classes-from"


class Relation(StrEnum):
    """How the labels of a table stand to the classes of the folders, on the images that have both."""

    APART = "apart"  # there are no such images
    SAME = "same"  # on half of them at least
    RENAMED = "renamed"  # each class has one name here and one there
    OTHER = "other"


@dataclass
class Labelling:
    """Class, split and group of N files, and in words where they are from: "" for the folders.

    folders  what the folders say (see Levels); none of it counts any more where `by_table`
    found    what the folders call the classes of the whole set
    """

    columns: Columns
    folders: Levels
    classes_from: str = ""
    splits_from: str = ""
    groups_from: str = ""
    by_table: bool = False
    found: frozenset[str] = frozenset()

    @property
    def look_like_classes(self) -> bool:
        """Whether there are several folders of classes, rather than of parts or people."""
        return len(self.found) > 1 and self.folders.kind not in (Kind.PARTS, Kind.PEOPLE)


def label_by_tables(
    root: Path, tables: Sequence[str], names: Sequence[str], labelling: Labelling, directions: Directions
) -> None:
    """Take from tables what they say of the files: from the one that is given, else from those that lie there.

    tables  paths of tables below root;  names  those of the N images
    Raises DataError where a table that is asked for is not there, or labels nothing.
    """
    if directions.labels is not None:
        table = Table.read(Path(directions.labels), *directions.columns, names)
        _check_labels(table, labelling, directions)
        _merge(labelling, names, table, directions, required=True)
        return
    top = [name for name in tables if "/" not in name]
    for name in sorted(top, key=_preference):
        _try(root / name, names, labelling, directions)
    below = [name for name in tables if "/" in name]
    if len(below) > _TABLES:
        labelling.columns.notes.append(f"{len(below):,} tables in folders were not used: give one with --labels FILE")
    elif not labelling.by_table:
        for name in below:
            _try_below(root, name, names, labelling, directions)
    _check_asked(root, tables, labelling, directions)


def _check_asked(root: Path, tables: Sequence[str], labelling: Labelling, directions: Directions) -> None:
    """Raise DataError where a column that a person named is in no table."""
    for flag, direction, source in (
        (_LABEL, directions.classes_from, labelling.classes_from),
        ("--splits-from", directions.splits_from, labelling.splits_from),
        ("--groups-from", directions.groups_from, labelling.groups_from),
    ):
        if source or not (column_of(direction) or direction == TABLE):
            continue
        seen = f"none of the tables in {root} ({', '.join(tables[:5])})" if tables else f"there is no table in {root}"
        lacking = f" names images and has a column {direction!r}" if tables and column_of(direction) else ""
        raise DataError(f"{flag} {direction}: {seen}{lacking}. Give the table with --labels FILE.")


def _preference(name: str) -> tuple[int, str]:
    stem = name.lower().partition(".")[0]
    return (_FIRST.index(stem) if stem in _FIRST else len(_FIRST), name)


def _check_labels(table: Table, labelling: Labelling, directions: Directions) -> None:
    """Raise DataError where a table that was given labels nothing, and the folders neither."""
    real = any(labelling.columns.classes) and labelling.folders.kind is not Kind.PARTS
    useful = table.splits is not None or table.groups is not None
    if table.labels is not None or (useful and (real or of_folders(directions.classes_from))):
        return
    raise DataError(table.without_labels)


def _try(path: Path, names: Sequence[str], labelling: Labelling, directions: Directions) -> None:
    """Use a table that lies there, as far as it says something that is not known yet."""
    reason = _reason_against(path)
    if reason:
        labelling.columns.notes.append(f"{path.name} was not used: {reason}")
        return
    try:
        classes = frozenset(name.casefold() for name in labelling.found if labelling.look_like_classes)
        table = Table.read(path, *directions.columns, names, classes)
        _merge(labelling, names, table, directions, required=False)
    except DataError as error:
        labelling.columns.notes.append(f"{path.name} was not used: {error}")


def _reason_against(path: Path) -> str:
    """Why a table that nobody asked for is not even read, "" where it is."""
    if path.suffix.lower() in SPREADSHEETS:
        return "it is a spreadsheet; save it as CSV"
    if "submission" in path.name.lower():
        return "it is called like a form to be filled in"
    size = path.stat().st_size if path.exists() else 0
    return f"it has {size / 1e6:,.0f} MB; give it with --labels" if size > _LARGE else ""


def _try_below(root: Path, name: str, names: Sequence[str], labelling: Labelling, directions: Directions) -> None:
    """The same for a table in a folder, whose paths are below that: train/metadata.csv, train/_classes.csv."""
    folder = name.rpartition("/")[0] + "/"
    rows = [row for row, image in enumerate(names) if image.startswith(folder)]
    whole = labelling.columns
    columns = rows_of(whole, rows)
    part = replace(labelling, columns=columns, by_table=False)
    if rows:
        _try(root / name, [names[row].removeprefix(folder) for row in rows], part, directions)
    for row, values in zip(rows, zip(columns.classes, columns.splits, columns.groups, strict=True), strict=True):
        whole.classes[row], whole.splits[row], whole.groups[row] = values
    whole.conflicts.update({rows[row]: labels for row, labels in columns.conflicts.items()})
    whole.notes += [note for note in columns.notes if note not in whole.notes]
    labelling.classes_from = labelling.classes_from or part.classes_from
    labelling.splits_from = labelling.splits_from or part.splits_from
    labelling.groups_from = labelling.groups_from or part.groups_from


def _merge(labelling: Labelling, names: Sequence[str], table: Table, directions: Directions, *, required: bool) -> None:
    """Bring what a table says together with what is known. Raises DataError where a given one names no image."""
    before, source = labelling.columns, table.path.name
    if not required and not (table.labels or table.splits or table.groups):
        before.notes.append(f"{source} was not used: it {table.without_labels.removeprefix(f'{table.path} ')}")
        return
    classes = before.classes if table.labels is None else [""] * len(names)
    own = Columns(list(classes), list(before.splits), list(before.groups), [])
    add_table(own, names, table, required=required)
    used = f"labels are from {source}"
    if own.splits != before.splits and _is_open(directions.splits_from):
        before.splits, labelling.splits_from = own.splits, source
    if own.groups != before.groups and _is_open(directions.groups_from):
        before.groups, labelling.groups_from = own.groups, source
    if table.labels is not None and (any(own.classes) or own.conflicts) and not of_folders(directions.classes_from):
        joined = _join_classes(labelling, own.classes, source, directions, required=required)
        own.notes = [note for note in own.notes if joined or note != used]
        if labelling.by_table:
            before.conflicts.update(own.conflicts)
            before.classes = ["" if row in own.conflicts else name for row, name in enumerate(before.classes)]
    else:
        own.notes = [note for note in own.notes if note != used]
    before.notes += own.notes


def _is_open(direction: str | None) -> bool:
    """Whether a table may say it: nothing was said, or a column was named."""
    return direction is None or column_of(direction) is not None


def _join_classes(
    labelling: Labelling, labels: list[str], source: str, directions: Directions, *, required: bool
) -> bool:
    """Join the labels of a table, "" where it has none, and the classes that are known; whether it is their source."""
    columns = labelling.columns
    relation, differing = _relation(columns.classes, labels)
    if relation is Relation.RENAMED and labelling.folders.kind in (Kind.PARTS, Kind.PEOPLE):
        relation = Relation.OTHER
    asked = required or directions.classes_from is not None
    if labelling.by_table and relation is not Relation.APART:
        if differing:
            columns.notes.append(f"{source} was not used: {labelling.classes_from} labels its images otherwise")
        return False
    if relation is Relation.RENAMED and not asked:
        columns.notes.append(
            f"{source} calls the classes of the folders otherwise ({spoken({label for label in labels if label})}); "
            "give --classes-from table to take those names"
        )
        return False
    if relation is Relation.OTHER and not asked and not labelling.by_table:
        reason = _no_classes(labelling, labels)
        if reason:
            columns.notes.append(
                f"the folders ({spoken(labelling.found)}) are the classes, not {source}: {reason}. If its labels are, "
                "give --classes-from table, or the name of a column"
            )
            return False
    if relation in (Relation.RENAMED, Relation.OTHER):
        _leave_folders(labelling, source)
    elif column_of(directions.classes_from):
        columns.classes = [""] * len(labels)
    columns.notes += _agreement(differing, source, asked) if relation is Relation.SAME else []
    columns.classes = [
        (label or folder) if asked else (folder or label) for folder, label in zip(columns.classes, labels, strict=True)
    ]
    labelling.by_table |= relation is not Relation.SAME or asked
    labelling.classes_from = ", ".join(filter(None, (labelling.classes_from, source if labelling.by_table else "")))
    return relation is not Relation.SAME


def _no_classes(labelling: Labelling, labels: Sequence[str]) -> str:
    """Why the labels of a table, "" where it has none, are none beside good folders of classes; "" where they may be.

    Patients and their like have folders, too: names that are mere ids give way to a table of a part of them.
    """
    if not labelling.look_like_classes:
        return ""
    words = {label for label in labels if label}
    if len(words) == 1:
        return f"it has one label for all its images, {spoken(words)}"
    classes = labelling.columns.classes
    covered = {name for name, label in zip(classes, labels, strict=True) if label}
    missed = {name for name in classes if name} - covered
    if missed and (labelling.folders.kind is not Kind.IDS or are_counted(labelling.found)):
        return f"it labels none of the images of {spoken(missed)}, and others {spoken(words)}"
    return ""


def _agreement(differing: int, source: str, asked: bool) -> list[str]:
    if not differing:
        return [f"{source} and the folders agree on the labels"]
    chosen, other = ("the table's were", "folders") if asked else ("the folders' were", "table")
    images = "1 image" if differing == 1 else f"{differing:,} images"
    return [
        f"{source} and the folders label {images} differently: {chosen} taken; --classes-from {other} takes the others"
    ]


def _leave_folders(labelling: Labelling, source: str) -> None:
    """Forget the classes of the folders, which a table contradicts."""
    columns, levels = labelling.columns, labelling.folders
    shown = spoken({name for name in columns.classes if name})
    may_be_groups = levels.classes > 0 and levels.kind is not Kind.PARTS and not any(columns.groups)
    own = f"; if they are groups, --groups-from {levels.classes}" if may_be_groups else ""
    columns.notes.append(
        f"the folders ({shown}) are not the classes: {source} labels their images otherwise. If they are, give "
        f"--classes-from folders{own}"
    )
    columns.classes = [""] * len(columns.classes)
    labelling.folders = replace(levels, classes=0, reasons=())


def _relation(classes: Sequence[str], labels: Sequence[str]) -> tuple[Relation, int]:
    """(how labels stand to classes, images that have both and other names)."""
    pairs = Counter((folder, label) for folder, label in zip(classes, labels, strict=True) if folder and label)
    total = pairs.total()
    same = sum(count for (folder, label), count in pairs.items() if _alike(folder, label))
    if not total:
        return Relation.APART, 0
    if 2 * same >= total:
        return Relation.SAME, total - same
    one_to_one = len(pairs) == len({folder for folder, _ in pairs}) == len({label for _, label in pairs})
    return (Relation.RENAMED if one_to_one and 1 < len(pairs) <= total / 2 else Relation.OTHER), total - same


def _alike(name: str, label: str) -> bool:
    return name.strip().casefold() == label.strip().casefold()
