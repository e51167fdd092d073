import numpy as np
import pytest
from PIL import Image

from augment.configs import BuildConfig
from augment.statistics import lab_spread
from augment.trial import trial
from curate.configs import ScanConfig
from curate.demo import LOOKS
from curate.scanning import scan
from curate.stage.errors import DataError


def test_where_nothing_was_scanned_cells_are_drawn(tmp_path):
    of = trial(None, BuildConfig(artifacts=str(tmp_path)))
    assert of.drawn
    assert set(of.images.classes) <= set(LOOKS)
    assert len(of.images) == 200
    assert of.pictures.size == (96, 96)
    assert list(tmp_path.iterdir()) == []


def test_drawn_cells_follow_the_seed(tmp_path):
    one, other = (trial(None, BuildConfig(artifacts=str(tmp_path), seed=seed)).pictures[0] for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_the_clean_set_is_taken_where_there_is_one(artifacts):
    of = trial(None, BuildConfig(artifacts=str(artifacts)))
    assert not of.drawn
    assert of.images.classes == ("lobed", "round", "kidney")
    assert of.images.source.path == artifacts / "clean.npz"


def test_a_set_that_is_named_needs_no_scan(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (500, 12, 16, 3), np.uint8)
    np.savez(tmp_path / "data.npz", images=pixels)
    of = trial(tmp_path / "data.npz", BuildConfig(artifacts=str(tmp_path / "nowhere")))
    assert not of.drawn
    assert of.pictures.size == (16, 12)
    assert of.rows[[0, -1]].tolist() == [0, 499]
    assert len(of.rows) == 256
    assert [np.array_equal(seen, pixels[row]) for seen, row in zip(of.seen(), of.rows, strict=True)] == [True] * 256
    assert of.units == {**lab_spread(of.seen()), "side": 12.0}


def test_a_set_that_was_scanned_is_read_as_its_scan_read_it(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 200, (30, 16, 16), np.uint16)
    np.savez(tmp_path / "data.npz", images=pixels)
    config = ScanConfig(artifacts=str(tmp_path / "a"), backbone="builtin", map="none", value_range=(0.0, 400.0))
    scan(tmp_path / "data.npz", config)
    of = trial(tmp_path / "data.npz", BuildConfig(artifacts=str(tmp_path / "a")))
    np.testing.assert_array_equal(of.images.images[0].pixels[..., 0], np.rint(pixels[0] * 255 / 400))


def test_the_size_that_is_asked_for_is_the_size(artifacts):
    of = trial(None, BuildConfig(artifacts=str(artifacts), size=(40, 24)))
    assert of.pictures[0].shape == (24, 40, 3)
    assert of.units["side"] == 24


def test_pictures_that_cannot_be_read_are_not_tried_on(tmp_path):
    for row in range(6):
        (tmp_path / "set" / "a").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "set" / "a" / f"{row}.png"
        Image.fromarray(np.full((12, 12, 3), 40 * row, np.uint8)).save(path)
    (tmp_path / "set" / "a" / "3.png").write_bytes(b"")
    of = trial(tmp_path / "set", BuildConfig(artifacts=str(tmp_path)))
    assert of.rows.tolist() == [0, 1, 2, 4, 5]
    assert len(of.seen()) == 5


def test_a_set_of_which_nothing_can_be_read_is_refused(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "0.png").write_bytes(b"")
    with pytest.raises(DataError, match="set holds no picture that can be read"):
        trial(tmp_path / "set", BuildConfig(artifacts=str(tmp_path)))


def test_a_set_that_is_none_is_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        trial(tmp_path / "nowhere.npz", BuildConfig(artifacts=str(tmp_path)))
