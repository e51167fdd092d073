from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from albums import album
from PIL import Image

import curate.scanning
from curate.configs import ScanConfig
from curate.deciding import decide
from curate.decisions import Proposal
from curate.findings import SEVERITY
from curate.measuring.embedding import builtin
from curate.measuring.storage import cache_folder
from curate.planting import PlantConfig, plant, strange_pictures
from curate.scanning import scan
from curate.scans import Scan, ScanManifest
from curate.sets.reading import read
from curate.sets.scaling import INTEGERS, Decoding, Scale
from curate.stage.errors import DataError, OutputError, UnknownName
from curate.stage.manifest import file_digest, read_manifest
from curate.stage.progress import Silent

FIRST_COLUMNS = ["row", "id", "label", "label_name", "split", "digest", "group", "verdict", "x", "y"]
TABLES = ("images.parquet", "findings.parquet", "pairs.parquet", "embeddings.npy")
QUICK = ScanConfig(artifacts=None, backbone="builtin", map="none")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def saved(folder: Path, **arrays) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def quick(source, **options) -> Scan:
    return scan(source, replace(QUICK, **options))


def rows_of(found: Scan, check: str) -> list[int]:
    return sorted(found.findings.loc[found.findings["check"] == check, "row"].tolist())


@pytest.fixture(scope="module")
def data(planted, tmp_path_factory) -> Path:
    """The same as an archive."""
    path = tmp_path_factory.mktemp("planted") / "data.npz"
    names = np.array(["lobed", "round", "kidney", "granular"])
    np.savez(path, images=planted.images, labels=planted.labels, class_names=names, magnification=np.array(63))
    return path


@pytest.fixture(scope="module")
def found(data, tmp_path_factory) -> Scan:
    """What a scan of it finds."""
    return quick(data, artifacts=str(tmp_path_factory.mktemp("artifacts")), map="pca")


@pytest.fixture(scope="module")
def home(found) -> Path:
    """Where that is written."""
    return Path(found.config.artifacts)


@pytest.fixture
def small(tmp_path, cells) -> Path:
    """An archive of twelve cells, two copies and a solid picture."""
    solid = np.full((1, 96, 96, 3), 7, np.uint8)
    images = np.concatenate([cells[0][:12], cells[0][3:4], cells[0][5:6, :, ::-1], solid])
    return saved(tmp_path, images=images, labels=np.append(cells[1][:12], [*cells[1][[3, 5]], 0]))


def planted_rows(planted, *kinds: str) -> list[int]:
    return [entry["row"] for entry in planted.truth["planted"] if entry["kind"] in kinds]


# What is found of what was planted


def test_every_intruder_is_dropped(found, planted):
    rows = planted_rows(planted, "intruder")
    assert set(rows_of(found, "outlier_group")) >= set(rows)
    assert (found.table["verdict"][rows] == "drop").all()


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("cast", "colour_cast"),
        ("blur", "blurred"),
        ("dark", "dark"),
        ("light", "light"),
        ("grey", "grayscale"),
        ("solid", "low_information"),
        ("conflict", "label_conflict"),
    ],
)
def test_every_fault_of_a_kind_is_found_by_its_check(found, planted, kind, check):
    rows = planted_rows(planted, kind)
    assert rows
    assert set(rows) <= set(rows_of(found, check))


def test_of_every_planted_copy_and_its_original_one_is_dropped(found, planted):
    for entry in planted.truth["planted"]:
        if entry["kind"] == "exact" or (entry["kind"] == "near" and entry["how"] != "crop"):
            assert sorted(found.table["verdict"][[entry["row"], entry["of"]]])[:2].count("drop") == 1, entry


def test_no_clean_cell_is_dropped_but_as_the_copy_of_another(found, planted):
    originals = {entry["of"] for entry in planted.truth["planted"] if "of" in entry}
    clean = set(range(len(planted.images))) - {entry["row"] for entry in planted.truth["planted"]} - originals
    dropped = set(np.flatnonzero(found.table["verdict"] == "drop").tolist())
    assert not clean & dropped


# The tables


def test_the_table_of_images_has_exactly_its_columns(found, planted):
    table = found.table
    assert table.columns[:10].tolist() == FIRST_COLUMNS
    assert sorted(table.columns[10:]) == sorted(f"{name}_score" for name in SEVERITY)
    n = len(planted.images)
    assert table["row"].tolist() == list(range(n))
    assert table["id"].tolist() == [str(row) for row in range(n)]
    assert table["label"].tolist() == planted.labels.tolist()
    assert set(table["label_name"]) == {"lobed", "round", "kidney", "granular"}
    assert set(table["verdict"]) == {"keep", "drop", "review"}
    types = table.dtypes.astype(str).to_dict()
    assert {types[name] for name in ("row", "label", "group")} == {"int64"}
    assert {types[name] for name in ("x", "y", *table.columns[10:])} == {"float32"}
    scores = table[table.columns[10:]].to_numpy()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_findings_come_by_check_then_by_score(found):
    pairs = zip(found.findings["check"], found.findings["score"], strict=True)
    keys = [(SEVERITY.index(check), -score) for check, score in pairs]
    assert keys == sorted(keys)
    assert found.findings["check"].iloc[0] == "label_conflict"
    assert not found.findings.duplicated(["row", "check"]).any()


def consistent(found: Scan) -> None:
    """What must hold between the tables of any scan."""
    n = len(found.images)
    table, findings = found.table, found.findings
    assert len(table) == n == len(found.embeddings)
    assert found.embeddings.dtype == np.float16
    for finding in findings.to_dict("records"):
        assert finding["because"].strip()
        assert finding["action"] in ("drop", "review", "keep")
        if finding["row"] >= 0:
            assert finding["id"] == found.images.ids[finding["row"]]
            column = table[f"{finding['check']}_score"]
            assert finding["score"] == pytest.approx(column[finding["row"]], abs=1e-6)
    actions = findings.groupby("row")["action"].agg(set).to_dict()
    for row, verdict in enumerate(table["verdict"].tolist()):
        on_it = actions.get(row, set())
        assert verdict == next(action for action in ("drop", "review", "keep") if action in {*on_it, "keep"})
    assert (table["digest"] == "").tolist() == [row in rows_of(found, "unreadable") for row in range(n)]
    assert found.balance["images"].sum() == n
    assert (found.balance[["kept", "dropped", "review"]].sum(axis=1) == found.balance["images"]).all()
    assert found.pairs.columns.tolist() == ["row_a", "row_b", "kind", "distance"]
    assert found.pairs["distance"].between(0, 1).all()
    assert (found.pairs["row_a"] < found.pairs["row_b"]).all()
    weights = [round(story.weight, 3) for story in found.stories]
    assert weights == sorted(weights, reverse=True)
    for story in found.stories:
        of = findings[findings["check"] == story.check]
        assert not story.rows or set(story.rows) & set(of["row"])
    if found.effect:
        assert 0 <= found.effect.low <= found.effect.after <= found.effect.high <= 1
        assert 0 <= found.effect.before <= 1


def test_tables_verdicts_and_stories_agree_with_each_other(found):
    consistent(found)


def test_the_verdict_of_a_row_is_the_gravest_action_on_it(found):
    twice = found.findings.groupby("row")["action"].agg(set)
    assert any(actions == {"drop", "review"} for actions in twice)


def test_an_intruder_is_told_once_and_by_no_other_check(found, planted):
    rows = planted_rows(planted, "intruder")
    assert set(found.findings.loc[found.findings["row"].isin(rows), "check"]) == {"outlier_group"}


def test_groups_of_colour_casts_have_numbers_of_their_own(found):
    casts = found.findings[(found.findings["check"] == "colour_cast") & (found.findings["group"] >= 0)]
    others = found.findings[(found.findings["check"] != "colour_cast") & (found.findings["group"] >= 0)]
    assert len(casts)
    assert not set(casts["group"]) & set(others["group"])


def test_a_story_names_the_group_that_its_findings_are_of(found):
    told = [story for story in found.stories if story.group >= 0]
    assert {story.check for story in told} >= {"outlier_group", "colour_cast"}
    for story in told:
        of = found.findings[(found.findings["check"] == story.check) & found.findings["row"].isin(story.rows)]
        assert set(of["group"]) == {story.group}


def test_the_effect_of_cleaning_is_measured_on_rows_that_stay(found):
    assert found.effect is not None
    assert found.effect.rows == (found.table["verdict"] != "drop").sum()
    assert found.effect.after > 0.7  # where the largest class holds 0.37 of the cells


def test_every_stage_is_timed(found):
    stages = ["reading", "loading the model", "measuring and embedding", "comparing", "judging", "mapping", "writing"]
    assert list(found.timings) == stages


# Options


def test_checks_can_be_dropped_and_reviewed(small):
    usual = quick(small)
    changed = quick(small, drop=("low_information",), review=("exact_duplicate",))
    consistent(changed)
    actions = [found.findings.groupby("check")["action"].agg(set) for found in (usual, changed)]
    assert (actions[0]["exact_duplicate"], actions[1]["exact_duplicate"]) == ({"drop"}, {"review"})
    assert (actions[0]["low_information"], actions[1]["low_information"]) == ({"review"}, {"drop"})
    assert actions[0]["near_duplicate"] == actions[1]["near_duplicate"]
    scores = [name for name in usual.table.columns if name.endswith("_score")]
    pd.testing.assert_frame_equal(changed.table[scores], usual.table[scores])


@pytest.mark.slow
def test_a_threshold_decides_from_which_score_on_a_check_speaks(data, found):
    checks = ("label_error", "outlier", "near_duplicate", "blurred")
    scores = {check: found.table[f"{check}_score"] for check in checks}
    half_way = {check: float((score[score >= 0.5].min() + score.max()) / 2) for check, score in scores.items()}
    higher = quick(data, thresholds=half_way)
    lower = quick(data, thresholds=dict.fromkeys(checks, 0.05))
    consistent(lower)
    for check, score in scores.items():
        assert rows_of(higher, check) == [row for row in rows_of(found, check) if score[row] >= half_way[check]]
        assert set(rows_of(lower, check)) > set(rows_of(higher, check))


def test_no_more_await_review_than_a_budget_has_and_a_note_counts_the_rest(data, found):
    awaiting = int((found.table["verdict"] == "review").sum())
    few = quick(data, review_budget=3)
    consistent(few)
    assert (few.table["verdict"] == "review").sum() == 3
    assert (few.table["verdict"] == "drop").equals(found.table["verdict"] == "drop")
    (note,) = (note for note in few.notes if "--review-budget 3" in note)
    assert note.startswith(f"{awaiting - 3} further suspicious images are kept and not for review")
    columns = ["row", "check", "score", "chance"]
    assert few.findings[columns].equals(found.findings[columns])


def test_a_threshold_counts_for_shortcuts_too(cells):
    # Of the first class most are small.
    images, labels = cells[0][:80], cells[1][:80]
    small = (labels == 0) & (np.arange(80) % 4 > 0)
    pictures = [image[20:80, 20:80] if cut else image for image, cut in zip(images, small, strict=True)]
    source = album(pictures, (labels > 0).astype(int))
    told = quick(source).findings.query("check == 'shortcut'")
    assert (told["row"] == -1).all()
    assert set(told["action"]) == {"review"}
    assert set(told["id"]) == {""}
    assert told["score"].between(0.5, 0.95).any()
    stricter = quick(source, thresholds={"shortcut": 0.96}).findings.query("check == 'shortcut'")
    assert (stricter["score"] >= 0.96).all()


def test_copies_of_a_stranger_are_told_as_copies_where_the_group_is_not_told(data, planted):
    found = quick(data, thresholds={"outlier_group": 1.0})
    rows = planted_rows(planted, "intruder")
    assert rows_of(found, "outlier_group") == []
    assert len(set(rows) & set(rows_of(found, "exact_duplicate"))) == len(rows) - 1


def test_strict_leaves_what_awaits_review_out_of_the_clean_set(small, tmp_path):
    kept = {}
    for strict in (False, True):
        folder = tmp_path / str(strict)
        verdict = quick(small, artifacts=str(folder), strict=strict).table["verdict"].to_numpy()
        assert set(verdict) == {"keep", "review", "drop"}
        kept[strict] = np.load(folder / "clean.npz")["rows"]
        stay = (verdict == "keep") | ((verdict == "review") & (not strict))
        assert kept[strict].tolist() == np.flatnonzero(stay).tolist()
    assert 0 < len(kept[True]) < len(kept[False])


def test_an_unknown_backbone_map_or_check_is_named(data):
    with pytest.raises(UnknownName, match="no check named 'drak'"):
        quick(data, drop=("drak",))
    with pytest.raises(UnknownName, match="no map named 'umpa'"):
        quick(data, map="umpa")


# What is written


def test_a_scan_leaves_its_files_and_nothing_else(home):
    assert sorted(path.name for path in home.iterdir()) == ["clean.json", "clean.npz", "scan"]
    expected = [*TABLES, "manifest.json", "overview.json", "report.html"]
    assert sorted(path.name for path in (home / "scan").iterdir()) == sorted(expected)


def test_the_tables_on_disk_are_those_of_the_scan(home, found):
    pd.testing.assert_frame_equal(pd.read_parquet(home / "scan" / "images.parquet"), found.table)
    pd.testing.assert_frame_equal(pd.read_parquet(home / "scan" / "findings.parquet"), found.findings)
    pd.testing.assert_frame_equal(pd.read_parquet(home / "scan" / "pairs.parquet"), found.pairs)
    np.testing.assert_array_equal(np.load(home / "scan" / "embeddings.npy"), found.embeddings)
    assert np.isfinite(found.table[["x", "y"]].to_numpy()).all()


def test_without_a_map_an_image_has_no_place(small):
    assert quick(small).table[["x", "y"]].isna().all(axis=None)


def test_the_manifest_stands_for_the_files_as_they_are(home, data):
    manifest = read_manifest(ScanManifest, home / "scan")
    assert manifest.source == str(data.resolve())
    places = {path.name: path for path in [*(home / "scan").iterdir(), home / "clean.npz"]}
    assert {of.path for of in manifest.outputs.values()} == {*TABLES, "overview.json", "report.html", "clean.npz"}
    for of in manifest.outputs.values():
        assert of.digest == file_digest(places[of.path])
    verdicts = pd.read_parquet(home / "scan" / "images.parquet")["verdict"].value_counts()
    assert {name: manifest.counts[name] for name in verdicts.index} == verdicts.to_dict()
    assert manifest.config.backbone == "builtin"
    assert manifest.embedder_digest == "builtin-1"


def test_the_clean_set_holds_the_kept_rows_and_the_keys_of_the_input(home, planted):
    verdict = pd.read_parquet(home / "scan" / "images.parquet")["verdict"]
    rows = np.flatnonzero(verdict != "drop")
    clean = np.load(home / "clean.npz")
    assert sorted(clean) == ["class_names", "ids", "images", "labels", "magnification", "rows"]
    assert (clean["rows"] == rows).all()
    assert clean["ids"].tolist() == [str(row) for row in rows]
    assert (clean["images"] == planted.images[rows]).all()
    assert (clean["labels"] == planted.labels[rows]).all()


@pytest.mark.parametrize("workers", [1, 3])
def test_tables_are_equal_to_the_byte_on_any_number_of_workers(home, data, tmp_path, workers):
    quick(data, artifacts=str(tmp_path), map="pca", workers=workers)
    for name in TABLES:
        assert digest(tmp_path / "scan" / name) == digest(home / "scan" / name), name
    assert digest(tmp_path / "clean.npz") == digest(home / "clean.npz")


def test_scanning_again_into_the_same_folder_gives_the_same_bytes(small, tmp_path):
    artifacts = tmp_path / "artifacts"
    bytes_of = []
    for _ in range(2):
        quick(small, artifacts=str(artifacts))
        bytes_of.append({name: digest(artifacts / "scan" / name) for name in TABLES})
    assert bytes_of[0] == bytes_of[1]


def test_the_source_is_never_changed(small, tmp_path):
    before = digest(small), small.stat().st_mtime_ns
    quick(small, artifacts=str(tmp_path / "artifacts"), drop=SEVERITY)
    assert (digest(small), small.stat().st_mtime_ns) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifacts", "data.npz"]


def test_the_clean_set_holds_no_copies_any_more(cells, tmp_path):
    faults = PlantConfig(
        intruder=(0.05,), exact=0.05, near=0.08, conflict=0, label=0, casts=(), blur=0, dark=0, light=0, grey=0, solid=0
    )
    made = plant(cells[0][:80], cells[1][:80], faults)
    np.savez(tmp_path / "data.npz", images=made.images, labels=made.labels)
    first = quick(tmp_path / "data.npz", artifacts=str(tmp_path / "first"))
    assert rows_of(first, "exact_duplicate")
    assert rows_of(first, "near_duplicate")
    second = quick(tmp_path / "first" / "clean.npz", artifacts=str(tmp_path / "second"))
    for check in ("exact_duplicate", "near_duplicate", "label_conflict", "leak"):
        assert rows_of(second, check) == []
    assert len(second.pairs) == 0
    assert (second.table["verdict"] != "drop").all()
    # Ids follow the images.
    clean = np.load(tmp_path / "second" / "clean.npz")
    assert (clean["images"] == made.images[clean["ids"].astype(int)]).all()


def test_the_clean_set_is_not_scanned_into_its_own_place(home):
    before = digest(home / "clean.npz")
    with pytest.raises(OutputError, match="no input is overwritten"):
        quick(home / "clean.npz", artifacts=str(home))
    assert digest(home / "clean.npz") == before


@pytest.mark.parametrize("place", ["file", "file/deeper"])
def test_where_nothing_can_be_written_it_is_said_before_any_work(data, tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("in the way")

    def too_late(*given):
        raise AssertionError("the work had begun")

    monkeypatch.setattr(curate.scanning, "load_embedder", too_late)
    with pytest.raises(OutputError, match=r"is a file, not a folder"):
        quick(data, artifacts=str(tmp_path / place))
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("broken", ["write_parquet", "draft_clean", "write_manifest", "place_clean"])
def test_a_scan_that_cannot_be_written_leaves_the_one_before_whole(small, tmp_path, monkeypatch, broken):
    artifacts = tmp_path / "artifacts"
    quick(small, artifacts=str(artifacts))
    before = {path.name: digest(path) for path in (artifacts / "scan").iterdir()}

    def full(*given, **known):
        raise OutputError("the disk is full.")

    monkeypatch.setattr(curate.scans, broken, full)
    with pytest.raises(OutputError, match="the disk is full"):
        quick(small, artifacts=str(artifacts), thresholds={"dark": 0.1})
    assert {path.name: digest(path) for path in (artifacts / "scan").iterdir()} == before
    assert sorted(path.name for path in artifacts.iterdir()) == ["clean.json", "clean.npz", "scan"]


def test_without_artifacts_nothing_is_written(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quick(small)
    assert list(tmp_path.iterdir()) == [small]


# Odd sets


def test_no_images_are_no_set(tmp_path, cells):
    with pytest.raises(DataError, match="holds no images"):
        quick(saved(tmp_path, images=cells[0][:0], labels=cells[1][:0]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        quick(tmp_path / "empty")


@pytest.mark.parametrize("n", [1, 2, 3, 11, 25])
def test_a_few_images_are_scanned_and_written(tmp_path, cells, n):
    path = saved(tmp_path, images=cells[0][:n], labels=cells[1][:n])
    found = quick(path, artifacts=str(tmp_path / "artifacts"), map="pca")
    consistent(found)
    assert (found.table["verdict"] != "drop").all()
    assert len(np.load(tmp_path / "artifacts" / "clean.npz")["rows"]) == n
    assert (tmp_path / "artifacts" / "scan" / "manifest.json").exists()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_few_copies_leave_one(tmp_path, cells, n):
    path = saved(tmp_path, images=cells[0][[0] * n], labels=np.zeros(n, int))
    found = quick(path, artifacts=str(tmp_path / "artifacts"))
    consistent(found)
    assert found.table["verdict"].tolist() == ["keep"] + ["drop"] * (n - 1)
    assert np.load(tmp_path / "artifacts" / "clean.npz")["rows"].tolist() == [0]


LABELLINGS = {
    "one class": lambda labels: labels * 0,
    "a class of one image": lambda labels: (np.arange(len(labels)) == 3).astype(int),
    "a class of two images": lambda labels: (np.arange(len(labels)) < 2).astype(int),
    "every image a class of its own": lambda labels: np.arange(len(labels)),
    "half without labels": lambda labels: np.where(np.arange(len(labels)) % 2, labels, -1),
    "no labels": lambda labels: labels * 0 - 1,
}


@pytest.mark.parametrize("labelling", LABELLINGS)
def test_labels_of_any_kind_are_scanned(tmp_path, cells, labelling):
    labels = LABELLINGS[labelling](cells[1][:40])
    found = quick(saved(tmp_path, images=cells[0][:40], labels=labels))
    consistent(found)
    assert (found.table["verdict"] != "drop").all()
    assert found.table["label"].tolist() == labels.tolist()
    if labelling not in ("half without labels",):
        assert rows_of(found, "label_error") == []
    assert found.findings.query("check != 'label_error' and check != 'outlier'").empty


def test_no_labels_at_all_leave_out_what_needs_them_and_say_so(tmp_path, cells):
    found = quick(saved(tmp_path, images=cells[0][:30]))
    consistent(found)
    assert any("label_conflict, label_error, shortcut (no labels)" in note for note in found.notes)
    assert found.effect is None
    assert found.balance["name"].tolist() == ["(no label)"]


def test_a_conflict_in_a_class_too_small_to_learn_awaits_a_person(tmp_path, cells):
    images = np.concatenate([cells[0][:60], cells[0][[0, 1]]])
    labels = np.concatenate([np.minimum(cells[1][:60], 1), [2, 2]])
    found = quick(saved(tmp_path, images=images, labels=labels))
    consistent(found)
    assert rows_of(found, "label_conflict") == [0, 1, 60, 61]
    assert (found.table["verdict"][[60, 61]] == "review").all()


def test_a_file_with_two_labels_in_its_table_is_a_finding_and_the_scan_goes_on(tmp_path, cells):
    rows = ["file,label"]
    for row, (pixels, label) in enumerate(zip(cells[0][:30], cells[1][:30], strict=True)):
        Image.fromarray(pixels).save(tmp_path / f"{row:02d}.png")
        rows.append(f"{row:02d}.png,{label}")
    (tmp_path / "labels.csv").write_text("\n".join([*rows, f"07.png,{cells[1][7] + 1}", "gone.png,1"]))
    found = quick(tmp_path)
    consistent(found)
    assert rows_of(found, "label_conflict") == [7]
    assert (found.table["label"][7], found.table["verdict"][7]) == (-1, "review")
    assert any("whose file is not there: 1 (gone.png)" in note for note in found.notes)


def test_patients_of_one_class_each_are_scanned(tmp_path, cells):
    labels = np.repeat([0, 1, 2], (28, 4, 28))
    found = quick(saved(tmp_path, images=cells[0][:60], labels=labels, groups=labels))
    consistent(found)


def test_an_archive_of_one_picture_many_times_keeps_one_of_it(tmp_path, cells):
    found = quick(saved(tmp_path, images=np.repeat(cells[0][:1], 40, 0), labels=np.zeros(40, int)))
    consistent(found)
    assert found.table["verdict"].value_counts().to_dict() == {"drop": 39, "keep": 1}


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (16, 16)])
def test_tiny_pictures_are_scanned(tmp_path, rng, shape):
    images = rng.integers(0, 256, (40, *shape, 3), np.uint8)
    consistent(quick(saved(tmp_path, images=images, labels=np.arange(40) % 3), artifacts=str(tmp_path / "a")))


def test_solid_pictures_of_different_colours_are_no_copies(tmp_path, rng):
    colours = rng.permutation(4096)[:40]
    images = np.stack(
        [np.full((20, 30, 3), (c % 16 * 16, c // 16 % 16 * 16, c // 256 * 16), np.uint8) for c in colours]
    )
    found = quick(saved(tmp_path, images=images, labels=np.arange(40) % 3))
    consistent(found)
    assert len(found.pairs) == 0
    assert (found.table["verdict"] != "drop").all()


def test_a_grey_set_has_neither_casts_nor_grey_pictures(tmp_path, cells):
    found = quick(saved(tmp_path, images=cells[0][:60].mean(axis=3).astype(np.uint8), labels=cells[1][:60]))
    consistent(found)
    assert rows_of(found, "colour_cast") == rows_of(found, "grayscale") == []
    assert any("colour_cast" in note and "grey" in note for note in found.notes)


def test_pixels_that_are_no_numbers_make_a_picture_unreadable_and_nothing_else(tmp_path, cells):
    images = (cells[0][:40] / 255).astype(np.float32)
    images[3, 0, 0, 0], images[5], images[6] = np.nan, np.inf, np.nan
    found = quick(saved(tmp_path, images=images, labels=cells[1][:40]), artifacts=str(tmp_path / "artifacts"))
    consistent(found)
    assert rows_of(found, "unreadable") == [3, 5, 6]
    assert len(found.pairs) == 0
    assert "not a number" in found.findings.set_index("row").loc[3, "because"]
    assert np.isfinite(np.load(tmp_path / "artifacts" / "clean.npz")["images"]).all()


def test_what_cannot_be_read_is_left_out_even_where_it_need_only_be_reviewed(tmp_path, cells):
    images = (cells[0][:30] / 255).astype(np.float32)
    images[4] = np.nan
    found = quick(saved(tmp_path, images=images), artifacts=str(tmp_path / "artifacts"), review=("unreadable",))
    assert found.table["verdict"][4] == "review"
    assert 4 not in np.load(tmp_path / "artifacts" / "clean.npz")["rows"]


def test_where_no_picture_can_be_read_each_is_told_and_none_is_a_copy(tmp_path):
    images = np.full((12, 8, 8), np.nan, np.float32)
    found = quick(saved(tmp_path, images=images, labels=np.arange(12) % 2))
    consistent(found)
    assert rows_of(found, "unreadable") == list(range(12))
    assert set(found.findings["check"]) == {"unreadable"}


def test_copies_between_splits_are_leaks_and_the_held_out_ones_stay(tmp_path, cells):
    images, labels = cells[0][:60], cells[1][:60, None]
    path = saved(
        tmp_path,
        train_images=np.concatenate([images[:40], images[[40, 41, 50]]]),
        train_labels=np.concatenate([labels[:40], labels[[40, 41, 50]]]),
        val_images=images[40:50],
        val_labels=labels[40:50],
        test_images=np.concatenate([images[50:], images[42:43]]),
        test_labels=np.concatenate([labels[50:], labels[42:43]]),
    )
    found = quick(path, artifacts=str(tmp_path / "artifacts"))
    consistent(found)
    leaked = found.findings[found.findings["check"] == "leak"].sort_values("row")
    assert leaked["id"].tolist() == ["train/40", "train/41", "train/42", "val/2"]
    assert set(leaked["action"]) == {"drop"}
    assert leaked["because"].iloc[0] == "a copy of val/0, which is in val, while this one is in train"
    assert leaked["because"].iloc[3] == "a copy of test/10, which is in test, while this one is in val"
    clean = np.load(tmp_path / "artifacts" / "clean.npz")
    assert [len(clean[f"{split}_images"]) for split in ("train", "val", "test")] == [40, 9, 11]


@pytest.fixture
def folder(tmp_path, cells):
    """Class folders of pictures of all sizes and formats, five broken files among them."""
    root = tmp_path / "pictures"
    for row in range(40):
        place = root / f"class {cells[1][row]}"
        place.mkdir(parents=True, exist_ok=True)
        side = 48 + 3 * (row % 20)
        name = f"{row:02}.{('png', 'jpg', 'bmp')[row % 3]}"
        Image.fromarray(cells[0][row]).resize((side, side + row % 5)).save(place / name)
    (root / "class 0" / "empty.png").write_bytes(b"")
    (root / "class 0" / "also empty.png").write_bytes(b"")
    (root / "class 1" / "text.jpg").write_text("not a picture")
    (root / "class 1" / "same text.jpg").write_text("not a picture")
    whole = (root / "class 0" / sorted(path.name for path in (root / "class 0").glob("*.png"))[0]).read_bytes()
    (root / "class 2" / "cut.png").write_bytes(whole[: len(whole) // 2])
    return root


BROKEN = {"empty.png", "also empty.png", "text.jpg", "same text.jpg", "cut.png"}


def test_broken_files_are_told_one_by_one_and_are_no_copies_of_each_other(folder, tmp_path):
    found = quick(folder, artifacts=str(tmp_path / "artifacts"))
    consistent(found)
    told = found.findings[found.findings["check"] == "unreadable"]
    assert {Path(name).name for name in told["id"]} == BROKEN
    assert set(told["action"]) == {"drop"}
    assert told["because"].str.contains("empty|text|cut short|damaged").all()
    rows = told["row"].tolist()
    assert (found.table["group"][rows] == -1).all()
    assert not set(rows) & {*found.pairs["row_a"], *found.pairs["row_b"]}
    assert set(found.findings.loc[found.findings["row"].isin(rows), "check"]) == {"unreadable"}


def test_a_folder_stays_as_it_is_and_its_clean_list_can_be_scanned(folder, tmp_path):
    before = {path: digest(path) for path in folder.rglob("*") if path.is_file()}
    found = quick(folder, artifacts=str(tmp_path / "artifacts"))
    assert {path: digest(path) for path in folder.rglob("*") if path.is_file()} == before
    again = read(tmp_path / "artifacts" / "clean.csv")
    kept = found.table[found.table["verdict"] != "drop"]
    assert again.ids == tuple(kept["id"])
    assert [again.label_name(row) for row in range(len(again))] == kept["label_name"].tolist()
    second = quick(tmp_path / "artifacts" / "clean.csv")
    assert rows_of(second, "unreadable") == []
    assert second.table["digest"].tolist() == kept["digest"].tolist()


def test_a_folder_gives_the_same_tables_on_any_number_of_workers(folder, tmp_path):
    for workers in (1, 4):
        quick(folder, artifacts=str(tmp_path / str(workers)), workers=workers)
    for name in TABLES:
        assert digest(tmp_path / "1" / "scan" / name) == digest(tmp_path / "4" / "scan" / name), name


# Manners


class Listener:
    """Writes down what a scan tells of its progress."""

    def __init__(self):
        self.lines, self.stages = [], {}

    @contextmanager
    def stage(self, name, total, unit):
        steps = []
        yield steps.append
        self.stages[name] = (total, steps)

    def say(self, line):
        self.lines.append(line)


def test_a_scan_tells_what_it_does_and_every_stage_to_its_end(small, tmp_path):
    listener = Listener()
    scan(small, replace(QUICK, artifacts=str(tmp_path / "artifacts")), listener)
    assert listener.lines[0].startswith("data.npz: 15 images, 96x96 RGB, 4 classes; embedding with ")
    assert list(listener.stages) == [
        "reading data.npz", "loading the model", "measuring and embedding", "comparing", "judging",
        "trying the clean set", "mapping", "drawing the report", "writing",
    ]  # fmt: skip
    for total, steps in listener.stages.values():
        assert steps == sorted(steps)
        assert steps[-1:] == ([] if total is None else [total])


def test_the_global_random_state_is_left_alone(cells):
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    quick(album(list(cells[0][:30]), cells[1][:30]))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_a_set_that_is_read_already_is_scanned_as_its_file_is(small):
    from_file, from_set = quick(small), quick(read(small))
    pd.testing.assert_frame_equal(from_file.table, from_set.table)
    pd.testing.assert_frame_equal(from_file.findings, from_set.findings)


@pytest.mark.slow
def test_another_seed_deals_other_folds_but_finds_the_same_copies(data, found):
    other = quick(data, seed=1)
    pd.testing.assert_frame_equal(other.pairs, found.pairs)
    pd.testing.assert_series_equal(other.table["group"], found.table["group"])
    assert (other.table["label_error_score"] != found.table["label_error_score"]).any()


def test_a_strange_picture_alone_awaits_review(cells):
    images = [*cells[0][:60], strange_pictures(96, 96)[0]]
    found = quick(album(images, [*cells[1][:60], 0]))
    assert 60 in rows_of(found, "outlier")
    assert found.table["verdict"][60] == "review"


# Real pictures

SHARED = Path(__file__).parents[2] / "../shared"
COURSE = SHARED / "data" / "course.npz"
KERAS_HOME = SHARED / "keras"


@pytest.mark.slow
@pytest.mark.skipif(not (COURSE.exists() and KERAS_HOME.exists()), reason="no real pictures beside the project")
def test_what_was_planted_among_real_cells_is_found_and_no_clean_cell_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(KERAS_HOME.resolve()))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cache_folder.cache_clear()
    found = scan(COURSE, ScanConfig(artifacts=None, map="none"))
    cache_folder.cache_clear()
    assert found.embedder.startswith("MobileNetV2-0.35 (ImageNet)")

    truth = json.loads(COURSE.with_name("course.truth.json").read_text())
    planted: dict[str, list[dict]] = {}
    for entry in truth["planted"]:
        planted.setdefault(entry["kind"], []).append(entry)
    verdict = found.table["verdict"].to_numpy()

    def hits(kind: str, check: str) -> int:
        return len({entry["row"] for entry in planted[kind]} & set(rows_of(found, check)))

    assert all(verdict[entry["row"]] == "drop" for entry in planted["intruder"])
    for kind, least in (("exact", 25), ("near", 36)):
        dropped = [(verdict[[entry["row"], entry["of"]]] == "drop").sum() == 1 for entry in planted[kind]]
        assert sum(dropped) >= least
    assert hits("conflict", "label_conflict") == 15
    assert hits("cast", "colour_cast") >= 57
    assert hits("dark", "dark") == 8
    assert hits("blur", "blurred") == 10
    assert hits("label", "label_error") >= 46

    casts = set(rows_of(found, "colour_cast"))
    natural = set(truth["natural_cast"])
    assert len(casts & natural) >= 0.9 * len(natural)
    assert len(casts - natural - {entry["row"] for entry in planted["cast"]}) <= 12

    touched = {entry["row"] for entry in truth["planted"]} | {entry.get("of") for entry in truth["planted"]}
    assert [row for row in np.flatnonzero(verdict == "drop").tolist() if row not in touched] == []


def test_classes_that_are_too_small_for_the_label_probe_are_named(tmp_path, cells):
    images, labels = cells
    rows = np.concatenate([np.flatnonzero(labels == 0)[:12], np.flatnonzero(labels == 1)[:12]])
    rest = np.flatnonzero(labels > 1)[:7]
    few = np.array([2] * 4 + [3] * 3)
    source = saved(tmp_path, images=images[[*rows, *rest]], labels=np.concatenate([np.repeat([0, 1], 12), few]))
    notes = [note for note in quick(source).notes if "are not checked: a class takes part from 5" in note]
    assert len(notes) == 1
    assert notes[0].startswith("labels of 2 (4) and 3 (3) are not checked")


def sixteen_bit(folder: Path) -> Path:
    """Fourteen files of 12 bits in two classes, some of them dim, one with three pages, one too large for a limit."""
    rng = np.random.default_rng(0)
    for row in range(14):
        values = rng.integers(0, 4000 if row % 3 else 700, (40, 40)).astype(np.uint16)
        values[3, 3] = 4200  # a hot pixel
        name = folder / "ab"[row % 2] / f"{row:02}.tif"
        name.parent.mkdir(parents=True, exist_ok=True)
        pages = [Image.fromarray(values // 2)] * 2 if row == 4 else []
        Image.fromarray(values).save(name, save_all=True, append_images=pages)
    Image.fromarray(np.zeros((100, 50), np.uint16)).save(folder / "a" / "large.tif")
    return folder


def test_the_scale_of_a_set_is_written_down_and_its_clean_set_is_read_by_it(tmp_path):
    source = sixteen_bit(tmp_path / "frames")
    result = quick(source, artifacts=str(tmp_path / "artifacts"), max_pixels=2000, drop=("odd_size",))
    manifest = read_manifest(ScanManifest, tmp_path / "artifacts" / "scan")
    assert manifest.scale == {INTEGERS: Scale(0, 4095, 12)}
    assert manifest.decoding == Decoding(manifest.scale, 2000)
    assert rows_of(result, "unreadable") == [result.images.ids.index("a/large.tif")]
    assert "1 file holds several pictures, of which the first is read; 2 further ones are left out (a/04.tif 3)" in (
        " ".join(result.notes)
    )
    # Of the dim pictures alone a set would be read as 10 bit.
    clean = tmp_path / "artifacts" / "clean.csv"
    lines = clean.read_text().splitlines()
    clean.write_text("\n".join([lines[0], *(line for line in lines if "00.tif" in line or "06.tif" in line)]) + "\n")
    dim = read(clean)
    assert dim.images[0].pixels.mean() < 30
    assert dim.source.decoding == manifest.decoding


def test_a_scan_says_first_that_a_set_is_black(tmp_path, cells):
    path = saved(tmp_path, images=(cells[0][:12] / 255**2).astype(np.float32), labels=cells[1][:12])
    result = quick(path)
    assert result.notes[0] == result.alarm
    assert result.alarm.startswith("every picture is black or nearly so: grey levels run from 0 to 1 of 255")
    shown = quick(path, value_range=(0, 1 / 255))
    assert shown.alarm == ""
    np.testing.assert_allclose(shown.images.images[3].pixels, cells[0][3], atol=1)


# As many rows as it takes for a decomposition to be done by several threads.
_SCAN = """
import os, sys
if sys.argv[1] == "pinned":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from curate.configs import ScanConfig
from curate.scanning import scan
scan(sys.argv[2], ScanConfig(artifacts=sys.argv[3], backbone="builtin", map=sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be taken away here")
@pytest.mark.parametrize("method", ["umap", "tsne", "pca"])
def test_tables_are_equal_to_the_byte_on_one_core_and_on_several(data, tmp_path, method):
    found = []
    for name, cores, variables in (
        ("a", "pinned", {}), ("b", "free", {"OPENBLAS_NUM_THREADS": "1"}), ("c", "free", {}),
    ):  # fmt: skip
        command = [sys.executable, "-c", _SCAN, cores, str(data), str(tmp_path / name), method]
        subprocess.run(command, check=True, env=os.environ | variables, capture_output=True)
        found.append([digest(tmp_path / name / "scan" / table) for table in TABLES])
    assert found[0] == found[1] == found[2]


def test_own_vectors_find_what_their_backbone_finds_and_no_backbone_is_loaded(data, tmp_path, monkeypatch):
    plain = quick(data)
    np.save(tmp_path / "own.npy", plain.embeddings.astype(np.float32) * 3)

    def load(*_: object) -> None:
        raise AssertionError("no backbone is needed")

    monkeypatch.setattr(curate.scanning, "load_embedder", load)
    lines: list[str] = []

    class Listening(Silent):
        def say(self, line: str) -> None:
            lines.append(line)

    config = ScanConfig(artifacts=str(tmp_path / "out"), embeddings=str(tmp_path / "own.npy"), map="none")
    own = scan(data, config, Listening())
    pd.testing.assert_frame_equal(own.findings[["row", "check", "action"]], plain.findings[["row", "check", "action"]])
    assert lines[0].endswith("; embeddings from own.npy (456 numbers an image)")
    manifest = read_manifest(ScanManifest, tmp_path / "out" / "scan")
    assert manifest.embedder == "embeddings from own.npy (456 numbers an image)"
    assert len(manifest.embedder_digest) == 32
    assert manifest.config.embeddings == str(tmp_path / "own.npy")


def test_own_probabilities_decide_on_labels_and_are_told(data, tmp_path):
    plain = quick(data)
    labels = plain.images.labels
    shares = np.full((len(labels), 4), 0.02)
    guesses = labels.copy()
    clean = np.flatnonzero(plain.table["verdict"].to_numpy() == "keep")[:3]
    guesses[clean] = (labels[clean] + 1) % 4
    shares[np.arange(len(labels)), guesses] = 0.94
    np.save(tmp_path / "p.npy", shares)
    own = quick(data, probabilities=str(tmp_path / "p.npy"))
    doubt = own.table["label_error_score"]
    assert doubt[clean].min() > doubt[~own.table["row"].isin(clean)].median()
    assert doubt[clean].min() > plain.table["label_error_score"][clean].max()
    assert any(note.startswith("labels are judged by the probabilities of p.npy") for note in own.notes)
    assert own.probabilities_digest is not None


# A second network


@pytest.mark.parametrize(("missed", "looks"), [(0.05, False), (0.11, True)])
def test_a_second_network_looks_where_the_first_finds_too_few_labels(monkeypatch, small, tmp_path, missed, looks):
    def load(backbone, *_):
        name = "MobileNetV2-0.35" if backbone == "auto" else backbone
        return replace(builtin(), name=name, describe=name, digest=name), ""

    said = []
    monkeypatch.setattr(curate.scanning, "load_embedder", load)
    monkeypatch.setattr(curate.scanning, "on_gpu", lambda: False)
    monkeypatch.setattr(curate.scanning, "labels_missed", lambda *_: missed)
    monkeypatch.setattr(Silent, "say", lambda self, line: said.append(line))
    found = quick(small, backbone="auto")
    line = "MobileNetV2-0.35 misses 11% of the labels, so EfficientNetLite0 looks at the images as well"
    assert (line in said) == looks
    assert found.embeddings.shape[1] == (2 if looks else 1) * builtin().dimensions
    assert ("MobileNetV2-0.35 beside EfficientNetLite0" in found.embedder) == looks
    assert ("embedding again" in found.timings) == looks


def test_a_network_asked_for_by_name_looks_alone(monkeypatch, small):
    def load(backbone, *_):
        return replace(builtin(), name=backbone), ""

    monkeypatch.setattr(curate.scanning, "load_embedder", load)
    monkeypatch.setattr(curate.scanning, "labels_missed", lambda *_: pytest.fail("it was asked for"))
    assert quick(small, backbone="MobileNetV2-0.35").embeddings.shape[1] == builtin().dimensions


# What a person decided


@pytest.fixture(scope="module")
def copied(cells, tmp_path_factory) -> Path:
    """Cells and four near copies, the last two under another label; ids are the rows."""
    images, labels = cells[0][:60], cells[1][:60]
    near = np.clip(images[:4].astype(int) + 5, 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("copied") / "data.npz"
    names = np.array(["lobed", "round", "kidney", "granular"])
    other = np.where(np.arange(4) < 2, labels[:4], (labels[:4] + 1) % 4)
    np.savez(path, images=np.concatenate([images, near]), labels=np.append(labels, other), class_names=names)
    return path


def test_decisions_hold_in_a_scan_of_a_set_that_was_reordered_and_has_grown(copied, tmp_path):
    config = replace(QUICK, artifacts=str(tmp_path / "a"))
    first = scan(copied, config)
    assert {60, 61, 62, 63} <= {*rows_of(first, "near_duplicate")}
    assert {2, 3, 62, 63} <= {*rows_of(first, "label_conflict")}
    name = first.table["label_name"]
    decide(
        tmp_path / "a",
        [
            Proposal("drop", "20"),
            Proposal("relabel", "21", label=name[22] if name[22] != name[21] else name[23]),
            Proposal("relabel", "62", label=name[2]),
            Proposal("not_copies", ids=("0", "60")),
            Proposal("not_copies", ids=("3", "63")),
        ],
    )
    order = np.arange(64)[::-1]
    with np.load(copied) as arrays:
        images, labels = arrays["images"][order], arrays["labels"][order]
        grown = np.concatenate([255 - images[:1], images])
        np.savez(
            tmp_path / "e.npz", images=grown, labels=np.append(labels[:1], labels), class_names=arrays["class_names"]
        )
    place = {int(row): at for at, row in enumerate(order, 1)}
    found = scan(tmp_path / "e.npz", config)
    assert found.decided == {place[20]: "drop", place[21]: "relabel", place[62]: "relabel"}
    assert found.decisions == {"drop": 1, "relabel": 2, "not_copies": 2}
    assert "5 decisions hold, on images that have other ids now" in found.notes
    group = found.table["group"].to_numpy()
    for a, b in ((0, 60), (3, 63)):
        assert group[place[a]] != group[place[b]] or group[place[a]] == -1
        assert not {place[a], place[b]} & {*rows_of(found, "near_duplicate"), *rows_of(found, "label_conflict")}
        assert found.clean[[place[a], place[b]]].all()
    assert not found.clean[place[20]]
    # Of the picture whose conflict was settled the relabelled copy stays.
    assert found.clean[[place[2], place[62]]].tolist() == [False, True]
    clean = read(tmp_path / "a" / "clean.npz")
    rows = np.flatnonzero(found.clean)
    assert clean.ids == tuple(map(str, rows))
    assert clean.label_name(list(rows).index(place[62])) == name[2]
    assert found.table["relabelled_to"][place[21]] != found.table["label_name"][place[21]] == name[21]
    written = pd.read_parquet(tmp_path / "a" / "scan" / "images.parquet")
    assert written["relabelled_to"].tolist() == found.table["relabelled_to"].tolist()
    assert read_manifest(ScanManifest, tmp_path / "a" / "scan").outputs["images"].digest == file_digest(
        tmp_path / "a" / "scan" / "images.parquet"
    )


def test_without_decisions_there_is_no_column_of_them(copied):
    found = quick(copied)
    assert found.decisions == {}
    assert found.outcome is None
    assert "relabelled_to" not in found.table
