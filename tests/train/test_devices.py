from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from curate.stage.errors import DataError
from train.devices import Devices, devices_of

ROOT = Path(__file__).parents[2]

# Two virtual CPUs; the same three steps on one of them and on both.
FIT = """
import json, os
import keras
import numpy as np

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from train.devices import devices_of

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (24, 8, 8, 3), dtype=np.uint8)
targets = np.eye(3, dtype=np.float32)[images[:, 0, 0, 0] % 3]
weights = np.linspace(0.5, 1.5, 24, dtype=np.float32)
told = {}
for asked in ("one", "all"):
    keras.utils.set_random_seed(0)
    devices = devices_of(asked)
    with devices.scope():
        model = keras.Sequential([
            keras.Input((8, 8, 3), dtype="uint8"), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax"),
        ])
        model.compile(keras.optimizers.SGD(0.5), "categorical_crossentropy", jit_compile=devices.jit)
        model.fit(images, targets, sample_weight=weights, batch_size=8, shuffle=False, verbose=0)
    kernel = model.weights[0].value
    told[asked] = {
        "describe": devices.describe, "count": devices.count, "note": devices.note,
        "held_by": len(kernel.values) if hasattr(kernel, "values") else len(kernel.sharding.device_set)
        if hasattr(kernel, "sharding") else 1,
        "weights": np.concatenate([np.ravel(one) for one in model.get_weights()]).tolist(),
        "predicted": np.asarray(model.predict_on_batch(images[:3]))[:3].tolist(),
    }
print("TOLD" + json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_share_the_batches_and_come_to_the_weights_of_one(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", FIT], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.split("TOLD")[1])
    one, both = told["one"], told["all"]
    assert (one["describe"], one["count"], one["held_by"], one["note"]) == ("the CPU", 1, 1, "")
    assert (both["describe"], both["count"], both["held_by"], both["note"]) == ("2 CPUs", 2, 2, "")
    assert both["weights"] == pytest.approx(one["weights"], abs=1e-5)
    assert np.array(both["predicted"]) == pytest.approx(np.array(one["predicted"]), abs=1e-5)


def test_all_devices_are_one_where_there_is_one_and_a_note_says_so() -> None:
    import tensorflow as tf

    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("this machine has several GPUs")
    one, every = devices_of("one"), devices_of("all")
    assert (one.count, one.note) == (1, "")
    assert every.count == 1
    assert every.describe == one.describe
    assert "there is one device" in every.note
    with every.scope() as scope:
        assert scope is None


def test_xla_is_left_alone_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.devices._device_names", lambda backend: ["/device:CPU:0"])
    assert devices_of("one").jit is False
    monkeypatch.setattr("train.devices._device_names", lambda backend: ["/device:GPU:0"])
    assert devices_of("one").jit is True
    monkeypatch.setattr("train.devices._device_names", lambda backend: ["/device:GPU:0", "/device:GPU:1"])
    monkeypatch.setattr("train.devices._strategy", lambda backend, names: names)
    assert (devices_of("one").jit, devices_of("one").count) == (True, 1)
    assert (devices_of("all").jit, devices_of("all").describe) == (False, "2 GPUs")


def test_several_devices_on_torch_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "torch")
    with pytest.raises(DataError, match=r"not supported with the torch backend\. Take --devices one"):
        devices_of("all")


def test_a_batch_that_cannot_be_shared_names_one_that_can() -> None:
    both = Devices("2 GPUs", 2, True)
    both.check(64)
    with pytest.raises(DataError, match="by 2 GPUs; needed is a multiple of 2: --batch 64"):
        both.check(65)
    with pytest.raises(DataError, match="--batch 2"):
        both.check(1)
    Devices("the CPU", 1, False).check(1)
