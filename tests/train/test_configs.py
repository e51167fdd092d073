from dataclasses import FrozenInstanceError, fields

import pytest

from curate.stage.errors import DataError, UnknownName
from curate.stage.options import field_options
from train.configs import (
    OPTIMIZERS,
    EvaluateConfig,
    FitConfig,
    ModelConfig,
    RunConfig,
    views_fitted,
)  # fmt: skip

CONFIGS = (ModelConfig, FitConfig, EvaluateConfig, RunConfig)


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_option_has_a_default_and_cannot_be_changed_afterwards(kind):
    config = kind()
    assert config == kind()
    for option in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(config, option.name, None)


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_option_says_what_it_is(kind):
    options = field_options(kind)
    assert options
    for entry in options:
        assert entry.option.help.strip().endswith("."), entry.name


@pytest.mark.parametrize(
    ("unfreeze", "epochs", "rate", "stages"),
    [
        ((0.6,), (10,), (5e-4,), ((0.6, 10, 5e-4),)),
        ((0.0, 0.5, 1.0), (2,), (1e-3, 1e-4), ((0.0, 2, 1e-3), (0.5, 2, 1e-4), (1.0, 2, 1e-4))),
        ((1.0,), (3, 0), (1e-3,), ((1.0, 3, 1e-3), (1.0, 0, 1e-3))),
    ],
)
def test_the_last_value_goes_on_for_stages_that_have_none(unfreeze, epochs, rate, stages):
    assert FitConfig(unfreeze=unfreeze, epochs=epochs, learning_rate=rate).stages == stages


@pytest.mark.parametrize("name", ["unfreeze", "epochs", "learning_rate"])
def test_there_is_a_stage_at_least(name):
    with pytest.raises(DataError, match=f"{name} is empty; needed is a value for each stage"):
        FitConfig(**{name: ()})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (FitConfig, "optimizer", "adm"), (FitConfig, "batch_norm", "no"), (FitConfig, "schedule", "cos"),
        (FitConfig, "precision", "float16"), (FitConfig, "class_weights", "plans"), (FitConfig, "flips", "all"),
        (FitConfig, "select", "test"), (FitConfig, "devices", "two"), (ModelConfig, "attention", "sea"),
        (EvaluateConfig, "tta", "flip"), (EvaluateConfig, "filter", "highpass"),
    ],
)  # fmt: skip
def test_a_name_that_is_none_is_refused_with_those_that_are(kind, name, value):
    with pytest.raises(UnknownName, match=f"no {name.replace('_', ' ')} named '{value}'.* Known: "):
        kind(**{name: value})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_may_be_asked_for(name):
    assert FitConfig(optimizer=name).optimizer == name


@pytest.mark.parametrize("name", ["momentum", "warmup", "ema", "label_smoothing", "mix"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_are_from_0_to_1(name, value):
    with pytest.raises(DataError, match=f"{name} is .*; needed is a share from 0 to 1"):
        FitConfig(**{name: value})


@pytest.mark.parametrize(
    ("kind", "name", "value", "least"),
    [
        (FitConfig, "weight_decay", -1e-3, 0), (FitConfig, "clip", -1, 0), (FitConfig, "batch", 0, 1),
        (FitConfig, "focal", -1, 0), (FitConfig, "mixup", -1, 0), (FitConfig, "cutmix", -1, 0),
        (FitConfig, "jsd", -1, 0), (FitConfig, "refine", -1, 0), (FitConfig, "patience", -1, 0),
        (FitConfig, "folds", -1, 0), (FitConfig, "seeds", 0, 1), (FitConfig, "epochs", (3, -1), 0),
        (ModelConfig, "input_size", 7, 8), (ModelConfig, "l2", -1, 0), (ModelConfig, "dense", (8, 0), 1),
        (EvaluateConfig, "resamples", 0, 1), (RunConfig, "workers", -1, 0), (RunConfig, "seed", -1, 0),
    ],
)  # fmt: skip
def test_numbers_below_the_least_are_refused(kind, name, value, least):
    with pytest.raises(DataError, match=f"{name} is .*; needed is a (whole )?number from {least}"):
        kind(**{name: value})


@pytest.mark.parametrize("rate", [0.0, -1e-3, float("nan")])
def test_a_learning_rate_is_above_nothing(rate):
    with pytest.raises(DataError, match="needed is a number above 0"):
        FitConfig(learning_rate=(1e-3, rate))


@pytest.mark.parametrize("name", ["folds", "refine"])
def test_one_of_them_is_none(name):
    with pytest.raises(DataError, match=f"{name} is 1; needed are 2 at least, or 0 for none"):
        FitConfig(**{name: 1})


def test_what_contradicts_itself_is_refused():
    with pytest.raises(DataError, match="Leave one out"):
        FitConfig(jsd=1.0, mixup=0.2)
    with pytest.raises(DataError, match="no backbone is named"):
        ModelConfig(backbone=())
    with pytest.raises(DataError, match="one weights file cannot serve 2 backbones"):
        ModelConfig(backbone=("cnn", "MobileNet-0.25"), weights="mine.h5")
    assert ModelConfig(backbone=("cnn", "MobileNet-0.25"), weights="random").weights == "random"


@pytest.mark.parametrize(("flips", "views"), [("dihedral", "flips"), ("flip", "none"), ("none", "none")])
def test_a_model_is_shown_what_it_was_fitted_to(flips, views):
    assert views_fitted(FitConfig(flips=flips)) == views
