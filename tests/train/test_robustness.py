import numpy as np
import pytest

from curate.stage.errors import DataError
from train.answers import Answers, Track
from train.metrics import Benchmark, WorstClass
from train.robustness import mean_accuracy, relative_errors, shares, under_shift

CLASSES = ("ant", "bee")
CLEAN = Track("test", "test")
FOG = (Track("fog-1", "test", "fog", 1, "weather", "near"), Track("fog-3", "test", "fog", 3, "weather", "near"))
NOISE = Track("noise-2", "test", "noise", 2, "noise", "disjoint")
COMPOSED = Track("composed-2", "test", "composed-2", 0, "", "near")
TO_SELECT = Track("spatter-1", "validation", "spatter", 1, "weather", "disjoint")


def answers(right: dict[Track, list[int]]) -> Answers:
    """Answers of which it is given what is right; the images of each set are made of sources 0, 1, 2 ... in turn."""
    tracks = tuple(right)
    sources = np.concatenate([np.arange(len(values)) for values in right.values()])
    labels = sources % 2
    hit = np.concatenate(list(right.values())).astype(bool)
    probabilities = np.where((np.where(hit, labels, 1 - labels)[:, None] == np.arange(2)), 0.9, 0.1)
    sets = np.repeat(np.arange(len(tracks)), [len(values) for values in right.values()])
    ids = sources.astype(str).astype(object)
    return Answers(tracks, sets, ids, ids, sources, labels, probabilities.astype(np.float32))


# Accuracies: clean 1, fog 0.75 and 0.25, noise 0.5, both at once 0.25.
SOME = {
    CLEAN: [1, 1, 1, 1], FOG[0]: [1, 1, 1, 0], FOG[1]: [1, 0, 0, 0], NOISE: [1, 1, 0, 0], COMPOSED: [1, 0, 0, 0],
}  # fmt: skip


def told(right: dict[Track, list[int]], role: str = "test") -> Benchmark:
    found = under_shift(answers(right), role, CLASSES, 200, 0)
    assert found is not None
    return found


def test_the_mean_is_over_corruptions_and_of_each_over_its_severities():
    found = told(SOME)
    assert found.mean_accuracy == 0.5  # fog counts as much as noise, though it has two sets
    assert found.mean_corruption_error == 0.5
    assert found.severities == {"1": 0.75, "2": 0.5, "3": 0.25}
    assert found.corruptions["fog"].accuracy == 0.5
    assert found.corruptions["fog"].severities == {"1": 0.75, "3": 0.25}
    assert found.corruptions["noise"].family == "noise"
    assert (found.images, found.sources) == (16, 4)


def test_composed_tracks_and_verdicts_are_told_apart():
    found = told(SOME)
    assert found.composed["composed-2"].accuracy == 0.25
    assert found.composed["composed-2"].verdict == "near"
    assert (found.near.corruptions, found.near.mean_accuracy) == (1, 0.5)
    assert (found.disjoint.corruptions, found.disjoint.mean_accuracy) == (1, 0.5)
    assert found.identical is None


def test_a_corruption_is_as_near_as_its_nearest_severity():
    nearer = Track("noise-4", "test", "noise", 4, "noise", "identical")
    assert told({**SOME, nearer: [1, 1, 1, 1]}).corruptions["noise"].verdict == "identical"
    unknown = Track("noise-2", "test", "noise", 2, "noise", "")
    assert told({CLEAN: [1, 1], unknown: [1, 0]}).corruptions["noise"].verdict == ""


def test_the_gap_is_to_the_clean_pictures_of_the_same_sources():
    # Half of the test images are in the benchmark; of these one is wrong when clean.
    found = told({CLEAN: [1, 0, 1, 1], NOISE: [1, 0]})
    assert found.clean_accuracy == 0.5
    assert found.gap == 0
    assert found.gap_interval == (0, 0)  # the same images are right
    assert told(SOME).gap == 0.5
    assert told({NOISE: [1, 0]}).gap is None


def test_sets_to_select_by_are_not_among_those_to_measure_on():
    both = {**SOME, TO_SELECT: [1, 1, 1, 1]}
    assert told(both).mean_accuracy == 0.5
    assert told(both, "validation").mean_accuracy == 1
    assert under_shift(answers(SOME), "validation", CLASSES, 10, 0) is None
    assert under_shift(answers({CLEAN: [1]}), "test", CLASSES, 10, 0) is None


def test_composed_tracks_alone_have_no_mean_over_corruptions():
    found = told({CLEAN: [1, 1], COMPOSED: [1, 0]})
    assert found.composed["composed-2"].accuracy == 0.5
    assert found.mean_accuracy is None


def test_the_worst_class_under_shift_is_named():
    found = told({CLEAN: [1] * 4, NOISE: [1, 0, 1, 0], FOG[0]: [1, 1, 0, 0]})
    assert found.per_class == {"ant": 0.75, "bee": 0.25}
    assert found.worst_class == WorstClass("bee", 0.25)


def test_intervals_hold_the_accuracies_and_shrink_with_the_number_of_sources():
    rng = np.random.default_rng(0)
    widths = []
    for count in (30, 300):
        right = {track: (rng.random(count) < 0.7).astype(int).tolist() for track in (CLEAN, *FOG, NOISE)}
        found = told(right)
        low, high = found.interval
        assert low < found.mean_accuracy < high
        one = found.corruptions["fog"]
        assert one.intervals["1"][0] < one.severities["1"] < one.intervals["1"][1]
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_mean_of_sets_of_the_same_sources_is_no_surer_than_the_sources_are():
    # Sources are right or wrong in all sets alike: four sets tell no more than one.
    right = (np.random.default_rng(0).random(100) < 0.7).astype(int).tolist()
    found = shares(answers(dict.fromkeys((*FOG, NOISE), right)), 300, 0)
    together, alone = (np.std(draws) for draws in (found.mean((*FOG, NOISE))[1], found.draws[:, 0]))
    assert together == pytest.approx(alone)


def test_a_mean_without_draws_is_the_same():
    of = answers(SOME)
    single = [track for track in of.tracks if track.corruption and not track.composed]
    assert mean_accuracy(of.of(single)) == told(SOME).mean_accuracy
    assert mean_accuracy(of.of([CLEAN])) == 1


def test_errors_are_divided_by_those_of_the_baseline_as_hendrycks_and_dietterich_have_it():
    # Errors: fog 0.25 + 0.75 here, 0.5 + 1 there; noise 0.5 here, 0.25 there; clean 0 here, 0.25 there.
    baseline = told({CLEAN: [1, 1, 1, 0], FOG[0]: [1, 1, 0, 0], FOG[1]: [0] * 4, NOISE: [1, 1, 1, 0]})
    found = relative_errors(told(SOME), baseline, "plain")
    assert found.run == "plain"
    assert found.ce == {"fog": pytest.approx(1 / 1.5), "noise": pytest.approx(2)}
    assert found.mce == pytest.approx((1 / 1.5 + 2) / 2)
    # What is lost to the corruption: fog 1 of (1.5 - 0.5), noise 0.5 of nothing.
    assert found.relative_ce == {"fog": pytest.approx(1), "noise": None}
    assert found.relative_mce == pytest.approx(1)


def test_a_model_divided_by_itself_is_one():
    found = relative_errors(told(SOME), told(SOME), "itself")
    assert found.mce == found.relative_mce == 1


def test_without_the_clean_pictures_nothing_is_relative_to_them():
    shifted = {track: right for track, right in SOME.items() if track is not CLEAN}
    found = relative_errors(told(shifted), told(SOME), "plain")
    assert found.mce == 1
    assert found.relative_ce == {"fog": None, "noise": None}
    assert found.relative_mce is None


def test_a_baseline_of_another_benchmark_is_refused():
    with pytest.raises(DataError, match="plain was measured on 1 corruptions, this model on 2"):
        relative_errors(told(SOME), told({CLEAN: [1, 1], NOISE: [1, 0]}), "plain")
    with pytest.raises(DataError, match="not the same"):
        relative_errors(told(SOME), told({CLEAN: [1, 1], NOISE: [1, 0], FOG[0]: [1, 0]}), "plain")
    with pytest.raises(DataError, match="on 0 corruptions"):
        relative_errors(told(SOME), None, "plain")
