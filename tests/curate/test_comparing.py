from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from manifests import finish_scan, images_table

from curate.comparing import diff
from curate.configs import ScanConfig
from curate.findings import Finding, findings_table
from curate.scans import CleaningEffect
from curate.stage.errors import DataError
from curate.stage.files import write_parquet

Row = tuple[str, str, str, str]  # id, label, digest, verdict


def scanned(
    artifacts: Path,
    rows: Sequence[Row],
    findings: Sequence[tuple[str, str, str]] = (),
    extra: Mapping[str, object] = {},
    source: str = "/data/d.npz",
    **options: object,
) -> Path:
    """Artifacts with the tables of a scan, made by hand; findings: check, id ("" for the whole set), action."""
    ids = [row[0] for row in rows]
    table = pd.DataFrame(rows, columns=["id", "label_name", "digest", "verdict"], dtype="str")
    table.insert(0, "row", range(len(rows)))
    table = images_table(table)
    found = [
        Finding(ids.index(name) if name else -1, name, check, 0.9, -1, action, f"{check} because")
        for check, name, action in findings
    ]
    folder = artifacts / "scan"
    write_parquet(table, folder / "images.parquet")
    write_parquet(findings_table(found), folder / "findings.parquet")
    config = ScanConfig(artifacts=str(artifacts), **options)
    finish_scan(folder, config, source=source, **extra)
    return artifacts


A = [("p", "cat", "1", "keep"), ("q", "cat", "2", "drop"), ("r", "dog", "3", "review"), ("s", "dog", "4", "keep")]
B = [("t", "dog", "5", "keep"), ("r", "cat", "3", "keep"), ("q", "cat", "9", "keep"), ("p", "cat", "1", "keep")]
SAID_A = [
    ("exact_duplicate", "q", "drop"),
    ("dark", "r", "review"),
    ("dark", "s", "review"),
    ("shortcut", "", "review"),
]
SAID_B = [("dark", "r", "review"), ("blurred", "t", "review"), ("blurred", "p", "review"), ("shortcut", "", "review")]


def records(frame: pd.DataFrame) -> list[tuple]:
    return list(frame.itertuples(index=False, name=None))


@pytest.fixture
def found(tmp_path):
    return diff(scanned(tmp_path / "a", A, SAID_A), scanned(tmp_path / "b", B, SAID_B))


def test_a_scan_does_not_differ_from_itself(tmp_path):
    one = scanned(tmp_path / "a", A, SAID_A)
    same = diff(one, one / "scan")
    assert same.matched == 4
    tables = ("only_a", "only_b", "pixels", "labels", "verdicts", "moves", "gone", "new", "settings", "effect")
    assert {name: len(getattr(same, name)) for name in tables} == dict.fromkeys(tables, 0)
    assert records(same.summary) == [("exact_duplicate", 1, 1, 0, 0), ("dark", 2, 2, 0, 0), ("shortcut", 1, 1, 0, 0)]
    assert same.notes == ()


def test_images_are_matched_by_id_whatever_their_order(found):
    assert found.matched == 3
    assert records(found.only_a) == [(3, "s", "dog", "keep")]
    assert records(found.only_b) == [(0, "t", "dog", "keep")]
    assert list(found.only_a) == ["row", "id", "label", "verdict"]


def test_other_pixels_and_other_labels_under_one_id_are_told(found):
    assert records(found.pixels) == [("q", 1, 2)]
    assert records(found.labels) == [("r", 2, 1, "dog", "cat")]


def test_findings_are_gone_or_new_by_check_and_image(found):
    assert records(found.gone[["check", "row", "id", "matched"]]) == [
        ("exact_duplicate", 1, "q", True),
        ("dark", 3, "s", False),
    ]
    assert records(found.new[["check", "row", "id", "matched"]]) == [
        ("blurred", 0, "t", False),
        ("blurred", 3, "p", True),
    ]
    assert records(found.summary) == [
        ("exact_duplicate", 1, 0, 1, 0),
        ("blurred", 0, 2, 0, 2),
        ("dark", 2, 1, 1, 0),
        ("shortcut", 1, 1, 0, 0),
    ]
    assert list(found.summary) == ["check", "in_a", "in_b", "gone", "new"]


def test_the_summary_adds_up(found):
    summary = found.summary
    assert ((summary["in_a"] - summary["gone"]) == (summary["in_b"] - summary["new"])).all()


def test_verdicts_that_changed_are_listed_and_counted(found):
    assert records(found.verdicts) == [("q", 1, 2, "cat", "drop", "keep"), ("r", 2, 1, "cat", "review", "keep")]
    assert records(found.moves) == [("drop", "keep", 1), ("review", "keep", 1)]


def test_both_ways_round_agree(tmp_path):
    a, b = scanned(tmp_path / "a", A, SAID_A), scanned(tmp_path / "b", B, SAID_B)
    there, back = diff(a, b), diff(b, a)
    pd.testing.assert_frame_equal(there.gone, back.new)
    pd.testing.assert_frame_equal(there.only_a, back.only_b)
    assert set(there.verdicts["id"]) == set(back.verdicts["id"])


def test_options_embedder_and_versions_that_differ_are_told(tmp_path):
    a = scanned(tmp_path / "a", A, thresholds={"dark": 0.7}, drop=("dark",), workers=2)
    b = scanned(tmp_path / "b", A, extra={"embedder": "F", "embedder_digest": "1"}, labels="l.csv", workers=4)
    path = b / "scan" / "manifest.json"
    path.write_text(path.read_text().replace('"numpy": "', '"numpy": "0.'))
    settings = diff(a, b).settings
    version = settings.loc[settings["kind"] == "version"].iloc[0]
    assert (version["name"], version["b"]) == ("numpy", f"0.{version['a']}")
    assert records(settings[settings["kind"] != "version"]) == [
        ("option", "labels", "", "l.csv"),
        ("option", "drop", "dark", ""),
        ("option", "thresholds", "dark=0.7", ""),
        ("embedder", "embedder", "E", "F"),
    ]


def test_the_effect_is_told_where_the_manifests_have_it(tmp_path):
    effect = CleaningEffect(0.8, 0.9, 0.85, 0.95, 100)
    found = diff(
        scanned(tmp_path / "a", A, extra={"effect": None}), scanned(tmp_path / "b", A, extra={"effect": effect})
    )
    assert records(found.effect) == [("b", 0.8, 0.9, 0.85, 0.95, 100)]


def test_renamed_files_are_recognised_by_their_pixels(tmp_path):
    renamed = [("z" + row[0], *row[1:]) for row in A]
    notes = diff(scanned(tmp_path / "a", A), scanned(tmp_path / "b", renamed, source="/data/e.npz")).notes
    assert notes == (
        "no id occurs in both scans: these are two sets, or one whose files were renamed",
        "4 images only in A have the same pixels as an image only in B: renamed, such as p to zp",
        "A is a scan of /data/d.npz, B of /data/e.npz",
    )


def test_row_numbers_that_name_other_pictures_are_told(tmp_path):
    shifted = [(row[0], row[1], row[2] + "0", row[3]) for row in A]
    (note,) = diff(scanned(tmp_path / "a", A), scanned(tmp_path / "b", shifted)).notes
    assert note.startswith("4 of 4 images matched by id have other pixels")


def test_sets_without_images_in_common_or_findings_have_whole_tables(tmp_path):
    found = diff(scanned(tmp_path / "a", A[:1]), scanned(tmp_path / "b", B[:1]))
    assert (found.matched, len(found.summary), len(found.moves)) == (0, 0, 0)
    assert list(found.moves) == ["verdict_a", "verdict_b", "images"]
    assert list(found.verdicts) == ["id", "row_a", "row_b", "label", "verdict_a", "verdict_b"]


def test_a_folder_without_a_finished_scan_is_named(tmp_path):
    whole = scanned(tmp_path / "a", A)
    with pytest.raises(DataError, match=r"nowhere holds no finished scan"):
        diff(whole, tmp_path / "nowhere")
    (whole / "scan" / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"a/scan holds no finished scan.*Run `curate scan` first"):
        diff(whole, whole)


def test_a_copied_scan_folder_of_any_name_is_taken(tmp_path):
    whole = scanned(tmp_path / "a", A)
    (whole / "scan").rename(tmp_path / "before")
    assert diff(tmp_path / "before", tmp_path / "before").matched == 4
