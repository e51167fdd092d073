"""A scan and its folder, artifacts/scan: what a scan found, written and read again."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .configs import ScanConfig
from .findings import DROP, KEEP, REVIEW, SEVERITY, Story
from .reviews import likely_right
from .sets.directions import LEFT_OPEN, Directions, Reading
from .sets.imageset import UNLABELLED, ImageSet, described
from .sets.scaling import Decoding, Scale
from .sets.writing import clean_path, draft_clean, place_clean
from .stage.columns import INTEGER, NUMBER, TEXT, column_fault
from .stage.drafts import scratch_of
from .stage.errors import DataError, OutputError, gist
from .stage.files import check_writable, put_in_place, refusals, room, write_npy, write_parquet, write_text
from .stage.lines import counted
from .stage.locks import holding
from .stage.manifest import (
    FILE,
    Manifest,
    Output,
    check_outputs,
    file_digest,
    outputs_of,
    read_manifest,
    versions_in_use,
    write_manifest,
)
from .stage.options import elsewhere
from .stage.progress import Reporter, Stopwatch
from .stage.records import OPTIONAL
from .stage.shortness import one_line, short_repr

if TYPE_CHECKING:
    import pandas as pd

# Columns of the tables of a scan. images.parquet has a score of each check besides, "<check>_score", a NUMBER.
IMAGES = {
    "row": INTEGER, "id": TEXT, "label": INTEGER, "label_name": TEXT, "split": TEXT, "digest": TEXT, "group": INTEGER,
    "verdict": TEXT, "x": NUMBER, "y": NUMBER,
}  # fmt: skip
FINDINGS = {
    "row": INTEGER, "id": TEXT, "check": TEXT, "score": NUMBER, "group": INTEGER, "action": TEXT, "because": TEXT,
}  # fmt: skip
RELABELLED = "relabelled_to"  # a TEXT of images.parquet, "" for none, where a person relabelled a row of the set
# Columns of findings.parquet that earlier scans have not: type, and what stands for it there.
LATER_COLUMNS: Mapping[str, tuple[str, object]] = {"chance": ("float32", math.nan), "suggested": ("str", "")}
PAIRS = {"row_a": INTEGER, "row_b": INTEGER, "kind": TEXT, "distance": NUMBER}

# Of a scan's folder, the manifest last.
FILES = (
    "images.parquet", "findings.parquet", "pairs.parquet", "embeddings.npy", "overview.json", "report.html", FILE,
)  # fmt: skip


_OTHERS = {"embeddings": "embeddings.npy", "overview": "overview.json", "report": "report.html"}


@dataclass(frozen=True)
class CleaningEffect:
    """Out-of-fold accuracy of one linear probe, fitted on all rows and on the clean ones.

    Both are measured on the same `rows` rows of the clean set, each held out with its whole duplicate group.
    low, high: 95 % interval of `after`, by bootstrap over groups.
    """

    before: float
    after: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True, eq=False)
class Scan:
    """What a scan found.

    table       images.parquet: one row per image, in input order
    findings    findings.parquet: one row per suspicion, label conflicts first
    pairs       pairs.parquet: duplicate pairs that stood verification
    embeddings  float16 (N, D), L2-normalised
    stories     groups of findings in words, the most telling first
    balance     per class: name, images, kept, dropped, review
    effect      did cleaning help? None where there are no labels to tell by
    notes       what was left out and why, how the input was read
    embedder    what embedded: "MobileNetV2-0.35 (ImageNet), 160 px, OpenVINO on the CPU";  embedder_digest  of it
    timings     seconds of each stage
    not_checked  check -> why it could not say anything: "no labels", "no splits"
    decided     row -> keep, drop, review or relabel: decisions of a person that hold, which the clean set follows
    outcome     str (N,): keep, drop or review once they count; None where the verdicts of the table are the last word
    told_apart  decisions that hold and say that images are no copies of each other
    alarm       what has to be known before all else, the first of the notes; "" where all is plausible
    probabilities_digest  of the file of a person's own probabilities, None where there is none
    """

    images: ImageSet
    config: ScanConfig
    table: pd.DataFrame
    findings: pd.DataFrame
    pairs: pd.DataFrame
    embeddings: np.ndarray
    stories: tuple[Story, ...]
    balance: pd.DataFrame
    effect: CleaningEffect | None
    notes: tuple[str, ...]
    embedder: str
    embedder_digest: str
    timings: Mapping[str, float]
    not_checked: Mapping[str, str] = field(default_factory=dict)
    decided: Mapping[int, str] = field(default_factory=dict)
    outcome: np.ndarray | None = None
    told_apart: int = 0
    alarm: str = ""
    probabilities_digest: str | None = None

    def __repr__(self) -> str:
        counts = self.table["verdict"].value_counts()
        kept, dropped, review = (int(counts.get(name, 0)) for name in (KEEP, DROP, REVIEW))
        checks = self.findings["check"].nunique()
        place = "not written" if self.folder is None else f"in {one_line(str(self.folder))}"
        return (
            f"<Scan of {one_line(described(self.images))}\n"
            f"{kept:,} kept, {dropped:,} dropped, {review:,} to review; "
            f"{counted(len(self.findings), 'finding')} of {counted(checks, 'check')}; {place}>"
        )

    @property
    def folder(self) -> Path | None:
        """Where it was written: its tables, its report, its manifest; None where nothing was."""
        return None if self.config.artifacts is None else Path(self.config.artifacts, "scan")

    @property
    def clean(self) -> np.ndarray:
        """bool (N,): rows of the clean set."""
        verdict = self.table["verdict"].to_numpy() if self.outcome is None else self.outcome
        keep = (verdict == KEEP) | ((verdict == REVIEW) & (not self.config.strict))
        # What cannot be read cannot be kept, whatever was asked for.
        return np.asarray(keep & (self.table["digest"] != "").to_numpy(), bool)

    @property
    def decisions(self) -> dict[str, int]:
        """kind of decision -> how many hold."""
        counts = Counter(self.decided.values())
        counts["not_copies"] = self.told_apart
        return {
            action: counts[action] for action in ("keep", "drop", "review", "relabel", "not_copies") if counts[action]
        }

    @property
    def relabelled(self) -> dict[int, int]:
        """row -> index of the class that a person gave it."""
        return {row: self.images.classes.index(name) for row, name in relabelled_of(self.table).items()}


@dataclass(frozen=True, kw_only=True)
class ScanManifest(Manifest):
    """manifest.json of a scan.

    input_digest     of the set's ids, labels and pixels (see content_digest)
    embedder         what embedded, in words;  embedder_digest  of its weights, or of the file of embeddings
    probabilities_digest  of the file of a person's own probabilities
    effect           did cleaning help? None where there are no labels to tell by
    scale            kind of values -> the scale that they were read by; None of a scan of before there was one
    likely_right     check -> how many of its findings are likely right (see reviews); None likewise
    """

    COMMAND: ClassVar[str] = "curate scan"

    stage: str = "scan"
    config: ScanConfig
    embedder: str
    embedder_digest: str
    effect: CleaningEffect | None
    scale: Mapping[str, Scale] | None = field(default=None, metadata=OPTIONAL)
    likely_right: Mapping[str, float] | None = field(default=None, metadata=OPTIONAL)
    probabilities_digest: str | None = field(default=None, metadata=OPTIONAL)

    __repr__ = short_repr

    @property
    def decoding(self) -> Decoding:
        """How the pictures were read, for whoever reads them again."""
        return Decoding(self.scale or {}, self.config.max_pixels)


@contextmanager
def scan_draft(images: ImageSet, artifacts: Path, reporter: Reporter) -> Iterator[Path]:
    """The folder that a scan is drafted in; at the end all of it comes to artifacts/scan, and the clean set beside it.

    One scan has it at a time. What was there before is whole until then; from the moment when its manifest goes to that
    when the new one comes there is no finished scan. Raises DataError where another scan is under way or the input has
    changed meanwhile, OutputError where nothing can be written, or what the set was made from would be overwritten.
    """
    if (artifacts / "built").resolve() in (images.source.path.resolve(), *images.source.path.resolve().parents):
        raise OutputError(
            f"{images.source.path} was built from {artifacts}, whose scan would be overwritten. Write elsewhere "
            "(--artifacts DIR)."
        )
    folder = artifacts / "scan"
    with scratch_of(folder, "scan") as draft:
        clean = clean_path(images, artifacts)
        if clean.is_dir():
            raise OutputError(
                f"cannot write {clean}: there is a folder of that name. Rename it, or write elsewhere "
                "(--artifacts DIR)."
            )
        if folder.exists():
            check_writable(folder / FILE)
        yield draft
        with holding(artifacts, say=reporter.say), refusals(folder, draft):
            _place(draft, artifacts)


def _place(draft: Path, artifacts: Path) -> None:
    """Put a drafted scan in its place: the manifest of the one before goes first, that of the new one comes last."""
    folder, before = artifacts / "scan", draft / "before"
    folder.mkdir(exist_ok=True)
    if (folder / FILE).exists():
        (folder / FILE).replace(before)
    try:
        place_clean(draft, artifacts)
    except OSError:
        if before.exists():
            before.replace(folder / FILE)
        raise
    for name in FILES:
        (draft / name).replace(folder / name)


def in_clean_set(result: Scan) -> pd.DataFrame:
    """The rows of images.parquet that are in the clean set: what cannot be read is not, whatever was asked for."""
    return result.table[result.clean]


def following(result: Scan, artifacts: Path) -> str | None:
    """The command that follows a scan; None where there are no two classes, which a model could tell apart."""
    kept = in_clean_set(result)
    labels, splits = kept["label"], set(kept["split"])
    if labels[labels >= 0].nunique() < 2:
        return None
    # Splits of other names are kept, and leave nothing to train on.
    fresh = "" if splits & {"", "train"} else " --fresh"
    return f"augment build --policy heavy{fresh}{elsewhere(artifacts)}"


def write_scan(
    result: Scan, documents: Mapping[str, str], artifacts: Path, draft: Path, watch: Stopwatch, reporter: Reporter
) -> None:
    """Write a scan and its clean set into the folder `draft` (see scan_draft).

    documents  the texts of "overview", JSON, and of "report", HTML
    """
    tables = {"images": result.table, "findings": result.findings, "pairs": result.pairs}
    outputs = {name: draft / f"{name}.parquet" for name in tables}
    outputs |= {name: draft / file for name, file in _OTHERS.items()}
    with watch.stage("writing"), reporter.stage("writing", len(outputs) + 1, "files") as advance:
        for i, (name, table) in enumerate(tables.items()):
            write_parquet(table, outputs[name])
            advance(i + 1)
        write_npy(result.embeddings, outputs["embeddings"])
        for name, text in documents.items():
            write_text(text, outputs[name])
        advance(len(outputs))
        clean = draft_clean(result.images, result.clean, draft, artifacts, result.relabelled)
        advance(len(outputs) + 1)
    write_manifest(_manifest_of(result, {**outputs_of(outputs), "clean": clean}, watch), draft)


def _manifest_of(result: Scan, outputs: Mapping[str, Output], watch: Stopwatch) -> ScanManifest:
    counts = result.table["verdict"].value_counts().to_dict() | result.findings["check"].value_counts().to_dict()
    return ScanManifest(
        source=str(result.images.source.path.resolve()),
        input_digest=content_digest(result.table),
        config=result.config,
        seed=result.config.seed,
        outputs=outputs,
        counts={
            "images": len(result.table),
            **{name: int(counts.get(name, 0)) for name in (KEEP, DROP, REVIEW, *SEVERITY)},
        },
        timings=dict(watch.seconds),
        versions=versions_in_use(),
        embedder=result.embedder,
        embedder_digest=result.embedder_digest,
        effect=result.effect,
        scale=result.images.source.decoding.scale,
        likely_right=likely_right(result.findings),
        probabilities_digest=result.probabilities_digest,
    )


def directed(manifest: ScanManifest, source: Path, labels: str | None) -> Reading:
    """How a set is to be read: as it was scanned, if it was that, and with other labels, where some are given.

    Pixels are read as the scan read them in any case.
    """
    scanned = Directions.of(manifest.config) if Path(manifest.source) == source.resolve() else LEFT_OPEN
    reading = Reading(**vars(scanned), decoding=manifest.decoding)
    return reading if labels is None else replace(reading, labels=labels)


def content_digest(table: pd.DataFrame) -> str:
    """Hex BLAKE2b-128 of a set's ids, labels and pixels, from its images.parquet."""
    h = hashlib.blake2b(digest_size=16)
    for row in zip(table["id"], table["label_name"], table["digest"], strict=True):
        h.update("\0".join(row).encode() + b"\n")
    return h.hexdigest()


@dataclass(frozen=True, eq=False)
class Roster:
    """The N images of a set, as decisions are held against them.

    ids, digests  of each;  given  the name of its class as the set has it, "" for none
    classes       names of the classes
    """

    ids: Sequence[str]
    digests: Sequence[str]
    given: Sequence[str]
    classes: Sequence[str]

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """id -> row."""
        return {name: row for row, name in enumerate(self.ids)}

    @cached_property
    def rows_of(self) -> Mapping[str, list[int]]:
        """digest -> rows of these pixels; what cannot be decoded has none."""
        rows: dict[str, list[int]] = {}
        for row, digest in enumerate(self.digests):
            if digest:
                rows.setdefault(digest, []).append(row)
        return rows


@dataclass(frozen=True, eq=False)
class Scanned:
    """A finished scan as it lies on disk: its manifest, images.parquet and findings.parquet."""

    folder: Path
    manifest: ScanManifest
    table: pd.DataFrame
    findings: pd.DataFrame

    __repr__ = short_repr

    @cached_property
    def roster(self) -> Roster:
        """Its images, and its classes in the order of their numbers."""
        table = self.table
        classes = _class_names(table, self.folder)
        return Roster(table["id"].tolist(), table["digest"].tolist(), table["label_name"].tolist(), classes)


def _class_names(table: pd.DataFrame, folder: Path) -> list[str]:
    """The classes of a scan: those that an image has, and those without an image where its overview names them."""
    labels = dict(sorted(set(zip(table["label"].tolist(), table["label_name"].tolist(), strict=True))))
    present = [name for code, name in labels.items() if code != UNLABELLED]
    try:
        entries = json.loads((folder / "overview.json").read_text(encoding="utf-8"))["classes"]
        named = [str(entry["name"]) for entry in entries][: None if UNLABELLED not in labels else -1]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # damaged, or of before there was one
        return present
    return named if {*present} <= {*named} else present


def open_scan(folder: Path) -> Scanned:
    """The scan that a folder (artifacts/scan) holds. Raises DataError where it is not whole."""
    manifest = read_manifest(ScanManifest, folder)
    images, findings = (_read_table(folder / f"{name}.parquet", columns) for name, columns in _READ.items())
    for name, (kind, value) in LATER_COLUMNS.items():
        if name not in findings:
            findings[name] = np.full(len(findings), value)
            findings = findings.astype({name: kind})
    check_outputs(manifest, folder, _READ)
    return Scanned(folder, manifest, images, findings)


def with_relabelled(table: pd.DataFrame, relabelled: Mapping[int, str]) -> pd.DataFrame:
    """images.parquet with the classes that a person gave some rows, row -> name; without that column where none has."""
    import pandas as pd

    plain = table.drop(columns=RELABELLED, errors="ignore")
    if not relabelled:
        return plain
    names = [relabelled.get(row, "") for row in range(len(table))]
    return plain.assign(**{RELABELLED: pd.Series(names, dtype="str", index=table.index)})


def relabelled_of(table: pd.DataFrame) -> dict[int, str]:
    """row -> the name of the class that a person gave it, from images.parquet."""
    if RELABELLED not in table:
        return {}
    return {row: name for row, name in enumerate(table[RELABELLED].tolist()) if name}


def write_relabelled(scan: Scanned, relabelled: Mapping[int, str]) -> None:
    """Write into images.parquet which rows a person relabelled, row -> name, whole or not at all.

    Whoever reads the scan meanwhile, or after a kill in between, finds one table or the other. Raises OutputError.
    """
    if relabelled == relabelled_of(scan.table) and scan.manifest.replaced is None:
        return
    path = scan.folder / "images.parquet"
    with room(path) as draft:
        write_parquet(with_relabelled(scan.table, relabelled), draft / path.name)
        outputs, before = dict(scan.manifest.outputs), file_digest(path)
        if "images" not in outputs:  # of a scan of before there were digests of its tables
            put_in_place(draft / path.name, path, draft / "before")
            return
        outputs["images"] = Output(path.name, file_digest(draft / path.name))
        after = replace(scan.manifest, outputs=outputs, replaced=None)
        write_manifest(replace(after, replaced={"images": before}), scan.folder)
        put_in_place(draft / path.name, path, draft / "before")
        write_manifest(after, scan.folder)


def read_pairs(folder: Path) -> pd.DataFrame:
    """pairs.parquet of a scan's folder, without a row where there is none. Raises DataError where it is damaged."""
    import pandas as pd

    path = folder / "pairs.parquet"
    return _read_table(path, PAIRS) if path.exists() else pd.DataFrame(columns=list(PAIRS))


def read_embeddings(scan: Scanned) -> np.ndarray:
    """(N, D) of a scan, mapped into memory. Raises DataError where they are missing or those of another set."""
    path, remedy = scan.folder / "embeddings.npy", "Run `curate scan` again: decisions are kept."
    try:
        embeddings: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing. {remedy}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({gist(error)}). {remedy}") from error
    if embeddings.ndim != 2 or len(embeddings) != len(scan.table):
        raise DataError(f"{path} has the shape {embeddings.shape} for {len(scan.table):,} images. {remedy}")
    return embeddings


_READ = {"images": IMAGES, "findings": FINDINGS}


def _read_table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """A table of a scan. Raises DataError where it cannot be read, or a column is missing or of another type."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        fault = column_fault(pq.read_schema(path), columns)
        if not fault:
            return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing. Run `curate scan` again.") from error
    except (OSError, pa.ArrowException) as error:
        fault = gist(error)
    raise DataError(f"{path} cannot be read ({fault}). Run `curate scan` again.")
