"""read(source) -> ImageSet: whatever a person has, an archive, a folder, a list, a built set, as one set of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from ..stage.errors import DataError
from .archives import Archive
from .arrays import ArrayPictures
from .classes import CLASS_KEYS, SPLIT_NAMES, Labels, as_column, as_strings, encode_array, encode_names, split_name
from .files import read_folder, read_list
from .imageset import UNLABELLED, ImageSet, Source
from .scaling import Decoding
from .shards import is_sharded, read_shards
from .sheets import SHEET_SUFFIXES, SPREADSHEETS

IMAGE_KEYS = ("images", "image", "imgs", "x", "data")
LABEL_KEYS = ("labels", "label", "y", "target", "targets")
ID_KEYS = ("ids", "id")
SPLIT_KEYS = ("splits", "split")
GROUP_KEYS = ("groups", "group", "patient", "patients", "patient_id")


def read(source: str | Path, *, labels: str | Path | None = None, decoding: Decoding = Decoding()) -> ImageSet:
    """The images of an .npz or .npy file, a folder, a list of files (.csv, .txt), or a built set (a folder of shards).

    labels   a CSV with columns file and label (and split, group) for the images of a folder or list
    decoding how pictures become pixels; by default one scale for all that are deeper than 8 bits, decided by them

    Nothing is decoded yet, large arrays are mapped, and `source.notes` of the set says how it was read.
    Raises DataError with what to do where there is nothing to read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "d.npz")
    >>> np.savez(path, images=np.zeros((2, 8, 6), np.uint8), labels=["cat", "ant"])
    >>> images = read(path)
    >>> images.describe, images.classes, images.labels.tolist(), images.ids
    ('6x8 grey', ('ant', 'cat'), [1, 0], ('0', '1'))
    """
    path = Path(source)
    table = Path(labels) if labels is not None else None
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if is_folder:
        if not is_sharded(path):
            return read_folder(path, table, decoding)
        if table is None:
            return read_shards(path)
        raise DataError(
            f"labels from {table} go with a folder or list of files; {path} is a built set, and has its own."
        )
    if not exists:
        raise DataError(f"{path} does not exist. Give an .npz, a folder of images, or a list of files (.csv, .txt).")
    suffix = path.suffix.lower()
    if suffix in (".txt", *SHEET_SUFFIXES, *SPREADSHEETS):
        return read_list(path, table, decoding)
    if suffix not in (".npz", ".npy"):
        raise DataError(f"{path} is not read. Give an .npz, a folder of images, or a list of files (.csv, .txt).")
    if table is not None:
        raise DataError(
            f"--labels is for a folder of images or a list; {path} holds its labels itself, as the array `labels`. "
            "Leave --labels out, or save the labels into the archive."
        )
    return read_archive(path, decoding)


@dataclass(frozen=True)
class _SplitKeys:
    """The keys of one split of an archive: "" where there are no splits."""

    split: str
    images: str
    labels: str | None


def read_archive(path: Path, decoding: Decoding = Decoding()) -> ImageSet:
    """The images of an .npz or .npy file, as `read` describes. Raises DataError.

    Keys, in any case: images, x or data; labels, y or target; or a pair per split (train_images, x_test).
    Optional: class_names, ids, splits, groups.
    """
    archive = Archive(path)
    parts = _split_keys(archive)
    arrays = [archive.array(part.images) for part in parts]
    sizes = [len(array) if array.ndim else 0 for array in arrays]
    if not sum(sizes):
        raise DataError(f"{path} holds no images: {parts[0].images} has shape {arrays[0].shape}.")
    shape = arrays[0].shape
    if parts[0].labels is None and len(shape) == 3 and shape[2] in (3, 4) and min(shape) == shape[2]:
        raise DataError(f"{path}: {parts[0].images} of shape {shape} look like one image. Save images[None].")
    pictures = ArrayPictures(arrays, f"{path}: {parts[0].images}", decoding)
    notes = [f"{key} was left out: it {reason.split('.')[0]}" for key, reason in archive.unread.items()]
    notes += [*archive.notes, *pictures.notes]
    columns = _label_columns(archive, parts, sizes)
    encoded = _read_labels(archive, parts, sizes, columns)
    return ImageSet(
        images=pictures,
        labels=encoded.codes,
        ids=_read_ids(archive, parts, sizes, notes),
        classes=encoded.classes,
        source=Source(
            "npz",
            path,
            None,
            (*notes, *encoded.notes),
            tuple((p.images, p.labels) for p in parts),
            decoding.settled(pictures.scale),
            archive.signature,
        ),
        splits=_read_splits(archive, parts, sizes, notes),
        groups=_read_groups(archive, parts, sizes, notes),
        describe=pictures.describe,
        soft=_soft_labels(parts, columns),
    )


def find_key(archive: Archive, names: Sequence[str], split: str = "") -> str | None:
    """The archive's key for the first of `names` that it has, in any case; beside the name of a split."""
    keys: dict[str, str] = {}
    for key in (*archive.members, *archive.unread):
        keys.setdefault(key.lower(), key)
    for name in names:
        for alias in SPLIT_NAMES[split] if split else ("",):
            for candidate in (f"{alias}_{name}", f"{name}_{alias}") if split else (name,):
                if candidate in keys:
                    return keys[candidate]
    return None


def _split_keys(archive: Archive) -> list[_SplitKeys]:
    """The image and label keys: one pair, or one per split."""
    images = find_key(archive, IMAGE_KEYS)
    if images is not None:
        return [_SplitKeys("", images, find_key(archive, LABEL_KEYS))]
    candidates = [(split, find_key(archive, IMAGE_KEYS, split)) for split in SPLIT_NAMES]
    parts = [
        _SplitKeys(split, key, find_key(archive, LABEL_KEYS, split)) for split, key in candidates if key is not None
    ]
    if not parts:
        keys = [*archive.members, *archive.unread]
        listing = str(keys) if len(keys) <= 12 else f"{str(keys[:12])[:-1]}, ...]"
        raise DataError(
            f"{archive.path} has arrays {listing} but not 'images' (or 'x', 'data', 'train_images'). "
            "Save it with np.savez(path, images=..., labels=...)."
        )
    return parts


def _label_columns(archive: Archive, parts: Sequence[_SplitKeys], sizes: Sequence[int]) -> list[np.ndarray]:
    """The labels of each part that has some, one entry or row per image."""
    columns = []
    for part, size in zip(parts, sizes, strict=True):
        if part.labels is None:
            continue
        values = archive.array(part.labels)
        if not values.ndim or len(values) != size:
            count = len(values) if values.ndim else 1
            raise DataError(
                f"{archive.path}: {size:,} images in {part.images}, but {count:,} labels in {part.labels}. "
                "Each image needs one label, in the same order."
            )
        columns.append(as_column(values))
    return columns


def _soft_labels(parts: Sequence[_SplitKeys], columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """float32 (N, K): labels of all parts that are probabilities; None where each image is of one class."""
    if len(columns) < len(parts) or any(column.ndim != 2 or column.dtype.kind != "f" for column in columns):
        return None
    shares = np.nan_to_num(np.concatenate(columns).astype(np.float32))
    return None if ((shares == 0) | (shares == 1)).all() else shares


def _read_labels(
    archive: Archive, parts: Sequence[_SplitKeys], sizes: Sequence[int], columns: Sequence[np.ndarray]
) -> Labels:
    """The labels of all parts, encoded together; -1 for a part without."""
    labelled = np.repeat([part.labels is not None for part in parts], sizes)
    names = _class_names(archive, columns, sum(sizes))
    if not columns:
        note = f"no labels: none of the arrays is called {' or '.join(LABEL_KEYS)}"
        classes = tuple(as_strings(names.reshape(-1))) if names is not None else ()
        return Labels(np.full(sum(sizes), UNLABELLED, np.int64), classes, (note,))
    subject = f"{archive.path}: {' and '.join(part.labels for part in parts if part.labels)}"
    if len({column.shape[1:] for column in columns}) > 1 or len({column.dtype.kind in "US" for column in columns}) > 1:
        raise DataError(f"{subject} are written in different ways. Use one for all splits.")
    encoded = encode_array(np.concatenate(columns), names, subject)
    codes = np.full(sum(sizes), UNLABELLED, np.int64)
    codes[labelled] = encoded.codes
    notes = encoded.notes if labelled.all() else (*encoded.notes, f"{(~labelled).sum():,} images have no label")
    return Labels(codes, encoded.classes, notes)


def _class_names(archive: Archive, columns: Sequence[np.ndarray], total: int) -> np.ndarray | None:
    """The names of the classes, where the archive has them."""
    key = find_key(archive, CLASS_KEYS)
    if key is None or key not in archive.members:
        return None
    names: np.ndarray = archive.array(key)
    # "names" and "classes" may as well hold one entry per image, such as its file.
    if names.size == total and key.lower() in ("names", "classes"):
        distinct = {value for column in columns if column.ndim == 1 for value in column.tolist()}
        return names if distinct in (set(range(total)), set(as_strings(names.reshape(-1)))) else None
    return names


def _read_column(
    archive: Archive, names: Sequence[str], parts: Sequence[_SplitKeys], sizes: Sequence[int], notes: list[str]
) -> list[str] | None:
    """The values of an optional array with one value per image, as text; from one array or one per split."""

    def values(key: str | None, size: int) -> Iterator[list[str]]:
        if key is None or key not in archive.members:
            return
        array = as_column(archive.array(key))
        if array.shape == (size,) and array.dtype.kind in "USbuif":
            yield as_strings(array)
        else:
            notes.append(f"{key} was left out: its shape is {array.shape}, for {size:,} images")

    texts = next(values(find_key(archive, names), sum(sizes)), None)
    if texts is not None or len(parts) == 1:
        return texts
    pieces = [
        piece
        for part, size in zip(parts, sizes, strict=True)
        for piece in values(find_key(archive, names, part.split), size)
    ]
    return list(chain.from_iterable(pieces)) if len(pieces) == len(parts) else None


def _read_ids(archive: Archive, parts: Sequence[_SplitKeys], sizes: Sequence[int], notes: list[str]) -> tuple[str, ...]:
    """Those of the archive where they are unique, else the row: "17", or "train/17" of a split."""
    texts = _read_column(archive, ID_KEYS, parts, sizes, notes)
    if texts is not None and len(set(texts)) == len(texts):
        return tuple(texts)
    if texts is not None:
        notes.append("ids are the row numbers, because those in the file are not unique")
    return tuple(
        f"{part.split}/{row}" if part.split else str(row)
        for part, size in zip(parts, sizes, strict=True)
        for row in range(size)
    )


def _read_splits(
    archive: Archive, parts: Sequence[_SplitKeys], sizes: Sequence[int], notes: list[str]
) -> tuple[str, ...] | None:
    if parts[0].split:
        return tuple(part.split for part, size in zip(parts, sizes, strict=True) for _ in range(size))
    texts = _read_column(archive, SPLIT_KEYS, parts, sizes, notes)
    return tuple(map(split_name, texts)) if texts is not None else None


def _read_groups(
    archive: Archive, parts: Sequence[_SplitKeys], sizes: Sequence[int], notes: list[str]
) -> np.ndarray | None:
    texts = _read_column(archive, GROUP_KEYS, parts, sizes, notes)
    return encode_names(texts).codes if texts is not None else None
