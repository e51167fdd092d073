"""Pictures that belong to no set: a face, a landscape, a scribbled chessboard, drawn in any size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np


def strange_pictures(height: int, width: int) -> np.ndarray:
    """uint8 (3, height, width, 3): a grinning face over a caption, a landscape, a scribbled chessboard."""
    return np.stack([_rendered(draw, height, width) for draw in (_face, _landscape, _chessboard)])


def _rendered(draw: Callable[[int], np.ndarray], height: int, width: int) -> np.ndarray:
    """A square drawing, brought to its size from one several times as large: fine lines come out smooth."""
    side = max(384, 2 * max(height, width))
    return np.asarray(cv2.resize(draw(side), (width, height), interpolation=cv2.INTER_AREA))


def _face(side: int) -> np.ndarray:
    s = side / 100
    ink, white, yellow = (30, 30, 30), (255, 255, 255), (250, 210, 50)
    canvas = np.full((side, side, 3), (60, 170, 160), np.uint8)
    cv2.circle(canvas, _point(50, 40, s), round(34 * s), ink, -1)
    cv2.circle(canvas, _point(50, 40, s), round(32 * s), yellow, -1)
    for x in (38, 62):
        cv2.ellipse(canvas, _point(x, 32, s), _point(5, 8, s), 0, 0, 360, ink, -1)
        cv2.circle(canvas, _point(x + 1.5, 29, s), round(2 * s), white, -1)
    cv2.ellipse(canvas, _point(50, 44, s), _point(19, 17, s), 0, 0, 180, (120, 20, 30), -1)
    cv2.rectangle(canvas, _point(33, 44, s), _point(67, 49, s), white, -1)
    cv2.rectangle(canvas, _point(0, 79, s), (side, side), ink, -1)
    cv2.putText(canvas, "TRUST ME", _point(15, 95, s), cv2.FONT_HERSHEY_DUPLEX, 0.5 * s, white, round(1.6 * s))
    return canvas


def _landscape(side: int) -> np.ndarray:
    s = side / 100
    down, across = np.linspace(0, 1, side)[:, None, None], np.arange(side)
    sky = np.array((90, 150, 225)) * (1 - down) + np.array((255, 225, 170)) * down
    canvas = np.repeat(sky, side, axis=1).astype(np.uint8)
    cv2.circle(canvas, _point(72, 26, s), round(11 * s), (255, 240, 120), -1)
    hills = (56, 10, 1.3, (110, 140, 150)), (68, 8, 2.1, (70, 130, 70)), (82, 5, 1.1, (40, 90, 40))
    for base, swing, waves, colour in hills:
        ridge = (base + swing * np.sin(waves * 2 * np.pi * across / side + base)) * s
        outline = np.concatenate([np.stack([across, ridge], 1), [[side, side], [0, side]]])
        cv2.fillPoly(canvas, [outline.astype(np.int32)], colour)
    return canvas


def _chessboard(side: int) -> np.ndarray:
    s = side / 100
    squares = (np.arange(side) * 8 // side) % 2
    canvas = np.where((squares[:, None] ^ squares)[..., None], (245, 245, 245), (35, 35, 40)).astype(np.uint8)
    scribble = np.random.default_rng(0)  # always the same
    for line in (22, 46, 70):
        cv2.rectangle(canvas, _point(8, line - 8, s), _point(92, line + 8, s), (250, 250, 210), -1)
        at = np.stack([np.linspace(12, 88, 40), line + scribble.uniform(-5, 5, 40)], 1) * s
        cv2.polylines(canvas, [at.astype(np.int32)], False, (190, 20, 40), round(1.5 * s))
    return canvas


def _point(x: float, y: float, scale: float) -> tuple[int, int]:
    return round(x * scale), round(y * scale)
