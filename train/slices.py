"""Where a model does badly: images that the scan found something in, against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curate.findings import CATALOGUE
from curate.stage.manifest import file_digest

from .intervals import bootstrap, permuted_p, share_interval
from .metrics import Contrast, Interval, Slice
from .predictions import Predictions
from .robustness import benchmark_tracks, severity_weights

# Of fewer images nothing can be said.
FEWEST = 5
IN_GROUP = "in_group"


def found_by_scan(artifacts: Path, scan_digest: str | None) -> tuple[dict[str, set[str]], str]:
    """(ids of the images that each check of the scan flagged, a note on why there are none, "" where all is well).

    Images in a group of copies come under "in_group". Only the scan that the set was built from is believed, which its
    digest tells: ids of another one may be other images.
    """
    folder, note = _scan_folder(artifacts, scan_digest)
    if folder is None:
        return {}, note
    import pandas as pd

    findings = pd.read_parquet(folder / "findings.parquet", columns=["row", "id", "check"])
    images = pd.read_parquet(folder / "images.parquet", columns=["id", "group"])
    flagged = {str(check): set(rows["id"]) for check, rows in findings[findings["row"] >= 0].groupby("check")}
    return flagged | {IN_GROUP: set(images.loc[images["group"] >= 0, "id"])}, ""


def _scan_folder(artifacts: Path, scan_digest: str | None) -> tuple[Path | None, str]:
    """(the folder of the scan of that digest, None where it is not there; a note on why not)."""
    folder = artifacts / "scan"
    if not all((folder / name).is_file() for name in ("manifest.json", "findings.parquet", "images.parquet")):
        return None, f"{folder} holds no finished scan: accuracy by finding is left out"
    if scan_digest != file_digest(folder / "manifest.json"):
        return None, f"{folder} is not the scan that the set was built from: accuracy by finding is left out"
    return folder, ""


@dataclass(frozen=True)
class ScanWord:
    """What the scan says of one image: its verdict, and its findings in words, the gravest first."""

    verdict: str
    sentences: tuple[str, ...]


def words_of_scan(artifacts: Path, scan_digest: str | None, ids: Sequence[str]) -> dict[str, ScanWord]:
    """id -> what the scan that the set was built from says of some of its images; {} where that is not there."""
    import pandas as pd

    folder, _ = _scan_folder(artifacts, scan_digest)
    if folder is None:
        return {}
    images = pd.read_parquet(folder / "images.parquet", columns=["id", "verdict"])
    findings = pd.read_parquet(folder / "findings.parquet", columns=["id", "check", "because"])
    findings = findings[findings["id"].isin(list(ids))]
    sentences: dict[str, list[str]] = {}
    for name, check, because in zip(findings["id"], findings["check"], findings["because"], strict=True):
        sentences.setdefault(name, []).append(f"{CATALOGUE[check].title if check in CATALOGUE else check}: {because}")
    images = images[images["id"].isin(list(ids))]
    return {
        name: ScanWord(verdict, tuple(sentences.get(name, ())))
        for name, verdict in zip(images["id"].tolist(), images["verdict"].tolist(), strict=True)
    }


def sliced(
    predictions: Predictions, flagged: Mapping[str, set[str]], classes: Sequence[str], resamples: int, seed: int
) -> tuple[Slice, ...]:
    """The slices of five images or more, that which loses most first.

    flagged  ids of the images of each check of the scan, and in_group

    Against the rest stand the clean test images, and the mean over single corruptions on the pictures that were made of
    these. Each p is by permutation, and not corrected for there being several slices. That a slice is of one class may
    be all there is to it.
    """
    clean = predictions.clean_tracks("test")
    single = [track for track in benchmark_tracks(predictions, "test") if not track.composed]
    test, shifted = predictions.on(clean), predictions.on(single)
    slices = []
    for name, ids in flagged.items():
        inside = np.isin(test.sources, list(ids))
        if min(inside.sum(), (~inside).sum()) < FEWEST:
            continue
        support = np.bincount(test.labels[inside])
        corrupted = np.isin(shifted.sources, list(ids))
        divided = corrupted.any() and not corrupted.all()
        slices.append(
            Slice(
                slice=name,
                images=int(inside.sum()),
                share=float(inside.mean()),
                class_name=classes[int(support.argmax())],
                class_share=float(support.max() / support.sum()),
                clean=_against_rest(test, inside, resamples, seed),
                benchmark=_against_rest(shifted, corrupted, resamples, seed) if divided else None,
            )
        )
    return tuple(sorted(slices, key=lambda part: (part.benchmark or part.clean).difference))


def _against_rest(predictions: Predictions, inside: np.ndarray, resamples: int, seed: int) -> Contrast:
    """Mean accuracies of the images inside and of the others; each set counts as in a mean over corruptions."""
    weights = severity_weights(predictions.tracks)[predictions.sets]
    shares: list[float] = []
    ends: list[Interval] = []
    for part in (inside, ~inside):
        shares.append(float(np.average(predictions.right[part], weights=weights[part])))
        drawn = bootstrap(predictions.groups[part], resamples, seed)
        column = np.zeros(part.sum(), np.int64)
        hits, sizes = (
            drawn.totals(predictions.groups[part], column, 1, values[part])
            for values in (weights * predictions.right, weights)
        )
        ends.append(share_interval(shares[-1], hits / sizes, len(drawn.units)))
    _, unit = np.unique(2 * predictions.groups + inside, return_inverse=True)
    size, hits = np.bincount(unit, weights), np.bincount(unit, weights * predictions.right)
    return Contrast(
        accuracy=shares[0],
        interval=ends[0],
        rest=shares[1],
        rest_interval=ends[1],
        difference=shares[0] - shares[1],
        p=permuted_p(hits / size, size, np.bincount(unit, inside) > 0, resamples, seed),
    )
