"""Tensors of a file that PyTorch saved, read without PyTorch and without running what the file pickles."""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..stage.errors import DataError

# torch.save's format up to PyTorch 1.5: five pickles (this number, the protocol, the machine, the state, the keys of
# its storages), then each storage: its length, 8 bytes, and its elements. The zip format of today is another.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


@dataclass(frozen=True)
class _Storage:
    """Elements in a row, which lie behind the pickles: their dtype, key and number."""

    dtype: np.dtype[np.generic]
    key: str
    length: int


@dataclass(frozen=True)
class _View:
    """A tensor: where in a storage it begins, its shape, and the elements between neighbours along each axis."""

    storage: _Storage
    begin: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, elements: bytes) -> np.ndarray:
        """Its array, of all elements of its storage. Raises ValueError where it would reach beyond them."""
        dtype = self.storage.dtype
        strides = [step * dtype.itemsize for step in self.strides]
        return np.ndarray(self.shape, dtype, elements, self.begin * dtype.itemsize, strides)


def _view(
    storage: _Storage, begin: int, shape: tuple[int, ...], strides: tuple[int, ...], *for_gradients: object
) -> _View:
    """What stands in for torch._utils._rebuild_tensor_v2."""
    return _View(storage, begin, shape, strides)


# All that a dictionary of tensors is pickled with.
_ADMITTED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _view,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}


class _TensorUnpickler(pickle.Unpickler):
    """Admits the names that tensors need, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        """What stands for a name."""
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no tensor needs")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: tuple[str, np.dtype[np.generic], str, str, int, None]) -> _Storage:
        """A storage, as torch.save points to it: kind, type, key, device, length, view."""
        _, dtype, key, _, length, _ = pid
        return _Storage(dtype, key, length)


def read_tensors(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """The tensors of a file by name, in its order, float32 or int64.

    sha256  of the file, in hexadecimal: any other is refused before anything is read of it

    Raises DataError where the file is another or no dictionary of tensors, OSError where it cannot be read.
    """
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            size = path.stat().st_size
            raise DataError(f"{path} is not the file that was published: it has {size:,} bytes and another SHA-256.")
        file.seek(0)
        try:
            return _tensors(file)
        except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise DataError(f"{path} is no dictionary of tensors as PyTorch saves it ({error}).") from error


def _tensors(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, protocol, _, state, keys = (_TensorUnpickler(file).load() for _ in range(5))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise ValueError("it does not begin as such a file does")
    if not isinstance(state, dict) or not all(isinstance(view, _View) for view in state.values()):
        raise ValueError("it holds something else")
    storages = {view.storage.key: view.storage for view in state.values()}
    elements = {key: _elements(file, storages[key]) for key in keys}
    return {name: view.of(elements[view.storage.key]) for name, view in state.items()}


def _elements(file: BinaryIO, storage: _Storage) -> bytes:
    """The next storage of a file."""
    length = int.from_bytes(file.read(8), "little")
    if length != storage.length:
        raise ValueError(f"a storage of {storage.length} elements is said to have {length}")
    return file.read(length * storage.dtype.itemsize)
