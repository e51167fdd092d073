import numpy as np
import pandas as pd
import pytest
from PIL import Image

from augment.configs import BuildConfig
from augment.planning import plan
from curate.builds import SPLITS
from curate.configs import SplitConfig
from curate.splitting import split
from curate.stage.errors import DataError, UnknownName


@pytest.fixture
def by_hand(tmp_path, scan_by_hand):
    """A function that saves a set with these labels as data.npz, with the artifacts of a scan, and gives both."""

    def made(labels, copies=None, **arrays):
        pixels = np.random.default_rng(0).integers(0, 256, (len(labels), 12, 12, 3), np.uint8)
        np.savez(tmp_path / "data.npz", images=pixels, labels=np.asarray(labels), **arrays)
        return tmp_path / "data.npz", scan_by_hand(tmp_path / "data.npz", tmp_path / "artifacts", copies)

    return made


def config_of(artifacts, **given):
    return BuildConfig(artifacts=str(artifacts), policy="light", **given)


def written(artifacts):
    return pd.read_csv(artifacts / "splits.csv", dtype={"id": str}).set_index("id")["split"].to_dict()


def splits_of(done):
    return dict(zip(done.set.ids, done.set.splits, strict=True))


def test_a_plan_is_of_the_clean_set_with_every_row_in_one_split(plain):
    done = plan(None, plain(copies=2))
    rows = np.concatenate([done.rows[name] for name in SPLITS])
    assert sorted(rows.tolist()) == list(range(len(done.set)))
    assert done.copy_plan.rows.tolist() == done.rows["train"].tolist()
    assert done.copy_plan.table["class"].tolist() == list(done.set.classes) == ["lobed", "round", "kidney"]
    assert done.images == {"train": done.copy_plan.images, "val": len(done.rows["val"]), "test": len(done.rows["test"])}
    assert done.size == (32, 32)
    assert done.bytes == sum(done.images.values()) * 32 * 32 * 3
    assert done.labels is None


def test_no_group_is_in_two_splits(plain):
    done = plan(None, plain())
    groups, part = done.set.groups, np.array(done.set.splits)
    assert (groups >= 0).sum() >= 9
    assert all(len(set(part[groups == group])) == 1 for group in set(groups[groups >= 0].tolist()))


def test_planning_twice_gives_the_same(plain):
    one, other = (plan(None, plain()) for _ in range(2))
    assert splits_of(one) == splits_of(other)
    assert np.array_equal(one.copy_plan.copies, other.copy_plan.copies)


# Splits that were made before


def test_the_splits_that_curate_split_made_are_used(plain, artifacts):
    done = split(None, SplitConfig(train=0.4, val=0.2, test=0.4, artifacts=str(artifacts), seed=9))
    before = written(artifacts)
    assert splits_of(plan(None, plain())) == before == splits_of_table(done)
    assert written(artifacts) == before


def splits_of_table(done):
    return done.table.set_index("id")["split"].to_dict()


@pytest.mark.parametrize("asked", [{"train": 0.8, "val": 0.1, "test": 0.1}, {"fresh": True}, {"balanced_test": True}])
def test_other_splits_are_made_where_they_are_asked_for(plain, artifacts, asked):
    split(None, SplitConfig(train=0.4, val=0.2, test=0.4, artifacts=str(artifacts), seed=9))
    before = written(artifacts)
    done = plan(None, plain(**asked))
    assert splits_of(done) != before
    assert len(done.rows["train"]) > 50
    assert written(artifacts) == before  # a plan writes nothing


def test_splits_that_do_not_know_every_image_are_made_anew(plain, artifacts):
    split(None, SplitConfig(train=0.4, val=0.2, test=0.4, artifacts=str(artifacts), seed=9))
    lines = (artifacts / "splits.csv").read_text().splitlines()
    (artifacts / "splits.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert len(plan(None, plain()).rows["train"]) > 50


def test_splits_that_the_set_came_with_are_kept(by_hand):
    labels, given = np.arange(60) % 3, np.array(["train", "train", "val", "test"] * 15)
    _, artifacts = by_hand(labels, splits=given)
    done = plan(None, config_of(artifacts))
    assert list(done.set.splits) == given.tolist()


def test_images_of_further_splits_are_left_out_and_told_of(by_hand):
    labels, given = np.arange(60) % 3, np.array(["train", "train", "val", "test", "extra"] * 12)
    _, artifacts = by_hand(labels, splits=given)
    done = plan(None, config_of(artifacts))
    assert sum(len(rows) for rows in done.rows.values()) == 48
    assert "12 images of extra are left out" in done.notes


# What is in it


def test_images_without_a_label_are_left_out_and_told_of(by_hand):
    labels = np.arange(60) % 3
    labels[5:12] = -1
    _, artifacts = by_hand(labels)
    done = plan(None, config_of(artifacts))
    rows = np.concatenate([done.rows[name] for name in SPLITS])
    assert sorted(rows.tolist()) == [row for row in range(60) if not 5 <= row < 12]
    assert "7 images have no label and are left out" in done.notes


def test_the_policy_says_how_many_copies_unless_they_are_given(plain):
    largest = [plan(None, plain(copies=copies)).copy_plan.table["copies"][0] for copies in (None, 1, 0)]
    sources = plan(None, plain()).copy_plan.table["sources"][0]
    assert largest == [4 * sources, sources, 0]


def test_of_a_policy_with_seven_different_copies_there_are_no_more(plain):
    done = plan(None, plain(policy="dihedral8", copies=9))
    assert done.copy_plan.copies.max() == 7
    assert "dihedral8 makes 7 different copies of a picture, so there are no more" in done.notes


def test_the_size_that_is_asked_for_is_the_size(plain):
    assert plan(None, plain(size=(48, 40))).size == (48, 40)


def test_a_folder_of_pictures_is_planned_as_well(tmp_path, scan_by_hand):
    rng = np.random.default_rng(0)
    for row in range(40):
        path = tmp_path / "set" / "ab"[row % 2] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + row % 3, 30, 3), np.uint8)).save(path)
    artifacts = scan_by_hand(tmp_path / "set", tmp_path / "artifacts")
    of_folder, of_clean = (plan(place, config_of(artifacts)) for place in (tmp_path / "set", None))
    assert of_folder.size == of_clean.size == (30, 21)
    assert any("differ in size" in note for note in of_folder.notes)
    assert of_folder.set.classes == ("a", "b")


def test_labels_of_a_flat_folder_are_those_that_its_scan_was_given(tmp_path, scan_by_hand):
    rng = np.random.default_rng(0)
    lines = ["file,label"]
    (tmp_path / "set").mkdir()
    for row in range(30):
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(tmp_path / "set" / f"{row}.png")
        lines.append(f"{row}.png,{'ab'[row % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    artifacts = scan_by_hand(tmp_path / "set", tmp_path / "artifacts", labels=str(tmp_path / "labels.csv"))
    done = plan(tmp_path / "set", config_of(artifacts))
    assert done.labels == str(tmp_path / "labels.csv")
    assert plan(None, config_of(artifacts)).labels is None  # its own list has them


def test_shares_of_classes_are_told_to_be_taken_for_the_likeliest(by_hand, tmp_path, scan_by_hand):
    shares = np.eye(3, dtype=np.float32)[np.arange(30) % 3] * 0.8 + 0.2 / 3
    pixels = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "soft.npz", images=pixels, labels=shares)
    done = plan(None, config_of(scan_by_hand(tmp_path / "soft.npz", tmp_path / "artifacts")))
    assert done.set.labels.tolist() == (np.arange(30) % 3).tolist()
    assert "the set has shares of classes for labels; of each image the likeliest class is taken" in done.notes


# What cannot be planned


def test_a_set_that_was_augmented_before_is_refused(by_hand):
    _, artifacts = by_hand(np.arange(60) % 3, ids=[f"{i // 4}+{i % 4}" if i % 4 else str(i // 4) for i in range(60)])
    with pytest.raises(DataError, match=r"has the images \d+ and \d+\+\d, which is what a copy of the first would be"):
        plan(None, config_of(artifacts))
    assert plan(None, config_of(artifacts, copies=0, balance="none")).copy_plan.images


def test_a_set_that_was_not_scanned_is_told_what_to_type(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros((4, 12, 12, 3), np.uint8), labels=[0, 0, 1, 1])
    with pytest.raises(DataError, match=r"has not been scanned: .* Type `curate scan .*data\.npz --artifacts .*`"):
        plan(tmp_path / "data.npz", config_of(tmp_path / "artifacts"))


def test_where_nothing_was_scanned_the_error_names_the_command(tmp_path):
    with pytest.raises(DataError, match=r"holds no clean set\. Type `curate scan data\.npz`"):
        plan(None, config_of(tmp_path / "artifacts"))


def test_another_set_than_the_scanned_one_is_refused(by_hand, tmp_path):
    _, artifacts = by_hand(np.arange(30) % 3)
    pixels = np.random.default_rng(1).integers(0, 256, (30, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "other.npz", images=pixels, labels=np.arange(30) % 3)
    with pytest.raises(DataError, match=r"other\.npz is not what was scanned"):
        plan(tmp_path / "other.npz", config_of(artifacts))


def test_a_set_without_labels_is_refused(by_hand):
    _, artifacts = by_hand(np.full(30, -1))
    with pytest.raises(DataError, match=r"has no labels, and nothing can be balanced without. Give --labels FILE\.csv"):
        plan(None, config_of(artifacts))


@pytest.mark.parametrize(
    ("size", "train", "least"),
    [(0, 0, 1), (1, 1, 2), (2, 2, None), (3, 1, 4), (4, 2, None), (5, 3, None), (6, 4, None)],
)
def test_a_small_class_is_planned_with_what_there_is_and_a_note_where_that_is_one(by_hand, size, train, least):
    _, artifacts = by_hand([0] * 20 + [1] * 20 + [2] * size, class_names=np.array(["a", "b", "rare"]))
    done = plan(None, config_of(artifacts))
    assert done.copy_plan.table["sources"].tolist()[2] == train
    lonely = [note for note in done.notes if note.startswith("rare has")]
    assert [f"--min-class {least} leaves out" in note for note in lonely] == ([] if least is None else [True])


def test_small_classes_are_left_out_of_the_set_that_is_built(by_hand):
    _, artifacts = by_hand([2] * 20 + [0] * 2 + [1] * 20, class_names=np.array(["rare", "a", "b", "none"]))
    done = plan(None, config_of(artifacts, min_class=3))
    assert done.set.classes == ("a", "b")
    assert done.set.labels.tolist() == [1] * 20 + [-1] * 2 + [0] * 20
    assert done.copy_plan.table["class"].tolist() == ["a", "b"]
    assert done.divided.left_out == {"rare": 2, "none": 0}
    assert sum("left out" in note for note in done.notes) == 1
    assert sum(map(len, done.rows.values())) == 40


def test_many_lonely_classes_are_told_of_in_one_note(by_hand):
    _, artifacts = by_hand([*[0] * 20, *[1] * 20, *range(2, 12)])
    (note,) = [note for note in plan(None, config_of(artifacts)).notes if "single picture" in note]
    assert note.startswith("2, 3, 4, 5, 6 and 5 more have a single picture to train on")


def test_a_split_that_would_be_empty_is_refused(by_hand):
    # All of one patient, and one more picture.
    _, artifacts = by_hand([0] * 20, copies=[0] * 19 + [-1])
    with pytest.raises(DataError, match="would be empty"):
        plan(None, config_of(artifacts))


def test_a_training_split_without_a_share_is_refused(by_hand):
    _, artifacts = by_hand(np.arange(30) % 3)
    with pytest.raises(DataError, match=r"no image is in train\. Give it a share"):
        plan(None, config_of(artifacts, train=0, val=0.5, test=0.5))


def test_an_unknown_policy_is_told_of_before_the_set_is_read(tmp_path):
    with pytest.raises(UnknownName, match=r"no policy named 'haevy'\. Did you mean 'heavy'\?"):
        plan(None, BuildConfig(policy="haevy", artifacts=str(tmp_path / "nowhere")))


def test_where_the_splits_of_the_set_leave_a_class_untaught_new_ones_are_advised_and_help(by_hand):
    # What is left of a set that was oversampled before it was split: nearly all copies kept are held out.
    splits = np.array(["test"] * 24 + ["val"] * 5 + ["train"])
    _, artifacts = by_hand(np.arange(30) % 3, splits=splits)
    advice = "1 picture is left to train on, .*: the splits of the set put the other 29 elsewhere. Split .* --fresh"
    with pytest.raises(DataError, match=advice):
        plan(None, config_of(artifacts))
    assert plan(None, config_of(artifacts, fresh=True)).images["train"] > 20


def test_where_new_splits_would_not_help_they_are_not_advised(by_hand):
    splits = np.array(["train", "test"] * 10 + ["train", "test", "val"])
    _, artifacts = by_hand([0] * 20 + [1] * 3, splits=splits)
    notes = " ".join(plan(None, config_of(artifacts)).notes)
    assert "a single picture to train on" in notes
    assert "--fresh splits the set anew" not in notes


def test_splits_of_which_none_is_train_are_refused_with_what_to_do(by_hand):
    source, artifacts = by_hand([0, 1] * 12, split=np.arange(24) % 3)
    with pytest.raises(DataError, match=r"no image is in train: the set came with the splits 0, 1, 2.*--fresh"):
        plan(source, config_of(artifacts))
    assert len(plan(source, config_of(artifacts, fresh=True)).rows["train"])
