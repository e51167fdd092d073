from __future__ import annotations

import base64

import numpy as np
import pytest

from curate.reporting.columns import (
    UNKNOWN,
    Columns,
    columns_of,
    details_of,
    hundredths,
    info_of,
    inlined_columns,
)
from curate.reporting.overviews import VERDICTS, overview_of
from curate.reporting.placing import LINE, NOWHERE, placed
from curate.scans import Scan

KEPT, COPY, NEAR, LONG = 21, 22, 23, 50


def columns(scan: Scan, carried: np.ndarray | None = None) -> Columns:
    typical = np.full((len(scan.images.classes), 3), -1)
    typical[0] = 24, 27, 30
    return columns_of(
        scan.table, scan.findings, scan.images.classes, typical, placed(scan.table, scan.findings), carried
    )


def test_of_every_row_there_is_what_the_tables_have(scan: Scan) -> None:
    values = columns(scan).values
    table = scan.table
    np.testing.assert_array_equal(values["label"], table["label"])
    np.testing.assert_array_equal(values["group"], table["group"])
    assert [VERDICTS[code] for code in values["verdict"]] == table["verdict"].tolist()
    assert [columns(scan).splits[code] for code in values["split"]] == table["split"].tolist()
    has_place = table[["x", "y"]].notna().all(axis=1).to_numpy()
    np.testing.assert_array_equal(values["x"] != NOWHERE, has_place)
    foreign = scan.findings["row"][scan.findings["check"] == "outlier_group"]
    assert set(np.flatnonzero(has_place & (values["x"] > LINE))) == set(foreign)


def test_of_every_finding_there_is_what_the_table_has(scan: Scan) -> None:
    values, findings = columns(scan).values, scan.findings
    np.testing.assert_array_equal(values["finding_row"], findings["row"])
    np.testing.assert_array_equal(values["finding_group"], findings["group"])
    np.testing.assert_array_equal(values["finding_chance"], UNKNOWN)
    suggested = [scan.images.classes[code] if code >= 0 else "" for code in values["finding_suggested"]]
    assert suggested == findings["suggested"].tolist()
    assert set(suggested) == {"", scan.images.classes[1]}


def test_of_some_rows_the_columns_name_their_places(scan: Scan) -> None:
    carried = np.array([KEPT, COPY, 24, 30, LONG])
    part = columns(scan, carried)
    assert part.rows.tolist() == carried.tolist()
    assert part.place([LONG, 3, KEPT]) == [4, 0]
    # The findings on these rows, and the one on the whole set.
    told = scan.findings.iloc[part.numbers]
    assert set(told["row"]) == {COPY, 30, LONG, -1}
    assert part.values["finding_row"].tolist() == [{COPY: 1, 30: 3, LONG: 4, -1: -1}[row] for row in told["row"]]
    assert part.values["typical"].tolist() == [2, -1, 3, *[-1] * 6]
    assert set(part.values["queue"].tolist()) == {3, 4}
    assert all(len(values) == 5 for name, values in part.values.items() if name in ("label", "x", "stands_for"))


@pytest.mark.parametrize(("share", "expected"), [(0.29, 29), (0.57, 57), (1.0, 100), (0.0, 0), (np.nan, UNKNOWN)])
def test_shares_are_whole_hundredths_rounded_down(share: float, expected: int) -> None:
    assert hundredths(np.array([share], np.float32)).tolist() == [expected]


def test_the_info_says_how_long_each_column_is_and_of_what_kind(scan: Scan) -> None:
    everything = columns(scan)
    info = info_of(overview_of(scan), everything, scan.findings)
    assert info["rows"] == info["total"] == 60
    assert info["apart"] == LINE  # the jokes are foreign to the set
    for name, (kind, length) in info["columns"].items():  # type: ignore[attr-defined]
        raw = base64.b64decode(inlined_columns(everything)[name])
        np.testing.assert_array_equal(np.frombuffer(raw, np.dtype(kind).newbyteorder("<")), everything.values[name])
        assert len(everything.values[name]) == length
    assert list(info["because"].values()) == ["the background tells the class"]  # type: ignore[attr-defined]


def test_the_words_on_a_row_are_its_id_and_its_sentences(scan: Scan) -> None:
    (long, copy) = details_of(scan.table, scan.findings, [LONG, COPY])
    assert (long.row, long.id, long.digest) == (LONG, scan.table["id"][LONG], scan.table["digest"][LONG])
    assert list(long.because.values()) == ["300x200 among 28x28", "lighter than <i>most</i> & the rest"]
    assert [scan.findings["check"][number] for number in long.because] == ["odd_size", "light"]
    assert list(copy.because.values()) == [f"the same as row {KEPT}"]
