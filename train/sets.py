"""What a model is fitted on and measured on: the sets that `augment build` has made, and any other set of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from curate.builds import (
    BENCHMARK,
    BENCHMARK_FILE,
    BUILT,
    PLAN_FILE,
    SPLITS,
    BuildManifest,
    ComposedSet,
    CorruptedSet,
    PlanRecord,
    read_benchmark,
    read_plan,
)
from curate.sets.classes import joined_names
from curate.sets.fitting import Fit, fit_to_size
from curate.sets.imageset import UNLABELLED, ImageSet, Pictures, Unreadable, evenly
from curate.sets.provenance import ROWS, Provenance
from curate.sets.reading import read
from curate.sets.scaling import BYTES, FLOATS, INTEGERS, Decoding, pallor
from curate.sets.shards import is_sharded, read_shards
from curate.sets.writing import CLEAN_NAMES, clean_as_written
from curate.stage.drafts import draft_path
from curate.stage.errors import DataError, UnknownName
from curate.stage.manifest import check_outputs, read_manifest
from curate.stage.shortness import short_repr

EXTERNAL = "external"
_LOOKED_AT = 16  # pictures of a set from elsewhere that its range is judged by
# How images from elsewhere come to the size of the build: what is shown of them was cut out, and nothing blends in.
MIDDLE = Fit("crop", growing="linear", cut_first=True)


class Images(Protocol):
    """Pictures of one size, taken as from an array uint8 (N, H, W, 3), which is one: by row, or by an array of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: int | np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) of one row, (n, H, W, 3) of an array of n."""


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """N images of one size, with what is known of each.

    name        "train", "test", "fog-3" ..., or the file it is from
    role        train, val, test, validation (of the benchmark, to select by) or external
    images      see Images; `batch` takes some
    labels      int64 (N,), index into `classes`, -1 none
    soft        float32 (N, K), shares of each class where images were mixed, else None
    ids         N unique strings
    sources     str (N,): id of the image that it was made of; its own where that is not known
    groups      int64 (N,), 0 or more: images of one source, or of one group of a scan, share a number, also between
                the sets of one build
    copies      int64 (N,): 0 for the source itself, then 1, 2 ...
    corruption, severity, family, verdict   of a benchmark set, as in benchmark.json; else "" and 0
    notes       sentences on how it was read
    """

    name: str
    role: str
    images: Images
    labels: np.ndarray
    soft: np.ndarray | None
    ids: tuple[str, ...]
    sources: np.ndarray
    groups: np.ndarray
    copies: np.ndarray
    classes: tuple[str, ...]
    corruption: str = ""
    severity: int = 0
    family: str = ""
    verdict: str = ""
    notes: tuple[str, ...] = ()

    __repr__ = short_repr

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of every image."""
        return self.images.shape[1], self.images.shape[2]

    def batch(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """uint8 (n, H, W, 3): the images of these rows, in their order."""
        return self.images[_numbers(rows)]

    def targets(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """float32 (n, K): the share of each class in these rows; zeros where there is no label."""
        rows = _numbers(rows)
        if self.soft is not None:
            return np.asarray(self.soft[rows])
        return np.asarray((self.labels[rows][:, None] == np.arange(len(self.classes))).astype(np.float32))

    def take(self, rows: Sequence[int] | np.ndarray) -> LabelledSet:
        """The set of these rows only, in their order."""
        rows = _numbers(rows)
        return replace(
            self,
            images=_Selection(self.images, rows),
            labels=self.labels[rows],
            soft=None if self.soft is None else self.soft[rows],
            ids=tuple(self.ids[row] for row in rows.tolist()),
            sources=self.sources[rows],
            groups=self.groups[rows],
            copies=self.copies[rows],
        )


@dataclass(frozen=True, eq=False)
class BuiltSets:
    """What is in artifacts/built, checked: see `read_built`.

    class_weights  float64 (K,), of plan.json;  plan, manifest  those files;  path  the folder
    """

    train: LabelledSet
    val: LabelledSet
    test: LabelledSet
    class_weights: np.ndarray
    plan: PlanRecord
    manifest: BuildManifest
    path: Path

    __repr__ = short_repr

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""
        return self.train.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the build, and of classes that a set has no image of."""
        absent = {images.name: _absent(images) for images in (self.train, self.val, self.test)}
        lacks = tuple(
            f"{name} has no image of {joined_names(classes)}: {_ABSENT[name]}"
            for name, classes in absent.items()
            if classes
        )
        return (*self.outdated, *lacks)

    @cached_property
    def outdated(self) -> tuple[str, ...]:
        """A sentence where the clean set that was built from is another by now, as after a decision on an image."""
        source, artifacts = Path(self.plan.source), self.path.parent
        # A folder of artifacts that was moved has its clean set with it.
        own = source.parent == artifacts.resolve() or not source.exists()
        if source.name not in CLEAN_NAMES or not own:
            return ()
        clean = clean_as_written(artifacts)
        if clean is None or (clean.path, clean.digest) == (source.name, self.plan.source_digest):
            return ()
        return ("the clean set has changed since this build: run `augment build` again to train on it",)

    @cached_property
    def benchmark(self) -> tuple[LabelledSet, ...]:
        """The sets of benchmark.json in its order, of roles test and validation; () where none was built. Read when
        first asked for. Raises DataError."""
        entries = _benchmark_entries(self.path).values()
        check_outputs(self.manifest, self.path, (BENCHMARK_FILE,))
        sets = tuple(_benchmark_set(self.manifest, self.path, entry) for entry in entries)
        for images in sets:
            _check_alike(self.train, images, self.path)
        return sets


@dataclass(frozen=True, eq=False)
class Fitted:
    """Pictures of a set as Images: those of another size are cut to their middle and resized when they are taken.

    size  (H, W);  ids, source  to name a picture that cannot be decoded
    """

    pictures: Pictures
    size: tuple[int, int]
    ids: Sequence[str]
    source: Path

    __repr__ = short_repr

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.pictures), *self.size, 3

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: int | np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        if not rows.ndim:
            return self._picture(int(rows))
        images = np.empty((len(rows), *self.size, 3), np.uint8)
        for at, row in enumerate(rows.tolist()):
            images[at] = self._picture(row)
        return images

    def _picture(self, row: int) -> np.ndarray:
        try:
            return fit_to_size(self.pictures[row].pixels, self.size[::-1], MIDDLE)
        except Unreadable as error:
            raise Unreadable(
                f"{self.ids[row]} of {self.source} {error}. Mend it, or give the clean set of a scan, which leaves it "
                "out."
            ) from None


def _numbers(rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """int64: rows given by number, or as a mask."""
    numbers = np.asarray(rows)
    return np.flatnonzero(numbers) if numbers.dtype == bool else numbers.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Selection:
    """Some of the pictures of others."""

    images: Images
    rows: np.ndarray

    __repr__ = short_repr

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), *self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: int | np.ndarray) -> np.ndarray:
        return self.images[self.rows[rows]]


def read_built(artifacts: str | Path) -> BuiltSets:
    """The sets in `artifacts`/built, which are known to go together.

    Raises DataError where no build was finished; a set is missing or damaged; classes or sizes differ between sets;
    train has images of fewer than two classes; or images of one group are in two sets.
    """
    path = Path(artifacts, BUILT)
    manifest = _manifest(path)
    plan = read_plan(path)
    check_outputs(manifest, path, (PLAN_FILE,))
    train, val, test = (_split(manifest, path, name) for name in SPLITS)
    for other in (val, test):
        _check_alike(train, other, path)
    _check_two_classes(train, path)
    for first, second in ((train, val), (train, test), (val, test)):
        _check_apart(first, second)
    if set(plan.class_weights) != set(train.classes):
        raise DataError(f"{path / PLAN_FILE} has no weight for each class of train. Run `augment build` again.")
    weights = np.array([plan.class_weights[name] for name in train.classes], np.float64)
    return BuiltSets(train, val, test, weights, plan, manifest, path)


def policy_of(artifacts: str | Path) -> str:
    """The name of the policy that a built set was made by, "" where nothing is built."""
    path = Path(artifacts, BUILT)
    return read_plan(path).policy.name if (path / PLAN_FILE).is_file() else ""


def read_set(
    source: str | Path,
    classes: Sequence[str] | None,
    artifacts: str | Path,
    size: tuple[int, int] | None = None,
    decoding: Decoding = Decoding(),
) -> LabelledSet:
    """One set to measure or predict: of the build, by name, or whatever `curate` reads, by its path.

    source   "train", "val", "test", or the name of a benchmark set such as "fog-3"; else a path. ./test is a file or
             folder called test, whatever was built
    classes  of the model, whose numbers the labels become, by their names; None keeps those of the set
    size     (H, W) of the images; None is that of the built set
    decoding of the model: how a set from elsewhere is read

    Labels of classes that the model does not know become -1, which a note tells. Raises DataError where there is
    nothing to read or no label is known, UnknownName for what is neither a path nor a set.
    """
    path, name = Path(artifacts, BUILT), str(source)
    names = _names(path)
    if name in names:
        images = _built_set(path, name, size)
    elif Path(name).exists() or Path(name).suffix or len(Path(name).parts) > 1:
        images = _external_set(Path(name), size, path, decoding)
    else:
        _manifest(path)
        raise UnknownName.among("set or file", name, names)
    return images if classes is None else _renumbered(images, tuple(classes), name)


def _manifest(path: Path) -> BuildManifest:
    draft = draft_path(path)
    if draft.is_dir() and not (path / "manifest.json").is_file():
        raise DataError(
            f"{path} holds no finished build, and {draft} an interrupted one. Finish it with `augment build --resume`; "
            "where the clean set has changed since it was begun, run `augment build` again."
        )
    return read_manifest(BuildManifest, path)


def _benchmark_entries(path: Path) -> dict[str, CorruptedSet | ComposedSet]:
    """The sets of benchmark.json by name; {} where no benchmark was built."""
    benchmark = read_benchmark(path)
    return {entry.name: entry for entry in benchmark.sets} if benchmark is not None else {}


def _names(path: Path) -> list[str]:
    """The sets that a finished build may have; none without one."""
    return [*SPLITS, *_benchmark_entries(path)] if (path / "manifest.json").is_file() else []


def _folder(name: str) -> str:
    return name if name in SPLITS else f"{BENCHMARK}/{name}"


def _built_set(path: Path, name: str, size: tuple[int, int] | None) -> LabelledSet:
    manifest = _manifest(path)
    if name in SPLITS:
        return _split(manifest, path, name, size)
    entry = _benchmark_entries(path)[name]
    check_outputs(manifest, path, (BENCHMARK_FILE,))
    return _benchmark_set(manifest, path, entry, size)


def _split(manifest: BuildManifest, path: Path, name: str, size: tuple[int, int] | None = None) -> LabelledSet:
    if not is_sharded(path / name):
        raise DataError(f"{path} has no {name} set. {_how_to_fill(name)}")
    return _read_folder(manifest, path / name, name, name, size)


def _benchmark_set(
    manifest: BuildManifest, path: Path, entry: CorruptedSet | ComposedSet, size: tuple[int, int] | None = None
) -> LabelledSet:
    """A benchmark set."""
    images = replace(
        _read_folder(manifest, path / BENCHMARK / entry.name, entry.name, entry.role, size),
        corruption=entry.corruption,
        verdict=entry.verdict,
    )
    return replace(images, severity=entry.severity, family=entry.family) if isinstance(entry, CorruptedSet) else images


def _read_folder(
    manifest: BuildManifest, folder: Path, name: str, role: str, size: tuple[int, int] | None
) -> LabelledSet:
    """A set as `augment build` writes it, with its rows.parquet, at its own size or another."""
    entry = _folder(name)
    images = read_shards(folder, manifest.sets.get(entry, {}))
    rows = _provenance(folder)  # read_shards has seen that its ids are those of the shards
    check_outputs(manifest, folder.parents[entry.count("/")], (f"{entry}/{ROWS}",))
    height, width = images.images[0].pixels.shape[:2]
    return LabelledSet(
        name=name,
        role=role,
        images=Fitted(images.images, size or (height, width), images.ids, folder),
        labels=images.labels,
        soft=images.soft,
        ids=images.ids,
        sources=np.array(rows.source_ids, dtype=np.str_),
        groups=_units(rows.groups, rows.source_rows),
        copies=rows.copies,
        classes=images.classes,
    )


def _provenance(folder: Path) -> Provenance:
    path = folder / ROWS
    if not path.is_file():
        raise DataError(f"{path} is missing: the set is not whole. Copy it again, or run `augment build` again.")
    return Provenance(path)


def _units(group: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Numbers that no lone source shares with a group: even for groups, odd for sources."""
    return np.asarray(np.where(group >= 0, 2 * group, 2 * row + 1), np.int64)


def _built_size(path: Path) -> tuple[int, int]:
    """(H, W) of a finished build. Raises DataError."""
    _manifest(path)
    width, height = read_plan(path).size
    return height, width


def _external_set(path: Path, size: tuple[int, int] | None, built: Path, decoding: Decoding) -> LabelledSet:
    images = read(path, decoding=decoding)
    size = size or _built_size(built)
    n = len(images)
    alone = np.full(n, -1)
    return LabelledSet(
        name=images.source.name,
        role=EXTERNAL,
        images=Fitted(images.images, size, images.ids, path),
        labels=images.labels,
        soft=images.soft,
        ids=images.ids,
        sources=np.array(images.ids, dtype=np.str_),
        groups=_units(alone if images.groups is None else images.groups, np.arange(n)),
        copies=np.zeros(n, np.int64),
        classes=images.classes,
        notes=(*_pallor(images), *images.source.notes, *_depth(images, decoding), *_resized(images, size)),
    )


def _pallor(images: ImageSet) -> Iterator[str]:
    """What is wrong with the range of a set's values, by a few of its pictures."""
    levels = []
    for row in evenly(len(images), _LOOKED_AT).tolist():
        try:
            pixels = images.images[row].pixels
        except Unreadable:  # told when it is taken
            continue
        levels.append((float(np.quantile(pixels, 0.01)), float(pixels.max())))
    if levels:
        yield from filter(None, [pallor(min(levels)[0], max(high for _, high in levels), images.source.decoding.scale)])


def _depth(images: ImageSet, model: Decoding) -> Iterator[str]:
    """How the depth of a set's values stands to that of the pictures that a model was fitted to."""
    kinds = images.source.decoding.scale
    deep = [kind for kind in (INTEGERS, FLOATS) if kind in kinds and kind not in model.scale]
    fitted = [f"{kind} read as {scale}" for kind, scale in model.scale.items() if kind != BYTES]
    if not model.foreign and deep:
        yield "the scale that the model was fitted with is not known here, so that the set's own is taken"
    elif deep:
        subject = " and ".join(fitted) or "pictures of 8 bit"
        yield f"the model was fitted to {subject}, so that the set's own scale is taken"
    elif BYTES in kinds and fitted and BYTES not in model.scale:
        subject = " and ".join(fitted)
        yield f"pictures are of 8 bit, and the model was fitted to {subject}: black and white are taken to be the same"


def _resized(images: ImageSet, size: tuple[int, int]) -> Iterator[str]:
    wanted = f"{size[1]}x{size[0]}"
    if images.describe.split()[:1] != [wanted]:
        yield f"pictures ({images.describe}) are cropped to their middle and resized to {wanted}"


def _renumbered(images: LabelledSet, classes: tuple[str, ...], source: str) -> LabelledSet:
    """The set with its labels as numbers of other classes, found by name."""
    if images.classes == classes:
        return images
    numbers, notes = _class_numbers(images, classes, source)
    labels = np.append(numbers, UNLABELLED)[images.labels]
    lost = sorted({images.classes[code] for code in images.labels[(images.labels >= 0) & (labels < 0)].tolist()})
    if lost:
        count = int(((images.labels >= 0) & (labels < 0)).sum())
        notes += (f"{count:,} images count as unlabelled: the model has no class {', '.join(lost)}",)
    matched = [code for code in numbers.tolist() if code >= 0]
    soft = None
    if images.soft is not None and not lost and len(set(matched)) == len(matched):
        soft = np.zeros((len(images), len(classes)), np.float32)
        soft[:, matched] = images.soft[:, numbers >= 0]
    return replace(images, labels=labels, soft=soft, classes=classes, notes=(*images.notes, *notes))


def _class_numbers(images: LabelledSet, classes: tuple[str, ...], source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(int64 (K of the set,): number of each class among `classes`, -1 for none; notes)."""
    alike = {name.strip().casefold(): code for code, name in reversed(list(enumerate(classes)))}
    exact = {name: code for code, name in reversed(list(enumerate(classes)))}
    numbers = [exact.get(name, alike.get(name.strip().casefold(), UNLABELLED)) for name in images.classes]
    if any(code >= 0 for code in numbers) or not (images.labels >= 0).any():
        return np.array(numbers, np.int64), ()
    if all(name.isdecimal() for name in images.classes):
        codes = [int(name) for name in images.classes]
        if max(codes) < len(classes):
            return np.array(codes, np.int64), (
                f"labels of {source} have no names; the numbers are taken as they are, 0 for {classes[0]} and so on",
            )
        raise DataError(
            f"labels of {source} are numbers from {min(codes)} to {max(codes)}, and the model has "
            f"{len(classes)} classes from 0 on: {', '.join(classes)}. Add their names to the file, as class_names."
        )
    raise DataError(
        f"{source} has classes {', '.join(images.classes)}, and the model {', '.join(classes)}: none is the same. "
        "Rename the classes of the file."
    )


def _check_alike(train: LabelledSet, other: LabelledSet, path: Path) -> None:
    """Raise DataError where classes or sizes differ."""
    where = path / _folder(other.name)
    if other.classes != train.classes:
        raise DataError(
            f"classes differ: {', '.join(train.classes)} in {path / train.name}, {', '.join(other.classes)} in "
            f"{where}. Run `augment build` again."
        )
    if other.size != train.size:
        sizes = " and ".join(f"{s.size[1]}x{s.size[0]} in {path / _folder(s.name)}" for s in (train, other))
        raise DataError(f"images are of two sizes: {sizes}. Run `augment build` again.")


_ABSENT = {
    "train": "they are not learned, and what is shown of them counts as wrong",
    "val": "they have no say in which epoch is kept",
    "test": "their recall is not measured, and means over classes are those of the others",
}


def _absent(images: LabelledSet) -> list[str]:
    """The classes that a set has no image of."""
    counts = np.bincount(images.labels[images.labels >= 0], minlength=len(images.classes))
    return [name for name, count in zip(images.classes, counts.tolist(), strict=True) if not count]


def _check_two_classes(train: LabelledSet, path: Path) -> None:
    """Raise DataError where there is nothing to tell apart."""
    present = [name for name in train.classes if name not in _absent(train)]
    if len(present) < 2:
        raise DataError(
            f"{path / train.name} has images of {f'one class only, {present[0]}' if present else 'no class'}: a model "
            "tells classes apart, and needs two. Add images of another class to the set, and scan and build it again."
        )


def _how_to_fill(split: str) -> str:
    shares = "--train 0.7 --val 0.15 --test 0.15"
    return f"Nothing can be {_USES[split]} without: split anew with `augment build --fresh {shares}`."


_USES = {"train": "learned", "val": "selected", "test": "measured"}


def _check_apart(first: LabelledSet, second: LabelledSet) -> None:
    """Raise DataError where images of one group are in two splits."""
    shared = np.intersect1d(first.groups, second.groups)
    same = np.intersect1d(first.sources, second.sources)
    if len(shared) or len(same):
        example = same[0] if len(same) else first.sources[np.isin(first.groups, shared)][0]
        count = max(len(shared), len(same))
        raise DataError(
            f"{first.name} and {second.name} have images of the same groups ({count:,}, such as that of {example}): a "
            "model would be measured on what it learned. Split anew with `augment build --fresh`."
        )
