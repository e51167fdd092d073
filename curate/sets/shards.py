"""Built sets: shards part-00000.npz, part-00001.npz ... in a folder, and rows.parquet, where each image comes from."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from ..stage.errors import DataError
from ..stage.files import write_npz
from ..stage.manifest import FILE
from ..stage.records import read_document
from ..stage.shortness import short_repr
from .archives import Archive, Member, OpenFile, signature_of
from .classes import SPLIT_NAMES, as_strings
from .imageset import UNLABELLED, ImageSet, Picture, Source, Topic
from .layouts import spoken
from .outputs import is_output_folder
from .provenance import ROWS, Provenance
from .scaling import BYTES, Decoding, Scale

_PART = re.compile(r"part-(\d{5,})\.npz")
_KEYS = ("images", "labels", "ids", "class_names")
# Shards of a set that stay open: each holds a file open, and a process may have a thousand.
_OPEN = 256


def shard_path(folder: str | Path, number: int) -> Path:
    """The file of one shard.

    >>> shard_path("built/train", 3).name
    'part-00003.npz'
    """
    return Path(folder, f"part-{number:05d}.npz")


def write_shard(
    folder: str | Path,
    number: int,
    images: np.ndarray,
    labels: np.ndarray,
    ids: Sequence[str],
    classes: Sequence[str],
) -> Path:
    """Write one shard, whole or not at all, and return its path: equal arrays give equal bytes.

    images  uint8 (n, H, W, 3) RGB
    labels  int (n,), -1 where there is none; or float (n, K), the share of each class
    ids     n strings;  classes  names of the K classes

    Raises DataError where they do not belong together, OutputError where the file cannot be written.
    """
    path = shard_path(folder, number)
    kept_as = {"f": np.float32, "i": np.int64, "u": np.int64}.get(labels.dtype.kind, labels.dtype)
    arrays = {
        "images": images,
        "labels": labels.astype(kept_as, copy=False),
        "ids": np.array(list(ids), dtype=np.str_),
        "class_names": np.array(list(classes), dtype=np.str_),
    }
    _check_shard(path, {key: (array.shape, array.dtype) for key, array in arrays.items()})
    write_npz(arrays, path)
    return path


def is_sharded(folder: str | Path) -> bool:
    """Whether a folder is a built set: it holds shards, or its train, val and test do."""
    return bool(_shard_paths(Path(folder)))


def shard_digest(path: Path) -> str:
    """Hex SHA-256 of a shard's file: processors have instructions for it, and people have sha256sum."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_shards(folder: str | Path, digests: Mapping[str, str] | None = None) -> ImageSet:
    """The images of a built set; those of a folder with train, val and test have splits. Raises DataError.

    digests  name of a shard -> its SHA-256; None takes those of the manifest of the build that the folder is of or lies
             in, where there is one. Each shard is held against its own when the first picture of it is looked at

    Labels are the likeliest classes where they are soft; the shares are in `soft`. Groups are those of rows.parquet.
    Shards are opened when a picture of theirs is looked at, by any number of threads.
    """
    folder = Path(folder)
    parts = [_open_shard(path, split) for split, path in _shard_paths(folder)]
    expected = (
        _recorded_digests(parts) if digests is None else {folder / name: digest for name, digest in digests.items()}
    )
    missing = sorted(expected.keys() - {part.path for part in parts})
    if missing:
        raise DataError(f"{missing[0].parent} lacks {missing[0].name}. Copy it again whole, or build it again.")
    if not sum(len(part) for part in parts):
        raise DataError(f"{folder} holds no images: its shards are empty.")
    _check_shards_agree(parts)
    ids = [name for part in parts for name in part.ids]
    duplicates = [name for name, count in Counter(ids).items() if count > 1]
    if duplicates:
        raise DataError(
            f"{folder} holds {len(duplicates):,} ids more than once, such as {duplicates[0]!r}. Build it again."
        )
    classes = parts[0].classes
    soft = None
    if any(part.labels.ndim == 2 for part in parts):
        soft = np.concatenate([_soft_shares(part.labels, len(classes)) for part in parts])
    groups, notes = _shard_groups(parts)
    height, width = parts[0].images.shape[1:3]
    splits = tuple(part.split for part in parts for _ in part.ids) if parts[0].split else None
    return ImageSet(
        images=ShardPictures([(part.path, part.images) for part in parts], expected),
        labels=np.concatenate([_likeliest(part.labels) for part in parts]),
        ids=tuple(ids),
        classes=classes,
        source=Source(
            "shards",
            folder,
            None,
            notes,
            decoding=Decoding({BYTES: Scale()}),
            topics=_topics(classes, splits, groups, soft is not None),
        ),
        splits=splits,
        groups=groups,
        describe=f"{width}x{height} RGB",
        soft=soft,
    )


def _topics(
    classes: Sequence[str], splits: Sequence[str] | None, groups: np.ndarray | None, soft: bool
) -> tuple[Topic, ...]:
    """What was taken from what."""
    counts = ", ".join(f"{name} {count:,}" for name, count in Counter(splits or ()).items())
    number = len(set(groups[groups >= 0].tolist())) if groups is not None else 0
    likeliest = ", the likeliest of each image" if soft else ""
    return (
        Topic("classes", f"{len(classes):,} ({spoken(classes)}), of the shards{likeliest}", plain=True),
        Topic("splits", f"{counts}, the folders of the build" if counts else "none", plain=not counts),
        Topic("groups", f"{number:,}, from {ROWS}" if number else "none", plain=True),
        Topic("ids", "of the shards", plain=True),
        Topic("channels", "RGB", plain=True),
        Topic("values", "8 bit", plain=True),
        Topic("left out", "nothing", plain=True),
    )


class ShardPictures:
    """The pictures of shards, one after the other. The last few shards that were looked at stay open.

    parts    path of each shard, and where its array of images is in it
    digests  path of a shard -> its SHA-256, as far as known
    values   what shards hold;  notes  none: they are written in one way
    """

    values: str = "8 bit"
    notes: tuple[str, ...] = ()

    def __init__(self, parts: Sequence[tuple[Path, Member]], digests: Mapping[Path, str] = {}) -> None:
        self.parts, self.digests = tuple(parts), digests
        self._verified: set[int] = set()
        self._ends = list(accumulate(member.shape[0] for _, member in self.parts))
        self._seen = [_signature(path) for path, _ in self.parts]
        self._file = lru_cache(_OPEN)(self._opened)

    def __reduce__(self) -> tuple[type[ShardPictures], tuple[tuple[tuple[Path, Member], ...], Mapping[Path, str]]]:
        return ShardPictures, (self.parts, self.digests)  # another process opens them itself

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, row: int) -> Picture:
        row = range(len(self))[row]  # counts from the end and checks the bounds as a list does
        part = bisect_right(self._ends, row)
        member = self.parts[part][1]
        pixels = np.empty(member.shape[1:], member.dtype)
        number = row - self._ends[part] + member.shape[0]
        self._file(part).fill(pixels, (member.at or 0) + number * pixels.nbytes)
        pixels.flags.writeable = False
        return Picture(pixels, pixels)

    def changed(self) -> list[int]:
        """Parts whose files are others by now than when they were read."""
        return [part for part, (path, _) in enumerate(self.parts) if _signature(path) != self._seen[part]]

    def _opened(self, part: int) -> OpenFile:
        path, _ = self.parts[part]
        if _signature(path) != self._seen[part]:
            raise DataError(f"{path} has changed since it was read. Read the set again.")
        try:
            digest = "" if part in self._verified or path not in self.digests else shard_digest(path)
            file = OpenFile(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}.") from error
        if digest and digest != self.digests[path]:
            raise DataError(
                f"{path} is not what was built: its digest is not the one in the manifest. It was changed or damaged "
                "since. Copy it again, or build it again."
            )
        self._verified.add(part)
        return file


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is saved anew; None where there is none."""
    try:
        return signature_of(path.stat())
    except OSError:
        return None


@dataclass(frozen=True, eq=False)
class _Shard:
    """One shard, but for its pixels. labels: int64 (n,) or float32 (n, K)."""

    path: Path
    split: str
    images: Member
    labels: np.ndarray
    ids: list[str]
    classes: tuple[str, ...]

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.ids)


def _shard_paths(folder: Path) -> list[tuple[str, Path]]:
    """(split, path) of the shards of a folder, or of its train, val and test, in order; [] where there are none."""
    paths = _numbered_shards(folder)
    if paths:
        return [("", path) for path in paths]
    return [(split, path) for split in SPLIT_NAMES for path in _numbered_shards(folder / split)]


def _numbered_shards(folder: Path) -> list[Path]:
    """The shards of one folder by number. Raises DataError where one is missing."""
    try:
        shards = {int(match[1]): path for path in folder.iterdir() if (match := _PART.fullmatch(path.name))}
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}. Change its mode or owner.") from error
    missing = sorted(set(range(max(shards, default=-1))) - set(shards))
    if missing:
        rest = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise DataError(
            f"{folder} lacks {shard_path(folder, missing[0]).name}{rest}, but goes on to "
            f"{shards[max(shards)].name}. Copy it again whole, or build it again."
        )
    return [shards[number] for number in sorted(shards)]


# How far a manifest may lie above its shards: benchmark/fog-3.
_DEPTH = 2


def _recorded_digests(parts: Sequence[_Shard]) -> dict[Path, str]:
    """Path of a shard -> its SHA-256, by the manifest of the build that it is of; {} where there is none."""
    digests: dict[Path, str] = {}
    for folder in dict.fromkeys(part.path.parent for part in parts):
        path = folder.absolute()
        for depth in range(_DEPTH + 1):
            place = [path, *path.parents][min(depth, len(path.parents))]
            entry = _manifest_sets(place).get(path.relative_to(place).as_posix())
            if isinstance(entry, dict):
                digests |= {folder / name: str(digest) for name, digest in entry.items()}
                break
    return digests


def _manifest_sets(folder: Path) -> dict[str, object]:
    """The sets of a build's manifest; {} where none lies in that folder. builds.py, which knows it, builds on this."""
    if not is_output_folder(str(folder), [FILE]):
        return {}
    sets = read_document(folder / FILE, "Build it again.").get("sets")
    return sets if isinstance(sets, dict) else {}


def _open_shard(path: Path, split: str) -> _Shard:
    """One shard, checked. Raises DataError."""
    archive = Archive(path, "Copy it again, or build it again.")
    missing = [key for key in _KEYS if key not in archive]
    if missing:
        raise DataError(
            f"{path} has arrays {[*archive.members, *archive.unread]} but not {missing}. "
            "A shard of a built set holds images, labels, ids and class_names."
        )
    images = archive.members["images"]
    if images.at is None or images.fortran:
        raise DataError(f"{path}: images are compressed or in Fortran order, and cannot be mapped. Build it again.")
    _check_shard(path, {key: (archive.members[key].shape, archive.members[key].dtype) for key in _KEYS})
    labels, ids, classes = (archive.array(key) for key in _KEYS[1:])
    return _Shard(path, split, images, labels, as_strings(ids), tuple(as_strings(classes)))


def _check_shard(path: Path, arrays: dict[str, tuple[tuple[int, ...], np.dtype]]) -> None:
    """Raise DataError where shapes and types are not those of a shard."""
    (shape, pixel), (of_labels, label), (of_ids, name), (of_classes, class_name) = (arrays[key] for key in _KEYS)
    n, *size = shape or (0,)
    hard = label == np.int64 and of_labels == (n,)
    soft = label == np.float32 and of_labels == (n, *of_classes)
    requirements = {
        "images": (pixel == np.uint8 and len(size) == 3 and size[2] == 3 and 0 not in size, "uint8 (n, H, W, 3)"),
        "class_names": (class_name.kind == "U" and len(of_classes) == 1, "strings (K,)"),
        "labels": (hard or soft, f"int64 ({n},), or float32 ({n}, K)"),
        "ids": (name.kind == "U" and of_ids == (n,), f"strings ({n},)"),
    }
    for key, (valid, requirement) in requirements.items():
        if not valid:
            actual, dtype = arrays[key]
            raise DataError(f"{path}: {key} are {dtype} {actual}; needed are {requirement}.")


def _check_shards_agree(parts: Sequence[_Shard]) -> None:
    """Raise DataError where shards differ in size or classes."""
    first = parts[0]
    for part in parts:
        if part.images.shape[1:] != first.images.shape[1:]:
            sizes = " and ".join(f"{p.images.shape[2]}x{p.images.shape[1]} in {p.path}" for p in (first, part))
            raise DataError(f"shards are of two sizes: {sizes}. Build the set again.")
        if part.classes != first.classes:
            raise DataError(
                f"shards have different classes: {', '.join(first.classes)} in {first.path}, "
                f"{', '.join(part.classes)} in {part.path}. Build the set again."
            )


def _likeliest(labels: np.ndarray) -> np.ndarray:
    """int64 (n,): the likeliest class, -1 for a row of zeros."""
    if labels.ndim == 1:
        return labels
    return np.where(labels.any(axis=1), labels.argmax(axis=1) if labels.size else 0, UNLABELLED)


def _soft_shares(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 (n, K) of labels of either kind."""
    if labels.ndim == 2:
        return labels
    return np.asarray((labels[:, None] == np.arange(classes)).astype(np.float32))


def _shard_groups(parts: Sequence[_Shard]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(int64 (N,) or None, notes): the groups in the rows.parquet beside the shards.

    Images with one source form a group as well.
    """
    folders = dict.fromkeys(part.path.parent for part in parts)
    missing = [str(folder / ROWS) for folder in folders if not (folder / ROWS).is_file()]
    if missing:
        return None, (f"{missing[0]} is missing: groups are not known, and the build may not have finished",)
    columns = [
        _groups_of(folder / ROWS, [name for part in parts if part.path.parent == folder for name in part.ids])
        for folder in folders
    ]
    groups = np.concatenate([group for group, _ in columns])
    singles = np.flatnonzero(groups < 0)
    sources = np.concatenate([sources for _, sources in columns])[singles]
    _, number, count = np.unique(sources, return_inverse=True, return_counts=True)
    siblings = count[number] > 1
    groups[singles[siblings]] = groups.max(initial=-1) + 1 + number[siblings]
    return (groups if (groups >= 0).any() else None), ()


def _groups_of(path: Path, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The columns `group` and `source_id` of a rows.parquet whose rows are those ids. Raises DataError."""
    rows = Provenance(path)
    groups, sources = rows.groups, np.array(rows.source_ids, dtype=np.str_)
    if rows.ids != list(ids):
        raise DataError(
            f"{path} lists other images than the shards beside it: {len(rows.ids):,} of {len(ids):,}. "
            "Copy the folder again whole, or build it again."
        )
    return groups, sources
