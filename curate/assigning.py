"""Who goes to train, val and test: whole groups, every class in its share, or a test set that is balanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .configs import SplitConfig
from .sets.imageset import UNLABELLED
from .stage.errors import DataError
from .stage.lines import counted
from .stage.shortness import short_repr

NAMES = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
UNASSIGNED = -1


def assign_splits(
    labels: np.ndarray,
    units: np.ndarray,
    config: SplitConfig = SplitConfig(),
    fixed: np.ndarray | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[np.ndarray, int | None, tuple[str, ...]]:
    """(int64 (N,): 0 train, 1 val, 2 test; images of every class in a balanced test, else None; notes).

    labels  int64 (N,), -1 none;  units  int64 (N,): numbers from 0 of what must stay whole (see whole_groups)
    fixed   int64 (N,): splits that stay as they are, -1 for images to be assigned; further numbers are other splits
    classes names of the classes, for errors and notes

    Every class is shared out by largest remainders (Hamilton), its largest groups first, each to the split that lacks
    most; so a class of many groups is, but for rounding, no further from its share than its largest group is large,
    and large groups lie in train, where they weigh least. A group of several classes goes where it overfills least.
    A class with as many groups as there are splits is in each of them; one with fewer is in train alone, unless most of
    the images are of such classes, which are then shared out as the others. Raises DataError where a split would stay
    empty, or the test set cannot be balanced.
    """
    labels, units = np.asarray(labels, np.int64), np.asarray(units, np.int64)
    fixed_splits = np.full(len(labels), UNASSIGNED) if fixed is None else np.asarray(fixed, np.int64)
    names = classes if classes is not None else [str(c) for c in range(labels.max(initial=-1) + 1)]
    plan = _Plan(labels, units, _followed(units, fixed_splits), tuple(names), config.seed)
    shares = np.array([config.train, config.val, config.test], dtype=float)
    if config.balanced_test:
        return _balanced(plan, shares, config)
    assigned = _assign_by_shares(plan, shares)
    return assigned, None, _filled(plan, assigned, shares)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be split: N rows of units; `fixed` has the split of those that are decided, -1 for the rest."""

    labels: np.ndarray
    units: np.ndarray
    fixed: np.ndarray
    names: tuple[str, ...]
    seed: int

    __repr__ = short_repr

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

    __repr__ = short_repr


def _pools(plan: _Plan, rows: np.ndarray) -> _Pools:
    count = int(plan.units.max(initial=-1)) + 1
    sizes = np.bincount(plan.units[rows], minlength=count)
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(low, plan.units[rows], plan.labels[rows])
    np.maximum.at(high, plan.units[rows], plan.labels[rows])

    def ordered(numbers: np.ndarray, code: int) -> np.ndarray:
        shuffled = plan.rng(code).permutation(numbers)
        return np.asarray(shuffled[np.argsort(-sizes[shuffled], kind="stable")])

    single_units = np.flatnonzero((sizes > 0) & (low == high))
    by_class = single_units[np.argsort(low[single_units], kind="stable")]
    codes, starts = np.unique(low[by_class], return_index=True)
    pieces = np.split(by_class, starts[1:]) if len(codes) else []
    single = {code: ordered(piece, code) for code, piece in zip(codes.tolist(), pieces, strict=True)}
    return _Pools(single, ordered(np.flatnonzero((sizes > 0) & (low < high)), -2), sizes)


def _assign_by_shares(plan: _Plan, shares: np.ndarray) -> np.ndarray:
    """(N,): every row's split, what is not decided shared out among the splits whose share is above 0."""
    free = np.flatnonzero(plan.fixed == UNASSIGNED)
    if not len(free):
        return plan.fixed.copy()
    pools = _pools(plan, free)
    targets = [s for s in range(3) if shares[s] > 0]
    rows = np.flatnonzero(plan.fixed < 3)  # further splits have no share
    present, at = np.unique(plan.labels[rows], return_inverse=True)
    codes = present.tolist()
    table = np.bincount(at * 4 + plan.fixed[rows] + 1, minlength=4 * len(codes)).reshape(-1, 4)
    lacking, have = table[:, 0], table[:, 1:]
    due = _due(have, lacking, shares)
    # What is in no training set cannot be learned, what is in no test set is not known to be.
    small = _small(plan, free, codes, len(targets)) & (have.sum(axis=1) == 0) & bool(shares[TRAIN] > 0)
    if 2 * lacking[small].sum() < lacking.sum():
        due[small] = lacking[small, None] * (np.arange(3) == TRAIN)
    required = {}
    for i, code in enumerate(codes):
        enough = len(pools.single.get(code, ())) >= len(targets)
        splits = [] if code == UNLABELLED else [s for s in targets if enough or s == TRAIN]
        required[code] = [s for s in splits if not have[i, s]]
        for s in required[code]:
            if not due[i, s] and due[i].max() > 1:
                due[i, due[i].argmax()] -= 1
                due[i, s] = 1
    of_unit = np.full(len(pools.sizes), UNASSIGNED)
    _place_mixed(pools.mixed, _contents(plan, pools.mixed, codes), due, targets, of_unit)
    for i, code in enumerate(codes):
        if code in pools.single:
            _place_single(pools.single[code], pools.sizes, due[i].tolist(), targets, required[code], of_unit)
    assigned = plan.fixed.copy()
    assigned[free] = of_unit[plan.units[free]]
    return assigned


def _small(plan: _Plan, free: np.ndarray, codes: Sequence[int], targets: int) -> np.ndarray:
    """bool (K,): the classes of fewer units than there are splits to fill."""
    span = int(plan.units.max(initial=-1)) + 1
    pairs = np.unique((plan.labels[free] - UNLABELLED) * span + plan.units[free])
    present, counts = np.unique(pairs // max(span, 1) + UNLABELLED, return_counts=True)
    units = dict(zip(present.tolist(), counts.tolist(), strict=True))
    return np.array([code != UNLABELLED and units.get(code, 0) < targets for code in codes], bool)


def _due(have: np.ndarray, lacking: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """int64 (K, 3): images of each class that each split is to get, so that the whole is shared as asked.

    have     (K, 3): images that it has;  lacking  (K,): images to be shared out

    Largest remainders; of equal ones that of the split which earlier classes rounded down most.
    """
    ideal = np.maximum(shares * (have.sum(axis=1) + lacking)[:, None] - have, 0)
    ideal *= (lacking / np.maximum(ideal.sum(axis=1), 1e-12))[:, None]
    due: np.ndarray = np.floor(ideal + 1e-9).astype(np.int64)
    owed = np.zeros(3)
    for i in range(len(due)):
        rest = ideal[i] - due[i]
        order = np.lexsort((-(rest + owed), rest < 1e-9))
        due[i, order[: lacking[i] - due[i].sum()]] += 1
        owed += ideal[i] - due[i]
    return due


def _contents(plan: _Plan, units: np.ndarray, codes: Sequence[int]) -> dict[int, Counter[int]]:
    """Of each of those units: how many images of each class it has, by the class's place in `codes`."""
    index = {code: i for i, code in enumerate(codes)}
    rows = np.flatnonzero(np.isin(plan.units, units) & (plan.fixed == UNASSIGNED))
    contents: dict[int, Counter[int]] = {}
    for unit, code in zip(plan.units[rows].tolist(), plan.labels[rows].tolist(), strict=True):
        contents.setdefault(unit, Counter())[index[code]] += 1
    return contents


def _place_mixed(
    units: np.ndarray,
    contents: dict[int, Counter[int]],
    due: np.ndarray,
    targets: Sequence[int],
    of_unit: np.ndarray,
) -> None:
    """Assign units of several classes: among the splits with room for one, where it overfills its classes least."""
    room = due.sum(axis=0)
    for unit in units.tolist():
        classes, counts = np.array(list(contents[unit])), np.array(list(contents[unit].values()))
        fits = [s for s in targets if room[s] >= counts.sum()] or [max(targets, key=lambda s: (room[s], -s))]
        over = {s: int(np.maximum(counts - due[classes, s], 0).sum()) for s in fits}
        best = min(fits, key=lambda s: (over[s], -int(due[classes, s].sum()), s))
        of_unit[unit] = best
        due[classes, best] -= counts
        room[best] -= counts.sum()


def _place_single(
    pool: np.ndarray,
    sizes: np.ndarray,
    due: list[int],
    targets: Sequence[int],
    required: Sequence[int],
    of_unit: np.ndarray,
) -> None:
    """Assign the units of one class, the largest first, each to the split that lacks most.

    required  splits that are to get one; the last units are kept for them
    """
    missing = list(required)
    larger = int((sizes[pool] > 1).sum())

    def best(left: int) -> int:
        candidates = missing if missing and len(missing) >= left else targets
        return max(candidates, key=lambda s: (due[s], -s))

    for i, (unit, size) in enumerate(zip(pool[:larger].tolist(), sizes[pool[:larger]].tolist(), strict=True)):
        s = best(len(pool) - i)
        of_unit[unit] = s
        due[s] -= size
        missing = [m for m in missing if m != s]
    singles = pool[larger:]
    get = [0, 0, 0]
    if min(due) >= 0 and all(due[s] for s in missing):  # each can have just what it is due
        get = due
    else:
        for left in range(len(singles), 0, -1):
            s = best(left)
            get[s] += 1
            due[s] -= 1
            missing = [m for m in missing if m != s]
    of_unit[singles] = np.repeat(range(3), get)


def _filled(plan: _Plan, assigned: np.ndarray, shares: np.ndarray) -> tuple[str, ...]:
    """See to it that no split with a share is empty: moves one unit, in place; returns notes. Raises DataError."""
    notes = []
    for s in np.flatnonzero(shares > 0).tolist():
        if (assigned == s).any():
            continue
        if not (plan.fixed == UNASSIGNED).any():
            notes.append(f"no image is in {NAMES[s]}: the set has splits already, which were kept")
            continue
        unit = _spare(plan, assigned)
        if unit is None:
            movable = len(np.unique(plan.units[plan.fixed == UNASSIGNED]))
            fewer = "--train 0.8 --val 0 --test 0.2" if len(np.unique(assigned)) > 1 else "--train 1 --val 0 --test 0"
            raise DataError(
                f"{NAMES[s]} would be empty: the set has {counted(movable, 'group')} to be assigned, copies counted as "
                f"one, and each class needs one in train. Ask for fewer splits, as with {fewer}, for what "
                "`train` cannot fit a model to, as it needs all three; or get more images."
            )
        assigned[plan.units == unit] = s
        notes.append(f"{NAMES[s]} would have been empty, so it got one group")
    return tuple(notes)


def _spare(plan: _Plan, assigned: np.ndarray) -> int | None:
    """The smallest unit of the split with the most images that none of its classes needs there; None without one."""
    for donor in np.argsort(-np.bincount(assigned, minlength=3)[:3], kind="stable").tolist():
        rows = np.flatnonzero(assigned == donor)
        in_donor = Counter(plan.labels[rows].tolist())
        movable = rows[plan.fixed[rows] == UNASSIGNED]
        if len(np.unique(plan.units[rows])) < 2:
            continue
        numbers, sizes = np.unique(plan.units[movable], return_counts=True)
        for unit in numbers[np.argsort(sizes, kind="stable")].tolist():
            contents = Counter(plan.labels[plan.units == unit].tolist())
            if donor != TRAIN or all(in_donor[c] > k for c, k in contents.items() if c != UNLABELLED):
                return int(unit)
    return None


# A balanced test set


def _balanced(plan: _Plan, shares: np.ndarray, config: SplitConfig) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """(assigned, images of every class in test, notes): the rest is shared by train and val, naturally imbalanced.

    Source: report of team M2G (AN2DL, first homework, 2024), section 3.
    """
    if (plan.fixed == TEST).any():
        raise DataError(
            f"a balanced test set was asked for, but the set has {(plan.fixed == TEST).sum():,} test images already. "
            "Split it anew with --fresh."
        )
    codes = [c for c in np.unique(plan.labels).tolist() if c != UNLABELLED]
    if not codes:
        raise DataError("a balanced test set needs labels, and the set has none.")
    pools = _pools(plan, np.flatnonzero(plan.fixed == UNASSIGNED))
    rest = np.array([shares[TRAIN], shares[VAL], 0]) / (shares[TRAIN] + shares[VAL])
    totals = {c: int((plan.labels == c).sum()) for c in codes}
    smallest = min(codes, key=lambda c: (totals[c], c))
    # With the rest shared by train and val, train keeps as many as test up to this; and test is no larger than asked.
    fits = int(totals[smallest] * rest[TRAIN] / (1 + rest[TRAIN])) + 1
    most = config.per_class or min(fits, max(1, round(config.test * sum(totals.values()) / len(codes))))
    stocks = {c: _Stock.from_units(pools.single.get(c, np.zeros(0, np.int64)), pools.sizes, most) for c in codes}
    if config.per_class is not None:
        assigned, notes = _with_test(plan, stocks, rest, most, totals, least=1)
        return assigned, most, notes
    for number in range(most, 0, -1):
        if all(stock.reaches(number) for stock in stocks.values()):
            try:
                assigned, notes = _with_test(plan, stocks, rest, number, totals, least=number)
            except DataError:  # too few are left for train: one fewer
                continue
            return assigned, number, notes
    raise DataError(
        f"no balanced test set can be made: class {plan.name(smallest)} has {counted(totals[smallest], 'image')}, in "
        f"{counted(stocks[smallest].count, 'group')} of its own; needed are 2 of every class. Split without "
        "--balanced-test."
    )


def _with_test(
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
    plan_with_test = replace(plan, fixed=np.where(of_unit[plan.units], TEST, plan.fixed))
    assigned = _assign_by_shares(plan_with_test, rest)
    notes = _filled(plan_with_test, assigned, rest)
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

    singles  units of one image;  groups  size -> units of that size
    steps    (size, units, numbers of images that can be made with what came before and this, as the bits of an int)
    """

    singles: np.ndarray
    groups: dict[int, np.ndarray]
    steps: tuple[tuple[int, int, int], ...]
    most: int

    __repr__ = short_repr

    @classmethod
    def from_units(cls, pool: np.ndarray, sizes: np.ndarray, most: int) -> _Stock:
        """From units in order; numbers up to `most` are of interest."""
        groups = {int(size): pool[sizes[pool] == size] for size in np.unique(sizes[pool]).tolist() if 1 < size <= most}
        steps, bits, mask = [], 1, (1 << (most + 1)) - 1
        for size, units in groups.items():
            left, chunk = min(len(units), most // size), 1
            while left:  # 1, 2, 4 ... units at a time make every number of them
                take = min(chunk, left)
                bits = (bits | bits << (take * size)) & mask
                steps.append((size, take, bits))
                left, chunk = left - take, 2 * chunk
        return cls(pool[sizes[pool] == 1], groups, tuple(steps), most)

    @property
    def count(self) -> int:
        return len(self.singles) + sum(map(len, self.groups.values()))

    def _in_groups(self, number: int) -> int | None:
        """The fewest images from larger units that, with single ones, make that number; None where none do."""
        bits = self.steps[-1][2] if self.steps else 1
        low = max(0, number - len(self.singles))
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
        units = [rng.permutation(self.singles)[: number - goal]]
        counts: Counter[int] = Counter()
        for i in range(len(self.steps) - 1, -1, -1):
            before = self.steps[i - 1][2] if i else 1
            if not before >> goal & 1:
                size, take, _ = self.steps[i]
                counts[size] += take
                goal -= size * take
        units += [rng.permutation(self.groups[size])[:count] for size, count in counts.items()]
        return np.concatenate(units)
