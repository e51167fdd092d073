from pathlib import Path

import numpy as np
import pytest

from augment import features as module
from augment.features import Features, distances, input_size, load_features
from curate.measuring.choosing import SMALL_BACKBONE
from curate.measuring.descriptor import LENGTH
from curate.measuring.embedding import builtin
from curate.measuring.storage import cache_folder
from curate.stage.engine import threaded

KERAS_HOME = Path(__file__).parents[2] / "../shared/keras"
WEIGHTS = KERAS_HOME / "models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason="no ImageNet weights beside the project")


@pytest.fixture(scope="module")
def plain() -> Features:
    return load_features("builtin", None, 64, 2)[0]


def pictures(rng, *sizes: tuple[int, int]) -> list[np.ndarray]:
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_features_are_of_length_one_whatever_the_size_of_the_picture(plain):
    found = plain(pictures(np.random.default_rng(0), (28, 28), (96, 96), (40, 130)))
    assert found.shape == (3, plain.dimensions) == (3, LENGTH)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_no_pictures_have_no_features(plain):
    assert plain([]).shape == (0, plain.dimensions)


def test_a_picture_has_the_same_features_alone_among_many_and_on_any_thread(plain):
    many = np.stack(pictures(np.random.default_rng(0), *[(32, 32)] * 70))
    whole = plain(many)
    assert (plain(many[66:67]) == whole[66:67]).all()
    parts = threaded(plain, [many[:30], many[30:]], 2)
    assert (np.concatenate(list(parts)) == whole).all()


def test_what_embeds_nothing_stays_finite():
    nothing = Features("n", "", "", 8, 3, lambda batch: np.zeros((len(batch), 3), np.float32))
    assert (nothing(pictures(np.random.default_rng(0), (8, 8))) == 0).all()


@pytest.mark.parametrize(("side", "size"), [(8, 96), (28, 96), (96, 96), (97, 128), (128, 128), (150, 160), (512, 160)])
def test_small_pictures_are_enlarged_and_large_ones_reduced(side, size):
    assert input_size(side) == size
    assert input_size(size) == size


def test_features_are_those_of_the_scan_s_embedder_at_the_size_that_is_asked_for(monkeypatch):
    asked = []

    def load(*given):
        asked.append(given)
        return builtin(), "it stands in"

    monkeypatch.setattr(module, "load_embedder", load)
    found, note = load_features("auto", "mine.h5", 128, 3, print)
    assert asked == [("auto", "mine.h5", 128, 3, print)]
    assert note == "it stands in"
    assert (found.name, found.digest, found.workers) == ("builtin", builtin().digest, 3)


def test_distance_is_none_to_itself_one_at_a_right_angle_and_two_to_the_opposite():
    x, y = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(distances(np.stack([x, x, x]), np.stack([x, y, -x])), [0, 1, 2], atol=1e-7)


@needs_weights
@pytest.mark.slow
def test_with_real_weights_a_blurred_picture_is_nearer_to_itself_than_another_one(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(KERAS_HOME.resolve()))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cache_folder.cache_clear()
    try:
        features, note = load_features("auto", None, 96, 2)
    finally:
        cache_folder.cache_clear()
    assert (features.name, features.size, note) == (SMALL_BACKBONE, 96, "")
    disc, square = np.full((2, 64, 64, 3), 230, np.uint8)
    y, x = np.mgrid[:64, :64] - 32
    disc[x**2 + y**2 < 400] = (90, 40, 120)
    square[16:48, 10:30] = (30, 140, 60)
    softer = disc // 2 + np.roll(disc, 1, axis=0) // 2
    near, far = distances(features([disc, disc]), features([softer, square]))
    assert 0 < near < far
