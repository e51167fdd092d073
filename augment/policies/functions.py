"""A person's own operation as a Python function, `file.py:name`, called as name(image, rng) -> image.

Code runs only from a file that a person has named: `load` is told which, and `call` loads nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from curate.stage.errors import DataError

Function = Callable[[np.ndarray, np.random.Generator], object]
# (name, digest of its file) -> function: what was loaded in this process.
_LOADED: dict[tuple[str, str], Function] = {}
# In records: what an operation of this name calls.
CALL = "call"


def split_target(target: str) -> tuple[Path, str]:
    """(file, name of the function) of "file.py:name". Raises DataError."""
    file, colon, name = target.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        raise DataError(f"{target!r} is no function. Give file.py:name, as in mine.py:fade.")
    return Path(file), name


def digest_of(target: str) -> str:
    """Hex BLAKE2b-128 of the file that holds a function. Raises DataError."""
    path, _ = split_target(target)
    return _file_digest(path, "Give file.py:name.")


def _file_digest(path: Path, needed: str) -> str:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {needed}") from error


def load(target: str, functions: Iterable[str | Path]) -> str:
    """Run the file of a target, which is to be one of the `functions`, and return its digest.

    Raises DataError where it is none of them, cannot be run, or has no function of that name.
    """
    path, name = split_target(target)
    if os.path.realpath(path) not in map(os.path.realpath, functions):
        raise DataError(
            f"this calls {name} of {path}, and Python code runs only from a file that the command names. "
            f"Look at it, and add --functions {path}."
        )
    digest = digest_of(target)
    _run(path, name, digest)
    return digest


def load_recorded(record: Sequence[Mapping[str, object]], functions: Iterable[str | Path]) -> None:
    """Run the files that the calls of a record need: those of the `functions` that have the digest recorded.

    Raises DataError where none of them has.
    """
    for drawn in record:
        if drawn["op"] == CALL:
            _load_drawn(str(drawn["function"]), str(drawn["digest"]), functions)
        first = drawn.get("first")
        if isinstance(first, list):
            load_recorded(first, functions)


def _load_drawn(target: str, digest: str, functions: Iterable[str | Path]) -> None:
    path, name = split_target(target)
    files = {_file_digest(Path(file), "Give a .py file with --functions."): Path(file) for file in functions}
    if digest in files:
        _run(files[digest], name, digest)
        return
    alike = next((file for file in files.values() if file.name == path.name), None)
    if alike is not None:
        raise DataError(f"{alike} has changed since {name} was drawn. Build anew, or bring the file back.")
    raise DataError(
        f"this was made by {name} of {path}, and Python code runs only from a file that the command names. "
        f"Look at it, and add --functions {path}."
    )


def _run(path: Path, name: str, digest: str) -> None:
    """Run a file of that digest, once in a process. Raises DataError where it has no function of that name."""
    if (name, digest) in _LOADED:
        return
    module_name = f"policy_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None  # there is one for every file that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # where dataclasses and pickle look it up
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it may raise SystemExit, or what no Exception is
        del sys.modules[module_name]
        raise DataError(f"{path} cannot be run: {_words_of(error)}.") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise DataError(f"{path} has no function {name}.")
    _LOADED[name, digest] = function


def call(target: str, digest: str, image: np.ndarray, seed: int) -> np.ndarray:
    """What a function that was loaded makes of a picture.

    Raises DataError where it was not loaded, fails, or gives another shape or type.
    """
    _, name = split_target(target)
    if (name, digest) not in _LOADED:
        raise DataError(f"{target} was not named in this command, and so does not run.")
    try:
        result = _LOADED[name, digest](image.copy(), np.random.default_rng(seed))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise DataError(f"{target} failed: {_words_of(error)}.") from error
    if not isinstance(result, np.ndarray) or result.dtype != np.uint8 or result.shape != image.shape:
        shape = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise DataError(f"{target} gave {shape}; needed is uint8 {image.shape}, as it was given.")
    return np.ascontiguousarray(result)


def _words_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")
