"""The part that two pictures have in common once an affine map aligns them, and how far they agree in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..stage.shortness import short_repr
from .keypoints import Features

# Detail is what lies between these scales, in pixels: neither noise nor light.
_FINE, _COARSE = 1.0, 4.0
# An overlap of fewer pixels is a corner.
_LEAST = 400
# Detail of less than this, in grey levels, is none.
_PLAIN = 1.0
# A map is made to fit better where the agreement lies between these: above, none does; below, no pixel makes it good.
_REFINABLE = 0.4, 0.99
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 8, 1e-3)
_MOVED = 8.0  # pixels that refining may move a picture by
# Colours that differ by less than this from their mean, in CIELAB, are none.
_COLOURLESS = 4.0


@dataclass(frozen=True)
class Overlap:
    """What two pictures have in common.

    agreement  normalised cross-correlation of their detail in the overlap, -1 .. 1
    share      the overlap's part of the picture that has more of itself in it, 0 .. 1
    rest       the overlap's part of the other picture
    colour     cosine of their colours (a* and b*, each without its mean), -1 .. 1; 1 where either has next to none
    """

    agreement: float
    share: float
    rest: float
    colour: float


NOTHING = Overlap(0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class _View:
    """A grey picture, float32 (H, W), and the part of it that counts, float32 (H, W) of 0 and 1."""

    grey: np.ndarray
    inside: np.ndarray

    __repr__ = short_repr


def overlap(first: Features, second: Features, affine: np.ndarray) -> Overlap:
    """What two pictures have in common.

    affine  float64 (2, 3): from pixels of the first's `grey` to pixels of the second's

    They are compared in the coarser of the two, so that nothing is asked of detail that only one of them can have.
    """
    zoom = float(np.sqrt(abs(np.linalg.det(affine[:, :2]))))
    if zoom < 1:
        first, second, affine, zoom = second, first, cv2.invertAffineTransform(affine), 1 / zoom
    coarse = _View(first.grey.astype(np.float32), first.inside.astype(np.float32))
    inside = cv2.erode(second.inside, _NEIGHBOURS, borderValue=0).astype(np.float32)
    fine = _View(_blurred(second.grey, zoom), inside)
    common = _compared(coarse, fine, affine)
    if _REFINABLE[0] <= common.agreement < _REFINABLE[1]:
        refined = _refined(coarse, fine, affine)
        better = _compared(coarse, fine, refined) if refined is not None else NOTHING
        if refined is not None and better.agreement > common.agreement:
            common, affine = better, refined
    return replace(common, colour=_colours(first, second, affine)) if common.agreement > 0 else common


# A picture whose fine detail is this many times weaker than another's, beside its coarser one, is out of focus.
_SOFT = 0.7
_BLURS = (0.6, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2)  # pixels that a picture is blurred by to be as soft as another


def as_soft(first: Features, second: Features) -> tuple[Features, Features] | None:
    """Two pictures, the sharper one blurred until it is as soft as the other; None where they are about as sharp."""
    own, other = _sharpness(first.grey), _sharpness(second.grey)
    if min(own, other) >= _SOFT * max(own, other):
        return None
    if own < other:
        return first, _softened(second, own)
    return _softened(first, other), second


def _softened(picture: Features, sharpness: float) -> Features:
    """A picture blurred until it is no sharper than asked."""
    for sigma in _BLURS:
        soft = cv2.GaussianBlur(picture.grey, (0, 0), sigma)
        if _sharpness(soft) <= sharpness:
            break
    return replace(picture, grey=soft)


def _sharpness(grey: np.ndarray) -> float:
    """Spread of the finest detail of a uint8 (H, W) picture, beside that of the next."""
    finest, fine, coarse = (cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma) for sigma in (0.5, 1.4, _COARSE))
    return float((finest - fine).std() / ((fine - coarse).std() + 1e-3))


_NEIGHBOURS = np.ones((3, 3), np.uint8)
_SAMPLED = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def _blurred(grey: np.ndarray, zoom: float) -> np.ndarray:
    """float32 (H, W): a picture without what is lost once it is made `zoom` times smaller."""
    picture = grey.astype(np.float32)
    return cv2.GaussianBlur(picture, (0, 0), 0.5 * float(np.sqrt(zoom**2 - 1))) if zoom > 1.2 else picture


def _common(coarse: _View, fine: _View, affine: np.ndarray) -> np.ndarray:
    """bool (H, W): what both views have, as the coarse one lies."""
    size = coarse.grey.shape[::-1]
    return np.asarray((cv2.warpAffine(fine.inside, affine, size, flags=_SAMPLED) > 0.99) & (coarse.inside > 0))


def _compared(coarse: _View, fine: _View, affine: np.ndarray) -> Overlap:
    """The overlap of two views, but for its colour."""
    inside = _common(coarse, fine, affine)
    count = int(inside.sum())
    if count < _LEAST:
        return NOTHING
    warped = cv2.warpAffine(fine.grey, affine, coarse.grey.shape[::-1], flags=_SAMPLED, borderMode=cv2.BORDER_REPLICATE)
    weights = inside.astype(np.float32)
    near, far = (np.maximum(cv2.GaussianBlur(weights, (0, 0), sigma), 1e-3) for sigma in (_FINE, _COARSE))
    details = []
    for picture in (coarse.grey * weights, warped * weights):
        band = cv2.GaussianBlur(picture, (0, 0), _FINE) / near - cv2.GaussianBlur(picture, (0, 0), _COARSE) / far
        details.append(band[inside])
    a, b = details
    energy = float(np.sqrt((a @ a) * (b @ b)))
    agreement = float(a @ b) / energy if energy > _PLAIN**2 * count else 0.0
    shares = count / coarse.inside.sum(), count * abs(np.linalg.det(affine[:, :2])) / fine.inside.sum()
    return Overlap(agreement, min(1.0, float(max(shares))), min(1.0, float(min(shares))), 1.0)


def _refined(coarse: _View, fine: _View, affine: np.ndarray) -> np.ndarray | None:
    """The map made to fit the pixels (Evangelidis and Psarakis, PAMI 2008); None where that leads astray."""
    a, b = (cv2.GaussianBlur(view.grey, (0, 0), _FINE) for view in (coarse, fine))
    mask = _common(coarse, fine, affine).astype(np.uint8)
    try:
        _, refined = cv2.findTransformECC(a, b, affine.astype(np.float32), cv2.MOTION_AFFINE, _STEPS, mask, 1)
    except cv2.error:  # raised where the iteration leaves the picture
        return None
    return refined if np.abs(refined[:, 2] - affine[:, 2]).max() < _MOVED else None


def _colours(coarse: Features, fine: Features, affine: np.ndarray) -> float:
    """Cosine of the colours of two aligned pictures; a light that falls on all of one changes nothing."""
    (height, width), (h, w) = coarse.colour.shape[:2], fine.colour.shape[:2]
    to_grey = np.array([coarse.grey.shape[1] / width, coarse.grey.shape[0] / height])
    to_colour = np.array([w / fine.grey.shape[1], h / fine.grey.shape[0]])
    # Centres of pixels lie half a pixel in, in either grid.
    centre = affine[:, :2] @ (0.5 * to_grey - 0.5) + affine[:, 2]
    small = np.column_stack([affine[:, :2] * to_grey * to_colour[:, None], (centre + 0.5) * to_colour - 0.5])
    warped = cv2.warpAffine(fine.colour.astype(np.float32), small, (width, height), flags=_SAMPLED)
    inside = cv2.warpAffine(np.ones((h, w), np.float32), small, (width, height), flags=_SAMPLED) > 0.99
    inside &= cv2.resize(coarse.inside, (width, height), interpolation=cv2.INTER_AREA) > 0
    if inside.sum() < 8:
        return 1.0
    a, b = (colours - colours.mean(axis=0) for colours in (coarse.colour[inside].astype(np.float32), warped[inside]))
    strength = min(float(np.sqrt((colours**2).sum(axis=1).mean())) for colours in (a, b))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())) if strength >= _COLOURLESS else 1.0
