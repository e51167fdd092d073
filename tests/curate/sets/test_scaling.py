from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from curate.sets.decoding import FilePictures
from curate.sets.reading import read
from curate.sets.scaling import (
    BYTES,
    FLOATS,
    INTEGERS,
    Decoding,
    Extent,
    Scale,
    decided,
    extent_of,
    kind_of,
    pallor,
    scale_notes,
    scales_of,
    unlike_ranges,
    values_in_words,
)


def noise(n=6, side=16, low=0, high=3800):
    """n grey pictures of noise from low to high."""
    return np.random.default_rng(0).integers(low, high, (n, side, side)).astype(np.uint16)


def scale_of(values, kind=INTEGERS):
    return decided(kind, extent_of(values, len(values)))


@pytest.mark.parametrize(("top", "bits"), [(255, 8), (256, 10), (1023, 10), (4095, 12), (16383, 14), (65535, 16)])
def test_whole_numbers_are_of_the_fewest_bits_that_hold_them(top, bits):
    assert scale_of(np.array([[0, top]], np.uint16)) == Scale(0, 2**bits - 1, bits)


def test_a_hot_pixel_in_a_picture_does_not_make_a_set_deeper():
    values = noise()
    values[::3, 3, 4] = 4200
    assert scale_of(values) == Scale(0, 4095, 12)
    values[:, 3, 4] = 65535
    assert scale_of(values) == Scale(0, 4095, 12)


def test_bright_parts_that_are_no_hot_pixels_do():
    values = noise()
    values[:, :2, :3] = 9000  # 2 % of a picture
    assert scale_of(values) == Scale(0, 16383, 14)


def test_a_few_bright_points_on_black_are_what_the_set_is_about():
    stars = np.zeros((4, 64, 64), np.uint16)
    stars[:, 5, 5] = 30000
    assert scale_of(stars) == Scale(0, 65535, 16)


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0, 0.5, 1], Scale(0, 1)),
        ([-1, 0, 1], Scale(-1, 1)),
        ([0, 100, 255], Scale(0, 255)),
        ([-2, 3], Scale(-2, 3)),
        ([0, 8, 16], Scale(0, 16)),
        ([1, 8, 16], Scale(0, 16)),
        ([0, 4000], Scale(0, 4095, 12)),
        ([0, 1e6], Scale(0, 1e6)),
        ([np.nan, np.inf], Scale()),
    ],
)
def test_floats_are_read_by_the_range_that_they_are_kept_in(values, scale):
    assert scale_of(np.array([values], np.float32), FLOATS) == scale


@pytest.mark.parametrize("factor", [1, 255])
def test_a_hot_pixel_does_not_stretch_floats(factor):
    values = np.random.default_rng(0).random((5, 20, 20)).astype(np.float32) * factor
    values[2, 3, 4] = 50 if factor == 1 else 900
    assert scale_of(values, FLOATS) == Scale(0, factor)


def test_extents_of_parts_add_up_to_that_of_the_whole():
    values = noise(9)
    parts = [extent_of(values[:4], 4), extent_of(values[4:5], 1), extent_of(values[5:], 4)]
    assert sum(parts, Extent()) == extent_of(values, 9)


def test_a_scale_is_cut_off_at_both_ends_and_keeps_what_is_of_eight_bits():
    scale = Scale(0, 4095, 12)
    assert scale(np.array([0, 4095, 5000], np.uint16)).tolist() == [0, 255, 255]
    assert Scale(-1, 1)(np.array([-2, 0, 1.0])).tolist() == [0, 128, 255]
    bytes_ = np.arange(9, dtype=np.uint8)
    assert Scale()(bytes_) is bytes_


def test_a_scale_that_is_known_is_kept_and_one_asked_for_comes_first():
    extents = {INTEGERS: extent_of(noise(high=900), 6)}
    known = Decoding({INTEGERS: Scale(0, 4095, 12)})
    assert scales_of(extents, [INTEGERS], Decoding())[INTEGERS] == Scale(0, 1023, 10)
    assert scales_of(extents, [INTEGERS], known)[INTEGERS] == Scale(0, 4095, 12)
    assert scales_of(extents, [INTEGERS], Decoding(value_range=(0, 500)))[INTEGERS] == Scale(0, 500)


def test_a_range_asked_for_is_that_of_the_deeper_pictures_of_a_set():
    asked = Decoding(value_range=(0, 1))
    assert scales_of({}, [BYTES, FLOATS], asked) == {BYTES: Scale(), FLOATS: Scale(0, 1)}
    assert scales_of({}, [BYTES], asked) == {BYTES: Scale(0, 1)}


def notes_of(values, decoding=Decoding()):
    extents = {INTEGERS: extent_of(values, len(values))}
    return scale_notes(scales_of(extents, [INTEGERS], decoding), extents, decoding)


def test_what_a_scale_cuts_off_is_told_with_the_option_that_settles_it():
    values = noise()
    values[::3, 3, 4] = 4200
    assert notes_of(values) == [
        "values are read as 12 bit, 0 to 4,095; 2 values above, up to 4,200, are cut off (--value-range settles it)"
    ]


def test_the_scale_of_a_model_is_told_and_what_lies_beyond_it():
    model = Decoding({INTEGERS: Scale(0, 1023, 10)}, foreign=True)
    assert notes_of(noise(high=500), model) == [
        "values are read by the scale of the model, 10 bit (0 to 1,023); they run from 0 to 499"
    ]
    (note,) = notes_of(noise(high=4000), model)
    assert "% of all, up to 3,9" in note
    assert "--value-range" not in note


@pytest.mark.parametrize(
    ("scales", "sentence"),
    [
        ({}, "8 bit"),
        ({BYTES: Scale()}, "8 bit"),
        ({BYTES: Scale(0, 1)}, "8 bit read as 0 to 1"),
        ({INTEGERS: Scale(0, 4095, 12)}, "16-bit files read as 12 bit (0 to 4,095), one scale for all 6"),
    ],
)
def test_the_depth_of_a_set_is_one_short_sentence(scales, sentence):
    assert values_in_words(scales, {INTEGERS: extent_of(noise(), 6)}, files=True) == sentence


@pytest.mark.parametrize(
    ("low", "high", "scales", "words"),
    [
        (0, 200, {}, ""),
        (0, 0, {}, "every picture is wholly black"),
        (0, 1, {BYTES: Scale()}, "--value-range 0,1."),
        (0, 1, {FLOATS: Scale(0, 1)}, "--value-range 0,0.003922."),
        (128, 130, {}, "of one grey, 128 to 130 of 255"),
    ],
)
def test_a_set_next_to_black_or_of_one_grey_is_told_with_what_to_do(low, high, scales, words):
    assert words in pallor(low, high, scales)
    assert bool(pallor(low, high, scales)) == bool(words)


def deep_folder(folder, tops=(3800, 200, 3800, 3000)):
    """Four 16-bit files, of values up to these."""
    for row, top in enumerate(tops):
        Image.fromarray(noise(1, 24, 0, top)[0]).save(folder / f"{row}.{'png' if row % 2 else 'tif'}")
    return [f"{row}.{'png' if row % 2 else 'tif'}" for row in range(len(tops))]


def test_files_of_sixteen_bits_have_one_scale_whatever_their_own_brightness(tmp_path):
    names = deep_folder(tmp_path)
    pictures = FilePictures(tmp_path, names)
    means = [pictures[row].pixels.mean() for row in range(4)]
    np.testing.assert_allclose(means, [118, 6, 118, 93], rtol=0.1)
    assert pictures.values == "16-bit files read as 12 bit (0 to 4,095), one scale for all 4"
    assert pictures.notes == ("16-bit files are read as 12 bit, 0 to 4,095, one scale for all 4",)
    assert read(tmp_path).source.decoding.scale == {INTEGERS: Scale(0, 4095, 12)}


@pytest.mark.parametrize("workers", [1, 5])
def test_the_scale_of_files_does_not_depend_on_workers(tmp_path, workers):
    names = deep_folder(tmp_path)
    assert FilePictures(tmp_path, names, workers=workers).scale == {INTEGERS: Scale(0, 4095, 12)}


def test_files_of_floats_have_one_scale(tmp_path):
    for row, factor in enumerate((1, 0.2)):
        Image.fromarray(np.linspace(0, factor, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / f"{row}.tif")
    images = read(tmp_path)
    assert images.images[0].pixels.max() == 255
    assert images.images[1].pixels.max() == 51
    assert images.source.notes[-1] == "floating-point files from 0 to 1 are read as 0 to 255, one scale for all 2"


def test_files_of_eight_bits_beside_deeper_ones_stay_as_they_are(tmp_path):
    deep_folder(tmp_path)
    Image.new("L", (4, 4), 77).save(tmp_path / "9.png")
    images = read(tmp_path)
    assert (images.images[4].pixels == 77).all()
    assert images.images.values == "8 bit; 16-bit files read as 12 bit (0 to 4,095), one scale for all 4"
    assert "8-bit files stay as they are" in images.source.notes


def test_a_set_read_again_with_its_decoding_has_the_same_pixels_though_pictures_left(tmp_path):
    deep_folder(tmp_path)
    whole = read(tmp_path)
    (tmp_path / "list.txt").write_text("1.png\n")
    alone = read(tmp_path / "list.txt")
    again = read(tmp_path / "list.txt", decoding=whole.source.decoding)
    np.testing.assert_array_equal(again.images[0].pixels, whole.images[1].pixels)
    assert alone.images[0].pixels.mean() > 10 * again.images[0].pixels.mean()


def test_train_and_test_of_two_types_have_a_scale_each_and_that_is_told(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    arrays = {"train_images": pixels, "test_images": (pixels / 255).astype(np.float32)}
    np.savez(tmp_path / "d.npz", **arrays)
    images = read(tmp_path / "d.npz")
    np.testing.assert_array_equal(images.images[1].pixels, images.images[7].pixels)
    assert "floating-point values from 0 to 1 are read as 0 to 255" in images.source.notes
    assert "8-bit values stay as they are" in images.source.notes


def test_arrays_less_a_mean_are_told_to_be_perhaps_blue_green_red(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.float32)
    np.savez(tmp_path / "d.npz", images=pixels[..., ::-1] - [103.939, 116.779, 123.68])
    note = read(tmp_path / "d.npz").source.notes[0]
    assert "as Caffe's models take them: channels may be blue, green, red and are read as red, green, blue" in note


def test_an_alpha_channel_of_ones_is_opaque_and_told(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=np.concatenate([pixels, np.ones((6, 8, 8, 1), np.uint8)], axis=3))
    images = read(tmp_path / "d.npz")
    np.testing.assert_array_equal(images.images[2].pixels, pixels[2])
    assert "alpha goes no further than 1, and is read as 0 to 1" in images.source.notes


def test_arrays_of_a_mat_file_are_refused_with_the_line_that_turns_them(tmp_path):
    np.savez(tmp_path / "d.npz", X=np.zeros((8, 9, 3, 20), np.uint8))
    with pytest.raises(Exception, match=r"save images.transpose\(3, 0, 1, 2\)"):
        read(tmp_path / "d.npz")


def test_floats_of_a_camera_are_of_as_many_bits_as_its_whole_numbers():
    values = noise().astype(np.float32)
    values[::3, 3, 4] = 4200
    assert scale_of(values, FLOATS) == Scale(0, 4095, 12)


def test_files_of_sixteen_bits_that_hold_eight_are_told_of(tmp_path):
    Image.fromarray(noise(1, 24, 0, 250)[0]).save(tmp_path / "a.png")
    assert "16-bit files are read as 8 bit, 0 to 255" in read(tmp_path).source.notes


def test_arrays_of_one_set_that_hardly_hold_one_range_are_told():
    def note(*arrays):
        extents = {f"x{at}": (kind_of(array.dtype), extent_of(array, 1)) for at, array in enumerate(arrays)}
        return unlike_ranges(extents)

    unit = np.linspace(0, 1, 64, dtype=np.float32)
    assert note(unit, 0.5 * unit) == []
    assert note(unit, (255 * unit).astype(np.uint16)) == []  # kinds have scales of their own
    (line,) = note(unit, 255 * unit)
    assert line.startswith("x0 from 0 to 1 and x1 from 0 to 255 are read by one scale")
    (line,) = note(unit, 2 * unit - 1)
    assert "save them alike" in line
