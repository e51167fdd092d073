"""selftest(source, config) -> Selftest: plant known faults in a copy of one's own images, and see what a scan finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from .configs import FEWEST, SelftestConfig
from .faults.spoiling import COLOURS, STRENGTHS
from .findings import DROP, REVIEW, SEVERITY, THRESHOLD
from .measuring.properties import LONGEST_SIDE, bounded
from .notebooks.progress import onlooker
from .planting import KINDS, Cast, PlantConfig, Planted, plant
from .scanning import scan, set_of
from .scans import Scan
from .sets.arrays import ArrayPictures
from .sets.fitting import Fit, fit_to_size
from .sets.imageset import NO_GROUP, UNLABELLED, ImageSet, Source, Unreadable
from .sets.reading import read
from .stage.engine import cores, threaded
from .stage.errors import DataError
from .stage.files import check_writable, write_text
from .stage.lines import json_text
from .stage.progress import Advance, Reporter
from .stage.shortness import short_repr
from .tallying import summary, tally, ways_of

# With fewer, one planted fault is a percent or more of the set, and the checks have no set to compare it with.
FORMAT = 1
# How images of several sizes come to one: none of them is cut, and no fault is planted in what was made up beside them.
WHOLE = Fit("pad", growing="linear", border="edge", nearest=True)
# How pictures of something else come to it: as anybody would cut them, lest padding tells them from the others.
FILLED = Fit("crop", growing="linear")

_OF_LABELS, _OF_COLOURS = ("conflict", "label"), ("cast", "grey")


@dataclass(frozen=True, eq=False)
class Selftest:
    """What a scan finds of faults that are known.

    table       one row per check that a fault was planted for or that flags anything:
                check           its name
                natural         images that it flags before anything is planted. Whether they are wrong is not
                                known; they count neither way
                planted, found  faults planted for it, and those of them that are flagged, by it or by another check
                                that may tell of them; copies when they share a group with their original
                recall, recall_low, recall_high           found / planted, and its 95 % interval (Wilson)
                flagged         rows that it flags in the planted copy, the natural ones left out
                false_alarms    those of them in which nothing was planted
                precision, precision_low, precision_high  right / (right + false alarms), with its 95 % interval;
                                flags on faults of other kinds count neither way
                expected        the precision that it expects of itself, by the chances of its findings; NaN where it
                                cannot tell
                ap              average precision of its score, its planted faults against untouched rows
                threshold       in use
                proposed        the threshold that finds most at the wanted precision, of equal ones the nearest to
                                that in use; NaN where another threshold gains nothing or none reaches the precision
                recall_at_proposed
    ways        kind, how, planted, found: by way of a near copy, by strength and colour of a cast
    thresholds  check -> threshold, those in use with the proposals: goes into ScanConfig(thresholds=...)
    notes       what was tested, what was left out, what the numbers do not say
    rows        one row per planted fault, and one per false alarm, whose kind is "": repeat, id (of the image that
                it was planted in or that it copies, "" for a strange picture), kind, how, found, flagged (the
                checks that flag it), score (of the check that it was planted for, or that raised the alarm)
    """

    table: pd.DataFrame
    ways: pd.DataFrame
    thresholds: dict[str, float]
    notes: tuple[str, ...]
    rows: pd.DataFrame

    __repr__ = short_repr


def selftest(
    source: str | Path | ImageSet, config: SelftestConfig = SelftestConfig(), reporter: Reporter | None = None
) -> Selftest:
    """Plant known faults in a copy of some of the images, scan it, and count what is found and what is not.

    source  an .npz, a folder of images or a list of files (see curate.read), or a set that is read already

    The images are scanned as they are first. What that scan drops is left out; what it flags for review stays in the
    copy, but nothing is planted in it and it counts neither way, as nobody knows whether it is wrong. The numbers are
    those of planted faults: real ones can be fainter or plainer, and where faults are rarer than here, precision is
    lower. A proposed threshold is chosen on the rows that it is tried on; another seed tells how far it holds.

    Raises DataError where the source is no set of images or has fewer than 60 that can be used, OutputError where
    selftest.json cannot be written. The source is never changed.
    """
    reporter = reporter or onlooker()
    with reporter.stage("reading", None, ""):
        images = set_of(source, config.scan)
    target = _target(config)
    plain = replace(config.scan, map="none", artifacts=None)
    sample, notes = _sample(images, config, reporter)
    reporter.say(f"{images.source.name}: testing on {len(sample):,} of {len(images):,} images, {sample.describe}")
    strangers = _off_topic(config, images, sample, reporter)
    baseline = scan(sample, plain, _Within(reporter, "as it is"))
    base, bystanders = _parted(baseline)
    if len(base) < FEWEST:
        raise DataError(
            f"only {len(base):,} of {len(sample):,} images of {images.source.path} are without a finding; a self-test "
            f"needs {FEWEST} to plant faults in. Give more images, or clean the set first (curate scan)."
        )
    thresholds = {name: float(config.scan.thresholds.get(name, THRESHOLD)) for name in SEVERITY}
    tallies, sets = [], []
    for repeat in range(config.repeats):
        pixels, faults = _pixels(sample)[base], _faults(len(base), config, repeat)
        planted = plant(pixels, sample.labels[base], faults, off_topic=strangers.pictures)
        copy = _copy(sample, base, bystanders, planted)
        step = "planted" if config.repeats == 1 else f"planted {repeat + 1}/{config.repeats}"
        copy_scan = scan(copy, plain, _Within(reporter, step))
        ignored = np.arange(len(copy)) >= len(planted.images)
        ids = _ids_of(planted, [sample.ids[row] for row in base.tolist()], strangers)
        tallies.append(tally(planted.truth["planted"], copy_scan.table, copy_scan.findings, thresholds, ignored, ids))
        sets.append(planted)
    flagged = baseline.findings.loc[baseline.findings["row"] >= 0, "check"].tolist()
    natural = {name: flagged.count(name) for name in SEVERITY}
    table = summary(tallies, thresholds, config.precision, natural)
    proposals = table.dropna(subset=["proposed"]).set_index("check")["proposed"]
    result = Selftest(
        table,
        ways_of(tallies),
        {**config.scan.thresholds, **{str(name): float(value) for name, value in proposals.items()}},
        (*notes, *_caveats(baseline, bystanders, sets, table, config)),
        pd.concat(
            [t.rows.assign(repeat=i)[["repeat", *t.rows.columns]] for i, t in enumerate(tallies)],
            ignore_index=True,
        ),
    )
    if target is not None:
        write_text(_document(result, config), target)
    return result


def _target(config: SelftestConfig) -> Path | None:
    """Where selftest.json goes, None where nothing is to be written. Raises OutputError."""
    if config.artifacts is None:
        return None
    target = Path(config.artifacts, "selftest.json")
    check_writable(target)
    return target


# --- what is tested on ------------------------------------------------------------------------------------


def sample_rows(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """int64 (min(N, size),): rows drawn so that each class keeps its share, in ascending order.

    >>> sample_rows(np.array([0] * 90 + [1] * 9 + [2]), 11, seed=0).searchsorted([90, 99]).tolist()
    [9, 10]
    """
    n = len(labels)
    if n <= size:
        return np.arange(n)
    order = np.random.default_rng([seed, n, 3]).permutation(n)
    order = order[np.argsort(labels[order], kind="stable")]
    _, start, count = np.unique(labels[order], return_index=True, return_counts=True)
    # How far into its class each row comes: the first of every class are taken before the second of any.
    depth = (np.arange(n) - np.repeat(start, count)) / np.repeat(count, count)
    return np.sort(order[np.argsort(depth, kind="stable")[:size]])


def uniform(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 (N, H, W, 3) of N >= 1 pictures uint8 (h, w, 3).

    Where they are of several sizes, all come to the median one: fitted in whole, and filled up with their edge pixels.
    """
    shapes = {picture.shape for picture in pictures}
    if len(shapes) == 1:
        return np.stack(pictures)
    height, width = np.median([picture.shape[:2] for picture in pictures], axis=0).round().astype(int).tolist()
    return np.stack([fit_to_size(picture, (width, height), WHOLE) for picture in pictures])


def _sample(images: ImageSet, config: SelftestConfig, reporter: Reporter) -> tuple[ImageSet, list[str]]:
    """The images that faults are planted in, decoded and of one size, and how they were chosen."""
    rows = sample_rows(images.labels, config.images, config.seed)
    notes = list(images.source.notes)
    if len(rows) < len(images):
        notes.append(f"tested on {len(rows):,} of {len(images):,} images, each class by its share")

    def look(row: int) -> tuple[np.ndarray | None, tuple[int, ...]]:
        try:
            pixels = images.images[row].pixels
        except Unreadable:
            return None, ()
        return bounded(pixels, LONGEST_SIDE), pixels.shape

    pictures, sizes, good = [], set(), []
    with reporter.stage("reading", len(rows), "images") as advance:
        looked = threaded(look, rows.tolist(), config.scan.workers or cores())
        for number, (row, (pixels, shape)) in enumerate(zip(rows.tolist(), looked, strict=True), start=1):
            if pixels is not None:
                pictures.append(pixels)
                sizes.add(shape)
                good.append(row)
            advance(number)
    if len(good) < FEWEST:
        raise DataError(
            f"{images.source.path} has {len(good):,} images that can be read; a self-test needs {FEWEST} at least, to "
            "have something to compare planted faults with. Give more images."
        )
    if len(good) < len(rows):
        notes.append(f"left out: {len(rows) - len(good):,} of {len(rows):,} images, which cannot be read")
    array = uniform(pictures)
    size = f"{array.shape[2]}x{array.shape[1]}"
    if len(sizes) > 1:
        notes.append(
            f"images of {len(sizes):,} sizes were brought to {size}, so that odd sizes and aspects are not tested"
        )
    elif (*array.shape[1:],) not in sizes:
        notes.append(f"images were shrunk to {size}")
    if images.splits is not None and len(set(images.splits)) > 1:
        notes.append("splits are ignored: leaks between them are not tested")
    at = np.array(good)
    sample = ImageSet(
        ArrayPictures([array]),
        images.labels[at],
        tuple(images.ids[row] for row in good),
        images.classes,
        Source("npz", images.source.path),
        groups=None if images.groups is None else images.groups[at],
        describe=size,
    )
    return sample, notes


@dataclass(frozen=True, eq=False)
class _Strangers:
    """Pictures of something else, uint8 (M, H, W, 3) or None, and their ids."""

    pictures: np.ndarray | None
    ids: tuple[str, ...] = ()

    __repr__ = short_repr


def _ids_of(planted: Planted, ids: Sequence[str], strangers: _Strangers) -> list[str]:
    """What each planted row is called: as the image that it shows, "" for a drawn picture."""
    names = ["" if row < 0 else ids[row] for row in planted.source.tolist()]
    for fault in planted.truth["planted"]:
        if fault["kind"] == "off_topic":
            names[fault["row"]] = strangers.ids[int(fault["of"])]
    return names


def _off_topic(config: SelftestConfig, images: ImageSet, sample: ImageSet, reporter: Reporter) -> _Strangers:
    """As many pictures as there may be planted, drawn from the set that is given for it. Raises DataError."""
    if config.off_topic is None:
        return _Strangers(None)
    place = Path(config.off_topic)
    if place.resolve() == images.source.path.resolve():
        raise DataError(f"--off-topic {place} is the set itself. Give pictures that show something else.")
    with reporter.stage("reading off-topic pictures", None, ""):
        foreign = read(place)
        height, width = _pixels(sample).shape[1:3]
        faults = _faults(len(sample), config, 0)
        most = faults.count(faults.off_topic, len(sample))
        drawn = np.random.default_rng([config.seed, len(foreign), 6]).permutation(len(foreign)).tolist()
        pictures: list[np.ndarray] = []
        ids: list[str] = []
        for row in drawn:
            if len(pictures) >= most:
                break
            try:
                pixels = bounded(foreign.images[row].pixels, LONGEST_SIDE)
            except Unreadable:
                continue
            pictures.append(fit_to_size(pixels, (width, height), FILLED))
            ids.append(foreign.ids[row])
    if not most:
        return _Strangers(None)
    if not pictures:
        raise DataError(f"--off-topic {place} has no picture that can be read. Give pictures of something else.")
    return _Strangers(np.stack(pictures), tuple(ids))


def _parted(baseline: Scan) -> tuple[np.ndarray, np.ndarray]:
    """Rows without a finding, and those that stay without being planted on; what is dropped is in neither."""
    verdict, group = baseline.table["verdict"].to_numpy(), baseline.table["group"].to_numpy()
    left = verdict != DROP
    # The kept one of some copies is not flagged itself, but a fault planted in it would show as one of theirs.
    crowded = np.bincount(group[left & (group != NO_GROUP)], minlength=group.max(initial=0) + 1) > 1
    aside = left & ((verdict == REVIEW) | ((group != NO_GROUP) & crowded[group]))
    return np.flatnonzero(left & ~aside), np.flatnonzero(aside)


def some_of_each(n: int, seed: int) -> PlantConfig:
    """Faults of every kind for n images: enough of each to count, few enough to leave the set what it is."""
    rng = np.random.default_rng([seed, n, 4])
    colours, strengths = [str(colour) for colour in rng.permutation(list(COLOURS))], [*STRENGTHS]
    # Strong and subtle in turn, and each colour once before any comes again.
    mixed = [(colour, strengths[(i + again) % 2]) for again in range(2) for i, colour in enumerate(colours)]
    share = 0.045
    number = min(len(mixed), max(2, round(share * n / 4)))
    return PlantConfig(
        seed=int(rng.integers(2**31)),
        intruder=(0.02, 0.004),
        intruder_one_class=0.008,
        off_topic=0.02,
        exact=0.015,
        near=0.05,
        affine=0.03,
        crop=0.015,
        conflict=0.012,
        label=0.03,
        casts=tuple(Cast(colour, strength, share / number) for colour, strength in mixed[:number]),
        blur=0.012,
        dark=0.01,
        light=0.01,
        grey=0.01,
        solid=0.006,
    )


def _faults(n: int, config: SelftestConfig, repeat: int) -> PlantConfig:
    """What is planted in n images this time."""
    seed = int(np.random.default_rng([config.seed, repeat, 5]).integers(2**31))
    return some_of_each(n, seed) if config.faults is None else replace(config.faults, seed=seed)


def _pixels(sample: ImageSet) -> np.ndarray:
    """uint8 (N, H, W, 3) of a sample."""
    assert isinstance(sample.images, ArrayPictures)
    return sample.images.arrays[0]


def _copy(sample: ImageSet, base: np.ndarray, bystanders: np.ndarray, planted: Planted) -> ImageSet:
    """The planted rows, then the bystanders, as a set of images."""
    parts = [planted.images, _pixels(sample)[bystanders]] if len(bystanders) else [planted.images]
    groups = None
    if sample.groups is not None:
        own = np.append(sample.groups[base], NO_GROUP)[planted.source]  # -1, a strange picture, takes the last
        groups = np.concatenate([own, sample.groups[bystanders]])
    n = sum(map(len, parts))
    return ImageSet(
        ArrayPictures(parts),
        np.concatenate([planted.labels, sample.labels[bystanders]]),
        tuple(map(str, range(n))),
        sample.classes,
        sample.source,
        groups=groups,
        describe=sample.describe,
    )


class _Within:
    """A reporter for one of several scans: its stages say which, its lines are left out."""

    def __init__(self, reporter: Reporter, step: str) -> None:
        self._reporter, self._step = reporter, step

    def stage(self, name: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
        return self._reporter.stage(f"{self._step}: {name}", total, unit)

    def say(self, line: str) -> None:
        return None


# --- telling ----------------------------------------------------------------------------------------------


def _caveats(
    baseline: Scan,
    bystanders: np.ndarray,
    sets: Sequence[Planted],
    table: pd.DataFrame,
    config: SelftestConfig,
) -> list[str]:
    """What was set aside, what was planted at which rate, and what the numbers do not say."""
    total = sum(len(p.images) + len(bystanders) for p in sets)
    planted = {kind: sum(p.truth["counts"].get(kind, 0) for p in sets) for kind in KINDS}
    dropped = int((baseline.table["verdict"] == DROP).sum())
    labelled = bool((baseline.images.labels != UNLABELLED).any())
    faults = config.faults or PlantConfig()  # by default all of these are planted
    asked = {"conflict": faults.conflict, "label": faults.label, "grey": faults.grey}
    asked["cast"] = sum(cast.rate for cast in faults.casts)
    notes = []
    if config.off_topic is None:
        notes.append("not planted: pictures of something else; --off-topic FOLDER names some, to test outliers")
    for kinds, why in (
        (_OF_LABELS, "one class only" if labelled else "no labels"),
        (_OF_COLOURS, "the images are grey"),
    ):
        missing = [kind for kind in kinds if asked[kind] * faults.fraction > 0 and not planted[kind]]
        if missing:
            notes.append(f"not planted: {', '.join(missing)} ({why})")
    if dropped or len(bystanders):
        notes.append(
            f"before planting, the scan dropped {dropped:,} of {len(baseline.table):,} images, which were left out; "
            f"{len(bystanders):,} more were flagged or have copies, and count neither as found nor as false alarms, "
            "as nobody knows whether they are wrong"
        )
    rates = ", ".join(f"{kind} {count / total:.1%}" for kind, count in planted.items() if count)
    notes.append(f"planted: {rates}; where faults are rarer, precision is lower")
    notes.append("real faults can be fainter or plainer than planted ones: take these numbers as a guide")
    short = [
        str(row["check"])
        for row in table.to_dict("records")
        if row["precision"] < config.precision and np.isnan(row["proposed"])
    ]
    if short:
        notes.append(f"no threshold reaches a precision of {config.precision:g}: {', '.join(short)}")
    return notes


def _document(result: Selftest, config: SelftestConfig) -> str:
    """selftest.json: equal results give equal bytes."""
    document = {
        "format": FORMAT,
        "config": dataclasses.asdict(config),
        "table": _records(result.table),
        "ways": _records(result.ways),
        "thresholds": result.thresholds,
        "notes": result.notes,
        "rows": _records(result.rows),
    }
    return json_text(document, default=str) + "\n"


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    """The rows of a table as JSON has them: null for NaN, four decimals."""
    return [
        {
            str(name): (None if np.isnan(value) else round(value, 4)) if isinstance(value, float) else value
            for name, value in row.items()
        }
        for row in frame.to_dict("records")
    ]
