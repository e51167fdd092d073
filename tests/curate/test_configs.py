from dataclasses import FrozenInstanceError, fields

import pytest

from curate.configs import MAP_NAMES, ScanConfig, SplitConfig
from curate.findings import SEVERITY
from curate.measuring.mapping import MAPS
from curate.stage.errors import DataError, UnknownName
from curate.stage.options import field_options


@pytest.mark.parametrize("given", [{"drop": ("drak",)}, {"review": ("drak",)}, {"thresholds": {"drak": 0.7}}])
def test_a_check_that_is_none_is_answered_with_the_nearest(given):
    with pytest.raises(UnknownName, match=r"no check named 'drak'\. Did you mean 'dark'\?"):
        ScanConfig(**given)


@pytest.mark.parametrize("name", SEVERITY)
def test_every_check_can_be_dropped_reviewed_and_given_a_threshold(name):
    assert ScanConfig(drop=(name,), thresholds={name: 1.0}).drop == (name,)
    assert ScanConfig(review=(name,), thresholds={name: 0.01}).review == (name,)


@pytest.mark.parametrize("value", [0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_threshold_no_score_can_meet_or_every_score_does_is_refused(value):
    with pytest.raises(DataError, match="the threshold of dark is"):
        ScanConfig(thresholds={"dark": value})


def test_one_check_cannot_be_dropped_and_reviewed():
    with pytest.raises(DataError, match="dark is given to both"):
        ScanConfig(drop=("dark", "leak"), review=("dark",))


def test_fewer_than_no_workers_are_refused():
    with pytest.raises(DataError, match="workers is -1"):
        ScanConfig(workers=-1)


def test_a_seed_that_no_generator_takes_is_refused():
    with pytest.raises(DataError, match="seed"):
        ScanConfig(seed=-1)


@pytest.mark.parametrize("beside", [{"backbone": "builtin"}, {"weights": "w.h5"}])
def test_own_vectors_go_without_a_backbone(beside):
    with pytest.raises(DataError, match="--embeddings goes without a backbone"):
        ScanConfig(embeddings="own.npy", **beside)


def test_a_map_that_is_none_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match=r"no map named 'umpa'\. Did you mean 'umap'\? Known: none, pca, tsne, umap"):
        ScanConfig(map="umpa")


def test_the_names_of_maps_are_those_of_the_registered_ones_and_none():
    assert sorted(MAP_NAMES) == sorted([*MAPS, "none"])


@pytest.mark.parametrize("config", [ScanConfig, SplitConfig])
def test_every_option_is_explained(config):
    helps = {of.name: of.option.help for of in field_options(config)}
    assert [field.name for field in fields(config) if not helps.get(field.name)] == []


@pytest.mark.parametrize("config", [ScanConfig, SplitConfig])
def test_a_configuration_cannot_be_changed(config):
    with pytest.raises(FrozenInstanceError):
        config().seed = 1
