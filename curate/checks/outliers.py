"""What does not belong: single pictures far from all others, and groups of them, judged in the embedding."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..findings import CHECKS, THRESHOLD, Judgement, Story
from ..measuring.evidence import Evidence
from ..measuring.gaps import certainty, isolation
from ..measuring.spreads import centre_and_scale
from ..measuring.strangers import FAR, FAR_COPIES, FEWEST, NEAREST, Distances, distances, far_copies
from ..sets.imageset import NO_GROUP, UNLABELLED
from ..stage.shortness import short_repr
from .scores import LEAST_ODDS, chance_of_odds, exceedance, score_of_odds
from .wording import spread_over_classes

_MUTUAL = 10  # neighbours among whom mutual ones are looked for
_FEW_LOOKALIKES = 5
# Log odds of a label being wrong, below which the probe stands by it: one in ten.
_STOOD_BY = float(np.log(0.1 / 0.9))
_TOO_FEW = "too few different images to tell which are outliers"


@CHECKS.add
def outlier_group(evidence: Evidence) -> Judgement:
    """Many copies of a picture, or a tight cluster of pictures, far from every class."""
    n, copies = len(evidence), evidence.copies
    if len(evidence.representatives) < FEWEST:
        return Judgement.silent(n, _TOO_FEW)
    far = distances(evidence.neighbours)
    score, group = np.zeros(n, np.float32), np.full(n, NO_GROUP)
    certain = np.zeros(n, bool)
    stories: dict[int, Story] = {}

    def add(number: int, rows: np.ndarray, z: float, limit: float, likeness: str) -> None:
        score[rows], group[rows] = exceedance(np.array([z]), limit)[0], number
        sentence = (
            f"{len(rows):,} {likeness}, {spread_over_classes(evidence.images, rows)}, far from every class "
            f"({z:.1f} robust standard deviations)"
        )
        stories[number] = Story("outlier_group", number, tuple(rows.tolist()), sentence, len(rows) / n)

    for members in far_copies(copies, evidence.position, evidence.images.labels, far):
        exact = len(set(evidence.measured.digests[members.rows])) == 1
        likeness = f"{'identical' if exact else 'near-identical'} images"
        add(members.group, members.rows, members.z, FAR_COPIES, likeness)
        certain[members.rows] = members.certain
    first = int(copies.group.max(initial=NO_GROUP)) + 1
    for number, (rows, z) in enumerate(_far_clusters(evidence, far), first):
        add(number, rows, z, FAR, "images much like each other")
        certain[rows] = False
    return Judgement(score, lambda row: stories[int(group[row])].sentence, group, certain, tuple(stories.values()))


@dataclass(frozen=True, eq=False)
class Strangers:
    """Pictures of N rows that are of no class here, by two kinds of evidence.

    far      float32 (N,), a score: how far a picture lies from all others, or within its class
    strange  float64 (N,), log odds: that it is not of its class, nor of another
    near     int64 (M + V,): the representative nearest to each picture as it is shown
    z        float64 (M + V,);  by_class  float64 (M + V,): the robust z of `far`, against the set and the class
    """

    far: np.ndarray
    strange: np.ndarray
    near: np.ndarray
    z: np.ndarray
    by_class: np.ndarray

    __repr__ = short_repr

    @property
    def score(self) -> np.ndarray:
        """float32 (N,): of both, the more telling."""
        return np.asarray(np.maximum(self.far, score_of_odds(self.strange)))


def strangers(evidence: Evidence) -> Strangers | None:
    """The pictures that are of no class here; None among too few to tell."""
    if len(evidence.representatives) < FEWEST:
        return None
    near, gaps = evidence.nearest(NEAREST)
    of_set, fits = distances(evidence.neighbours), evidence.belonging
    z = np.append(of_set.z, of_set.standardised(gaps[len(of_set.z) :].mean(axis=1)))
    by_class = _within_class(evidence, gaps)
    far = evidence.spread(exceedance(np.maximum(z, by_class), FAR))
    strange = np.full(len(evidence), -np.inf)
    if fits is not None and fits.apart:
        # What fits another class here is for label_error to tell, or right as it is: the probe says which, or neither.
        strange = np.where((fits.fit > 0) & ~_undecided(evidence), np.minimum(fits.odds, -0.1), fits.odds)
        far = np.where(far >= THRESHOLD, far, np.float32(0))  # a plain distance short of its limit says less
    return Strangers(far, strange, near[:, 0], z, by_class)


def _undecided(evidence: Evidence) -> np.ndarray:
    """bool (N,): rows whose label the probe neither doubts nor stands by."""
    undecided = np.zeros(len(evidence), bool)
    if evidence.probe is not None:
        odds = evidence.probe.odds
        undecided[evidence.probe.rows] = (odds >= _STOOD_BY) & (odds < LEAST_ODDS)
    return undecided


@CHECKS.add
def outlier(evidence: Evidence) -> Judgement:
    """A single picture far from all others, or as far from its class as those of others are, and of none of them."""
    apart = strangers(evidence)
    if apart is None:
        return Judgement.silent(len(evidence), _TOO_FEW)
    by_odds = score_of_odds(apart.strange) > apart.far
    distance = np.maximum(apart.z, apart.by_class)
    # A wide set has far pictures that belong to it: what no gap parts from them is likely one of these.
    beyond = certainty(isolation(distance, distance[: len(evidence.representatives)], FAR))
    chance = np.where(by_odds, chance_of_odds(apart.strange), evidence.spread(beyond, np.nan)).astype(np.float32)

    def because(row: int) -> str:
        at = int(evidence.shown[row])
        nearest, label = int(evidence.representatives[apart.near[at]]), evidence.images.label_name(row)
        like = evidence.images.label_name(nearest)
        named = f"the nearest is {evidence.images.ids[nearest]}{f' ({like})' if like else ''}"
        if by_odds[row]:
            fits = evidence.belonging
            alike = fits is not None and fits.fit[row] > 0
            rival = f"hardly fits {evidence.images.classes[fits.rival[row]]}" if fits and alike else "is none of these"
            return (
                f"of no class here: it lies as far from {label} as pictures of other classes do ({chance[row]:.0%} "
                f"certain), and {rival} by its looks; {named}"
            )
        z, by_class = apart.z[at], apart.by_class[at]
        kind = "others" if z >= by_class else f"others for one labelled {label}"
        return (
            f"{max(z, by_class):.1f} robust standard deviations farther from its {NEAREST} nearest than {kind} are; "
            f"{named}"
        )

    return Judgement(apart.score, because, chance=chance)


def _within_class(evidence: Evidence, gaps: np.ndarray) -> np.ndarray:
    """z of the distances (M + V, any) of representatives and variants against those of the representatives of their
    class; 0 in classes too small to say."""
    logs = np.log(np.maximum(gaps.mean(axis=1), 1e-6))
    z = np.zeros(len(logs))
    m = len(evidence.representatives)
    labels = evidence.images.labels[np.append(evidence.representatives, evidence.variants.rows)]
    for label in np.unique(labels):
        own = labels == label
        if label != UNLABELLED and own[:m].sum() >= 30:
            centre, scale = centre_and_scale(logs[:m][own[:m]], floor=0.05)
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
    clusters = []
    for inside in _mutual_clusters(evidence.neighbours.indices[:, :_MUTUAL], native):
        if not _FEW_LOOKALIKES <= len(inside) <= 0.1 * m or _holds_a_class(labels[inside], sizes):
            continue
        outside = native.copy()
        outside[inside] = False
        sample = inside[:200]  # of a large cluster these tell
        squares = (points[sample] ** 2).sum(1)[:, None] + (points[outside] ** 2).sum(1)[None]
        gaps = np.sqrt(np.maximum(squares - 2 * points[sample] @ points[outside].T, 0))
        gaps.partition(min(NEAREST, gaps.shape[1] - 1), axis=1)
        z = float(np.median(far.standardised(gaps[:, :NEAREST].mean(axis=1))))
        if z >= FAR:
            clusters.append((np.flatnonzero(np.isin(evidence.position, inside)), z))
    return clusters


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
