"""export(model, to, ...) -> Exported: a model in the form that another program runs, tried before it is handed over.

    python -m train.exporting MODEL.keras onnx|tflite|savedmodel|openvino FOLDER

does the work, in a process of its own: whatever backend Keras runs on, TensorFlow converts, and its memory and its many
lines stay there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.notebooks.progress import onlooker
from curate.sets.scaling import Scales
from curate.stage.errors import DataError, MissingExtra, OutputError, ToolkitError, UnknownName, WorkerLost, gist
from curate.stage.files import drafting, python_text, write_text
from curate.stage.lines import json_text
from curate.stage.manifest import file_digest
from curate.stage.progress import Reporter
from curate.stage.records import document_of, record_of
from curate.stage.shortness import short_repr

if TYPE_CHECKING:
    import keras

MARK, LABELS = "export.json", "labels.txt"
_FORMAT = 1
# The largest tolerated difference of a probability; float32 computed in another order differs by 1e-6.
TOLERANCE = 1e-3

# uint8 (n, H, W, 3) to float32 (n, K).
Forward = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Target:
    """A form of a model.

    write  writes a model of Keras into a folder
    read   (folder, (H, W)) to a function that runs what was written, by another program than Keras
    load   Python that makes `probabilities` of `pictures` with it; {} stands for the folder
    needs  modules, and the extra that brings them
    """

    write: Callable[[keras.Model, Path], None]
    read: Callable[[Path, tuple[int, int]], Forward]
    load: str
    needs: tuple[str, ...] = ()
    extra: str = ""

    __repr__ = short_repr


@dataclass(frozen=True)
class Conversion:
    """What the process of a conversion prints.

    worst  as in Exported;  size  (H, W) of the pictures;  shape  of the probabilities
    """

    worst: float
    size: tuple[int, int]
    shape: tuple[int | None, int]


@dataclass(frozen=True)
class Exported:
    """What was written.

    path   the folder: the model's files, labels.txt, export.json;  bytes  of all of them
    worst  the largest difference between a probability of it and of Keras
    load   lines of Python that make `probabilities`, float32 (n, K), of `pictures`, uint8 (n, H, W, 3) RGB
    """

    path: Path
    to: str
    files: tuple[str, ...]
    bytes: int
    worst: float
    load: str

    __repr__ = short_repr


def export(
    model: str | Path,
    to: str,
    classes: Sequence[str],
    out: str | Path | None = None,
    force: bool = False,
    reporter: Reporter | None = None,
    *,
    scale: Scales | None = None,
) -> Exported:
    """Write a .keras file as "onnx", "tflite", "savedmodel" or "openvino", whole or not at all.

    classes  names, in the order of the model's probabilities: labels.txt has one a line
    out      folder to write; by default export/<to> beside the model
    force    replace what an earlier export wrote there
    scale    by which pictures became 8 bits that the model was fitted to: export.json has it for whoever feeds it

    What comes out takes uint8 (n, H, W, 3) RGB of any n, and gives float32 (n, K) probabilities, in float32 throughout,
    also where the model was fitted in mixed precision. It is run before it is put in place, and an export that does not
    compute what Keras does is an error.

    Raises UnknownName for another target, MissingExtra where a converter is not installed, DataError where the model
    cannot be read, is of other classes or comes out otherwise, OutputError where something is there already.
    """
    reporter = reporter or onlooker()
    if to not in TARGETS:
        raise UnknownName.among("export target", to, TARGETS)
    target, model = TARGETS[to], Path(model)
    missing = [module for module in target.needs if find_spec(module) is None]
    if missing:
        raise MissingExtra(f"an export to {to} needs {', '.join(missing)}: pip install 'trustset[{target.extra}]'.")
    if not model.is_file():
        raise DataError(f"no model {model}.")
    path = Path(out) if out is not None else model.parent / "export" / to
    _check_output_folder(path, force)
    reporter.say(f"converting to {to}: some ten seconds")
    with drafting(path) as draft:
        draft.mkdir()
        with reporter.stage("converting", None, ""):
            report = _convert_in_process(model, to, draft)
        if report.shape[-1] != len(classes):
            raise DataError(f"{model} has {report.shape[-1]} classes, and {len(classes)} names are given.")
        write_text("".join(f"{' '.join(name.split())}\n" for name in classes), draft / LABELS)
        record = {
            "format": _FORMAT,
            "to": to,
            "model_digest": file_digest(model),
            "input": _input_record(report.size, scale),
            "output": {"type": "float32", "shape": [None, len(classes)]},
            "classes": list(classes),
            "largest_difference": report.worst,
            "load": target.load.strip().splitlines(),
        }
        write_text(json_text(record) + "\n", draft / MARK)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = tuple(file.relative_to(path).as_posix() for file in files)
    size = sum(file.stat().st_size for file in files)
    return Exported(path, to, names, size, report.worst, _load_lines(target.load, path))


def _load_lines(load: str, path: Path) -> str:
    """The lines of a target for a folder, whatever that is called.

    >>> _load_lines('open("{}/model.onnx")', Path("say {} twice"))
    'open("say {} twice/model.onnx")'
    """
    return re.sub(r'"\{\}/([\w.]+)"', lambda match: python_text(path / match[1]), load.strip())


def _input_record(size: tuple[int, int], scale: Scales | None) -> dict[str, object]:
    """What an exported model takes."""
    values = {"scale": document_of(scale)} if scale else {}
    return {"type": "uint8", "shape": [None, *size, 3], "colours": "RGB, 0 to 255", **values}


def _check_output_folder(path: Path, force: bool) -> None:
    """Raise OutputError where something is there that is not to be replaced."""
    if not path.exists():
        return
    if not force:
        raise OutputError(f"{path} is there already. Add --force to replace it, or write elsewhere (--out).")
    if not (path / MARK).is_file():
        raise OutputError(f"{path} is not what an export wrote, and is not replaced. Use another --out.")


def _convert_in_process(model: Path, to: str, folder: Path) -> Conversion:
    """The report of `main`, run in a process of its own.

    Raises DataError or OutputError with its reason, WorkerLost where it was killed.
    """
    command = [sys.executable, "-m", __name__, str(model), to, str(folder)]
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "-1",  # whose memory may be in use
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if process.returncode == 0:
        return record_of(Conversion, json.loads(process.stdout.splitlines()[-1]), "the conversion", "Try again.")
    if process.returncode in (2, 3):
        raise (DataError if process.returncode == 2 else OutputError)(process.stderr.strip().splitlines()[-1])
    if process.returncode < 0:
        raise WorkerLost(
            f"the conversion to {to} was killed, most likely for want of memory. Free some, and try again."
        )
    raise RuntimeError(f"{' '.join(command)} failed:\n{process.stderr}")


# In that process


def convert(model: keras.Model, target: Target, folder: Path) -> float:
    """Write a model into a folder, run it from there, and return the largest difference of a probability from Keras'.

    Raises DataError where that is more than TOLERANCE or no number, or where the target does not take the model.
    """
    import keras

    exact = _in_float32(model)
    height, width = exact.input_shape[1:3]
    pictures = sample(height, width)
    expected = np.asarray(keras.ops.convert_to_numpy(exact(pictures, training=False)))
    try:
        target.write(exact, folder)
        run = target.read(folder, (height, width))
    except (ToolkitError, OSError):
        raise
    except Exception as error:  # a converter has errors of its own for what it does not know
        reason = gist(error)
        raise DataError(f"the converter does not take this model: {reason}. Another target may do.") from error
    # In batches of several sizes, as a form may hold to the one that it was made with.
    actual = np.concatenate([run(pictures[rows]) for rows in (slice(0, 1), slice(1, 6), slice(6, None))])
    worst = float(np.abs(actual - expected).max()) if actual.shape == expected.shape else float("nan")
    if not worst <= TOLERANCE:
        raise DataError(
            f"the exported model differs: probabilities are off by {worst:.2g}, and {TOLERANCE:g} is allowed. Nothing "
            "was written. Another target may do."
        )
    return worst


def sample(height: int, width: int) -> np.ndarray:
    """uint8 (8, height, width, 3): four pictures of noise and four of a few smooth colours, always the same."""
    import cv2

    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (4, 3, 3, 3), np.uint8)
    smooth = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC) for picture in coarse]
    return np.concatenate([rng.integers(0, 256, (4, height, width, 3), np.uint8), np.stack(smooth)])


def _in_float32(model: keras.Model) -> keras.Model:
    """The model, computing in float32 throughout."""
    import keras

    text = model.to_json()
    exact = re.sub(r'"mixed_b?float16"', '"float32"', text)
    if exact == text:
        return model
    copy = keras.models.model_from_json(exact)
    copy.set_weights(model.get_weights())
    return copy


def _write_onnx(model: keras.Model, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what tf2onnx and NumPy think of each other
        model.export(str(folder / "model.onnx"), format="onnx", verbose=False)


def _write_tflite(model: keras.Model, folder: Path) -> None:
    model.export(str(folder / "model.tflite"), format="litert", verbose=False)


def _write_savedmodel(model: keras.Model, folder: Path) -> None:
    model.export(str(folder / "model"), format="tf_saved_model", verbose=False)


def _write_openvino(model: keras.Model, folder: Path) -> None:
    from curate.measuring.inference import to_openvino

    to_openvino(model, folder / "model.xml")


def _read_by_openvino(name: str) -> Callable[[Path, tuple[int, int]], Forward]:
    def read(folder: Path, size: tuple[int, int]) -> Forward:
        from curate.measuring.inference import load

        return load(folder / name, (*size, 3), 1)

    return read


def _read_tflite(folder: Path, size: tuple[int, int]) -> Forward:
    import tensorflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is to have a package of its own
        run = tensorflow.lite.Interpreter(str(folder / "model.tflite")).get_signature_runner()
    return lambda pictures: np.asarray(run(pixels=pictures)["output_0"])


def _read_savedmodel(folder: Path, size: tuple[int, int]) -> Forward:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(folder / "model"))
    return lambda pictures: np.asarray(loaded.serve(pictures))


TARGETS: Mapping[str, Target] = {
    "onnx": Target(
        _write_onnx,
        _read_by_openvino("model.onnx"),
        """
import onnxruntime
model = onnxruntime.InferenceSession("{}/model.onnx")
probabilities = model.run(None, {"pixels": pictures})[0]
""",
        ("tf2onnx", "onnx"),
        "onnx",
    ),
    "tflite": Target(
        _write_tflite,
        _read_tflite,
        """
from ai_edge_litert.interpreter import Interpreter
model = Interpreter("{}/model.tflite").get_signature_runner()
probabilities = model(pixels=pictures)["output_0"]
""",
    ),
    "savedmodel": Target(
        _write_savedmodel,
        _read_savedmodel,
        """
import tensorflow
model = tensorflow.saved_model.load("{}/model")
probabilities = model.serve(pictures).numpy()
""",
    ),
    # By default OpenVINO computes in bfloat16 where the processor can: off by 0.01 and more.
    "openvino": Target(
        _write_openvino,
        _read_by_openvino("model.xml"),
        """
import openvino
model = openvino.compile_model("{}/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
probabilities = model(pictures)[0]
""",
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Convert, and print as JSON what was found.

    Exit status 2 where the model does not do, 3 where nothing can be written, the reason last on stderr.
    """
    from .models import load_model

    path, to, folder = arguments
    try:
        model = load_model(path)
        worst = convert(model, TARGETS[to], Path(folder))
    except ToolkitError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"cannot write {folder}: {error.strerror or error}.", file=sys.stderr)
        return 3
    print(json.dumps({"worst": worst, "size": model.input_shape[1:3], "shape": model.output_shape}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
