"""The three command lines. Each program is loaded when it is asked for, so that one does not wait for the others."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

import curate.stage.leaving  # noqa: F401  # before all that has something to do at the end

if TYPE_CHECKING:
    import typer

    curate_app: typer.Typer
    augment_app: typer.Typer
    train_app: typer.Typer

PROGRAMS = ("curate", "augment", "train")


def __getattr__(name: str) -> typer.Typer:
    program = name.removesuffix("_app")
    if name == program or program not in PROGRAMS:
        raise AttributeError(f"module 'cli' has no attribute {name!r}")
    app: typer.Typer = import_module(f"{program}.commands").app
    return app


if __name__ == "__main__":
    asked = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in PROGRAMS else PROGRAMS[0]
    __getattr__(f"{asked}_app")()
