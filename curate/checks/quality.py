"""Dark, light, blurred, empty, oddly sized or grey: each relative to the set, so that microscopy or X-ray is not
flagged wholesale. Values are compared as log2 ratios with the set's median; a picture stands out when it differs by a
plain factor and by several of the set's own spreads.
Each row is judged by its own pixels, a copy too: what is usual is told by one copy of each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..findings import CHECKS, Judgement
from ..measuring.evidence import Evidence
from ..measuring.spreads import centre_and_scale, centre_and_upper_scale
from ..sets.imageset import UNLABELLED
from .scores import exceedance

_SPREADS = 4.5
_FEWEST = 3  # of two, each is as unusual as the other
_SMALLEST = 1 / 512  # half a grey level: keeps the logarithm of black finite


@dataclass(frozen=True, eq=False)
class _Property:
    """A property of all N rows, NaN where unreadable, and of the representatives (M,), which say what is usual: of a
    picture with many copies they hold one. float64."""

    rows: np.ndarray
    usual: np.ndarray

    def through(self, function: Callable[[np.ndarray], np.ndarray]) -> _Property:
        """A function of it."""
        return _Property(function(self.rows), function(self.usual))

    @property
    def median(self) -> float:
        return float(np.median(self.usual)) if len(self.usual) else 0.0


def _of(evidence: Evidence, name: str) -> _Property:
    """A property by its name."""
    values = evidence.measured.properties[name].astype(np.float64)
    return _Property(values, values[evidence.representatives])


def _beyond(values: _Property, plain: float) -> np.ndarray:
    """Score of values above their median: 0.5 at `plain` or at several spreads, whichever is more."""
    centre, spread = centre_and_upper_scale(values.usual)
    return exceedance(values.rows - centre, max(plain, _SPREADS * spread))


def _quality_judgement(evidence: Evidence, score: np.ndarray, because: Callable[[int], str]) -> Judgement:
    """A judgement on all rows, where there are enough different pictures to say what is usual."""
    if len(evidence.representatives) < _FEWEST:
        return Judgement.silent(len(evidence), "too few different images to tell what is usual")
    return Judgement(score, because)


@CHECKS.add
def dark(evidence: Evidence) -> Judgement:
    """Far darker than the set, also where it is brightest."""
    mean, end = _of(evidence, "brightness"), _of(evidence, "bright_end")
    score = np.minimum(*(_beyond(value.through(lambda v: -np.log2(v + _SMALLEST)), 1.0) for value in (mean, end)))
    return _quality_judgement(
        evidence, score, lambda row: f"mean brightness {mean.rows[row]:.2f}, where the set has {mean.median:.2f}"
    )


@CHECKS.add
def light(evidence: Evidence) -> Judgement:
    """Far lighter than the set, also where it is darkest: over-exposed or washed out."""
    mean, end = _of(evidence, "brightness"), _of(evidence, "dark_end")
    from_white = [value.through(lambda v: -np.log2(1 - v + _SMALLEST)) for value in (mean, end)]
    score = np.minimum(_beyond(from_white[0], 0.75), _beyond(from_white[1], 0.3))
    return _quality_judgement(
        evidence, score, lambda row: f"mean brightness {mean.rows[row]:.2f}, where the set has {mean.median:.2f}"
    )


@CHECKS.add
def blurred(evidence: Evidence) -> Judgement:
    """Out of focus: far less fine detail, beside its coarser structure, than its class."""
    detail, contrast = _of(evidence, "detail"), _of(evidence, "contrast")
    labels = evidence.images.labels
    missing = detail.median - detail.rows
    usual_labels = labels[evidence.representatives]
    for label in np.unique(usual_labels):
        of_class = detail.usual[usual_labels == label]
        if label != UNLABELLED and len(of_class) >= 30:  # a class of smooth things is not out of focus
            own = labels == label
            missing[own] = np.minimum(missing[own], np.median(of_class) - detail.rows[own])
    _, spread = centre_and_upper_scale(-detail.usual)
    score = exceedance(missing, max(2.0, _SPREADS * spread))
    score[contrast.rows < 0.01] = 0  # nothing in it that could be sharp
    return _quality_judgement(
        evidence,
        score,
        lambda row: (
            f"fine detail {2.0 ** missing[row]:.0f} times weaker than in the set, measured against coarser structure"
        ),
    )


@CHECKS.add
def low_information(evidence: Evidence) -> Judgement:
    """Next to nothing in it: one colour, or a few grey levels."""
    entropy, contrast = _of(evidence, "entropy"), _of(evidence, "contrast")
    score = _beyond(entropy.through(np.negative), 3.5)
    if contrast.median >= 0.02:
        score = np.maximum(score, exceedance(0.01 / (contrast.rows + 1e-4), 1.0))
    return _quality_judgement(
        evidence,
        score,
        lambda row: f"{entropy.rows[row]:.1f} bits of information a pixel, where the set has {entropy.median:.1f}",
    )


@CHECKS.add
def odd_size(evidence: Evidence) -> Judgement:
    """Far larger or smaller than the set."""
    width, height = _of(evidence, "width"), _of(evidence, "height")
    area = np.log2(width.rows * height.rows)
    centre, spread = centre_and_scale(area[evidence.representatives])
    score = exceedance(np.abs(area - centre), max(2.0, _SPREADS * spread))
    return _quality_judgement(
        evidence,
        score,
        lambda row: (
            f"{width.rows[row]:.0f}x{height.rows[row]:.0f}, where the set has {width.median:.0f}x{height.median:.0f}"
        ),
    )


@CHECKS.add
def odd_aspect(evidence: Evidence) -> Judgement:
    """Far wider or taller than the set."""
    width, height = _of(evidence, "width"), _of(evidence, "height")
    aspect = np.log2(width.rows / height.rows)
    centre, spread = centre_and_scale(aspect[evidence.representatives])
    score = exceedance(np.abs(aspect - centre), max(0.6, _SPREADS * spread))
    return _quality_judgement(
        evidence,
        score,
        lambda row: f"{2.0 ** aspect[row]:.2f} times as wide as high, where the set has {2.0**centre:.2f}",
    )


@CHECKS.add
def grayscale(evidence: Evidence) -> Judgement:
    """Without colour in a set of coloured pictures."""
    # Saturation and not chroma, for a dark picture has little chroma and all its colour.
    saturation = _of(evidence, "saturation")
    usual = saturation.median
    if usual < 0.05:
        return Judgement.silent(len(evidence), "the images have next to no colour, so a grey image is not unusual")
    score = exceedance(usual / (saturation.rows + 0.001) / 10, 1.0)
    return _quality_judgement(
        evidence, score, lambda row: f"saturation {saturation.rows[row]:.3f}, where the set has {usual:.2f}"
    )


@CHECKS.add
def unreadable(evidence: Evidence) -> Judgement:
    """Cannot be decoded, or holds values that are no colours."""
    reasons = evidence.measured.unreadable
    score = np.zeros(len(evidence), np.float32)
    score[list(reasons)] = 1
    return Judgement(score, lambda row: reasons[row], certain=score > 0)
