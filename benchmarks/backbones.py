"""How well backbones see, alone and side by side, on sets of one's own: the table of docs/numbers.md.

    python benchmarks/backbones.py data.npz FOLDER ... [--backbones A A+B ...] [--flip 0.03] [--without truth.json]

For each set and backbone: accuracy of the label probe out of fold, share of pictures whose 5 nearest have their label,
average precision of labels flipped at random (the same for all) by one minus the probability of the label, and images a
second. Of equal pictures the first counts. The sets need labels; images whose ids stand anywhere in the file that is
given with --without are left out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import curate
from curate.measuring.duplicates import first_of_each
from curate.measuring.embedding import load_embedder
from curate.measuring.hashing import digest
from curate.measuring.neighbours import nearest, principal_features
from curate.measuring.probe import calibrated, fit_probe, folds_of
from curate.measuring.properties import square
from curate.sets.imageset import ImageSet
from curate.stage.engine import chunks, cores, threaded
from curate.tallying import average_precision

BACKBONES = (
    "MobileNetV2-0.35", "EfficientNetLite0", "EfficientNetLite2", "MobileNetV2-0.35+EfficientNetLite0",
    "MobileNetV2-0.35+EfficientNetLite2",
)  # fmt: skip


def distinct(images: ImageSet, without: str) -> np.ndarray:
    """int64: labelled rows whose pixels no earlier row has, and whose id is not in a text."""
    first = first_of_each(np.array([digest(images.images[row].raw) for row in range(len(images))]))
    wanted = np.array([f'"{name}"' not in without for name in images.ids])
    return np.flatnonzero((first == np.arange(len(images))) & (images.labels >= 0) & wanted)


def flipped(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(labels of which a share has become another, bool: which)."""
    rng = np.random.default_rng(0)
    rows = rng.choice(len(labels), round(share * len(labels)), replace=False)
    classes, own = np.unique(labels, return_inverse=True)
    own[rows] = (own[rows] + rng.integers(1, len(classes), len(rows))) % len(classes)
    return classes[own], np.isin(np.arange(len(labels)), rows)


def embedded(images: ImageSet, rows: np.ndarray, backbone: str, size: int) -> tuple[np.ndarray, float]:
    """(embeddings float16 (n, D), images a second; reading and resizing are not counted)."""
    embedder, _ = load_embedder(backbone, None, size, cores())
    views = np.stack([square(images.images[row].pixels, size) for row in rows.tolist()])
    pieces = [views[piece.start : piece.stop] for piece in chunks(len(views), 64)]
    start = time.perf_counter()
    vectors = np.concatenate(list(threaded(embedder.embed, pieces, cores())))
    rate = len(views) / (time.perf_counter() - start)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), rate


def measures(embeddings: np.ndarray, labels: np.ndarray, share: float) -> tuple[float, float, float]:
    """(accuracy of the probe, agreement of the 5 nearest, average precision of flipped labels)."""
    features, rows = principal_features(embeddings), np.arange(len(labels))
    probe = fit_probe(features, labels, rows, folds_of(labels, rows, 0))
    accuracy = float((probe.classes[probe.probabilities.argmax(axis=1)] == labels).mean())
    near = labels[nearest(features, rows, 5).indices]
    votes = np.stack([(near == code).sum(axis=1) for code in probe.classes], axis=1)
    agreement = float((probe.classes[votes.argmax(axis=1)] == labels).mean())
    given, wrong = flipped(labels, share)
    probe = calibrated(fit_probe(features, given, rows, folds_of(given, rows, 0)), given)
    doubt = 1 - probe.probabilities[rows, np.searchsorted(probe.classes, given)]
    return accuracy, agreement, average_precision(doubt[wrong], doubt[~wrong])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--flip", type=float, default=0.03)
    parser.add_argument("--without", type=Path)
    arguments = parser.parse_args()
    without = arguments.without.read_text() if arguments.without else ""
    print("| set | backbone | probe | 5 nearest | flipped labels, AP | images/s |\n|---|---|---:|---:|---:|---:|")
    for source in arguments.sources:
        images = curate.read(source)
        rows = distinct(images, without)
        for backbone in arguments.backbones:
            embeddings, rate = embedded(images, rows, backbone, arguments.size)
            accuracy, agreement, precision = measures(embeddings, images.labels[rows], arguments.flip)
            row = f"{accuracy:.3f} | {agreement:.3f} | {precision:.3f} | {rate:,.0f}"
            print(f"| {source.name} | {backbone} | {row} |", flush=True)


if __name__ == "__main__":
    main()
