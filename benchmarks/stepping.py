"""What the trainer's input costs: a step on real batches against one on the same batch again; and a probe's seconds.

    python benchmarks/stepping.py data.npz --images 10000

The built set needs that many training images. Steps of both kinds take turns; printed are medians of rounds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

    from curate.stage.progress import Advance
    from train.batches import Batch

ROOT = Path(__file__).resolve().parents[1]
STEPS = 20


def built(source: Path, artifacts: Path, images: int) -> None:
    """A scan and a build with at least that many training images."""
    scan = ["curate", "scan", str(source.resolve()), "--map", "none", "--artifacts", str(artifacts)]
    with np.load(source) as arrays:
        classes = len(np.unique(arrays["labels"]))
    per_class = str(-(-images // classes))
    build = [
        "augment", "build", "--balance", per_class, "--cap", "1000", "--no-check", "--benchmark", "none", "--artifacts",
        str(artifacts),
    ]  # fmt: skip
    for command in (scan, build):
        subprocess.run([sys.executable, "cli.py", *command], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)


def seconds(model: keras.Model, batches: keras.utils.PyDataset) -> float:
    """Seconds of one step in a fit over those batches."""
    began = time.perf_counter()
    model.fit(batches, epochs=1, verbose=0, shuffle=False)
    return (time.perf_counter() - began) / len(batches)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("source", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--input-size", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    import keras

    from train.batches import Batches
    from train.configs import EvaluateConfig, ModelConfig, RunConfig
    from train.devices import devices_of
    from train.losses import loss_of
    from train.models import build_model, set_trainable
    from train.optimizers import optimizer_of
    from train.recipe import load_recipe
    from train.sets import read_built
    from train.training import train

    with tempfile.TemporaryDirectory() as folder:
        artifacts = Path(folder)
        built(arguments.source, artifacts, arguments.images)
        sets, fitting = read_built(artifacts), replace(load_recipe("baseline").config.fit, epochs=(0,))
        keras.utils.set_random_seed(0)
        classifier = build_model(ModelConfig(input_size=arguments.input_size), sets.train.size, len(sets.classes))
        real = Batches(sets.train, fitting, sets.class_weights, 0, np.arange(STEPS * fitting.batch))

        class Again(keras.utils.PyDataset):  # type: ignore[misc]
            batch = real[0]

            def __len__(self) -> int:
                return STEPS

            def __getitem__(self, step: int) -> Batch:
                return self.batch

        set_trainable(classifier.model, fitting.unfreeze[0], fitting.batch_norm)
        classifier.model.compile(optimizer_of(fitting, 1e-4, 1000), loss_of(fitting), jit_compile=devices_of("one").jit)
        synthetic = Again()
        seconds(classifier.model, synthetic)  # compiles
        rounds = []
        for number in range(arguments.rounds):  # in turns, for the machine is not always equally fast
            order = (synthetic, real) if number % 2 else (real, synthetic)
            times = {id(batches): seconds(classifier.model, batches) for batches in order}
            rounds.append((times[id(synthetic)], times[id(real)]))
        synthetic_seconds, real_seconds = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(real / synthetic for synthetic, real in rounds)
        print("| a step of 64 images | ms |\n|---|---|")
        print(f"| on one batch again and again | {1000 * synthetic_seconds:.0f} |")
        print(f"| on batches of the trainer | {1000 * real_seconds:.0f} |")
        print(f"| ratio, median of {arguments.rounds} rounds | {ratio:.3f} |\n", flush=True)

        class Printing:
            """A reporter that prints lines and draws no progress."""

            def say(self, line: str) -> None:
                print(line.strip(), flush=True)

            def stage(self, name: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
                from curate.stage.progress import Silent

                return Silent().stage(name, total, unit)

        train(
            RunConfig(
                model=ModelConfig(input_size=arguments.input_size),
                fit=fitting,
                evaluate=EvaluateConfig(benchmark=False),
                artifacts=str(artifacts),
            ),
            Printing(),
        )


if __name__ == "__main__":
    main()
