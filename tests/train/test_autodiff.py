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
from train.autodiff import gradient_of

ROOT = Path(__file__).parents[2]

# 3 x^2 + 5 y summed: gradients 6 x and 5, and none for z.
KNOWN = """
import json, keras, numpy as np
from train.autodiff import gradient_of
x, y, z = np.array([1, 2, 3], np.float32), np.array([[2]], np.float32), np.zeros((2, 2), np.float32)
value, gradients = gradient_of(lambda given: 3 * given[0] ** 2 + 5 * keras.ops.mean(given[1]) / 3, [x, y, z])
print("TOLD" + json.dumps([keras.backend.backend(), value.tolist(), [one.tolist() for one in gradients]]))
"""


def test_gradients_are_those_of_the_sum_and_zeros_where_nothing_depends() -> None:
    x, y, z = np.array([1, 2, 3], np.float32), np.array([[2]], np.float32), np.zeros((2, 2), np.float32)
    value, gradients = gradient_of(lambda given: 3 * given[0] ** 2 + 5 * given[1][0, 0] / 3, [x, y, z])
    assert value == pytest.approx(np.array([3, 12, 27]) + 10 / 3)
    assert gradients[0] == pytest.approx([6, 12, 18])
    assert gradients[1] == pytest.approx(np.array([[5.0]]))
    assert [one.shape for one in gradients] == [(3,), (1, 1), (2, 2)]
    assert not gradients[2].any()
    assert x.tolist() == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_find_the_same_gradients(backend: str) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KNOWN], capture_output=True, text=True, env=environment, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    name, value, gradients = json.loads(done.stdout.split("TOLD")[1])
    assert name == backend
    assert value == pytest.approx([3 + 10 / 3, 12 + 10 / 3, 27 + 10 / 3])
    assert gradients[0] == pytest.approx([6, 12, 18])
    assert gradients[1] == [[pytest.approx(5)]]
    assert gradients[2] == [[0, 0], [0, 0]]


def test_a_backend_without_gradients_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "numpy")
    with pytest.raises(DataError, match="the numpy backend has no gradients; needed is tensorflow, jax, torch"):
        gradient_of(lambda given: given[0], [np.zeros(1, np.float32)])
