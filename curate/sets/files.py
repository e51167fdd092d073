"""Sets of image files: class folders, split folders, flat folders beside a table of labels, and lists."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH110, PTH117, PTH118, PTH120

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..stage.errors import DataError
from .classes import encode_names, unnamed_splits
from .decoding import FilePictures
from .directions import LEFT_OPEN, Directions, of_folders
from .headers import survey
from .imageset import ImageSet, Source, Topic, of_classes
from .labelling import Labelling, label_by_tables
from .layouts import Levels, annotation_folders, folders_of, levels_of, spoken
from .matching import Columns, columns_of_list
from .outputs import exported_classes
from .paths import local_paths, printable
from .scaling import Decoding
from .tables import Table, read_listing
from .walking import examples, file_count, find_files


def read_folder(root: Path, directions: Directions = LEFT_OPEN, decoding: Decoding = Decoding()) -> ImageSet:
    """All images below a folder, sorted by path; ids are the paths below it.

    Which level of folders are classes, splits or groups is told by how their names repeat (see layouts.py); a table
    that names the images is joined to that (see labelling.py). Raises DataError.
    """
    listing = find_files(root)
    names, aside = _without_annotations(listing.images)
    left_out = [*listing.left_out(), *aside]
    if not names:
        raise DataError(
            f"{root} holds no images{': ' + '; '.join(left_out) if left_out else ''}. "
            "Needed are image files, in one folder per class or beside a labels.csv."
        )
    labelling = _labelled_by_folders(names, directions)
    label_by_tables(root, listing.tables, names, labelling, directions)
    return _image_set(FilePictures(root, names, decoding), root, labelling, left_out)


def read_list(path: Path, directions: Directions = LEFT_OPEN, decoding: Decoding = Decoding()) -> ImageSet:
    """The images that a list names, in its order, by paths relative to its folder.

    A .txt holds one path per line ("#" begins a comment), its classes are folders; or a path and a label. A table has
    a column file, perhaps also label, split, group and id, as the clean.csv that a scan writes. Raises DataError.
    """
    listed = _listed(path, directions)
    names = listed.names
    labelling = _labelled_by_list(path, names, listed.table, listed.columns, directions)
    if directions.labels is not None:
        label_by_tables(path.parent, (), names, labelling, directions)
    labelling.columns.notes[:0] = listed.notes
    images = _image_set(FilePictures(listed.root, names, decoding), path, labelling, [], listed.ids)
    return _in_order(images, exported_classes(path))


def listed_files(path: Path, directions: Directions = LEFT_OPEN) -> dict[str, str]:
    """id -> file of the images that a list names, in their order; none of them is opened.

    Raises DataError where nothing is listed, or none of it exists.
    """
    listed = _listed(path, directions)
    ids = listed.ids or map(printable, listed.names)
    return {name: os.path.join(listed.root, file) for name, file in zip(ids, listed.names, strict=True)}


@dataclass(frozen=True)
class _Listed:
    """What a list names, a line for each image: files below a root, its table if it is one, ids where it has some."""

    root: Path
    names: list[str]
    table: Table | None
    columns: Columns
    ids: list[str] | None
    notes: list[str]


def _listed(path: Path, directions: Directions) -> _Listed:
    listed, table = read_listing(path, *directions.columns)
    if not listed:
        needed = "one path per line" if table is None else f"a row of each image below {', '.join(table.columns)}"
        raise DataError(f"{path} names no images. Needed is {needed}.")
    listed, notes = local_paths(path.parent, listed)
    root, names = _common_root(path.parent, listed)
    if not any(os.path.exists(os.path.join(root, name)) for name in names):
        raise DataError(
            f"{path} names {len(names):,} {'file' if len(names) == 1 else 'files'}, but none exists, such as "
            f"{printable(names[0])} in the folder {root}. "
            "Paths are relative to the list. For bare names give the folder, and the list as its labels."
        )
    lines, columns = columns_of_list(names, table)
    ids = [table.ids[line] for line in lines] if table is not None and table.ids else None
    return _Listed(root, [names[line] for line in lines], table, columns, ids, notes)


def _in_order(images: ImageSet, classes: Sequence[str]) -> ImageSet:
    """The set with its classes in that order, and those of it that no image has, where they include its own."""
    return of_classes(images, classes) if images.classes and set(images.classes) <= set(classes) else images


def _labelled_by_list(
    path: Path, names: Sequence[str], table: Table | None, columns: Columns, directions: Directions
) -> Labelling:
    """What a list says of its images; of one that names paths alone, what their folders say."""
    by_folders = _labelled_by_folders(names, directions)
    if table is None:
        by_folders.columns.notes[:0] = columns.notes
        return by_folders
    labels, splits, groups = (path.name if column else "" for column in (table.labels, table.splits, table.groups))
    classes = splits_level = groups_level = 0
    if of_folders(directions.classes_from):
        columns.classes, columns.conflicts, labels = by_folders.columns.classes, {}, ""
        classes = by_folders.folders.classes
    if of_folders(directions.splits_from):
        columns.splits, splits, splits_level = by_folders.columns.splits, "", by_folders.folders.splits
    if of_folders(directions.groups_from):
        columns.groups, groups, groups_level = by_folders.columns.groups, "", by_folders.folders.groups
    return Labelling(columns, Levels(classes, splits_level, groups_level, directed=True), labels, splits, groups)


def _without_annotations(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(the images but for masks and the like beside them; a sentence on these)."""
    by_file = folders_of(names)
    folders = set(by_file)
    aside = annotation_folders(folders)
    if not aside:
        return list(names), []
    out = {folder for folder in folders if any(folder[:i] in aside for i in range(1, len(folder) + 1))}
    kept = [name for name, folder in zip(names, by_file, strict=True) if folder not in out]
    shown = examples(sorted({"/".join(folder) for folder in aside}))
    count = file_count(len(names) - len(kept))
    return kept, [f"{count} in folders that are called like annotations of the images left out ({shown})"]


def _labelled_by_folders(names: Sequence[str], directions: Directions) -> Labelling:
    folders = folders_of(names)
    levels = levels_of(Counter(folders), directions)
    columns = Columns(
        [printable(levels.class_of(folder)) for folder in folders],
        [levels.split_of(folder) for folder in folders],
        [levels.group_of(folder) for folder in folders],
        [],
    )
    return Labelling(columns, levels, found=frozenset(columns.classes) - {""})


def _image_set(
    pictures: FilePictures, path: Path, labelling: Labelling, left_out: list[str], ids: Sequence[str] | None = None
) -> ImageSet:
    names, columns, levels = pictures.names, labelling.columns, labelling.folders
    opposite = {name for name in columns.classes if name} == {"-1", "1"}  # two classes, as for an SVM
    encoded = encode_names(columns.classes, ("-1", "1") if opposite else None)
    notes = [*left_out, *levels.split_reasons, *levels.reasons, *columns.notes, *unnamed_splits(columns.splits)]
    unlabelled = int((encoded.codes < 0).sum())
    if unlabelled == len(names):
        notes.append("no labels: no class folders, and no table of labels")
    elif unlabelled:
        verb = "has" if unlabelled == 1 else "have"
        notes.append(f"{unlabelled:,} of {len(names):,} images {verb} no label")
    topics = [
        *_column_topics(labelling, encoded.classes),
        Topic("ids", "paths below the folder" if ids is None else "column id", plain=True),
        *survey(pictures).topics(),
        Topic("values", "; ".join(pictures.notes) or pictures.values, plain=not pictures.notes),
        Topic("left out", "; ".join(left_out) or "nothing", plain=not left_out),
    ]
    ids = [printable(name) for name in names] if ids is None else ids
    duplicates = [name for name, count in Counter(ids).items() if count > 1]
    if duplicates:
        raise DataError(
            f"{path} names {duplicates[0]!r} {Counter(ids)[duplicates[0]]} times. Keep one line for each image."
        )
    return ImageSet(
        images=pictures,
        labels=encoded.codes,
        ids=tuple(ids),
        classes=encoded.classes,
        source=Source(
            "files",
            path,
            Path(pictures.root),
            (*notes, *pictures.notes),
            decoding=pictures.decoding,
            topics=tuple(topics),
        ),
        splits=tuple(columns.splits) if any(columns.splits) else None,
        groups=encode_names(columns.groups).codes if any(columns.groups) else None,
        describe=pictures.describe(),
        conflicts=columns.conflicts,
    )


def _column_topics(labelling: Labelling, classes: Sequence[str]) -> list[Topic]:
    """Where classes, splits and groups are from."""
    columns, levels = labelling.columns, labelling.folders
    splits = Counter(name for name in columns.splits if name)
    groups = {name for name in columns.groups if name}
    counted_splits = ", ".join(f"{name} {count:,}" for name, count in splits.items())
    usual = bool(classes) and not (labelling.classes_from or levels.reasons or levels.directed)
    return [
        Topic("classes", _from(len(classes), classes, labelling.classes_from, levels.classes), plain=usual),
        Topic("splits", _sourced(counted_splits, labelling.splits_from, levels.splits), plain=not splits),
        Topic("groups", _from(len(groups), groups, labelling.groups_from, levels.groups), plain=not groups),
    ]


def _from(count: int, names: Sequence[str] | set[str], table: str, level: int) -> str:
    return _sourced(f"{count:,} ({spoken(names)})" if count else "", table, level)


def _sourced(text: str, table: str, level: int) -> str:
    """ "2 (cat, dog), folder level 1", "none"."""
    if not text:
        return "none"
    place = f"folder level {level}" if level > 0 else "the folder of each file" if level else ""
    return ", ".join(filter(None, (text, f"from {table}" if table else place)))


def _common_root(folder: Path, listed: Sequence[str]) -> tuple[Path, list[str]]:
    """(root, paths below it): the list's folder, or what all files share where some lie outside it."""
    names = []
    for entry in listed:
        windows = "\\" in entry and not os.path.exists(os.path.join(folder, entry))
        names.append(os.path.normpath(entry.replace("\\", "/") if windows else entry))
    if all(not os.path.isabs(name) and not name.startswith("..") for name in names):
        root = folder
    else:
        # ".." leads out of where a folder really lies, not out of a link to it.
        full = [os.path.normpath(os.path.join(os.path.realpath(folder), name)) for name in names]
        root = Path(os.path.commonpath([os.path.dirname(path) for path in full]))
        names = [os.path.relpath(path, root) for path in full]
    return root, [name.replace(os.sep, "/") for name in names]
