import cv2
import numpy as np
import pytest
from PIL import Image

from augment.operations import digital
from augment.operations.digital import jpeg, pixelate
from augment.operations.operation import OPERATIONS

OURS = [of for of in OPERATIONS.values() if of.function.__module__ == digital.__name__]


@pytest.mark.parametrize("size", [(96, 96), (28, 28), (70, 41), (8, 13)])
@pytest.mark.parametrize("of", OURS, ids=lambda of: of.name)
def test_a_picture_of_the_same_shape_comes_back_and_the_given_one_stays(of, size, cell, at_magnitude, checked_result):
    image = cv2.resize(cell, size)
    made = checked_result(of, image, 0.7)
    assert made.flags.writeable
    # A JPEG has half the colours' detail at best.
    assert np.abs(at_magnitude(of, image, 0).astype(float) - image).mean() < 7


@pytest.mark.parametrize("quality", [7, 25, 80])
def test_a_jpeg_is_what_opencv_writes_and_reads(cell, quality):
    written = cv2.imencode(".jpg", cell[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert (jpeg(cell, quality) == cv2.imdecode(written, cv2.IMREAD_COLOR)[:, :, ::-1]).all()


@pytest.mark.parametrize("quality", [10, 25, 65])
def test_a_jpeg_is_near_to_pillows(cell, quality, tmp_path):
    Image.fromarray(cell).save(tmp_path / "cell.jpg", quality=quality)
    with Image.open(tmp_path / "cell.jpg") as read:
        assert np.abs(np.asarray(read).astype(float) - jpeg(cell, quality)).mean() < 1


def test_quality_is_rounded_and_never_nought(cell):
    assert (jpeg(cell, 24.6) == jpeg(cell, 25)).all()
    assert (jpeg(cell, 0.2) == jpeg(cell, 1)).all()


def test_colours_keep_their_places_in_a_jpeg():
    image = np.full((32, 32, 3), (200, 60, 20), np.uint8)
    assert np.abs(jpeg(image, 90).astype(int) - image).max() <= 3


@pytest.mark.parametrize(("scale", "block"), [(0.5, 2), (0.25, 4), (0.125, 8)])
def test_pixelated_blocks_are_even_and_their_mean_is_kept(cell, scale, block):
    made = pixelate(cell, scale)
    blocks = made.reshape(96 // block, block, 96 // block, block, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    means = cell.astype(float).reshape(blocks.shape).mean(axis=(1, 3))
    assert np.abs(blocks[:, 0, :, 0] - means).max() <= 1


@pytest.mark.parametrize(("scale", "size"), [(0.6, (134, 134)), (0.3, (67, 67)), (0.95, (212, 212))])
def test_pixelating_is_box_and_box_as_published(cell, scale, size):
    image = Image.fromarray(cv2.resize(cell, (224, 224)))
    small = image.resize(size, Image.Resampling.BOX)
    assert (pixelate(np.asarray(image), scale) == np.asarray(small.resize((224, 224), Image.Resampling.BOX))).all()


def test_the_coarsest_pixel_is_the_whole_picture(cell):
    made = pixelate(cell[:20, :30].copy(), 0.01)
    assert (made == made[0, 0]).all()
