import pytest

from curate.sets.names import (
    Kind,
    are_counted,
    are_views,
    holds_annotations,
    is_plain,
    kind_of,
    may_be_splits,
    named_splits,
    splits_of,
)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("TRAIN", "train"),
        ("training_set", "train"),
        ("train_images", "train"),
        ("imagesTrain", "train"),
        ("train2017", "train"),
        ("valid", "val"),
        ("Dev", "val"),
        ("test1", "test"),
        ("TEST_SIMPLE", ""),
        ("train_station", ""),
        ("latest", ""),
        ("trainee", ""),
        ("train_test", ""),
        ("cat", ""),
    ],
)
def test_a_folder_is_of_a_split_where_nothing_else_is_in_its_name(name, split):
    assert splits_of([name])[name] == split


def test_beside_splits_more_names_are_of_some():
    assert may_be_splits(["TEST_SIMPLE", "unseen", "hold-out", "fold3", "train"])
    assert not any(may_be_splits([name]) for name in ("cat", "latest", "3"))


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("TRAIN TEST TEST_SIMPLE", "train test -"),
        ("TRAIN_A site_b TEST_SIMPLE", "train - test"),
        ("art_train photo_train art_test", "- - test"),
        ("train_station bus_stop", "- -"),
        ("test_easy test_hard", "- -"),
        ("mercy grace", "- -"),
    ],
)
def test_of_folders_that_are_splits_the_only_one_with_the_word_of_a_split_is_that_split(names, splits):
    expected = {name: split.strip("-") for name, split in zip(names.split(), splits.split(), strict=True)}
    assert named_splits(names.split()) == expected


def test_left_and_right_are_views_of_what_their_folder_is_of():
    assert are_views(["left", "right"])
    assert are_views(["upper_left", "Lower-Right"])
    assert are_views(["raw", "edited"])
    assert not are_views(["left", "cat"])
    assert not are_views(["oak"])


def test_what_all_names_of_a_level_share_says_nothing_of_the_split():
    names = ["asl_alphabet_train", "asl_alphabet_test"]
    assert splits_of(names) == dict(zip(names, ("train", "test"), strict=True))
    assert may_be_splits(["seg_train", "seg_test", "seg_pred"])


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["p1", "p2", "p17"], Kind.IDS),
        (["8863", "8864"], Kind.IDS),
        (["2021-03-04", "20210305"], Kind.IDS),
        (["ISIC_0001", "ISIC_0002"], Kind.IDS),
        (["0a3f9c", "77be01"], Kind.IDS),
        (["patient_1", "patient_2"], Kind.PEOPLE),
        (["Patient A", "Patient B"], Kind.PEOPLE),
        (["slide-03"], Kind.PEOPLE),
        (["person_walking", "person_running"], Kind.WORDS),
        (["slide rule", "slide projector"], Kind.WORDS),
        (["part_1", "part_2"], Kind.PARTS),
        (["HAM_images_part_1", "HAM_images_part_2"], Kind.PARTS),
        (["class1", "class2"], Kind.CLASSES),
        (["benign", "malignant"], Kind.CLASSES),
        (["original", "augmented"], Kind.PARTS),
        (["cat", "dog"], Kind.WORDS),
        (["cat2", "dog"], Kind.WORDS),
        (["猫", "犬"], Kind.WORDS),
    ],
)
def test_names_of_a_level_look_like_ids_people_parts_classes_or_words(names, kind):
    assert kind_of(names) is kind


def test_counted_names_begin_at_0_or_1_and_leave_none_out():
    assert are_counted([str(digit) for digit in range(10)])
    assert are_counted(["2", "1", "3"])
    assert not are_counted(["0", "2"])
    assert not are_counted(["8863", "8864"])
    assert not are_counted(["a", "b"])


def test_plain_folders_and_those_of_annotations_are_told_by_their_names():
    assert is_plain("JPEGImages")
    assert holds_annotations("Masks")
    assert not is_plain("cat")
    assert not holds_annotations("cat")


def test_people_are_numbered_whatever_else_their_names_say():
    assert kind_of(["subj0_ant", "subj1_bee", "subj2_ant"]) == Kind.PEOPLE
    assert kind_of(["person_walking", "person_sitting"]) != Kind.PEOPLE
