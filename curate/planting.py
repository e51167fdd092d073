"""Known faults, planted into a copy of clean images, with the truth of what was planted where.

The way to find out what a scan would have found: plant, scan, compare. Everything here is a pure function of
its arguments, and each draw comes from a generator of its own: `default_rng([seed, row, 1])` for what happens
to one image, `default_rng([seed, step, 2])` for choices over all of them.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Required, TypedDict

import cv2
import numpy as np

from .faults.copying import AFFINE, CROPS, NEAR
from .faults.drawing import strange_pictures
from .faults.pixels import Fault
from .faults.spoiling import FAULTS, cast_name, grey
from .sets.imageset import UNLABELLED
from .stage.errors import DataError
from .stage.shortness import short_repr

# The kinds of planted faults, as the truth names them, in the order in which they are told of.
KINDS = (
    "intruder", "off_topic", "exact", "near", "affine", "crop", "conflict", "label", "cast", "blur", "dark", "light",
    "grey", "solid",
)  # fmt: skip
# Those of them that are copies of an image of the set.
COPIES = ("exact", "near", "affine", "crop", "conflict")

# From this many images on, every kind of fault that is asked for is planted at least once.
ENOUGH_FOR_ONE_EACH = 30


# --- what to plant ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cast:
    """A colour cast on a `rate` share of the images, or so many of them from the class `label` alone."""

    colour: str
    strength: str
    rate: float
    label: int | None = None

    def __post_init__(self) -> None:
        cast_name(self.colour, self.strength)


@dataclass(frozen=True)
class PlantConfig:
    """How much to plant: each rate is a share of the clean images, and `fraction` scales them all.

    intruder            copies of strange picture a, b, ... under drawn labels: one rate for each picture
    intruder_one_class  copies of the strange picture after those, all under one label
    off_topic           pictures of something else, where some are given: each once, under a drawn label
    exact, near         copies under the label of the original: identical, or altered in a way of NEAR
    affine, crop        copies likewise: augmented in a way of AFFINE, or a part of the picture, as CROPS cut it
    conflict            identical copies under another label
    label               images under another label
    casts               colour casts
    blur, dark, light, grey, solid   images spoiled by the function of that name in FAULTS

    With 30 images or more, each of them whose rate is above 0 is planted at least once.
    """

    seed: int = 0
    fraction: float = 1.0
    intruder: tuple[float, ...] = (0.116, 0.0144)
    intruder_one_class: float = 0.0
    off_topic: float = 0.0
    exact: float = 0.01
    near: float = 0.0152
    affine: float = 0.0
    crop: float = 0.0
    conflict: float = 0.006
    label: float = 0.02
    casts: tuple[Cast, ...] = (Cast("blue", "strong", 0.0132), Cast("yellow", "subtle", 0.01))
    blur: float = 0.004
    dark: float = 0.0032
    light: float = 0.0032
    grey: float = 0.0032
    solid: float = 0.002

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}; it must be 0 or more.")
        copies = (self.exact, self.near, self.affine, self.crop, self.conflict)
        singles = (self.intruder_one_class, self.off_topic, *copies, self.label)
        spoiled = (self.blur, self.dark, self.light, self.grey, self.solid)
        rates = (*self.intruder, *singles, *(cast.rate for cast in self.casts), *spoiled, self.fraction)
        if not all(np.isfinite(rate) and rate >= 0 for rate in rates):
            raise DataError(f"rates are {rates}; each must be a number, 0 or more.")

    def count(self, rate: float, n: int) -> int:
        """Number of images at this rate of n clean ones."""
        share = rate * self.fraction
        return max(round(share * n), 1 if share > 0 and n >= ENOUGH_FOR_ONE_EACH else 0)


class PlantedFault(TypedDict, total=False):
    """A faulty row, in the truth.

    row     its number;  kind  one of KINDS
    of      the row that it copies, the letter of a strange picture, or the number of an off-topic one as text
    how     of a copy that is altered: its way
    was     the label before
    colour, strength  of a cast
    """

    row: int
    kind: Required[str]
    of: int | str
    how: str
    was: int
    colour: str
    strength: str


class Truth(TypedDict):
    """What was planted: numbers of rows, faults per kind, and an entry for each faulty row, in their order."""

    rows: int
    clean_rows: int
    seed: int
    counts: dict[str, int]
    planted: list[PlantedFault]


@dataclass(frozen=True, eq=False)
class Planted:
    """A set with planted faults, and their truth.

    images   uint8 (N + copies, H, W, 3), in a drawn order
    labels   int64 (N + copies,)
    source   int64 (N + copies,): the clean row that each row shows, -1 for a strange picture
    truth    what was planted in which row
    """

    images: np.ndarray
    labels: np.ndarray
    source: np.ndarray
    truth: Truth

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class _Plant:
    """One planted row: its picture, label and source row."""

    picture: np.ndarray
    label: int
    source: int
    entry: PlantedFault  # of the truth, in rows of the clean images

    __repr__ = short_repr


class _Plot:
    """The images while faults are planted: changed rows, added rows, and the rows still untouched."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, config: PlantConfig) -> None:
        self.images, self.labels, self.config = images, labels, config
        self.classes = np.unique(labels[labels != UNLABELLED])
        self.changed: list[_Plant] = []
        self.added: list[_Plant] = []
        self._streams = 0
        self._untouched = [int(row) for row in self.of_set().permutation(len(images))]

    def of_row(self, row: int) -> np.random.Generator:
        """The draws for one row; it gets one fault at most, so that one stream is enough."""
        # NumPy seeds [s, r] and [s, r, 0] alike, and images may well have been drawn from [s, r].
        return np.random.default_rng([self.config.seed, row, 1])

    def of_set(self) -> np.random.Generator:
        """The next stream of draws for the set as a whole."""
        self._streams += 1
        return np.random.default_rng([self.config.seed, self._streams, 2])

    def intruders(self, strangers: np.ndarray) -> None:
        """Add copies of strange pictures: some under any label, the last under a single one."""
        classes = self.classes if len(self.classes) else np.array([UNLABELLED])
        rates = (*self.config.intruder, self.config.intruder_one_class)
        for number, rate in enumerate(rates):
            draws, size = self.of_set(), self.config.count(rate, len(self.images))
            labels = draws.choice(classes, size)
            if number == len(self.config.intruder):
                labels = np.full(size, draws.choice(classes))
            for label in labels:
                entry: PlantedFault = {"kind": "intruder", "of": string.ascii_lowercase[number]}
                self.added.append(_Plant(strangers[number], int(label), -1, entry))

    def off_topic(self, pictures: np.ndarray) -> None:
        """Add pictures of something else, each once, under drawn labels."""
        size = min(self.config.count(self.config.off_topic, len(self.images)), len(pictures))
        if not size:
            return
        draws = self.of_set()
        labels = draws.choice(self.classes if len(self.classes) else np.array([UNLABELLED]), size)
        for number, label in zip(draws.permutation(len(pictures))[:size].tolist(), labels.tolist(), strict=True):
            self.added.append(_Plant(pictures[number], label, -1, {"kind": "off_topic", "of": str(number)}))

    def copies(self) -> None:
        """Add identical copies, altered ones, and identical ones under another label."""
        near = self._altering("near", NEAR)

        def exact(row: int) -> _Plant:
            return _Plant(self.images[row], int(self.labels[row]), row, {"kind": "exact", "of": row})

        def conflict(row: int) -> _Plant | None:
            label = self._other_label(row)
            entry: PlantedFault = {"kind": "conflict", "of": row}
            return None if label is None else _Plant(self.images[row], label, row, entry)

        self.added += self._planted(self.config.exact, "exact", exact)
        self.added += self._planted(self.config.near, "near", near)
        self.added += self._planted(self.config.conflict, "conflict", conflict)
        if self.config.affine:
            self.added += self._planted(self.config.affine, "affine", self._altering("affine", AFFINE))
        if self.config.crop:
            self.added += self._planted(self.config.crop, "crop", self._altering("crop", CROPS))

    def _altering(self, kind: str, table: Mapping[str, Fault]) -> Callable[[int], _Plant | None]:
        """What copies a row in a way of the table, each way in turn, and the next where one does not show."""
        ways = [str(way) for way in self.of_set().permutation(list(table))]

        def copy(row: int) -> _Plant | None:
            ways.append(ways.pop(0))
            for way in ways:
                picture = self._altered(table[way], row)
                if picture is not None:
                    return _Plant(picture, int(self.labels[row]), row, {"kind": kind, "how": way, "of": row})
            return None

        return copy

    def wrong_labels(self) -> None:
        """Put images under another label."""

        def label(row: int) -> _Plant | None:
            wrong = self._other_label(row)
            entry: PlantedFault = {"kind": "label", "was": int(self.labels[row])}
            return None if wrong is None else _Plant(self.images[row], wrong, row, entry)

        self.changed += self._planted(self.config.label, "label", label)

    def spoil(self, rate: float, fault: str, entry: PlantedFault, only: int | None = None) -> None:
        """Apply a function of FAULTS to a share of the images, or of those of the class `only`."""

        def spoiled(row: int) -> _Plant | None:
            if only is not None and self.labels[row] != only:
                return None
            picture = self._altered(FAULTS[fault], row)
            return None if picture is None else _Plant(picture, int(self.labels[row]), row, entry.copy())

        self.changed += self._planted(rate, entry["kind"], spoiled)

    def _altered(self, fault: Fault, row: int) -> np.ndarray | None:
        """The image of a row under a fault, None where that does not show."""
        picture = fault(self.images[row], self.of_row(row))
        return None if np.array_equal(picture, self.images[row]) else picture

    def _other_label(self, row: int) -> int | None:
        """A class other than the row's, None where it has none or there is no other."""
        alternatives = self.classes[self.classes != self.labels[row]]
        if self.labels[row] == UNLABELLED or not len(alternatives):
            return None
        return int(self.of_row(row).choice(alternatives))

    def _planted(self, rate: float, kind: str, make: Callable[[int], _Plant | None]) -> list[_Plant]:
        """Faults planted by `make` in as many untouched rows as the rate asks for; these are touched from then on."""
        count = self.config.count(rate, len(self.images))
        plants: list[_Plant] = []
        passed: list[int] = []  # rows on which this fault would not show
        while len(plants) < count and self._untouched:
            row = self._untouched.pop()
            plant = make(row)
            if plant is None:
                passed.append(row)
            else:
                plants.append(plant)
        if len(plants) < count and not passed:
            raise DataError(
                f"{count:,} images of kind {kind!r} are asked for, but only {len(plants):,} of "
                f"{len(self.images):,} are still without a fault; lower the rates or `fraction`."
            )
        self._untouched += reversed(passed)
        return plants

    def laid_out(self) -> Planted:
        """All rows in a drawn order, and the truth in rows of that order."""
        n, total = len(self.images), len(self.images) + len(self.added)
        place = self.of_set().permutation(total)  # the new row of each row
        images = np.empty((total, *self.images.shape[1:]), np.uint8)
        labels = np.empty(total, np.int64)
        source = np.empty(total, np.int64)
        images[place[:n]], labels[place[:n]], source[place[:n]] = self.images, self.labels, np.arange(n)
        planted: list[PlantedFault] = []
        for before, plant in [*((p.source, p) for p in self.changed), *enumerate(self.added, start=n)]:
            row = int(place[before])
            images[row], labels[row], source[row] = plant.picture, plant.label, plant.source
            entry: PlantedFault = {"row": row, **plant.entry}
            original = entry.get("of")
            if isinstance(original, int):
                entry["of"] = int(place[original])
            planted.append(entry)
        planted.sort(key=lambda entry: entry["row"])
        kinds = [entry["kind"] for entry in planted]
        truth: Truth = {
            "rows": total,
            "clean_rows": n,
            "seed": self.config.seed,
            "counts": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
            "planted": planted,
        }
        return Planted(images, labels, source, truth)


def plant(
    images: np.ndarray,
    labels: np.ndarray,
    config: PlantConfig,
    *,
    strangers: np.ndarray | None = None,
    off_topic: np.ndarray | None = None,
) -> Planted:
    """A copy of the images with faults planted in it, in a drawn order, and the truth.

    images     uint8 (N, H, W, 3); labels int64 (N,), -1 where there is none. Neither is changed
    strangers  uint8 (M, H, W, 3): pictures a, b, ... for the intruders; without any they are drawn
    off_topic  uint8 (M, H, W, 3): pictures of something else; without any none is planted

    A row gets one fault at most, and the original of a copy gets none. Where a fault would not show, it is
    not planted: no flip of a solid image, no cast on greyscale images, no wrong label in a single class.
    """
    images, labels = _checked(images, labels)
    colourful = _has_colour(images)
    plot = _Plot(images, labels, config)
    plot.intruders(_strange_pictures_for(images, config, strangers, colourful))
    if off_topic is not None:
        plot.off_topic(_fitting(off_topic, images, "off-topic pictures", colourful))
    plot.copies()
    plot.wrong_labels()
    if colourful:
        for cast in config.casts:
            entry: PlantedFault = {"kind": "cast", "colour": cast.colour, "strength": cast.strength}
            plot.spoil(cast.rate, cast_name(cast.colour, cast.strength), entry, cast.label)
        plot.spoil(config.grey, "grey", {"kind": "grey"})
    plot.spoil(config.blur, "blur", {"kind": "blur"})
    plot.spoil(config.dark, "dark", {"kind": "dark"})
    plot.spoil(config.light, "light", {"kind": "light"})
    plot.spoil(config.solid, "solid", {"kind": "solid"})
    return plot.laid_out()


def _checked(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:]:
        raise DataError(f"images are {images.dtype} {images.shape}, but uint8 (N, H, W, 3) is needed.")
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(f"labels are {labels.dtype} {labels.shape}, but whole numbers ({len(images)},) are needed.")
    return images, labels.astype(np.int64)


def _strange_pictures_for(
    images: np.ndarray, config: PlantConfig, pictures: np.ndarray | None, colourful: bool
) -> np.ndarray:
    """uint8 (M, H, W, 3): as many strange pictures as the configuration plants, as grey as the set is."""
    count = len(config.intruder) + (config.intruder_one_class > 0)
    if pictures is None:
        return _fitting(strange_pictures(*images.shape[1:3]), images, "strangers", colourful)
    pictures = np.asarray(pictures)
    if pictures.dtype != np.uint8 or pictures.shape[1:] != images.shape[1:] or len(pictures) < count:
        raise DataError(
            f"strangers are {pictures.dtype} {pictures.shape}, but uint8 {(count, *images.shape[1:])} is needed: "
            "one picture for each intruder, of the size of the images."
        )
    return pictures


def _fitting(pictures: np.ndarray, images: np.ndarray, subject: str, colourful: bool) -> np.ndarray:
    """Pictures of the size of the images, as grey as these. Raises DataError."""
    if pictures.dtype != np.uint8 or pictures.shape[1:] != images.shape[1:]:
        raise DataError(f"{subject} are {pictures.dtype} {pictures.shape}; needed is the size of the images.")
    if colourful or not len(pictures):
        return pictures
    return np.stack([grey(picture, np.random.default_rng(0)) for picture in pictures])


def _has_colour(images: np.ndarray) -> bool:
    """Whether most images show a colour."""
    # JPEG compression alone moves the channels of a grey picture a few levels apart.
    shows = [max(cv2.absdiff(image[..., 0], image[..., c]).max() for c in (1, 2)) > 8 for image in images]
    return bool(sum(shows) > len(shows) / 2)
