import numpy as np
import pytest

from augment.corruptions import common, microscopy  # noqa: F401  registered when they are imported
from augment.corruptions.corruption import CORRUPTIONS, SEVERITIES, TEST, VALIDATION, Corruption, corruption
from augment.operations.operation import OPERATIONS, SEED
from curate.stage.errors import UnknownName

UNITS = {"side": 200.0, "sd_l": 4.0, "sd_a": 3.0, "sd_b": 5.0}


def corruption_of(operation: str, strength: dict, **more: dict) -> Corruption:
    return Corruption("mine", OPERATIONS[operation], TEST, ("common",), strength, **more)


def test_strength_runs_from_mild_to_severe():
    noise = corruption_of("gaussian_noise", {"sd": (0.05, 0.25)})
    values = [noise.settings(strength, UNITS)["sd"] for strength in (0, 0.25, 0.5, 1)]
    assert values[0] == pytest.approx(0.05)
    assert values[-1] == pytest.approx(0.25)
    assert values == sorted(values)


def test_mild_may_be_the_larger_value():
    noise = corruption_of("gaussian_noise", {"sd": (0.25, 0.05)})
    assert noise.settings(0, UNITS)["sd"] == pytest.approx(0.25)
    assert noise.settings(1, UNITS)["sd"] == pytest.approx(0.05)


WHOLE_ONES = [
    (name, key)
    for name, operation in OPERATIONS.items()
    for key, parameter in operation.parameters.items()
    if parameter.scale == "whole"
]


@pytest.mark.parametrize(("name", "key"), WHOLE_ONES)
def test_whole_numbers_stay_whole(name, key):
    parameter = OPERATIONS[name].parameters[key]
    entry = corruption_of(name, {key: (parameter.low, parameter.high)})
    values = [entry.settings(strength, UNITS)[key] for strength in np.linspace(0, 1, 23)]
    assert all(float(value).is_integer() for value in values)
    assert (values[0], values[-1]) == (parameter.low, parameter.high)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_what_is_neither_free_nor_along_the_path_is_fixed_or_neutral(name):
    entry = CORRUPTIONS[name]
    settings = entry.settings(0.5, UNITS)
    parameters = entry.operation.parameters
    assert set(settings) == set(parameters) - set(entry.free)
    for parameter in set(settings) - set(entry.strength):
        unit = parameters[parameter].unit
        expected = entry.fixed.get(parameter, parameters[parameter].neutral)
        assert settings[parameter] == expected * (UNITS[unit] if unit else 1)


@pytest.mark.parametrize(
    "name", [name for name, entry in CORRUPTIONS.items() if "side" in str(entry.operation.parameters)]
)
def test_lengths_grow_with_the_picture(name):
    entry = CORRUPTIONS[name]
    small, large = (entry.settings(0.5, {"side": side}) for side in (100.0, 200.0))
    for parameter, value in small.items():
        times = 2 if entry.operation.parameters[parameter].unit == "side" else 1
        assert large[parameter] == pytest.approx(times * value)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_severities_drawn_alike_differ_in_strength_alone(name):
    entry = CORRUPTIONS[name]
    mild, severe = (
        entry.draw(entry.settings(strength, UNITS), np.random.default_rng(3), UNITS) for strength in (0.0, 1.0)
    )
    assert mild["op"] == severe["op"] == entry.operation.name
    assert {key for key in mild if mild[key] != severe[key]} <= set(entry.strength)
    assert (SEED in mild) == entry.operation.seeded


@pytest.mark.parametrize("name", [name for name, entry in CORRUPTIONS.items() if entry.free])
def test_what_is_free_is_drawn_from_its_span_anew_for_each_picture(name):
    entry = CORRUPTIONS[name]
    settings = entry.settings(0.5, UNITS)
    records = [entry.draw(settings, np.random.default_rng(row), UNITS) for row in range(20)]
    for parameter, (low, high) in entry.free.items():
        unit = entry.operation.parameters[parameter].unit
        values = np.array([record[parameter] for record in records]) / (UNITS[unit] if unit else 1)
        assert values.min() >= min(low, high) - 1e-9
        assert values.max() <= max(low, high) + 1e-9
        assert len(set(values.tolist())) > 1 or low == high


def test_roles_and_severities_are_those_of_the_benchmark():
    assert SEVERITIES == (1, 2, 3, 4, 5)
    assert {entry.role for entry in CORRUPTIONS.values()} == {TEST, VALIDATION}
    assert all(entry.family == entry.operation.family for entry in CORRUPTIONS.values())


@pytest.mark.parametrize(
    ("operation", "options", "name"),
    [
        ("gausian_noise", {"strength": {"sd": (0.1, 0.2)}}, "gausian_noise"),
        ("gaussian_noise", {"strength": {"sdd": (0.1, 0.2)}}, "sdd"),
        ("gaussian_noise", {"strength": {}, "free": {"angle": (0, 1)}}, "angle"),
        ("gaussian_noise", {"strength": {}, "fixed": {"angle": 1.0}}, "angle"),
    ],
)
def test_an_operation_or_a_parameter_that_there_is_not_is_refused_and_not_registered(operation, options, name):
    before = list(CORRUPTIONS)
    with pytest.raises(UnknownName, match=name):
        corruption("mine", operation, sets=("common",), **options)
    assert list(CORRUPTIONS) == before
