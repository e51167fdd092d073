from __future__ import annotations

import cv2
import numpy as np
import pytest

from train.panels import Case, Explained, Picture
from train.reporting import RunReport
from train.reporting.sheets import beside, caption_of, overlay, sheet

CASE = Case("fog-5", "row 7", 0, 1, 0.934, 0.02, "fog, severe")


def test_a_heat_map_goes_from_dark_blue_to_yellow_over_a_grey_picture() -> None:
    pixels = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    laid = overlay(Picture(pixels, np.array([[0, 0.5], [1, 1]], np.float32))).astype(int)
    grey = 76  # of pure red
    # The ends of viridis: #440154 and #fde725.
    assert laid[0, 0] == pytest.approx(np.array([(grey + v) / 2 for v in (0x44, 0x01, 0x54)]), abs=2)
    assert laid[1, 1] == pytest.approx(np.array([(grey + v) / 2 for v in (0xFD, 0xE7, 0x25)]), abs=2)
    assert (laid[1, 0] == laid[1, 1]).all()


@pytest.mark.parametrize(("height", "width"), [(96, 96), (30, 60), (300, 200), (1, 50)])
def test_a_picture_keeps_its_shape_beside_its_heat_map(height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pair = beside(Picture(pixels, np.zeros((height, width), np.float32)), 132)
    scale = 132 / max(height, width)
    assert pair.dtype == np.uint8
    assert pair.shape == (max(1, round(height * scale)), 2 * max(1, round(width * scale)) + 2, 3)


def test_small_pictures_are_enlarged_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    pair = beside(Picture(pixels, np.zeros((12, 12), np.float32)), 132)
    assert (pair[:132, :132] == pixels.repeat(11, axis=0).repeat(11, axis=1)).all()


def test_a_sheet_shows_every_picture(run: RunReport) -> None:
    assert run.explained is not None
    drawn = sheet(run.explained)
    assert drawn.dtype == np.uint8
    for case in (panel.cases[-1] for panel in run.explained.panels):
        pair = beside(run.explained.pictures[case], 132)
        found = cv2.matchTemplate(drawn, np.ascontiguousarray(pair), cv2.TM_SQDIFF_NORMED)
        assert found.min() < 1e-4
    assert (sheet(run.explained) == drawn).all()


def test_long_and_foreign_names_do_not_break_a_sheet() -> None:
    from train.panels import Panel

    names = ("a very long name of a class that does not fit below its picture at all", "Größe 大きさ")
    picture = Picture(np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.float32))
    import pandas as pd

    panel = Panel("Title", "about", ((CASE,),))
    drawn = sheet(Explained(names, (panel,), {CASE: picture}, ((1, 1),), pd.DataFrame()))
    below = drawn[74 + 132 :]
    assert (below[:30, :290] < 128).any()
    assert (below[:, 300:] == 255).all()  # nothing runs into the next picture


def test_a_right_one_is_said_to_be() -> None:
    assert caption_of(Case("test", "a", 1, 1, 0.999, 0.999), ("cat", "dog")) == ("dog", "right, 1.00", "a")
