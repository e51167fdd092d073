"""Sets of image files: class folders, split folders, flat folders beside a table of labels, and lists."""

# Paths are plain strings: a Path each is slow by the million.
# ruff: noqa: PTH110, PTH117, PTH118, PTH120, PTH122

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..stage.errors import DataError
from .classes import encode_names, is_split, split_name
from .decoding import FilePictures, has_image_extension, looks_like_image
from .imageset import ImageSet, Source
from .matching import Columns, add_table, columns_of_list
from .paths import local_paths, printable
from .scaling import Decoding
from .sheets import SHEET_SUFFIXES
from .tables import Table, find_table, read_listing

# A folder so called holds images of all classes rather than those of one.
_PLAIN_FOLDERS = {"images", "image", "imgs", "img", "jpegimages", "pictures", "photos", "data"}
_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}
_SNIFFED = 100  # files without an image's extension that are looked into


def read_folder(root: Path, labels: Path | None = None, decoding: Decoding = Decoding()) -> ImageSet:
    """All images below a folder, sorted by path; ids are the paths below it.

    Classes are the folders below it, or below train/, val/ and test/. Images outside of class folders get
    labels from `labels`, else labels.csv, train.csv, metadata.csv or the only CSV there. Raises DataError.
    """
    names, notes = _find_images(root)
    if not names:
        raise DataError(
            f"{root} holds no images{': ' + '; '.join(notes) if notes else ''}. "
            "Needed are image files, in one folder per class or beside a labels.csv."
        )
    columns = _columns_of_folders(names)
    columns.notes = notes + columns.notes
    table = Table.read(labels, names=names) if labels is not None else None
    if table is None and not any(columns.classes):
        table, table_notes = find_table(root, names)
        columns.notes += table_notes
    if table is not None:
        add_table(columns, names, table, required=labels is not None)
    return _image_set(FilePictures(root, names, decoding), root, columns)


def read_list(path: Path, labels: Path | None = None, decoding: Decoding = Decoding()) -> ImageSet:
    """The images that a list names, in its order, by paths relative to its folder.

    A .txt holds one path per line ("#" begins a comment), its classes are folders; or a path and a label. A table has
    a column file, perhaps also label, split, group and id, as the clean.csv that a scan writes. Raises DataError.
    """
    listed, table = read_listing(path)
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
    names = [names[line] for line in lines]
    if table is None:
        folders = _columns_of_folders(names)
        columns = replace(folders, notes=[*columns.notes, *folders.notes])
    if labels is not None:
        add_table(columns, names, Table.read(labels, names=names), required=True)
    columns.notes = notes + columns.notes
    ids = [table.ids[line] for line in lines] if table is not None and table.ids else None
    return _image_set(FilePictures(root, names, decoding), path, columns, ids)


def _image_set(pictures: FilePictures, path: Path, columns: Columns, ids: Sequence[str] | None = None) -> ImageSet:
    names = pictures.names
    encoded = encode_names(columns.classes)
    unlabelled = int((encoded.codes < 0).sum())
    if unlabelled == len(names):
        columns.notes.append("no labels: no class folders, and no table of labels")
    elif unlabelled:
        columns.notes.append(f"{unlabelled:,} of {len(names):,} images have no label")
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
            "files", path, Path(pictures.root), (*columns.notes, *pictures.notes), decoding=pictures.decoding
        ),
        splits=tuple(columns.splits) if any(columns.splits) else None,
        groups=encode_names(columns.groups).codes if any(columns.groups) else None,
        describe=pictures.describe(),
        conflicts=columns.conflicts,
    )


def _find_images(root: Path) -> tuple[list[str], list[str]]:
    """(paths of the image files below root, sorted, with "/"; notes on what was left out)."""
    images: list[str] = []
    hidden: list[str] = []
    extensions: Counter[str] = Counter()
    disguised: list[str] = []
    for name in _walk(root, "", frozenset()):
        base = name.rpartition("/")[2]
        if base.startswith("."):
            if has_image_extension(base) and not base.startswith("._"):
                hidden.append(name)
        elif has_image_extension(base):
            images.append(name)
        elif base.lower() not in _CLUTTER and not base.lower().endswith(SHEET_SUFFIXES):  # tables: see find_table
            extensions[os.path.splitext(base)[1].lower() or "none"] += 1
            textual = base.lower().endswith((".txt", ".json", ".md", ".xml"))
            if not textual and extensions.total() <= _SNIFFED and looks_like_image(os.path.join(root, name)):
                disguised.append(name)
    notes = []
    if hidden:
        notes.append(f"{_file_count(len(hidden))} hidden by a leading dot skipped ({_examples(hidden)})")
    if disguised:
        notes.append(
            f"{_file_count(len(disguised))} with an image inside but no image's extension skipped "
            f"({_examples(disguised)})"
        )
    if extensions.total() > len(disguised):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(extensions.items()))
        notes.append(f"{_file_count(extensions.total())} without an image's extension skipped ({kinds})")
    return sorted(images), notes


def _file_count(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _examples(names: Sequence[str]) -> str:
    return ", ".join(printable(name) for name in names[:3]) + (" ..." if len(names) > 3 else "")


def _walk(folder: str | os.PathLike[str], below: str, above: frozenset[str]) -> Iterator[str]:
    """Paths of all files below a folder, through links, but never around in a circle."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError as error:
        raise DataError(
            f"the folder {os.fspath(folder)} cannot be read: {error.strerror}. Change its mode or owner."
        ) from error
    for entry in entries:
        if entry.is_dir():
            if not entry.name.startswith(".") and entry.name.lower() not in _CLUTTER:
                yield from _walk(entry.path, f"{below}{entry.name}/", above | {real})
        elif entry.is_file() or entry.is_symlink():  # a broken link is reported when it is decoded
            yield below + entry.name


def _columns_of_folders(names: Sequence[str]) -> Columns:
    """Classes and splits by folder: a class is the first folder below the split."""
    folders = [tuple(name.split("/")[:-1]) for name in names]
    notes = []
    folders = _unwrapped(folders)
    tops = {folder[0] for folder in folders if folder}
    splits = [""] * len(names)
    if tops and all(map(is_split, tops)):
        splits = [split_name(folder[0]) if folder else "" for folder in folders]
        folders = _unwrapped([folder[1:] for folder in folders])
    elif sum(map(is_split, tops)) > 1:
        spoken = ", ".join(sorted(filter(is_split, tops)))
        notes.append(f"{spoken} were read as classes, because folders of other names stand beside them")
    classes = [printable(folder[0]) if folder else "" for folder in folders]
    if {name.lower() for name in classes if name} & _PLAIN_FOLDERS and len(set(filter(None, classes))) == 1:
        classes = [""] * len(names)
    return Columns(classes, splits, [""] * len(names), notes)


def _unwrapped(folders: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the leading folders that all images share, as long as each is in another one inside."""
    while len({folder[:1] for folder in folders}) == 1 and min(map(len, folders)) > 1 and not is_split(folders[0][0]):
        folders = [folder[1:] for folder in folders]
    return folders


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
