import numpy as np
import pytest

from train.selecting import Watched, score, score_in_words, watch
from train.sets import read_built


def probabilities(predicted: list[int], sure: float = 0.8, classes: int = 3) -> np.ndarray:
    rest = (1 - sure) / (classes - 1)
    return np.where(np.eye(classes, dtype=bool)[predicted], sure, rest)


@pytest.fixture
def watched() -> Watched:
    """Four clean images, two sets of one corruption each, of two and four images, and one composed set of two."""
    part = np.array([0] * 4 + [1] * 6 + [2] * 2)
    sets = np.array([0] * 4 + [1] * 2 + [2] * 4 + [3] * 2)
    return Watched(np.zeros((12, 4, 4, 3), np.uint8), np.zeros(12, np.int64), part, sets)


def test_every_set_of_a_part_counts_alike_however_many_images_it_has(watched):
    found = watched.scores(probabilities([0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1]))
    assert found["clean"] == 0.75
    assert found["corruptions"] == 0.5
    assert found["composed"] == 0.5
    assert found["loss"] == pytest.approx(-(3 * np.log(0.8) + np.log(0.1)) / 4)


def test_the_score_is_the_mean_of_the_parts_or_what_is_asked_for():
    found = {"clean": 0.9, "corruptions": 0.6, "composed": 0.3, "loss": 0.2}
    assert score(found, "corruptions") == pytest.approx(0.6)
    assert score(found, "clean") == 0.9
    assert score(found, "loss") == -0.2
    assert score({"clean": 0.9, "loss": 0.2}, "corruptions") == 0.9


def test_what_is_watched_is_val_and_the_validation_part_of_the_benchmark_never_the_test(built):
    sets = read_built(built)
    found = watch(sets.val, sets.benchmark, "corruptions")
    assert set(found.part) == {0, 1, 2}
    tested = np.concatenate(
        [one.batch(np.arange(len(one))) for one in (sets.test, *sets.benchmark) if one.role == "test"]
    )
    known = {image.tobytes() for image in tested}
    assert not any(image.tobytes() in known for image in found.images)


@pytest.mark.parametrize("by", ["clean", "loss"])
def test_by_clean_accuracy_only_clean_images_are_watched(built, by):
    sets = read_built(built)
    found = watch(sets.val, sets.benchmark, by)
    assert set(found.part) == {0}
    np.testing.assert_array_equal(found.labels, sets.val.labels)


def test_no_more_images_are_watched_than_asked_for(built):
    sets = read_built(built)
    assert len(watch(sets.val, sets.benchmark, "corruptions", at_most=9).images) <= 9


@pytest.mark.parametrize(
    ("by", "parts", "words"),
    [
        ("loss", ["clean"], "minus the loss on clean images"),
        ("clean", ["clean"], "the accuracy on clean images"),
        ("corruptions", ["clean", "loss"], "the accuracy on clean images"),
        ("corruptions", ["composed", "clean"], "the mean accuracy of clean and composed"),
    ],
)
def test_the_score_is_called_what_it_is(by, parts, words):
    assert score_in_words(by, parts) == words
