"""tune(recipe, config, score) -> Tuned: search a declared space for options that score well.

    [space]
    learning_rate = [1e-4, 1e-2, "log"]   # a span; or "linear"
    unfreeze = [0.3, 0.6, 1.0]            # a choice of values
    dense = [[], [128], [256, 128]]       # a choice of lists

keras-tuner draws the trials. Each is saved with its score. A search that was interrupted is replayed from there:
keras-tuner draws the same trials, and those with a score are not fitted again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, get_args

from curate.notebooks.progress import onlooker
from curate.stage.documents import own_document, packaged_document
from curate.stage.engine import small_algebra
from curate.stage.errors import DataError, Diverged, MissingExtra, UnknownName, gist, telling
from curate.stage.files import write_text
from curate.stage.lines import json_text
from curate.stage.manifest import file_digest
from curate.stage.progress import Reporter
from curate.stage.records import read_document
from curate.stage.shortness import short_repr

from .configs import RunConfig, TuneConfig
from .recipe import Recipe, options_of, to_toml, with_options
from .runs import run_path

if TYPE_CHECKING:
    from keras_tuner.engine.oracle import Oracle
    from keras_tuner.engine.trial import Trial as DrawnTrial

TRIALS, BEST, SEARCH = "trials.csv", "best.toml", "search.json"
_SCALES = ("linear", "log")
_FAR = 1e300  # beyond it a float's ends are near
_FORMAT = 1
# After this many failed trials in a row, the next one would fail for the same reason.
_IN_A_ROW = 3


@dataclass(frozen=True)
class Span:
    """All numbers from low to high; `log`: halving as likely as doubling; `whole`: whole ones only."""

    low: float
    high: float
    log: bool
    whole: bool


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[object, ...]


Space = Mapping[str, Span | Choice]


@dataclass(frozen=True)
class Trial:
    """One fit: the options that were drawn, epochs of a stage (0 the recipe's), its score, or why there is none."""

    options: Mapping[str, object]
    epochs: int
    score: float | None
    failed: str = ""

    __repr__ = short_repr


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    path  its folder: trials.csv, best.toml, search.json;  best  the trial of the highest score, the longest ones first
    config  the recipe's with the best one's options, for as many epochs as the recipe has
    """

    path: Path
    best: Trial
    config: RunConfig
    trials: tuple[Trial, ...]

    __repr__ = short_repr


def tune(
    recipe: Recipe, config: TuneConfig, score: Callable[[RunConfig], float], reporter: Reporter | None = None
) -> Tuned:
    """Search for the options of a recipe with the highest score: artifacts/tuning/<name>/.

    recipe  its configuration has the seed, the artifacts, and the name, which is the recipe's where it has none
    score   fits by a configuration and returns how well that does: train.training.score_of

    The same recipe, data, options and seed draw the same trials. A search that is there already goes on, with more
    trials where more are asked for. A trial whose fit fails has no score, and the search goes on.

    Raises MissingExtra without keras-tuner, DataError where an option of the space does not do, where the folder holds
    another search, or where trials fail one after the other.
    """
    reporter = reporter or onlooker()
    _keras_tuner()  # before anything is written
    space = read_space(config.space)
    _check_space(space, recipe, config)
    name = recipe.config.name or recipe.name
    run_path(name, "")  # raises where it is no name
    folder = Path(recipe.config.artifacts, "tuning", name)
    past_trials = _recorded_trials(folder, _identity(recipe, config, space), space)
    trials: list[Trial] = []
    most = max(config.trials, len(past_trials))
    with _draws(space, config, recipe.config.seed, most, config.trial_epochs or max(recipe.config.fit.epochs)) as ask:
        for number in range(1, most + 1):
            draw = ask(trials)
            if draw is None:
                reporter.say(f"the search ended after {number - 1} trials")
                break
            options, epochs = draw
            if number <= len(past_trials):
                _check_same(past_trials[number - 1], options, epochs, folder)
                trials.append(past_trials[number - 1])
                continue
            trials.append(_run_trial(recipe, options, epochs, trials, score))
            _write_trials(folder, trials, recipe, name)
            reporter.say(_trial_line(number, most, trials[-1]))
            _check_failures(trials)
    best = _best_trial(trials)
    if best is None:
        raise DataError(f"all {len(trials)} trials failed, the last one as {trials[-1].failed}")
    return Tuned(folder, best, _tuned_config(recipe, best, folder, name), tuple(trials))


# The space


def read_space(path: str | None = None) -> Space:
    """The [space] of a .toml file, or the one of this package: what may be drawn for each option of a fit.

    Raises UnknownName for an option that there is not, DataError for any other mistake.
    """
    document = (
        own_document(path, "Needed is a .toml with a [space].")
        if path
        else packaged_document(resources.files(__package__), "space")
    )
    with document.tables() as table:
        UnknownName.check("section", table, ("space",))
        space = table.get("space")
        if not isinstance(space, dict) or not space:
            raise DataError('needed is a [space] of lines such as learning_rate = [1e-4, 1e-2, "log"].')
        kinds = {name: kind for section in ("model", "fit") for name, kind in options_of(section).items()}
        UnknownName.check("option to search", space, kinds)
        return {name: _read_domain(name, value, kinds[name]) for name, value in space.items()}


def _read_domain(name: str, value: object, kind: object) -> Span | Choice:
    if not isinstance(value, list) or not value:
        raise DataError(f'{name} is {value!r}; needed is a list to choose from, or a span as in [0.0, 0.5, "linear"].')
    if value[-1] not in _SCALES:
        return Choice(tuple(tuple(option) if isinstance(option, list) else option for option in value))
    ends, log = value[:-1], value[-1] == "log"
    numbers = len(ends) == 2 and all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in ends)
    if not numbers or not (0 if log else -_FAR) < ends[0] < ends[1] < _FAR:
        requirement = "two numbers, the lower first" + (", both above 0" if log else "")
        raise DataError(f"{name} is {value!r}; needed before {value[-1]!r} are {requirement}.")
    return Span(ends[0], ends[1], log, int in (kind, *get_args(kind)))


def _check_space(space: Space, recipe: Recipe, config: TuneConfig) -> None:
    """Raise where a value of the space does not do."""
    with telling(config.space or "space.toml"):
        if "epochs" in space and config.how == "hyperband":
            raise DataError("hyperband gives each trial its epochs. Leave them out of the space.")
        for name, domain in space.items():
            for value in domain.values if isinstance(domain, Choice) else (domain.low, domain.high):
                with_options(recipe, {name: value})


# Drawing


Ask = Callable[[Sequence[Trial]], tuple[dict[str, object], int] | None]


@contextmanager
def _draws(space: Space, config: TuneConfig, seed: int, most: int, longest: int) -> Iterator[Ask]:
    """A function from the trials so far to the next one: (options, epochs), None where the search is through."""
    tuner = _keras_tuner()
    # keras-tuner's own files are not kept: trials.csv holds all that a replay needs.
    with tempfile.TemporaryDirectory() as scratch:
        oracle = _oracle(tuner, space, config, seed, most, longest)
        tuner.engine.base_tuner.BaseTuner(oracle, directory=scratch, project_name="search")
        oracle.verbose = 0
        open_draws: list[DrawnTrial] = []

        def ask(trials: Sequence[Trial]) -> tuple[dict[str, object], int] | None:
            with warnings.catch_warnings(), small_algebra(len(trials)):
                warnings.simplefilter("ignore")  # of its threads' names, and of Gaussian processes that do not converge
                if open_draws:
                    _report_score(oracle, open_draws.pop(), trials[-1])
                draw = oracle.create_trial("one")
            if draw.status == "STOPPED":
                return None
            open_draws.append(draw)
            values = draw.hyperparameters.values
            options = {name: _drawn_value(domain, values[name]) for name, domain in space.items()}
            return options, int(values.get("tuner/epochs", config.trial_epochs))

        yield ask


def _keras_tuner() -> ModuleType:
    try:
        import keras_tuner
    except ImportError as error:
        raise MissingExtra("`train tune` needs keras-tuner: pip install 'trustset[tune]'.") from error
    tuner: ModuleType = keras_tuner
    return tuner


def _oracle(tuner: ModuleType, space: Space, config: TuneConfig, seed: int, most: int, longest: int) -> Oracle:
    parameters = tuner.HyperParameters()
    for name, domain in space.items():
        if isinstance(domain, Choice):
            parameters.Choice(name, _parameter_values(domain))
        else:
            make = parameters.Int if domain.whole else parameters.Float
            make(name, domain.low, domain.high, sampling="log" if domain.log else "linear")
    arguments = {
        "objective": tuner.Objective("score", "max"),
        "hyperparameters": parameters,
        "seed": seed + 1,  # 0 is none to it
        "allow_new_entries": False,
        "tune_new_entries": False,
        "max_consecutive_failed_trials": most + 1,  # which is judged here
    }
    if config.how == "hyperband":
        return tuner.oracles.HyperbandOracle(max_epochs=longest, **arguments)
    kind = {"random": tuner.oracles.RandomSearchOracle, "bayesian": tuner.oracles.BayesianOptimizationOracle}
    return kind[config.how](max_trials=most, **arguments)


def _parameter_values(choice: Choice) -> list[object]:
    """The values to choose from as keras-tuner takes them: numbers, whose order counts, or text."""
    numbers = [value for value in choice.values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) == len(choice.values):
        whole = all(isinstance(value, int) for value in numbers)
        return [value if whole else float(value) for value in numbers]
    return [json.dumps(value) for value in choice.values]


def _drawn_value(domain: Span | Choice, value: float | str) -> object:
    if isinstance(domain, Choice):
        return domain.values[_parameter_values(domain).index(value)]
    return int(value) if domain.whole else float(value)


def _report_score(oracle: Oracle, draw: DrawnTrial, trial: Trial) -> None:
    """Report the outcome of the running trial to keras-tuner."""
    if trial.score is not None:
        oracle.update_trial(draw.trial_id, {"score": trial.score})
    draw.status = "FAILED" if trial.score is None else "COMPLETED"
    oracle.end_trial(draw)


# A trial


def _run_trial(
    recipe: Recipe,
    options: Mapping[str, object],
    epochs: int,
    trials: Sequence[Trial],
    score: Callable[[RunConfig], float],
) -> Trial:
    """The trial with its score; one that was drawn before has it already."""
    for trial in trials:
        if (trial.options, trial.epochs) == (options, epochs):
            return trial
    short = {"epochs": epochs} if epochs else {}
    try:
        value = float(score(with_options(recipe, {**short, **options})))
    except (DataError, UnknownName, Diverged) as error:  # also of options that do not go together
        return Trial(options, epochs, None, str(error))
    return Trial(options, epochs, value) if math.isfinite(value) else Trial(options, epochs, None, f"it scored {value}")


def _check_failures(trials: Sequence[Trial]) -> None:
    recent = trials[-_IN_A_ROW:]
    if len(recent) == _IN_A_ROW and all(trial.score is None for trial in recent):
        raise DataError(f"{_IN_A_ROW} trials failed one after the other. The last one: {recent[-1].failed}")


def _best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The first trial of the highest score, among those fitted for the most epochs."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: (trial.epochs, trial.score), default=None)


def _trial_line(number: int, total: int, trial: Trial) -> str:
    options = "  ".join(f"{name} {_option_text(value)}" for name, value in trial.options.items())
    outcome = f"{trial.score:.4f}" if trial.score is not None else f"failed: {trial.failed}"
    return f"trial {number} of {total}  {options}  {outcome}"


def _option_text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else json.dumps(value)


# On disk


def _identity(recipe: Recipe, config: TuneConfig, space: Space) -> dict[str, object]:
    """What must be equal for a search to resume; the number of trials may differ."""
    built = Path(recipe.config.artifacts, "built", "manifest.json")
    same = replace(recipe.config, recipe="", artifacts="", name=None, resume=False, workers=0, seed=0)
    return {
        "format": _FORMAT,
        "how": config.how,
        "trial_epochs": config.trial_epochs,
        "seed": recipe.config.seed,
        "space": {name: repr(domain) for name, domain in space.items()},
        "recipe": to_toml(same),
        "data": file_digest(built) if built.is_file() else "",
    }


def _recorded_trials(folder: Path, identity: dict[str, object], space: Space) -> list[Trial]:
    """The trials that are there already; the search's identity is written where there are none."""
    path = folder / SEARCH
    if path.is_file():
        record = read_document(path, "Give this search another --name, or delete that folder.")
        differences = [key for key in identity if record.get(key) != identity[key]]
        if differences:
            raise DataError(
                f"{folder} holds another search: of another {', another '.join(differences)}. Give this one another "
                "--name, or delete that folder."
            )
    else:
        write_text(json_text(identity) + "\n", path)
    return _read_trials(folder / TRIALS, space)


def _read_trials(path: Path, space: Space) -> list[Trial]:
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            if missing := {*space, "epochs", "score", "failed"} - {*(rows.fieldnames or ())}:
                raise KeyError(min(missing))
            return [
                Trial(
                    {name: _unlisted(json.loads(row[name])) for name in space},
                    int(row["epochs"]),
                    float(row["score"]) if row["score"] else None,
                    row["failed"],
                )
                for row in rows
            ]
    except (csv.Error, ValueError, KeyError, TypeError, RecursionError) as error:  # of a cell, a column, a short row
        raise DataError(
            f"{path} is not what a search writes ({type(error).__name__}: {gist(error)}). Give this search another "
            "--name, or delete that folder."
        ) from error


def _unlisted(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _check_same(trial: Trial, options: Mapping[str, object], epochs: int, folder: Path) -> None:
    """Raise DataError where what is drawn is not what was drawn then."""
    if (trial.options, trial.epochs) != (options, epochs):
        raise DataError(
            f"keras-tuner does not draw again what it drew for {folder / TRIALS}; it may be of another version. Give "
            "this search another --name, or delete that folder."
        )


def _write_trials(folder: Path, trials: Sequence[Trial], recipe: Recipe, name: str) -> None:
    """Write trials.csv, which a search goes on from, and best.toml."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["trial", "score", "epochs", *trials[0].options, "failed"])
    for number, trial in enumerate(trials, 1):
        score = "" if trial.score is None else repr(trial.score)
        rows.writerow([number, score, trial.epochs, *map(json.dumps, trial.options.values()), trial.failed])
    write_text(table.getvalue(), folder / TRIALS)
    best = _best_trial(trials)
    if best is not None:
        head = (
            f"# Trial {trials.index(best) + 1} of {len(trials)} of a search, with the best score: {best.score:.4f}.\n"
        )
        write_text(head + to_toml(_tuned_config(recipe, best, folder, name), recipe), folder / BEST)


def _tuned_config(recipe: Recipe, best: Trial, folder: Path, name: str) -> RunConfig:
    config = with_options(recipe, best.options)
    return replace(config, recipe=str(folder / BEST), name=f"{name}-tuned", resume=False)
