"""apply, undo: the clean set of a scan as it follows from a person's decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .configs import ApplyConfig
from .deciding import holding_of
from .decisions import Decision, History, append_decisions, decisions_path, now, read_history
from .findings import DROP, KEEP, REVIEW
from .measuring.hashing import changed_pictures
from .outcomes import Tables, outcome_of
from .scans import Scanned, directed, open_scan, read_pairs, write_relabelled
from .sets.imageset import NO_GROUP, ImageSet
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
    relabelled              images that have another class than they were given
    decisions               kind of decision -> how many hold
    """

    path: Path
    rows: int
    kept: int
    dropped: int
    review: int
    decided: int
    notes: tuple[str, ...] = ()
    relabelled: int = 0
    decisions: Mapping[str, int] = field(default_factory=dict)

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
    remarks = [*notes, *_still_apart(scan, undone)]
    return Undone(tuple(undone), history.standing, _write_clean_set(scan, images, config, history, remarks))


def _still_apart(scan: Scanned, undone: Sequence[Decision]) -> list[str]:
    """A note on images that the scan itself has as no copies, by a decision that was taken back after it."""
    group, row_of = scan.table["group"].tolist(), scan.roster.row_of
    for decision in undone:
        numbers = [group[row_of[name]] for name in decision.ids if name in row_of]
        if len(set(numbers)) > 1 or NO_GROUP in numbers:
            return [
                f"{' and '.join(decision.ids[:2])} were told apart when the set was scanned: scan again to have them "
                "compared"
            ]
    return []


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


def _write_clean_set(
    scan: Scanned, images: ImageSet, config: ApplyConfig, history: History, notes: Sequence[str]
) -> Applied:
    held = holding_of(scan.roster, history)
    strict = bool(scan.manifest.config.strict) if config.strict is None else config.strict
    pairs = read_pairs(scan.folder) if held.apart else None
    tables = Tables(scan.table, scan.findings, pairs, scan.manifest.config.review)
    outcome = outcome_of(tables, held, replace(config, strict=strict))
    remarks = [*notes, *history.notes, *held.notes, *outcome.notes]
    if outcome.blind:
        remarks.append(f"{outcome.blind:,} images that cannot be decoded are left out in any case")
    kept, dropped, review = (int((outcome.verdict == name).sum()) for name in (KEEP, DROP, REVIEW))
    if not outcome.clean.any():
        raise DataError(
            f"no image would be left: {dropped:,} of {len(images):,} are dropped, {review:,} await review. Keep some "
            "(--keep-id ID), or drop fewer checks."
        )
    labels = {row: images.classes.index(name) for row, name in outcome.relabelled.items()}
    path = write_clean(images, outcome.clean, scan.folder.parent, labels)
    write_relabelled(scan, outcome.relabelled)
    rows = int(outcome.clean.sum())
    return Applied(path, rows, kept, dropped, review, len(held.decisions), tuple(remarks), len(labels), held.kinds)
