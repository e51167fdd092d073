"""Where a model does badly: images that the scan found something in, against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate.stage.manifest import file_digest

from .answers import Answers
from .intervals import bootstrap, permuted_p, share_interval
from .robustness import benchmark_tracks, severity_weights

# Of fewer images nothing can be said.
FEWEST = 5
IN_GROUP = "in_group"


def found_by_scan(artifacts: Path, scan_digest: str | None) -> tuple[dict[str, set[str]], str]:
    """(ids of the images that each check of the scan flagged, a note on why there are none, "" where all is well).

    Images in a group of copies come under "in_group". Only the scan that the set was built from is believed, which its
    digest tells: ids of another one may be other images.
    """
    import pandas as pd

    folder = artifacts / "scan"
    tables = [folder / name for name in ("manifest.json", "findings.parquet", "images.parquet")]
    if not all(path.is_file() for path in tables):
        return {}, f"{folder} holds no finished scan, so that nothing is told by its findings"
    if scan_digest != file_digest(tables[0]):
        return {}, f"{folder} is not the scan that the set was built from, so that nothing is told by its findings"
    findings = pd.read_parquet(tables[1], columns=["row", "id", "check"])
    images = pd.read_parquet(tables[2], columns=["id", "group"])
    found = {str(check): set(of_one["id"]) for check, of_one in findings[findings["row"] >= 0].groupby("check")}
    return found | {IN_GROUP: set(images.loc[images["group"] >= 0, "id"])}, ""


def sliced(
    answers: Answers, found: Mapping[str, set[str]], classes: Sequence[str], resamples: int, seed: int
) -> list[dict[str, Any]]:
    """What metrics.json tells of each slice of five images or more, that which loses most first.

    slice      a check of the scan, or in_group;  images  of test in it;  share  of all
    class      the one that most of them are of, and class_share: that may be all there is to it
    clean      `accuracy` of the slice, `rest` of the other images, both with their intervals, their `difference`, and p
               of there being none (by permutation; not corrected for there being several slices)
    benchmark  the same of the mean over single corruptions, on the pictures that were made of these images
    """
    clean = answers.named("test")
    single = [track for track in benchmark_tracks(answers, "test") if not track.composed]
    test = answers.of(clean)
    slices = []
    for name, ids in found.items():
        flagged = np.isin(test.sources, list(ids))
        if min(flagged.sum(), (~flagged).sum()) < FEWEST:
            continue
        support = np.bincount(test.labels[flagged])
        told: dict[str, Any] = {
            "slice": name,
            "images": int(flagged.sum()),
            "share": float(flagged.mean()),
            "class": classes[int(support.argmax())],
            "class_share": float(support.max() / support.sum()),
        }
        for part, tracks in (("clean", clean), ("benchmark", single)):
            of_part = answers.of(tracks)
            inside = np.isin(of_part.sources, list(ids))
            if inside.any() and not inside.all():
                told[part] = _against_rest(of_part, inside, resamples, seed)
        slices.append(told)
    return sorted(slices, key=lambda told: told.get("benchmark", told["clean"])["difference"])


def _against_rest(answers: Answers, inside: np.ndarray, resamples: int, seed: int) -> dict[str, Any]:
    """Mean accuracies of the images inside and of the others; each set counts as in a mean over corruptions."""
    weights = severity_weights(answers.tracks)[answers.sets]
    shares, ends = [], []
    for part in (inside, ~inside):
        shares.append(float(np.average(answers.right[part], weights=weights[part])))
        drawn = bootstrap(answers.groups[part], resamples, seed)
        one = np.zeros(part.sum(), np.int64)
        hits, sizes = (
            drawn.totals(answers.groups[part], one, 1, values[part]) for values in (weights * answers.right, weights)
        )
        ends.append(share_interval(shares[-1], hits / sizes, len(drawn.units)))
    _, at = np.unique(2 * answers.groups + inside, return_inverse=True)
    size, hits = np.bincount(at, weights), np.bincount(at, weights * answers.right)
    return {
        "accuracy": shares[0],
        "interval": ends[0],
        "rest": shares[1],
        "rest_interval": ends[1],
        "difference": shares[0] - shares[1],
        "p": permuted_p(hits / size, size, np.bincount(at, inside) > 0, resamples, seed),
    }
