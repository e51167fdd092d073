"""apply, undo: the clean set of a scan as it follows from a person's decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .configs import ApplyConfig
from .deciding import holding_of
from .decisions import RELABEL, Decision, History, append_decisions, decisions_path, now, read_history
from .findings import BESIDE_THE_KEPT, DROP, KEEP, REVIEW
from .measuring.hashing import changed_pictures
from .scans import Scanned, directed, open_scan
from .sets.imageset import NO_GROUP, ImageSet, held_out_rank
from .sets.reading import read_as
from .sets.writing import write_clean
from .stage.errors import DataError
from .stage.locks import holding
from .stage.progress import Reporter, Silent
from .stage.shortness import short_repr


@dataclass(frozen=True)
class Applied:
    """The clean set as it was written.

    rows                    images in it: what is kept and, unless strict, what awaits review
    kept, dropped, review   images of each verdict, decisions included
    decided                 images on which a decision counted
    """

    path: Path
    rows: int
    kept: int
    dropped: int
    review: int
    decided: int
    notes: tuple[str, ...] = ()

    __repr__ = short_repr


@dataclass(frozen=True)
class Undone:
    """The decisions that were taken back, the latest first, and the clean set without them."""

    taken_back: tuple[Decision, ...]
    standing: Mapping[str, Decision]
    applied: Applied

    __repr__ = short_repr


def apply(artifacts: Path, config: ApplyConfig = ApplyConfig(), reporter: Reporter = Silent()) -> Applied:
    """Write the clean set of artifacts/scan anew, a person's decisions over the scan's verdicts.

    One command does so at a time: others wait, and count what was decided meanwhile.

    Nothing else is written; the tables of the scan keep its own verdicts. Raises DataError where the source has
    moved or is no longer what was scanned, or where no image would be left; OutputError where nothing can be written.
    """
    with holding(Path(artifacts), say=reporter.say):
        scan = open_scan(Path(artifacts) / "scan")
        images, notes = read_again(scan, config)
        return _write_clean_set(scan, images, config, read_history(decisions_path(artifacts)), notes)


def undo(artifacts: Path, count: int = 1, config: ApplyConfig = ApplyConfig(), reporter: Reporter = Silent()) -> Undone:
    """Take back the last `count` decisions that still stand, and write the clean set anew.

    For each a line {"undo": line, "when": ...} is appended, which names the line of the decision; nothing is erased,
    and an earlier decision on the image counts again. Raises DataError where fewer stand, or where the source is not
    what was scanned: then nothing is taken back.
    """
    if count < 1:
        raise DataError(f"cannot take back {count} decisions. Give a number from 1.")
    with holding(Path(artifacts), say=reporter.say):
        return _undone(artifacts, count, config)


def _undone(artifacts: Path, count: int, config: ApplyConfig) -> Undone:
    scan = open_scan(Path(artifacts) / "scan")
    path = decisions_path(artifacts)
    past = read_history(path)
    _last(past, count, path)  # before the source is read: most likely to fail, and cheap
    images, notes = read_again(scan, config)
    undone: list[Decision] = []

    def entries(history: History) -> list[dict[str, object]]:
        undone[:] = _last(history, count, path)
        return [{"undo": decision.line, "when": now()} for decision in undone]

    history = append_decisions(path, entries)
    return Undone(tuple(undone), history.standing, _write_clean_set(scan, images, config, history, notes))


def _last(history: History, count: int, path: Path) -> list[Decision]:
    """The last `count` decisions that stand, the latest first."""
    if not history.decisions:
        raise DataError(f"there is nothing to undo: no decision stands in {path}.")
    if count > len(history.decisions):
        plural = "decision stands" if len(history.decisions) == 1 else "decisions stand"
        raise DataError(f"cannot take back {count}: only {len(history.decisions)} {plural} in {path}.")
    return history.decisions[: -count - 1 : -1]


# The clean set


def read_again(scan: Scanned, config: ApplyConfig) -> tuple[ImageSet, list[str]]:
    """The set that was scanned, and notes on it. Raises DataError where it is not what it was."""
    source = Path(scan.manifest.source)
    if not source.exists():
        raise DataError(
            f"{source} is not where it was scanned. Put it back, or scan it where it is now "
            "(`curate scan PATH`): decisions are kept."
        )
    images = read_as(source, directed(scan.manifest, source, config.labels))
    table = scan.table
    again = f"Scan it again (`curate scan {source}`): decisions are kept."
    if len(images) != len(table):
        raise DataError(f"{source} holds {len(images):,} images, but {len(table):,} were scanned. {again}")
    ids = table["id"].tolist()
    if list(images.ids) != ids:
        row = next(row for row, (a, b) in enumerate(zip(images.ids, ids, strict=True)) if a != b)
        raise DataError(f"{source}: image {row} is {images.ids[row]}, but {ids[row]} was scanned. {again}")
    names = table["label_name"].tolist()
    relabelled = [row for row in range(len(images)) if images.label_name(row) != names[row]]
    if relabelled and images.source.kind != "files":
        raise DataError(
            f"{source}: the label of image {ids[relabelled[0]]} is "
            f"{images.label_name(relabelled[0]) or 'missing'}, but was {names[relabelled[0]] or 'missing'} when it "
            f"was scanned; {len(relabelled):,} labels differ. {again}"
        )
    changed = changed_pictures(images, table["digest"].tolist())
    if changed:
        raise DataError(f"{source}: image {ids[changed[0]]} has other pixels than when it was scanned. {again}")
    notes = []
    if relabelled:
        plural = "label differs" if len(relabelled) == 1 else "labels differ"
        notes.append(f"{len(relabelled):,} {plural} from those that were scanned, such as of {ids[relabelled[0]]}")
    return images, notes


def _verdicts(scan: Scanned, config: ApplyConfig) -> tuple[np.ndarray, np.ndarray]:
    """Two of (N,) keep, drop or review, without decisions: the gravest action on each row, and the gravest that is for
    a fault of its own."""
    findings = scan.findings
    action = findings["action"].to_numpy(dtype=object).copy()
    action[(action == DROP) & findings["check"].isin(config.review)] = REVIEW
    action[findings["check"].isin(config.drop)] = DROP
    rows = findings["row"].to_numpy()
    alone = ~findings["check"].isin(BESIDE_THE_KEPT).to_numpy()
    verdicts = tuple(np.full(len(scan.table), KEEP, dtype=object) for _ in range(2))
    for verdict, counts in zip(verdicts, (rows >= 0, (rows >= 0) & alone), strict=True):
        for name in (REVIEW, DROP):
            verdict[rows[(action == name) & counts]] = name
    return verdicts[0], verdicts[1]


def _in_set(verdict: np.ndarray, strict: bool) -> np.ndarray:
    """bool (N,): rows that are in the clean set by their verdict."""
    return np.asarray((verdict == KEEP) | ((verdict == REVIEW) & (not strict)), bool)


def _stand_ins(scan: Scanned, stays: np.ndarray, free: np.ndarray) -> np.ndarray:
    """int64: a row of each group of copies of which none stays: the best of those that may take its place.

    stays  bool (N,): rows in the clean set;  free  bool (N,): rows that are not, but for being copies

    The best is the one in the most precious split, then the one most like the copy that would have been kept.
    """
    group = scan.table["group"].to_numpy(np.int64)
    lost = ~np.isin(group, group[stays]) & (group != NO_GROUP)
    rows = np.flatnonzero(free & lost)
    of_copies = scan.findings[scan.findings["check"].isin(BESIDE_THE_KEPT)]
    likeness = of_copies.groupby("row")["score"].max().reindex(rows).to_numpy()
    order = np.lexsort((rows, -likeness, -held_out_rank(scan.table["split"].tolist())[rows], group[rows]))
    rows = rows[order]
    return np.asarray(rows[np.unique(group[rows], return_index=True)[1]], np.int64)


def _told_of_stand_ins(images: ImageSet, rows: np.ndarray) -> str:
    subject = "1 copy stays" if len(rows) == 1 else f"{len(rows):,} copies stay"
    return (
        f"{subject} in place of one that leaves, for of each picture one stays, such as {images.ids[rows[0]]}; "
        "drop that too (--drop-id ID) to be rid of the picture"
    )


def _write_clean_set(
    scan: Scanned, images: ImageSet, config: ApplyConfig, history: History, notes: Sequence[str]
) -> Applied:
    remarks = [*notes, *history.notes]
    verdict, own = _verdicts(scan, config)
    held = holding_of(scan.roster, history)
    remarks += held.notes
    decided = np.zeros(len(verdict), bool)
    for row, decision in held.decisions.items():
        verdict[row] = KEEP if decision.action == RELABEL else decision.action
        decided[row] = True
    strict = bool(scan.manifest.config.strict) if config.strict is None else config.strict
    inside = _in_set(verdict, strict)
    stand_ins = _stand_ins(scan, inside, ~inside & ~decided & _in_set(own, strict))
    verdict[stand_ins] = own[stand_ins]
    if len(stand_ins):
        remarks.append(_told_of_stand_ins(images, stand_ins))
    keep = _in_set(verdict, strict)
    blind = keep & (scan.table["digest"] == "").to_numpy()
    if blind.any():
        remarks.append(f"{blind.sum():,} images that cannot be decoded are left out in any case")
        keep &= ~blind
    if not keep.any():
        raise DataError(
            f"no image would be left: {(verdict == DROP).sum():,} of {len(verdict):,} are dropped, "
            f"{(verdict == REVIEW).sum():,} await review. Keep some (--keep-id ID), or drop fewer checks."
        )
    path = write_clean(images, keep.astype(bool), scan.folder.parent)
    kept, dropped, review = (int((verdict == name).sum()) for name in (KEEP, DROP, REVIEW))
    return Applied(path, int(keep.sum()), kept, dropped, review, len(held.decisions), tuple(remarks))
