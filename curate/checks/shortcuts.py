"""Shortcuts: a property of the picture file, not of its subject, that gives the label away."""

from __future__ import annotations

import numpy as np

from ..findings import CHECKS, Judgement, Story
from ..measuring.evidence import Evidence
from ..sets.imageset import NO_GROUP, UNLABELLED

_SMALLEST_SET = 60
_COLOURED = 0.02  # saturation below which a picture is grey to the eye, whatever its file holds


@CHECKS.add
def shortcut(evidence: Evidence) -> Judgement:
    """A measured property (brightness, size, border, lack of colour, file type) that predicts the label by itself.

    Scored by the share of the way from chance to certainty that it takes a shallow tree, out of fold.
    """
    n = len(evidence)
    rows = evidence.representatives
    labels = evidence.images.labels
    rows = rows[labels[rows] != UNLABELLED]
    names, counts = np.unique(labels[rows], return_counts=True)
    common = names[counts >= 10]
    rows = rows[np.isin(labels[rows], common)]
    if len(common) < 2 or len(rows) < _SMALLEST_SET:
        return Judgement.silent(n, _want(evidence))
    fold = evidence.fold[rows]
    stories = []
    for name, values in _tell_tales(evidence, rows).items():
        if len(np.unique(values, axis=0)) < 2:
            continue
        strength = _strength(values, labels[rows], fold)
        if strength >= evidence.thresholds["shortcut"]:
            sentence = (
                f"{name} alone predicts the label, {strength:.0%} of the way from chance to certainty: "
                "a model may learn that instead of the subject"
            )
            stories.append(Story("shortcut", NO_GROUP, (), sentence, strength / 4, min(1.0, strength)))
    stories.sort(key=lambda story: -story.weight)
    return Judgement(np.zeros(n, np.float32), lambda row: "", stories=tuple(stories))


def _want(evidence: Evidence) -> str:
    """What the set lacks."""
    if not evidence.images.labelled:
        return "no labels"
    return "one class only" if len(evidence.images.classes) < 2 else "too few images of two classes or more"


def _tell_tales(evidence: Evidence, rows: np.ndarray) -> dict[str, np.ndarray]:
    """name -> (M, any): what could give a label away without showing the subject."""
    properties = evidence.measured.properties
    columns = {
        "brightness": ("brightness",),
        "the size of the image": ("width", "height"),
        "the colour of the border": ("border_l", "border_a", "border_b"),
    }
    tales = {name: np.stack([properties[c][rows] for c in chosen], axis=1) for name, chosen in columns.items()}
    tales["whether there is colour"] = (properties["saturation"][rows] >= _COLOURED)[:, None].astype(np.float32)
    _, kinds = np.unique(evidence.measured.file_types[rows], return_inverse=True)
    tales["the type of the file"] = kinds[:, None].astype(np.float32)
    return tales


def _strength(values: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> float:
    """Balanced accuracy of a shallow tree, out of fold, as a share of the way from chance to certainty."""
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.empty_like(labels)
    for i in np.unique(fold).tolist():
        tree = DecisionTreeClassifier(max_leaf_nodes=16, min_samples_leaf=5, class_weight="balanced", random_state=0)
        predicted[fold == i] = tree.fit(values[fold != i], labels[fold != i]).predict(values[fold == i])
    recalls = [np.mean(predicted[labels == c] == c) for c in np.unique(labels)]
    chance = 1 / len(recalls)
    return float((np.mean(recalls) - chance) / (1 - chance))
