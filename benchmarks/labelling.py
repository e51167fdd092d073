"""How many flags of wrong labels are right, and whether the scan knows: the table of docs/numbers.md.

    python benchmarks/labelling.py data.npz [FOLDER ...]

Labels of each set are changed at rates of 2, 9 and 40 %: to any other class, or to one that the picture is taken for,
as people do. What is wrong in a set already counts against the flags.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from curate.checks.labels import label_error
from curate.configs import ScanConfig
from curate.findings import THRESHOLD
from curate.gathering import gather
from curate.measuring.embedding import load_embedder
from curate.measuring.evidence import Evidence, measure
from curate.measuring.probe import folds_of, probe_labels
from curate.scanning import set_of
from curate.sets.imageset import UNLABELLED, whole_groups
from curate.stage.engine import cores, small_algebra
from curate.tallying import average_precision

RATES = (0.02, 0.09, 0.4)
HEAD = (
    "| set | wrong | how | estimated | AP | flagged | right, estimated | right | found |\n|---|---:|---|" + "---:|" * 6
)


def relabelled(evidence: Evidence, labels: np.ndarray) -> Evidence:
    """The evidence of the same pictures under other labels."""
    images = replace(evidence.images, labels=labels)
    fold = folds_of(labels, whole_groups(evidence.copies.group, images.groups), evidence.seed)
    usable = (labels != UNLABELLED) & (evidence.position >= 0) & ~evidence.foreign
    thumbnails = evidence.measured.prints.thumbnails
    probe = probe_labels(evidence.features, thumbnails, labels, fold, usable, evidence.representatives)
    return replace(evidence, images=images, fold=fold, probe=probe, belonging=None)


def report(source: Path) -> None:
    """Print the rows of the table for one set."""
    config = ScanConfig()
    images = set_of(source, config)
    embedder, _ = load_embedder(config.backbone, None, config.input_size, cores(), print)
    with small_algebra(len(images)):
        evidence = gather(images, measure(images, embedder, cores()), config, cores())
        assert evidence.probe is not None
        rows, rng = evidence.probe.rows, np.random.default_rng(0)
        own = np.searchsorted(evidence.probe.classes, images.labels[rows])
        # What each class is taken for, as by somebody less sure than the probe.
        softened = np.sqrt(evidence.probe.probabilities)
        confusion = np.stack([softened[own == k].mean(axis=0) for k in range(len(evidence.probe.classes))])
        for how in ("any other", "one alike"):
            for rate in RATES:
                wrong = rng.choice(len(rows), round(rate * len(rows)), replace=False)
                weights = confusion[own[wrong]] if how == "one alike" else np.ones((len(wrong), len(confusion)))
                weights[np.arange(len(wrong)), own[wrong]] = 0
                shares = (weights / weights.sum(axis=1, keepdims=True)).cumsum(axis=1)
                labels = images.labels.copy()
                labels[rows[wrong]] = evidence.probe.classes[(rng.random((len(wrong), 1)) > shares).sum(axis=1)]
                print(_row(source, how, relabelled(evidence, labels), rows[wrong]))


def _row(source: Path, how: str, evidence: Evidence, wrong: np.ndarray) -> str:
    judgement, probe = label_error(evidence), evidence.probe
    assert probe is not None
    assert judgement.chance is not None
    planted = np.isin(probe.rows, wrong)
    score, chance = judgement.score[probe.rows], judgement.chance[probe.rows]
    flagged = score >= THRESHOLD
    precision = average_precision(score[planted], score[~planted])
    figures = [f"{chance[flagged].mean():.2f}", f"{planted[flagged].mean():.2f}"] if flagged.any() else ["", ""]
    return (
        f"| {source.stem} | {planted.mean():.1%} | {how} | {probe.wrong:.1%} | {precision:.3f} | {flagged.sum():,} | "
        f"{' | '.join(figures)} | {flagged[planted].mean():.2f} |"
    )


def main() -> None:
    sources = [Path(argument) for argument in sys.argv[1:]]
    if not sources:
        raise SystemExit(__doc__)
    print(HEAD)
    for source in sources:
        report(source)


if __name__ == "__main__":
    main()
