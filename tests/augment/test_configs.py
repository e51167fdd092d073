from dataclasses import FrozenInstanceError, fields

import pytest

from augment.configs import BALANCES, CALIBRATED, FITS, PRESET_NAMES, SETS, BuildConfig
from augment.corruptions.corruption import CORRUPTIONS
from augment.corruptions.presets import PRESETS
from curate.configs import SplitConfig
from curate.stage.errors import DataError, UnknownName
from curate.stage.options import field_options


@pytest.mark.parametrize("name", ["oversampel", "-3", "1.5", "", "many"])
def test_a_balance_that_is_none_is_answered_with_all_and_that_it_may_be_a_number(name):
    with pytest.raises(UnknownName, match=f"no balance named '{name}'. Known: {', '.join(BALANCES)}, or a number"):
        BuildConfig(balance=name)


@pytest.mark.parametrize("number", ["0", "1000000001", "9" * 23, "9" * 5000])
def test_a_number_of_images_that_nobody_has_is_refused(number):
    with pytest.raises(DataError, match=r"balance is '.*'; needed is a number of images from 1 to 1,000,000,000"):
        BuildConfig(balance=number)


@pytest.mark.parametrize("name", BALANCES)
def test_a_balance_by_name_asks_for_no_number(name):
    assert BuildConfig(balance=name).count is None


def test_a_balance_by_number_is_that_number():
    assert BuildConfig(balance="250").count == 250


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("copies", -1, 0), ("cap", -1, 0), ("benchmark_images", 0, 1), ("workers", -2, 0), ("seed", -1, 0)],
)
def test_numbers_below_the_least_are_refused(name, value, least):
    with pytest.raises(DataError, match=f"{name} is {value}; needed is a whole number from {least}"):
        BuildConfig(**{name: value})
    assert getattr(BuildConfig(**{name: least}), name) == least


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"benchmark": ("blood", "comon")}, "no set of corruptions named 'comon'. Did you mean 'common'?"),
        ({"severities": "cifar"}, "no severities named 'cifar'. Did you mean 'cifar-c'?"),
        ({"fit": "corp"}, "no fit named 'corp'. Did you mean 'crop'?"),
    ],
)
def test_a_name_that_is_none_is_answered_with_the_nearest(given, told):
    with pytest.raises(UnknownName) as error:
        BuildConfig(**given)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize("size", [(7, 96), (96, 7), (0, 0), (96, 8193)])
def test_a_size_that_no_operation_takes_is_refused(size):
    with pytest.raises(DataError, match=f"size is {size[0]}x{size[1]}; needed are 8 to 8,192 pixels a side"):
        BuildConfig(size=size)


@pytest.mark.parametrize(
    "given",
    [{"train": 0.9}, {"test": -0.15, "train": 1.0}, {"per_class": 5}, {"balanced_test": True, "per_class": 0}],
)
def test_shares_that_cannot_be_split_by_are_refused_as_curate_split_does(given):
    with pytest.raises(DataError) as error:
        BuildConfig(**given)
    with pytest.raises(DataError) as of_split:
        SplitConfig(**given)
    assert str(error.value) == str(of_split.value)


def test_how_to_split_is_what_was_given():
    given = {
        "train": 0.5, "val": 0.2, "test": 0.3, "balanced_test": True, "per_class": 7, "fresh": True,
        "labels": "l.csv", "artifacts": "here", "seed": 4,
    }  # fmt: skip
    assert BuildConfig(**given).split == SplitConfig(**given)
    assert BuildConfig().split == SplitConfig()


def test_the_sets_are_those_that_the_corruptions_belong_to():
    assert {name for corruption in CORRUPTIONS.values() for name in corruption.sets} == set(SETS)


def test_the_names_of_published_severities_are_those_that_there_are():
    assert tuple(PRESETS) == PRESET_NAMES
    assert {BuildConfig(severities=name).severities for name in (CALIBRATED, *PRESET_NAMES)} == {CALIBRATED, *PRESETS}


@pytest.mark.parametrize("fit", FITS)
def test_every_way_to_fit_can_be_asked_for(fit):
    assert BuildConfig(fit=fit).fit == fit


def test_every_option_is_explained():
    helps = {of.name: of.option.help for of in field_options(BuildConfig)}
    assert [field.name for field in fields(BuildConfig) if not helps.get(field.name)] == []


def test_a_configuration_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        BuildConfig().seed = 1
