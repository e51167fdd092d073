"""A person's own operation as a Python function, `file.py:name`, called as name(image, rng) -> image."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from curate.stage.errors import DataError


def split_target(target: str) -> tuple[Path, str]:
    """(file, name of the function) of "file.py:name". Raises DataError."""
    file, colon, name = target.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise DataError(f"{target!r} is no function. Give file.py:name, as in mine.py:fade.")
    return Path(file), name


def digest_of(target: str) -> str:
    """Hex BLAKE2b-128 of the file that holds a function. Raises DataError."""
    path, _ = split_target(target)
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give file.py:name.") from error


@lru_cache
def load(target: str, digest: str) -> Callable[[np.ndarray, np.random.Generator], object]:
    """The function that `target` names, of a file of that digest. Raises DataError where there is none."""
    path, name = split_target(target)
    if digest_of(target) != digest:
        raise DataError(f"{path} has changed since {name} was drawn. Build anew, or bring the file back.")
    module_name = f"policy_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None  # there is one for every file that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # where dataclasses and pickle look it up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module_name]
        raise DataError(f"{path} cannot be run: {type(error).__name__}: {error}.") from error
    function: Callable[[np.ndarray, np.random.Generator], object] | None = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"{path} has no function {name}.")
    return function


def call(target: str, digest: str, image: np.ndarray, seed: int) -> np.ndarray:
    """What the function makes of a picture. Raises DataError where it fails, or gives another shape or type."""
    function = load(target, digest)
    try:
        result = function(image.copy(), np.random.default_rng(seed))
    except Exception as error:
        raise DataError(f"{target} failed: {type(error).__name__}: {error}.") from error
    if not isinstance(result, np.ndarray) or result.dtype != np.uint8 or result.shape != image.shape:
        shape = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise DataError(f"{target} gave {shape}; needed is uint8 {image.shape}, as it was given.")
    return np.ascontiguousarray(result)
