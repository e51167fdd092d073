import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.policies.mixing import augmix, cutmix, draw, mixup

SIZES = [(28, 28), (96, 96), (41, 97), (8, 300)]
seeds = st.integers(0, 10_000)


def plain(size, value: int) -> np.ndarray:
    return np.full((*size, 3), value, np.uint8)


def speckled(size, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@given(seed=seeds)
def test_the_share_of_the_label_is_the_share_of_the_pixels(size, seed):
    for kind, mix in (("mixup", mixup), ("cutmix", cutmix)):
        drawn = draw(kind, 1.0, np.random.default_rng(seed))
        mixed = mix(plain(size, 250), plain(size, 0), drawn)
        assert mixed.mean() / 250 == pytest.approx(drawn["kept"], abs=0.5 / 250)
        assert 0 <= drawn["kept"] <= 1


@pytest.mark.parametrize("size", SIZES)
def test_cutmix_shows_one_picture_inside_the_box_and_the_other_outside(size):
    image, partner = speckled(size, 1), speckled(size, 2)
    height, width = size
    drawn = {"left": 0.25, "right": 0.75, "top": 0.5, "bottom": 1.0}
    mixed = cutmix(image, partner, drawn)
    inside = np.zeros(size, bool)
    inside[int(np.ceil(height / 2)) :, int(np.ceil(width / 4)) : width * 3 // 4] = True
    outside = np.ones(size, bool)
    outside[height // 2 :, width // 4 : int(np.ceil(width * 3 / 4))] = False
    assert (mixed[inside] == partner[inside]).all()
    assert (mixed[outside] == image[outside]).all()


def test_a_box_is_cut_off_at_the_border_and_its_share_with_it():
    drawn = [draw("cutmix", 1.0, np.random.default_rng(seed)) for seed in range(500)]
    for of in drawn:
        assert 0 <= of["left"] <= of["right"] <= 1
        assert 0 <= of["top"] <= of["bottom"] <= 1
        assert of["kept"] == 1 - (of["right"] - of["left"]) * (of["bottom"] - of["top"])
    touching = np.mean([of["left"] == 0 or of["right"] == 1 for of in drawn])
    assert 0.3 < touching < 0.9
    assert np.mean([of["kept"] for of in drawn]) > 0.6


def test_boxes_lie_anywhere():
    middles = [
        (of["left"] + of["right"]) / 2 for of in (draw("cutmix", 1.0, np.random.default_rng(i)) for i in range(500))
    ]
    assert np.mean(middles) == pytest.approx(0.5, abs=0.03)
    assert np.std(middles) > 0.15


@pytest.mark.parametrize(("alpha", "extreme"), [(0.2, 0.6), (1.0, 0.2), (8.0, 0.0)])
def test_a_small_alpha_leaves_most_pictures_nearly_pure(alpha, extreme):
    kept = np.array([draw("mixup", alpha, np.random.default_rng(seed))["kept"] for seed in range(2000)])
    assert kept.mean() == pytest.approx(0.5, abs=0.04)
    assert np.mean((kept < 0.1) | (kept > 0.9)) == pytest.approx(extreme, abs=0.07)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_a_picture_with_itself_changes_nothing(kind):
    image = speckled((31, 50), 3)
    for seed in range(20):
        mixed = {"mixup": mixup, "cutmix": cutmix}[kind](image, image, draw(kind, 1.0, np.random.default_rng(seed)))
        assert mixed.dtype == np.uint8
        assert (mixed == image).all()


def test_both_pictures_stay_as_they_are():
    image, partner = speckled((20, 30), 1), speckled((20, 30), 2)
    before = image.copy(), partner.copy()
    for kind, mix in (("mixup", mixup), ("cutmix", cutmix)):
        mix(image, partner, draw(kind, 1.0, np.random.default_rng(0)))[:] = 0
    augmix(image, [partner], [1.0], 0.5)[:] = 0
    assert (image == before[0]).all()
    assert (partner == before[1]).all()


def test_augmix_is_the_weighted_mean_of_chains_and_picture():
    image, *chains = (speckled((24, 40), seed) for seed in range(4))
    weights, share = [0.2, 0.5, 0.3], 0.7
    expected = 0.3 * image.astype(float) + 0.7 * sum(w * c.astype(float) for w, c in zip(weights, chains, strict=True))
    assert np.abs(augmix(image, chains, weights, share) - expected).max() <= 0.5 + 1e-3


def test_augmix_keeps_black_and_white():
    for value in (0, 255):
        image = plain((9, 9), value)
        weights = np.random.default_rng(0).dirichlet([1] * 7).tolist()
        assert (augmix(image, [image] * 7, weights, 0.37) == value).all()


def test_augmix_wants_a_weight_for_each_chain():
    with pytest.raises(ValueError, match="zip"):
        augmix(plain((9, 9), 1), [plain((9, 9), 1)], [0.5, 0.5], 1.0)
