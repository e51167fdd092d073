"""Keras models run by OpenVINO, on a CPU several times faster than by Keras' backend. The only file that names it."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from .backbones import traced

if TYPE_CHECKING:
    from .backbones import Model

# Four 160-px pictures at a time keep the activations in the second-level cache: 1,990 a second on two cores against
# 1,500 with 32.
BATCH = 4


def import_openvino() -> ModuleType:
    """The openvino module, without its telemetry: nothing is sent, and no process forked to send it."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes its import fail
    import openvino

    module: ModuleType = openvino
    return module


def to_openvino(model: Model, path: str | Path) -> None:
    """Write a Keras model as OpenVINO IR, `path` (an .xml) and the .bin beside it, whole or not at all.

    The batch stays open. Raises OSError where the folder cannot be written.
    """
    openvino = import_openvino()  # before Keras does, and without its telemetry
    out = Path(path)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        draft = Path(scratch) / out.name
        function = traced(model)
        if function is not None:
            openvino.serialize(openvino.convert_model(function), draft)
        else:
            model.export(str(draft), format="openvino", verbose=False)
        draft.with_suffix(".bin").replace(out.with_suffix(".bin"))
        draft.replace(out)


def load(
    path: str | Path, shape: tuple[int, int, int], workers: int, element: str = "u8"
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from pictures (n, *shape) to float32 (n, D): the first output of an OpenVINO IR, run on the CPU.

    shape    (height, width, channels) of a picture
    workers  threads that may call it at once; n may be any number, also 0
    element  OpenVINO's name of the pictures' type: "u8", or "f32"

    Each picture's result is the same to the bit in any batch, by any thread and with any number of workers.
    """
    openvino = import_openvino()
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape([BATCH, *shape])
    wrapped = openvino.preprocess.PrePostProcessor(model)
    kind = getattr(openvino.Type, element)
    wrapped.input().tensor().set_element_type(kind)
    # One stream a worker and one thread a stream: each picture is computed alike, whoever computes it.
    settings = {"NUM_STREAMS": workers, "INFERENCE_NUM_THREADS": workers, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(wrapped.build(), "CPU", settings)
    dimensions = int(compiled.output(0).shape[1])
    local = threading.local()

    def infer(pictures: np.ndarray) -> np.ndarray:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        out = np.empty((len(pictures), dimensions), np.float32)
        for start in range(0, len(pictures), BATCH):
            piece = pictures[start : start + BATCH]
            batch = np.zeros((BATCH, *shape), kind.to_dtype())
            batch[: len(piece)] = piece
            out[start : start + len(piece)] = local.request.infer({0: batch})[0][: len(piece)]
        return out

    # Once from this thread: two threads that meet in the first inference of a process can wait for each other for ever.
    infer(np.zeros((1, *shape), kind.to_dtype()))
    return infer
