"""Operations on several pictures: MixUp, CutMix, and the mixing of AugMix's chains."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np


def draw(kind: str, alpha: float, rng: np.random.Generator) -> dict[str, float]:
    """What is left to chance when two pictures are mixed.

    kept  share of the first picture in the mixture, and so of its label;  left, top, right, bottom  the box that CutMix
    cuts, as shares of the picture's sides
    """
    kept = float(rng.beta(alpha, alpha))
    if kind == "mixup":
        return {"kept": kept}
    # A box of the picture's aspect, its middle anywhere, cut off at the border (Yun et al., 2019).
    half = math.sqrt(1 - kept) / 2
    x, y = rng.random(), rng.random()
    left, right = max(0.0, x - half), min(1.0, x + half)
    top, bottom = max(0.0, y - half), min(1.0, y + half)
    return {"kept": 1 - (right - left) * (bottom - top), "left": left, "top": top, "right": right, "bottom": bottom}


def mixup(image: np.ndarray, partner: np.ndarray, drawn: Mapping[str, float]) -> np.ndarray:
    """Both pictures at once, the first with weight `kept`. Source: Zhang et al., 2018."""
    return np.asarray(cv2.addWeighted(image, drawn["kept"], partner, 1 - drawn["kept"], 0))


def cutmix(image: np.ndarray, partner: np.ndarray, drawn: Mapping[str, float]) -> np.ndarray:
    """The first picture with a box of the second. Source: Yun et al., 2019.

    A pixel that the box's edge runs through is mixed, so that the box has its exact share of the picture at any size.
    """
    height, width = image.shape[:2]
    across = _inside(drawn["left"], drawn["right"], width)
    down = _inside(drawn["top"], drawn["bottom"], height)
    box = np.outer(down, across)
    return np.asarray(cv2.blendLinear(image, partner, 1 - box, box))


def augmix(image: np.ndarray, chains: Sequence[np.ndarray], weights: Sequence[float], share: float) -> np.ndarray:
    """(1 - share) of the picture and `share` of the weighted chains. Source: Hendrycks et al., 2020."""
    mixed = image * np.float32(1 - share)
    for chain, weight in zip(chains, weights, strict=True):
        mixed += chain * np.float32(share * weight)
    return np.rint(mixed).astype(np.uint8)  # a weighted mean leaves the range by less than half a grey level


def _inside(low: float, high: float, pixels: int) -> np.ndarray:
    """How much of each of a row's pixels lies between two shares of the row, float32 (pixels,) from 0 to 1."""
    edges = np.clip(np.arange(pixels + 1) / pixels, low, high) * pixels
    return np.diff(edges).astype(np.float32)


KINDS: Mapping[str, Callable[[np.ndarray, np.ndarray, Mapping[str, float]], np.ndarray]] = {
    "mixup": mixup,
    "cutmix": cutmix,
}
