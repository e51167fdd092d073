"""Where each row lies on the map of a page, and how many pictures a point stands for.

UMAP draws copies of one picture as one dot, wherever its neighbours lie: of 290 pictures that do not belong to a set
nothing is seen. Groups that are foreign to a set are therefore laid out beside the map, a disc for each, its area
proportional to the number of its pictures.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

NOWHERE = 65_535  # of a row that has no place
LARGEST = 65_534
# In these units: the map where foreign groups lie beside it, the line between them, and their strip.
MAP_WIDTH, LINE, STRIP_FROM = 47_000, 48_500, 50_000
SPACING = 450.0  # between the pictures of a disc, where there is room
FILLED = 0.5  # of the strip, at most
FOREIGN = "outlier_group"


def placed(table: pd.DataFrame, findings: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint16 x and y (0 to 65,534, 65,535 of a row without a place) and uint32 of pictures on its dot, a row each.

    table: rows with their `x` and `y`, NaN where none. findings: `row`, `check`, `group`. Both axes have one scale. No
    chance is in it: the same scan gives the same places.
    """
    xy = table[["x", "y"]].to_numpy(np.float64)
    has_place = np.isfinite(xy).all(axis=1)
    group = _foreign_groups(len(table), findings) if has_place.any() else np.full(len(table), -1)
    x, y = (np.full(len(table), NOWHERE, np.uint16) for _ in range(2))
    apart = np.flatnonzero(group >= 0)
    own = np.flatnonzero(has_place & (group < 0))
    places = _scaled(xy[own], MAP_WIDTH if len(apart) else LARGEST)
    x[own], y[own] = places.T
    if len(apart):
        low, high = (int(places[:, 1].min()), int(places[:, 1].max())) if len(own) else (0, LARGEST)
        middle, half = (low + high) / 2, max(high - low, LARGEST / 2) / 2
        x[apart], y[apart] = _discs(group[apart], middle, half).T
    return x, y, _on_one_dot(x, y)


def line_of(x: np.ndarray, findings: pd.DataFrame) -> int | None:
    """Of placed rows, the x of the line beyond which foreign groups lie; None where there are none."""
    return LINE if (x != NOWHERE).any() and len(_foreign(findings)) else None


def _foreign(findings: pd.DataFrame) -> pd.DataFrame:
    """The findings of rows that belong to a foreign group."""
    return findings[(findings["check"] == FOREIGN) & (findings["row"] >= 0) & (findings["group"] >= 0)]


def _foreign_groups(n: int, findings: pd.DataFrame) -> np.ndarray:
    """int64 (n,): the foreign group of each row, -1 of those in none."""
    group, members = np.full(n, -1), _foreign(findings)
    group[members["row"].to_numpy(np.int64)] = members["group"].to_numpy(np.int64)
    return group


def _scaled(xy: np.ndarray, width: int) -> np.ndarray:
    """int64 (M, 2): places within `width` and the whole height, in the middle of both, on one scale."""
    if not len(xy):
        return np.zeros((0, 2), np.int64)
    low, high = xy.min(axis=0), xy.max(axis=0)
    room = np.array([width, LARGEST], np.float64)
    span = np.maximum(high - low, 1e-12)
    scale = (room / span).min() if (high > low).any() else 0.0
    places: np.ndarray = np.rint((xy - (low + high) / 2) * scale + room / 2).astype(np.int64)
    return places.clip(0, [width, LARGEST])


def _discs(group: np.ndarray, middle: float, half: float) -> np.ndarray:
    """int64 (M, 2): a place in the strip for each row, those of a group in a disc, the largest on top.

    The members of a disc lie as the seeds of a sunflower do (Vogel 1979): evenly, whatever their number.
    """
    numbers, disc, sizes = np.unique(group, return_inverse=True, return_counts=True)
    order = np.lexsort((numbers, -sizes))
    width = LARGEST - STRIP_FROM
    spacing = min(SPACING, np.sqrt(FILLED * width * 2 * half / (np.pi * len(group))))
    centres, height = _shelves(np.sqrt(sizes[order]) * spacing, width, 2 * spacing)
    while height > 2 * half or np.sqrt(sizes.max()) * spacing * 2 > width:
        spacing *= 0.9
        centres, height = _shelves(np.sqrt(sizes[order]) * spacing, width, 2 * spacing)
    centre = np.empty((len(numbers), 2))
    centre[order] = centres
    by_group = np.argsort(disc, kind="stable")
    rank = np.empty(len(group))
    rank[by_group] = np.arange(len(group)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    angle, reach = rank * np.pi * (3 - np.sqrt(5)), spacing * np.sqrt(rank + 0.5)
    x = STRIP_FROM + centre[disc, 0] + reach * np.cos(angle)
    y = middle + height / 2 - centre[disc, 1] + reach * np.sin(angle)
    places: np.ndarray = np.rint(np.column_stack([x, y])).astype(np.int64)
    return places.clip([STRIP_FROM, 0], LARGEST)


def _shelves(radii: np.ndarray, width: float, gap: float) -> tuple[np.ndarray, float]:
    """Centres (G, 2) of discs of falling radii, side by side on shelves from the top, and how high these are in all."""
    centres = np.empty((len(radii), 2))
    across, top, shelf = 0.0, 0.0, 2 * float(radii[0])
    for i, radius in enumerate(radii):
        if across and across + 2 * radius > width:
            across, top, shelf = 0.0, top + shelf + gap, 2 * radius
        centres[i] = across + radius, top + shelf / 2
        across += 2 * radius + gap
    return centres, top + shelf


def _on_one_dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """uint32 (N,): how many rows have the place of each; 0 of a row without one."""
    dot = x.astype(np.uint32) << 16 | y
    _, kind, counts = np.unique(dot, return_inverse=True, return_counts=True)
    return np.where(x == NOWHERE, 0, counts[kind]).astype(np.uint32)
