"""split(source, config) -> Splits: train, val and test by duplicate groups, so that no picture is on both sides."""

from __future__ import annotations

import csv
import io
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .assigning import NAMES, UNASSIGNED, assign_splits
from .configs import SplitConfig
from .deciding import holding_of
from .decisions import decisions_path, read_history
from .findings import DROP
from .measuring.hashing import changed_pictures
from .outcomes import groups_apart
from .scans import Scanned, directed, open_scan, read_pairs, relabelled_of
from .sets.imageset import NO_GROUP, UNLABELLED, ImageSet, joined, torn_groups, whole_groups
from .sets.reading import read_as
from .sets.writing import check_clean, write_list
from .stage.errors import DataError, OutputError
from .stage.files import write_text
from .stage.locks import holding
from .stage.manifest import file_digest
from .stage.progress import Reporter, Silent
from .stage.shortness import short_repr

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Proof:
    """That no group crosses, counted in what was written and read back.

    groups     units that had to stay whole: groups of copies or of the set itself, and images in none
    several    how many of these are of more than one image
    crossings  groups found in more than one split: 0
    repeated   pictures of which the same pixels, turned or mirrored or not, occur more than once, whatever their group
    torn       how many of these were found in more than one split: 0
    """

    groups: int
    several: int
    crossings: int
    repeated: int
    torn: int


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

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class Divided:
    """A set of images, split; nothing is written yet.

    images  the set, with its splits and groups;  names  of all splits
    copies, set_groups  int64 (N,): the groups that had to stay whole: of copies, and of the set itself (or None)
    pictures            int64 (N,): a number for each picture, equal where pixels are, turned or mirrored or not
    given               images that kept the split which the set came with
    digests  of each picture, as the scan read it;  scan_digest  of the scan's manifest
    given_labels  of images that a person relabelled the class that the set gives them, else ""; None without such
    left_out  class -> how many images, of the classes that are in no split: their images have the split ""
    """

    images: ImageSet
    names: tuple[str, ...]
    copies: np.ndarray
    set_groups: np.ndarray | None
    pictures: np.ndarray
    given: int
    per_class: int | None
    left_out: Mapping[str, int]
    notes: tuple[str, ...]
    digests: tuple[str, ...]
    scan_digest: str
    given_labels: tuple[str, ...] | None = None

    __repr__ = short_repr


def split(
    source: str | Path | None = None, config: SplitConfig = SplitConfig(), reporter: Reporter = Silent()
) -> Splits:
    """Assign every image to train, val or test, and write that down in splits.csv.

    source  the set that was scanned, or its clean set; None takes artifacts/clean.npz or clean.csv

    Copies of one picture, as the scan found them, and images that the set itself groups (one patient, one slide) stay
    together. Shares hold for every class, as nearly as whole groups allow. The same input, configuration and seed
    give the same splits. Raises DataError where the set was not scanned or cannot be split so.
    """
    with holding(Path(config.artifacts), shared=True, say=reporter.say):
        division = divided(source, config)
    return write_splits(division, config)


def divided(
    source: str | Path | None = None, config: SplitConfig = SplitConfig(), *, previous: Path | None = None
) -> Divided:
    """What `split` would write down. Who calls it holds the artifacts, so that the scan and its clean set fit together.

    previous  a splits.csv that was written before: where it names every image of the set, its splits are kept
    """
    artifacts = Path(config.artifacts)
    place = Path(source) if source is not None else clean_set(artifacts)
    if not place.exists():
        raise DataError(f"{place} does not exist. Give the set that was scanned, or leave it out for its clean set.")
    if not (artifacts / "scan" / "manifest.json").is_file():
        raise DataError(
            f"{place} has not been scanned: there is no scan in {artifacts}, so its duplicates are unknown. "
            f"Type `{_scan_command(place, config)}` first."
        )
    scan, scan_digest = open_scan(artifacts / "scan"), file_digest(artifacts / "scan" / "manifest.json")
    if place.resolve().parent == artifacts.resolve():
        check_clean(place)
    images = read_as(place, directed(scan.manifest, place, config.labels))
    before = _as_made(images, previous) if previous is not None else None
    unused = []
    if before is not None:
        images = replace(images, splits=before)
    elif previous is not None:
        unused = [f"{previous} is not used: it does not give every image of the set a split; the set is split anew"]
    rows, notes = _rows_scanned(images, scan, config)
    copies, pictures = _copies(images, rows, scan)
    units = whole_groups(copies, images.groups)
    small = _small_classes(images, config.min_class)
    within = ~np.isin(images.labels, small)
    if before is not None:
        within &= np.array(before) != ""
    fixed, names = _given_splits(images, config)
    fixed[~within] = UNASSIGNED
    _check_given(images, units, fixed, names)
    numbers = np.unique(units[within], return_inverse=True)[1]
    assigned = np.full(len(images), UNASSIGNED)
    assigned[within], per_class, balance_notes = assign_splits(
        images.labels[within], numbers, config, fixed[within], images.classes
    )
    splits = tuple(names[i] if i >= 0 else "" for i in assigned.tolist())
    split_set = replace(images, splits=splits, groups=_numbered(units))
    made_before = previous if before is not None else None
    left_out, left_out_notes = _left_out(images, within, small, config.min_class, made_before)
    remarks = _split_notes(split_set, config, fixed, _class_counts(split_set, names), per_class, made_before)
    return Divided(
        images=split_set,
        names=names,
        copies=copies,
        set_groups=images.groups,
        pictures=pictures,
        given=0 if before is not None else int((fixed >= 0).sum()),
        per_class=per_class,
        left_out=left_out,
        notes=(*notes, *unused, *left_out_notes, *remarks, *balance_notes),
        digests=tuple(rows["digest"].tolist()),
        scan_digest=scan_digest,
        given_labels=_given_labels(images, rows),
    )


def write_splits(division: Divided, config: SplitConfig) -> Splits:
    """Write splits.csv, read it back, and prove that no group crosses. Raises OutputError."""
    path = Path(config.out) if config.out is not None else Path(config.artifacts, "splits.csv")
    _write_splits_file(division.images, path)
    proof = _proof(division, path)
    counts = _class_counts(division.images, division.names)
    return Splits(
        division.images, _splits_table(division.images), counts, proof, division.per_class, path, division.notes
    )


# What has to stay together


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
    raise DataError(f"{artifacts} holds no clean set. Type `curate scan data.npz` with your set first, or name it.")


def _as_made(images: ImageSet, path: Path) -> tuple[str, ...] | None:
    """The splits that a splits.csv gives the images, "" to those left out; None where it does not know one of them.

    Raises DataError.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            split_of = {row.get("id"): row.get("split") for row in csv.DictReader(file)}
    except csv.Error as error:
        raise DataError(
            f"{path} is no table that can be read ({error}). Remove it, or split anew with --fresh."
        ) from None
    splits = [split_of.get(name) for name in images.ids]
    return None if None in splits or not any(splits) else tuple(name or "" for name in splits)


def _scannable(place: Path, scan: Scanned) -> Path:
    """What to scan anew: a set, or what a clean set was made of, which lies beside its scan."""
    return Path(scan.manifest.source) if place.resolve().parent == scan.folder.resolve().parent else place


def _scan_command(place: Path, config: SplitConfig) -> str:
    words = ["curate", "scan", str(place)]
    words += ["--labels", config.labels] if config.labels else []
    words += ["--artifacts", config.artifacts] if config.artifacts != SplitConfig.artifacts else []
    return shlex.join(words)


def _rows_scanned(images: ImageSet, scan: Scanned, config: SplitConfig) -> tuple[pd.DataFrame, list[str]]:
    """(the row of images.parquet of each image, matched by id; notes). Raises DataError."""
    rows = dict(zip(scan.table["id"].tolist(), range(len(scan.table)), strict=True))
    of_set = [rows.get(name, -1) for name in images.ids]
    strange = [name for name, row in zip(images.ids, of_set, strict=True) if row < 0]
    table = scan.table.iloc[[] if strange else of_set]
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
            f"Type `{_scan_command(_scannable(images.source.path, scan), config)}` first."
        )
    dropped = int((table["verdict"] == DROP).sum())
    notes = []
    if dropped:
        were = "image that the scan would drop was" if dropped == 1 else "images that the scan would drop were"
        notes.append(f"{dropped:,} {were} split as well; the clean set leaves them out")
    old = _relabelled(images, table)[1]
    if old:
        has = "image that you relabelled has" if len(old) == 1 else "images that you relabelled have"
        notes.append(
            f"{len(old):,} {has} the label of the set, such as {images.ids[old[0]]}; the clean set has the new one"
        )
    return table, notes


# Classes that are left out


def _small_classes(images: ImageSet, least: int | None) -> np.ndarray:
    """int64: the classes of fewer images than that. Raises DataError where none is left."""
    if least is None or not images.labelled:
        return np.zeros(0, np.int64)
    counts = np.bincount(images.labels[images.labels >= 0], minlength=len(images.classes))
    small = np.flatnonzero(counts < least)
    if len(small) == len(counts):
        largest = int(counts.argmax())
        raise DataError(
            f"no class has {least:,} images; the largest, {images.classes[largest]}, has {counts[largest]:,}. Give "
            f"--min-class {counts[largest]} or less."
        )
    return small


def _left_out(
    images: ImageSet, within: np.ndarray, small: np.ndarray, least: int | None, previous: Path | None
) -> tuple[dict[str, int], list[str]]:
    """(class -> images, of the classes that take no part; a note on them).

    within  bool (N,): images that take part;  small  the classes that are below `least`;  previous  see `divided`
    """
    labels = images.labels[~within]
    outside = np.bincount(labels[labels >= 0], minlength=len(images.classes))
    inside = np.bincount(images.labels[within & (images.labels >= 0)], minlength=len(images.classes))
    codes = np.flatnonzero((outside > 0) & (inside == 0))
    codes = np.union1d(codes, small)
    left_out = {images.classes[code]: int(outside[code]) for code in codes.tolist()}
    if not left_out:
        return {}, []
    listed = _listed([f"{name} ({count:,})" for name, count in left_out.items()])
    description = f"of fewer than {least:,} images" if len(small) else f"without a split in {previous}"
    total = sum(left_out.values())
    return left_out, [f"classes {description} are left out: {listed}; images in them: {total:,}"]


def _given_labels(images: ImageSet, rows: pd.DataFrame) -> tuple[str, ...] | None:
    """Of the images that have the class that a person gave them what the set gives them, else ""; None without such."""
    as_given = rows["label_name"].tolist()
    new = _relabelled(images, rows)[0]
    return tuple(as_given[row] if row in new else "" for row in range(len(images))) if new else None


def _relabelled(images: ImageSet, rows: pd.DataFrame) -> tuple[set[int], list[int]]:
    """(images that have the class that a person gave them, those that have it not)."""
    relabelled = relabelled_of(rows)
    new = {row for row, name in relabelled.items() if images.label_name(row) == name}
    return new, sorted(relabelled.keys() - new)


def _copies(images: ImageSet, rows: pd.DataFrame, scan: Scanned) -> tuple[np.ndarray, np.ndarray]:
    """(int64 (N,): groups of copies, without those that a person told apart, -1 none; see `_pictures`).

    rows  the row of images.parquet of each image
    """
    held = holding_of(scan.roster, read_history(decisions_path(scan.folder.parent)))
    pairs = read_pairs(scan.folder)
    group = groups_apart(scan.table, pairs, held)[rows["row"].to_numpy()]
    return group, _pictures(images, scan, pairs, held.apart)


def _pictures(images: ImageSet, scan: Scanned, pairs: pd.DataFrame, apart: Sequence[Sequence[int]] = ()) -> np.ndarray:
    """int64 (N,): a number for each picture, from the digests and the pairs that are equal but for a turn, not from
    groups; equal ones have the same.

    apart  rows that are no copies of each other, however they are turned
    """
    turned = pairs[(pairs["kind"] == "rotated") & (pairs["distance"] == 0)]
    if apart:
        barred = {frozenset(pair) for rows in apart for pair in combinations(scan.table["digest"].iloc[list(rows)], 2)}
        digests = scan.table["digest"].to_numpy()
        ends = turned[["row_a", "row_b"]].to_numpy(np.int64)
        turned = turned[np.array([frozenset(digests[pair]) not in barred for pair in ends], bool)]
    _, of_digest = np.unique(scan.table["digest"].to_numpy(str), return_inverse=True)
    of_digest[(scan.table["digest"] == "").to_numpy()] = len(scan.table) + np.flatnonzero(scan.table["digest"] == "")
    links = of_digest[turned[["row_a", "row_b"]].to_numpy(np.int64)]
    _, number = np.unique(joined(links, 2 * len(scan.table))[of_digest], return_inverse=True)
    rows = dict(zip(scan.table["id"].tolist(), number.tolist(), strict=True))
    return np.array([rows[name] for name in images.ids], np.int64)


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
    together = images.groups is not None and images.groups[a] == images.groups[b] >= 0
    raise DataError(
        f"{len(torn):,} {plural} in more than one split already: {images.ids[a]} is in {names[fixed[a]]}, "
        f"{images.ids[b]} in {names[fixed[b]]}, and {'the set itself groups them' if together else 'they are copies'}. "
        f"Split the set anew with --fresh{', or read it without groups (--groups-from none)' if together else ''}."
    )


# What is told


def _class_counts(images: ImageSet, names: Sequence[str]) -> pd.DataFrame:
    """Per class: class, images in each split, total; a last row for what has no label."""
    import pandas as pd

    index = {name: i for i, name in enumerate(names)}
    code = np.array([index.get(name, len(names)) for name in images.splits or ()], np.int64)  # the last: left out
    parts = [(name, images.labels == c) for c, name in enumerate(images.classes)]
    if (images.labels == UNLABELLED).any():
        parts.append(("(no label)", images.labels == UNLABELLED))
    rows = [
        (name, *np.bincount(code[members], minlength=len(names) + 1).tolist()[:-1], int(members.sum()))
        for name, members in parts
    ]
    return pd.DataFrame(rows, columns=["class", *names, "total"])


def _splits_table(images: ImageSet) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(
        {
            "id": pd.Series(images.ids, dtype="str"),
            "label": pd.Series([images.label_name(row) for row in range(len(images))], dtype="str"),
            "split": pd.Series(images.splits, dtype="str"),
            "group": images.groups,
        }
    )


def _split_notes(
    images: ImageSet,
    config: SplitConfig,
    fixed: np.ndarray,
    counts: pd.DataFrame,
    per_class: int | None,
    previous: Path | None,
) -> list[str]:
    """What a person should know of how it was split."""
    notes = []
    kept = int((fixed >= 0).sum())
    if previous is not None:
        notes.append(f"the splits are those of {previous}; --fresh makes new ones")
    elif kept:
        rest = sum(map(bool, images.splits or ())) - kept
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
        taking_part = counts[[*NAMES]].sum(axis=1) > 0
        absent = counts.loc[(counts[name] == 0) & taking_part & (counts["class"] != "(no label)"), "class"]
        if share and len(absent) and (counts[name] > 0).any():
            why = ": too few groups of it" if kept < len(images) else ""
            notes.append(f"{name} has no image of {_listed(absent.tolist())}{why}{_ABSENT.get(name, '')}")
    return notes


_ABSENT = {"train": "; what is not there is not learned", "test": "; their recall is not measured"}


def _listed(names: Sequence[str], at_most: int = 5) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{', '.join(names[:at_most])}{more}"


# On disk


def _write_splits_file(images: ImageSet, path: Path) -> None:
    """splits.csv. Of files it is a list of them, which `read` takes."""
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


def _proof(division: Divided, path: Path) -> Proof:
    """Read the file back, and look for groups of each kind, and for equal pictures, in more than one split."""
    images = division.images
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    split_of = {row["id"]: row["split"] for row in rows}
    splits = [split_of.get(name, "") for name in images.ids]
    as_meant = len(rows) == len(images) and tuple(splits) == images.splits
    written = [row["group"] for row in rows] if rows and "group" in rows[0] else [""] * len(rows)
    torn = len(torn_groups(division.pictures.tolist(), splits))
    set_groups = [] if division.set_groups is None else division.set_groups.tolist()
    crossings = sum(
        len(torn_groups(groups, sides))
        for groups, sides in (
            (division.copies.tolist(), splits),
            (set_groups, splits if set_groups else []),
            ([group or NO_GROUP for group in written], [row["split"] for row in rows]),
        )
    )
    if not as_meant or crossings or torn:
        path.unlink(missing_ok=True)
        raise OutputError(f"{path} was read back with other splits than were written, and was removed. Split again.")
    sizes = Counter(written)
    alone = sizes.pop("", 0)
    repeated = int((np.bincount(division.pictures) > 1).sum())
    return Proof(alone + len(sizes), len(sizes), crossings, repeated, torn)
