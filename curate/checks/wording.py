"""Words that the sentences of several checks are made of."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..sets.imageset import UNLABELLED, ImageSet


def spread_over_classes(images: ImageSet, rows: np.ndarray) -> str:
    """In words how the labels of some rows are spread: "all labelled monocyte", "spread over all 8 classes"."""
    labels = images.labels[rows]
    named = Counter(labels[labels != UNLABELLED].tolist()).most_common()
    if not named:
        return "without labels"
    classes = images.classes
    if len(named) == 1:
        return f"all labelled {classes[named[0][0]]}"
    top, count = named[0]
    if count >= 0.6 * len(rows):
        return f"{count / len(rows):.0%} of them labelled {classes[top]}"
    number = f"all {len(classes)}" if len(named) == len(classes) else str(len(named))
    return f"spread over {number} classes"
