"""split(source, config) -> Splits: train, val and test by duplicate groups, so that no picture is on both sides."""

from __future__ import annotations

import csv
import io
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .configs import SplitConfig
from .errors import DataError, OutputError
from .findings import DROP, NO_GROUP
from .imageset import UNLABELLED, ImageSet

if TYPE_CHECKING:
    import pandas as pd

    from .cleaning import Scanned

NAMES = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
UNASSIGNED = -1


@dataclass(frozen=True)
class Proof:
    """That no group crosses, counted in what was written and read back.

    groups     units that had to stay whole: groups of copies or of the set itself, and images in none
    several    how many of these are of more than one image
    crossings  groups found in more than one split: 0
    """

    groups: int
    several: int
    crossings: int


@dataclass(frozen=True, eq=False)
class Splits:
    """A set of images, split.

    images     the set, with its splits and groups
    table      as written: id, label, split, group (-1 where an image belongs to no other)
    counts     per class: class, a column for each split, total
    per_class  images of every class in a balanced test set, else None
    path       of splits.csv: id, label, split, group; of image files also file, so that it is read as a set
    """

    images: ImageSet
    table: pd.DataFrame
    counts: pd.DataFrame
    proof: Proof
    per_class: int | None
    path: Path
    notes: tuple[str, ...]


def split(source: str | Path | None = None, config: SplitConfig = SplitConfig(), *, made: Path | None = None) -> Splits:
    """Assign every image to train, val or test, and write that down in splits.csv.

    source  the set that was scanned, or its clean set; None takes artifacts/clean.npz or clean.csv
    made    a splits.csv that was made before: where it names every image of the set, its splits are kept

    Copies of one picture, as the scan found them, and images that the set itself groups (one patient, one slide) stay
    together. Shares hold for every class, as nearly as whole groups allow. The same input, configuration and seed
    give the same splits. Raises DataError where the set was not scanned or cannot be split so.
    """
    from .cleaning import open_scan
    from .reading import read

    artifacts = Path(config.artifacts)
    place = Path(source) if source is not None else clean_set(artifacts)
    if not (artifacts / "scan" / "manifest.json").is_file():
        raise DataError(
            f"{place} has not been scanned: there is no scan in {artifacts}, so that nothing is known of its copies. "
            f"Type `{_scan_command(place, config)}`, then split again."
        )
    scan = open_scan(artifacts / "scan")
    scanned_itself = Path(scan.manifest["source"]) == place.resolve()
    images = read(place, labels=config.labels or (scan.manifest["config"]["labels"] if scanned_itself else None))
    before = _as_made(images, made) if made is not None else None
    if before is not None:
        images = replace(images, splits=before)
    copies, notes = _copies(images, scan, config)
    units = whole_groups(copies, images.groups)
    fixed, names = _given_splits(images, config)
    _check_given(images, units, fixed, names)
    assigned, per_class, told = assign(images.labels, units, config, fixed, images.classes)
    splits = tuple(names[i] for i in assigned.tolist())
    groups = _numbered(units)
    done = replace(images, splits=splits, groups=groups)
    path = Path(config.out) if config.out is not None else artifacts / "splits.csv"
    _write(done, path)
    proof = _proof(done, copies, images.groups, path)
    counts = _counts(done, names)
    if before is not None:
        notes.append(f"the splits are those of {made}; --fresh makes new ones")
    notes += _remarks(images, config, fixed if before is None else fixed[:0], counts, per_class)
    return Splits(done, _table(done), counts, proof, per_class, path, (*notes, *told))


# What has to stay together


def whole_groups(copies: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """int64 (N,): a number from 0 for each unit that must stay on one side of a split.

    copies  int64 (N,): groups of copies, -1 none;  given  groups that come with the set, -1 none, or None
    """
    n = len(copies)
    if not n:
        return np.zeros(0, np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Rows meet through either kind of group: a graph of rows and groups, its components kept whole.
    rows, nodes, size = [], [], n
    for groups in (copies, given):
        if groups is None:
            continue
        members = np.flatnonzero(groups >= 0)
        _, number = np.unique(groups[members], return_inverse=True)
        rows.append(members)
        nodes.append(size + number)
        size += int(number.max(initial=-1)) + 1
    edges = (np.concatenate(rows), np.concatenate(nodes))
    graph = coo_array((np.ones(len(edges[0]), np.int8), edges), shape=(size, size))
    units = connected_components(graph, directed=False)[1][:n]
    return np.unique(units, return_inverse=True)[1].astype(np.int64)


def _numbered(units: np.ndarray) -> np.ndarray:
    """int64 (N,): units of more than one image numbered in the order they appear, -1 for the others."""
    sizes = np.bincount(units)
    first = np.unique(units, return_index=True)[1]
    several = np.flatnonzero(sizes > 1)
    number = np.full(len(sizes), NO_GROUP)
    number[several[np.argsort(first[several])]] = np.arange(len(several))
    return np.asarray(number[units], dtype=np.int64)


def clean_set(artifacts: Path) -> Path:
    """The clean set that a scan left in a folder. Raises DataError where there is none."""
    for name in ("clean.npz", "clean.csv"):
        if (artifacts / name).is_file():
            return artifacts / name
    raise DataError(
        f"{artifacts} holds no clean set to split. Type `curate scan data.npz` with your set first, or name it."
    )


def _as_made(images: ImageSet, path: Path) -> tuple[str, ...] | None:
    """The splits that a splits.csv gives the images; None where it does not know one of them."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        split_of = {row.get("id"): row.get("split") for row in csv.DictReader(file)}
    splits = [split_of.get(name) for name in images.ids]
    return tuple(name or "" for name in splits) if all(splits) else None


def _scan_command(place: Path, config: SplitConfig) -> str:
    words = ["curate", "scan", str(place)]
    words += ["--labels", config.labels] if config.labels else []
    words += ["--artifacts", config.artifacts] if config.artifacts != SplitConfig.artifacts else []
    return shlex.join(words)


def _copies(images: ImageSet, scan: Scanned, config: SplitConfig) -> tuple[np.ndarray, list[str]]:
    """(int64 (N,) groups of copies, -1 none; notes): those of the scan, matched by id. Raises DataError."""
    from .cleaning import changed_pictures

    rows = dict(zip(scan.table["id"].tolist(), range(len(scan.table)), strict=True))
    of_set = [rows.get(name, -1) for name in images.ids]
    strange = [name for name, row in zip(images.ids, of_set, strict=True) if row < 0]
    table = scan.table.iloc[of_set]
    # In an archive without ids these are row numbers, which another set has as well: a few pictures tell.
    changed = [] if strange else changed_pictures(images, table["digest"].tolist())
    if strange or changed:
        why = (
            f"{len(strange):,} of its {len(images):,} images are not in it, such as {strange[0]}"
            if strange
            else f"image {images.ids[changed[0]]} has other pixels there"
        )
        raise DataError(
            f"{images.source.path} is not what was scanned into {scan.folder}: {why}. "
            f"Type `{_scan_command(images.source.path, config)}`, then split again."
        )
    dropped = int((table["verdict"] == DROP).sum())
    notes = []
    if dropped:
        notes.append(f"{dropped:,} images that the scan would drop were split as well; the clean set leaves them out")
    return table["group"].to_numpy(np.int64), notes


# Splits that the set has


def _given_splits(images: ImageSet, config: SplitConfig) -> tuple[np.ndarray, tuple[str, ...]]:
    """(int64 (N,): the split that each image has, an index into the names, -1 none; names of all splits)."""
    if images.splits is None or config.fresh:
        return np.full(len(images), UNASSIGNED), NAMES
    names = (*NAMES, *sorted(set(images.splits) - {*NAMES, ""}))
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(name, UNASSIGNED) for name in images.splits], np.int64), names


def _check_given(images: ImageSet, units: np.ndarray, fixed: np.ndarray, names: Sequence[str]) -> None:
    """Raise DataError where the splits that the set has tear a group apart."""
    rows = np.flatnonzero(fixed >= 0)
    low, high = np.full(units.max(initial=0) + 1, len(names)), np.full(units.max(initial=0) + 1, -1)
    np.minimum.at(low, units[rows], fixed[rows])
    np.maximum.at(high, units[rows], fixed[rows])
    torn = np.flatnonzero(high > low)
    if not len(torn):
        return
    members = rows[units[rows] == torn[0]]
    a, b = (members[fixed[members] == side[torn[0]]][0] for side in (low, high))
    plural = "group lies" if len(torn) == 1 else "groups lie"
    raise DataError(
        f"{len(torn):,} {plural} in more than one split already: {images.ids[a]} is in {names[fixed[a]]}, "
        f"{images.ids[b]} in {names[fixed[b]]}. Split the set anew with --fresh, or drop the copies first."
    )


# Who goes where


def assign(
    labels: np.ndarray,
    units: np.ndarray,
    config: SplitConfig = SplitConfig(),
    fixed: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[np.ndarray, int | None, tuple[str, ...]]:
    """(int64 (N,): 0 train, 1 val, 2 test; images of every class in a balanced test, else None; notes).

    labels  int64 (N,), -1 none;  units  int64 (N,): numbers from 0 of what must stay whole (see whole_groups)
    fixed   int64 (N,): splits that stay as they are, -1 for images to be assigned; further numbers are other splits
    classes names of the classes, for what is told

    Every class is shared out by largest remainders (Hamilton), its largest groups first, each to the split that lacks
    most; so a class of many groups is, but for rounding, no further from its share than its largest group is large,
    and large groups lie in train, where they weigh least. A group of several classes goes where it overfills least.
    A class with as many groups as there are splits is in each of them. Raises DataError where a split would stay
    empty, or the test set cannot be balanced.
    """
    labels, units = np.asarray(labels, np.int64), np.asarray(units, np.int64)
    given = np.full(len(labels), UNASSIGNED) if fixed is None else np.asarray(fixed, np.int64)
    names = classes if classes is not None else [str(c) for c in range(labels.max(initial=-1) + 1)]
    whole = _followed(units, given)
    plan = _Plan(labels, units, whole, tuple(names), config.seed)
    shares = np.array([config.train, config.val, config.test], dtype=float)
    if config.balanced_test:
        return _balanced(plan, shares, config)
    assigned = _allot(plan, shares)
    return assigned, None, _filled(plan, assigned, shares)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be split: N rows of units; `whole` has the split of those that are decided, -1 for the rest."""

    labels: np.ndarray
    units: np.ndarray
    whole: np.ndarray
    names: tuple[str, ...]
    seed: int

    def name(self, code: int) -> str:
        return self.names[code] if code != UNLABELLED else "(no label)"

    def rng(self, code: int) -> np.random.Generator:
        """For units of one class; for those of several, code -2."""
        return np.random.default_rng([self.seed, code + 2])


def _followed(units: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """The fixed splits, which the other images of the same unit follow."""
    of_unit = np.full(units.max(initial=-1) + 1, UNASSIGNED)
    rows = np.flatnonzero(fixed >= 0)
    of_unit[units[rows]] = fixed[rows]
    return np.asarray(of_unit[units], np.int64)


@dataclass(frozen=True, eq=False)
class _Pools:
    """Units of rows: single, those of one class, by label: unit numbers, the largest first, in random order within a
    size; mixed, those of several, likewise; sizes, of all units."""

    single: dict[int, np.ndarray]
    mixed: np.ndarray
    sizes: np.ndarray


def _pools(plan: _Plan, rows: np.ndarray) -> _Pools:
    count = int(plan.units.max(initial=-1)) + 1
    sizes = np.bincount(plan.units[rows], minlength=count)
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(low, plan.units[rows], plan.labels[rows])
    np.maximum.at(high, plan.units[rows], plan.labels[rows])

    def ordered(of: np.ndarray, code: int) -> np.ndarray:
        shuffled = plan.rng(code).permutation(of)
        return np.asarray(shuffled[np.argsort(-sizes[shuffled], kind="stable")])

    alone = np.flatnonzero((sizes > 0) & (low == high))
    by_class = alone[np.argsort(low[alone], kind="stable")]
    codes, starts = np.unique(low[by_class], return_index=True)
    pieces = np.split(by_class, starts[1:]) if len(codes) else []
    single = {code: ordered(of, code) for code, of in zip(codes.tolist(), pieces, strict=True)}
    return _Pools(single, ordered(np.flatnonzero((sizes > 0) & (low < high)), -2), sizes)


def _allot(plan: _Plan, shares: np.ndarray) -> np.ndarray:
    """(N,): every row's split, what is not decided shared out among the splits whose share is above 0."""
    free = np.flatnonzero(plan.whole == UNASSIGNED)
    if not len(free):
        return plan.whole.copy()
    pools = _pools(plan, free)
    wanted = [s for s in range(3) if shares[s] > 0]
    counted = np.flatnonzero(plan.whole < 3)  # further splits have no share
    known, at = np.unique(plan.labels[counted], return_inverse=True)
    codes = known.tolist()
    table = np.bincount(at * 4 + plan.whole[counted] + 1, minlength=4 * len(codes)).reshape(-1, 4)
    lacking, have = table[:, 0], table[:, 1:]
    due = _due(have, lacking, shares)
    required = {}
    for i, code in enumerate(codes):
        enough = len(pools.single.get(code, ())) >= len(wanted)
        # What is in no training set cannot be learned, what is in no test set is not known to be.
        needed = [] if code == UNLABELLED else [s for s in wanted if enough or s == TRAIN]
        required[code] = [s for s in needed if not have[i, s]]
        for s in required[code]:
            if not due[i, s] and due[i].max() > 1:
                due[i, due[i].argmax()] -= 1
                due[i, s] = 1
    of_unit = np.full(len(pools.sizes), UNASSIGNED)
    _place_mixed(plan, pools, free, codes, due, wanted, of_unit)
    for i, code in enumerate(codes):
        if code in pools.single:
            _place_single(pools.single[code], pools.sizes, due[i].tolist(), wanted, required[code], of_unit)
    assigned = plan.whole.copy()
    assigned[free] = of_unit[plan.units[free]]
    return assigned


def _due(have: np.ndarray, lacking: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """int64 (K, 3): images of each class that each split is to get, so that the whole is shared as asked.

    have     (K, 3): images that it has;  lacking  (K,): images to be shared out

    Largest remainders; of equal ones that of the split which earlier classes rounded down most.
    """
    ideal = np.maximum(shares * (have.sum(axis=1) + lacking)[:, None] - have, 0)
    ideal *= (lacking / np.maximum(ideal.sum(axis=1), 1e-12))[:, None]
    due = np.floor(ideal + 1e-9).astype(np.int64)
    owed = np.zeros(3)
    for i in range(len(due)):
        rest = ideal[i] - due[i]
        order = np.lexsort((-(rest + owed), rest < 1e-9))
        due[i, order[: lacking[i] - due[i].sum()]] += 1
        owed += ideal[i] - due[i]
    return due


def _place_mixed(
    plan: _Plan,
    pools: _Pools,
    free: np.ndarray,
    codes: Sequence[int],
    due: np.ndarray,
    wanted: Sequence[int],
    of_unit: np.ndarray,
) -> None:
    """Assign units of several classes: among the splits with room for one, where it overfills its classes least."""
    if not len(pools.mixed):
        return
    index = {code: i for i, code in enumerate(codes)}
    rows = free[np.isin(plan.units[free], pools.mixed)]
    contents: dict[int, Counter[int]] = {}
    for unit, code in zip(plan.units[rows].tolist(), plan.labels[rows].tolist(), strict=True):
        contents.setdefault(unit, Counter())[index[code]] += 1
    room = due.sum(axis=0)
    for unit in pools.mixed.tolist():
        of, counts = np.array(list(contents[unit])), np.array(list(contents[unit].values()))
        fits = [s for s in wanted if room[s] >= counts.sum()] or [max(wanted, key=lambda s: (room[s], -s))]
        over = {s: int(np.maximum(counts - due[of, s], 0).sum()) for s in fits}
        best = min(fits, key=lambda s: (over[s], -int(due[of, s].sum()), s))
        of_unit[unit] = best
        due[of, best] -= counts
        room[best] -= counts.sum()


def _place_single(
    pool: np.ndarray,
    sizes: np.ndarray,
    due: list[int],
    wanted: Sequence[int],
    required: Sequence[int],
    of_unit: np.ndarray,
) -> None:
    """Assign the units of one class, the largest first, each to the split that lacks most.

    required  splits that are to get one; the last units are kept for them
    """
    missing = list(required)
    several = int((sizes[pool] > 1).sum())

    def best(left: int) -> int:
        among = missing if missing and len(missing) >= left else wanted
        return max(among, key=lambda s: (due[s], -s))

    for i, (unit, size) in enumerate(zip(pool[:several].tolist(), sizes[pool[:several]].tolist(), strict=True)):
        s = best(len(pool) - i)
        of_unit[unit] = s
        due[s] -= size
        missing = [m for m in missing if m != s]
    alone = pool[several:]
    get = [0, 0, 0]
    if min(due) >= 0 and all(due[s] for s in missing):  # each can have just what it is due
        get = due
    else:
        for left in range(len(alone), 0, -1):
            s = best(left)
            get[s] += 1
            due[s] -= 1
            missing = [m for m in missing if m != s]
    of_unit[alone] = np.repeat(range(3), get)


def _filled(plan: _Plan, assigned: np.ndarray, shares: np.ndarray) -> tuple[str, ...]:
    """See to it that no split with a share is empty: moves one unit, in place; returns notes. Raises DataError."""
    notes = []
    for s in np.flatnonzero(shares > 0).tolist():
        if (assigned == s).any():
            continue
        if not (plan.whole == UNASSIGNED).any():
            notes.append(f"no image is in {NAMES[s]}: the set has splits already, which were kept")
            continue
        unit = _spare(plan, assigned)
        if unit is None:
            movable = len(np.unique(plan.units[plan.whole == UNASSIGNED]))
            raise DataError(
                f"{NAMES[s]} would be empty: the set has {movable} groups to be assigned, copies counted as one, and "
                f"each class needs one in train. Ask for fewer splits (a share of 0), or get more images."
            )
        assigned[plan.units == unit] = s
        notes.append(f"{NAMES[s]} would have been empty, and got one group all the same")
    return tuple(notes)


def _spare(plan: _Plan, assigned: np.ndarray) -> int | None:
    """The smallest unit of the split with the most images that none of its classes needs there; None without one."""
    for donor in np.argsort(-np.bincount(assigned, minlength=3)[:3], kind="stable").tolist():
        rows = np.flatnonzero(assigned == donor)
        in_donor = Counter(plan.labels[rows].tolist())
        movable = rows[plan.whole[rows] == UNASSIGNED]
        if len(np.unique(plan.units[rows])) < 2:
            continue
        numbers, sizes = np.unique(plan.units[movable], return_counts=True)
        for unit in numbers[np.argsort(sizes, kind="stable")].tolist():
            own = Counter(plan.labels[plan.units == unit].tolist())
            if donor != TRAIN or all(in_donor[c] > k for c, k in own.items() if c != UNLABELLED):
                return int(unit)
    return None


# A balanced test set


def _balanced(plan: _Plan, shares: np.ndarray, config: SplitConfig) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """(assigned, images of every class in test, notes): the rest is shared by train and val, naturally imbalanced.

    Source: report of team M2G (AN2DL, first homework, 2024), section 3.
    """
    if (plan.whole == TEST).any():
        raise DataError(
            f"a balanced test set was asked for, but the set has {(plan.whole == TEST).sum():,} test images already. "
            "Split it anew with --fresh."
        )
    codes = [c for c in np.unique(plan.labels).tolist() if c != UNLABELLED]
    if not codes:
        raise DataError("a balanced test set needs labels, and the set has none.")
    pools = _pools(plan, np.flatnonzero(plan.whole == UNASSIGNED))
    rest = np.array([shares[TRAIN], shares[VAL], 0]) / (shares[TRAIN] + shares[VAL])
    totals = {c: int((plan.labels == c).sum()) for c in codes}
    smallest = min(codes, key=lambda c: (totals[c], c))
    # With the rest shared by train and val, train keeps as many as test up to this; and test is no larger than asked.
    fits = int(totals[smallest] * rest[TRAIN] / (1 + rest[TRAIN])) + 1
    most = config.per_class or min(fits, max(1, round(config.test * sum(totals.values()) / len(codes))))
    stocks = {c: _Stock.of(pools.single.get(c, np.zeros(0, np.int64)), pools.sizes, most) for c in codes}
    if config.per_class is not None:
        assigned, notes = _drawn(plan, stocks, rest, most, totals, least=1)
        return assigned, most, notes
    for number in range(most, 0, -1):
        if all(stock.reaches(number) for stock in stocks.values()):
            try:
                assigned, notes = _drawn(plan, stocks, rest, number, totals, least=number)
            except DataError:  # too few are left for train: one fewer
                continue
            return assigned, number, notes
    raise DataError(
        f"no balanced test set can be made: class {plan.name(smallest)} has {totals[smallest]} images, in "
        f"{stocks[smallest].count} groups of its own; needed are 2 of every class. Split without --balanced-test."
    )


def _drawn(
    plan: _Plan, stocks: dict[int, _Stock], rest: np.ndarray, number: int, totals: dict[int, int], least: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(assigned, notes): `number` images of every class in test, `least` in train at least. Raises DataError."""
    of_unit = np.zeros(int(plan.units.max(initial=-1)) + 1, bool)
    for code, stock in stocks.items():
        if number >= totals[code]:
            raise DataError(
                f"{number} test images of every class leave none of class {plan.name(code)} to train on, "
                f"which has {totals[code]}. Set a smaller --per-class."
            )
        if not stock.reaches(number):
            near = stock.nearest(number)
            raise DataError(
                f"class {plan.name(code)} cannot have exactly {number} images in test: it has {totals[code]}, and "
                f"whole groups of its own make {near}. Set --per-class {near}, or leave it out."
                if near
                else f"class {plan.name(code)} has no group of {number} images or fewer of its own for a test set."
            )
        of_unit[stock.draw(number, plan.rng(code))] = True
    drawn = replace(plan, whole=np.where(of_unit[plan.units], TEST, plan.whole))
    assigned = _allot(drawn, rest)
    notes = _filled(drawn, assigned, rest)
    for code in stocks:
        left = int(((assigned == TRAIN) & (plan.labels == code)).sum())
        if left < least:
            raise DataError(
                f"{number} test images of every class leave {left} of class {plan.name(code)} in train, "
                f"which has {totals[code]} in all. Set a smaller --per-class."
            )
    return assigned, notes


@dataclass(frozen=True, eq=False)
class _Stock:
    """The units of one class that a test set may draw from.

    alone    units of one image;  several  size -> units of that size
    steps    (size, units, numbers of images that can be made with what came before and this, as the bits of an int)
    """

    alone: np.ndarray
    several: dict[int, np.ndarray]
    steps: tuple[tuple[int, int, int], ...]
    most: int

    @classmethod
    def of(cls, pool: np.ndarray, sizes: np.ndarray, most: int) -> _Stock:
        """From units in order; numbers up to `most` are of interest."""
        several = {int(size): pool[sizes[pool] == size] for size in np.unique(sizes[pool]).tolist() if 1 < size <= most}
        steps, bits, mask = [], 1, (1 << (most + 1)) - 1
        for size, units in several.items():
            left, chunk = min(len(units), most // size), 1
            while left:  # 1, 2, 4 ... units at a time make every number of them
                take = min(chunk, left)
                bits = (bits | bits << (take * size)) & mask
                steps.append((size, take, bits))
                left, chunk = left - take, 2 * chunk
        return cls(pool[sizes[pool] == 1], several, tuple(steps), most)

    @property
    def count(self) -> int:
        return len(self.alone) + sum(map(len, self.several.values()))

    def _in_groups(self, number: int) -> int | None:
        """The fewest images from larger units that, with single ones, make that number; None where none do."""
        bits = self.steps[-1][2] if self.steps else 1
        low = max(0, number - len(self.alone))
        above = (bits >> low) & ((1 << (number - low + 1)) - 1)
        return low + (above & -above).bit_length() - 1 if above else None

    def reaches(self, number: int) -> bool:
        return number <= self.most and self._in_groups(number) is not None

    def nearest(self, number: int) -> int:
        """The largest number below that can be made."""
        return next((n for n in range(number - 1, 0, -1) if self.reaches(n)), 0)

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Units of just that many images. Single ones first: a test set of copies asks the same thing twice."""
        goal = self._in_groups(number)
        if goal is None:
            raise ValueError(number)
        chosen = [rng.permutation(self.alone)[: number - goal]]
        used: Counter[int] = Counter()
        for i in range(len(self.steps) - 1, -1, -1):
            before = self.steps[i - 1][2] if i else 1
            if not before >> goal & 1:
                size, take, _ = self.steps[i]
                used[size] += take
                goal -= size * take
        chosen += [rng.permutation(self.several[size])[:count] for size, count in used.items()]
        return np.concatenate(chosen)


# What is told


def _counts(images: ImageSet, names: Sequence[str]) -> pd.DataFrame:
    """Per class: class, images in each split, total; a last row for what has no label."""
    import pandas as pd

    index = {name: i for i, name in enumerate(names)}
    code = np.array([index[name] for name in images.splits or ()], np.int64)
    parts = [(name, images.labels == c) for c, name in enumerate(images.classes)]
    if (images.labels == UNLABELLED).any():
        parts.append(("(no label)", images.labels == UNLABELLED))
    rows = [(name, *np.bincount(code[of], minlength=len(names)).tolist(), int(of.sum())) for name, of in parts]
    return pd.DataFrame(rows, columns=["class", *names, "total"])


def _table(images: ImageSet) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "id": pd.Series(images.ids, dtype="str"),
            "label": pd.Series([images.label_name(row) for row in range(len(images))], dtype="str"),
            "split": pd.Series(images.splits, dtype="str"),
            "group": images.groups,
        }
    )


def _remarks(
    images: ImageSet, config: SplitConfig, fixed: np.ndarray, counts: pd.DataFrame, per_class: int | None
) -> list[str]:
    """What a person should know of how it was split."""
    notes = []
    kept = int((fixed >= 0).sum())
    if kept:
        rest = len(images) - kept
        notes.append(
            f"{kept:,} images kept the split they had, {rest:,} were assigned; --fresh splits all of them anew"
        )
    if not images.labelled:
        notes.append("no labels: split without regard to classes")
    present = counts.loc[counts["total"] > 0, "class"].tolist()
    if images.labelled and len(present) == 1:
        notes.append(f"all images are of class {present[0]}: there was nothing to stratify by")
    if per_class is not None:
        share = counts["test"].sum() / len(images)
        notes.append(
            f"test holds {per_class:,} images of every class, {share:.1%} of the set; --per-class sets another"
        )
        short = counts.loc[(counts["test"] > 0) & (counts["train"] < counts["test"]), "class"].tolist()
        if short:
            notes.append(f"train holds fewer images than test of {_listed(short)}")
    for name in NAMES:
        share = getattr(config, name) if per_class is None or name != "test" else 1
        absent = counts.loc[(counts[name] == 0) & (counts["total"] > 0) & (counts["class"] != "(no label)"), "class"]
        if share and len(absent) and (counts[name] > 0).any():
            notes.append(f"{name} has no image of {_listed(absent.tolist())}: too few groups of it")
    return notes


def _listed(names: Sequence[str], at_most: int = 5) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{', '.join(names[:at_most])}{more}"


# On disk


def _write(images: ImageSet, path: Path) -> None:
    """splits.csv. Of files it is a list of them, which `read` takes."""
    from .writing import write_list, write_text

    if path.exists() and images.source.path.exists() and path.samefile(images.source.path):
        raise OutputError(f"{path} is what was read, and no input is overwritten. Write elsewhere (--out FILE).")
    if images.source.kind == "files":
        write_list(images, np.ones(len(images), bool), path)
        return
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    table.writerow(["id", "label", "split", "group"])
    groups = images.groups if images.groups is not None else np.full(len(images), NO_GROUP)
    for row, (name, split, group) in enumerate(zip(images.ids, images.splits or (), groups.tolist(), strict=True)):
        table.writerow([name, images.label_name(row), split, group if group >= 0 else ""])
    write_text(text.getvalue(), path)


def _proof(images: ImageSet, copies: np.ndarray, given: np.ndarray | None, path: Path) -> Proof:
    """Read the file back, and look for groups of each kind in more than one split."""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    split_of = {row["id"]: row["split"] for row in rows}
    splits = [split_of.get(name, "") for name in images.ids]
    written = [row["group"] for row in rows] if rows and "group" in rows[0] else [""] * len(rows)
    sides: dict[tuple[int, object], set[str]] = {}
    for kind, groups in enumerate((copies.tolist(), [] if given is None else given.tolist())):
        for group, side in zip(groups, splits if groups else (), strict=True):
            if group >= 0:
                sides.setdefault((kind, group), set()).add(side)
    sizes = Counter(written)
    for row, group in zip(rows, written, strict=True):
        if group:
            sides.setdefault((2, group), set()).add(row["split"])
    crossings = sum(len(found) > 1 for found in sides.values())
    if len(rows) != len(images) or "" in splits or crossings:
        path.unlink(missing_ok=True)
        raise OutputError(f"{path} did not come back as it was written, and was removed. Split again.")
    alone = sizes.pop("", 0)
    return Proof(alone + len(sizes), len(sizes), crossings)
