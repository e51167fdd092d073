from dataclasses import replace

import cv2
import numpy as np
import pytest

from curate.checks.shortcuts import shortcut


@pytest.fixture(scope="module")
def labels(cells):
    return cells[1]


def told(evidence) -> list[str]:
    return [story.sentence for story in shortcut(evidence).stories]


def test_drawn_cells_of_one_size_light_and_format_have_no_shortcut(clean):
    judgement = shortcut(clean)
    assert judgement.note == ""
    assert judgement.stories == ()
    assert not judgement.score.any()


def test_classes_photographed_in_another_light_are_told_by_their_brightness(clean, cells, labels, seen_as):
    dim = {row: (cell * (1 - 0.2 * labels[row])).astype(np.uint8) for row, cell in enumerate(cells[0])}
    sentences = told(seen_as(clean, dim))
    assert sentences[0].startswith("brightness alone predicts the label, ")
    assert "% of the way from chance to certainty" in sentences[0]


def test_a_class_of_larger_pictures_is_told_by_its_size(clean, cells, labels, seen_as):
    larger = {row: cv2.resize(cells[0][row], (100 + 8 * labels[row],) * 2) for row in range(160)}
    (sentence,) = told(seen_as(clean, larger))
    assert sentence.startswith("the size of the image alone predicts the label, 100% ")


def test_classes_with_frames_of_their_own_are_told_by_the_border(clean, cells, labels, seen_as):
    framed = {}
    for row, cell in enumerate(cells[0]):
        framed[row] = cell.copy()
        for side in (np.s_[:4], np.s_[-4:], np.s_[:, :4], np.s_[:, -4:]):
            framed[row][side] = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40)][labels[row]]
    assert any(s.startswith("the colour of the border alone predicts") for s in told(seen_as(clean, framed)))


def test_a_set_that_mixes_grey_and_colour_by_class_says_so(clean, cells, labels, seen_as):
    grey = {row: np.repeat(cells[0][row].mean(axis=2, keepdims=True), 3, axis=2) for row in np.flatnonzero(labels < 2)}
    sentences = told(seen_as(clean, {row: picture.astype(np.uint8) for row, picture in grey.items()}))
    assert not any(s.startswith("whether there is colour") for s in sentences)  # of four classes two are alike by that
    two = replace(clean, images=replace(clean.images, labels=labels // 2, classes=("grey", "coloured")))
    sentences = told(seen_as(two, {row: picture.astype(np.uint8) for row, picture in grey.items()}))
    assert any(s.startswith("whether there is colour alone predicts the label, 100% ") for s in sentences)


def test_classes_saved_in_formats_of_their_own_are_told_by_the_file_type(clean, labels):
    types = np.array(["PNG", "JPEG", "TIFF", "BMP"])[labels]
    (sentence,) = told(replace(clean, measured=replace(clean.measured, file_types=types)))
    assert sentence.startswith("the type of the file alone predicts the label, 100% ")


def test_formats_that_occur_in_every_class_tell_nothing(clean, rng):
    types = np.where(rng.random(160) < 0.5, "PNG", "JPEG")
    assert told(replace(clean, measured=replace(clean.measured, file_types=types))) == []


def test_the_surest_shortcut_is_told_first(clean, cells, labels, seen_as):
    both = {}
    for row, cell in enumerate(cells[0]):
        dim = (cell * (1 - 0.12 * labels[row])).astype(np.uint8)
        both[row] = cv2.resize(dim, (100 + 8 * labels[row],) * 2)
    weights = [story.weight for story in shortcut(seen_as(clean, both)).stories]
    assert len(weights) >= 2
    assert weights == sorted(weights, reverse=True)


def test_without_labels_there_is_nothing_to_give_away(clean):
    unlabelled = replace(clean, images=replace(clean.images, labels=np.full(160, -1)))
    assert shortcut(unlabelled).note == "no labels"


def test_too_few_pictures_say_nothing(clean, cells, evidence_of):
    assert "too few" in shortcut(evidence_of(cells[0][:59], cells[1][:59])).note
    one_class = replace(clean, images=replace(clean.images, labels=np.zeros(160, np.int64)))
    assert "too few" in shortcut(one_class).note
    of_one = replace(one_class, images=replace(one_class.images, classes=one_class.images.classes[:1]))
    assert shortcut(of_one).note == "one class only"


def test_a_fold_that_no_picture_of_a_common_class_is_in_is_passed_over(clean, labels):
    # As where a class of few images has a patient of its own, and so a fold.
    fold = np.where(np.arange(160) % 2, 2, 0)
    types = np.array(["PNG", "JPEG", "TIFF", "BMP"])[labels]
    evidence = replace(clean, fold=fold, measured=replace(clean.measured, file_types=types))
    assert len(told(evidence)) == 1
