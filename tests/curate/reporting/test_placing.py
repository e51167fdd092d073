from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from curate.reporting.placing import LARGEST, LINE, NOWHERE, STRIP_FROM, line_of, placed


def rows_at(xy: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(xy, columns=["x", "y"])


def found(groups: dict[int, list[int]], check: str = "outlier_group") -> pd.DataFrame:
    pairs = [(row, check, group) for group, rows in groups.items() for row in rows]
    return pd.DataFrame(pairs, columns=["row", "check", "group"])


NOTHING = found({})


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    at = np.column_stack([x, y]).astype(float)
    away = np.linalg.norm(at[:, None] - at[None], axis=2)
    np.fill_diagonal(away, np.inf)
    return away


def test_the_map_keeps_its_shape_and_fills_its_room():
    xy = np.random.default_rng(0).normal(size=(50, 2)) * [3, 1]
    x, y, stands_for = placed(rows_at(xy), NOTHING)
    assert (x.dtype, y.dtype, stands_for.dtype) == (np.uint16, np.uint16, np.uint32)
    assert (x.min(), x.max()) == (0, LARGEST)
    scale = LARGEST / np.ptp(xy[:, 0])
    np.testing.assert_allclose(np.ptp(y.astype(float)), np.ptp(xy[:, 1]) * scale, atol=2)
    assert (stands_for == 1).all()
    assert line_of(x, NOTHING) is None


def test_a_dot_stands_for_all_that_lie_on_it():
    xy = np.array([[0, 0], [1, 1], [1, 1], [1, 1], [np.nan, np.nan]])
    x, _, stands_for = placed(rows_at(xy), NOTHING)
    assert stands_for.tolist() == [1, 3, 3, 3, 0]
    assert x[4] == NOWHERE


def test_a_foreign_group_lies_apart_and_no_picture_of_it_on_another():
    xy = np.zeros((400, 2))
    xy[:110] = np.random.default_rng(0).normal(size=(110, 2))
    findings = found({7: list(range(110, 400)), 3: [0, 5]})
    x, y, stands_for = placed(rows_at(xy), findings)
    apart = np.isin(np.arange(400), findings["row"])
    assert (x[apart] >= STRIP_FROM).all()
    assert (x[~apart] < LINE).all()
    assert line_of(x, findings) == LINE
    assert (stands_for == 1).all()
    assert distances(x[apart], y[apart]).min() > 200


def test_groups_have_room_by_their_size_and_keep_away_from_each_other():
    sizes = [300, 80, 80, 20, 5]
    starts = np.cumsum([0, *sizes])
    groups = {g: list(range(a, b)) for g, (a, b) in enumerate(pairwise(starts))}
    xy = np.random.default_rng(0).normal(size=(starts[-1] + 100, 2))
    x, y, _ = placed(rows_at(xy), found(groups))
    at = np.column_stack([x, y]).astype(float)
    centre = np.array([at[rows].mean(axis=0) for rows in groups.values()])
    radius = np.array([np.linalg.norm(at[rows] - at[rows].mean(axis=0), axis=1).max() for rows in groups.values()])
    np.testing.assert_allclose(radius[:3] ** 2 / radius[0] ** 2, np.array(sizes[:3]) / sizes[0], rtol=0.15)
    between = np.linalg.norm(centre[:, None] - centre[None], axis=2) - radius[:, None] - radius[None]
    assert between[np.triu_indices(len(sizes), 1)].min() > 0


@pytest.mark.parametrize("sizes", [[20_000], [1] * 3_000, [5_000, 4_000, *[3] * 500]], ids=["one", "many", "both"])
def test_however_many_are_foreign_they_fit(sizes):
    group = np.repeat(np.arange(len(sizes)), sizes)
    findings = pd.DataFrame({"row": np.arange(len(group)), "check": "outlier_group", "group": group})
    xy = np.random.default_rng(0).normal(size=(len(group) + 1000, 2))
    x, y, stands_for = placed(rows_at(xy), findings)
    assert x[: len(group)].min() >= STRIP_FROM
    assert max(x.max(), y.max()) <= LARGEST
    assert stands_for[: len(group)].max() <= 2


def test_the_same_scan_gives_the_same_places_and_keeps_its_tables():
    table, findings = rows_at(np.random.default_rng(1).normal(size=(60, 2))), found({1: list(range(20))})
    before = table.copy(), findings.copy()
    first, again = placed(table, findings), placed(table, findings)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    pd.testing.assert_frame_equal(table, before[0])
    pd.testing.assert_frame_equal(findings, before[1])


def test_of_other_findings_nothing_is_set_apart():
    table = rows_at(np.random.default_rng(1).normal(size=(60, 2)))
    findings = found({1: [1, 2, 3]}, "near_duplicate")
    x, _, _ = placed(table, findings)
    assert x.max() == LARGEST
    assert line_of(x, findings) is None


@pytest.mark.parametrize("n", [0, 1, 5])
def test_rows_without_a_map_have_no_place(n):
    table = rows_at(np.full((n, 2), np.nan))
    findings = found({1: list(range(n))})
    x, y, stands_for = placed(table, findings)
    assert (x == NOWHERE).all()
    assert (y == NOWHERE).all()
    assert (stands_for == 0).all()
    assert line_of(x, findings) is None


def test_where_every_row_is_foreign_and_where_all_lie_on_one_dot_there_are_places():
    table = rows_at(np.ones((40, 2)))
    x, y, stands_for = placed(table, found({1: list(range(40))}))
    assert stands_for.tolist() == [1] * 40
    assert (x >= STRIP_FROM).all()
    assert (y < NOWHERE).all()
    assert placed(table, NOTHING)[2].tolist() == [40] * 40


def test_a_million_rows_are_placed_quickly():
    import time

    rng = np.random.default_rng(0)
    table = rows_at(rng.normal(size=(1_000_000, 2)))
    rows = rng.choice(1_000_000, 20_000, replace=False)
    findings = pd.DataFrame({"row": rows, "check": "outlier_group", "group": rng.integers(0, 400, 20_000)})
    began = time.process_time()
    placed(table, findings)
    assert time.process_time() - began < 10
