"""What can be measured of one picture on its own: size, light, sharpness, information, colour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

# Pictures are measured at no more than this many pixels a side: enough for each property, and a bound on the time.
LONGEST_SIDE = 256
_SMALL = 32  # side at which colours are measured
# Of a picture, the share that its light is taken from: the background of a slide, the lamp in a photograph.
_BRIGHTEST = 0.08

PROPERTIES = (
    "width",
    "height",
    "brightness",  # mean grey value, 0..1
    "dark_end",  # 1st percentile of grey, 0..1
    "bright_end",  # 99th percentile of grey, 0..1
    "contrast",  # standard deviation of grey, 0..1
    "entropy",  # of the grey histogram, bits, 0..8
    "detail",  # energy of the finest band over that of the next coarser ones, log2
    "chroma",  # mean CIELAB chroma
    "saturation",  # mean difference between the channels over mean brightness, 0 in a grey picture
    "light_a",  # colour of the brightest part, CIELAB a* and b* at a fixed lightness
    "light_b",
    "mean_a",  # colour of the picture as a whole, likewise
    "mean_b",
    "border_l",  # mean colour of the border, CIELAB
    "border_a",
    "border_b",
)


def properties(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (n, len(PROPERTIES)) of n uint8 (H, W, 3) pictures of any size, columns in the order of PROPERTIES.

    Each picture is reduced by itself, and what is left of them measured together: a third of the time.
    """
    if not len(pictures):
        return np.zeros((0, len(PROPERTIES)), np.float32)
    views = [bounded(picture, LONGEST_SIDE) for picture in pictures]
    greys = [cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) for view in views]
    small = np.stack([cv2.resize(view, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA) for view in views])
    sizes = np.array([picture.shape[1::-1] for picture in pictures])
    grey = _grey_levels(greys)
    detail = np.array([_detail_ratio(view) for view in greys])
    return np.column_stack([sizes, grey, detail, _colour_properties(small, grey[:, 0] * 255)]).astype(np.float32)


def bounded(pixels: np.ndarray, side: int) -> np.ndarray:
    """The picture itself, or shrunk so that its longer side is `side` pixels."""
    longest = max(pixels.shape[:2])
    if longest <= side:
        return pixels
    height, width = (max(1, round(s * side / longest)) for s in pixels.shape[:2])
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    """The picture as `side` x `side`: averaged when it shrinks, interpolated when it grows."""
    shrinks = max(pixels.shape[:2]) > side
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _grey_levels(greys: Sequence[np.ndarray]) -> np.ndarray:
    """(n, 5) of brightness, dark_end, bright_end, contrast and entropy, from the histograms."""
    counts = np.stack([cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel() for grey in greys])
    share = counts / counts.sum(axis=1, keepdims=True, dtype=np.float64)
    levels = np.arange(256)
    mean = share @ levels
    spread = np.sqrt(np.maximum((share * (levels - mean[:, None]) ** 2).sum(axis=1), 0))
    cumulative = np.cumsum(share, axis=1)
    ends = [(cumulative < part - 1e-12).sum(axis=1) for part in (0.01, 0.99)]
    entropy = -(share * np.log2(np.where(share > 0, share, 1))).sum(axis=1)
    return np.column_stack([mean / 255, ends[0] / 255, ends[1] / 255, spread / 255, np.abs(entropy)])


def _colour_properties(small: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """(n, 9) from chroma to border_b, of uint8 (n, S, S, 3) pictures of mean grey level `brightness`."""
    n = len(small)
    tall = small.reshape(n * _SMALL, _SMALL, 3)  # one tall picture: converted in one go
    lab = cv2.cvtColor(tall.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(n, -1, 3)
    pixels = small.reshape(n, -1, 3)
    spread = (pixels.max(axis=2) - pixels.min(axis=2)).mean(axis=1)
    brightest = np.argpartition(lab[..., 0], -int(_BRIGHTEST * lab.shape[1]), axis=1)
    brightest = brightest[:, -int(_BRIGHTEST * lab.shape[1]) :]
    light = np.median(np.take_along_axis(pixels, brightest[..., None], axis=1), axis=1)
    return np.column_stack(
        [
            np.hypot(lab[..., 1], lab[..., 2]).mean(axis=1),
            spread / (brightness + 1),
            _tint(light),
            _tint(pixels.mean(axis=1)),
            lab[:, _BORDER].mean(axis=1),
        ]
    )


_BORDER = np.flatnonzero(np.pad(np.zeros((_SMALL - 2, _SMALL - 2), bool), 1, constant_values=True))


def _tint(rgb: np.ndarray) -> np.ndarray:
    """(n, 2): CIELAB a* and b* of colours (n, 3) brought to a luminance of 50 %.

    So a dark copy has the tint of its original.
    NaN below a luminance of 1 %, where the quantisation to 8 bits is all there is.
    """
    linear = (np.asarray(rgb, np.float64) / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    visible = luminance >= 0.01
    # Straight from linear light to XYZ to L*a*b*: the scaled colour may lie outside of what RGB can show.
    xyz = (linear * (0.5 / np.where(visible, luminance, 1))[:, None]) @ _XYZ.T / _WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    tint = np.stack([500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    return np.where(visible[:, None], tint, np.nan)


_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _XYZ.sum(axis=1)  # D65, the white of sRGB

# Rounding to 8 bits puts a twelfth of a squared grey level into a picture, most of it into the finest band. Left in, it
# makes a picture look the sharper the more it is blurred.
_ROUNDING = 0.08


def _detail_ratio(grey: np.ndarray) -> float:
    """log2 of the energy in the finest band over that in the next two octaves: low when out of focus.

    A ratio of bands does not change with brightness or contrast, so that a pale picture is not called blurred.
    """
    base = grey.astype(np.float32)
    fine = cv2.GaussianBlur(base, (0, 0), 1.0)
    coarse = cv2.GaussianBlur(fine, (0, 0), 3.0)
    finest = max(cv2.norm(base, fine, cv2.NORM_L2SQR) / grey.size - _ROUNDING, 0.0)
    middle = cv2.norm(fine, coarse, cv2.NORM_L2SQR) / grey.size
    return float(np.log2((finest + 0.02) / (middle + 0.5)))
