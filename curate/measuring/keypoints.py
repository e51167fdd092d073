"""Local features of a picture, and the affine map between two that show the same: turned, cropped or mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..stage.shortness import short_repr
from .properties import bounded

# Pictures are compared at no more than this many pixels a side: features cost 4.5 ms there and 11 ms at 256, and either
# finds all cropped photographs and all augmented cells that it was tried on.
SIDE = 128
# The strongest points of a picture that are used.
MOST = 300
# A picture with fewer points has too little in it to be recognised by: a map needs INLIERS of them.
INLIERS = 12
# A nearest descriptor counts where the next one is this many times as far (Lowe, IJCV 2004).
_RATIO = 0.8
# Pixels within which a point must lie where the map puts it.
_TOLERANCE = 3.0
# What maps copies onto each other: no more than this many times larger or smaller, nor more stretched in one direction.
_ZOOM, _STRETCH = 4.0, 2.5
# Grey levels that borders are filled with, and the share of a picture from which a flat corner is such a border.
_BLACK, _WHITE, _CORNER = 10, 250, 0.002
_COLOURS = 32  # side at which colours are compared


@dataclass(frozen=True, eq=False)
class Features:
    """What a picture is recognised by.

    grey         uint8 (H, W), no side above SIDE
    colour       int8 (H', W', 2): CIELAB a* and b*, no side above 32
    points       float32 (P, 2): x and y in pixels of `grey`, the strongest first
    descriptors  uint8 (P, 128), SIFT
    """

    grey: np.ndarray
    colour: np.ndarray
    points: np.ndarray
    descriptors: np.ndarray

    __repr__ = short_repr

    @classmethod
    def of(cls, pixels: np.ndarray) -> Features:
        """The features of a uint8 (H, W, 3) picture of any size."""
        view = bounded(pixels, SIDE)
        grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)
        lab = cv2.cvtColor(bounded(view, _COLOURS), cv2.COLOR_RGB2LAB)
        colour = (lab[..., 1:].astype(np.int16) - 128).astype(np.int8)
        # Where a border begins is a corner of no picture.
        inside = _inside(grey)
        clear = None if inside.all() else cv2.erode(inside, _NEAR)
        sift = cv2.SIFT.create(contrastThreshold=0.02, edgeThreshold=15)
        points, descriptors = sift.detectAndCompute(grey, clear)
        if descriptors is None:
            return cls(grey, colour, np.zeros((0, 2), np.float32), np.zeros((0, 128), np.uint8))
        strongest = np.argsort([-point.response for point in points], kind="stable")[:MOST]
        places = np.array([points[i].pt for i in strongest], np.float32)
        return cls(grey, colour, places, descriptors[strongest].astype(np.uint8))

    @property
    def inside(self) -> np.ndarray:
        """uint8 (H, W): 1 in the picture, 0 in a border of flat black or white."""
        return _inside(self.grey)


_NEAR = np.ones((7, 7), np.uint8)


def _inside(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W): 0 in corners and strips of flat black or white at the frame, 1 elsewhere."""
    inside = np.ones_like(grey)
    for flat in (grey <= _BLACK, grey >= _WHITE):
        if not (flat[0].any() or flat[-1].any() or flat[:, 0].any() or flat[:, -1].any()):
            continue
        _, labels, statistics, _ = cv2.connectedComponentsWithStats(flat.astype(np.uint8), connectivity=4)
        at_frame = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        large = at_frame[(at_frame > 0) & (statistics[at_frame, cv2.CC_STAT_AREA] >= _CORNER * grey.size)]
        # A white page or a night sky is no border.
        if statistics[large, cv2.CC_STAT_AREA].sum() <= 0.5 * grey.size:
            inside[np.isin(labels, large)] = 0
    return inside


@dataclass(frozen=True, eq=False)
class Match:
    """Two pictures whose points agree on one affine map.

    affine   float64 (2, 3): from pixels of the first's `grey` to pixels of the second's
    inliers  points that agree on it;  share  of all points that found a partner
    """

    affine: np.ndarray
    inliers: int
    share: float

    __repr__ = short_repr


def matched(first: Features, second: Features) -> Match | None:
    """The map between two pictures, mirrored or not; None where fewer than INLIERS points agree on one."""
    if min(len(first.points), len(second.points)) < INLIERS:
        return None
    a, b = normalised(first.descriptors), normalised(second.descriptors)
    best: Match | None = None
    for mirrored in (False, True):
        pairs = _mutual(a @ (b[:, MIRRORED] if mirrored else b).T)
        match = _affine(first.points[pairs[:, 0]], second.points[pairs[:, 1]], mirrored)
        if match is not None and (best is None or match.inliers > best.inliers):
            best = match
    return best


# The order in which the numbers of a descriptor, 4 x 4 places by 8 directions, are those of the mirrored picture.
MIRRORED = np.arange(128).reshape(4, 4, 8)[::-1][:, :, [(8 - o) % 8 for o in range(8)]].reshape(-1)


def normalised(descriptors: np.ndarray) -> np.ndarray:
    """float32 (P, 128) of norm 1, of which products tell likeness (Arandjelovic and Zisserman, CVPR 2012)."""
    values = descriptors.astype(np.float32)
    return np.asarray(np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1)))


def _mutual(likeness: np.ndarray) -> np.ndarray:
    """int64 (M, 2): points that find each other beyond doubt, by the likeness (P, Q) of their descriptors."""
    nearest, rows = likeness.argmax(axis=1), np.arange(len(likeness))
    best = likeness[rows, nearest]
    likeness[rows, nearest] = -1
    clear = 1 - best < _RATIO**2 * (1 - likeness.max(axis=1))  # squared distances are twice that
    rows, nearest, best = rows[clear], nearest[clear], best[clear]
    order = np.argsort(-best, kind="stable")
    _, closest = np.unique(nearest[order], return_index=True)
    return np.stack([rows[order[closest]], nearest[order[closest]]], axis=1)


def _affine(first: np.ndarray, second: np.ndarray, mirrored: bool) -> Match | None:
    """The map that most of some matched points (M, 2) agree on, by RANSAC; None where too few do."""
    if len(first) < INLIERS:
        return None
    affine, agree = cv2.estimateAffine2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE, maxIters=500, refineIters=5
    )
    if affine is None or agree.sum() < INLIERS or (np.linalg.det(affine[:, :2]) < 0) != mirrored:
        return None
    large, small = np.linalg.svd(affine[:, :2], compute_uv=False).tolist()
    if large > _ZOOM or small < 1 / _ZOOM or large > _STRETCH * small:
        return None
    return Match(affine, int(agree.sum()), float(agree.mean()))
