"""The part that two pictures have in common once an affine map aligns them, and how far they agree in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .keypoints import Features

# Detail is what lies between these scales, in pixels: neither noise nor light.
_FINE, _COARSE = 1.0, 4.0
# An overlap of fewer pixels is a corner.
_LEAST = 400
# Detail of less than this, in grey levels, is none.
_PLAIN = 1.0
# Refining stops at this agreement: closer no map brings pictures that were stored twice.
_ALIGNED = 0.98
# Below this agreement a map that is off by a pixel is not what parts two pictures.
_HOPELESS = 0.4
_REFINED = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 8, 1e-3)
_MOVED = 8.0  # pixels that refining may move a picture by


@dataclass(frozen=True)
class Overlap:
    """What two pictures have in common.

    agreement  normalised cross-correlation of their detail in the overlap, -1 .. 1
    share      the overlap's part of the picture that has more of itself in it, 0 .. 1;  other  of the other picture
    colour     cosine of their colours (a* and b*, each without its mean), -1 .. 1; 1 where either has next to none
    """

    agreement: float
    share: float
    other: float
    colour: float


NOTHING = Overlap(0.0, 0.0, 0.0, 1.0)


def overlap(first: Features, second: Features, affine: np.ndarray) -> Overlap:
    """What two pictures have in common.

    affine  float64 (2, 3): from pixels of the first's `grey` to pixels of the second's

    They are compared in the coarser of the two, so that nothing is asked of detail that only one of them can have.
    """
    zoom = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if zoom < 1:
        first, second, affine, zoom = second, first, cv2.invertAffineTransform(affine), 1 / zoom
    grey = second.grey.astype(np.float32)
    if zoom > 1.2:  # what the other cannot resolve
        grey = cv2.GaussianBlur(grey, (0, 0), 0.5 * float(np.sqrt(zoom**2 - 1)))
    within = cv2.erode(second.inside, _NEIGHBOURS, borderValue=0).astype(np.float32)
    inside = first.inside > 0
    common = _compared(first.grey, inside, grey, within, affine)
    if _HOPELESS <= common.agreement < _ALIGNED:
        refined = _refined(first.grey, inside, grey, within, affine)
        if refined is not None:
            better = _compared(first.grey, inside, grey, within, refined)
            if better.agreement > common.agreement:
                common, affine = better, refined
    return replace(common, colour=_colours(first, inside, second, affine)) if common.agreement > 0 else common


_NEIGHBOURS = np.ones((3, 3), np.uint8)
_SAMPLED = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def _compared(
    first: np.ndarray, inside: np.ndarray, grey: np.ndarray, within: np.ndarray, affine: np.ndarray
) -> Overlap:
    """The overlap of two grey pictures.

    inside, within  bool (H, W) and float32 (H', W'): the part of the first, and of the second, that counts
    """
    size = first.shape[::-1]
    warped = cv2.warpAffine(grey, affine, size, flags=_SAMPLED, borderMode=cv2.BORDER_REPLICATE)
    common = (cv2.warpAffine(within, affine, size, flags=_SAMPLED) > 0.99) & inside
    count = int(common.sum())
    if count < _LEAST:
        return NOTHING
    weights = common.astype(np.float32)
    near, far = (np.maximum(cv2.GaussianBlur(weights, (0, 0), sigma), 1e-3) for sigma in (_FINE, _COARSE))
    details = []
    for picture in (first.astype(np.float32), warped):
        masked = picture * weights
        band = cv2.GaussianBlur(masked, (0, 0), _FINE) / near - cv2.GaussianBlur(masked, (0, 0), _COARSE) / far
        details.append(band[common])
    a, b = details
    energy = float(np.sqrt((a @ a) * (b @ b)))
    shares = count / inside.sum(), count * abs(np.linalg.det(affine[:, :2])) / within.sum()
    share, other = min(1.0, max(shares)), min(1.0, min(shares))
    return Overlap(float(a @ b) / energy if energy > _PLAIN**2 * count else 0.0, share, other, 1.0)


def _refined(
    first: np.ndarray, inside: np.ndarray, grey: np.ndarray, within: np.ndarray, affine: np.ndarray
) -> np.ndarray | None:
    """The map made to fit the pixels (Evangelidis and Psarakis, PAMI 2008); None where that leads astray."""
    size = first.shape[::-1]
    mask = (cv2.warpAffine(within, affine, size, flags=_SAMPLED) > 0.99) & inside
    try:
        _, refined = cv2.findTransformECC(
            cv2.GaussianBlur(first.astype(np.float32), (0, 0), _FINE),
            cv2.GaussianBlur(grey, (0, 0), _FINE),
            affine.astype(np.float32),
            cv2.MOTION_AFFINE,
            _REFINED,
            mask.astype(np.uint8),
            1,
        )
    except cv2.error:  # raised where the iteration leaves the picture
        return None
    return refined if np.abs(refined[:, 2] - affine[:, 2]).max() < _MOVED else None


# Colours that differ by less than this, CIELAB, from their mean are none.
_COLOURLESS = 4.0


def _colours(first: Features, inside: np.ndarray, second: Features, affine: np.ndarray) -> float:
    """Cosine of the colours of two aligned pictures; a light that falls on all of one changes nothing."""
    (height, width), (h, w) = first.colour.shape[:2], second.colour.shape[:2]
    to_grey = np.array([first.grey.shape[1] / width, first.grey.shape[0] / height])
    to_colour = np.array([w / second.grey.shape[1], h / second.grey.shape[0]])
    # Centres of pixels lie half a pixel in, in either grid.
    centre = affine[:, :2] @ (0.5 * to_grey - 0.5) + affine[:, 2]
    small = np.column_stack([affine[:, :2] * to_grey * to_colour[:, None], (centre + 0.5) * to_colour - 0.5])
    warped = cv2.warpAffine(second.colour.astype(np.float32), small, (width, height), flags=_SAMPLED)
    ones = np.ones((h, w), np.float32)
    valid = cv2.warpAffine(ones, small, (width, height), flags=_SAMPLED) > 0.99
    valid &= cv2.resize(inside.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA) > 0
    if valid.sum() < 8:
        return 1.0
    a, b = (values - values.mean(axis=0) for values in (first.colour[valid].astype(np.float32), warped[valid]))
    strengths = [float(np.sqrt((values**2).sum(axis=1).mean())) for values in (a, b)]
    if min(strengths) < _COLOURLESS:
        return 1.0
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
