"""What a set of images is: pictures, labels, ids and class names, aligned row by row."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ..stage.errors import DataError
from ..stage.lines import counted
from ..stage.shortness import one_line, short_repr
from .scaling import Decoding

UNLABELLED, NO_GROUP = -1, -1
_SHOWN = 10  # pictures that a notebook shows of a set


class Unreadable(DataError):
    """One picture that cannot be decoded; a scan turns it into a finding and goes on."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One decoded image.

    pixels      uint8 (H, W, 3) RGB, upright
    raw         the array as decoded, before any conversion: what a digest is taken of
    file_type   "PNG", "JPEG" ...; "" for a row of an array
    frames      that its file holds, of which it is the first
    """

    pixels: np.ndarray
    raw: np.ndarray
    file_type: str = ""
    frames: int = 1

    __repr__ = short_repr


class Pictures(Protocol):
    """N pictures, decoded one at a time; any number of threads may read at once."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Picture:
        """The picture of one row. Raises Unreadable with the reason."""


@dataclass(frozen=True)
class Topic:
    """What one thing of a set was taken from: "classes", "2, folder level 2: 0, 1".

    plain  whether nobody would expect anything else, so that it need not be told unasked
    """

    name: str
    text: str
    plain: bool = False


@dataclass(frozen=True)
class Source:
    """Where a set came from: enough to write a cleaned copy of it.

    kind   "npz" (path is the archive), "shards" (path is the folder of a built set)
           or "files" (path is the folder or list; ids are paths below root)
    notes  sentences on how it was read, for the person: "labels are one-hot", "greyscale"
    topics  what was taken for what, in the order in which it is told
    decoding  how its pictures become pixels, with the scale that was decided: with it the set reads as it did
    """

    kind: str
    path: Path
    root: Path | None = None
    notes: tuple[str, ...] = ()
    # kind "npz": names of the image and label members, one pair per split, in row order.
    members: tuple[tuple[str, str | None], ...] = ()
    decoding: Decoding = field(default_factory=Decoding)
    # kind "npz": what the file was when it was read (see archives.signature_of), None for a set that is in no file.
    signature: tuple[int, int, int] | None = None
    topics: tuple[Topic, ...] = ()

    __repr__ = short_repr

    @property
    def name(self) -> str:
        """What the file or folder is called, however it was given.

        >>> Source("files", Path("/data/cells/..")).name
        'data'
        """
        full = os.path.abspath(self.path)  # noqa: PTH100  Path.absolute keeps ".."
        return os.path.basename(full) or full  # noqa: PTH119

    def lines(self, everything: bool = False) -> list[str]:
        """How the set was read: a line for each topic that nobody would guess, or for all; then the other notes."""
        topics = [topic for topic in self.topics if everything or not topic.plain]
        texts = "\n".join(topic.text for topic in topics)
        notes = [note for note in self.notes if note.removeprefix("labels are ") not in texts]
        width = max(len(topic.name) for topic in self.topics) + 2 if self.topics else 6
        return [f"  {topic.name:<{width}}{topic.text}" for topic in topics] + [f"  {'note':<{width}}{x}" for x in notes]


@dataclass(frozen=True, eq=False)
class ImageSet:
    """N images with what is known of each, aligned row by row.

    images   N pictures (see Pictures)
    labels   int64 (N,), an index into `classes`; -1 where there is no label
    ids      N unique strings that follow an image: the path below the root, or the row
    classes  names of the classes
    splits   N strings ("train", "val", "test", "" where unknown), or None
    groups   int64 (N,): images that belong together (one patient, one slide), -1 none; or None
    soft     float32 (N, K): the share of each class in an image's label, where images were mixed; or None
    conflicts  row -> the labels that it was given, where these are several: it has none of them
    """

    images: Pictures
    labels: np.ndarray
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    source: Source
    splits: tuple[str, ...] | None = None
    groups: np.ndarray | None = None
    describe: str = field(default="")  # "96x96 RGB", "28x28 grey": the pictures in three words
    soft: np.ndarray | None = None
    conflicts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.images)
        for name, values in (
            ("labels", self.labels),
            ("ids", self.ids),
            ("splits", self.splits),
            ("groups", self.groups),
            ("soft labels", self.soft),
        ):
            if values is not None and len(values) != n:
                raise DataError(f"{n:,} images but {len(values):,} {name}; each image needs one.")
        if len(set(self.ids)) != n:
            raise DataError("ids are not unique; each image needs an id of its own.")
        array = np.asarray(self.labels)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise DataError(f"labels are {array.dtype} of shape {array.shape}; needed is one whole number an image.")
        labels = array.astype(np.int64).view()
        if n and (labels.min() < UNLABELLED or labels.max() >= len(self.classes)):
            raise DataError(
                f"labels run from {labels.min()} to {labels.max()}, but there are {len(self.classes)} classes."
            )
        labels.flags.writeable = False  # of the view: the caller's array stays as it was
        object.__setattr__(self, "labels", labels)
        if self.soft is not None:
            object.__setattr__(self, "soft", _checked_shares(self.soft, len(self.classes)))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"<ImageSet {one_line(described(self))}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: how it was read, some pictures, its classes and splits with their numbers."""
        from ..notebooks.fragments import amounts, head, html, page_of, strip, tile

        rows = evenly(len(self), _SHOWN).tolist() if len(self) else []
        tiles = [tile(self._pixels(row), (self.label_name(row) or "no label", self.ids[row])) for row in rows]
        parts = [head(self.source.name, _facts(self))]
        parts += [html('<p class="quiet">{line}</p>', line=line.strip()) for line in self.source.lines()[:_SHOWN]]
        parts.append(strip(tiles))
        named = [self.label_name(row) or "no label" for row in range(len(self))] if self.classes else []
        for unit, values in (("classes", named), ("splits", self.splits or ())):
            if values:
                bars = amounts(Counter(values).most_common(), unit)
                parts.append(html("<h4>{title}</h4>{bars}", title=unit.capitalize(), bars=bars))
        return page_of(*parts)

    def _pixels(self, row: int) -> np.ndarray | None:
        """uint8 (H, W, 3), None where the picture cannot be read."""
        try:
            return self.images[row].pixels
        except Unreadable:
            return None

    @property
    def labelled(self) -> bool:
        """Whether any image has a label."""
        return bool((self.labels != UNLABELLED).any())

    def label_name(self, row: int) -> str:
        """The name of a row's class, "" where it has no label."""
        return self.classes[self.labels[row]] if self.labels[row] != UNLABELLED else ""


def described(images: ImageSet) -> str:
    """ "data.npz: 13,759 images, 96x96 RGB, 8 classes"."""
    return f"{images.source.name}: {', '.join(_facts(images))}"


def _facts(images: ImageSet) -> list[str]:
    k = len(images.classes)
    classes = f"{k} class{'es' if k > 1 else ''}" if k else "no labels"
    return list(filter(None, (counted(len(images), "image"), images.describe, classes)))


def _checked_shares(soft: np.ndarray, classes: int) -> np.ndarray:
    """Soft labels as a read-only float32 view, once they are checked."""
    array = np.asarray(soft)
    if array.shape[1:] != (classes,) or array.dtype.kind != "f":
        raise DataError(f"soft labels are {array.dtype} {array.shape}; needed is a share of each of {classes} classes.")
    shares = array.astype(np.float32, copy=False).view()
    total = shares.sum(axis=1)
    # A row of zeros is no label. Not a number is neither below 0 nor close to anything.
    if not ((shares >= 0).all() and (np.isclose(total, 1, atol=1e-2) | (total == 0)).all()):
        raise DataError("soft labels are no shares: of each image they are 0 or more, and add up to 1.")
    shares.flags.writeable = False
    return shares


def evenly(n: int, most: int) -> np.ndarray:
    """int64: at most that many of n rows, evenly over all, ascending.

    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def held_out_rank(splits: Sequence[str]) -> np.ndarray:
    """int64 (N,): how precious the split of each image is: 2 of test, 1 of val, 0 of any other."""
    return np.array([{"test": 2, "val": 1}.get(name, 0) for name in splits], np.int64)


def joined(links: np.ndarray, n: int) -> np.ndarray:
    """int64 (n,): a number for each of n rows, equal where links (L, 2) join them, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(links), np.int8), tuple(links.T)), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def whole_groups(copies: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """int64 (N,): a number from 0 for each unit that must stay on one side of a split.

    copies  int64 (N,): groups of copies, -1 none;  groups  those that come with the set, -1 none, or None
    """
    n = len(copies)
    if not n:
        return np.zeros(0, np.int64)
    # Rows meet through either kind of group: a graph of rows and groups, its components kept whole.
    rows, nodes, size = [], [], n
    for column in (copies, groups):
        if column is None:
            continue
        members = np.flatnonzero(column >= 0)
        _, number = np.unique(column[members], return_inverse=True)
        rows.append(members)
        nodes.append(size + number)
        size += int(number.max(initial=-1)) + 1
    units = joined(np.stack([np.concatenate(rows), np.concatenate(nodes)], axis=1), size)[:n]
    return np.unique(units, return_inverse=True)[1].astype(np.int64)


def relabelled(images: ImageSet, labels: Mapping[int, int]) -> ImageSet:
    """The set with other labels for some rows.

    labels  row -> index of its class
    """
    if not labels:
        return images
    rows = list(labels)
    codes = images.labels.copy()
    codes[rows] = list(labels.values())
    soft = images.soft
    if soft is not None:
        soft = soft.copy()
        soft[rows] = np.eye(len(images.classes), dtype=np.float32)[list(labels.values())]
    conflicts = {row: names for row, names in images.conflicts.items() if row not in labels}
    return replace(images, labels=codes, soft=soft, conflicts=conflicts)


def of_classes(images: ImageSet, classes: Sequence[str]) -> ImageSet:
    """The set with some of its classes only, in its order: images of the others are there, without a label.

    Their numbers change, so shares of classes go.
    """
    if tuple(classes) == images.classes:
        return images
    number = {name: code for code, name in enumerate(classes)}
    numbers = np.array([number.get(name, UNLABELLED) for name in images.classes] + [UNLABELLED])
    return replace(images, labels=numbers[images.labels], classes=tuple(classes), soft=None)


def torn_groups(groups: Sequence[object], splits: Sequence[str]) -> list[tuple[int, int]]:
    """Of each group that is in more than one split, the first rows of two of them; group -1 and split "" are none.

    >>> torn_groups([0, 0, 1, 1, -1, -1], ["train", "test", "val", "val", "train", "test"])
    [(0, 1)]
    """
    first: dict[object, int] = {}
    torn: dict[object, tuple[int, int]] = {}
    for row, (group, split) in enumerate(zip(groups, splits, strict=True)):
        if group != NO_GROUP and split and splits[first.setdefault(group, row)] != split:
            torn.setdefault(group, (first[group], row))
    return list(torn.values())
