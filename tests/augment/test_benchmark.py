import json

import numpy as np
import pytest

from augment.benchmark import COMPOSED, benchmark_of, chosen_corruptions, severities_of
from augment.configs import SETS, BuildConfig
from augment.corruptions.corruption import CORRUPTIONS, SEVERITIES, TEST, VALIDATION
from augment.corruptions.presets import PRESETS, preset
from augment.making import COMPOSED_SEVERITIES
from augment.overlap import VERDICTS
from augment.policies.library import policy
from curate.stage.errors import DataError
from curate.stage.progress import Silent
from curate.stage.records import document_of

UNITS = {"side": 32.0, "sd_l": 5.0, "sd_a": 3.0, "sd_b": 3.0}
ALL = {"train": True, "val": True, "test": True}


@pytest.fixture(scope="module")
def pictures(cells_of):
    return list(cells_of((20, 20))[0])


@pytest.fixture
def features():
    from augment.preparing import load_features

    return load_features("auto", None, 32, 1)[0]


def found(pictures, features, present=ALL, of="light", **given):
    config = BuildConfig(benchmark=given.pop("benchmark", ("blood",)), **given)
    return benchmark_of(policy(of), pictures, features, UNITS, present, config, Silent())


# Which corruptions


@pytest.mark.parametrize("name", SETS)
def test_the_corruptions_of_a_set_are_those_that_say_so(name):
    chosen = chosen_corruptions(BuildConfig(benchmark=(name,)))
    assert chosen == {n: c for n, c in CORRUPTIONS.items() if name in c.sets}
    assert {c.role for c in chosen.values()} == {TEST, VALIDATION}


def test_all_sets_together_are_all_corruptions():
    assert chosen_corruptions(BuildConfig()) == dict(CORRUPTIONS)
    assert chosen_corruptions(BuildConfig(benchmark=())) == {}


@pytest.mark.parametrize("name", PRESETS)
def test_the_corruptions_of_a_preset_are_those_that_were_published(name):
    chosen = chosen_corruptions(BuildConfig(severities=name))
    assert {n: c.operation for n, c in chosen.items()} == {n: of.operation for n, of in preset(name).items()}


def test_published_severities_are_as_published_and_their_distances_are_measured(pictures, quick, features):
    config = BuildConfig(severities="cifar-c")
    chosen = {name: c for name, c in chosen_corruptions(config).items() if name in ("contrast", "gaussian_noise")}
    of = severities_of(chosen, pictures, features, UNITS, config, print)
    assert [values["factor"] for values in of["contrast"].settings] == [0.75, 0.5, 0.4, 0.3, 0.15]
    assert list(of) == ["gaussian_noise", "contrast"]
    for calibrated in of.values():
        assert len(calibrated.distances) == 5
        assert (np.diff(calibrated.distances) > 0).all()


# Which sets


def test_there_is_a_set_for_each_corruption_and_severity_and_composed_tracks_of_each_role(pictures, quick, features):
    entries = found(pictures, features, benchmark=("blood", "common")).entries
    names = [entry.name for entry in entries]
    assert len(set(names)) == len(names)
    corruptions = {entry.corruption for entry in entries if entry.corruption}
    assert corruptions == {
        "brightness", "jpeg_compression", "stain_deposit", "saturate", "gaussian_blur", "speckle_noise",
    }  # fmt: skip
    for entry in entries:
        if entry.corruption:
            assert entry.name == f"benchmark/{entry.corruption}-{entry.severity}"
            assert entry.role == CORRUPTIONS[entry.corruption].role
            assert entry.listing == f"{entry.role} sample"
    assert sum(bool(entry.corruption) for entry in entries) == len(corruptions) * len(SEVERITIES)
    composed = {(entry.name, entry.compose, entry.role, entry.listing) for entry in entries if entry.compose}
    assert composed == {
        (f"benchmark/composed-{number}{suffix}", number, role, f"{role} composed")
        for number in COMPOSED
        for suffix, role in (("", TEST), ("-validation", VALIDATION))
    }


def test_of_one_family_nothing_is_composed(pictures, quick, features):
    entries = found(pictures, features).entries  # of the validation corruptions, blood has one
    assert {entry.name for entry in entries if entry.role == VALIDATION} == {
        f"benchmark/saturate-{s}" for s in SEVERITIES
    }


@pytest.mark.parametrize(("split", "role"), [("test", TEST), ("val", VALIDATION)])
def test_a_split_that_is_empty_has_no_benchmark(pictures, quick, features, split, role):
    entries = found(pictures, features, {**ALL, split: False}, benchmark=("blood", "common")).entries
    assert entries
    assert role not in {entry.role for entry in entries}


def test_without_val_and_test_there_are_no_sets(pictures, quick, features):
    assert found(pictures, features, {"train": True, "val": False, "test": False}).entries == ()


def test_severities_are_strictly_farther_from_the_clean_pictures(pictures, quick, features):
    for calibrated in found(pictures, features, benchmark=("blood", "common")).calibrated.values():
        assert (np.diff(calibrated.distances) > 0).all()


def test_a_corruption_that_does_nothing_to_these_pictures_is_left_out_and_that_is_told(quick, features):
    plain = [np.full((32, 32, 3), colour, np.uint8) for colour in np.random.default_rng(0).integers(60, 190, (40, 3))]
    of = found(plain, features, benchmark=("blood", "common"), allow_overlap=True)
    assert "gaussian_blur" not in of.corruptions
    assert "gaussian_blur does next to nothing to these pictures, and is left out" in of.notes
    assert "brightness" in of.corruptions
    assert not any(entry.corruption == "gaussian_blur" for entry in of.entries)


# What is told of them


def test_the_document_describes_every_set(pictures, quick, features):
    of = found(pictures, features, benchmark=("blood", "common"))
    told = document_of(of.record({entry.name: 5 for entry in of.entries}))
    assert json.loads(json.dumps(told)) == told
    assert (told["severities"], told["composed"]["severities"]) == ("calibrated", list(COMPOSED_SEVERITIES))
    assert [s["name"] for s in told["sets"]] == [entry.name.removeprefix("benchmark/") for entry in of.entries]
    for s in told["sets"]:
        assert s["images"] == 5
        assert s["verdict"] in ("disjoint", "near", "identical")
        assert s["because"]
        if "severity" in s:
            assert s["values"] == of.calibrated[s["corruption"]].settings[s["severity"] - 1]
            assert s["distance"] == of.calibrated[s["corruption"]].distances[s["severity"] - 1]
            assert s["family"] == CORRUPTIONS[s["corruption"]].family
        else:
            assert s["composed"] in COMPOSED


def test_a_composed_track_is_as_near_to_a_policy_as_the_nearest_of_its_parts(pictures, quick, features):
    of = found(pictures, features, benchmark=("blood", "common"))
    for role, name in ((TEST, "composed-2"), (VALIDATION, "composed-3-validation")):
        parts = {of.verdicts[part].verdict for part, c in of.corruptions.items() if c.role == role}
        assert of.verdicts[name].verdict == next(verdict for verdict in VERDICTS if verdict in parts)
        assert of.verdicts[name].corruption == name


# What a policy may not contain


@pytest.fixture
def same(tmp_path):
    """A policy that is made of the benchmark, and one that is made of its validation part."""
    (tmp_path / "test.toml").write_text('steps = [{op = "jpeg", quality = [2, 100]}]\n')
    (tmp_path / "validation.toml").write_text('steps = [{op = "gaussian_blur", sigma = [0, 0.1]}]\n')
    return tmp_path


def test_a_policy_that_contains_a_test_corruption_is_refused(pictures, quick, features, same):
    with pytest.raises(DataError, match=r"policy test contains what the benchmark tests: jpeg_compression\. .*overlap"):
        found(pictures, features, of=str(same / "test.toml"))


def test_it_is_built_all_the_same_where_that_is_asked_for(pictures, quick, features, same):
    of = found(pictures, features, of=str(same / "test.toml"), allow_overlap=True)
    assert of.verdicts["jpeg_compression"].verdict == "identical"
    assert of.verdicts["composed-2"].verdict == "identical"


def test_a_policy_may_contain_a_validation_corruption(pictures, quick, features, same):
    of = found(pictures, features, of=str(same / "validation.toml"), benchmark=("common", "blood"))
    assert of.verdicts["gaussian_blur"].verdict == "identical"
    assert of.verdicts["composed-2-validation"].verdict == "identical"


def test_where_there_is_no_test_set_nothing_is_refused(pictures, quick, features, same):
    assert found(pictures, features, {**ALL, "test": False}, of=str(same / "test.toml")).entries
