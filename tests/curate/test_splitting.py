from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curate.configs import ScanConfig
from curate.errors import DataError, OutputError
from curate.findings import findings_table
from curate.hashing import digest
from curate.manifest import write_manifest
from curate.reading import read
from curate.splitting import NAMES, SplitConfig, assign, clean_set, split, whole_groups
from curate.writing import write_clean, write_parquet

# Pure allocation


@st.composite
def sets(draw, mixed: bool = True, labelled: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(labels, units): up to five classes, groups of up to six, of several classes at times."""
    sizes = draw(st.lists(st.one_of(st.just(1), st.integers(1, 6)), min_size=1, max_size=80))
    classes = draw(st.integers(1, 5))
    low = 0 if labelled else -1
    units = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    of_unit = rng.integers(low, classes, len(sizes))
    labels = of_unit[units]
    if mixed:
        other = rng.random(len(labels)) < draw(st.sampled_from([0, 0.05, 1]))
        labels = np.where(other, rng.integers(low, classes, len(labels)), labels)
    order = rng.permutation(len(units))
    return labels[order], units[order]


shares = st.sampled_from(
    [(0.7, 0.15, 0.15), (0.8, 0, 0.2), (0.5, 0.25, 0.25), (1, 0, 0), (0.34, 0.33, 0.33), (0.1, 0.8, 0.1)]
)


def table(labels: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """(classes, 3): images of each class in each split."""
    return np.array([[((labels == c) & (assigned == s)).sum() for s in range(3)] for c in np.unique(labels)])


def attempt(labels: np.ndarray, units: np.ndarray, config: SplitConfig) -> tuple[np.ndarray | None, int | None, str]:
    """(assigned, per_class, the error or "")."""
    try:
        return *assign(labels, units, config)[:2], ""
    except DataError as error:
        return None, None, str(error)


def crossing(units: np.ndarray, assigned: np.ndarray) -> list[int]:
    return [unit for unit in np.unique(units) if len(set(assigned[units == unit])) > 1]


@given(data=sets(labelled=False), shares=shares, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=80)
def test_no_group_crosses_every_image_is_assigned_and_no_split_is_empty(data, shares, seed):
    labels, units = data
    assigned, per_class, error = attempt(labels, units, SplitConfig(*shares, seed=seed))
    if assigned is None:
        assert "would be empty" in error
        groups = [len(set(units[labels == c])) for c in set(labels[labels >= 0].tolist())]
        assert len(set(units)) < 3 or min(groups, default=0) < 3 or len(groups) > 1
        return
    assert per_class is None
    assert crossing(units, assigned) == []
    assert {s for s in range(3) if shares[s]} == set(assigned.tolist())


@given(data=sets(mixed=False), shares=shares)
@settings(deadline=None, max_examples=80)
def test_a_class_is_shared_as_asked_to_within_its_largest_group(data, shares):
    labels, units = data
    sizes = np.bincount(units)
    assigned, _, error = attempt(labels, units, SplitConfig(*shares))
    if assigned is None:
        assert "would be empty" in error
        return
    for c, got in zip(np.unique(labels), table(labels, assigned), strict=True):
        largest = sizes[units[labels == c]].max()
        # With fewer groups, that each split gets one may count for more than its share.
        if len(set(units[labels == c])) >= 3 * largest:
            asked = np.array(shares) * (labels == c).sum()
            assert (np.abs(got - asked) < largest + 1).all()


@given(n=st.lists(st.integers(10, 400), min_size=1, max_size=12))
@settings(deadline=None, max_examples=40)
def test_without_groups_every_class_and_the_whole_are_exact_to_an_image_or_two(n):
    labels = np.repeat(np.arange(len(n)), n)
    assigned, _, _ = assign(labels, np.arange(len(labels)))
    got, asked = table(labels, assigned), np.outer(n, [0.7, 0.15, 0.15])
    assert (np.abs(got - asked) < 1).all()
    assert (np.abs(got.sum(axis=0) - asked.sum(axis=0)) <= 1.5).all()


@given(data=sets(), shares=shares, balanced=st.booleans())
@settings(deadline=None, max_examples=40)
def test_the_same_seed_gives_the_same_splits(data, shares, balanced):
    labels, units = data
    config = SplitConfig(*shares, balanced_test=balanced, seed=5)
    one, two = (attempt(labels, units, config) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert one[1:] == two[1:]


def test_another_seed_gives_other_splits_of_the_same_sizes():
    labels, units = np.repeat([0, 1], 50), np.arange(100)
    a, b = (assign(labels, units, SplitConfig(seed=seed))[0] for seed in (0, 1))
    assert not np.array_equal(a, b)
    assert np.array_equal(table(labels, a), table(labels, b))


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assign(np.repeat([0, 1], 50), np.arange(100))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_large_groups_go_to_train_where_they_weigh_least():
    units = np.concatenate([np.zeros(20, int), np.arange(1, 101)])
    assigned, _, _ = assign(np.zeros(120, int), units)
    assert set(assigned[:20]) == {0}
    assert np.bincount(assigned).tolist() == [84, 18, 18]


def test_a_group_of_several_classes_goes_where_it_overfills_least():
    # Ten images of either class, seven of class 0 in a group with one of class 1: only train has room for these.
    labels = np.array([0] * 7 + [1] + [0] * 3 + [1] * 9)
    units = np.concatenate([np.zeros(8, int), np.arange(1, 13)])
    assigned, _, _ = assign(labels, units, SplitConfig(0.6, 0.2, 0.2))
    assert set(assigned[:8]) == {0}
    assert table(labels, assigned).min() >= 1


def test_patients_with_all_classes_are_shared_to_within_one_patient():
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(40), rng.integers(5, 30, 40))
    labels = rng.integers(0, 4, len(units))
    assigned, _, _ = assign(labels, units)
    assert crossing(units, assigned) == []
    assert (np.abs(np.bincount(assigned) - len(units) * np.array([0.7, 0.15, 0.15])) < 30).all()
    spread = table(labels, assigned) / np.bincount(assigned)
    assert np.ptp(spread, axis=1).max() < 0.15


def test_a_class_with_as_many_groups_as_splits_is_in_each():
    labels = np.array([0] * 90 + [1] * 3)
    assigned, _, _ = assign(labels, np.arange(93))
    assert table(labels, assigned)[1].tolist() == [1, 1, 1]
    by_groups, _, _ = assign(labels, np.array([*range(90), 90, 91, 92]), SplitConfig(0.9, 0.05, 0.05))
    assert table(labels, by_groups)[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("images", [1, 2])
def test_a_class_with_fewer_groups_is_in_train_at_least(images):
    for share in (0.7, 0.1):
        labels = np.array([0] * 90 + [1] * images)
        assigned, _, _ = assign(labels, np.arange(len(labels)), SplitConfig(share, 0.9 - share, 0.1))
        assert table(labels, assigned)[1, 0] >= 1


def test_a_split_that_rounding_would_leave_empty_gets_a_group():
    labels = np.full(4, -1)
    assigned, _, notes = assign(labels, np.arange(4), SplitConfig(0.98, 0.01, 0.01))
    assert sorted(assigned.tolist()) == [0, 0, 1, 2]
    assert notes == tuple(f"{name} would have been empty, and got one group all the same" for name in ("val", "test"))


@pytest.mark.parametrize(
    ("labels", "units"),
    [([0, 0, 0], [0, 0, 0]), ([0, 0], [0, 1]), ([0, 1, 2], [0, 1, 2]), ([-1, -1], [0, 1]), ([0], [0])],
)
def test_where_a_split_must_be_empty_it_is_an_error(labels, units):
    with pytest.raises(DataError, match=r"(val|test) would be empty: the set has \d groups .* Ask for fewer splits"):
        assign(np.array(labels), np.array(units))


def test_given_splits_are_kept_and_the_rest_makes_the_whole_as_asked():
    labels = np.repeat([0, 1], 100)
    fixed = np.full(200, -1)
    fixed[:40] = 0
    fixed[100:130] = 2  # as many as class 1 is to have, and twice that
    units = np.arange(200)
    units[[50, 51]] = 0  # copies of a training image
    assigned, _, _ = assign(labels, units, SplitConfig(), fixed)
    assert np.array_equal(assigned[fixed >= 0], fixed[fixed >= 0])
    assert assigned[[50, 51]].tolist() == [0, 0]
    assert table(labels, assigned)[0].tolist() == [70, 15, 15]
    assert table(labels, assigned)[1, 2] == 30
    assert table(labels, assigned)[1, 0] in (57, 58)


def test_other_splits_of_the_set_have_no_share():
    labels, fixed = np.zeros(120, int), np.full(120, -1)
    fixed[:20] = 3
    assigned, _, _ = assign(labels, np.arange(120), SplitConfig(), fixed)
    assert np.bincount(assigned).tolist() == [70, 15, 15, 20]


# A balanced test set


@given(data=sets(labelled=False), shares=st.sampled_from([(0.7, 0.15, 0.15), (0.8, 0, 0.2), (0.4, 0.6, 0)]))
@settings(deadline=None, max_examples=80)
def test_a_balanced_test_set_has_as_many_of_every_class_and_train_no_fewer(data, shares):
    labels, units = data
    assigned, per_class, error = attempt(labels, units, SplitConfig(*shares, balanced_test=True))
    if assigned is None or per_class is None:
        assert "balanced test set" in error
        return
    assert crossing(units, assigned) == []
    known = labels >= 0
    got = table(labels[known], assigned[known])
    assert per_class > 0
    assert (got[:, 2] == per_class).all()
    assert (got[:, 0] >= per_class).all()
    assert not (assigned[~known] == 2).any()


@given(n=st.lists(st.integers(4, 300), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_a_balanced_test_set_has_the_share_of_test_or_the_largest_number_that_fits(n):
    labels = np.repeat(np.arange(len(n)), n)
    _, per_class, _ = assign(labels, np.arange(len(labels)), SplitConfig(balanced_test=True))
    exact = min(n) * 0.7 / (0.85 + 0.7)
    asked = max(1, 0.15 * sum(n) / len(n))
    assert abs(per_class - min(exact, asked)) <= 1


def test_train_and_val_keep_the_natural_imbalance():
    n = np.array([300, 120, 60])
    labels = np.repeat(np.arange(3), n)
    assigned, per_class, _ = assign(labels, np.arange(480), SplitConfig(balanced_test=True, per_class=20))
    got = table(labels, assigned)
    assert per_class == 20
    assert got[:, 2].tolist() == [20, 20, 20]
    assert (np.abs(got[:, 0] - (n - 20) * 0.7 / 0.85) < 1).all()


def test_balance_is_exact_also_where_only_groups_make_it():
    labels = np.repeat([0, 1], [24, 40])
    units = np.concatenate([np.arange(24) // 3, 100 + np.arange(40)])  # class 0 comes in threes
    units = np.unique(units, return_inverse=True)[1]
    half = SplitConfig(train=0.35, val=0.075, test=0.575, balanced_test=True)
    assigned, per_class, _ = assign(labels, units, half)
    assert per_class == 9
    assert table(labels, assigned)[:, 2].tolist() == [9, 9]
    with pytest.raises(DataError, match=r"class 0 cannot have exactly 8 images in test: .* make 6. Set --per-class 6"):
        assign(labels, units, SplitConfig(balanced_test=True, per_class=8))


def test_the_test_set_takes_pictures_without_copies_first():
    labels, units = np.zeros(60, int), np.concatenate([np.repeat(np.arange(10), 3), np.arange(10, 40)])
    assigned, _, _ = assign(labels, units, SplitConfig(balanced_test=True, per_class=12))
    assert not (assigned[:30] == 2).any()


@pytest.mark.parametrize(
    ("labels", "units", "config", "said"),
    [
        ([-1] * 9, range(9), {}, r"a balanced test set needs labels, and the set has none"),
        ([0] * 9 + [1], range(10), {}, r"class B has 1 images, in 1 groups .* needed are 2 of every class"),
        ([0, 1] * 5, [i // 2 for i in range(10)], {}, r"no balanced test set can be made: class A has 5 images, in 0"),
        ([0] * 9 + [1] * 9, range(18), {"per_class": 9}, r"9 test images of every class leave none of class A"),
        (
            [0, 1] * 5,
            [i // 2 for i in range(10)],
            {"per_class": 2},
            r"class A has no group of 2 images or fewer of its",
        ),
    ],
)
def test_what_cannot_be_balanced_is_an_error(labels, units, config, said):
    with pytest.raises(DataError, match=said):
        assign(np.array(labels), np.array(units), SplitConfig(balanced_test=True, **config), classes=["A", "B"])


def test_a_set_with_test_images_is_not_balanced_by_halves():
    fixed = np.full(20, -1)
    fixed[0] = 2
    with pytest.raises(DataError, match=r"has 1 test images already. Split it anew with --fresh"):
        assign(np.repeat([0, 1], 10), np.arange(20), SplitConfig(balanced_test=True), fixed)


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
        ({"per_class": 0, "balanced_test": True}, r"per_class is 0; needed is a number of images from 1"),
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
    rows = pd.DataFrame(
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
    write_manifest(
        folder, "scan", config, source=str(source.resolve()), input_digest="", outputs={}, counts={}, timings={}
    )
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
    assert done.notes == ("1 images that the scan would drop were split as well; the clean set leaves them out",)


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
    with pytest.raises(DataError, match=r"d.npz has not been scanned.* Type `curate scan d.npz`, then split again"):
        split("d.npz")
    with pytest.raises(DataError, match=r"Type `curate scan .* --labels l.csv --artifacts 'my work'`"):
        split(source, SplitConfig(artifacts="my work", labels="l.csv"))
    with pytest.raises(DataError, match=r"artifacts holds no clean set to split. Type `curate scan data.npz`"):
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
    kept = split(made=before.path)
    assert kept.images.splits == before.images.splits
    assert kept.path.read_text(encoding="utf-8") == text
    assert kept.notes == ("the splits are those of artifacts/splits.csv; --fresh makes new ones",)
    (home / "fewer.csv").write_text("".join(text.splitlines(keepends=True)[:-1]), encoding="utf-8")
    anew = split(made=home / "fewer.csv")
    assert anew.images.splits == split().images.splits != before.images.splits
    assert anew.notes == ()


def test_splits_that_were_made_before_count_for_more_than_those_of_the_set(home):
    given = ["train", "val", "test"] * (N // 3)
    scanned(saved(home / "d.npz", splits=given), home / "artifacts", [-1] * N)
    of_set = split()
    assert list(of_set.images.splits) == given
    other = split(config=SplitConfig(fresh=True, out="other.csv"))
    assert split(made=other.path).images.splits == other.images.splits != of_set.images.splits
    (home / "of another set.csv").write_text("id,label,split,group\nx,α,train,\n", encoding="utf-8")
    assert list(split(made=home / "of another set.csv").images.splits) == given


def test_splits_that_were_made_before_and_tear_copies_apart_are_refused(home):
    scanned(saved(home / "d.npz"), home / "artifacts", COPIES)
    made = split().path
    rows = written(made)
    rows[0]["split"] = "test" if rows[1]["split"] != "test" else "train"
    text = "\n".join(["id,split", *(f"{row['id']},{row['split']}" for row in rows)])
    (home / "torn.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"1 group lies in more than one split already: .* with --fresh"):
        split(made=home / "torn.csv")


@pytest.mark.parametrize("name", ["clean.npz", "clean.csv"])
def test_the_clean_set_is_found_whatever_it_is(tmp_path, name):
    (tmp_path / name).touch()
    assert clean_set(tmp_path) == tmp_path / name


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

    original = splitting._write
    monkeypatch.setattr(splitting, "_write", torn)
    with pytest.raises(OutputError, match=r"did not come back as it was written, and was removed"):
        split()
    assert not (home / "artifacts" / "splits.csv").exists()
