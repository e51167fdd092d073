from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from manifests import finish_scan, images_table
from PIL import Image

from curate import splitting
from curate.assigning import NAMES
from curate.configs import ScanConfig, SplitConfig
from curate.findings import findings_table
from curate.measuring.hashing import digest
from curate.scans import with_relabelled
from curate.sets.imageset import whole_groups
from curate.sets.reading import read
from curate.sets.writing import write_clean
from curate.splitting import clean_set, divided, split
from curate.stage.errors import DataError, OutputError
from curate.stage.files import write_parquet

# Options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": 0.8}, r"the shares train 0.8, val 0.15, test 0.15 add up to 1.1; needed is 1"),
        ({"train": 1.15, "val": -0.15, "test": 0}, r"the share of train is 1.15; needed is one from 0 to 1"),
        ({"train": 1, "val": -0.15}, r"the share of val is -0.15"),
        ({"test": float("nan")}, r"the share of test is nan"),
        ({"train": 70, "val": 15, "test": 15}, r"the share of train is 70; needed is one from 0 to 1, such as 0.15"),
        ({"per_class": 5}, r"give --balanced-test as well"),
        ({"per_class": 0, "balanced_test": True}, r"per_class is 0; needed is a whole number from 1 to"),
        ({"train": 0, "val": 0.5, "test": 0.5, "balanced_test": True}, r"give train a share above 0"),
        ({"seed": -1}, r"seed is -1"),
    ],
)
def test_shares_that_cannot_be_are_refused(options, said):
    with pytest.raises(DataError, match=said):
        SplitConfig(**options)


# What stays together


@given(
    copies=st.lists(st.integers(-1, 5), min_size=1, max_size=30),
    given_groups=st.lists(st.integers(-1, 5), min_size=30, max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_rows_meet_through_either_kind_of_group(copies, given_groups):
    a, b = np.array(copies), np.array(given_groups[: len(copies)])
    parent = list(range(len(a)))

    def root(row: int) -> int:
        return row if parent[row] == row else root(parent[row])

    for groups in (a, b):
        for i in range(len(a)):
            for j in range(i):
                if groups[i] >= 0 and groups[i] == groups[j]:
                    parent[root(i)] = root(j)
    units = whole_groups(a, b)
    for i in range(len(a)):
        for j in range(i):
            assert (units[i] == units[j]) == (root(i) == root(j))
    assert set(units) == set(range(units.max() + 1))


# Sets on disk


def scanned(
    source: Path, artifacts: Path, groups: Sequence[int], dropped: Sequence[int] = (), **options: object
) -> Path:
    """Artifacts as a scan of `source` leaves them, made by hand."""
    images = read(source, labels=options.get("labels"))
    keep = ~np.isin(np.arange(len(images)), dropped)
    rows = images_table(
        {
            "row": range(len(images)),
            "id": images.ids,
            "label_name": [images.label_name(row) for row in range(len(images))],
            "digest": [digest(images.images[row].raw) for row in range(len(images))],
            "group": np.array(groups, np.int64),
            "verdict": np.where(keep, "keep", "drop"),
        }
    )
    folder = artifacts / "scan"
    write_parquet(rows, folder / "images.parquet")
    write_parquet(findings_table([]), folder / "findings.parquet")
    write_clean(images, keep, artifacts)
    config = ScanConfig(artifacts=str(artifacts), **options)
    finish_scan(folder, config, source=str(source.resolve()))
    return artifacts


N = 60
COPIES = [0, 0, 1, 1, 1, *[-1] * (N - 5)]


def arrays(**more: object) -> dict[str, object]:
    """Sixty images of three classes, names in Greek."""
    pixels = np.random.default_rng(0).integers(0, 256, (N, 5, 5, 3), dtype=np.uint8)
    return {"images": pixels, "labels": np.arange(N) % 3, "class_names": ["α", "β", "γ"], **more}


def saved(path: Path, **more: object) -> Path:
    np.savez(path, **arrays(**more))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_clean_set_is_split_and_written_down(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES, dropped=[1, 9])
    done = split()
    rows = written(home / "artifacts" / "splits.csv")
    assert done.path == Path("artifacts/splits.csv")
    assert list(rows[0]) == ["id", "label", "split", "group"]
    assert [row["id"] for row in rows] == [str(i) for i in range(N) if i not in (1, 9)]
    assert [row["split"] for row in rows] == list(done.images.splits) == done.table["split"].tolist()
    assert {row["split"] for row in rows} == set(NAMES)
    assert [row["group"] for row in rows][:5] == ["", "0", "0", "0", ""]  # a copy whose twin was dropped is alone
    assert rows[0]["label"] == "α"
    assert (done.proof.groups, done.proof.several, done.proof.crossings) == (56, 1, 0)
    assert list(done.counts) == ["class", "train", "val", "test", "total"]
    assert done.counts["total"].sum() == 58
    assert done.notes == ()


def test_the_scanned_set_itself_can_be_split_and_what_would_be_dropped_is_told(home):
    source = saved(home / "d.npz")
    scanned(source, home / "artifacts", COPIES, dropped=[1])
    done = split(source)
    assert done.proof.several == 2
    assert done.images.splits[0] == done.images.splits[1]
    assert done.notes == ("1 image that the scan would drop was split as well; the clean set leaves them out",)


def test_the_same_set_and_seed_give_the_same_bytes(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    first = split().path.read_bytes()
    assert split().path.read_bytes() == first
    assert split(config=SplitConfig(seed=1)).path.read_bytes() != first


def test_groups_of_the_set_and_copies_are_kept_whole_together(home):
    patient = [f"p{i // 4}" if i < 20 else "" for i in range(N)]
    scanned(saved(home / "d.npz", patient=patient), home / "artifacts", [-1] * 3 + [7, 7] + [-1] * (N - 5))
    done = split()
    assert len(set(done.images.splits[:8])) == 1  # the copies join the first two patients
    assert done.proof.several == 4


# Small classes


def with_sizes(path: Path, sizes: Sequence[int], **more: object) -> Path:
    """A set with classes a, b, c ... of these sizes."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 5, 5, 3), dtype=np.uint8)
    np.savez(path, images=pixels, labels=labels, class_names=[*"abcdefgh"[: len(sizes)]], **more)
    return path


@pytest.mark.parametrize(
    ("size", "splits"),
    [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [1, 1, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (6, [4, 1, 1])],
)
def test_a_small_class_is_in_every_split_from_three_images_on_and_else_in_train(home, size, splits):
    scanned(with_sizes(home / "d.npz", [30, 30, size]), home / "artifacts", [-1] * (60 + size))
    done = split()
    assert done.counts.loc[2, ["train", "val", "test"]].tolist() == splits
    said = "test has no image of c: too few groups of it; their recall is not measured"
    assert (said in done.notes) == (size < 3)


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_classes_below_a_size_are_left_out_and_written_down_without_a_split(home, kind):
    if kind == "npz":
        source = with_sizes(home / "d.npz", [30, 20, 2, 1])
    else:
        source = home / "set"
        for i in range(53):
            path = source / ("a" if i < 30 else "b" if i < 50 else "c" if i < 52 else "d") / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 5), (i, 40, 90)).save(path)
    copies = [-1] * 29 + [3, 3] + [-1] * 18 + [5, -1, 5, -1]  # a copy of one that is left out stays
    scanned(source, home / "artifacts", copies[:53])
    done = split(config=SplitConfig(min_class=3))
    assert done.notes[0] == "classes of fewer than 3 images are left out: c (2), d (1); images in them: 3"
    assert len(done.notes) == 1
    rows = written(done.path)
    assert [row["split"] for row in rows[50:]] == ["", "", ""]
    assert {row["split"] for row in rows[:50]} == set(NAMES)
    assert done.proof.crossings == 0
    assert done.counts.loc[2:, ["train", "val", "test", "total"]].to_numpy().tolist() == [[0, 0, 0, 2], [0, 0, 0, 1]]


def test_a_size_of_one_leaves_out_the_classes_that_are_named_only(home):
    scanned(with_sizes(home / "d.npz", [30, 0, 20]), home / "artifacts", [-1] * 50)
    assert divided(None, SplitConfig()).left_out == {}
    assert divided(None, SplitConfig(min_class=1)).left_out == {"b": 0}


def test_splits_that_leave_classes_out_are_kept_as_they_were_made(home):
    scanned(with_sizes(home / "d.npz", [30, 20, 2]), home / "artifacts", [-1] * 52)
    done = split(config=SplitConfig(min_class=3))
    again = divided(None, SplitConfig(), previous=done.path)
    assert again.images.splits == done.images.splits
    assert again.left_out == {"c": 2}
    assert again.notes[0] == f"classes without a split in {done.path} are left out: c (2); images in them: 2"


def test_a_size_that_no_class_has_is_refused_with_one_that_works(home):
    scanned(with_sizes(home / "d.npz", [30, 20]), home / "artifacts", [-1] * 50)
    with pytest.raises(
        DataError, match=r"no class has 31 images; the largest, a, has 30\. Give --min-class 30 or less"
    ):
        split(config=SplitConfig(min_class=31))
    assert divided(None, SplitConfig(min_class=30)).left_out == {"b": 20}


def test_image_files_give_a_list_that_is_read_as_a_set(home):
    root = home / "set"
    for i in range(30):
        path = root / ("cat" if i % 2 else "dog") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 5), (i, 40, 90)).save(path)
    scanned(root, home / "artifacts", [0, 0, *[-1] * 28], dropped=[5])
    done = split()
    again = read(done.path)
    assert again.ids == done.images.ids
    assert again.splits == done.images.splits
    assert again.classes == ("cat", "dog")
    assert np.array_equal(again.groups, done.images.groups)
    assert again.images[3].pixels.shape == (5, 6, 3)
    out = home / "lists" / "mine.csv"
    assert split(root, SplitConfig(out=str(out))).path == out
    assert len(read(out)) == 30


def test_a_flat_folder_takes_the_labels_that_the_scan_was_given(home):
    root = home / "flat"
    root.mkdir()
    for i in range(12):
        Image.new("RGB", (6, 5), (i, 40, 90)).save(root / f"{i:02}.png")
    labels = home / "l.csv"
    labels.write_text("file,label\n" + "".join(f"{i:02}.png,{'ab'[i % 2]}\n" for i in range(12)))
    scanned(root, home / "artifacts", [-1] * 12, labels=str(labels))
    assert split(root).counts["class"].tolist() == ["a", "b"]


def test_splits_of_the_set_are_kept_unless_fresh(home):
    given_splits = ["train"] * 30 + ["testing"] * 10 + [""] * 20
    source = saved(home / "d.npz", splits=given_splits)
    scanned(source, home / "artifacts", [-1] * N)
    done = split()
    assert done.images.splits[:40] == ("train",) * 30 + ("test",) * 10
    assert done.counts[list(NAMES)].sum().tolist() == [42, 9, 9] or done.counts["test"].sum() == 10
    assert done.notes == ("40 images kept the split they had, 20 were assigned; --fresh splits all of them anew",)
    fresh = split(config=SplitConfig(fresh=True))
    assert fresh.counts[list(NAMES)].sum().tolist() == [42, 9, 9]
    assert fresh.images.splits[:40] != done.images.splits[:40]
    assert fresh.notes == ()


def test_a_set_that_is_split_already_stays_so_and_an_empty_split_is_told(home):
    scanned(saved(home / "d.npz", splits=["train"] * 30 + ["holdout"] * 30), home / "artifacts", COPIES)
    done = split()
    assert list(done.counts) == ["class", "train", "val", "test", "holdout", "total"]
    assert done.counts["holdout"].tolist() == [10, 10, 10]
    assert "no image is in val: the set has splits already, which were kept" in done.notes


def test_given_splits_that_tear_copies_apart_are_refused(home):
    scanned(saved(home / "d.npz", splits=["train", "test"] + ["train"] * (N - 2)), home / "artifacts", COPIES)
    with pytest.raises(DataError, match=r"1 group lies in more .* 0 is in train, 1 in test. .* --fresh"):
        split()
    assert not (home / "artifacts" / "splits.csv").exists()
    assert split(config=SplitConfig(fresh=True)).proof.crossings == 0


def test_a_balanced_test_set_says_how_large_it_is(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    done = split(config=SplitConfig(balanced_test=True))
    assert done.per_class == 3
    assert done.counts["test"].tolist() == [3, 3, 3]
    assert done.notes == ("test holds 3 images of every class, 15.0% of the set; --per-class sets another",)
    small = split(config=SplitConfig(balanced_test=True, per_class=15))
    assert "train holds fewer images than test of α, β, γ" in small.notes


def test_a_class_that_is_missing_from_a_split_is_told(home):
    labels = np.array([0] * 29 + [1] * 29 + [2] * 2)
    scanned(saved(home / "d.npz", labels=labels), home / "artifacts", [-1] * N)
    notes = split().notes
    assert any(note.endswith("has no image of γ: too few groups of it") for note in notes)


def test_without_labels_or_with_one_class_it_is_split_all_the_same(home):
    source = home / "d.npz"
    np.savez(source, images=arrays()["images"])
    scanned(source, home / "artifacts", COPIES)
    done = split()
    assert done.counts.to_dict("records") == [{"class": "(no label)", "train": 42, "val": 9, "test": 9, "total": 60}]
    assert done.notes == ("no labels: split without regard to classes",)
    scanned(saved(source, labels=np.full(N, 1)), home / "artifacts", COPIES)
    assert split().notes == ("all images are of class β: there was nothing to stratify by",)


# What was not scanned


def test_a_set_that_was_not_scanned_names_the_command_to_type(home):
    source = saved(home / "d.npz")
    with pytest.raises(DataError, match=r"d.npz has not been scanned.* Type `curate scan d.npz` first"):
        split("d.npz")
    with pytest.raises(DataError, match=r"Type `curate scan .* --labels l.csv --artifacts 'my work'`"):
        split(source, SplitConfig(artifacts="my work", labels="l.csv"))
    with pytest.raises(DataError, match=r"artifacts holds no clean set. Type `curate scan data.npz`"):
        split()


def test_another_set_than_the_scanned_one_is_refused_also_where_row_numbers_match(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    other = saved(home / "e.npz", images=arrays()["images"][::-1])
    with pytest.raises(DataError, match=r"e.npz is not what was scanned .* image 0 has other pixels there"):
        split(other)
    with pytest.raises(DataError, match=r"60 of its 60 images are not in it, such as x0. Type `curate scan .*f.npz`"):
        split(saved(home / "f.npz", ids=[f"x{i}" for i in range(N)]))


def test_splits_that_were_made_before_are_kept_where_they_know_every_image(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    before = split(config=SplitConfig(0.4, 0.2, 0.4, seed=3))
    text = before.path.read_text(encoding="utf-8")
    kept = divided(previous=before.path)
    assert kept.images.splits == before.images.splits
    assert before.path.read_text(encoding="utf-8") == text
    assert kept.notes == ("the splits are those of artifacts/splits.csv; --fresh makes new ones",)
    (home / "fewer.csv").write_text("".join(text.splitlines(keepends=True)[:-1]), encoding="utf-8")
    anew = divided(previous=home / "fewer.csv")
    assert anew.images.splits == split().images.splits != before.images.splits
    (note,) = anew.notes
    assert note.endswith(
        "fewer.csv is not used: it does not give every image of the set a split; the set is split anew"
    )
    (home / "broken.csv").write_text('id,split\n"' + "x" * 200_000 + '"\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"broken\.csv is no table that can be read \(.*split anew with --fresh"):
        divided(previous=home / "broken.csv")


def test_splits_that_were_made_before_count_for_more_than_those_of_the_set(home):
    given = ["train", "val", "test"] * (N // 3)
    scanned(saved(home / "d.npz", splits=given), home / "artifacts", [-1] * N)
    of_set = split()
    assert list(of_set.images.splits) == given
    other = split(config=SplitConfig(fresh=True, out="other.csv"))
    assert divided(previous=other.path).images.splits == other.images.splits != of_set.images.splits
    (home / "of another set.csv").write_text("id,label,split,group\nx,α,train,\n", encoding="utf-8")
    assert list(divided(previous=home / "of another set.csv").images.splits) == given


def test_splits_that_were_made_before_and_tear_copies_apart_are_refused(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    made = split().path
    rows = written(made)
    rows[0]["split"] = "test" if rows[1]["split"] != "test" else "train"
    text = "\n".join(["id,split", *(f"{row['id']},{row['split']}" for row in rows)])
    (home / "torn.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"1 group lies in more than one split already: .* with --fresh"):
        divided(previous=home / "torn.csv")


@pytest.mark.parametrize("name", ["clean.npz", "clean.csv"])
def test_the_clean_set_is_found_whatever_it_is(tmp_path, name):
    (tmp_path / name).touch()
    assert clean_set(tmp_path) == tmp_path / name


def test_a_clean_set_that_has_changed_is_made_anew_of_what_was_scanned(home):
    source = saved(home / "d.npz")
    artifacts = scanned(source, home / "artifacts", COPIES)
    np.savez(artifacts / "clean.npz", **arrays(images=arrays()["images"][::-1]))
    with pytest.raises(DataError, match=r"clean\.npz is not what was written there last: .* Run `curate apply`"):
        split()
    (artifacts / "clean.json").unlink()  # as of a scan before there were such records
    with pytest.raises(DataError, match=rf"clean\.npz is not what was scanned .* Type `curate scan {source}` first"):
        split()


def test_the_input_is_never_overwritten(home):
    source = saved(home / "d.npz")
    scanned(source, home / "artifacts", COPIES)
    before = source.read_bytes()
    with pytest.raises(OutputError, match=r"no input is overwritten. Write elsewhere \(--out FILE\)"):
        split(source, SplitConfig(out=str(source)))
    assert source.read_bytes() == before


def test_a_result_that_does_not_come_back_is_removed(home, monkeypatch):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    from curate import splitting

    def torn(images, path):
        keep_apart = list(images.splits)
        keep_apart[0], keep_apart[1] = "train", "test"
        original(replace(images, splits=tuple(keep_apart)), path)

    original = splitting._write_splits_file
    monkeypatch.setattr(splitting, "_write_splits_file", torn)
    with pytest.raises(OutputError, match=r"was read back with other splits than were written, and was removed"):
        split()
    assert not (home / "artifacts" / "splits.csv").exists()


def test_the_proof_counts_turned_pictures_by_their_pixels_and_not_by_groups(home):
    # Rows 5 to 12 are one picture in its eight orientations, 13 and 14 the same pixels.
    images = np.random.default_rng(0).integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
    images[5:13] = [np.rot90(side, k) for side in (images[5], images[5, :, ::-1]) for k in range(4)]
    images[14] = images[13]
    pairs = pd.DataFrame(
        [(5, row, "rotated", 0.0) for row in range(6, 13)] + [(20, 21, "rotated", 0.02)],
        columns=["row_a", "row_b", "kind", "distance"],
    ).astype({"kind": "str", "distance": "float32"})
    whole, apart = [-1] * N, [-1] * N
    whole[5:15] = [0] * 8 + [1] * 2
    for groups, fits in ((whole, True), (apart, False)):
        artifacts = scanned(saved(home / "d.npz", images=images), home / "artifacts", groups)
        write_parquet(pairs, artifacts / "scan" / "pairs.parquet")
        if fits:
            proof = split().proof
            assert (proof.repeated, proof.torn) == (2, 0)
        else:
            with pytest.raises(OutputError, match="was read back with other splits"):
                split()
            assert not (home / "artifacts" / "splits.csv").exists()


def test_a_scan_without_a_row_is_of_another_set(home, monkeypatch):
    scanned(saved(home / "d.npz"), home / "artifacts", [-1] * N)
    whole = splitting.open_scan(home / "artifacts" / "scan")
    monkeypatch.setattr(splitting, "open_scan", lambda folder: replace(whole, table=whole.table.iloc[:0]))
    with pytest.raises(DataError, match=rf"is not what was scanned into .*: {N} of its {N} images are not in it"):
        divided()


# What a person decided


def decided(artifacts: Path, *entries: dict[str, object]) -> None:
    path = artifacts / "decisions.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def test_images_that_a_person_told_apart_need_not_stay_together(home):
    images = np.random.default_rng(0).integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
    images[1] = np.rot90(images[0])
    artifacts = scanned(saved(home / "d.npz", images=images), home / "artifacts", COPIES)
    pairs = pd.DataFrame(
        [(0, 1, "rotated", 0.0), (2, 3, "near", 0.1), (3, 4, "near", 0.2)],
        columns=["row_a", "row_b", "kind", "distance"],
    ).astype({"kind": "str", "distance": "float32"})
    write_parquet(pairs, artifacts / "scan" / "pairs.parquet")
    assert divided(home / "d.npz").copies[:5].tolist() == [0, 0, 1, 1, 1]
    decided(artifacts, {"action": "not_copies", "ids": ["0", "1"]}, {"action": "not_copies", "ids": ["2", "4"]})
    division = divided(home / "d.npz")
    assert division.copies[:5].tolist() == [-1, -1, 1, 1, -1]
    assert division.pictures[0] != division.pictures[1]
    assert split(home / "d.npz").proof.crossings == 0


def test_what_a_relabelled_image_was_given_is_known_and_told_where_it_still_has_it(home):
    artifacts = scanned(saved(home / "d.npz"), home / "artifacts", [-1] * N)
    path = artifacts / "scan" / "images.parquet"
    write_parquet(with_relabelled(pd.read_parquet(path), {4: "γ"}), path)
    division = divided(home / "d.npz")
    assert division.given_labels is None
    note = "1 image that you relabelled has the label of the set, such as 4; the clean set has the new one"
    assert note in division.notes
    images = read(home / "d.npz")
    write_clean(images, np.ones(N, bool), artifacts, {4: 2})
    division = divided()
    assert division.given_labels == tuple("β" if row == 4 else "" for row in range(N))
    assert note not in division.notes
