import json

import numpy as np
import pytest

from augment.corruptions.corruption import CORRUPTIONS
from augment.corruptions.presets import PRESETS, preset
from augment.policies import library
from augment.policies.policy import Context
from augment.policies.recording import record_of
from curate.stage.errors import DataError

UNITS = {"side": 96.0, "sd_l": 20.0, "sd_a": 5.0, "sd_b": 5.0}


@pytest.mark.parametrize("name", library.NAMES)
def test_what_a_policy_draws_is_a_record(name):
    context = Context(UNITS, np.arange(9))
    for copy in range(1, 60):
        record = library.policy(name).draw(np.random.default_rng([copy]), copy, context)
        assert record_of(json.dumps(record)) == record


def test_what_a_corruption_draws_is_a_record():
    rng = np.random.default_rng(0)
    for corruption in CORRUPTIONS.values():
        for strength in (0, 0.5, 1):
            record = [corruption.draw(corruption.settings(strength, UNITS), rng, UNITS)]
            assert record_of(json.dumps(record)) == record


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_published_corruption_draws_is_a_record(name):
    for published in preset(name).values():
        for settings in published.settings:
            record = [published.corruption().draw(settings, np.random.default_rng(0), UNITS)]
            assert record_of(json.dumps(record)) == record


NESTED = '[{"op": "mixup", "row": 1, "kept": 0.5, "first": ' * 200 + "[]" + "}]" * 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "what was done to it is no JSON"),
        ("[" * 100_000, "nested deeper than any policy draws"),
        ("{}", "is no list of operations"),
        ("[3]", "is no list of operations"),
        (NESTED, "nested deeper than any policy draws"),
        ("[{}]", "there is no operation None"),
        ('[{"op": ["augmix"]}]', "there is no operation"),
        ('[{"op": "system"}]', "there is no operation 'system'"),
        ('[{"op": "gamma"}]', "gamma takes exponent"),
        ('[{"op": "gamma", "exponent": "1"}]', "exponent of gamma is 1, which no policy draws"),
        ('[{"op": "gamma", "exponent": NaN}]', "exponent of gamma is nan"),
        ('[{"op": "gamma", "exponent": 1' + "0" * 400 + "}]", "exponent of gamma is 1000"),
        ('[{"op": "gamma", "exponent": true}]', "exponent of gamma is True"),
        ('[{"op": "zoom_blur", "zoom": 1.3, "step": 1e-9}]', "step of zoom_blur is 1e-09"),
        ('[{"op": "gaussian_noise", "sd": 9, "seed": -1}]', "the seed of gaussian_noise is no whole number"),
        ('[{"op": "call", "function": "a.py:f", "digest": 3, "seed": 0}]', "a call is of a function"),
        ('[{"op": "augmix", "chains": [[]], "weights": [], "share": 0.5}]', "augmix has chains, a weight of each"),
        ('[{"op": "cutmix", "row": 0, "kept": 0.5, "first": []}]', "cutmix is of a row and of shares"),
        ('[{"op": "mixup", "row": -1, "kept": 0.5, "first": []}]', "mixup is of a row and of shares"),
    ],
)
def test_what_no_policy_draws_is_told_before_it_is_done(text, message):
    with pytest.raises(DataError, match=message):
        record_of(text)
