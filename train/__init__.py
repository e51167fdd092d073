"""A reference model for what `augment` builds, and how right it is on clean images, under shift, and elsewhere.

    import train
    trained = train.train(train.with_options(train.load_recipe("baseline"), {"epochs": 2}))
    trained.metrics.clean.accuracy

Names are loaded when they are first used, so that `import train` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .comparing import Compared, compare
    from .configs import EnsembleConfig, EvaluateConfig, FitConfig, ModelConfig, RunConfig, TuneConfig
    from .ensembles import Ensembled, ensemble
    from .evaluation import Evaluation, evaluate
    from .explanation import explain
    from .exporting import Exported, export
    from .metrics import EnsembleMetrics, Metrics, RunMetrics
    from .panels import Explained
    from .predicting import Predicted, predict
    from .recipe import RECIPES, Recipe, load_recipe, with_options
    from .training import Trained, score_of, train
    from .tuning import Tuned, tune

_HOMES = {
    "Compared": "comparing",
    "EnsembleConfig": "configs",
    "EnsembleMetrics": "metrics",
    "Ensembled": "ensembles",
    "EvaluateConfig": "configs",
    "Evaluation": "evaluation",
    "Explained": "panels",
    "Exported": "exporting",
    "FitConfig": "configs",
    "Metrics": "metrics",
    "ModelConfig": "configs",
    "Predicted": "predicting",
    "RECIPES": "recipe",
    "Recipe": "recipe",
    "RunConfig": "configs",
    "RunMetrics": "metrics",
    "Trained": "training",
    "TuneConfig": "configs",
    "Tuned": "tuning",
    "compare": "comparing",
    "ensemble": "ensembles",
    "evaluate": "evaluation",
    "explain": "explanation",
    "export": "exporting",
    "load_recipe": "recipe",
    "predict": "predicting",
    "score_of": "training",
    "train": "training",
    "tune": "tuning",
    "with_options": "recipe",
}

__all__ = [
    "RECIPES", "Compared", "EnsembleConfig", "EnsembleMetrics", "Ensembled", "EvaluateConfig", "Evaluation",
    "Explained", "Exported", "FitConfig", "Metrics", "ModelConfig", "Predicted", "Recipe", "RunConfig", "RunMetrics",
    "Trained", "TuneConfig", "Tuned", "compare", "ensemble", "evaluate", "explain", "export", "load_recipe", "predict",
    "score_of", "train", "tune", "with_options",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'train' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
