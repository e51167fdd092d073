"""Pictures of what a model looks at: each beside its heat map, and a sheet of all of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..panels import Case, Explained, Panel, Picture

# Pixels, and RGB.
Colour = tuple[int, int, int]
_SIDE, _GAP, _ACROSS, _MARGIN, _HEAD, _CAPTION = 132, 2, 4, 24, 74, 76
_CELL = 2 * _SIDE + _GAP
_WIDTH = _MARGIN + _ACROSS * (_CELL + _MARGIN)
_PAPER, _INK, _FAINT, _RIGHT, _WRONG = (255, 255, 255), (31, 35, 40), (100, 106, 115), (45, 100, 88), (179, 54, 29)


@dataclass(frozen=True)
class _Typeface:
    """How a line is written: `size` as a factor of OpenCV's letters."""

    size: float
    colour: Colour = _INK
    bold: bool = False


def overlay(picture: Picture) -> np.ndarray:
    """uint8 (H, W, 3): the picture in grey under its heat map, dark blue where nothing speaks for the class, yellow
    where most does: viridis, whose steps look equally large, also to the colour-blind."""
    grey = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    levels = (picture.heat * 255).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1].astype(np.float32)
    return ((grey + colours) / 2).round().astype(np.uint8)


def beside(picture: Picture, side: int) -> np.ndarray:
    """uint8: a picture and its overlay side by side, the longer side of each `side` pixels."""
    pair = [_scaled(pixels, side) for pixels in (picture.pixels, overlay(picture))]
    return np.concatenate([pair[0], np.full((len(pair[0]), _GAP, 3), 255, np.uint8), pair[1]], axis=1)


def _scaled(pixels: np.ndarray, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # Of few pixels each is to be seen; smoothing would pretend to know more.
    small = max(height, width) <= 48
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if small else cv2.INTER_CUBIC
    return cv2.resize(pixels, size, interpolation=way)


def caption_of(case: Case, classes: Sequence[str]) -> tuple[str, str, str]:
    """What stands below a picture: its class, the class predicted and its probability, and which picture it is.

    >>> from train.panels import Case
    >>> caption_of(Case("fog-5", "7", 0, 1, 0.934, 0.02, "fog, severe"), ("cat", "dog"))
    ('cat', 'predicted dog, 0.93', 'fog, severe · 7')
    """
    verdict = "right" if case.right else f"predicted {classes[case.predicted]}"
    return classes[case.label], f"{verdict}, {case.confidence:.2f}", " · ".join(filter(None, (case.variant, case.id)))


def sheet(explained: Explained) -> np.ndarray:
    """uint8 (H, W, 3): all panels below one another, each picture beside its overlay and above what is said of it."""
    blocks = [_block(panel, explained) for panel in explained.panels]
    return np.concatenate(blocks or [np.full((_MARGIN, _WIDTH, 3), _PAPER, np.uint8)])


def _block(panel: Panel, explained: Explained) -> np.ndarray:
    """One panel over the whole width of the sheet."""
    lines = [row[i : i + _ACROSS] for row in panel.rows for i in range(0, len(row), _ACROSS)]
    cells = [[_cell(case, explained) for case in line] for line in lines]
    heights = [max(len(cell) for cell in line) for line in cells]
    canvas = np.full((_HEAD + sum(heights) + _MARGIN, _WIDTH, 3), _PAPER, np.uint8)
    _write_line(canvas, panel.title, _MARGIN, 38, _Typeface(0.62, bold=True))
    _write_line(canvas, panel.about, _MARGIN, 60, _Typeface(0.45, _FAINT))
    top = _HEAD
    for line, height in zip(cells, heights, strict=True):
        for column, cell in enumerate(line):
            left = _MARGIN + column * (_CELL + _MARGIN)
            canvas[top : top + len(cell), left : left + _CELL] = cell
        top += height
    return canvas


def _cell(case: Case, explained: Explained) -> np.ndarray:
    pair = beside(explained.pictures[case], _SIDE)[:, :_CELL]
    cell = np.full((len(pair) + _CAPTION, _CELL, 3), _PAPER, np.uint8)
    cell[: len(pair), : pair.shape[1]] = pair
    name, verdict, source = caption_of(case, explained.classes)
    _write_line(cell, name, 0, len(pair) + 19, _Typeface(0.48, bold=True))
    _write_line(cell, verdict, 0, len(pair) + 38, _Typeface(0.42, _RIGHT if case.right else _WRONG))
    _write_line(cell, source, 0, len(pair) + 56, _Typeface(0.42, _FAINT))
    return cell


def _write_line(canvas: np.ndarray, text: str, left: int, base: int, typeface: _Typeface) -> None:
    """Put one line of text into the canvas, cut short where it does not fit."""
    font = cv2.FONT_HERSHEY_DUPLEX if typeface.bold else cv2.FONT_HERSHEY_SIMPLEX
    if int(cv2.__version__.split(".")[0]) < 5:  # whose letters are those of ASCII
        text = unicodedata.normalize("NFKD", text.replace("·", "-")).encode("ascii", "ignore").decode()
    room = canvas.shape[1] - left
    shown = text
    while shown and cv2.getTextSize(shown, font, typeface.size, 1)[0][0] > room:
        text = text[:-1]
        shown = text.rstrip() + "..."
    cv2.putText(canvas, shown, (left, base), font, typeface.size, typeface.colour, 1, cv2.LINE_AA)
