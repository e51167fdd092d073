"""read(source) -> ImageSet: whatever a person has, an archive, a folder, a list, a built set, as one set of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from ..stage.errors import DataError
from ..stage.records import read_document, record_of
from .archives import Archive
from .arrays import ArrayPictures
from .classes import (
    CLASS_KEYS,
    SPLIT_NAMES,
    Labels,
    as_column,
    as_strings,
    encode_array,
    encode_names,
    split_name,
    unnamed_splits,
)
from .directions import LEFT_OPEN, NONE, Directions, ReadBy, Reading
from .files import read_folder, read_list
from .imageset import UNLABELLED, ImageSet, Source, Topic
from .layouts import spoken
from .scaling import Decoding, Scale
from .shards import is_sharded, read_shards
from .sheets import SHEET_SUFFIXES, SPREADSHEETS

IMAGE_KEYS = ("images", "image", "imgs", "x", "data")
LABEL_KEYS = ("labels", "label", "y", "target", "targets")
ID_KEYS = ("ids", "id")
SPLIT_KEYS = ("splits", "split")
GROUP_KEYS = ("groups", "group", "patient", "patients", "patient_id")


def read(
    source: str | Path,
    *,
    labels: str | Path | None = None,
    classes_from: str | int | None = None,
    splits_from: str | int | None = None,
    groups_from: str | int | None = None,
    decoding: Decoding = Decoding(),
) -> ImageSet:
    """The images of an .npz or .npy file, a folder, a list of files (.csv, .txt), or a built set (a folder of shards).

    labels   a CSV with columns file and label (and split, group) for the images of a folder or list
    classes_from, splits_from, groups_from   what these are taken from, where it is not what is found: a level of
             folders, from 1; "parent"; a column of the table; an array of the archive; "none" (see Directions)
    decoding how pictures become pixels; by default one scale for all that are deeper than 8 bits, decided by them

    Nothing is decoded yet, large arrays are mapped; `source.topics` of the set says what was taken for what, and
    `source.notes` what else a person should know. Raises DataError with what to do where there is nothing to read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "d.npz")
    >>> np.savez(path, images=np.zeros((2, 8, 6), np.uint8), labels=["cat", "ant"])
    >>> images = read(path)
    >>> images.describe, images.classes, images.labels.tolist(), images.ids
    ('6x8 grey', ('ant', 'cat'), [1, 0], ('0', '1'))
    """
    options = (None if value is None else str(value) for value in (labels, classes_from, splits_from, groups_from))
    return read_as(source, Reading(**vars(Directions(*options)), decoding=decoding))


def read_as(source: str | Path, reading: ReadBy) -> ImageSet:
    """The images of a source, as `read` gives them, by what a configuration or a record says of it."""
    path, directions = Path(source), Directions.of(reading)
    decoding = _as_scanned(path, reading.decoding)
    table = directions.labels
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if is_folder:
        if not is_sharded(path):
            return read_folder(path, directions, decoding)
        if directions == LEFT_OPEN:
            return read_shards(path)
        raise DataError(
            f"{directions.spoken} goes with a folder or list of files; {path} is a built set with labels of its own."
        )
    if not exists:
        raise DataError(f"{path} does not exist. Give an .npz, a folder of images, or a list of files (.csv, .txt).")
    suffix = path.suffix.lower()
    if suffix in (".txt", *SHEET_SUFFIXES, *SPREADSHEETS):
        return read_list(path, directions, decoding)
    if suffix not in (".npz", ".npy"):
        raise DataError(f"{path} is not read. Give an .npz, a folder of images, or a list of files (.csv, .txt).")
    if table is not None:
        raise DataError(
            f"--labels is for a folder of images or a list; {path} holds its labels itself, as the array `labels`. "
            "Leave --labels out, or save the labels into the archive."
        )
    return read_archive(path, directions, decoding)


_CLEAN = ("clean.npz", "clean.csv")


def _as_scanned(path: Path, decoding: Decoding) -> Decoding:
    """Of the clean set of a scan, which lies beside it, the decoding that the scan had, unless another is asked for."""
    manifest = path.parent / "scan" / "manifest.json"
    if path.name not in _CLEAN or decoding.scale or decoding.value_range or not manifest.is_file():
        return decoding
    remedy = "Run `curate scan` again."
    document = read_document(manifest, remedy)
    scales, config = document.get("scale"), document.get("config")
    if not isinstance(scales, dict) or not isinstance(config, dict):  # of a scan of before there was a scale
        return decoding
    scale = {str(kind): record_of(Scale, scale, f"{manifest}", remedy) for kind, scale in scales.items()}
    limit = config.get("max_pixels")
    return Decoding(scale, decoding.max_pixels or (limit if isinstance(limit, int) else None))


@dataclass(frozen=True)
class _SplitKeys:
    """The keys of one split of an archive: "" where there are no splits."""

    split: str
    images: str
    labels: str | None


def read_archive(path: Path, directions: Directions = LEFT_OPEN, decoding: Decoding = Decoding()) -> ImageSet:
    """The images of an .npz or .npy file, as `read` describes. Raises DataError.

    Keys, in any case: images, x or data; labels, y or target; or a pair per split (train_images, x_test).
    Optional: class_names, ids, splits, groups.
    """
    archive = Archive(path)
    keys = _Keys.of(archive, directions)
    parts = _split_keys(archive, keys)
    arrays = [archive.array(part.images) for part in parts]
    sizes = [len(array) if array.ndim else 0 for array in arrays]
    if not sum(sizes):
        raise DataError(f"{path} holds no images: {parts[0].images} has shape {arrays[0].shape}.")
    shape = arrays[0].shape
    if parts[0].labels is None and len(shape) == 3 and shape[2] in (3, 4) and min(shape) == shape[2]:
        raise DataError(f"{path}: {parts[0].images} of shape {shape} look like one image. Save images[None].")
    pictures = ArrayPictures(arrays, f"{path}: {parts[0].images}", decoding, [part.images for part in parts])
    notes = [f"{key} was left out: it {reason.split('.')[0]}" for key, reason in archive.unread.items()]
    notes += [*archive.notes, *pictures.notes]
    columns = _label_columns(archive, parts, sizes)
    encoded = _read_labels(archive, parts, sizes, columns)
    images = ImageSet(
        images=pictures,
        labels=encoded.codes,
        ids=_read_ids(archive, parts, sizes, notes),
        classes=encoded.classes,
        source=Source(
            "npz",
            path,
            None,
            (),
            tuple((p.images, p.labels) for p in parts),
            decoding.settled(pictures.scale),
            archive.signature,
        ),
        splits=_read_splits(archive, keys, parts, sizes, notes),
        groups=_read_groups(archive, keys, parts, sizes, notes),
        describe=pictures.describe,
        soft=_soft_labels(parts, columns),
    )
    topics = _topics(images, archive, keys, pictures)
    notes += encoded.notes
    return replace(images, source=replace(images.source, notes=tuple(notes), topics=topics))


@dataclass(frozen=True)
class _Keys:
    """The names that arrays of labels, splits and groups may have: those that a person gave, else the usual ones."""

    labels: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]

    @classmethod
    def of(cls, archive: Archive, directions: Directions) -> _Keys:
        """Raises DataError where an array that is asked for is not there."""
        keys = {key.lower() for key in (*archive.members, *archive.unread)}
        chosen = []
        for flag, direction, usual in (
            ("--classes-from", directions.classes_from, LABEL_KEYS),
            ("--splits-from", directions.splits_from, SPLIT_KEYS),
            ("--groups-from", directions.groups_from, GROUP_KEYS),
        ):
            if direction is not None and direction != NONE and direction.lower() not in keys:
                raise DataError(
                    f"{flag} {direction}: {archive.path} has no array of that name, but {', '.join(sorted(keys))}. "
                    "Name one of these, or none."
                )
            chosen.append(usual if direction is None else () if direction == NONE else (direction.lower(),))
        return cls(*chosen)


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


def _split_keys(archive: Archive, keys: _Keys) -> list[_SplitKeys]:
    """The image and label keys: one pair, or one per split."""
    images = find_key(archive, IMAGE_KEYS)
    if images is not None:
        return [_SplitKeys("", images, find_key(archive, keys.labels))]
    candidates = [(split, find_key(archive, IMAGE_KEYS, split)) for split in SPLIT_NAMES]
    parts = [
        _SplitKeys(split, key, find_key(archive, keys.labels, split)) for split, key in candidates if key is not None
    ]
    if not parts:
        names = [*archive.members, *archive.unread]
        listing = str(names) if len(names) <= 12 else f"{str(names[:12])[:-1]}, ...]"
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
    bare = int((~labelled).sum())
    notes = encoded.notes
    if bare:
        notes = (*notes, f"{bare:,} images have no label" if bare > 1 else "1 image has no label")
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
    archive: Archive, keys: _Keys, parts: Sequence[_SplitKeys], sizes: Sequence[int], notes: list[str]
) -> tuple[str, ...] | None:
    if parts[0].split and keys.splits:
        return tuple(part.split for part, size in zip(parts, sizes, strict=True) for _ in range(size))
    texts = _read_column(archive, keys.splits, parts, sizes, notes)
    if texts is None:
        return None
    splits = tuple(map(split_name, texts))
    notes += unnamed_splits(splits)
    return splits


def _read_groups(
    archive: Archive, keys: _Keys, parts: Sequence[_SplitKeys], sizes: Sequence[int], notes: list[str]
) -> np.ndarray | None:
    texts = _read_column(archive, keys.groups, parts, sizes, notes)
    return encode_names(texts).codes if texts is not None else None


def _topics(images: ImageSet, archive: Archive, keys: _Keys, pictures: ArrayPictures) -> tuple[Topic, ...]:
    """What was taken from which array."""
    members = images.source.members
    labels = ", ".join(key for _, key in members if key)
    classes = f"{len(images.classes):,} ({spoken(images.classes)})" if images.labelled else "none"
    splits = ", ".join(f"{name or '(none)'} {count:,}" for name, count in Counter(images.splits or ()).items())
    split_key = find_key(archive, keys.splits) or ", ".join(key for key, _ in members)
    groups = len(set(images.groups[images.groups >= 0].tolist())) if images.groups is not None else 0
    ids = find_key(archive, ID_KEYS)
    numbered = images.ids[:1] in (("0",), ("train/0",), ("val/0",), ("test/0",))
    used = {key for pair in members for key in pair if key}
    used |= {key for names in (ID_KEYS, keys.splits, keys.groups, CLASS_KEYS) if (key := find_key(archive, names))}
    unused = [key for key in archive.members if key not in used]
    unread = [f"array {key}, which {reason.split('.')[0]}" for key, reason in archive.unread.items()]
    left_out = [*unread, *([f"{'arrays' if len(unused) > 1 else 'array'} {', '.join(unused)}"] if unused else [])]
    return (
        Topic("classes", f"{classes}, array {labels}" if images.labelled else "none", plain=images.labelled),
        Topic("splits", f"{splits}, array {split_key}" if splits else "none", plain=not splits),
        Topic("groups", f"{groups:,}, array {find_key(archive, keys.groups)}" if groups else "none", plain=not groups),
        Topic("ids", f"array {ids}" if ids and not numbered else "the rows, from 0", plain=True),
        Topic("channels", images.describe.rpartition(" ")[2], plain=True),
        Topic("values", "; ".join(pictures.notes) or pictures.values, plain=not pictures.notes),
        Topic("left out", "; ".join(left_out) or "nothing", plain=not unread),
    )
