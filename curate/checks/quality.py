"""Dark, light, blurred, empty, oddly sized or grey: each relative to the set, so that microscopy or X-ray is not
flagged wholesale. A picture stands out when it differs by a plain factor and stands apart: beyond a gap that the tail
of the set does not explain (see measuring.gaps). What a twentieth of the set has, or most of a class, is a line of its
own and no fault.
Each row is judged by its own pixels, a copy too: what is usual is told by one copy of each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..findings import CHECKS, THRESHOLD, Judgement
from ..measuring.evidence import Evidence
from ..measuring.gaps import APART, isolation
from ..measuring.spreads import centre_and_upper_scale
from ..sets.imageset import UNLABELLED
from ..stage.shortness import short_repr
from .scores import Standing, is_common, is_of_class, stood
from .wording import spread_over_classes

_FEWEST = 3  # of two, each is as unusual as the other
_SMALLEST = 1 / 512  # half a grey level: keeps the logarithm of black finite
# Of continuous values a set that keeps close to itself has no tail that reaches out so many of its spreads.
_SPREADS = 12.0
_SPREADS_OF_COLOUR = 5.0  # no picture is paler than grey
_LYING = 0.3  # log2 of width over height from which a picture plainly lies; its negative, from which it stands


@dataclass(frozen=True, eq=False)
class _Property:
    """A property of all N rows, NaN where unreadable, and of the representatives (M,), which say what is usual: of a
    picture with many copies they hold one. float64."""

    rows: np.ndarray
    usual: np.ndarray

    __repr__ = short_repr

    def through(self, function: Callable[[np.ndarray], np.ndarray]) -> _Property:
        """A function of it."""
        return _Property(function(self.rows), function(self.usual))

    @property
    def median(self) -> float:
        return float(np.median(self.usual)) if len(self.usual) else 0.0

    @property
    def above(self) -> np.ndarray:
        """(N,): how far each row lies above the median."""
        return self.rows - self.median


def _of(evidence: Evidence, name: str) -> _Property:
    """A property by its name."""
    values = evidence.measured.properties[name].astype(np.float64)
    return _Property(values, values[evidence.representatives])


def _standing(evidence: Evidence, *sides: np.ndarray, spreads: float = np.inf) -> Standing:
    """Where the rows stand, by how far out each is on any of these sides: 1 is plain.

    spreads  of the set itself, from which on a row stands apart without a gap as well
    """
    return stood(np.max(sides, axis=0), np.max([_apart(evidence, side, spreads) for side in sides], axis=0))


def _apart(evidence: Evidence, far: np.ndarray, spreads: float) -> np.ndarray:
    """(N,): how isolated the rows are.

    What lies so many spreads out of a set that keeps close to itself is so, even where other odd ones fill the gap.
    """
    usual = far[evidence.representatives[evidence.native]]
    centre, spread = centre_and_upper_scale(usual)
    close = np.where(far >= 1, APART * (far - centre) / (spreads * spread), 0)
    return np.asarray(np.maximum(isolation(far, usual, least=1.0), close))


def _quality_judgement(
    evidence: Evidence, name: str, stand: Standing, like: str, because: Callable[[int], str]
) -> Judgement:
    """A judgement on all rows, where there are enough different pictures to say what is usual.

    like  what its pictures are, in a line on many of them: "dark"
    """
    if len(evidence.representatives) < _FEWEST:
        return Judgement.silent(len(evidence), "too few different images to tell what is usual")
    threshold = evidence.thresholds[name]
    if threshold < THRESHOLD:  # whoever asks for more is given all of it
        return Judgement(stand.score, because, chance=stand.chance)
    common, remarks = _common(evidence, stand.score >= threshold, like)
    score = np.where(common, np.minimum(stand.score, np.float32(0.98 * threshold)), stand.score)
    return Judgement(score, because, chance=stand.chance, remarks=remarks)


def _common(evidence: Evidence, flagged: np.ndarray, like: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(bool (N,): which of the flagged rows are as a part of the set is, a line on them)."""
    images, rows = evidence.images, evidence.representatives
    labels = images.labels[rows]
    of_class = np.zeros(len(evidence), bool)
    lines = []
    for label in np.unique(labels[flagged[rows] & (labels != UNLABELLED)]).tolist():
        own = rows[labels == label]
        if is_of_class(int(flagged[own].sum()), len(own)):
            alike = flagged & (images.labels == label)
            of_class |= alike
            lines.append(
                f"{int(alike.sum()):,} of the {int((images.labels == label).sum()):,} images of "
                f"{images.classes[label]} are {like}"
            )
    rest = flagged & ~of_class
    if is_common(int(rest[rows].sum()), len(rows)):
        return flagged, (_line(evidence, flagged, like),)
    return of_class, tuple(lines)


def _line(evidence: Evidence, alike: np.ndarray, like: str) -> str:
    """ "802 of 9,144 images are grey, spread over 92 classes": told once, of the set."""
    classes = spread_over_classes(evidence.images, np.flatnonzero(alike))
    named = f", {classes}" if evidence.images.labelled else ""
    return f"{int(alike.sum()):,} of {len(evidence):,} images are {like}{named}"


@CHECKS.add
def dark(evidence: Evidence) -> Judgement:
    """Far darker than the set, also where it is brightest."""
    mean, end = _of(evidence, "brightness"), _of(evidence, "bright_end")
    far = np.minimum(*(value.through(lambda v: -np.log2(v + _SMALLEST)).above for value in (mean, end)))
    return _quality_judgement(
        evidence,
        "dark",
        _standing(evidence, far, spreads=_SPREADS),
        "dark",
        lambda row: f"mean brightness {mean.rows[row]:.2f}, where the set has {mean.median:.2f}",
    )


@CHECKS.add
def light(evidence: Evidence) -> Judgement:
    """Far lighter than the set, also where it is darkest: over-exposed or washed out."""
    mean, end = _of(evidence, "brightness"), _of(evidence, "dark_end")
    from_white = [value.through(lambda v: -np.log2(1 - v + _SMALLEST)).above for value in (mean, end)]
    far = np.minimum(from_white[0] / 0.75, from_white[1] / 0.3)
    return _quality_judgement(
        evidence,
        "light",
        _standing(evidence, far, spreads=_SPREADS),
        "light",
        lambda row: f"mean brightness {mean.rows[row]:.2f}, where the set has {mean.median:.2f}",
    )


@CHECKS.add
def blurred(evidence: Evidence) -> Judgement:
    """Out of focus: far less fine detail, beside its coarser structure, than its class."""
    detail, contrast = _of(evidence, "detail"), _of(evidence, "contrast")
    labels = evidence.images.labels
    missing = -detail.above
    usual_labels = labels[evidence.representatives]
    for label in np.unique(usual_labels):
        of_class = detail.usual[usual_labels == label]
        if label != UNLABELLED and len(of_class) >= 30:  # a class of smooth things is not out of focus
            own = labels == label
            missing[own] = np.minimum(missing[own], np.median(of_class) - detail.rows[own])
    missing[contrast.rows < 0.01] = 0  # nothing in it that could be sharp
    return _quality_judgement(
        evidence,
        "blurred",
        _standing(evidence, missing / 2, spreads=_SPREADS),
        "blurred",
        lambda row: (
            f"fine detail {2.0 ** missing[row]:.0f} times weaker than in the set, measured against coarser structure"
        ),
    )


@CHECKS.add
def low_information(evidence: Evidence) -> Judgement:
    """Next to nothing in it: one colour, or a few grey levels."""
    entropy, contrast = _of(evidence, "entropy"), _of(evidence, "contrast")
    sides = [entropy.through(np.negative).above / 3.5]
    if contrast.median >= 0.02:
        sides.append(1 + np.log2(0.01 / (contrast.rows + 1e-4)))
    return _quality_judgement(
        evidence,
        "low_information",
        _standing(evidence, *sides, spreads=_SPREADS),
        "nearly empty",
        lambda row: f"{entropy.rows[row]:.1f} bits of information a pixel, where the set has {entropy.median:.1f}",
    )


@CHECKS.add
def odd_size(evidence: Evidence) -> Judgement:
    """Far larger or smaller than the set."""
    width, height = _of(evidence, "width"), _of(evidence, "height")
    area = _Property(np.log2(width.rows * height.rows), np.log2(width.usual * height.usual))
    return _quality_judgement(
        evidence,
        "odd_size",
        _standing(evidence, area.above / 2, -area.above / 2),
        f"of another size than the {width.median:.0f}x{height.median:.0f} of most",
        lambda row: (
            f"{width.rows[row]:.0f}x{height.rows[row]:.0f}, where the set has {width.median:.0f}x{height.median:.0f}"
        ),
    )


@CHECKS.add
def odd_aspect(evidence: Evidence) -> Judgement:
    """Far longer or squarer than the set: a picture that stands has the shape of one that lies."""
    width, height = _of(evidence, "width"), _of(evidence, "height")
    aspect = _Property(np.log2(width.rows / height.rows), np.log2(width.usual / height.usual))
    folded = aspect.through(np.abs)
    judgement = _quality_judgement(
        evidence,
        "odd_aspect",
        _standing(evidence, folded.above / 0.6, -folded.above / 0.6),
        "of another shape than most",
        lambda row: f"{2.0 ** folded.rows[row]:.2f} times as long as wide, where the set has {2.0**folded.median:.2f}",
    )
    upright, lying = aspect.usual <= -_LYING, aspect.usual >= _LYING
    if all(is_common(int(side.sum()), len(side)) for side in (upright, lying)):
        line = f"{int((aspect.rows <= -_LYING).sum()):,} of {len(evidence):,} images stand upright"
        judgement = replace(judgement, remarks=(*judgement.remarks, line))
    return judgement


@CHECKS.add
def grayscale(evidence: Evidence) -> Judgement:
    """Without colour in a set of coloured pictures."""
    # Saturation and not chroma, for a dark picture has little chroma and all its colour.
    saturation = _of(evidence, "saturation")
    usual = saturation.median
    if usual < 0.05:
        return Judgement.silent(len(evidence), "the images have next to no colour, so a grey image is not unusual")
    grey = usual / (saturation.rows + 0.001) / 10  # 1 at a tenth of what is usual
    pale = (usual - saturation.rows) / (0.9 * usual)  # and so is this, on a scale on which the set may have a tail
    judgement = _quality_judgement(
        evidence,
        "grayscale",
        stood(grey, _apart(evidence, pale, spreads=_SPREADS_OF_COLOUR)),
        "grey",
        lambda row: f"saturation {saturation.rows[row]:.3f}, where the set has {usual:.2f}",
    )
    alike = grey >= 1
    if is_common(int(alike[evidence.representatives].sum()), len(evidence.representatives)) and not judgement.remarks:
        return replace(judgement, remarks=(_line(evidence, alike, "grey"),))
    return judgement


@CHECKS.add
def unreadable(evidence: Evidence) -> Judgement:
    """Cannot be decoded, or holds values that are no colours."""
    reasons = evidence.measured.unreadable
    score = np.zeros(len(evidence), np.float32)
    score[list(reasons)] = 1
    return Judgement(score, lambda row: reasons[row], certain=score > 0)
