"""train's commands: each reads its options, calls the function of the same name, and prints what came of it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate.commandline import Takes, application, command, files, naming_flags
from curate.stage.options import field_options
from curate.terminal import Output, brief, elsewhere, err, out, print_json, print_json_text, print_table, records

from .configs import (
    CompareConfig,
    EnsembleConfig,
    EvaluateConfig,
    ExplainConfig,
    MeasureConfig,
    ModelExportConfig,
    PredictConfig,
    RunConfig,
    TuneConfig,
)
from .recipe import RECIPES, Recipe, load_recipe, with_options

if TYPE_CHECKING:
    from .metrics import Metrics
    from .training import Trained

# What fits and measures is imported where it is called: it loads numpy, pandas and Keras.

app = application("train", "Fine-tune a reference model and measure it, on clean images and under shift.")
TO_FIT, TO_USE = "Fit a model", "Use what was fitted"
_DEFAULT = RunConfig.recipe


def _runs(incomplete: str) -> Iterable[str]:
    """The runs that there are, to complete a name."""
    from .runs import RUNS

    folder = Path(RunConfig.artifacts, RUNS)
    return sorted(
        path.parent.name for path in folder.glob("*/manifest.json") if path.parent.name.startswith(incomplete)
    )


def _recipes(incomplete: str) -> Iterable[str]:
    """The recipes that there are, and files that may be some."""
    return [name for name in (*RECIPES, *files(incomplete, (".toml",))) if name.startswith(incomplete)]


ModelArgument = Annotated[str, typer.Argument(help="Name or folder of a run, or a .keras file.", autocompletion=_runs)]
RunArgument = Annotated[str, typer.Argument(help="Name or folder of a run.", autocompletion=_runs)]
RunsArgument = Annotated[list[str], typer.Argument(help="Names or folders of runs.", autocompletion=_runs)]
Source = Annotated[Path, typer.Argument(help="An .npz of images and labels, a folder of images, or a list of files.")]


def _train_command(recipe: Recipe) -> None:
    """Add the command of a recipe, whose options are as the recipe has them."""

    def fit(options: Mapping[str, object], output: Output) -> None:
        _train(recipe, options, output)

    fit.__doc__ = f"{recipe.about}\n\nIt is meant for the data of `{recipe.build_command}`."
    takes = Takes(RunConfig, base=recipe.config, defaults={"artifacts": RunConfig.artifacts, "name": None})
    command(app, recipe.name, panel=TO_FIT, takes={"options": takes})(fit)


# Ours first.
_RECIPES = [load_recipe(name) for name in sorted(RECIPES, key=lambda name: name != _DEFAULT)]
for _recipe in _RECIPES:
    _train_command(_recipe)


@command(app, panel=TO_FIT, takes={"options": Takes(RunConfig, unset=True, defaults={"resume": RunConfig.resume})})
def run(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's .toml file, such as a run's config.toml.", autocompletion=_recipes)
    ],
    options: Mapping[str, object],
    output: Output,
) -> None:
    """Fit by a recipe of your own: a .toml file. What is not given is as the recipe has it."""
    _train(load_recipe(recipe), options, output)


def _train(recipe: Recipe, options: Mapping[str, object], output: Output) -> None:
    with output.reporter.stage("starting", None, ""):
        from .runs import metrics_text, run_path
        from .sets import read_built
        from .training import train as fit

    config = _with_typed(recipe, options)
    config = replace(config, name=config.name or recipe.name)
    target = run_path(str(config.name), config.artifacts)
    built = read_built(config.artifacts)  # what is wrong with it is told before Keras starts, which takes seconds
    remarks = [*built.outdated, *_policy_notes(recipe, config.artifacts), *_resume_notes(target, config.resume)]
    output.print_notes(remarks, err)
    _start_keras(output)
    try:
        result = fit(config, output.reporter, built=built)
    except KeyboardInterrupt:
        if _unfinished(target):
            err.print("interrupted; the epochs that were finished are kept: go on with --resume")
        raise
    if output.as_json:
        print_json_text(metrics_text(_trained_json(result)))
    else:
        notes = tuple(note for note in result.notes if note not in remarks)
        _print_trained(replace(result, notes=notes), Path(config.artifacts), output)


def _with_typed(recipe: Recipe, options: Mapping[str, object]) -> RunConfig:
    """The recipe's configuration with the options that were typed. Raises DataError that names their flags."""
    with naming_flags(field_options(RunConfig)):
        return with_options(recipe, options)


def _policy_notes(recipe: Recipe, artifacts: str) -> list[str]:
    """A note where the built set was made by another policy than the recipe's."""
    from .sets import policy_of

    built_by = policy_of(artifacts)
    if not built_by or not recipe.policy or built_by == recipe.policy:
        return []
    return [f"{recipe.name} is meant for the data of `{recipe.build_command}`; this set was built by {built_by}"]


def _resume_notes(target: Path, resume: bool) -> list[str]:
    """A note where a run begins anew that could go on, or could not and was to."""
    draft = _unfinished(target)
    if draft and not resume:
        return [f"the unfinished run in {draft} starts over; --resume would have continued it"]
    return ["nothing to resume: fitting from the start"] if resume and not draft else []


def _unfinished(target: Path) -> Path | None:
    """Where an interrupted run has come to, None where that is nowhere."""
    from curate.stage.drafts import draft_path

    from .checkpoints import FILE

    draft = draft_path(target)
    # Of several seeds or folds one may be through.
    return draft if {FILE, "manifest.json"} & {path.name for path in draft.rglob("*.*")} else None


def _start_keras(output: Output) -> None:
    """Import Keras without what its backend writes to the terminal as it starts; what goes wrong is raised."""
    # That there is no GPU is an error to it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from curate.stage.silence import silence

    with output.reporter.stage("starting Keras", None, ""), silence():
        import keras  # noqa: F401


def _print_trained(trained: Trained, artifacts: Path, output: Output) -> None:
    from .selecting import score_in_words

    metrics = trained.metrics
    out.print()
    _print_measured(metrics)
    out.print()
    for name, spread in (metrics.spread or {}).items():
        values = ", ".join(f"{value:.3f}" for value in spread.values)
        out.print(f"spread  {name} {spread.mean:.3f} ± {spread.sd:.3f} ({values})")
    kept = metrics.fit.kept
    epoch = f"epoch {kept.epoch} of stage {kept.stage}" if kept.stage else "the probe"
    measured = [name.removeprefix("val_") for name in trained.history.columns]
    out.print(f"kept    {epoch}: {kept.score:.3f} on val, {score_in_words(metrics.fit.by, measured)}")
    if metrics.clean:
        worst = metrics.clean.worst_class
        out.print(f"worst   {worst.class_name}: recall {worst.recall:.3f} on clean images")
    out.print("time    " + ", ".join(f"{name} {value:.0f} s" for name, value in trained.seconds.items()))
    output.print_notes(trained.notes)
    out.print(f"report  {trained.path / 'report.html'}      model  {trained.path / 'model.keras'}", whole=True)
    place = elsewhere(artifacts)
    out.print(f"next    train predict {trained.path.name} FILE{place}    or look first: open the report", whole=True)


def _print_measured(metrics: Metrics) -> None:
    """The figures that a person looks for: accuracy on each kind of image, with its interval."""
    import pandas as pd

    from .predicting import views_in_words

    rows: list[dict[str, object]] = []

    def add(name: str, accuracy: float, interval: tuple[float, float]) -> None:
        low, high = interval
        rows.append({"measured on": name, "accuracy": accuracy, "95 % from": low, "to": high})

    if metrics.clean:
        add("clean test images", metrics.clean.accuracy, metrics.clean.interval)
    else:
        for name, measures in (("val", metrics.val), ("train", metrics.train)):
            if measures:
                add(name, measures.accuracy, measures.interval)
    # What a model is selected by is told of where nothing else is.
    shifted = metrics.benchmark or (None if rows else metrics.selection)
    if shifted and shifted.mean_accuracy is not None and shifted.interval and shifted.corruptions:
        count = len(shifted.corruptions)
        add(f"{count} corruptions, mean" if count > 1 else "1 corruption", shifted.mean_accuracy, shifted.interval)
        for words, means in (
            ("disjoint from", shifted.disjoint), ("near", shifted.near), ("identical to", shifted.identical)
        ):  # fmt: skip
            if means:
                add(f"  {words} the policy", means.mean_accuracy, means.interval)
    for name, track in (shifted.composed if shifted and shifted.composed else {}).items():
        add(f"{name.split('-')[1]} corruptions at once", track.accuracy, track.interval)
    for name, measures in metrics.external_measures.items():
        add(name, measures.accuracy, measures.interval)
    print_table(pd.DataFrame(rows))
    if views_in_words(metrics):
        out.print(f"  test-time augmentation: {views_in_words(metrics)}; --tta none takes one view", style="dim")
    against = metrics.benchmark.baseline if metrics.benchmark else None
    if against:
        errors = ", ".join(
            f"{name} {'unknown' if error is None else format(error, '.3f')}"
            for name, error in (("mean corruption error", against.mce), ("relative to clean", against.relative_mce))
        )
        out.print()
        out.print(f"against {against.run}: {errors} (1: as many as {against.run})")


def _trained_json(trained: Trained) -> dict[str, object]:
    return {
        "path": str(trained.path),
        "metrics": trained.metrics,
        "history": trained.history.to_dict("records"),
        "seconds": dict(trained.seconds),
        "notes": list(trained.notes),
    }


@command(app, panel=TO_FIT)
def recipes(output: Output) -> None:
    """List the recipes: whose they are, and the build of their data."""
    if output.as_json:
        print_json(
            [
                {
                    "name": recipe.name,
                    "backbone": list(recipe.config.model.backbone),
                    "about": recipe.about,
                    "origin": recipe.origin,
                    "build": recipe.build_command,
                }
                for recipe in _RECIPES
            ]
        )
        return
    for recipe in _RECIPES:
        out.print(f"{recipe.name}  ({', '.join(recipe.config.model.backbone)})", style="bold")
        out.print(f"    {recipe.about}")
        out.print(f"    {recipe.origin}", style="dim")
        out.print(f"    {recipe.build_command}", style="dim", whole=True)
    if not output.quiet:
        out.print()
        out.print("fit     train NAME      your own: train run mine.toml", whole=True)


@command(app, panel=TO_USE)
def evaluate(
    config: EvaluateConfig,
    place: MeasureConfig,
    output: Output,
    model: ModelArgument = _DEFAULT,
    sets: Annotated[
        list[str] | None,
        typer.Argument(help="test, val, benchmark, one of its sets such as fog-3, or a path; by default all of them."),
    ] = None,
) -> None:
    """Measure a model again: on other sets, with test-time augmentation, against a baseline."""
    with output.reporter.stage("starting", None, ""):
        from curate.stage.files import write_text

        from .evaluation import evaluate as measure
        from .runs import find_model, metrics_text

    find_model(model, place.artifacts)  # before Keras starts
    _start_keras(output)
    result = measure(
        model, sets or (), config, artifacts=place.artifacts, workers=place.workers, seed=place.seed,
        reporter=output.reporter,
    )  # fmt: skip
    if place.out is not None:
        write_text(metrics_text(result.metrics), Path(place.out))
    if output.as_json:
        print_json_text(metrics_text(result.metrics))
        return
    out.print()
    _print_measured(result.metrics)
    output.print_notes(result.notes)
    output.print_seconds(result.seconds)
    if place.out is not None:
        out.print(f"all measures  {place.out}", whole=True)


@command(app, panel=TO_USE)
def compare(runs: RunsArgument, config: CompareConfig, output: Output) -> None:
    """Put runs side by side, and test each against the first on the same images."""
    with output.reporter.stage("starting", None, ""):
        from .comparing import compare as side_by_side
        from .runs import metrics_text

    with output.reporter.stage("comparing", None, ""):
        result = side_by_side(runs, artifacts=config.artifacts, resamples=config.resamples, seed=config.seed)
    if output.as_json:
        tables = {"table": result.table.to_dict("records"), "tests": result.tests.to_dict("records")}
        print_json_text(metrics_text({**tables, "notes": result.notes}))
        return
    print_table(result.table.rename(columns={"low": "95 % from", "high": "to"}))
    out.print()
    tests = result.tests.rename(columns={"p_adjusted": "adjusted"})
    print_table(tests, "differences: intervals by bootstrap over sources, p by permuting predictions")
    output.print_notes(result.notes)


@command(app, panel=TO_USE)
def ensemble(runs: RunsArgument, config: EnsembleConfig, output: Output) -> None:
    """Join the predictions of several runs as a run of its own."""
    with output.reporter.stage("starting", None, ""):
        from .ensembles import ensemble as join
        from .runs import metrics_text

    result = join(runs, config, output.reporter)
    if output.as_json:
        print_json_text(metrics_text({"path": str(result.path), "metrics": result.metrics, "notes": result.notes}))
        return
    out.print()
    _print_measured(result.metrics)
    output.print_notes(result.notes)
    out.print(f"run     {result.path}", whole=True)
    out.print(f"next    train compare {shlex.join([config.name, *runs])}{elsewhere(config.artifacts)}", whole=True)


# Of the table of hardest images, what fits a screen.
_HARDEST = ["id", "class", "said", "clean", "corrupted", "wrong", "worst_set"], 8


@command(app, panel=TO_USE)
def explain(config: ExplainConfig, output: Output, run: RunArgument = _DEFAULT) -> None:
    """Show what a model looks at (Grad-CAM), right, wrong and under corruption, and the images hardest for it."""
    with output.reporter.stage("starting", None, ""):
        from .explanation import explain as show
        from .runs import find_run

    find_run(run, config.artifacts)  # before Keras starts
    _start_keras(output)
    result, path = show(run, config.artifacts, output.reporter, config.images)
    if output.as_json:
        print_json({"picture": str(path), "hardest": [] if config.images else records(result.hardest)})
        return
    if not config.images:
        columns, count = _HARDEST
        print_table(
            result.hardest[columns].head(count).rename(columns={"said": "predicted", "worst_set": "worst under"}),
            "hardest images: predicted class, probability of the true class, share wrong under corruption",
        )
        out.print()
    out.print(f"picture {path}", whole=True)


@command(app, panel=TO_USE, takes={"config": Takes(EvaluateConfig, only=("tta", "filter"))})
def predict(model: ModelArgument, source: Source, config: EvaluateConfig, place: PredictConfig, output: Output) -> None:
    """Predict the classes of images; labels are not needed."""
    with output.reporter.stage("starting", None, ""):
        from .predicting import predict as answer
        from .runs import find_model

    find_model(model, place.artifacts)  # before Keras starts
    _start_keras(output)
    result = answer(
        model, source, config, out=Path(place.out), artifacts=place.artifacts, workers=place.workers,
        reporter=output.reporter,
    )  # fmt: skip
    counts = {str(name): int(count) for name, count in result.table["predicted"].value_counts().items()}
    if output.as_json:
        print_json(
            {"path": str(result.path), "images": len(result.table), "classes": counts, "notes": list(result.notes)}
        )
        return
    listed = ", ".join(f"{count:,} {name or 'without a class'}" for name, count in counts.items())
    out.print(f"{len(result.table):,} images: {listed}")
    output.print_notes(result.notes)
    output.print_seconds(result.seconds)
    out.print(f"table   {result.path}", whole=True)


@command(app, panel=TO_USE)
def export(model: ModelArgument, config: ModelExportConfig, output: Output) -> None:
    """Write a model as other tools read it, once it has been seen to predict the same there."""
    with output.reporter.stage("starting", None, ""):
        from .exporting import export as convert
        from .predicting import as_measured, classes_of, decoding_of
        from .runs import find_model

    path = find_model(model, config.artifacts)
    classes = classes_of(path, config.artifacts)[0]
    scale = decoding_of(path, config.artifacts).scale
    result = convert(path, config.to, classes, config.out, config.force, output.reporter, scale=scale)
    views = as_measured(path, EvaluateConfig()).tta
    notes = [f"the run was measured with test-time augmentation ({views}); the exported model takes one view"]
    notes = [] if views == "none" else notes
    if output.as_json:
        print_json({**vars(result), "path": str(result.path), "notes": notes})
        return
    out.print(
        f"{', '.join(result.files)}: {result.bytes / 1e6:.1f} MB; probabilities differ by {result.worst:.1g} at most"
    )
    out.print(f"written  {result.path}      to load it:", whole=True)
    for line in result.load.splitlines():
        out.print(f"  {line}", whole=True)
    output.print_notes(notes)


@command(app, panel=TO_FIT, takes={"options": Takes(RunConfig, unset=True, without=("resume",))})
def tune(
    config: TuneConfig,
    options: Mapping[str, object],
    output: Output,
    recipe: Annotated[
        str, typer.Argument(help="A recipe, by name or as a .toml file.", autocompletion=_recipes)
    ] = _DEFAULT,
) -> None:
    """Search for options that do better on the validation corruptions; finished trials are not fitted again."""
    with output.reporter.stage("starting", None, ""):
        from .runs import metrics_text
        from .sets import read_built
        from .training import score_of
        from .tuning import tune as search

    start = load_recipe(recipe)
    start = replace(start, config=_with_typed(start, options))
    built = read_built(start.config.artifacts)  # before Keras starts
    output.print_notes(built.outdated, err)
    _start_keras(output)
    try:
        result = search(start, config, partial(score_of, built=built), output.reporter)
    except KeyboardInterrupt:
        err.print("interrupted; the trials that were finished are kept: the same command goes on")
        raise
    best = result.best
    if output.as_json:
        score = {"score": best.score, "options": dict(best.options), "trials": len(result.trials)}
        print_json_text(metrics_text({"path": str(result.path), **score}))
        return
    values = ", ".join(f"{key} {brief(value)}" for key, value in best.options.items())
    out.print(f"best of {len(result.trials)}: {best.score:.4f} with {values}")
    out.print(f"trials  {result.path / 'trials.csv'}", whole=True)
    out.print(f"next    train run {result.path / 'best.toml'}", whole=True)
