from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from albums import album

from curate.measuring.embedding import builtin
from curate.measuring.evidence import measure
from curate.measuring.levels import frames_note, implausible_range, unreadable_note
from curate.sets.imageset import Picture
from curate.sets.scaling import BYTES, Scale

SCALES = {BYTES: Scale()}
RNG = np.random.default_rng(0)


def noise(low=0, high=256):
    return RNG.integers(low, high, (24, 24, 3)).astype(np.uint8)


def flat(grey):
    return np.full((24, 24, 3), grey, np.uint8)


def said_of(pictures):
    return implausible_range(measure(album(pictures), builtin(), 2), SCALES)


@pytest.mark.parametrize(
    "pictures",
    [
        [noise() for _ in range(6)],
        [noise(100, 115) for _ in range(6)],  # pale, but something is to be seen
        [noise(), noise(), noise(), flat(0)],
        [None, None],
    ],
)
def test_a_plausible_set_is_not_spoken_of(pictures):
    assert said_of(pictures) == ""


def test_sparse_drawings_on_black_are_plausible():
    pictures = [flat(0) for _ in range(5)]
    for row, picture in enumerate(pictures):
        picture[row, 3] = 255
    assert said_of(pictures) == ""


def test_a_set_next_to_black_is_spoken_of_with_the_range_that_would_show_it():
    sentence = said_of([noise(0, 2) for _ in range(6)])
    assert sentence.startswith("every picture is black or nearly so: grey levels run from 0 to 1 of 255")
    assert sentence.endswith("--value-range 0,1.")


def test_a_black_set_is_spoken_of():
    assert said_of([flat(0), flat(0)]).startswith("every picture is wholly black")


def test_a_set_most_of_which_is_black_is_spoken_of():
    sentence = said_of([flat(0)] * 5 + [noise() for _ in range(3)])
    assert sentence.startswith("5 of 8 pictures are wholly black")


class Frames:
    """Pictures of files that hold so many frames each."""

    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, row):
        pixels = np.full((8, 8, 3), 20 * row, np.uint8)
        return Picture(pixels, pixels, "TIFF", self.frames[row])


def frames_told(frames):
    images = album([None] * len(frames))
    object.__setattr__(images, "images", Frames(frames))
    return frames_note(measure(images, builtin(), 2), images.ids)


def test_further_frames_are_counted_and_files_named():
    assert frames_told([1, 1]) == ""
    assert "1 file holds several pictures, of which the first is read; 1 further one is left out (1.png 2)." in (
        frames_told([1, 2])
    )
    note = frames_told([5, 1, 2, 3, 4])
    assert "4 files hold several pictures" in note
    assert "10 further ones are left out (0.png 5, 2.png 2, 3.png 3 ...)" in note


def test_pictures_that_cannot_be_read_are_named_with_an_example_of_each_kind():
    images = album([noise(), None, noise(), None])
    measured = measure(images, builtin(), 2)
    assert unreadable_note(measured, images.ids) == (
        "2 pictures cannot be read: 1.png is empty (0 bytes) (1 more like it)"
    )
    reasons = {0: "is cut short (3 bytes)", 1: "does not exist", 2: "is cut short (9 bytes)"}
    assert unreadable_note(replace(measured, unreadable=reasons), images.ids) == (
        "3 pictures cannot be read: 0.png is cut short (3 bytes) (1 more like it); 1.png does not exist"
    )
    assert unreadable_note(replace(measured, unreadable={}), images.ids) == ""
