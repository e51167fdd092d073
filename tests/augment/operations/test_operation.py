import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.operations.operation import LINEAR, LOG, OPERATIONS, WHOLE, Operation, Parameter, operation
from curate.stage.errors import DataError, UnknownName

DEGREES = Parameter(-30, 30)
FACTOR = Parameter(0.25, 2, neutral=1, scale=LOG)
ELEMENT = Parameter(0, 7, scale=WHOLE)
SHIFT = Parameter(-0.2, 0.2, unit="side")
AMOUNT = Parameter(0, 0.5)

shares = st.floats(0, 1, exclude_max=True)


def same(image, **values):
    return image


ALL = Operation("all", "light", same, {"degrees": DEGREES, "factor": FACTOR, "shift": SHIFT}, seeded=True)


@pytest.fixture
def registry(monkeypatch):
    """The registry, as it was once more when a test is over."""
    monkeypatch.setattr(OPERATIONS, "_entries", dict(OPERATIONS))


# Parameters


@given(shares, st.sampled_from([(LINEAR, (-3.0, 5.0)), (LOG, (0.2, 6.0)), (WHOLE, (0.0, 7.0)), (LINEAR, (2.0, 2.0))]))
def test_a_drawn_value_lies_in_its_span(share, case):
    scale, span = case
    assert span[0] <= Parameter(0, 1, scale=scale).between(span, share) <= span[1] * (1 + 1e-12)


def test_the_ends_of_a_span_are_reached():
    assert DEGREES.between((-3, 5), 0) == -3
    assert FACTOR.between((0.2, 5), 1) == pytest.approx(5)


def test_halving_is_as_likely_as_doubling():
    assert FACTOR.between((0.5, 2), 0.5) == pytest.approx(1)
    assert FACTOR.between((0.5, 2), 0.25) == pytest.approx(math.sqrt(0.5))


def test_whole_numbers_are_equally_likely_ends_included():
    drawn = [ELEMENT.between((0, 7), share) for share in np.arange(0, 1, 1 / 80)]
    assert all(isinstance(value, int) for value in drawn)
    assert [drawn.count(value) for value in range(8)] == [10] * 8
    assert ELEMENT.between((3, 3), 0.999) == 3


@pytest.mark.parametrize("parameter", [DEGREES, FACTOR, ELEMENT, SHIFT, AMOUNT])
def test_magnitude_goes_from_neutral_to_the_end(parameter):
    for up, end in ((True, parameter.high), (False, parameter.low)):
        assert parameter.at(0, up) == pytest.approx(parameter.neutral)
        assert parameter.at(1, up) == pytest.approx(end)
        way = [abs(parameter.at(magnitude, up) - parameter.neutral) for magnitude in np.linspace(0, 1, 11)]
        assert way == sorted(way)


# Checking


def test_an_unknown_parameter_is_told_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"no parameter of all named 'degree'. Did you mean 'degrees'"):
        ALL.check("degree", (0, 1))


@pytest.mark.parametrize(
    ("name", "span", "message"),
    [
        ("degrees", (30, -30), r"degrees of all is \[30, -30\]; needed are two numbers, the smaller first"),
        ("degrees", (math.nan, 1), "needed are two numbers"),
        ("degrees", (-math.inf, 1), "needed are two numbers"),
        ("factor", (0, 2), "factor of all is a factor and begins at 0; needed is one above 0"),
        ("element", (0, 1.5), r"element of all is \[0, 1.5\]; needed are whole numbers"),
    ],
)
def test_a_span_that_cannot_be_drawn_from_is_refused(name, span, message):
    of = Operation("all", "light", same, {"degrees": DEGREES, "factor": FACTOR, "element": ELEMENT})
    with pytest.raises(DataError, match=message):
        of.check(name, span)


def test_a_span_that_can_is_not():
    for name, span in {"degrees": (-30, 30), "factor": (0.1, 0.1), "shift": (-1, 1)}.items():
        ALL.check(name, span)


# Drawing


def test_what_has_no_span_stays_neutral():
    drawn = ALL.draw({"degrees": (5, 10)}, np.random.default_rng(0), {"side": 96.0})
    assert 5 <= drawn["degrees"] <= 10
    assert (drawn["op"], drawn["factor"], drawn["shift"]) == ("all", 1, 0)


def test_lengths_are_drawn_as_shares_and_recorded_in_pixels():
    drawn = [ALL.draw({"shift": (0.1, 0.2)}, np.random.default_rng(0), {"side": side}) for side in (28.0, 224.0)]
    assert 2.8 <= drawn[0]["shift"] <= 5.6
    assert drawn[1]["shift"] == pytest.approx(8 * drawn[0]["shift"])
    assert drawn[1]["degrees"] == drawn[0]["degrees"]


def test_equal_generators_draw_equal_records_and_others_other_seeds():
    first, again, other = (ALL.draw({}, np.random.default_rng(seed), {"side": 96.0}) for seed in (1, 1, 2))
    assert first == again
    assert first["seed"] != other["seed"]
    assert 0 <= first["seed"] < 1 << 32


def test_a_record_survives_json():
    drawn = ALL.draw({"degrees": (0, 9), "factor": (0.5, 2)}, np.random.default_rng(0), {"side": 96.0})
    assert json.loads(json.dumps(drawn)) == drawn


def test_a_magnitude_is_taken_to_either_side_alike_and_one_sided_to_one():
    of = Operation("both", "light", same, {"degrees": DEGREES, "amount": AMOUNT})
    rng = np.random.default_rng(0)
    drawn = [of.draw_at(0.5, rng, {}) for _ in range(400)]
    assert {values["degrees"] for values in drawn} == {-15, 15}
    assert 160 < sum(values["degrees"] > 0 for values in drawn) < 240
    assert {values["amount"] for values in drawn} == {0.25}


def test_where_and_which_way_is_drawn_from_all_whatever_the_magnitude():
    of = Operation("way", "light", same, {"angle": Parameter(-180, 180, free=True), "amount": AMOUNT})
    rng = np.random.default_rng(0)
    for values in ([of.draw_at(0.1, rng, {}) for _ in range(300)], [of.draw({}, rng, {}) for _ in range(300)]):
        angles = [each["angle"] for each in values]
        assert min(angles) < -170
        assert max(angles) > 170
    assert {of.draw({"angle": (5, 5)}, rng, {})["angle"] for _ in range(9)} == {5}


def test_a_parameter_that_only_goes_down_goes_down():
    of = Operation("less", "light", same, {"keep": Parameter(0.5, 1, neutral=1)})
    assert of.draw_at(1, np.random.default_rng(0), {})["keep"] == 0.5


# Registering


def test_a_function_is_registered_with_what_it_takes(registry):
    @operation("noise", sd=Parameter(0, 1))
    def hiss(image, sd, seed):
        return image

    assert OPERATIONS["hiss"] == Operation("hiss", "noise", hiss, {"sd": Parameter(0, 1)}, seeded=True)
    assert OPERATIONS["hiss"](np.zeros(3), sd=0, seed=1).tolist() == [0, 0, 0]


def test_a_second_operation_of_a_name_is_an_error(registry):
    (name, *_) = OPERATIONS

    def second(image):
        return image

    second.__name__ = name
    with pytest.raises(ValueError, match="registered already"):
        operation("light")(second)


def test_what_a_function_takes_has_to_be_declared_in_order(registry):
    def faded(image, by, seed):
        return image

    with pytest.raises(ValueError, match=r"faded takes \['by', 'seed'\], but \[\] are declared"):
        operation("light")(faded)
    with pytest.raises(ValueError, match="no family 'lights'"):
        operation("lights", by=AMOUNT)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_can_be_sent_to_another_process(name):
    assert pickle.loads(pickle.dumps(OPERATIONS[name])) == OPERATIONS[name]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_parameter_has_its_neutral_value_between_its_ends(name):
    for key, parameter in OPERATIONS[name].parameters.items():
        assert parameter.low <= parameter.neutral <= parameter.high, key
        assert parameter.scale in (LINEAR, LOG, WHOLE)
