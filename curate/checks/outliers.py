"""What does not belong: single pictures far from all others, and groups of them, judged in the embedding."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..findings import CHECKS, Judgement, Story
from ..measuring.evidence import Evidence
from ..sets.imageset import NO_GROUP, UNLABELLED
from .scores import centre_and_scale, exceedance

# Robust standard deviations of the log distance. One in a thousand clean pictures of five real sets lies beyond 3.
_FAR = 3.5
# Many copies of one picture under several labels are evidence of their own: they need not lie as far out.
_FAR_COPIES = 2.0
_FEW, _MANY = 3, 10
_NEAREST = 20
_MUTUAL = 10  # neighbours among whom mutual ones are looked for
_FEW_LOOKALIKES = 5


@dataclass(frozen=True, eq=False)
class Distances:
    """How far each representative lies from the others: robust z of the log mean distance to its nearest 20."""

    z: np.ndarray
    centre: float
    scale: float

    def of(self, mean_distance: np.ndarray) -> np.ndarray:
        """z of given mean distances."""
        return np.asarray((np.log(np.maximum(mean_distance, 1e-6)) - self.centre) / self.scale)


def distances(evidence: Evidence) -> Distances:
    """Distances in the embedding, of the representatives."""
    near = evidence.neighbours.distances[:, :_NEAREST]
    if near.shape[1] == 0:
        return Distances(np.zeros(len(near)), 0.0, 1.0)
    logs = np.log(np.maximum(near.mean(axis=1), 1e-6))
    centre, scale = centre_and_scale(logs, floor=0.05)
    return Distances((logs - centre) / scale, centre, scale)


@CHECKS.add
def outlier_group(evidence: Evidence) -> Judgement:
    """Many copies of a picture, or a tight cluster of pictures, far from every class."""
    n = len(evidence)
    if len(evidence.representatives) < 20:
        return Judgement.silent(n, "too few different images to tell what is far from them")
    far = distances(evidence)
    score, group = np.zeros(n, np.float32), np.full(n, NO_GROUP)
    certain = np.zeros(n, bool)
    sentences: dict[int, str] = {}
    stories: list[Story] = []

    def tell(rows: np.ndarray, number: int, z: float, threshold: float, sure: bool, sentence: str) -> None:
        score[rows], group[rows], certain[rows] = exceedance(np.array([z]), threshold)[0], number, sure
        sentences[number] = sentence
        stories.append(Story("outlier_group", number, tuple(rows.tolist()), sentence, len(rows) / n))

    for number, rows, z, sure in _far_copies(evidence, far):
        tell(rows, number, z, _FAR_COPIES, sure, _sentence(evidence, rows, z, copied=True))
    number = int(evidence.copies.group.max(initial=-1)) + 1
    for rows, z in _far_clusters(evidence, far):
        tell(rows, number, z, _FAR, False, _sentence(evidence, rows, z, copied=False))
        number += 1
    return Judgement(score, lambda row: sentences[int(group[row])], group, certain, tuple(stories))


@CHECKS.add
def outlier(evidence: Evidence) -> Judgement:
    """A single picture far from all others."""
    n = len(evidence)
    if len(evidence.representatives) < 20:
        return Judgement.silent(n, "too few different images to tell what is far from them")
    z = distances(evidence).z
    by_class = _within_class(evidence)
    score = evidence.spread(exceedance(np.maximum(z, by_class), _FAR))

    def because(row: int) -> str:
        at = int(evidence.position[row])
        nearest = int(evidence.representatives[evidence.neighbours.indices[at, 0]])
        like = evidence.images.label_name(nearest)
        kind = "others" if z[at] >= by_class[at] else f"others for one labelled {evidence.images.label_name(row)}"
        return (
            f"{max(z[at], by_class[at]):.1f} robust standard deviations farther from its {_NEAREST} nearest "
            f"than {kind} are; "
            f"the nearest is {evidence.images.ids[nearest]}{f' ({like})' if like else ''}"
        )

    return Judgement(score, because)


def foreign_copies(evidence: Evidence) -> np.ndarray:
    """bool (N,): rows of copies of one picture that certainly belongs to no class: many, or under several labels."""
    foreign = np.zeros(len(evidence), bool)
    if len(evidence.representatives) >= 20:
        for _, rows, _, certain in _far_copies(evidence, distances(evidence)):
            foreign[rows] = certain
    return foreign


def _far_copies(evidence: Evidence, far: Distances) -> list[tuple[int, np.ndarray, float, bool]]:
    """(group, rows, z, certain) of groups of copies that lie far out."""
    copies = evidence.copies
    # In a set that was oversampled every picture has its copies: many are many times as many as usual.
    sizes = np.bincount(evidence.position[evidence.position >= 0])
    many = _MANY * max(1, int(np.median(sizes)))
    found = []
    for number in np.flatnonzero(np.bincount(copies.group[copies.group != NO_GROUP], minlength=1) >= _FEW).tolist():
        rows = copies.members(number)
        z = float(far.z[evidence.position[rows[0]]])
        labels = evidence.images.labels[rows]
        several = len(np.unique(labels[labels != UNLABELLED])) > 1
        if z >= (_FAR_COPIES if several and len(rows) >= many else _FAR):
            certain = several or len(rows) >= many
            found.append((number, rows, z, certain))
    return found


def _within_class(evidence: Evidence) -> np.ndarray:
    """z of each representative's distances against those of its own class; 0 in classes too small to say."""
    near = evidence.neighbours.distances[:, :_NEAREST]
    logs = np.log(np.maximum(near.mean(axis=1), 1e-6))
    z = np.zeros(len(logs))
    labels = evidence.images.labels[evidence.representatives]
    for label in np.unique(labels):
        own = labels == label
        if label != UNLABELLED and own.sum() >= 30:
            centre, scale = centre_and_scale(logs[own], floor=0.05)
            z[own] = (logs[own] - centre) / scale
    return z


def _far_clusters(evidence: Evidence, far: Distances) -> list[tuple[np.ndarray, float]]:
    """(rows, z) of clusters far from the rest, found where the distance to the nearest is blind to them.

    A few joke pictures are one another's neighbours. So clusters are cut out first, and the distance of their members
    to everything *outside* of the cluster is what counts. They are the connected components of the graph of mutual
    neighbours (Brito et al. 1997): what lies far out may well have the rest among its nearest, but is not among
    theirs, however dense or loose it is itself. A cluster that holds a good part of a class is that class.
    """
    rows, points = evidence.representatives, evidence.neighbours.features
    m = len(rows)
    if m < 100:
        return []
    native = evidence.native
    labels = evidence.images.labels[rows]
    sizes = Counter(labels[native].tolist())
    out = []
    for inside in _mutual_clusters(evidence.neighbours.indices[:, :_MUTUAL], native):
        if not _FEW_LOOKALIKES <= len(inside) <= 0.1 * m or _holds_a_class(labels[inside], sizes):
            continue
        outside = native.copy()
        outside[inside] = False
        some = inside[:200]  # of a large cluster these tell
        squares = (points[some] ** 2).sum(1)[:, None] + (points[outside] ** 2).sum(1)[None]
        gaps = np.sqrt(np.maximum(squares - 2 * points[some] @ points[outside].T, 0))
        gaps.partition(min(_NEAREST, gaps.shape[1] - 1), axis=1)
        z = float(np.median(far.of(gaps[:, :_NEAREST].mean(axis=1))))
        if z >= _FAR:
            out.append((np.flatnonzero(np.isin(evidence.position, inside)), z))
    return out


def _mutual_clusters(near: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """Positions of each connected component of the graph that joins `members` which are each other's neighbours."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    m, k = near.shape
    a, b = np.repeat(np.arange(m), k), near.ravel()
    joined = members[a] & members[b]
    graph = coo_array((np.ones(joined.sum(), np.int32), (a[joined], b[joined])), shape=(m, m)).tocsr()
    _, component = connected_components(graph.multiply(graph.T), directed=False)
    order = np.argsort(component, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(component[order])) + 1)


def _holds_a_class(labels: np.ndarray, sizes: Counter[int]) -> bool:
    """Whether most of `labels` are of classes of which a fifth or more is among them."""
    held = [count for label, count in Counter(labels.tolist()).items() if count >= 0.2 * sizes[label] and label >= 0]
    return sum(held) >= 0.5 * len(labels)


def _sentence(evidence: Evidence, rows: np.ndarray, z: float, copied: bool) -> str:
    """One sentence of measured facts about a group."""
    exact = len(set(evidence.measured.digests[rows])) == 1
    what = (
        f"{len(rows):,} {'identical' if exact else 'near-identical'} images"
        if copied
        else f"{len(rows):,} images much like each other"
    )
    return f"{what}, {spread_over_classes(evidence, rows)}, far from every class ({z:.1f} robust standard deviations)"


def spread_over_classes(evidence: Evidence, rows: np.ndarray) -> str:
    """In words how the labels of some rows are spread: "all labelled monocyte", "spread over all 8 classes"."""
    labels = evidence.images.labels[rows]
    named = Counter(labels[labels != UNLABELLED].tolist()).most_common()
    if not named:
        return "without labels"
    classes = evidence.images.classes
    if len(named) == 1:
        return f"all labelled {classes[named[0][0]]}"
    top, count = named[0]
    if count >= 0.6 * len(rows):
        return f"{count / len(rows):.0%} of them labelled {classes[top]}"
    number = f"all {len(classes)}" if len(named) == len(classes) else str(len(named))
    return f"spread over {number} classes"
