import pytest

from curate.checks import CHECKS
from curate.findings import SEVERITY
from curate.stage.errors import UnknownName
from curate.stage.registry import Registry


@pytest.fixture
def sounds() -> Registry:
    registry = Registry("sound")

    @registry.add
    def moo() -> str:
        return "moo"

    @registry.add
    def baa() -> str:
        return "baa"

    return registry


def test_functions_are_found_under_their_own_names_in_the_order_of_adding(sounds):
    assert list(sounds) == ["moo", "baa"]
    assert [function() for function in sounds.values()] == ["moo", "baa"]
    assert len(sounds) == 2
    assert "moo" in sounds
    assert "oink" not in sounds


def test_adding_gives_the_function_back_unchanged(sounds):
    def oink() -> str:
        return "oink"

    assert sounds.add(oink) is oink


def test_a_second_function_of_a_name_is_an_error_and_the_first_stays(sounds):
    first = sounds["moo"]

    def moo() -> str:
        return "MOO"

    with pytest.raises(ValueError, match="a sound named 'moo' is registered already"):
        sounds.add(moo)
    assert sounds["moo"] is first


def test_an_unknown_name_is_answered_with_the_nearest(sounds):
    with pytest.raises(UnknownName, match=r"no sound named 'mo'\. Did you mean 'moo'\? Known: baa, moo"):
        sounds["mo"]
    assert sounds.get("mo") is None


def test_anything_can_be_registered_under_a_name():
    heights: Registry[float] = Registry("mountain")
    heights.put("Ortler", 3905.0)
    assert heights["Ortler"] == 3905.0
    assert dict(heights) == {"Ortler": 3905.0}
    with pytest.raises(ValueError, match="a mountain named 'Ortler' is registered already"):
        heights.put("Ortler", 3906.0)
    assert heights["Ortler"] == 3905.0
    with pytest.raises(UnknownName, match=r"no mountain named 'Ortlr'\. Did you mean 'Ortler'\?"):
        heights["Ortlr"]


def test_two_registries_share_nothing(sounds):
    assert not Registry("sound")


def test_every_check_is_registered_and_each_that_is_has_its_place_in_the_order_of_telling():
    assert sorted(CHECKS) == sorted(SEVERITY)


def test_every_check_says_in_its_docstring_what_it_finds():
    assert all(check.__doc__ for check in CHECKS.values())
