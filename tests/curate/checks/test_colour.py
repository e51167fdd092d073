from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.checks.colour import colour_cast, hue_name
from curate.faults.spoiling import COLOURS, FAULTS, STRENGTHS, cast_name

PURE = {
    "red": (255, 0, 0),
    "orange": (255, 150, 0),
    "yellow": (255, 255, 0),
    "green": (0, 255, 0),
    "cyan": (0, 255, 255),
    "blue": (0, 0, 255),
    "magenta": (255, 0, 255),
}
ROWS = [3, 20, 37, 55, 80, 99, 120, 140]


def flagged(judgement) -> list[int]:
    return np.flatnonzero(judgement.score >= 0.5).tolist()


@pytest.fixture
def spoilt(clean, cells, seen_as):
    """The clean cells, some of which went through a function of FAULTS."""

    def spoil(fault, rows=ROWS, evidence=clean):
        return seen_as(evidence, {row: FAULTS[fault](cells[0][row], np.random.default_rng([7, row])) for row in rows})

    return spoil


# The names of hues


@pytest.mark.parametrize("name", PURE)
def test_every_pure_colour_has_its_own_name(name):
    _, a, b = cv2.cvtColor(np.full((1, 1, 3), PURE[name], np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
    assert hue_name(a, b) == name


@given(st.floats(0, 2 * np.pi), st.floats(0.01, 1000))
def test_every_direction_has_a_name_whatever_its_length(angle, length):
    a, b = np.cos(angle), np.sin(angle)
    assert hue_name(a, b) in PURE
    if hue_name(a, b) == hue_name(np.cos(angle + 1e-6), np.sin(angle + 1e-6)):  # not on the border of two names
        assert hue_name(length * a, length * b) == hue_name(a, b)


def test_every_colour_that_can_be_planted_has_a_name():
    assert set(COLOURS) <= set(PURE)


# Casts


def test_no_clean_cell_has_a_cast(clean):
    judgement = colour_cast(clean)
    assert judgement.note == ""
    assert flagged(judgement) == []
    assert judgement.stories == ()
    assert (judgement.group == -1).all()


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("colour", COLOURS)
def test_casts_of_every_colour_and_strength_are_found_as_one_group(spoilt, colour, strength):
    judgement = colour_cast(spoilt(cast_name(colour, strength)))
    assert flagged(judgement) == ROWS
    assert set(judgement.group[ROWS].tolist()) == {0}
    assert (judgement.group >= 0).sum() == len(ROWS)
    (story,) = judgement.stories
    assert story.rows == tuple(ROWS)
    assert story.sentence.startswith("8 images form one group with a ")
    assert "spread over" in story.sentence


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("colour", COLOURS)
def test_a_cast_is_called_by_its_colour(spoilt, colour, strength):
    judgement = colour_cast(spoilt(cast_name(colour, strength)))
    assert f"a {colour} background" in judgement.stories[0].sentence
    assert all(judgement.because(row).startswith(f"{colour} cast: ") for row in ROWS)


def test_a_strong_cast_scores_higher_than_a_subtle_one(spoilt):
    for colour in COLOURS:
        strong, subtle = (colour_cast(spoilt(cast_name(colour, s))).score[ROWS] for s in ("strong", "subtle"))
        assert (strong > subtle).all()


def test_a_cast_names_how_far_its_light_lies_from_that_of_its_class(spoilt, clean):
    judgement = colour_cast(spoilt("strong_blue_cast"))
    because = judgement.because(ROWS[0])
    assert because.startswith("blue cast: its light is a* ")
    assert because.endswith(f" below that of {clean.images.label_name(ROWS[0])}")
    assert "and b* " in because


@pytest.mark.parametrize("fault", ["dark", "grey", "blur"])
def test_a_dark_a_grey_and_a_blurred_picture_have_no_cast(spoilt, fault):
    assert flagged(colour_cast(spoilt(fault))) == []


def test_a_picture_with_half_the_light_has_no_cast(clean, cells, seen_as):
    dim = {row: (cells[0][row] * 0.5).astype(np.uint8) for row in ROWS}
    assert flagged(colour_cast(seen_as(clean, dim))) == []


def test_two_casts_are_two_groups_numbered_by_their_first_rows(spoilt):
    evidence = spoilt("strong_yellow_cast", ROWS[1::2], spoilt("strong_blue_cast", ROWS[::2]))
    judgement = colour_cast(evidence)
    assert flagged(judgement) == ROWS
    assert judgement.group[ROWS].tolist() == [0, 1] * 4
    blue, yellow = judgement.stories
    assert "blue" in blue.sentence
    assert "yellow" in yellow.sentence
    assert (blue.group, yellow.group) == (0, 1)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.4])
def test_a_scanner_of_its_own_is_told_whatever_its_share_and_a_large_one_is_kept(spoilt, share):
    rows = np.random.default_rng(1).permutation(160)[: round(share * 160)]
    judgement = colour_cast(spoilt("subtle_blue_cast", rows))
    assert flagged(judgement) == sorted(rows.tolist())
    (story,) = judgement.stories
    assert judgement.common[rows].all() == (len(rows) >= 20) == ("% of the set, which are kept" in story.sentence)
    assert (judgement.chance[rows] > 0.8).all()


def test_of_a_set_that_is_wide_in_colour_the_far_pictures_have_no_cast(clean, rng):
    # Brown photographs, yellow backgrounds: the tail of what the set has anyway.
    far, angle = rng.exponential(12, 160), rng.normal(1.4, 1.2, 160)
    a, b = (far * part(angle) for part in (np.cos, np.sin))
    colours = {f"{name}_{axis}": value for name in ("light", "mean") for axis, value in (("a", a), ("b", b))}
    properties = clean.measured.properties | {name: value.astype(np.float32) for name, value in colours.items()}
    judgement = colour_cast(replace(clean, measured=replace(clean.measured, properties=properties)))
    assert (far > 24).sum() > 15
    assert flagged(judgement) == []


def test_one_or_two_pictures_with_a_cast_are_told_but_make_no_group(spoilt):
    judgement = colour_cast(spoilt("strong_blue_cast", ROWS[:2]))
    assert flagged(judgement) == ROWS[:2]
    assert (judgement.group == -1).all()
    assert judgement.stories == ()


def test_a_group_of_one_class_says_so(spoilt, cells):
    rows = np.flatnonzero(cells[1] == 2)[:5].tolist()
    judgement = colour_cast(spoilt("strong_blue_cast", rows))
    assert judgement.stories[0].rows == tuple(rows)
    assert judgement.stories[0].sentence.endswith("; all labelled kidney")


def test_a_class_with_a_colour_of_its_own_has_no_cast(spoilt, cells):
    rows = np.flatnonzero(cells[1] == 1)
    assert flagged(colour_cast(spoilt("strong_blue_cast", rows))) == []


def test_a_raised_threshold_leaves_only_the_plainer_casts_in_the_groups(spoilt):
    evidence = spoilt("subtle_yellow_cast", ROWS[1::2], spoilt("strong_blue_cast", ROWS[::2]))
    judgement = colour_cast(replace(evidence, thresholds={"colour_cast": 0.95}))
    (story,) = judgement.stories
    assert story.rows == tuple(ROWS[::2])


def test_grey_sets_stay_silent(spoilt):
    judgement = colour_cast(spoilt("grey", range(160)))
    assert "grey" in judgement.note
    assert not judgement.score.any()


def test_one_coloured_picture_among_grey_ones_is_not_asked_about_either(spoilt):
    evidence = spoilt("grey", [row for row in range(160) if row not in ROWS])
    assert colour_cast(evidence).note


def test_too_few_pictures_say_nothing_about_their_usual_colour(cells, evidence_of):
    assert "too few" in colour_cast(evidence_of(cells[0][:9])).note
    assert not colour_cast(evidence_of(cells[0][:10])).note


def test_copies_share_the_cast_of_the_one_that_stands_for_them(cells, evidence_of):
    images = cells[0][:40].copy()
    images[[5, 20]] = FAULTS["strong_blue_cast"](images[5], np.random.default_rng(0))
    judgement = colour_cast(evidence_of(images))
    assert flagged(judgement) == [5, 20]
    assert judgement.score[5] == judgement.score[20]


def test_a_copy_under_another_light_has_a_cast_and_the_picture_that_it_was_made_of_has_none(cells, evidence_of):
    tinted = np.clip(cells[0][3].astype(float) * (0.8, 0.9, 1.25), 0, 255).astype(np.uint8)
    evidence = evidence_of(np.concatenate([cells[0], tinted[None]]), cells[1][[*range(160), 3]])
    assert evidence.copies.group[3] == evidence.copies.group[160] >= 0
    assert np.flatnonzero(colour_cast(evidence).score >= 0.5).tolist() == [160]
    assert "blue cast" in colour_cast(evidence).because(160)
