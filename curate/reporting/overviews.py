"""Overview: all that a scan is told by beside its pictures, as data. The page, the review and notebooks show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..findings import CATALOGUE, DROP, KEEP, REVIEW, SEVERITY, THRESHOLD, Outcome, Story, found_by_check
from ..reviews import likely_right
from ..scans import CleaningEffect, content_digest
from ..sets.classes import joined_names
from ..sets.imageset import NO_GROUP
from ..stage.errors import DataError
from ..stage.lines import printable
from ..stage.manifest import versions
from ..stage.records import read_record
from ..verdicts import left_out
from .base import settings_of
from .strips import strip

if TYPE_CHECKING:
    import pandas as pd

    from ..scans import Scan

OVERVIEW = "overview.json"
FORMAT = 1
VERDICTS = (KEEP, REVIEW, DROP)
TOLD = 30  # stories at most
_LED_BY = 3  # rows of pictures beside the sentences of the head
_LOOKED_AT = 48  # of a check without a story: its likeliest rows, of which some are shown
_NAMED = 3  # checks that a sentence names
_PACKAGES = ("trustset", "numpy", "scikit-learn", "opencv-python-headless", "umap-learn", "keras", "openvino")

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CheckSummary:
    """What one check found.

    threshold  the score from which it speaks
    rows       that it flags, 0 where it speaks of the whole set;  findings  of them, on the whole set too
    right      how many of them are likely right, None where nothing says it
    keep, review, drop  verdicts of its rows, whichever check asked for them
    """

    name: str
    title: str
    looks_for: str
    colour: str
    threshold: float
    findings: int
    rows: int
    groups: int
    right: float | None
    keep: int
    review: int
    drop: int


@dataclass(frozen=True)
class StorySummary:
    """A story in words, and the rows whose pictures stand beside it, those of one picture together."""

    check: str
    title: str
    group: int
    sentence: str
    rows: int
    strip: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class ClassSummary:
    """How many images of a class have each verdict; the name is "" of those without a label."""

    name: str
    images: int
    keep: int
    review: int
    drop: int


@dataclass(frozen=True)
class Overview:
    """What a scan says of a set as a whole.

    scan          the digest of the set's ids, labels and pixels;  describe  its pictures in words
    images        how many there are;  labelled  whether any has a label;  files  whether it is one of files
    keep, review, drop  images of each verdict
    silent        titles of the checks that looked and found nothing
    not_checked   (titles, why they could not say anything)
    untold        stories beyond those that are here
    leading       what stands beside the head: of the checks with most to say a story, or pictures of what they found
    decided       images that a person has decided on
    following     the command that follows, "" where none does
    written       (file beside the page, what it holds)
    """

    format: int
    name: str
    source: str
    scan: str
    describe: str
    images: int
    labelled: bool
    files: bool
    embedder: str
    strict: bool
    mapped: bool
    keep: int
    review: int
    drop: int
    review_budget: int | None
    checks: tuple[CheckSummary, ...]
    silent: tuple[str, ...]
    not_checked: Pairs
    stories: tuple[StorySummary, ...]
    untold: int
    leading: tuple[StorySummary, ...]
    classes: tuple[ClassSummary, ...]
    effect: CleaningEffect | None
    notes: tuple[str, ...]
    alarm: str
    decided: int
    following: str
    reading: Pairs
    settings: Pairs
    packages: Pairs
    timings: Pairs
    written: Pairs

    @property
    def verdicts(self) -> dict[str, int]:
        """verdict -> images."""
        return {KEEP: self.keep, REVIEW: self.review, DROP: self.drop}


def overview_of(scan: Scan, following: str = "") -> Overview:
    """What a scan says as a whole.

    following  the command that follows it
    """
    findings = scan.findings.reset_index(drop=True)
    outcomes, right = found_by_check(findings, scan.table), likely_right(findings)
    checks = in_order(findings)
    stories = scan.stories[:TOLD]
    config, images = scan.config, scan.images
    return Overview(
        format=FORMAT,
        name=images.source.name,
        source=str(images.source.path),
        scan=content_digest(scan.table),
        describe=images.describe,
        images=len(scan.table),
        labelled=images.labelled,
        files=images.source.kind == "files",
        embedder=scan.embedder,
        strict=config.strict,
        mapped=bool(scan.table[["x", "y"]].notna().all(axis=1).any()),
        **_verdict_counts(scan.table["verdict"]),
        review_budget=config.review_budget,
        checks=tuple(_check_summary(name, outcomes[name], right.get(name), config.thresholds) for name in checks),
        silent=tuple(words_of(name)[0] for name in SEVERITY if name not in {*checks, *scan.not_checked}),
        not_checked=tuple(_not_checked(scan.not_checked)),
        stories=tuple(_story_summary(story, scan.table) for story in stories),
        untold=len(scan.stories) - len(stories),
        leading=tuple(_leading(scan, findings, outcomes)),
        classes=tuple(_classes(scan.balance)),
        effect=scan.effect,
        notes=tuple(note for note in scan.notes if note not in left_out(scan.not_checked)),
        alarm=scan.alarm,
        decided=len(scan.decided),
        following=following,
        reading=tuple((topic.name, topic.text) for topic in images.source.topics),
        settings=(("source", str(images.source.path)), ("embedder", scan.embedder or "none"), *settings_of(config)),
        packages=tuple(versions(_PACKAGES).items()),
        timings=tuple((name, f"{seconds:.2f} s") for name, seconds in scan.timings.items()),
        written=tuple(_files_written(scan)),
    )


def read_overview(folder: Path) -> Overview:
    """The overview in a scan's folder. Raises DataError where the scan is of a version that wrote none, or another."""
    path, remedy = folder / OVERVIEW, "Run `curate scan` again: decisions are kept."
    if not path.exists():
        raise DataError(f"{path} is missing: this scan is of an earlier version of Trustset. {remedy}")
    overview = read_record(Overview, path, remedy)
    if overview.format != FORMAT:
        raise DataError(f"{path} is of format {overview.format}, and {FORMAT} is what can be read here. {remedy}")
    return overview


def words_of(check: str) -> tuple[str, str]:
    """The title of a check's findings, and what it looks for; of one that is not in the catalogue its name."""
    entry = CATALOGUE.get(check)
    return (entry.title, entry.looks_for) if entry else (check.replace("_", " ").capitalize(), "")


# The head


def lead(overview: Overview) -> list[str]:
    """What is wrong with the set and what to do next, in three sentences."""
    return [_certain(overview), _doubtful(overview), _next_step(overview)]


def untested(overview: Overview) -> str:
    """What was not tested, and why, as a sentence; "" where all was."""
    parts = [f"{titles} ({reason})" for titles, reason in overview.not_checked]
    return f"Not tested: {'; '.join(parts)}." if parts else ""


def meaning(effect: CleaningEffect) -> str:
    """What the accuracy of the label probe says of cleaning."""
    if effect.before < effect.low:
        return "Cleaning helps."
    if effect.before > effect.high:
        return "Cleaning does not help here: look at what is dropped."
    return "No clear change, which says nothing against cleaning: few errors hardly move a probe."


def _certain(overview: Overview) -> str:
    if not overview.drop:
        return "Nothing is wrong for certain, and nothing is dropped."
    share = f"{_rows(overview.drop)} ({100 * overview.drop / overview.images:.1f}\N{NO-BREAK SPACE}%)"
    verb = "is" if overview.drop == 1 else "are"
    return f"{share} {verb} wrong for certain and left out of the clean set: {_named(overview, DROP)}."


def _doubtful(overview: Overview) -> str:
    if not overview.review:
        return "Nothing is left for you to review."
    await_ = "awaits" if overview.review == 1 else "await"
    place = "left out until you decide" if overview.strict else "kept until you decide"
    return f"{_rows(overview.review)} {await_} your review, {place}: {_named(overview, REVIEW)}."


def _named(overview: Overview, verdict: str) -> str:
    """ "label errors (143), colour casts (62) and 3 kinds more": the checks with most rows of a verdict."""
    counts = sorted(((getattr(check, verdict), check.title) for check in overview.checks), key=lambda pair: -pair[0])
    present = [f"{title.lower()} ({count:,})" for count, title in counts if count]
    kinds = len(present) - _NAMED
    more = [f"{kinds} more kind{'s' if kinds > 1 else ''}"] if kinds > 0 else []
    return joined_names([*present[:_NAMED], *more])


def _next_step(overview: Overview) -> str:
    following = f"`{overview.following}`" if overview.following else ""
    if overview.review:
        return "Decide on them below, or with `curate review`" + (f"; then type {following}." if following else ".")
    return f"Next, type {following}." if following else "There is nothing to type next."


def _rows(n: int) -> str:
    return f"{n:,} image" if n == 1 else f"{n:,} images"


# Parts


def in_order(findings: pd.DataFrame) -> list[str]:
    """The checks that found something, the most serious first: it gives a row its colour on the map."""
    order = {name: i for i, name in enumerate(SEVERITY)}
    return sorted(findings["check"].unique(), key=lambda name: (order.get(name, len(order)), name))


def _verdict_counts(verdicts: pd.Series[str]) -> dict[str, int]:
    counts = verdicts.value_counts()
    return {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS}


def _check_summary(name: str, outcome: Outcome, right: float | None, thresholds: Mapping[str, float]) -> CheckSummary:
    title, looks_for = words_of(name)
    return CheckSummary(
        name=name,
        title=title,
        looks_for=looks_for,
        colour=CATALOGUE[name].colour if name in CATALOGUE else "#868e96",
        threshold=thresholds.get(name, THRESHOLD),
        findings=sum(outcome.verdicts.values()),
        rows=outcome.rows,
        groups=outcome.groups,
        right=right,
        keep=outcome.verdicts.get(KEEP, 0),
        review=outcome.verdicts.get(REVIEW, 0),
        drop=outcome.verdicts.get(DROP, 0),
    )


def _not_checked(reasons: Mapping[str, str]) -> list[tuple[str, str]]:
    """(titles of checks that could not say anything, why), a pair for each reason."""
    titles: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        titles.setdefault(reason, []).append(words_of(name)[0].lower())
    return [(", ".join(names), reason) for reason, names in titles.items()]


def _story_summary(story: Story, table: pd.DataFrame) -> StorySummary:
    together: Sequence[Sequence[int]] = strip(story, table)
    return StorySummary(
        check=story.check,
        title=words_of(story.check)[0],
        group=story.group,
        sentence=printable(story.sentence),
        rows=len(story.rows),
        strip=tuple(tuple(int(row) for row in rows) for rows in together),
    )


def _leading(scan: Scan, findings: pd.DataFrame, outcomes: Mapping[str, Outcome]) -> list[StorySummary]:
    """Of the checks that flag most rows the weightiest story, or else the likeliest of what they flag."""
    leading = []
    for check in sorted(outcomes, key=lambda name: -outcomes[name].rows)[:_LED_BY]:
        stories = [story for story in scan.stories if story.check == check and any(row >= 0 for row in story.rows)]
        if not stories and outcomes[check].rows:
            own = findings[(findings["check"] == check) & (findings["row"] >= 0)]
            own = own.sort_values(["chance", "score"], ascending=False, kind="stable")
            rows = tuple(int(row) for row in own["row"].head(_LOOKED_AT))
            title = f"{words_of(check)[0]}: {outcomes[check].rows:,}"
            stories = [Story(check, NO_GROUP, rows, title, 0.0)]
        leading += [_story_summary(story, scan.table) for story in stories[:1]]
    return leading


def _classes(balance: pd.DataFrame) -> list[ClassSummary]:
    return [
        ClassSummary(str(row["name"]), int(row["images"]), int(row["kept"]), int(row["review"]), int(row["dropped"]))
        for row in balance.to_dict("records")
    ]


def _files_written(scan: Scan) -> list[tuple[str, str]]:
    """The files that lie beside the page, and what each holds."""
    if scan.config.artifacts is None:
        return []
    clean = "../clean.csv" if scan.images.source.kind == "files" else "../clean.npz"
    kept = "the rows that are kept" + ("" if scan.config.strict else ", and those that await review")
    return [
        (clean, kept),
        ("images.parquet", "one row per image: verdict, group, place on the map, the score of every check"),
        ("findings.parquet", "one row per suspicion, with its reason"),
        ("pairs.parquet", "pairs of duplicates that stood verification"),
        ("embeddings.npy", "the vectors that images were compared by"),
        (OVERVIEW, "what the head of this page says, as data"),
        ("manifest.json", "configuration, digests and versions, to repeat this scan"),
    ]
