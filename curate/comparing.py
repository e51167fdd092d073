"""diff(a, b) -> Difference: what two scans say of one set of images, or of two versions of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd

from .findings import SEVERITY
from .scans import CleaningEffect, ScanManifest, Scanned, open_scan
from .stage.shortness import short_repr

# Options that say where and how fast, not what is found.
_WITHOUT_EFFECT = ("artifacts", "workers")


@dataclass(frozen=True, eq=False)
class Difference:
    """What changed from scan A to scan B. Images are matched by id.

    a, b            the folders of the scans
    matched         number of images that both have
    only_a, only_b  images of one scan: row, id, label, verdict
    pixels          matched images with other pixels: id, row_a, row_b
    labels          matched images with another label: id, row_a, row_b, label_a, label_b ("" for none)
    verdicts        matched images with another verdict: id, row_a, row_b, label, verdict_a, verdict_b
    moves           how many these are: verdict_a, verdict_b, images
    gone            findings of A that B has not: check, row, id, score, action, because, matched (B has the image)
    new             findings of B that A has not, likewise
    summary         per check that speaks in either: check, in_a, in_b, gone, new
    settings        what was done otherwise: kind (option | embedder | version), name, a, b
    effect          per scan whose manifest tells it: scan, before, after, low, high, rows (see CleaningEffect)
    notes           what makes the two hard to compare
    """

    a: Path
    b: Path
    matched: int
    only_a: pd.DataFrame
    only_b: pd.DataFrame
    pixels: pd.DataFrame
    labels: pd.DataFrame
    verdicts: pd.DataFrame
    moves: pd.DataFrame
    gone: pd.DataFrame
    new: pd.DataFrame
    summary: pd.DataFrame
    settings: pd.DataFrame
    effect: pd.DataFrame
    notes: tuple[str, ...]

    __repr__ = short_repr


def diff(scan_a: str | Path, scan_b: str | Path) -> Difference:
    """What two finished scans say differently; each is a folder artifacts/scan, or the artifacts above it.

    Raises DataError where there is no whole scan.
    """
    a, b = (open_scan(_scan_folder(Path(place))) for place in (scan_a, scan_b))
    matched = _side_by_side(a.table, b.table)
    ids_a, ids_b = set(a.table["id"]), set(b.table["id"])
    gone = _without(a.findings, b.findings, ids_b)
    new = _without(b.findings, a.findings, ids_a)
    verdicts = matched[matched["verdict_a"] != matched["verdict_b"]]
    moves = verdicts.groupby(["verdict_a", "verdict_b"], sort=True).size().reset_index(name="images")
    pixels = matched[matched["digest_a"] != matched["digest_b"]]
    only_a, only_b = _only(a.table, ids_b), _only(b.table, ids_a)
    return Difference(
        a=a.folder,
        b=b.folder,
        matched=len(matched),
        only_a=only_a.drop(columns="digest"),
        only_b=only_b.drop(columns="digest"),
        pixels=_columns(pixels, "id", "row_a", "row_b"),
        labels=_columns(
            matched[matched["label_a"] != matched["label_b"]], "id", "row_a", "row_b", "label_a", "label_b"
        ),
        verdicts=_columns(
            verdicts.rename(columns={"label_b": "label"}),
            *("id", "row_a", "row_b", "label", "verdict_a", "verdict_b"),
        ),
        moves=moves,
        gone=gone,
        new=new,
        summary=_findings_per_check(a.findings, b.findings, gone, new),
        settings=_settings(a.manifest, b.manifest),
        effect=_effects(a.manifest, b.manifest),
        notes=_comparison_notes(a, b, len(matched), len(pixels), only_a, only_b),
    )


def _scan_folder(place: Path) -> Path:
    """The folder of the scan, given it or the artifacts that hold it."""
    return place / "scan" if (place / "scan").is_dir() and not (place / "images.parquet").exists() else place


def _side_by_side(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """One row per id that both scans have, in the order of A."""
    columns = ["id", "row", "label_name", "digest", "verdict"]
    merged = a[columns].merge(b[columns], on="id", suffixes=("_a", "_b"))
    return merged.rename(columns={"label_name_a": "label_a", "label_name_b": "label_b"})


def _only(table: pd.DataFrame, ids: set[str]) -> pd.DataFrame:
    """Images whose id is none of the others."""
    images = table.loc[~table["id"].isin(ids), ["row", "id", "label_name", "verdict", "digest"]]
    return images.rename(columns={"label_name": "label"}).reset_index(drop=True)


def _columns(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame[list(names)].reset_index(drop=True)


def _keys(findings: pd.DataFrame) -> pd.Series:
    """What a finding is known by: its check and image; of the set as a whole, its sentence."""
    # A separator that stands in no id, so that no two findings are taken for one.
    return findings["check"] + "\0" + findings["id"].where(findings["row"] >= 0, "\0" + findings["because"])


def _without(findings: pd.DataFrame, reference: pd.DataFrame, ids: set[str]) -> pd.DataFrame:
    """Findings that the others have not, in their own order; `matched` where the other scan has the image."""
    left = findings[~_keys(findings).isin(set(_keys(reference)))]
    left = left[["check", "row", "id", "score", "action", "because"]].reset_index(drop=True)
    return left.assign(matched=left["id"].isin(ids) | (left["row"] < 0))


def _findings_per_check(a: pd.DataFrame, b: pd.DataFrame, gone: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Findings per check that speaks in either scan, the gravest check first."""
    counted = {
        name: findings["check"].value_counts()
        for name, findings in (("in_a", a), ("in_b", b), ("gone", gone), ("new", new))
    }
    table = pd.DataFrame({name: counts.reindex(SEVERITY, fill_value=0) for name, counts in counted.items()})
    table = table[(table["in_a"] > 0) | (table["in_b"] > 0)].astype("int64")
    return table.rename_axis("check").reset_index()


def _settings(a: ScanManifest, b: ScanManifest) -> pd.DataFrame:
    """Options, embedder and package versions that are not the same, as text."""
    rows: list[tuple[str, str, str, str]] = []

    def compare(kind: str, left: Mapping[str, object], right: Mapping[str, object], leave: Sequence[str] = ()) -> None:
        for name in dict.fromkeys((*left, *right)):
            if name not in leave and left.get(name) != right.get(name):
                rows.append((kind, name, _as_typed(left.get(name)), _as_typed(right.get(name))))

    compare("option", vars(a.config), vars(b.config), _WITHOUT_EFFECT)
    left, right = ({name: getattr(scan, name) for name in ("embedder", "embedder_digest")} for scan in (a, b))
    compare("embedder", left, right)
    compare("version", a.versions, b.versions)
    return pd.DataFrame(rows, columns=["kind", "name", "a", "b"], dtype="str")


def _as_typed(value: object) -> str:
    """A value of the manifest as a person would type it."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _effects(a: ScanManifest, b: ScanManifest) -> pd.DataFrame:
    """Did cleaning help in either scan? A row for each whose manifest tells it."""
    columns = [field.name for field in fields(CleaningEffect)]
    effects = {name: scan.effect for name, scan in (("a", a), ("b", b))}
    rows = [(name, *astuple(effect)) for name, effect in effects.items() if effect is not None]
    return pd.DataFrame(rows, columns=["scan", *columns])


def _comparison_notes(
    a: Scanned, b: Scanned, matched: int, changed: int, only_a: pd.DataFrame, only_b: pd.DataFrame
) -> tuple[str, ...]:
    notes = []
    if not matched:
        notes.append("no id occurs in both scans: these are two sets, or one whose files were renamed")
    if changed and changed * 2 > matched:
        notes.append(
            f"{changed:,} of {matched:,} images matched by id have other pixels: where ids are row numbers, "
            "these are two sets, or one in another order"
        )
    renamed = only_a["digest"].isin(set(only_b["digest"])) & (only_a["digest"] != "")
    if renamed.any():
        first = only_a[renamed].iloc[0]
        now = only_b.loc[only_b["digest"] == first["digest"], "id"].iloc[0]
        notes.append(
            f"{renamed.sum():,} images only in A have the same pixels as an image only in B: renamed, "
            f"such as {first['id']} to {now}"
        )
    if a.manifest.source != b.manifest.source:
        notes.append(f"A is a scan of {a.manifest.source}, B of {b.manifest.source}")
    return tuple(notes)
