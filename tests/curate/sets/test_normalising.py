from __future__ import annotations

import numpy as np
import pytest

from curate.sets.normalising import KNOWN, undoing
from curate.sets.reading import read
from curate.sets.scaling import FLOATS, Decoding, Scale
from curate.stage.records import document_of, record_of


def photographs(n=12, side=24, low=0, high=255, channels=3):
    """uint8 (n, side, side, channels): soft blobs and noise, of all levels from low to high in each channel."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, side)[:, None, None] * np.linspace(0.3, 1, side)[None, :, None]
    pictures = ramp * rng.uniform(0.2, 1, (n, 1, 1, channels)) + rng.normal(0, 0.2, (n, side, side, channels))
    pictures = np.clip(pictures, 0, 1)
    pictures[0, 0, 0], pictures[0, 0, 1] = 0, 1
    return np.rint(low + (high - low) * pictures).astype(np.uint8)


def normalised(pictures, mean, deviation, dtype=np.float32):
    return ((pictures / 255 - np.array(mean)) / np.array(deviation)).astype(dtype)


def pixels_of(images):
    return np.stack([images.images[row].pixels for row in range(len(images))])


def saved(path, images):
    np.savez(path / "d.npz", images=images)
    return path / "d.npz"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.name} {known.mean[0]} {known.deviation[0]}")
def test_values_of_a_known_mean_and_deviation_are_the_bytes_that_they_were(known, dtype, tmp_path):
    pictures = photographs(high=140, channels=len(known.mean))  # none of them is light
    values = normalised(pictures, known.mean, known.deviation, dtype)
    images = read(saved(tmp_path, values.transpose(0, 3, 1, 2)))
    assert (pixels_of(images) == pictures).all()
    assert images.source.notes[:2] == (
        f"values look normalised by {known.name}'s mean and deviation, which was undone (--value-range settles it)",
        "channels are first",
    )


def test_a_mean_and_a_deviation_of_a_set_itself_are_told_by_its_levels():
    pictures = photographs()
    values = normalised(pictures, pictures.mean((0, 1, 2)) / 255, pictures.std((0, 1, 2)) / 255)
    scale = undoing([values], [2])
    assert scale is not None
    assert (np.stack([scale(value) for value in values]) == pictures).all()
    assert scale.recipe == ""


@pytest.mark.parametrize(("low", "high"), [(90, 240), (10, 140)])
def test_of_a_channel_without_black_and_white_the_nearer_of_both_is_taken(low, high):
    pictures = photographs(low=low, high=high)
    if low > 255 - high:  # mostly light
        pictures = (high - (pictures - low)).astype(np.uint8)
    values = normalised(pictures, (0.3, 0.4, 0.5), (0.2, 0.3, 0.4))
    scale = undoing([values], [2])
    assert scale is not None
    read_as = np.stack([scale(value) for value in values]).astype(int)
    assert np.abs(read_as - pictures).max() <= 15


def test_one_mean_and_deviation_for_all_channels_leave_colours_as_they_are():
    pictures = photographs()
    pictures[..., 2] //= 2
    scale = undoing([normalised(pictures, 0.4, 0.3)], [2])
    assert scale is not None
    assert len(set(scale.lows or ())) == len(set(scale.highs or ())) == 1


def test_pictures_that_were_resized_as_floats_are_of_the_range_that_they_fill():
    pictures = photographs(side=48).astype(np.float64)
    halved = pictures.reshape(len(pictures), 24, 2, 24, 2, 3).mean((2, 4))
    for known in KNOWN[:2]:
        scale = undoing([normalised(halved, known.mean, known.deviation)], [2])
        assert scale == known.scale


@pytest.mark.parametrize(
    "values",
    [
        photographs() / 255,
        photographs() / 127.5 - 1,
        photographs() - np.array([103.939, 116.779, 123.68]),
        np.random.default_rng(0).normal(0, 1, (8, 24, 24, 3)),
        np.full((4, 8, 8, 3), -1.0),
        np.full((4, 8, 8, 3), np.nan),
        np.where(photographs() > 100, 1.0, -2.0),
    ],
    ids=["0 to 1", "-1 to 1", "less a mean alone", "noise", "one value", "no number", "two values"],
)
def test_other_values_are_left_to_their_range(values):
    assert undoing([values.astype(np.float32)], [2]) is None


def test_training_and_test_pictures_are_undone_together_and_a_range_asked_for_comes_first(tmp_path):
    known = KNOWN[0]
    pictures = photographs()
    values = normalised(pictures, known.mean, known.deviation).transpose(0, 3, 1, 2)
    np.savez(tmp_path / "d.npz", x_train=values[:9], x_test=values[9:])
    assert (pixels_of(read(tmp_path / "d.npz")) == pictures).all()
    asked = read(tmp_path / "d.npz", decoding=Decoding(value_range=(-2.0, 2.0)))
    assert asked.source.decoding.scale == {FLOATS: Scale(-2, 2)}


def test_the_scale_comes_back_from_a_document_and_reads_a_part_alike(tmp_path):
    known = KNOWN[0]
    pictures = photographs()
    values = normalised(pictures, known.mean, known.deviation)
    scale = read(saved(tmp_path, values)).source.decoding.scale[FLOATS]
    again = record_of(Scale, document_of(scale), "d.npz", "")
    assert again == scale
    part = read(saved(tmp_path, values[3:5]), decoding=Decoding({FLOATS: again}))
    assert (pixels_of(part) == pictures[3:5]).all()


def test_a_grey_picture_is_read_by_the_whole_span_of_a_scale_of_colours():
    scale = KNOWN[0].scale
    assert scale(np.array([[scale.low, scale.high]])).tolist() == [[0, 255]]
