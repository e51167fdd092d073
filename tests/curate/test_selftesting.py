import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from albums import Album

from curate.configs import ScanConfig
from curate.findings import SEVERITY
from curate.planting import COLOURS, PlantConfig
from curate.selftesting import (
    SEES,
    Counts,
    SelftestConfig,
    average_precision,
    propose,
    sample_rows,
    selftest,
    some_of_each,
    summary,
    tally,
    uniform,
    ways_of,
    wilson,
)
from curate.sets.arrays import ArrayPictures
from curate.sets.imageset import ImageSet, Source
from curate.stage.errors import DataError, OutputError

IN_USE = dict.fromkeys(SEVERITY, 0.5)


def scanned(n: int, scores: dict[str, dict[int, float]], groups=(), silenced=()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """images.parquet and findings.parquet of n rows: score of each check by row, rows of each group."""
    table = pd.DataFrame({f"{name}_score": np.zeros(n, np.float32) for name in SEVERITY})
    table["group"] = -1
    for number, rows in enumerate(groups):
        table.loc[list(rows), "group"] = number
    flags = []
    for name, by_row in scores.items():
        for row, score in by_row.items():
            table.loc[row, f"{name}_score"] = score
            if score >= IN_USE[name] and row not in silenced:
                flags.append((row, name))
    return table, pd.DataFrame(flags, columns=["row", "check"])


def counted(planted, table, findings, ignored=()):
    mask = np.zeros(len(table), bool)
    mask[list(ignored)] = True
    return tally(planted, table, findings, IN_USE, mask)


def told(planted, table, findings, natural=None, **kwargs) -> pd.DataFrame:
    """The table of one planted copy, by check."""
    return summary([counted(planted, table, findings, **kwargs)], IN_USE, 0.95, natural or {}).set_index("check")


def blurred(*rows: int) -> list[dict]:
    return [{"row": row, "kind": "blur"} for row in rows]


def scenes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Small coloured pictures of three classes: discs, bars and crosses on a light ground, with fine grain."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    y, x = np.mgrid[:32, :32]
    images = np.empty((n, 32, 32, 3))
    for row, label in enumerate(labels.tolist()):
        cx, cy = rng.uniform(10, 22, 2)
        dx, dy = np.abs(x - cx), np.abs(y - cy)
        size = rng.uniform(5, 9)
        shape = (np.hypot(dx, dy) < size, dx < size / 2, np.minimum(dx, dy) < size / 3)[label]
        colour = np.array(((150, 60, 60), (60, 130, 70), (70, 80, 150))[label]) + rng.normal(0, 8, 3)
        images[row] = np.where(shape[..., None], colour, (215, 205, 190))
        images[row] += 12 * rng.standard_normal((8, 8, 1)).repeat(4, 0).repeat(4, 1)
    images += 4 * rng.standard_normal(images.shape[:3])[..., None]
    return np.clip(images, 0, 255).astype(np.uint8), labels


def as_set(images, labels, classes=("disc", "bar", "cross"), **kwargs) -> ImageSet:
    source = Source("npz", Path("toys.npz"))
    pictures = images if not isinstance(images, np.ndarray) else ArrayPictures([images])
    ids = tuple(f"toy{row}" for row in range(len(pictures)))
    return ImageSet(pictures, np.asarray(labels), ids, classes, source, **kwargs)


# counting


def test_a_planted_fault_counts_as_found_when_its_check_flags_it():
    row = told(blurred(1, 2), *scanned(9, {"blurred": {1: 0.8, 2: 0.3}})).loc["blurred"]
    assert (row["planted"], row["found"], row["flagged"], row["false_alarms"]) == (2, 1, 1, 0)
    assert row["recall"] == 0.5
    assert row["precision"] == 1


def test_a_flag_by_another_check_does_not_find_a_fault():
    rows = told(blurred(1), *scanned(9, {"dark": {1: 0.9}}))
    assert rows.loc["blurred", "found"] == 0
    assert np.isnan(rows.loc["blurred", "precision"])


def test_what_is_flagged_without_anything_planted_in_it_is_a_false_alarm():
    row = told(blurred(1), *scanned(9, {"blurred": {1: 0.8, 5: 0.6, 7: 0.7}})).loc["blurred"]
    assert row["false_alarms"] == 2
    assert row["precision"] == pytest.approx(1 / 3)
    assert row["precision_low"] < 1 / 3 < row["precision_high"]


def test_a_flag_on_a_fault_of_another_kind_counts_neither_way():
    planted = [*blurred(1), {"row": 2, "kind": "solid"}]
    row = told(planted, *scanned(9, {"blurred": {1: 0.8, 2: 0.9}})).loc["blurred"]
    assert (row["flagged"], row["false_alarms"], row["precision"]) == (2, 0, 1)


def test_ignored_rows_count_neither_way():
    table, findings = scanned(9, {"blurred": {1: 0.8, 8: 0.9}})
    row = told(blurred(1), table, findings, ignored=[8]).loc["blurred"]
    assert (row["flagged"], row["false_alarms"], row["precision"]) == (1, 0, 1)


@pytest.mark.parametrize("flagged", [3, 6], ids=["the copy is flagged", "its original is flagged"])
def test_a_copy_is_found_when_either_is_flagged_and_both_are_in_one_group(flagged):
    planted = [{"row": 3, "kind": "near", "how": "flip", "of": 6}]
    together = scanned(9, {"near_duplicate": {flagged: 0.97}}, groups=[(3, 6)])
    apart = scanned(9, {"near_duplicate": {flagged: 0.97}}, groups=[(3, 4), (6, 7)])
    assert told(planted, *together).loc["near_duplicate", "found"] == 1
    assert told(planted, *apart).loc["near_duplicate", "found"] == 0


def test_the_original_of_a_copy_raises_no_false_alarm():
    planted = [{"row": 3, "kind": "exact", "of": 6}]
    table, findings = scanned(9, {"exact_duplicate": {6: 1.0}}, groups=[(3, 6)])
    row = told(planted, table, findings).loc["exact_duplicate"]
    assert (row["found"], row["false_alarms"], row["precision"]) == (1, 0, 1)


def test_a_conflict_that_speaks_finds_a_copy_as_well():
    planted = [{"row": 3, "kind": "near", "how": "flip", "of": 6}]
    table, findings = scanned(9, {"label_conflict": {3: 0.7, 6: 0.7}}, groups=[(3, 6)])
    rows = told(planted, table, findings)
    assert rows.loc["near_duplicate", "found"] == 1
    assert rows.loc["label_conflict", ["planted", "false_alarms"]].tolist() == [0, 0]


@pytest.mark.parametrize("check", SEES["intruder"])
def test_a_strange_picture_is_found_by_any_check_that_may_tell_of_it(check):
    planted = [{"row": 3, "kind": "intruder", "of": "a"}]
    rows = told(planted, *scanned(9, {check: {3: 0.9}}))
    assert rows.loc["outlier_group", "found"] == 1


def test_a_score_that_the_scan_kept_silent_on_counts_as_below_the_threshold():
    table, findings = scanned(9, {"blurred": {1: 0.8, 5: 0.9}}, silenced=[1, 5])
    row = told(blurred(1), table, findings).loc["blurred"]
    assert (row["found"], row["false_alarms"]) == (0, 0)


def test_a_finding_on_the_set_as_a_whole_is_no_row():
    table, findings = scanned(9, {"blurred": {1: 0.8}})
    findings.loc[len(findings)] = (-1, "shortcut")
    assert "shortcut" not in told(blurred(1), table, findings).index


def test_only_checks_with_something_planted_or_flagged_have_a_row_in_order_of_severity():
    table, findings = scanned(9, {"blurred": {1: 0.8}, "outlier": {4: 0.6}})
    rows = told(blurred(1), table, findings, natural={"outlier": 7, "dark": 3})
    assert rows.index.tolist() == ["outlier", "blurred"]
    assert rows["natural"].tolist() == [7, 0]
    assert np.isnan(rows.loc["outlier", ["recall", "precision", "ap", "proposed"]].astype(float)).all()
    assert rows.loc["outlier", "false_alarms"] == 1


def test_repeats_are_pooled():
    one = counted(blurred(1), *scanned(9, {"blurred": {1: 0.8}}))
    two = counted(blurred(4, 5), *scanned(9, {"blurred": {4: 0.8, 5: 0.1, 7: 0.6}}))
    row = summary([one, two], IN_USE, 0.95, {}).set_index("check").loc["blurred"]
    assert row[["planted", "found", "flagged", "false_alarms"]].tolist() == [3, 2, 3, 1]


def test_nothing_planted_and_nothing_flagged_is_an_empty_table_of_the_same_columns():
    empty = summary([counted([], *scanned(9, {}))], IN_USE, 0.95, {})
    full = summary([counted(blurred(1), *scanned(9, {"blurred": {1: 0.8}}))], IN_USE, 0.95, {})
    assert len(empty) == 0
    assert empty.dtypes.equals(full.dtypes)


def test_ways_tell_what_is_missed_of_each_kind():
    planted = [
        {"row": 0, "kind": "cast", "strength": "subtle", "colour": "red"},
        {"row": 1, "kind": "near", "how": "crop", "of": 2},
        {"row": 3, "kind": "near", "how": "crop", "of": 4},
        {"row": 5, "kind": "intruder", "of": "b"},
    ]
    scores = {"near_duplicate": {1: 0.96}, "outlier": {5: 0.6}}
    ways = ways_of([counted(planted, *scanned(9, scores, groups=[(1, 2)]))])
    assert ways.to_numpy().tolist() == [
        ["intruder", "picture b", 1, 1],
        ["near", "crop", 2, 1],
        ["cast", "subtle red", 1, 0],
    ]


def test_rows_name_every_fault_and_every_false_alarm():
    table, findings = scanned(9, {"blurred": {1: 0.8, 5: 0.6}, "dark": {2: 0.7}})
    rows = tally(blurred(1, 2), table, findings, IN_USE, np.zeros(9, bool), [f"id{row}" for row in range(9)]).rows
    assert rows[["id", "kind", "found", "flagged"]].to_numpy().tolist() == [
        ["id1", "blur", True, "blurred"],
        ["id2", "blur", False, "dark"],
        ["id5", "", False, "blurred"],
    ]
    assert rows["score"].tolist() == pytest.approx([0.8, 0, 0.6])


def test_every_kind_that_is_planted_by_default_has_a_check_to_see_it():
    assert {check for checks in SEES.values() for check in checks} <= set(SEVERITY)


# thresholds


def counts(target, clean) -> Counts:
    target = np.array(target, float)
    return Counts(target, np.zeros(len(target), bool), target, np.array(clean, float), 0)


def test_a_lower_threshold_is_proposed_where_it_finds_more():
    assert propose(counts([0.9, 0.4, 0.3], [0.1] * 50), 0.5, 0.95) == 0.3


def test_a_higher_threshold_is_proposed_where_the_one_in_use_is_not_precise_enough():
    assert propose(counts([0.9] * 10, [0.55, 0.6, *[0.1] * 50]), 0.5, 0.95) == 0.61


def test_nothing_is_proposed_where_nothing_is_to_be_gained_or_reached():
    assert propose(counts([0.9, 0.8], [0.1] * 50), 0.5, 0.95) is None
    assert propose(counts([0.9, 0.8], [0.95] * 50), 0.5, 0.95) is None
    assert propose(counts([0.0, 0.0], [0.0] * 50), 0.5, 0.95) is None


def test_faults_that_another_check_finds_are_no_reason_to_lower_a_threshold():
    some = replace(counts([0.9, 0.2], [0.1] * 50), otherwise=np.array([False, True]))
    assert propose(some, 0.5, 0.95) is None


def test_a_proposal_and_its_recall_stand_in_the_table():
    scores = {1: 0.8, 2: 0.41, 3: 0.01}
    row = told(blurred(1, 2, 3), *scanned(40, {"blurred": scores})).loc["blurred"]
    assert row["proposed"] == 0.41
    assert row["recall_at_proposed"] == pytest.approx(2 / 3)


# arithmetic


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1)]
)
def test_intervals_are_those_of_wilson(hits, n, low, high):
    assert wilson(hits, n) == pytest.approx((low, high), abs=1e-4)


def test_average_precision_is_that_of_scikit_learn_ties_included():
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    for _ in range(20):
        bad, clean = rng.integers(0, 6, 7) / 5, rng.integers(0, 5, 30) / 5
        truth = np.repeat([1, 0], [len(bad), len(clean)])
        assert average_precision(bad, clean) == pytest.approx(
            average_precision_score(truth, np.concatenate([bad, clean]))
        )
    assert np.isnan(average_precision(np.array([]), clean))


# what is tested on


def test_a_sample_keeps_the_shares_of_the_classes_and_leaves_none_out():
    labels = np.repeat([0, 1, 2, 3], [600, 300, 99, 1])
    rows = sample_rows(labels, 100, seed=3)
    assert len(np.unique(rows)) == 100
    assert (np.diff(rows) > 0).all()
    shares = np.bincount(labels[rows]) / 100
    assert np.abs(shares - [0.6, 0.3, 0.1, 0.01]).max() < 0.02
    assert not np.array_equal(rows, sample_rows(labels, 100, seed=4))
    assert sample_rows(labels, 5000, seed=3).tolist() == list(range(1000))


def test_pictures_of_one_size_stay_as_they_are():
    images, _ = scenes(5)
    assert np.array_equal(uniform(list(images)), images)


def test_pictures_of_several_sizes_are_fitted_in_whole_and_filled_with_their_edges():
    wide = np.full((10, 40, 3), 90, np.uint8)
    wide[:, :3] = 200
    made = uniform([np.full((20, 20, 3), 30, np.uint8), np.full((20, 20, 3), 60, np.uint8), wide])
    assert made.shape == (3, 20, 20, 3)
    assert (made[0] == 30).all()
    assert (made[2, :, 10:] == 90).all()
    assert (made[2, :, 0] == 200).all()


@pytest.mark.parametrize("n", [60, 200, 2000])
def test_the_default_faults_leave_most_of_a_set_as_it_is(n):
    faults = some_of_each(n, seed=1)
    rates = [*faults.intruder, faults.intruder_one_class, faults.exact, faults.near, faults.conflict, faults.label]
    rates += [faults.blur, faults.dark, faults.light, faults.grey, faults.solid, *(c.rate for c in faults.casts)]
    assert all(rate > 0 for rate in rates)
    assert sum(faults.count(rate, n) for rate in rates) <= 0.35 * n
    assert {cast.strength for cast in faults.casts} == {"subtle", "strong"}
    assert len({cast.colour for cast in faults.casts}) == min(len(COLOURS), len(faults.casts))


@pytest.mark.parametrize(
    "wrong",
    [{"images": 59}, {"precision": 0}, {"precision": 1.1}, {"repeats": 0}, {"seed": -1}],
    ids=str,
)
def test_a_bad_configuration_is_refused(wrong):
    with pytest.raises(DataError, match=next(iter(wrong))):
        SelftestConfig(**wrong)


@pytest.mark.parametrize("name", ["embeddings", "probabilities"])
def test_files_of_an_own_model_are_refused_because_it_has_not_seen_what_is_planted(name):
    with pytest.raises(DataError, match=f"--{name} has no rows of the pictures that a self-test plants"):
        SelftestConfig(scan=ScanConfig(**{name: "own.npy"}))


def test_too_few_readable_images_are_an_error_that_says_how_many_are_needed():
    images, labels = scenes(70)
    broken = Album([None if row < 20 else image for row, image in enumerate(images)])
    with pytest.raises(DataError, match=r"toys\.npz has 50 images that can be read; a self-test needs 60"):
        selftest(as_set(broken, labels))


def test_a_place_that_cannot_be_written_to_is_told_at_once(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file is a file, not a folder"):
        selftest(as_set(*scenes(70)), SelftestConfig(artifacts=str(tmp_path / "file")))


# from end to end, without weights

SMALL = SelftestConfig(ScanConfig(backbone="builtin", map="none"))


@pytest.mark.slow
def test_a_small_set_is_tested_from_end_to_end(tmp_path):
    images, labels = scenes(120)
    before = images.copy()
    config = replace(SMALL, artifacts=str(tmp_path))
    result = selftest(as_set(images, labels), config)
    assert np.array_equal(images, before)
    table = result.table.set_index("check")
    for check in ("exact_duplicate", "label_conflict", "dark", "low_information"):
        assert table.loc[check, "recall"] == 1, check
    assert result.ways["planted"].sum() == (result.rows["kind"] != "").sum()
    assert set(result.rows["id"]) <= {"", *(f"toy{row}" for row in range(120))}
    assert "real faults can be fainter or plainer than planted ones: take these numbers as a guide" in result.notes
    assert ScanConfig(thresholds=result.thresholds)
    written = json.loads((tmp_path / "selftest.json").read_text())
    assert [row["check"] for row in written["table"]] == result.table["check"].tolist()
    assert [file.name for file in tmp_path.iterdir()] == ["selftest.json"]
    first = (tmp_path / "selftest.json").read_bytes()
    selftest(as_set(images, labels), config)
    assert (tmp_path / "selftest.json").read_bytes() == first


@pytest.mark.slow
def test_without_labels_or_colours_these_kinds_are_left_out_and_said_to_be():
    images, _ = scenes(90)
    grey = images.mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3)
    result = selftest(as_set(grey, np.full(90, -1), classes=()), SMALL)
    assert not {"conflict", "label", "cast", "grey"} & set(result.ways["kind"])
    assert "not planted: conflict, label (no labels)" in result.notes
    assert "not planted: cast, grey (the images are grey)" in result.notes


@pytest.mark.slow
def test_sizes_that_differ_and_files_that_are_broken_are_said_to():
    images, labels = scenes(90)
    pictures = [image[: 32 - row % 3] for row, image in enumerate(images)]
    pictures[4] = None
    faults = PlantConfig(fraction=0)
    result = selftest(as_set(Album(pictures), labels, splits=("train", "test") * 45), replace(SMALL, faults=faults))
    assert "left out: 1 of 90 images, which cannot be read" in result.notes
    assert any("images of 3 sizes were brought to 32x31" in note for note in result.notes)
    assert any("splits are ignored" in note for note in result.notes)
    assert result.table["planted"].sum() == 0
