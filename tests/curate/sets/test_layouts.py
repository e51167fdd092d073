"""Layouts of public sets, each built from small pictures: what is taken for what, and what a person may say instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.sets.directions import Directions
from curate.sets.layouts import annotation_folders, levels_of, spoken
from curate.sets.reading import read
from curate.stage.errors import DataError


def names(*folders: str, of_each: int = 4) -> list[str]:
    """Files in each folder, numbered on; {a,b} stands for each."""
    full: list[str] = list(folders)
    while any("{" in folder for folder in full):
        full = [spelled for folder in full for spelled in _spelled(folder)]
    return [f"{folder}/{at * of_each + i}.png".lstrip("/") for at, folder in enumerate(full) for i in range(of_each)]


def _spelled(folder: str) -> Iterable[str]:
    if "{" not in folder:
        return [folder]
    before, _, rest = folder.partition("{")
    inside, _, after = rest.partition("}")
    return [before + word + after for word in inside.split(",")]


NOTHING = None
BOTH = "train test"
PATIENTS = "{8863,8864,8865,8911,9023,9100}"
LAYOUTS = {
    # name: (folders, classes, splits, number of groups)
    "class folders": (["{cat,dog}"], "cat dog", NOTHING, 0),
    "one class": (["cat"], "cat", NOTHING, 0),
    "digits": (["{0,1,2,3,4,5,6,7,8,9}"], "0 1 2 3 4 5 6 7 8 9", NOTHING, 0),
    "numbered classes": (["{001.Albatross,002.Auklet}"], "001.Albatross 002.Auklet", NOTHING, 0),
    "ids of synsets": (["{train,val}/{n01440764,n01443537}"], "n01440764 n01443537", "train val", 0),
    "splits over classes": (["{train,valid,test}/{cat,dog}"], "cat dog", "train val test", 0),
    "digits below splits": (["{training,testing}/{0,1,2}"], "0 1 2", "train test", 0),
    "class over splits": (["{cat,dog}/{train,test}"], "cat dog", "train test", 0),
    "digits over splits": (["{0,1,2}/{train,test}"], "0 1 2", "train test", 0),
    "wrapped": (["archive/data/{cat,dog}"], "cat dog", NOTHING, 0),
    "images within splits": (["{train,val}/images/{cat,dog}"], "cat dog", "train val", 0),
    "images within classes": (["train/{n01,n02}/images", "val/images"], "n01 n02", "train val", 0),
    "splits below images": (["images/{train,val}"], "", "train val", 0),
    "a flat split": (["train/{cat,dog}", "val"], "cat dog", "train val", 0),
    "an unlabelled split": (["train/{cat,dog}", "test/images"], "cat dog", "train test", 0),
    "folders within themselves": (["train/train/{cat,dog}", "test/test"], "cat dog", BOTH, 0),
    "a set within itself": (["xray/{train,test}/{cat,dog}", "xray/xray/{train,test}/{cat,dog}"], "cat dog", BOTH, 0),
    "names that share a word": (["asl_train/asl_train/{A,B}", "asl_test/asl_test"], "A B", BOTH, 0),
    "splits and a third": (["seg_{train,test}/{sea,wood}", "seg_pred"], "sea wood", "train test seg_pred", 0),
    "images of two splits": (["train/{n01,n02}/images", "{val,test}/images"], "n01 n02", "train val test", 0),
    "defects": (["cup/train/good", "cup/test/{good,bent}", "cup/ground_truth/bent"], "bent good", BOTH, 0),
    "originals": (["{original,resized}/{glass,metal}"], "glass metal", NOTHING, 0),
    "organs": (["{low,up}/{fine,odd}", "low/fine/{ileum,cecum}", "up/odd/{cardia,z}"], "low up", NOTHING, 0),
    "organs within": (["low/{fine,odd}/{ileum,cecum}", "up/{fine,odd}/{cardia,z}"], "ileum cecum cardia z", None, 0),
    "a flat split in a set": (["f/{Training,Test}/{kiwi,fig}", "f/test-two"], "kiwi fig", "train test test-two", 0),
    "splits within themselves": (["train/train", "test/test"], "", "train test", 0),
    "a class called like its split": (["{train,test}/{test,healthy}"], "test healthy", BOTH, 0),
    "a class called like its split, once": (["train/healthy", "test/{test,healthy}"], "test healthy", BOTH, 0),
    "blood cells": (["{TRAIN,TEST,TEST_SIMPLE}/{EOSIN,LYMPH}"], "EOSIN LYMPH", "train test TEST_SIMPLE", 0),
    "sets of splits": (["{training_set,test_set}/{cats,dogs}"], "cats dogs", "train test", 0),
    "years of splits": (["{train2017,val2017}/{cat,dog}"], "cat dog", "train val", 0),
    "folds": (["fold{1,2,3,4,5}/{cat,dog}"], "cat dog", "fold1 fold2 fold3 fold4 fold5", 0),
    "seen and unseen": (["{seen,unseen}/{cat,dog}"], "cat dog", "seen unseen", 0),
    "splits by any name": (["{city,field}/{oak,elm,ash}"], "oak elm ash", "city field", 0),
    "blood cells, parts by other names": (
        ["images/{TRAIN_A,site_b,TEST_SIMPLE}/{EOSIN,LYMPH,MONO,NEUTRO}"],
        "EOSIN LYMPH MONO NEUTRO", "train site_b test", 0,
    ),
    "as many folders above as classes": (["{north,south}/{oak,elm}"], "oak elm", "north south", 0),
    "more folders above than classes": (["{north,south,east}/{oak,elm}"], "oak elm", "north south east", 0),
    "digits below any name": (["{real,drawn,scanned}/{0,1}"], "0 1", "real drawn scanned", 0),
    "hospitals": (["{mercy,grace}/{benign,malignant}"], "benign malignant", "mercy grace", 0),
    "clips of each class": (["{wave,jump}/{1,2,3,4,5,6}"], "wave jump", NOTHING, 6),
    "six sites": (["{a,b,c,d,e,f}/{oak,elm}"], "a b c d e f", NOTHING, 0),
    "two easy tests": (["{test_easy,test_hard,training}/{oak,elm}"], "oak elm", "test_easy test_hard train", 0),
    "makes of each picture": (["{color,gray,cut}/{apple,corn,oak,pea}"], "apple corn oak pea", "color gray cut", 0),
    "train beside unlabeled": (["{train,test}/{cat,dog}", "unlabeled"], "cat dog", "train test unlabeled", 0),
    "patients over classes": ([PATIENTS + "/{0,1}"], "0 1", NOTHING, 6),
    "named patients over classes": (["patient_{1,2,3}/{benign,malignant}"], "benign malignant", NOTHING, 3),
    "letters of patients over words": (["P{01,02,03,04,05}/{smear,film}"], "film smear", NOTHING, 5),
    "patients, dates, classes": ([PATIENTS + "/{2020-01-01,2020-02-01}/{tumour,fat}"], "fat tumour", NOTHING, 6),
    "classes over patients": (["tumor/p{01,02,03}", "normal/p{04,05,06}"], "normal tumor", NOTHING, 6),
    "counted classes over patients": (["{0,1}/" + PATIENTS], "0 1", NOTHING, 6),
    "splits over patients": (["{train,test}/" + PATIENTS + "/{benign,malignant}"], "benign malignant", "train test", 6),
    "patients alone": (["patient_{1,2,3}"], "", NOTHING, 3),
    "parts over classes": (["part_{1,2}/{cat,dog}"], "cat dog", NOTHING, 0),
    "leaves": (["animals/{cat,dog}", "plants/rose"], "cat dog rose", NOTHING, 0),
    "leaves in splits": (["{train,test}/pet/{cat,dog}", "{train,test}/tree/{oak,elm}"], "cat dog elm oak", BOTH, 0),
    "classes in two kinds of place": (["{cat,dog}/{left,right}"], "cat dog", NOTHING, 0),
    "digits in two kinds of place": (["{0,1,2,3,4}/{left,right}"], "0 1 2 3 4", NOTHING, 0),
    "some classes with more inside": (["{cat,dog}", "cat/indoor"], "cat dog", NOTHING, 0),
    "one folder in each class": (["cat/cat_photos", "dog/dog_photos"], "cat dog", NOTHING, 0),
    "one folder for each picture": ([f"cat/img{i:03}" for i in range(8)] + ["dog/img900"], "cat dog", NOTHING, 0),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_public_layout_is_read_as_its_makers_meant_it(layout, tmp_path, files):
    folders, classes, splits, groups = LAYOUTS[layout]
    of_each = 1 if layout == "one folder for each picture" else 4
    images = read(files(tmp_path, *names(*folders, of_each=of_each)))
    assert sorted(images.classes) == sorted(classes.split())
    assert set(images.splits or ()) == set((splits or "").split())
    assert (0 if images.groups is None else len(set(images.groups.tolist()) - {-1})) == groups


def test_labels_and_splits_follow_their_files(tmp_path, files, by_id):
    paths = ["cat/test/3.png", "cat/train/1.png", "dog/test/2.png", "dog/train/4.png"]
    images = read(files(tmp_path, *paths))
    assert by_id(images) == {path: path[:3] for path in paths}
    assert images.splits == ("test", "train", "test", "train")


def test_what_could_have_been_otherwise_is_told_with_the_options_that_settle_it(tmp_path, files):
    place = files(tmp_path, *names(PATIENTS + "/{0,1}"))
    images = read(place)
    assert images.source.notes == (
        "classes are the folders of level 2 (0, 1); level 1 (8863, 8864, 8865 ...) was taken for groups that stay "
        "together. If that is wrong, give --classes-from 1 or --groups-from none",
    )
    topics = {topic.name: topic.text for topic in images.source.topics}
    assert topics["classes"] == "2 (0, 1), folder level 2"
    assert topics["groups"] == "6 (8863, 8864, 8865 ...), folder level 1"
    assert read(place, classes_from=1).classes == ("8863", "8864", "8865", "8911", "9023", "9100")
    assert read(place, classes_from=1).groups is None
    assert read(place, groups_from="none").groups is None
    assert read(place, classes_from="parent").classes == ("0", "1")
    assert not read(place, classes_from="none").labelled
    assert read(place, splits_from=2).splits is not None


@pytest.mark.parametrize(("layout", "option"), [
    ("leaves", "--classes-from 1"),
    ("classes in two kinds of place", "--classes-from 2"),
    ("splits by any name", "--splits-from none"),
    ("patients alone", "--classes-from 1"),
    ("counted classes over patients", "--groups-from none"),
])  # fmt: skip
def test_an_ambiguous_layout_names_an_option_that_reads_it_otherwise(layout, option, tmp_path, files):
    place = files(tmp_path, *names(*LAYOUTS[layout][0]))
    images = read(place)
    assert sum(option in note for note in images.source.notes) == 1
    flag, value = option.removeprefix("--").split()
    otherwise = read(place, **{flag.replace("-", "_"): value})
    same = (images.classes, images.splits, images.groups is None)
    assert (otherwise.classes, otherwise.splits, otherwise.groups is None) != same


@pytest.mark.parametrize("layout", ["class folders", "splits over classes", "digits", "class over splits", "wrapped"])
def test_a_layout_that_leaves_no_doubt_needs_no_word(layout, tmp_path, files):
    assert read(files(tmp_path, *names(*LAYOUTS[layout][0]))).source.notes == ()


@pytest.mark.parametrize("direction", ["3", "0", "17"])
def test_a_level_that_is_not_there_is_an_error_that_says_how_deep_folders_go(direction):
    with pytest.raises(DataError, match=r"--classes-from \d+: there is no such level.* go 2 deep, as in a/b"):
        levels_of({("a", "b"): 3, ("a", "c"): 2}, Directions(classes_from=direction))


def test_masks_beside_images_are_no_images(tmp_path, files):
    images = read(files(tmp_path, *names("{covid,normal}/{images,masks}")))
    assert images.classes == ("covid", "normal")
    assert len(images) == 8
    assert images.source.notes == (
        "8 files in folders that are called like annotations of the images left out (covid/masks, normal/masks)",
    )
    assert annotation_folders([("masks",), ("cat",)]) == set()


def test_images_at_the_root_beside_class_folders_have_no_label(tmp_path, files, by_id):
    images = read(files(tmp_path, "0.png", *names("{cat,dog}")))
    assert Counter(by_id(images).values()) == {"": 1, "cat": 4, "dog": 4}
    assert images.source.notes == ("1 of 9 images has no label",)


def test_folders_that_only_some_files_lie_in_are_told(tmp_path, files):
    images = read(files(tmp_path, *names("{8863,8864,8865}/{0,1}", "{8863,8864,8865}")))
    assert images.classes == ("8863", "8864", "8865")
    assert images.source.notes == (
        "24 of 36 files lie deeper, in folders of level 2 (0, 1), which were taken for nothing. If that is wrong, give "
        "--classes-from 2",
    )


def test_names_are_spoken_in_order():
    assert spoken({"b"}) == "b"
    assert spoken(["10", "9", "2", "1"]) == "1, 2, 9 ..."


_NAMES = st.sampled_from(
    ["train", "test", "images", "cat", "dog", "p1", "p2", "0", "1", "patient_1", "part_2", "masks"]
)


@given(st.dictionaries(st.lists(_NAMES, max_size=5).map(tuple), st.integers(1, 9), min_size=1))
def test_whatever_folders_there_are_each_level_is_one_thing_at_most(folders):
    levels = levels_of(folders)
    roles = [level for level in (levels.classes, levels.splits, levels.groups) if level]
    assert len(set(roles)) == len(roles)
    assert all(0 < level <= levels.depth for level in roles)
    for folder in folders:
        assert {levels.class_of(folder), levels.split_of(folder), levels.group_of(folder)} <= {
            *folder,
            "",
            "train",
            "test",
        }


def test_levels_of_a_list_with_a_table_are_taken_where_a_person_says_so(tmp_path, files):
    files(tmp_path, "a/x/1.png", "b/y/2.png")
    (tmp_path / "l.csv").write_text("file,label,split\na/x/1.png,cat,train\nb/y/2.png,dog,test\n")
    assert read(tmp_path / "l.csv").classes == ("cat", "dog")
    images = read(tmp_path / "l.csv", classes_from=2, splits_from="none", groups_from=1)
    assert (images.classes, images.splits) == (("x", "y"), None)
    assert images.groups is not None
