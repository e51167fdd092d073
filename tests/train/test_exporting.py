import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from curate.stage.errors import DataError, MissingExtra, OutputError, UnknownName, WorkerLost
from train import exporting
from train.configs import EXPORT_TARGETS, ModelConfig
from train.exporting import TARGETS, Target, convert, export, sample

CLASSES = ("basophil", "eosinophil", "large\nlymphocyte")
SIZE = (40, 48)


def made(precision: str = "float32"):
    """A small network of random weights whose probabilities differ from picture to picture."""
    import keras

    from train.models import build_model

    keras.utils.set_random_seed(0)
    config = ModelConfig(backbone=("cnn",), weights="random", input_size=48, attention="cbam", dense=(8,))
    model = build_model(config, SIZE, len(CLASSES), precision).model
    logits = keras.Model(model.input, model.get_layer("head").output)(sample(*SIZE))
    spread = float(keras.ops.convert_to_numpy(logits).std())
    last = model.get_layer("head").get_layer("logits")
    last.kernel.assign(last.kernel / spread)
    return model


@pytest.fixture(scope="module")
def model():
    return made()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def instead(monkeypatch):
    """Convert in this process, or do what is told instead."""

    def put(function):
        monkeypatch.setattr(exporting, "_convert_in_process", function)

    return put


def predicted(model, pictures: np.ndarray) -> np.ndarray:
    import keras

    return keras.ops.convert_to_numpy(model(pictures, training=False))


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writes(model, folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"model")


# The forms


@pytest.mark.slow
@pytest.mark.parametrize("to", TARGETS)
def test_what_comes_out_computes_what_the_model_does(model, saved, tmp_path, to):
    for module in TARGETS[to].needs:
        pytest.importorskip(module, reason=f"{module} is not installed")
    out = tmp_path / to
    done = export(saved, to, CLASSES, out)
    assert (done.path, done.to) == (out, to)
    assert done.worst < 1e-4
    assert {"labels.txt", "export.json"} < set(done.files)
    assert done.bytes == sum((out / name).stat().st_size for name in done.files)
    assert (out / "labels.txt").read_text("utf-8").splitlines() == ["basophil", "eosinophil", "large lymphocyte"]
    told = json.loads((out / "export.json").read_text("utf-8"))
    assert told["classes"] == list(CLASSES)
    assert told["input"]["shape"] == [None, *SIZE, 3]
    assert listed(tmp_path) == [to]
    # Other pictures than it was tried on, and as many of them.
    pictures = np.random.default_rng(7).integers(0, 256, (3, *SIZE, 3), np.uint8)
    run = TARGETS[to].read(out, SIZE)
    assert np.allclose(run(pictures), predicted(model, pictures), atol=1e-4)
    runs_as_told(done, pictures, predicted(model, pictures))


def runs_as_told(done, pictures: np.ndarray, asked: np.ndarray) -> None:
    """The lines that are shown give the same, where what they need is installed."""
    package = done.load.split()[1].partition(".")[0]
    if find_spec(package) is None:
        return
    if package == "openvino":
        sys.modules.setdefault("openvino_telemetry", None)
    names = {"pictures": pictures}
    exec(done.load, names)
    assert np.allclose(names["probabilities"], asked, atol=1e-4)


@pytest.mark.slow
def test_a_model_of_mixed_precision_comes_out_in_float32(tmp_path):
    mixed = made("mixed_bfloat16")
    assert {layer.dtype_policy.name for layer in mixed.layers} > {"float32"}
    worst = convert(mixed, TARGETS["openvino"], tmp_path)
    assert worst < 1e-4
    pictures = sample(*SIZE)
    run = TARGETS["openvino"].read(tmp_path, SIZE)
    assert np.allclose(run(pictures), predicted(mixed, pictures), atol=0.05)


def test_the_pictures_that_it_is_tried_on_are_of_both_kinds_and_always_the_same():
    pictures = sample(*SIZE)
    assert (pictures.shape, pictures.dtype) == ((8, *SIZE, 3), np.uint8)
    assert (pictures == sample(*SIZE)).all()
    steps = np.abs(np.diff(pictures.astype(int), axis=2)).mean(axis=(1, 2, 3))
    assert steps[:4].min() > 10 * steps[4:].max()


# What is refused


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda right: right + 0.01, "off by 0.01, and 0.001 is allowed"),
        (lambda right: right * np.nan, "off by nan"),
        (lambda right: right[:, :2], "off by nan"),
    ],
)
def test_an_export_that_computes_something_else_is_an_error(model, tmp_path, wrong, told):
    target = Target(writes, lambda folder, size: lambda pictures: wrong(predicted(model, pictures)), "")
    with pytest.raises(DataError, match=f"the exported model differs: probabilities are {told}"):
        convert(model, target, tmp_path)


def test_an_export_that_computes_the_same_is_none(model, tmp_path):
    target = Target(writes, lambda folder, size: lambda pictures: predicted(model, pictures) + 1e-4, "")
    assert convert(model, target, tmp_path) == pytest.approx(1e-4, rel=0.01)


def test_it_is_tried_in_batches_of_several_sizes(model, tmp_path):
    asked = []

    def read(folder, size):
        def run(pictures):
            asked.append(len(pictures))
            return predicted(model, pictures)

        return run

    convert(model, Target(writes, read, ""), tmp_path)
    assert len(set(asked)) == 3


def test_what_a_converter_does_not_know_is_told(model, tmp_path):
    def write(model, folder):
        raise NotImplementedError("no such operation: Roll\nat 0x1")

    with pytest.raises(DataError, match=r"does not take this model: no such operation: Roll. Another"):
        convert(model, Target(write, lambda folder, size: None, ""), tmp_path)


def fails(error: Exception):
    def instead_of_a_process(model, to, folder):
        (folder / "model.bin").write_bytes(b"half of it")
        raise error

    return instead_of_a_process


@pytest.mark.parametrize(
    "error", [DataError("it computes something else."), OutputError("the disk is full."), KeyboardInterrupt()]
)
def test_where_it_fails_nothing_is_left_and_what_was_there_stays(saved, tmp_path, instead, error):
    instead(fails(error))
    with pytest.raises(type(error)):
        export(saved, "openvino", CLASSES, tmp_path / "new" / "out")
    assert listed(tmp_path / "new") == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.json").write_text("old")
    with pytest.raises(type(error)):
        export(saved, "openvino", CLASSES, tmp_path / "out", force=True)
    assert listed(tmp_path) == ["new", "out"]
    assert (tmp_path / "out" / "export.json").read_text() == "old"


def whole(model, to, folder):
    (folder / "model.bin").write_bytes(b"model")
    return exporting.Conversion(1e-7, SIZE, (None, len(CLASSES)))


def test_it_goes_beside_the_model_and_replaces_only_an_export_and_only_when_told(saved, instead):
    instead(whole)
    done = export(saved, "openvino", CLASSES)
    assert done.path == saved.parent / "export" / "openvino"
    assert done.files == ("export.json", "labels.txt", "model.bin")
    with pytest.raises(OutputError, match=r"is there already. Add --force"):
        export(saved, "openvino", CLASSES)
    (done.path / "old").touch()
    assert export(saved, "openvino", CLASSES, force=True).files == done.files
    with pytest.raises(OutputError, match="is not what an export wrote"):
        export(saved, "openvino", CLASSES, saved.parent, force=True)
    assert saved.is_file()


def test_names_must_be_as_many_as_classes(saved, tmp_path, instead):
    instead(whole)
    with pytest.raises(DataError, match="has 3 classes, and 2 names are given"):
        export(saved, "openvino", CLASSES[:2], tmp_path / "out")
    assert listed(tmp_path) == []


def test_a_target_a_model_or_a_converter_that_there_is_not_is_told(saved, tmp_path, monkeypatch):
    with pytest.raises(UnknownName, match=r"no export target named 'onx'. Did you mean 'onnx'"):
        export(saved, "onx", CLASSES)
    with pytest.raises(DataError, match=r"no model .*none.keras"):
        export(tmp_path / "none.keras", "openvino", CLASSES)
    monkeypatch.setattr(exporting, "find_spec", lambda module: None if module == "tf2onnx" else module)
    with pytest.raises(MissingExtra, match=r"an export to onnx needs tf2onnx: pip install 'trustset\[onnx\]'"):
        export(saved, "onnx", CLASSES)


@pytest.mark.slow
def test_the_process_tells_what_is_no_model_and_where_nothing_can_be_written(saved, tmp_path):
    broken = tmp_path / "model.keras"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="cannot be read as a model"):
        export(broken, "openvino", CLASSES, tmp_path / "out")
    assert listed(tmp_path) == ["model.keras"]
    with pytest.raises(OutputError, match="cannot write"):
        exporting._convert_in_process(saved, "openvino", tmp_path / "none" / "such")


def test_a_process_that_is_killed_is_told(saved, tmp_path, monkeypatch):
    killed = type("Done", (), {"returncode": -9, "stdout": "", "stderr": ""})
    monkeypatch.setattr(exporting.subprocess, "run", lambda *command, **options: killed)
    with pytest.raises(WorkerLost, match="the conversion to tflite was killed"):
        export(saved, "tflite", CLASSES, tmp_path / "out")


def test_the_forms_that_complete_in_the_shell_are_those_that_are_written():
    assert tuple(TARGETS) == EXPORT_TARGETS
