"""Dark, light, blurred, empty, oddly sized or grey: each relative to the set, so that microscopy or X-ray is not
flagged wholesale. Values are compared as log2 ratios with the set's median; a picture stands out when it differs by a
plain factor and by several of the set's own spreads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..findings import CHECKS, Judgement
from ..measuring.evidence import Evidence
from ..measuring.spreads import centre_and_scale, centre_and_upper_scale
from ..sets.imageset import UNLABELLED
from .scores import exceedance

_SPREADS = 4.5
_FEWEST = 3  # of two, each is as unusual as the other
_SMALLEST = 1 / 512  # half a grey level: keeps the logarithm of black finite


def _of(evidence: Evidence, name: str) -> np.ndarray:
    """A property of the representatives, float64."""
    return np.asarray(evidence.measured.properties[name][evidence.representatives].astype(np.float64))


def _beyond(values: np.ndarray, plain: float) -> np.ndarray:
    """Score of values above their median: 0.5 at `plain` or at several spreads, whichever is more."""
    centre, spread = centre_and_upper_scale(values)
    return exceedance(values - centre, max(plain, _SPREADS * spread))


def _quality_judgement(evidence: Evidence, score: np.ndarray, because: Callable[[int], str]) -> Judgement:
    """A judgement on all rows from scores of the representatives; `because` takes a position among them."""
    if len(evidence.representatives) < _FEWEST:
        return Judgement.silent(len(evidence), "too few different images to tell what is usual")
    return Judgement(evidence.spread(score), lambda row: because(int(evidence.position[row])))


@CHECKS.add
def dark(evidence: Evidence) -> Judgement:
    """Far darker than the set, also where it is brightest."""
    mean, end = _of(evidence, "brightness"), _of(evidence, "bright_end")
    score = np.minimum(*(_beyond(-np.log2(v + _SMALLEST), 1.0) for v in (mean, end)))
    usual = np.median(mean) if len(mean) else 0

    return _quality_judgement(
        evidence, score, lambda at: f"mean brightness {mean[at]:.2f}, where the set has {usual:.2f}"
    )


@CHECKS.add
def light(evidence: Evidence) -> Judgement:
    """Far lighter than the set, also where it is darkest: over-exposed or washed out."""
    mean, end = _of(evidence, "brightness"), _of(evidence, "dark_end")
    score = np.minimum(_beyond(-np.log2(1 - mean + _SMALLEST), 0.75), _beyond(-np.log2(1 - end + _SMALLEST), 0.3))
    usual = np.median(mean) if len(mean) else 0

    return _quality_judgement(
        evidence, score, lambda at: f"mean brightness {mean[at]:.2f}, where the set has {usual:.2f}"
    )


@CHECKS.add
def blurred(evidence: Evidence) -> Judgement:
    """Out of focus: far less fine detail, beside its coarser structure, than its class."""
    detail, contrast = _of(evidence, "detail"), _of(evidence, "contrast")
    labels = evidence.images.labels[evidence.representatives]
    missing = np.median(detail) - detail if len(detail) else detail
    for label in np.unique(labels):
        own = labels == label
        if label != UNLABELLED and own.sum() >= 30:  # a class of smooth things is not out of focus
            missing[own] = np.minimum(missing[own], np.median(detail[own]) - detail[own])
    _, spread = centre_and_upper_scale(-detail)
    score = exceedance(missing, max(2.0, _SPREADS * spread))
    score[contrast < 0.01] = 0  # nothing in it that could be sharp

    return _quality_judgement(
        evidence,
        score,
        lambda at: (
            f"fine detail {2.0 ** missing[at]:.0f} times weaker than in the set, measured against coarser structure"
        ),
    )


@CHECKS.add
def low_information(evidence: Evidence) -> Judgement:
    """Next to nothing in it: one colour, or a few grey levels."""
    entropy, contrast = _of(evidence, "entropy"), _of(evidence, "contrast")
    score = _beyond(-entropy, 3.5)
    if len(contrast) and np.median(contrast) >= 0.02:
        score = np.maximum(score, exceedance(0.01 / (contrast + 1e-4), 1.0))
    usual = np.median(entropy) if len(entropy) else 0

    return _quality_judgement(
        evidence,
        score,
        lambda at: f"{entropy[at]:.1f} bits of information a pixel, where the set has {usual:.1f}",
    )


@CHECKS.add
def odd_size(evidence: Evidence) -> Judgement:
    """Far larger or smaller than the set."""
    width, height = _of(evidence, "width"), _of(evidence, "height")
    area = np.log2(width * height)
    centre, spread = centre_and_scale(area)
    score = exceedance(np.abs(area - centre), max(2.0, _SPREADS * spread))

    return _quality_judgement(
        evidence,
        score,
        lambda at: (
            f"{width[at]:.0f}x{height[at]:.0f}, where the set has {np.median(width):.0f}x{np.median(height):.0f}"
        ),
    )


@CHECKS.add
def odd_aspect(evidence: Evidence) -> Judgement:
    """Far wider or taller than the set."""
    width, height = _of(evidence, "width"), _of(evidence, "height")
    aspect = np.log2(width / height)
    centre, spread = centre_and_scale(aspect)
    score = exceedance(np.abs(aspect - centre), max(0.6, _SPREADS * spread))

    return _quality_judgement(
        evidence,
        score,
        lambda at: f"{width[at] / height[at]:.2f} times as wide as high, where the set has {2.0**centre:.2f}",
    )


@CHECKS.add
def grayscale(evidence: Evidence) -> Judgement:
    """Without colour in a set of coloured pictures."""
    # Saturation and not chroma, for a dark picture has little chroma and all its colour.
    saturation = _of(evidence, "saturation")
    if not len(saturation) or np.median(saturation) < 0.05:
        return Judgement.silent(len(evidence), "the images have next to no colour, so a grey image is not unusual")
    usual = np.median(saturation)
    score = exceedance(usual / (saturation + 0.001) / 10, 1.0)

    return _quality_judgement(
        evidence, score, lambda at: f"saturation {saturation[at]:.3f}, where the set has {usual:.2f}"
    )


@CHECKS.add
def unreadable(evidence: Evidence) -> Judgement:
    """Cannot be decoded, or holds values that are no colours."""
    reasons = evidence.measured.unreadable
    score = np.zeros(len(evidence), np.float32)
    score[list(reasons)] = 1
    return Judgement(score, lambda row: reasons[row], certain=score > 0)
