import numpy as np
import pytest

from curate.faults.spoiling import COLOURS, FAULTS, STRENGTHS, cast_name
from curate.stage.errors import UnknownName


def test_every_colour_and_strength_of_a_cast_is_a_fault_by_its_name():
    names = {cast_name(colour, strength) for colour in COLOURS for strength in STRENGTHS}
    assert names < set(FAULTS)
    assert set(FAULTS) - names == {"blur", "dark", "light", "grey", "solid"}


@pytest.mark.parametrize(("colour", "strength"), [("bleu", "strong"), ("blue", "weak")])
def test_a_cast_that_is_none_is_answered_with_the_nearest(colour, strength):
    with pytest.raises(UnknownName):
        cast_name(colour, strength)


def test_a_spoiled_picture_depends_on_its_draws_alone():
    image = np.random.default_rng(0).integers(60, 200, (24, 24, 3)).astype(np.uint8)
    for fault in FAULTS.values():
        assert np.array_equal(fault(image, np.random.default_rng(5)), fault(image, np.random.default_rng(5)))
