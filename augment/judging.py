"""judge(source, config) -> table: how a policy stands to every corruption of the benchmark, without building it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from curate.notebooks.progress import onlooker
from curate.stage.engine import cores
from curate.stage.progress import Reporter

from .benchmark import benchmark_of
from .calibration import Specimens
from .configs import BuildConfig
from .features import input_size, load_features
from .policies import library
from .trial import trial

if TYPE_CHECKING:
    import pandas as pd


def judge(
    source: str | Path | None = None,
    config: BuildConfig = BuildConfig(),
    reporter: Reporter | None = None,
) -> pd.DataFrame:
    """One row per corruption and composed track: corruption, role, verdict, ratio, because (see overlap.Verdict).

    source  any set; None takes the clean set, and where there is none cells that are drawn
    """
    reporter = reporter or onlooker()
    import pandas as pd

    policy = library.policy(config.policy, config.functions)
    sample = trial(source, config)
    if sample.drawn:
        reporter.say("no set is given and none was scanned here: judged on synthetic cells")
    size = config.input_size or input_size(min(sample.pictures.size))
    with reporter.stage("loading the model", None, ""):
        features, note = load_features(config.backbone, config.weights, size, config.workers or cores(), reporter.say)
    if note:
        reporter.say(note)
    present = dict.fromkeys(("train", "val", "test"), True)
    allowed = replace(config, allow_overlap=True)  # that is what is asked
    specimens = Specimens(sample.seen(), features, sample.units, config.seed)
    benchmark = benchmark_of(policy, specimens, present, allowed, reporter)
    roles = {
        entry.name.partition("/")[2] if entry.compose else entry.corruption: entry.role for entry in benchmark.entries
    }
    rows = [(name, roles[name], v.verdict, v.ratio, v.because) for name, v in benchmark.verdicts.items()]
    return pd.DataFrame(rows, columns=["corruption", "role", "verdict", "ratio", "because"])
