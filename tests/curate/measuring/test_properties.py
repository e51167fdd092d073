import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curate.measuring.properties import LONGEST_SIDE, PROPERTIES, bounded, properties, square
from curate.planting import FAULTS

CAN_BE_UNKNOWN = {"light_a", "light_b", "mean_a", "mean_b"}


def of(pixels: np.ndarray) -> dict[str, float]:
    return dict(zip(PROPERTIES, properties([pixels])[0].tolist(), strict=True))


def solid(*colour: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def lab(*colour: int) -> list[float]:
    return cv2.cvtColor(np.full((1, 1, 3), colour, np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0].tolist()


def lit(picture: np.ndarray, gain: float) -> np.ndarray:
    """The picture under `gain` times the light, with the power law of 2.2."""
    return np.rint(picture * gain ** (1 / 2.2)).astype(np.uint8)


def test_a_solid_picture_is_its_colour_and_holds_nothing():
    found = of(solid(200, 100, 50))
    grey = (0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 255
    assert (found["width"], found["height"]) == (32, 24)
    assert found["brightness"] == found["dark_end"] == found["bright_end"] == pytest.approx(grey, abs=0.5 / 255)
    assert found["contrast"] == found["entropy"] == 0
    assert found["detail"] == pytest.approx(np.log2(0.02 / 0.5), abs=0.01)
    lightness, a, b = lab(200, 100, 50)
    assert found["chroma"] == pytest.approx(np.hypot(a, b), rel=0.01)
    assert [found[f"border_{axis}"] for axis in "lab"] == pytest.approx([lightness, a, b], abs=0.1)
    assert (found["light_a"], found["light_b"]) == (found["mean_a"], found["mean_b"])
    assert found["saturation"] == pytest.approx(150 / (grey * 255 + 1), rel=0.01)


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_grey_picture_has_no_colour_of_any_kind(level):
    found = of(solid(level, level, level))
    assert found["brightness"] == pytest.approx(level / 255, abs=1e-3)
    assert found["chroma"] == pytest.approx(0, abs=0.02)
    assert found["saturation"] == 0
    for name in CAN_BE_UNKNOWN:
        assert np.isnan(found[name]) if level < 2 else found[name] == pytest.approx(0, abs=0.02)


def test_half_black_and_half_white_is_one_bit_and_the_widest_contrast():
    found = of(np.concatenate([solid(0, 0, 0), solid(255, 255, 255)], axis=1))
    assert found["entropy"] == pytest.approx(1)
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert (found["dark_end"], found["bright_end"]) == (0, 1)


@pytest.mark.parametrize("turn", [False, True])
def test_a_gradient_over_all_levels_is_eight_bits_wherever_it_runs(turn):
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(100, 0).repeat(3, 2)
    found = of(np.ascontiguousarray(ramp.transpose(1, 0, 2)) if turn else ramp)
    assert found["entropy"] == pytest.approx(8)
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(np.sqrt((256**2 - 1) / 12) / 255, rel=1e-4)
    assert found["dark_end"] == pytest.approx(2 / 255)
    assert found["bright_end"] == pytest.approx(253 / 255)
    assert (found["width"], found["height"]) == ((100, 256) if turn else (256, 100))


def test_the_ends_are_percentiles_of_grey(cells):
    for cell in cells[0][:5]:
        grey, found = cv2.cvtColor(cell, cv2.COLOR_RGB2GRAY), of(cell)
        for name, q in (("dark_end", 1), ("bright_end", 99)):
            expected = np.percentile(grey, q, method="inverted_cdf")
            assert found[name] * 255 == pytest.approx(expected, abs=0.01)
        assert found["brightness"] * 255 == pytest.approx(grey.mean(), abs=0.01)
        assert found["contrast"] * 255 == pytest.approx(grey.std(), abs=0.01)


@pytest.mark.parametrize("gain", [0.2, 0.5, 0.8])
def test_a_tint_does_not_change_with_the_amount_of_light(cells, gain):
    for cell in cells[0][:5]:
        bright, dim = of(cell), of(lit(cell, gain))
        assert dim["brightness"] < bright["brightness"]
        for name in ("mean_a", "mean_b", "light_a", "light_b"):
            assert dim[name] == pytest.approx(bright[name], abs=2)


@pytest.mark.parametrize(
    ("colour", "a", "b"),
    [((200, 120, 120), 1, 0), ((120, 200, 120), -1, 1), ((120, 120, 200), 0, -1), ((200, 200, 120), 0, 1)],
    ids=["red", "green", "blue", "yellow"],
)
def test_a_tint_points_to_its_colour(colour, a, b):
    found = of(solid(*colour))
    for name, sign in (("mean_a", a), ("mean_b", b)):
        assert sign == 0 or np.sign(found[name]) == sign
    assert np.hypot(found["mean_a"], found["mean_b"]) > 15


def test_the_light_is_the_brightest_part_and_the_border_the_rim():
    picture = solid(60, 60, 60, height=64, width=64)
    picture[16:48, 16:48] = (200, 200, 120)  # a yellow lamp in the middle
    found = of(picture)
    assert found["light_b"] == pytest.approx(of(solid(200, 200, 120))["light_b"], abs=0.5)
    assert abs(found["border_b"]) < 0.1
    assert 0 < found["mean_b"] < found["light_b"]


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_a_picture_out_of_focus_has_less_detail_and_a_dim_one_does_not(cells, gain):
    for row, cell in enumerate(cells[0][:10]):
        sharp = of(cell)["detail"]
        assert of(FAULTS["blur"](cell, np.random.default_rng(row)))["detail"] < sharp - 3
        assert of(lit(cell, gain))["detail"] == pytest.approx(sharp, abs=0.5)


@settings(deadline=None, max_examples=60)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_every_property_of_any_picture_is_finite_and_in_its_range(pixels):
    before = pixels.copy()
    found = of(pixels)
    assert properties([pixels]).dtype == np.float32
    assert (pixels == before).all()
    assert all(np.isfinite(value) for name, value in found.items() if name not in CAN_BE_UNKNOWN)
    for name in ("brightness", "dark_end", "bright_end", "contrast"):
        assert 0 <= found[name] <= 1
    assert 0 <= found["entropy"] <= 8
    assert found["dark_end"] <= found["bright_end"]
    assert found["chroma"] >= 0
    assert found["saturation"] >= 0
    assert (found["width"], found["height"]) == pixels.shape[1::-1]


@settings(deadline=None, max_examples=60)
@given(height=st.integers(1, 700), width=st.integers(1, 700), side=st.integers(1, 300))
def test_a_bounded_picture_fits_keeps_its_aspect_and_never_grows(height, width, side):
    made = bounded(np.zeros((height, width, 3), np.uint8), side)
    assert max(made.shape[:2]) == min(side, max(height, width))
    assert min(made.shape[:2]) >= 1
    scale = max(made.shape[:2]) / max(height, width)
    assert made.shape[0] == pytest.approx(height * scale, abs=1)
    assert made.shape[1] == pytest.approx(width * scale, abs=1)


def test_a_picture_that_fits_is_itself():
    picture = solid(1, 2, 3)
    assert bounded(picture, 32) is picture


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(1, 200))
def test_a_squared_picture_is_square_and_of_the_same_colour(height, width, side):
    made = square(solid(10, 120, 230, height=height, width=width), side)
    assert made.shape == (side, side, 3)
    assert (made == (10, 120, 230)).all()


def test_a_large_picture_is_measured_small_but_reports_its_own_size(cells):
    cell = cells[0][0]
    large = cv2.resize(cell, (960, 960), interpolation=cv2.INTER_CUBIC)
    found, same = of(large), of(bounded(large, LONGEST_SIDE))
    assert (found["width"], found["height"]) == (960, 960)
    left_out = ("width", "height")
    assert {k: v for k, v in found.items() if k not in left_out} == {k: v for k, v in same.items() if k not in left_out}


@pytest.mark.parametrize("n", [1, 2, 3, 7, 33, 64])
def test_a_picture_is_measured_alike_to_the_bit_in_whatever_company(cells, n):
    # Which pictures share a chunk depends on which thread comes first.
    pictures = [bounded(cell, 40 + row) for row, cell in enumerate(cells[0][:64])]
    together = properties(pictures[:n])
    alone = np.concatenate([properties([picture]) for picture in pictures[:n]])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(properties(pictures[:n][::-1])[::-1], alone)


def test_no_pictures_have_no_properties():
    assert properties([]).shape == (0, len(PROPERTIES))
