"""What a model is fitted on: one device, or all that the machine has, the batch shared out among them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from curate.stage.errors import DataError


class Strategy(Protocol):
    """How a backend shares a batch out: MirroredStrategy of TensorFlow, DataParallel of Keras on JAX."""

    def scope(self) -> AbstractContextManager[object]: ...


@dataclass(frozen=True, eq=False)
class Devices:
    """What a model is fitted on, and how.

    describe  "the CPU", "the GPU", "2 GPUs";  count  how many share a batch
    jit       what compile's jit_compile is to be
    note      for the person, "" where all is as asked
    strategy  of the backend, None for one device
    """

    describe: str
    count: int
    jit: bool
    note: str = ""
    strategy: Strategy | None = None

    def scope(self) -> AbstractContextManager[object]:
        """Within it a model is made, compiled and fitted, and out of it predicts.

        On TensorFlow predict_on_batch then answers once per device: the first rows are the answer.
        """
        return nullcontext() if self.strategy is None else self.strategy.scope()

    def check(self, batch: int) -> None:
        """Raises DataError where a batch of so many images cannot be shared evenly."""
        if batch % self.count:
            multiple = max(self.count, batch - batch % self.count)
            raise DataError(
                f"a batch of {batch} images cannot be shared evenly by {self.describe}; needed is a multiple of "
                f"{self.count}: --batch {multiple}"
            )


def devices_of(choice: str) -> Devices:
    """One device ("one"), or all that the running backend finds ("all"): GPUs, or without them CPUs.

    On TensorFlow several are shared by its MirroredStrategy, on JAX by keras.distribution. Raises DataError for "all"
    on another backend.
    """
    import keras

    backend = keras.backend.backend()
    if choice == "all" and backend not in ("tensorflow", "jax"):
        raise DataError(
            f"several devices are not supported with the {backend} backend. Take --devices one, or set KERAS_BACKEND "
            "to tensorflow or jax."
        )
    names = _device_names(backend)
    kind = "CPU" if "cpu" in names[0].lower() else "GPU"
    jit = _jit(backend, kind)
    if choice == "one" or len(names) == 1:
        note = (
            f"there is one device, {_single_device(kind)}: --devices all is as good as one" if choice == "all" else ""
        )
        return Devices(_single_device(kind), 1, jit, note)
    # XLA under MirroredStrategy has hung (keras#20763).
    return Devices(f"{len(names)} {kind}s", len(names), jit and backend == "jax", "", _strategy(backend, names))


def _single_device(kind: str) -> str:
    return f"the {kind}"


def _jit(backend: str, kind: str) -> bool:
    """JAX is far slower without; TensorFlow is on a CPU seven times slower with it; PyTorch needs a compiler for it."""
    return backend == "jax" or (backend == "tensorflow" and kind == "GPU")


def _device_names(backend: str) -> list[str]:
    """The devices that the backend finds, of the best kind that it has."""
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return [device.name for device in devices]
    if backend == "torch":
        import torch

        return [f"gpu:{i}" for i in range(torch.cuda.device_count())] or ["cpu"]
    import keras

    return list(keras.distribution.list_devices())


def _strategy(backend: str, names: list[str]) -> Strategy:
    if backend == "tensorflow":
        import tensorflow as tf

        mirrored: Strategy = tf.distribute.MirroredStrategy(names)
        return mirrored
    import keras

    parallel: Strategy = keras.distribution.DataParallel(devices=names)
    return parallel
