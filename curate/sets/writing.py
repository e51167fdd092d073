"""Sets of images on disk: their cleaned copies, as archives or as lists of files."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..stage.engine import cores, threaded
from ..stage.errors import DataError, OutputError
from ..stage.files import Streamed, archive_member, refusals, replacing, room, write_array, write_npz
from ..stage.manifest import Output, file_digest
from ..stage.records import read_record, write_record
from .archives import Archive
from .arrays import ArrayPictures
from .changes import check_unchanged
from .classes import CLASS_KEYS, as_strings, split_of_key
from .decoding import FilePictures
from .imageset import ImageSet, Unreadable, relabelled

# Bytes of what is no image that a clean set carries on, however small its images are.
_EXTRA = 64 << 20
_PLAIN_KEY = re.compile(r"(?!\.)[^\x00-\x1f\x7f/\\:]{1,200}")
# Beside a clean set: what it is of.
RECORD = "clean.json"
CLEAN_NAMES = ("clean.npz", "clean.csv")


def pixels_of(images: ImageSet, row: int) -> np.ndarray:
    """uint8 (H, W, 3): the pixels of an image that is to be written. Raises DataError where it cannot be decoded."""
    try:
        return images.images[row].pixels
    except Unreadable as error:
        raise DataError(
            f"{images.ids[row]} {error}. `curate scan {images.source.path}` makes a clean set without it: use that."
        ) from error


def set_arrays(
    images: ImageSet, rows: np.ndarray, progress: Callable[[int], None] = lambda count: None
) -> dict[str, np.ndarray | Streamed]:
    """The arrays of an .npz of some rows of a set, as `read` takes them; pictures are decoded while they are written.

    images uint8 (n, H, W, 3), labels (soft ones where the set has them), ids, class_names; splits and groups as known.
    Raises DataError, also while writing, where the pictures are not all of one size.
    """
    shape = pixels_of(images, int(rows[0]) if len(rows) else 0).shape

    def pixels(row: int) -> np.ndarray:
        picture = pixels_of(images, row)
        if picture.shape != shape:
            sizes = " and ".join(f"{width}x{height}" for height, width, _ in (shape, picture.shape))
            raise DataError(
                f"the images are of several sizes, such as {sizes} ({images.ids[row]}); an array holds one size. "
                "Export them to a folder (--to folder), or bring them to one size (augment build --size 96)."
            )
        return picture

    def pieces() -> Iterator[np.ndarray]:
        # Reading an array holds the interpreter's lock, decoding files does not.
        workers = cores() if images.source.kind == "files" else 1
        for count, picture in enumerate(threaded(pixels, rows.tolist(), workers), 1):
            yield picture
            progress(count)

    arrays: dict[str, np.ndarray | Streamed] = {"images": Streamed((len(rows), *shape), np.dtype(np.uint8), pieces())}
    if images.labelled:
        # A column of one class would be read as numbers of classes.
        soft = images.soft if len(images.classes) > 1 else None
        arrays["labels"] = (images.labels if soft is None else soft)[rows]
    arrays["ids"] = np.array([images.ids[row] for row in rows], dtype=np.str_)
    if images.classes:
        arrays["class_names"] = np.array(images.classes, dtype=np.str_)
    if images.splits is not None:
        arrays["splits"] = np.array([images.splits[row] for row in rows], dtype=np.str_)
    if images.groups is not None:
        arrays["groups"] = images.groups[rows]
    return arrays


def clean_path(images: ImageSet, artifacts: Path) -> Path:
    """Where the cleaned copy of a set goes: clean.npz, or clean.csv for image files.

    Raises OutputError where that is the very file that the set was read from.
    """
    path = Path(artifacts, "clean.csv" if images.source.kind == "files" else "clean.npz")
    if path.exists() and images.source.path.exists() and path.samefile(images.source.path):
        raise OutputError(f"{path} is what was read, and no input is overwritten. Write elsewhere (--artifacts DIR).")
    return path


def write_clean(images: ImageSet, keep: np.ndarray, artifacts: Path, labels: Mapping[int, int] = {}) -> Path:
    """Write the rows that `keep` (bool, (N,)) names, and return the path of what was written.

    labels  row -> index of its class, of rows that a person relabelled

    Of an archive: clean.npz with its keys, types and layouts; arrays of one entry per image are filtered.
    Added are `ids`, and `rows`, int64: each kept image's row in this set.
    Of a built set: clean.npz with images, labels (soft where they were), ids, class_names, splits, groups and `rows`.
    Of files: clean.csv with columns file, label, split, group (as far as known), given_label (where some were
    relabelled: what the set has) and id, which `read` takes.
    What cannot be decoded is not to be kept. Raises OutputError, and DataError where the input has changed.
    """
    path = clean_path(images, artifacts)
    with room(path) as draft:
        draft_clean(images, keep, draft, artifacts, labels)
        place_clean(draft, artifacts)
    return path


def draft_clean(
    images: ImageSet, keep: np.ndarray, draft: Path, artifacts: Path, labels: Mapping[int, int] = {}
) -> Output:
    """Write the clean set of `artifacts` into the folder `draft` (see write_clean), for `place_clean`."""
    keep = np.asarray(keep)
    if keep.dtype != bool or keep.shape != (len(images),):
        raise DataError(f"keep is {keep.dtype} {keep.shape}; needed is one bool for each of {len(images):,} images.")
    path = draft / clean_path(images, artifacts).name
    check_unchanged(images)
    if images.source.kind == "npz":
        _write_kept_arrays(images, keep, path, labels)
    elif images.source.kind == "shards":
        rows = np.flatnonzero(keep)
        write_npz({**set_arrays(relabelled(images, labels), rows), "rows": rows}, path)
    else:
        write_list(relabelled(images, labels), keep, path, artifacts, images if labels else None)
    check_unchanged(images)  # what was written is of one state
    written = Output(path.name, file_digest(path))
    write_record(CleanRecord(clean=written), draft / RECORD)
    return written


def place_clean(draft: Path, artifacts: Path) -> None:
    """Put a drafted clean set in its place: the set, then its record. Raises OutputError."""
    for name in CLEAN_NAMES:
        if (draft / name).is_file():
            with refusals(artifacts / name, artifacts / name):
                (draft / name).replace(artifacts / name)
                (draft / RECORD).replace(artifacts / RECORD)
        else:  # of a scan of another kind of set
            with contextlib.suppress(OSError):
                (artifacts / name).unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class CleanRecord:
    """clean.json: the clean set as it was last written, by a scan or by a person's decisions."""

    format: int = 1
    clean: Output


def check_clean(path: Path) -> None:
    """Raise DataError where a clean set is not the one that was last written beside its record, if it has one."""
    record = path.with_name(RECORD)
    if path.name not in CLEAN_NAMES or not record.is_file():
        return
    remedy = "Run `curate apply`, which writes it anew, or give a set of your own another name and scan it."
    written = read_record(CleanRecord, record, remedy).clean
    if written.path != path.name or written.digest != file_digest(path):
        raise DataError(f"{path} is not what was written there last: its digest is not the one in {record}. {remedy}")


def clean_as_written(artifacts: Path) -> Output | None:
    """The clean set of a folder as it was last written, by its record, else by its file; None where there is none.

    Raises DataError where the record is damaged.
    """
    if (artifacts / RECORD).is_file():
        return read_record(CleanRecord, artifacts / RECORD, "Run `curate apply`, which writes it anew.").clean
    paths = [artifacts / name for name in CLEAN_NAMES if (artifacts / name).is_file()]
    return Output(paths[0].name, file_digest(paths[0])) if paths else None


def _write_kept_arrays(images: ImageSet, keep: np.ndarray, path: Path, labels: Mapping[int, int]) -> None:
    archive = Archive(images.source.path)
    members = [key for key, _ in images.source.members]
    if not all(key in archive for key in members) or sum(archive.members[key].shape[0] for key in members) != len(
        images
    ):
        raise DataError(f"{images.source.path} has changed since it was read. Read it again.")
    parts = [(key, archive.members[key].shape[0]) for key in members]
    # Decompressed once already: what the set holds is used again.
    arrays = dict(zip(members, images.images.arrays, strict=True)) if isinstance(images.images, ArrayPictures) else {}
    arrays |= _label_arrays(images, archive, parts, labels)
    left = _left_behind(archive, members)
    rows = np.flatnonzero(keep)
    kept_ids = [images.ids[row] for row in rows]
    with replacing(path) as file, zipfile.ZipFile(file, "w") as out:
        for key in [key for key in archive.members if key not in left]:
            member = archive.members[key]
            array = arrays[key] if key in arrays else archive.array(key)
            of_set = None if _names_classes(key, array, images) else _rows_of(key, array.shape, parts)
            kept = None if of_set is None else np.flatnonzero(keep[of_set])
            if key == "rows" or (key == "ids" and not _same_ids(array, images.ids)):
                continue
            with archive_member(out, key) as stream:
                write_array(stream, array, member.fortran, kept)
        if "ids" not in archive or not _same_ids(archive.array("ids"), images.ids):
            with archive_member(out, "ids") as stream:
                write_array(stream, np.array(kept_ids, dtype=np.str_), False, np.arange(len(rows)))
        with archive_member(out, "rows") as stream:
            write_array(stream, rows.astype(np.int64), False, np.arange(len(rows)))


def _label_arrays(
    images: ImageSet, archive: Archive, parts: Sequence[tuple[str, int]], labels: Mapping[int, int]
) -> dict[str, np.ndarray]:
    """The arrays of labels in which some differ, by key: a class is written there as an image of it has it.

    parts  see `_rows_of`;  labels  row -> index of its class
    """
    if not labels:
        return {}
    keys = [key for _, key in images.source.members]
    starts = np.cumsum([0, *(size for _, size in parts)])
    arrays = {key: np.array(archive.array(key)) for key in keys if key is not None}

    def place(row: int) -> tuple[str, int]:
        part = int(np.searchsorted(starts, row, side="right")) - 1
        key = keys[part]
        if key is None:
            raise DataError(
                f"{images.ids[row]} cannot be relabelled: {parts[part][0]} of {images.source.path} has no array of "
                "labels beside it. Take that decision back: `curate undo`."
            )
        return key, row - int(starts[part])

    entries: dict[int, np.ndarray] = {}
    for row, label in labels.items():
        if label not in entries:
            models = np.flatnonzero(images.labels == label)
            key, at = place(int(models[0]) if len(models) else row)
            entries[label] = np.array(arrays[key][at])
            if images.soft is not None or not len(models):
                entries[label] = _as_written(label, images, entries[label])
    for row, label in labels.items():
        key, at = place(row)
        if arrays[key].dtype.kind in "US":  # a longer name would be cut
            arrays[key] = arrays[key].astype(np.promote_types(arrays[key].dtype, entries[label].dtype))
        arrays[key][at] = entries[label]
    return arrays


def _as_written(label: int, images: ImageSet, entry: np.ndarray) -> np.ndarray:
    """The entry of a class that no image has by itself, written as another entry is."""
    if entry.size == len(images.classes) > 1:
        row: np.ndarray = np.eye(len(images.classes), dtype=entry.dtype)[label]
        return row.reshape(entry.shape)
    if entry.dtype.kind in "US":
        return np.full(entry.shape, images.classes[label])
    return np.full(entry.shape, label, dtype=entry.dtype)


def clean_notes(images: ImageSet) -> tuple[str, ...]:
    """Sentences on the arrays of an archive that its clean set will not have."""
    if images.source.kind != "npz":
        return ()
    left = _left_behind(Archive(images.source.path), [key for key, _ in images.source.members])
    return tuple(f"{key[:80]!a} is not in the clean set: {why}" for key, why in left.items())


def _left_behind(archive: Archive, images: Sequence[str]) -> dict[str, str]:
    """Arrays of an archive that are not carried on, and why: odd names, and what is larger than the images are."""
    left: dict[str, str] = {}
    room = max(_EXTRA, sum(archive.members[key].nbytes for key in images if key in archive))
    for key, member in archive.members.items():
        if not _PLAIN_KEY.fullmatch(key):
            left[key] = "it has the name of a path or of none"
        elif key not in images:
            room -= member.nbytes
            if room < 0:
                left[key] = f"with it, what is no image takes more than the images do ({member.nbytes / 1e6:,.0f} MB)"
                room += member.nbytes
    return left


def _names_classes(key: str, array: np.ndarray, images: ImageSet) -> bool:
    """Whether an array holds the names of the classes, however many they are."""
    candidate = key.lower() in CLASS_KEYS and array.size == len(images.classes)
    return candidate and tuple(as_strings(array.reshape(-1))) == images.classes


def _same_ids(array: np.ndarray, ids: Sequence[str]) -> bool:
    """Whether the archive's own ids are those of the set."""
    return array.size == len(ids) and tuple(as_strings(array.reshape(-1))) == tuple(ids)


def _rows_of(key: str, shape: tuple[int, ...], parts: Sequence[tuple[str, int]]) -> slice | None:
    """The rows of the set that an array describes, one entry each; None for an array of another length.

    parts   image key and number of images of each split, in row order
    """
    total = sum(size for _, size in parts)
    if shape and shape[0] == total and (len(parts) == 1 or not split_of_key(key)):
        return slice(0, total)
    start = 0
    for images, size in parts:
        if shape and shape[0] == size and split_of_key(key) == split_of_key(images):
            return slice(start, start + size)
        start += size
    return None


def _group_names(groups: np.ndarray) -> Callable[[int], str]:
    """A row's group as text, "" for none."""
    return lambda row: str(groups[row]) if groups[row] >= 0 else ""


def write_list(
    images: ImageSet, keep: np.ndarray, path: Path, folder: Path | None = None, before: ImageSet | None = None
) -> None:
    """Write the kept images as a list of files.

    folder  where the list is to lie, and from where its paths lead: that of `path` where it is None
    before  the set with its labels as they were given, where some are others now
    """
    pictures = images.images
    root = images.source.root or images.source.path.parent
    columns = {
        "label": images.label_name if images.labelled else None,
        "split": images.splits.__getitem__ if images.splits is not None else None,
        "group": _group_names(images.groups) if images.groups is not None else None,
        "given_label": before.label_name if before is not None else None,
        "id": images.ids.__getitem__,
    }
    fields = {name: value for name, value in columns.items() if value is not None}
    folders: dict[str, str] = {}
    list_folder = os.path.realpath(path.parent if folder is None else folder)

    def place(row: int) -> str:
        """The file of a row as seen from the list: links in the way would lead ".." astray."""
        full = pictures.path(row) if isinstance(pictures, FilePictures) else str(root / images.ids[row])
        folder, name = os.path.split(full)
        if folder not in folders:
            real = os.path.realpath(folder)
            try:
                folders[folder] = os.path.relpath(real, list_folder)
            except ValueError:  # another drive
                folders[folder] = real
        return os.path.normpath(os.path.join(folders[folder], name)).replace(os.sep, "/")  # noqa: PTH118

    with replacing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        try:
            # Everything is quoted, so that leading spaces and a name such as "#1" come back as they were.
            table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
            table.writerow(["file", *fields])
            for row in np.flatnonzero(keep).tolist():
                table.writerow([place(row), *(value(row) for value in fields.values())])
        finally:
            text.detach()
