"""Which level of folders is what: splits, groups, classes or nothing. Told by how names repeat, and by their looks.

Levels are counted from 1, the folder below the root.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..stage.errors import DataError
from ..stage.shortness import short_repr
from .classes import natural
from .directions import LEFT_OPEN, NONE, PARENT, Directions
from .names import (
    Kind,
    are_counted,
    are_views,
    holds_annotations,
    is_fold,
    is_plain,
    kind_of,
    may_be_splits,
    named_splits,
    splits_of,
)

Folders = Mapping[tuple[str, ...], int]  # the folders of each file, outermost first -> number of files
_LAST = -1  # the level of whatever folder holds the file
_REACH = 0.9  # of the files must lie so deep for a level to count
_FEW = 5  # more folders than this are no splits; fewer than this are no groups, but for people


@dataclass(frozen=True)
class Levels:
    """What each level of folders was taken for; 0 where there is none.

    classes  may be -1: whatever folder holds the file
    blank    names at that level that label nothing: train/cat, but test/images
    named    name of a folder of the splits -> the usual name of that split
    reasons  sentences on what else classes and groups could have been, with the options that settle it
    split_reasons  on what else the splits could have been;  kind  what the names of the classes look like
    directed  whether a person chose a level
    """

    classes: int = 0
    splits: int = 0
    groups: int = 0
    depth: int = 0
    blank: frozenset[str] = frozenset()
    named: Mapping[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    split_reasons: tuple[str, ...] = ()
    kind: Kind = Kind.WORDS
    directed: bool = False

    __repr__ = short_repr

    def class_of(self, folder: Sequence[str]) -> str:
        """The class of a file in these folders, "" for none."""
        name = _name_at(folder, self.classes)
        return "" if name in self.blank else name

    def split_of(self, folder: Sequence[str]) -> str:
        """Its split, "" for none."""
        name = _name_at(folder, self.splits)
        return self.named.get(name) or name

    def group_of(self, folder: Sequence[str]) -> str:
        """Its group, "" for none."""
        return _name_at(folder, self.groups)


def levels_of(folders: Folders, directions: Directions = LEFT_OPEN) -> Levels:
    """What each level was taken for, as a person directs, and for the rest by what is found. Raises DataError."""
    depth = max(map(len, folders), default=0)
    wanted = {
        "classes": _wanted_level(directions.classes_from, "--classes-from", folders, depth),
        "splits": _wanted_level(directions.splits_from, "--splits-from", folders, depth),
        "groups": _wanted_level(directions.groups_from, "--groups-from", folders, depth),
    }
    levels = _levels_found(folders)
    levels = replace(levels, depth=depth, named=_named(folders, levels.splits))
    settled = {name: level for name, level in wanted.items() if level is not None}
    if not settled:
        return levels
    classes, splits, groups = (
        settled[name] if name in settled else _unless_settled(level, settled.values(), depth)
        for name, level in (("classes", levels.classes), ("splits", levels.splits), ("groups", levels.groups))
    )
    blank = levels.blank if classes == levels.classes else frozenset()
    named = _named(folders, splits)
    return Levels(classes, splits, groups, depth, blank, named, kind=levels.kind, directed=True)


def _named(folders: Folders, splits: int) -> dict[str, str]:
    """Name of a folder at the level of the splits -> the usual name of that split, "" for none."""
    return named_splits(_names_at(folders, splits)) if splits > 0 else {}


def _unless_settled(level: int, settled: Collection[int], depth: int) -> int:
    """A level that was found, 0 where a person has spoken for it."""
    return 0 if level in settled or (level == depth and _LAST in settled) else level


def folders_of(paths: Sequence[str]) -> list[tuple[str, ...]]:
    """The folders that each file lies in, outermost first; one within another of the same name counts once.

    But a class may be called like its split: test/test is one beside train/test, or beside test/healthy.

    >>> folders_of(["train/train/cat/1.png"]), folders_of(["test/test/1.png", "train/test/2.png"])
    ([('train', 'cat')], [('test', 'test'), ('train', 'test')])
    """
    whole = [tuple(path.split("/")[:-1]) for path in paths]
    inside: dict[tuple[str, ...], set[str]] = {}
    for folder in set(whole):
        for i, name in enumerate(folder):
            inside.setdefault(folder[:i], set()).add(name)

    def is_class(folder: tuple[str, ...]) -> bool:
        above, name = folder[:-1], folder[-1]
        if not splits_of([name])[name] or folder in inside:
            return False
        beside = [(*above[:-1], split) for split in inside[above[:-1]] - {name} if splits_of([split])[split]]
        return len(inside[above]) > 1 or any(name in inside.get(split, ()) for split in beside)

    short = {
        folder: tuple(
            name for i, name in enumerate(folder) if not i or name != folder[i - 1] or is_class(folder[: i + 1])
        )
        for folder in set(whole)
    }
    return [short[folder] for folder in whole]


def annotation_folders(folders: Iterable[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Folders of masks and the like: those so called beside one of images, or beside train and test."""
    children: dict[tuple[str, ...], set[str]] = {}
    for folder in folders:
        for i, name in enumerate(folder):
            children.setdefault(folder[:i], set()).add(name)
    return {
        (*above, name)
        for above, names in children.items()
        if any(is_plain(name) for name in names) or len(set(splits_of(names).values()) - {""}) > 1
        for name in names
        if holds_annotations(name)
    }


def spoken(names: Collection[str], most: int = 3) -> str:
    """Names for a sentence: the first few of them.

    >>> spoken(["b", "a"]), spoken(["10", "9", "1", "2"])
    ('a, b', '1, 2, 9 ...')
    """
    ordered = natural(names)
    return ", ".join(ordered[:most]) + (" ..." if len(ordered) > most else "")


def _wanted_level(direction: str | None, flag: str, folders: Folders, depth: int) -> int | None:
    """The level that a person names; 0 for none, None where they leave it open or name something else."""
    if direction is None or not (direction.isdecimal() or direction in (NONE, PARENT)):
        return None
    if direction == PARENT:
        return _LAST
    level = 0 if direction == NONE else int(direction)
    if level > depth or (direction != NONE and not level):
        example = "/".join(next((folder for folder in folders if len(folder) == depth), ()))
        deep = f"folders go {depth} deep, as in {example}" if depth else "there are no folders"
        raise DataError(f"{flag} {direction}: there is no such level of folders. Levels count from 1, and {deep}.")
    return level


def _name_at(folder: Sequence[str], level: int) -> str:
    if level == _LAST:
        return folder[-1] if folder else ""
    return folder[level - 1] if 0 < level <= len(folder) else ""


def _levels_found(folders: Folders) -> Levels:
    splits, reasons = _split_level(folders)
    below = _levels_reached(folders, splits)
    names = {level: _names_at(folders, level) for level in below}
    # A mere "images", and a split within itself, as of train/train and test/test, say nothing.
    silent = [level for level in below if all(is_plain(name) for name in names[level])]
    silent += [level for level in below if splits and all(splits_of(names[level]).values())]
    telling = [level for level in below if level not in silent]
    several = [level for level in telling if len(names[level]) > 1]
    if not several:
        # One folder for all, within further or not: the innermost.
        single = [level for level in below[-1:] if level in telling]
        deeper = _reason_deeper(folders, [*below, splits])
        return Levels(classes=single[0] if single else 0, splits=splits, reasons=deeper, split_reasons=reasons)
    reading = _roles(folders, several, splits)
    blank = _blank_names(folders, splits, reading.classes) if splits and reading.classes else frozenset()
    kind = kind_of(_names_at(folders, reading.classes)) if reading.classes else Kind.WORDS
    further = _reason_deeper(folders, [*below, splits])
    return replace(reading, blank=blank, reasons=(*reading.reasons, *further), split_reasons=reasons, kind=kind)


def _reason_deeper(folders: Folders, levels: Sequence[int]) -> tuple[str, ...]:
    """A sentence where a good part of the files lie deeper than the levels that count."""
    level, total = max(levels) + 1, _files_at(folders, 1)
    count = _files_at(folders, level)
    if not count or count < (1 - _REACH) * total or all(map(is_plain, _names_at(folders, level))):
        return ()
    return (
        f"{count:,} of {total:,} files lie deeper, in folders of level {level} ({spoken(_names_at(folders, level))}), "
        f"which were taken for nothing. If that is wrong, give --classes-from {level}",
    )


def _names_at(folders: Iterable[tuple[str, ...]], level: int) -> set[str]:
    return {folder[level - 1] for folder in folders if len(folder) >= level}


def _files_at(folders: Folders, level: int) -> int:
    return sum(count for folder, count in folders.items() if len(folder) >= level)


def _levels_reached(folders: Folders, splits: int) -> list[int]:
    """The levels but that of splits at which nearly all files lie: of those below it that lie in a folder there."""
    levels = [level for level in range(1, max(map(len, folders), default=0) + 1) if level != splits]
    first = {level: 1 if level < splits else splits + 1 for level in levels}
    return [level for level in levels if _files_at(folders, level) >= _REACH * _files_at(folders, first[level])]


# Splits


def _split_level(folders: Folders) -> tuple[int, tuple[str, ...]]:
    """(the level whose folders are splits by their names, 0 for none; reasons)."""
    depth = max(map(len, folders), default=0)
    levels = [level for level in range(1, depth + 1) if _files_at(folders, level) >= _REACH * _files_at(folders, 1)]
    for level in levels:
        if _are_splits(_names_at(folders, level)):
            return level, ()
    names = splits_of(_names_at(folders, 1)) if levels else {}
    usual = {name for name, split in names.items() if split}
    if len({names[name] for name in usual}) > 1:
        further = names.keys() - usual
        verb = "was" if len(further) == 1 else "were"
        reason = f"{spoken(further)} beside {spoken(usual)} {verb} taken for splits as well"
        return 1, (f"{reason}. If that is wrong, give --classes-from 1",)
    folds = [level for level in levels if all(map(is_fold, _names_at(folders, level)))]
    return next((level for level in folds if len(_names_at(folders, level)) > 1), 0), ()


def _are_splits(names: Collection[str]) -> bool:
    """Whether all names are of splits: train and TEST_SIMPLE, but not test1, test2 and test3."""
    usual = [split for split in splits_of(names).values() if split]
    return (len(set(usual)) > 1 or len(usual) == 1) and may_be_splits(names)


def _blank_names(folders: Folders, splits: int, classes: int) -> frozenset[str]:
    """Names at the level of the classes that label nothing: the only folder of a split, as in test/images."""
    inside: dict[str, set[str]] = {}
    for folder in folders:
        if len(folder) >= max(splits, classes):
            inside.setdefault(folder[splits - 1], set()).add(folder[classes - 1])
    only = {name for names in inside.values() if len(names) == 1 for name in names}
    beside = {name for names in inside.values() if len(names) > 1 for name in names}
    empty = (name for name in only - beside if is_plain(name) or splits_of([name])[name] or name == "unknown")
    return frozenset(empty)


# Classes and groups


def _roles(folders: Folders, levels: Sequence[int], splits: int) -> Levels:
    """What the levels are that tell images apart, but for that of the splits."""
    kinds = {level: kind_of(_names_at(folders, level)) for level in levels}
    if len(levels) == 1:
        return _single_level(folders, levels[0], kinds[levels[0]], splits)
    worded = [level for level in levels if kinds[level] in (Kind.CLASSES, Kind.WORDS)]
    numbered = [level for level in levels if level not in worded]
    opposites = [level for level in worded if kinds[level] is Kind.CLASSES]
    own_splits = 0
    if not worded:
        classes = _class_among_numbers(folders, levels, kinds)
    elif opposites or len(worded) == 1:
        classes = (opposites or worded)[0]
        if not opposites and numbered[0] < classes and _are_digits(folders, numbered[0], classes):
            classes = numbered[0]
        elif not opposites and not splits and _is_counted_in_each(folders, classes, numbered):
            own_splits, classes = classes, numbered[0]  # day/0, day/1, night/0
    else:
        classes, own_splits = _class_among_words(folders, worded, splits)
    above = max((level for level in worded if level < classes), default=0)
    if not (splits or own_splits) and above and _hold_the_same(folders, above, classes):
        own_splits = above  # north/ill, north/well, south/ill
    candidates = [level for level in numbered if level != classes]
    groups = next((level for level in candidates if _can_be_groups(folders, classes, level, kinds[level])), 0)
    roles = Levels(classes=classes, splits=splits or own_splits, groups=groups)
    return replace(roles, reasons=(_reason(folders, roles, levels),))


def _reason(folders: Folders, roles: Levels, levels: Sequence[int]) -> str:
    """What was taken for what among several levels, and what to type where that is wrong."""
    further = [level for level in levels if level != roles.classes]
    uses = {roles.splits: "splits", roles.groups: "groups that stay together"}
    texts = []
    for use in ("splits", "groups that stay together", "nothing"):
        alike = [f"{x} ({spoken(_names_at(folders, x))})" for x in further if uses.get(x, "nothing") == use]
        if alike:
            subject = f"level {alike[0]} was" if len(alike) == 1 else f"levels {', '.join(alike)} were"
            texts.append(f"{subject} taken for {use}")
    options = [f"--classes-from {level}" for level in further]
    options += ["--groups-from none"] if roles.groups else []
    options += ["--splits-from none"] if roles.splits in levels else []
    own = f"classes are the folders of level {roles.classes} ({spoken(_names_at(folders, roles.classes))})"
    return f"{own}; {'; '.join(texts)}. If that is wrong, give {' or '.join(options)}"


def _single_level(folders: Folders, level: int, kind: Kind, splits: int) -> Levels:
    names = _names_at(folders, level)
    if kind is Kind.PEOPLE:
        reason = (
            f"the folders ({spoken(names)}) were taken for groups that stay together, and for no classes. If that is "
            f"wrong, give --classes-from {level}"
        )
        return Levels(groups=level, splits=splits, reasons=(reason,))
    if kind is Kind.PARTS and not splits:
        reason = (
            f"the folders are called like parts of one set ({spoken(names)}); they were taken for the classes, because "
            "nothing else labels the images. If that is wrong, give --classes-from none"
        )
        return Levels(classes=level, splits=splits, reasons=(reason,))
    return Levels(classes=level, splits=splits)


def _class_among_numbers(folders: Folders, levels: Sequence[int], kinds: Mapping[int, Kind]) -> int:
    """The level of the classes where all are numbers: the second of 8863/0, the first of 0/8863."""
    outer, inner = levels[0], levels[1]
    above, below = _names_at(folders, outer), _names_at(folders, inner)
    if _repeated(folders, outer, inner) <= 0.5:
        return outer
    if kinds[outer] in (Kind.PEOPLE, Kind.PARTS):
        return inner
    return inner if len(below) < len(above) and not _are_digits(folders, outer, inner) else outer


def _are_digits(folders: Folders, outer: int, inner: int) -> bool:
    """Whether folders 0, 1, 2 ... are classes with something within, rather than patients with their classes."""
    above = _names_at(folders, outer)
    return are_counted(above) and len(above) <= 3 * len(_names_at(folders, inner))


def _class_among_words(folders: Folders, levels: Sequence[int], splits: int) -> tuple[int, int]:
    """(level of the classes, that of splits or 0) among levels of words: a hierarchy, a grid, or splits by any name."""
    outer = levels[0]
    for inner in levels[1:]:
        above, below = _names_at(folders, outer), _names_at(folders, inner)
        repeated = _repeated(folders, outer, inner)
        if not repeated and len(below) > len(above) and 2 * len(below) <= _files_at(folders, inner):
            outer = inner  # animals/cat, animals/dog, plants/rose
            continue
        few = len(above) <= _FEW and len(below) > len(above)
        alike = few or may_be_splits(above) or (_hold_the_same(folders, outer, inner) and not are_views(below))
        if repeated > 0.5 and not splits and alike:
            return inner, outer  # seen/cat, seen/dog, unseen/cat
    return outer, 0


def _hold_the_same(folders: Folders, outer: int, inner: int) -> bool:
    """Whether a few folders hold the same ones each, and these nothing further: splits, whatever they are called."""
    inside: dict[tuple[str, ...], set[str]] = {}
    for folder in folders:
        if len(folder) >= inner:
            inside.setdefault(folder[:outer], set()).add(folder[inner - 1])
    same = len(set(map(frozenset, inside.values()))) == 1 and len(next(iter(inside.values()))) > 1
    deeper = _files_at(folders, inner + 1)
    return same and 1 < len(inside) <= _FEW and deeper < (1 - _REACH) * _files_at(folders, inner)


def _is_counted_in_each(folders: Folders, outer: int, numbered: Sequence[int]) -> bool:
    """Whether each of a few folders holds the same 0, 1, 2 ..., as classes are numbered; those from 1 may be clips."""
    names = _names_at(folders, numbered[0])
    return outer < numbered[0] and are_counted(names) and "0" in names and _hold_the_same(folders, outer, numbered[0])


def _repeated(folders: Folders, outer: int, inner: int) -> float:
    """The share of the names of the inner level that stand under several names of the outer one."""
    pairs = {(folder[outer - 1], folder[inner - 1]) for folder in folders if len(folder) >= max(inner, outer)}
    count = Counter(name for _, name in pairs)
    return sum(times > 1 for times in count.values()) / max(1, len(count))


def _can_be_groups(folders: Folders, classes: int, groups: int, kind: Kind) -> bool:
    """Whether the folders of a level hold several images each, and most classes several of them."""
    if kind is Kind.PARTS:
        return False
    pairs = {(folder[classes - 1], folder[groups - 1]) for folder in folders if len(folder) >= max(classes, groups)}
    number = len({group for _, group in pairs})
    several = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    enough = number >= (2 if kind is Kind.PEOPLE else _FEW) and _files_at(folders, groups) >= 1.5 * number
    return enough and 2 * len(several) > len({name for name, _ in pairs})
