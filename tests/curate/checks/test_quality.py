import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from curate.checks.quality import blurred, dark, grayscale, light, low_information, odd_aspect, odd_size, unreadable
from curate.planting import FAULTS

# The check that finds each fault.
FINDS = {"blur": blurred, "dark": dark, "light": light, "grey": grayscale, "solid": low_information}
ALL = (*FINDS.values(), odd_aspect, odd_size)
FIGURES = re.compile(r"[0-9.]+")
ROWS = [3, 50, 51, 99, 140]


def flagged(judgement) -> list[int]:
    return np.flatnonzero(judgement.score >= 0.5).tolist()


@pytest.fixture
def spoilt(clean, cells, seen_as):
    """The clean cells, some of which are spoilt by a function."""

    def spoil(fault, rows=ROWS):
        return seen_as(clean, {row: fault(cells[0][row], np.random.default_rng([5, row])) for row in rows})

    return spoil


def stretched(width: float, height: float):
    def stretch(image, rng):
        size = round(image.shape[1] * width), round(image.shape[0] * height)
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    return stretch


@pytest.mark.parametrize("check", ALL)
def test_no_clean_cell_is_flagged(clean, check):
    judgement = check(clean)
    assert judgement.note == ""
    assert flagged(judgement) == []


@pytest.mark.parametrize("fault", FINDS)
def test_each_planted_fault_is_found_and_nothing_beside_it(spoilt, fault):
    judgement = FINDS[fault](spoilt(FAULTS[fault]))
    assert flagged(judgement) == ROWS
    assert judgement.certain is None


@pytest.mark.parametrize(
    ("check", "width", "height"),
    [(odd_size, 3, 3), (odd_size, 0.3, 0.3), (odd_aspect, 2, 1), (odd_aspect, 1, 2), (odd_aspect, 0.5, 1)],
)
def test_a_picture_of_another_size_or_aspect_is_found(spoilt, check, width, height):
    assert flagged(check(spoilt(stretched(width, height)))) == ROWS


def test_a_picture_a_little_larger_or_wider_is_nothing_odd(spoilt):
    evidence = spoilt(stretched(1.3, 1.1))
    assert flagged(odd_size(evidence)) == flagged(odd_aspect(evidence)) == []


def test_where_sizes_vary_anyway_no_size_is_odd(spoilt):
    sizes = np.random.default_rng(0).uniform(0.3, 2, 160)
    pictures = iter(sizes)
    evidence = spoilt(lambda image, rng: stretched(*[next(pictures)] * 2)(image, rng), range(160))
    assert flagged(odd_size(evidence)) == []


@pytest.mark.parametrize("fault", ["blur", "dark", "light", "grey"])
def test_what_a_whole_set_is_like_is_no_fault_of_its_pictures(spoilt, fault):
    judgement = FINDS[fault](spoilt(FAULTS[fault], range(160)))
    assert flagged(judgement) == []


@pytest.mark.parametrize("fault", ["dark", "light"])
def test_far_pictures_of_a_tail_are_not_suspect_and_keep_their_rank(clean, fault):
    rng = np.random.default_rng(3)
    wide = np.exp2(-rng.exponential(0.6, 160)).astype(np.float32)
    values = wide if fault == "dark" else 1 - wide
    properties = clean.measured.properties | dict.fromkeys(("brightness", "bright_end", "dark_end"), values)
    judgement = FINDS[fault](replace(clean, measured=replace(clean.measured, properties=properties)))
    assert (wide < np.median(wide) / 2).sum() > 15  # far ones there are
    assert flagged(judgement) == []
    order = np.argsort(wide)
    assert (np.diff(judgement.score[order]) <= 0).all()


@pytest.mark.parametrize("fault", FINDS)
def test_what_a_twentieth_of_the_set_has_is_told_in_a_line_and_no_suspicion(spoilt, fault):
    rows = list(range(0, 160, 7))
    judgement = FINDS[fault](spoilt(FAULTS[fault], rows))
    assert flagged(judgement) == []
    (line,) = judgement.remarks
    assert line.startswith("23 of 160 images are ")
    assert line.endswith(", spread over all 4 classes")


def test_a_class_that_is_grey_is_told_in_a_line_and_no_suspicion(spoilt, cells):
    (drawings,) = np.nonzero(cells[1] == 3)
    drawings = drawings[:-1]  # one of them is coloured
    judgement = grayscale(spoilt(FAULTS["grey"], drawings))
    assert flagged(judgement) == []
    assert judgement.remarks
    few = grayscale(spoilt(FAULTS["grey"], drawings[:3]))
    assert flagged(few) == drawings[:3].tolist()
    assert few.remarks == ()


def test_a_picture_that_stands_has_the_shape_of_one_that_lies(spoilt):
    evidence = spoilt(lambda image, rng: stretched(1.5, 1)(image, rng), range(160))
    properties = {name: column.copy() for name, column in evidence.measured.properties.items()}
    properties["width"][ROWS], properties["height"][ROWS] = 96, 144
    turned = replace(evidence, measured=replace(evidence.measured, properties=properties))
    judgement = odd_aspect(turned)
    assert flagged(judgement) == []
    assert judgement.remarks == ()
    quarter = slice(0, 160, 4)
    properties["width"][quarter], properties["height"][quarter] = 96, 144
    judgement = odd_aspect(turned)
    assert flagged(judgement) == []
    assert judgement.remarks == (f"{len({*range(0, 160, 4), *ROWS})} of 160 images stand upright",)


@pytest.mark.parametrize("fault", FINDS)
def test_a_flag_has_the_chance_that_it_is_right(spoilt, fault):
    chance = FINDS[fault](spoilt(FAULTS[fault])).chance
    assert chance.dtype == np.float32
    assert (chance[ROWS] > 0.8).all()


def test_in_a_grey_set_a_grey_picture_is_not_even_asked_about(spoilt):
    judgement = grayscale(spoilt(FAULTS["grey"], range(160)))
    assert "no colour" in judgement.note
    assert not judgement.score.any()


def test_a_dark_picture_in_a_dark_room_shows_only_where_it_is_darker_still(spoilt, cells, seen_as):
    dim = spoilt(lambda image, rng: (image * 0.25).astype(np.uint8), range(160))
    evidence = seen_as(dim, {row: (cells[0][row] * 0.03).astype(np.uint8) for row in ROWS})
    assert flagged(dark(evidence)) == ROWS


def test_a_dim_picture_with_one_bright_spot_is_not_too_dark_to_see(clean, cells, seen_as):
    pictures = {}
    for row in ROWS:
        pictures[row] = (cells[0][row] * 0.1).astype(np.uint8)
        pictures[row][30:50, 30:50] = cells[0][row][30:50, 30:50]
        pictures[row][:10] = 255
    assert flagged(dark(seen_as(clean, pictures))) == []


def test_a_dark_picture_is_not_called_blurred_and_a_blurred_one_not_dark(spoilt):
    assert flagged(blurred(spoilt(FAULTS["dark"]))) == []
    assert flagged(dark(spoilt(FAULTS["blur"]))) == []
    assert flagged(light(spoilt(FAULTS["blur"]))) == []


def test_a_picture_with_nothing_in_it_is_not_called_blurred(clean, seen_as):
    blank = np.full((96, 96, 3), 120, np.uint8)
    assert flagged(blurred(seen_as(clean, dict.fromkeys(ROWS, blank)))) == []


def test_a_class_of_smooth_things_is_not_out_of_focus(spoilt, cells):
    (smooth,) = np.nonzero(cells[1] == 1)
    assert flagged(blurred(spoilt(FAULTS["blur"], smooth))) == []


@pytest.mark.parametrize("fault", FINDS)
def test_a_score_says_why_in_a_sentence_with_the_figures_of_picture_and_set(spoilt, fault):
    judgement = FINDS[fault](spoilt(FAULTS[fault]))
    for row in ROWS:
        assert any(character.isdigit() for character in judgement.because(row))


def test_the_figures_of_a_sentence_are_those_of_the_picture(clean, seen_as):
    picture = np.full((96, 96, 3), 25, np.uint8)
    found = dark(seen_as(clean, {7: picture}))
    usual = np.median(clean.measured.properties["brightness"])
    assert found.because(7) == f"mean brightness 0.10, where the set has {usual:.2f}"
    wide = odd_size(seen_as(clean, {7: np.zeros((300, 400, 3), np.uint8)}))
    assert wide.because(7) == "400x300, where the set has 96x96"


@pytest.mark.parametrize("fault", FINDS)
def test_a_worse_fault_scores_higher(clean, cells, seen_as, fault):
    made = FAULTS[fault](cells[0][8], np.random.default_rng(0)).astype(float)
    half = ((made + cells[0][8]) / 2).astype(np.uint8)
    mild, strong = (FINDS[fault](seen_as(clean, {8: picture})).score[8] for picture in (half, made.astype(np.uint8)))
    assert strong > mild


def test_what_cannot_be_read_is_certain_and_says_why(clean):
    measured = replace(clean.measured, unreadable={4: "is empty (0 bytes)", 9: "is no image but text"})
    judgement = unreadable(replace(clean, measured=measured))
    assert flagged(judgement) == np.flatnonzero(judgement.certain).tolist() == [4, 9]
    assert judgement.score.max() == 1
    assert judgement.because(9) == "is no image but text"


def test_in_a_readable_set_nothing_is_unreadable(clean):
    assert not unreadable(clean).score.any()


@pytest.mark.parametrize("check", ALL)
def test_of_two_pictures_none_is_unusual(check, cells, evidence_of):
    images = cells[0][[0, 1, 2]].copy()
    images[0] //= 8
    judgement = check(evidence_of(images[:2]))
    assert judgement.note == "too few different images to tell what is usual"
    assert not judgement.score.any()
    assert check(evidence_of(images)).note == ""


# Copies


SPOIL = {
    "blur": lambda image: cv2.GaussianBlur(image, (0, 0), image.shape[0] / 80),
    "dark": lambda image: (image * 0.3).astype(np.uint8),
}


@pytest.mark.parametrize("fault", SPOIL)
def test_what_is_true_of_one_copy_is_not_told_of_another(cells, evidence_of, fault):
    images, n = cells[0][:100], 100
    # A larger copy of row 7, which is kept, is spoilt; and a spoilt copy of row 8, which is not.
    larger = cv2.resize(images[7], (192, 192), interpolation=cv2.INTER_CUBIC)
    spoilt = [SPOIL[fault](picture) for picture in (larger, images[8])]
    evidence = evidence_of([images, spoilt[0][None], spoilt[1][None]])
    found = FINDS[fault](evidence)
    assert flagged(found) == [n, n + 1]
    copies = evidence.copies
    assert copies.kept[[7, 8, n, n + 1]].tolist() == [n, 8, n, 8]


def test_a_copy_has_the_figures_of_its_own(cells, evidence_of):
    images = cells[0][:60]
    dimmer = (images[3] * 0.8).astype(np.uint8)
    evidence = evidence_of(np.concatenate([images, dimmer[None]]))
    assert evidence.copies.group[3] == evidence.copies.group[60] >= 0
    mean = [float(FIGURES.findall(dark(evidence).because(row))[0]) for row in (3, 60)]
    assert mean[1] == pytest.approx(0.8 * mean[0], abs=0.02)
