import csv
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from curate.stage.errors import DataError, Diverged, MissingExtra, OutputError, UnknownName
from train.configs import SEARCHES, FitConfig, ModelConfig, RunConfig, TuneConfig
from train.recipe import Recipe, load_recipe
from train.tuning import Choice, Span, read_space, tune

SPACE = """[space]
learning_rate = [1e-5, 1e-1, "log"]
dropout = [0.0, 0.9, "linear"]
unfreeze = [0.3, 0.6, 1.0]
dense = [[], [128]]
"""
# Two options: after six trials by chance the Gaussian process draws.
SMALL = "\n".join(SPACE.splitlines()[:3])


def quadratic(config: RunConfig) -> float:
    """1 at a learning rate of 1e-3, a dropout of 0.3, 0.6 unfrozen and one dense layer; less elsewhere."""
    (rate,), (share,) = config.fit.learning_rate, config.fit.unfreeze
    off = ((math.log10(rate) + 3) / 4) ** 2 + (config.model.dropout - 0.3) ** 2 + (share - 0.6) ** 2
    return 1 - off - 0.1 * (config.model.dense != (128,))


class Scores:
    """A score that remembers what it was asked, and how often."""

    def __init__(self, score: Callable[[RunConfig], float] = quadratic, stop: int = 10**6) -> None:
        self.score, self.stop, self.asked = score, stop, []

    def __call__(self, config: RunConfig) -> float:
        if len(self.asked) == self.stop:
            raise KeyboardInterrupt
        self.asked.append(config)
        return self.score(config)


class Lines:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with space.toml and small.toml in it, and where artifacts go."""
    monkeypatch.chdir(tmp_path)
    Path("space.toml").write_text(SPACE, "utf-8")
    Path("small.toml").write_text(SMALL, "utf-8")
    return tmp_path


@pytest.fixture
def recipe() -> Recipe:
    return Recipe("mine", RunConfig(fit=FitConfig(epochs=(12,))), "About.", "ours", "light")


@pytest.fixture
def searched(here, recipe):
    """Search as told, and return what was found and what was asked."""
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed")

    def search(score=quadratic, stop=10**6, of=recipe, name=None, seed=0, **options):
        scores = Scores(score, stop)
        of = replace(of, config=replace(of.config, name=name, seed=seed))
        found = tune(of, TuneConfig(**{"space": "space.toml", "trials": 12, **options}), scores)
        return found, scores.asked

    return search


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# The search


@pytest.mark.parametrize(
    ("how", "space", "trials", "least"),
    [("random", "space", 40, 0.9), ("bayesian", "small", 12, 0.85), ("hyperband", "space", 30, 0.8)],
)
def test_a_good_point_of_a_known_function_is_found(searched, how, space, trials, least):
    found, asked = searched(how=how, space=f"{space}.toml", trials=trials, trial_epochs=9)
    assert found.best.score == max(trial.score for trial in found.trials if trial.epochs == found.best.epochs)
    assert found.best.score >= least
    assert quadratic(found.config) == found.best.score
    assert all(1e-5 <= config.fit.learning_rate[0] <= 1e-1 for config in asked)


@pytest.mark.parametrize("how", SEARCHES)
def test_the_same_seed_searches_alike_and_another_one_does_not(searched, how):
    options = {"how": how, "space": "small.toml", "trials": 8}
    first, again = searched(name="a", **options)[0], searched(name="b", **options)[0]
    assert first.trials == again.trials
    assert (first.path / "trials.csv").read_bytes() == (again.path / "trials.csv").read_bytes()
    assert searched(name="c", seed=1, **options)[0].trials != first.trials


@pytest.mark.parametrize("how", SEARCHES)
def test_an_interrupted_search_goes_on_and_ends_as_if_it_had_not_been(searched, how):
    options = {"how": how, "space": "small.toml", "trials": 8, "trial_epochs": 9}
    whole, asked = searched(name="whole", **options)
    for stop in (0, 1, 6):
        with pytest.raises(KeyboardInterrupt):
            searched(name="cut", stop=stop, **options)
    found, rest = searched(name="cut", **options)
    assert found.trials == whole.trials
    assert len(rest) == len(asked) - 7
    assert files(found.path)["trials.csv"] == files(whole.path)["trials.csv"]


def test_more_trials_go_on_from_those_that_are_there_and_fewer_change_nothing(searched):
    whole, _ = searched(name="whole", trials=9)
    searched(name="more", trials=4)
    found, asked = searched(name="more", trials=9)
    assert found.trials == whole.trials
    assert len(asked) == 5
    before = files(found.path)
    again, none = searched(name="more", trials=2)
    assert (again.trials, none, files(found.path)) == (found.trials, [], before)


def test_each_trial_is_a_short_fit_of_the_recipe_and_the_best_is_as_long_as_that(searched, recipe):
    found, asked = searched(trial_epochs=2, trials=3)
    assert {config.fit.epochs for config in asked} == {(2,)}
    assert found.config.fit.epochs == recipe.config.fit.epochs
    assert {config.fit.epochs for config in searched(trial_epochs=0, trials=3, name="long")[1]} == {(12,)}


def test_epochs_that_are_searched_are_what_a_trial_has(searched, here):
    (here / "space.toml").write_text("[space]\nepochs = [4, 8]", "utf-8")
    found, asked = searched(lambda config: config.fit.epochs[0], trials=5)
    assert [config.fit.epochs for config in asked] in ([(4,), (8,)], [(8,), (4,)])  # and then it is through
    assert found.config.fit.epochs == (8,)


def test_hyperband_fits_many_for_short_and_few_for_long_and_takes_a_long_one(searched):
    found, asked = searched(how="hyperband", trials=50, trial_epochs=9)
    epochs = [config.fit.epochs[0] for config in asked]
    assert set(epochs) == {1, 3, 9}
    assert epochs.count(1) > epochs.count(3)
    assert found.best.epochs == 9
    assert len(found.trials) < 50  # its brackets are through


def test_what_was_drawn_before_is_not_fitted_again(searched, here):
    (here / "space.toml").write_text("[space]\ndropout = [0.1, 0.2]", "utf-8")
    found, asked = searched(how="bayesian", trials=6)
    assert sorted(config.model.dropout for config in asked) == [0.1, 0.2]
    assert {trial.options["dropout"] for trial in found.trials} == {0.1, 0.2}


def test_it_tells_each_trial(here, recipe):
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed")
    reporter = Lines()
    tune(recipe, TuneConfig(space="space.toml", trials=2), quadratic, reporter)
    assert [line.split("  ")[0] for line in reporter.lines] == ["trial 1 of 2", "trial 2 of 2"]
    assert "learning_rate " in reporter.lines[0]


# What is written


def test_the_table_has_every_trial_and_the_best_is_a_recipe_that_can_be_run(searched, recipe):
    found, _ = searched()
    assert found.path == Path("artifacts/tuning/mine")
    table = rows(found.path)
    assert [int(row["trial"]) for row in table] == list(range(1, 13))
    assert [float(row["score"]) for row in table] == [trial.score for trial in found.trials]
    assert [float(row["dropout"]) for row in table] == [trial.options["dropout"] for trial in found.trials]
    best = load_recipe(str(found.path / "best.toml"))
    assert best.config == found.config
    assert (best.about, best.policy, best.config.name) == (recipe.about, recipe.policy, "mine-tuned")
    same = replace(
        best.config,
        model=replace(best.config.model, dropout=0.2, dense=()),
        fit=replace(best.config.fit, learning_rate=(5e-4,), unfreeze=(0.6,)),
    )
    assert (same.model, same.fit, same.evaluate) == (ModelConfig(), recipe.config.fit, recipe.config.evaluate)


def test_another_search_is_not_mixed_with_the_one_that_is_there(searched, here, recipe):
    searched(trials=2)
    for change, told in (
        ({"seed": 1}, "another seed"),
        ({"how": "bayesian", "trial_epochs": 5}, "another how, another trial_epochs"),
        ({"of": replace(recipe, config=replace(recipe.config, fit=FitConfig(batch=9)))}, "another recipe"),
    ):
        with pytest.raises(DataError, match=f"artifacts/tuning/mine holds another search: of {told}. .* --name"):
            searched(trials=2, **change)
    (here / "artifacts" / "built").mkdir()
    (here / "artifacts" / "built" / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="another data"):
        searched(trials=2)
    searched(trials=2, name="other")


def test_where_keras_tuner_draws_otherwise_the_search_is_not_gone_on_with(searched):
    found, _ = searched(trials=3)
    table = (found.path / "trials.csv").read_text("utf-8")
    (found.path / "trials.csv").write_text(table.replace("0.", "0.1"), "utf-8")
    with pytest.raises(DataError, match="does not draw again what it drew"):
        searched(trials=4)


# What goes wrong


@pytest.mark.parametrize("text", ["trial\n1\n", "\0", "trial,score,epochs,failed\n1,x,1,\n", '"' + "x" * 200_000])
def test_a_table_of_trials_that_is_none_is_told(searched, text):
    found, _ = searched(trials=1)
    (found.path / "trials.csv").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"trials\.csv is not what a search writes \(.*Give this search another --name"):
        searched(trials=2)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 50_000])
def test_the_identity_of_a_search_that_is_none_is_told(searched, text):
    found, _ = searched(trials=1)
    (found.path / "search.json").write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"search\.json .* Give this search another --name, or delete that folder"):
        searched(trials=2)


def test_a_trial_that_fails_has_no_score_and_the_search_goes_on(searched):
    faults = iter([None, Diverged("the loss is no number"), None, math.nan, None, DataError("it is too large"), None])

    def score(config: RunConfig) -> float:
        fault = next(faults)
        if isinstance(fault, Exception):
            raise fault
        return fault or quadratic(config)

    found, _ = searched(score, trials=7)
    told = ["", "the loss is no number", "", "it scored nan", "", "it is too large", ""]
    assert [trial.failed for trial in found.trials] == [row["failed"] for row in rows(found.path)] == told
    assert [trial.score is None for trial in found.trials] == [bool(failed) for failed in told]
    assert found.best.score == max(trial.score for trial in found.trials if trial.score is not None)
    assert searched(score, trials=7)[0].trials == found.trials


def test_three_failures_one_after_the_other_end_it(searched):
    def score(config: RunConfig) -> float:
        raise DataError("there is no built set.")

    with pytest.raises(DataError, match=r"3 trials failed one after the other. The last one: there is no built set."):
        searched(score)


@pytest.mark.parametrize("error", [OutputError("the disk is full"), ZeroDivisionError("a mistake of ours")])
def test_what_no_other_trial_would_cure_is_raised(searched, error):
    def score(config: RunConfig) -> float:
        raise error

    with pytest.raises(type(error), match=str(error)):
        searched(score)


def test_without_keras_tuner_the_extra_is_named(here, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    with pytest.raises(MissingExtra, match=r"trustset\[tune\]"):
        tune(recipe, TuneConfig(), quadratic)
    assert not (here / "artifacts").exists()


# The space


def test_a_space_is_spans_and_choices(here):
    (here / "space.toml").write_text(f'{SPACE}batch = [16, 128, "log"]\nl2 = [0, 1, "linear"]', "utf-8")
    assert read_space("space.toml") == {
        "learning_rate": Span(1e-5, 1e-1, log=True, whole=False),
        "dropout": Span(0.0, 0.9, log=False, whole=False),
        "unfreeze": Choice((0.3, 0.6, 1.0)),
        "dense": Choice(((), (128,))),
        "batch": Span(16, 128, log=True, whole=True),
        "l2": Span(0, 1, log=False, whole=False),
    }


def test_every_kind_of_option_can_be_searched(searched, here):
    (here / "space.toml").write_text(
        '[space]\nbatch = [16, 128, "log"]\noptimizer = ["adam", "lion"]\nprobe = [true, false]\nclip = [0, 0.5, 1]\n'
        "unfreeze = [[0.3, 0.6], [1.0]]\ninput_size = [96, 128]",
        "utf-8",
    )
    _, asked = searched(lambda config: config.fit.batch, trials=12)
    assert {type(config.fit.batch) for config in asked} == {int}
    assert {config.fit.optimizer for config in asked} == {"adam", "lion"}
    assert {config.fit.probe for config in asked} == {True, False}
    assert {config.fit.clip for config in asked} == {0.0, 0.5, 1.0}
    assert {config.fit.unfreeze for config in asked} == {(0.3, 0.6), (1.0,)}
    assert {config.model.input_size for config in asked} == {96, 128}


def test_the_space_of_the_package_goes_with_every_recipe(searched):
    assert "learning_rate" in read_space()
    for name in ("baseline", "ai-pacapa"):
        found, asked = searched(lambda config: config.fit.learning_rate[0], of=load_recipe(name), space=None, trials=4)
        assert len(asked) == len({(config.model, config.fit) for config in asked}) == len(found.trials) == 4


@pytest.mark.parametrize(
    ("text", "of", "told"),
    [
        ("[space", DataError, "space.toml: this is no TOML"),
        ("", DataError, r"space.toml: needed is a \[space\]"),
        ("space = 3", DataError, r"needed is a \[space\]"),
        ("[spaces]\n[space]", UnknownName, "space.toml: no section named 'spaces'. Did you mean 'space'"),
        ("[space]\ndropuot = [0.1]", UnknownName, "no option to search named 'dropuot'. Did you mean 'dropout'"),
        ("[space]\ntta = ['flips']", UnknownName, "no option to search named 'tta'"),
        ("[space]\ndropout = 0.1", DataError, "space.toml: dropout is 0.1; needed is a list to choose from"),
        ("[space]\ndropout = []", DataError, "needed is a list to choose from"),
        ("[space]\ndropout = [0.5, 0.1, 'linear']", DataError, "two numbers, the lower first"),
        ("[space]\ndropout = [0.0, 0.5, 'log']", DataError, "both above 0"),
        ("[space]\ndropout = [0.1, 'log']", DataError, "two numbers"),
        ("[space]\ndropout = [0.1, inf, 'log']", DataError, "two numbers"),
        ("[space]\ndropout = [true, 3, 'log']", DataError, "two numbers"),
        ("[space]\ndropout = [0.5, 1.5, 'linear']", DataError, "space.toml: dropout is 1.5; needed is a share"),
        ("[space]\ndropout = [0.5, 1.5]", DataError, "dropout is 1.5; needed is a share"),
        ("[space]\noptimizer = ['adam', 'adm']", UnknownName, "space.toml: no optimizer named 'adm'"),
        ("[space]\nbatch = [16.5, 32, 'log']", DataError, "batch is 16.5; needed is a whole number"),
    ],
)
def test_a_mistake_in_the_space_is_told_before_anything_is_fitted(here, recipe, text, of, told):
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed")
    (here / "space.toml").write_text(text, "utf-8")
    scores = Scores()
    with pytest.raises(of, match=told):
        tune(recipe, TuneConfig(space="space.toml"), scores)
    assert scores.asked == []
    assert not (here / "artifacts").exists()


def test_other_mistakes_are_told(here, recipe):
    pytest.importorskip("keras_tuner", reason="keras-tuner is not installed")
    (here / "space.toml").write_text("[space]\nepochs = [1, 2]", "utf-8")
    with pytest.raises(DataError, match="hyperband gives each trial its epochs"):
        tune(recipe, TuneConfig(space="space.toml", how="hyperband"), quadratic)
    with pytest.raises(DataError, match=r"none.toml cannot be read"):
        tune(recipe, TuneConfig(space="none.toml"), quadratic)
    with pytest.raises(DataError, match="'a/b' is no name"):
        tune(replace(recipe, config=RunConfig(name="a/b")), TuneConfig(), quadratic)
    with pytest.raises(UnknownName, match=r"no way to search named 'radnom'. Did you mean 'random'"):
        TuneConfig(how="radnom")
    with pytest.raises(DataError, match="trials is 0"):
        TuneConfig(trials=0)
