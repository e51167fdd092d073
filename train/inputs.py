"""read_inputs(config) -> RunInputs: all that a run reads, once and before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass

from curate.stage.shortness import short_repr

from .configs import EvaluateConfig, RunConfig
from .recipe import to_toml
from .runs import Run, read_run
from .sets import BuiltSets, LabelledSet, read_built, read_set


@dataclass(frozen=True, eq=False)
class RunInputs:
    """What a run is fitted to and measured on.

    external  the sets from elsewhere, with the classes and the size of the build; their pictures are decoded when taken
    baseline  the run that errors are divided by, None for none
    """

    built: BuiltSets
    external: tuple[LabelledSet, ...] = ()
    baseline: Run | None = None

    __repr__ = short_repr


def read_inputs(config: RunConfig, built: BuiltSets | None = None) -> RunInputs:
    """The inputs of a run.

    built  the built set, where it is read already

    Raises DataError where one of them will not do, or config.toml cannot hold an option.
    """
    built = built or read_built(config.artifacts)
    to_toml(config)
    return inputs_of(built, config.evaluate)


def inputs_of(built: BuiltSets, config: EvaluateConfig) -> RunInputs:
    """A build, with the sets from elsewhere and the baseline that a configuration names. Raises DataError."""
    artifacts = built.path.parent
    external = tuple(
        read_set(path, built.classes, artifacts, built.test.size, built.manifest.decoding) for path in config.external
    )
    baseline = None if config.baseline is None else read_run(config.baseline, artifacts)
    return RunInputs(built, external, baseline)
