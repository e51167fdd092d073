"""Balanced training data from a clean set, splits that do not leak, and a benchmark of shifted domains.

    import augment
    built = augment.build(config=augment.BuildConfig(policy="heavy"))
    built.counts

Names are loaded when they are first used, so that `import augment` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .building import Built, build
    from .configs import BuildConfig
    from .judging import judge
    from .planning import BuildPlan, plan
    from .previewing import preview
    from .replaying import Replayed, replay

_HOMES = {
    "BuildConfig": "configs",
    "BuildPlan": "planning",
    "Built": "building",
    "Replayed": "replaying",
    "build": "building",
    "judge": "judging",
    "plan": "planning",
    "preview": "previewing",
    "replay": "replaying",
}

__all__ = ["BuildConfig", "BuildPlan", "Built", "Replayed", "build", "judge", "plan", "preview", "replay"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'augment' has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
