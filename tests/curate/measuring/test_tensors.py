import hashlib
import io
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from curate.measuring.tensors import read_tensors
from curate.stage.errors import DataError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KERNEL = np.arange(24, dtype="<f4").reshape(2, 3, 4)
COUNT = np.array([7], "<i8")


class Tensor:
    """As PyTorch pickles one: a call of _rebuild_tensor_v2 on a storage, which is pointed to."""

    def __init__(self, values: np.ndarray, key: str, begin: int = 0, **layout: tuple[int, ...]):
        self.values, self.key, self.begin = values, key, begin
        self.shape = layout.get("shape", values.shape)
        self.strides = layout.get("strides", tuple(step // values.itemsize for step in values.strides))

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            Pointer(self.values, self.key), self.begin, self.shape, self.strides, False, OrderedDict()
        )  # fmt: skip


class Pointer:
    def __init__(self, values: np.ndarray, key: str):
        self.values, self.key = values, key


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, Pointer):
            return None
        kind = "FloatStorage" if value.values.dtype == np.float32 else "LongStorage"
        return "storage", getattr(sys.modules["torch"], kind), value.key, "cpu", value.values.size, None


@pytest.fixture(autouse=True)
def torch(monkeypatch):
    """Modules with the names that a pickle of PyTorch has, so that one can be written here."""
    for module, names in (("torch", ("FloatStorage", "LongStorage")), ("torch._utils", ("_rebuild_tensor_v2",))):
        made = ModuleType(module)
        for name in names:
            setattr(made, name, type(name, (), {"__module__": module, "__call__": None}))
        monkeypatch.setitem(sys.modules, module, made)


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def saved(state: object, storages: dict[str, np.ndarray], magic: int = MAGIC) -> bytes:
    """The bytes that torch.save wrote up to PyTorch 1.5."""
    head = [pickled(value) for value in (magic, PROTOCOL, {"little_endian": True}, state, list(storages))]
    tail = [values.size.to_bytes(8, "little") + values.tobytes() for values in storages.values()]
    return b"".join(head + tail)


def network() -> tuple[OrderedDict, dict[str, np.ndarray]]:
    state = OrderedDict(kernel=Tensor(KERNEL, "11"), count=Tensor(COUNT, "12"))
    return state, {"12": COUNT, "11": KERNEL}


def read(content: bytes, folder: Path) -> dict[str, np.ndarray]:
    path = folder / "network.pth"
    path.write_bytes(content)
    return read_tensors(path, hashlib.sha256(content).hexdigest())


def test_tensors_come_back_by_name_in_their_order(tmp_path):
    tensors = read(saved(*network()), tmp_path)
    assert list(tensors) == ["kernel", "count"]
    np.testing.assert_array_equal(tensors["kernel"], KERNEL)
    np.testing.assert_array_equal(tensors["count"], COUNT)
    assert tensors["kernel"].dtype == np.float32


def test_a_tensor_may_lie_anywhere_in_its_storage_and_column_by_column(tmp_path):
    turned = KERNEL.reshape(4, 6).T
    part = Tensor(KERNEL, "11", begin=4, shape=(2, 3), strides=(1, 2))
    tensors = read(saved({"turned": Tensor(turned, "11"), "part": part}, {"11": KERNEL}), tmp_path)
    np.testing.assert_array_equal(tensors["turned"], turned)
    np.testing.assert_array_equal(tensors["part"], KERNEL.ravel()[4:10].reshape(3, 2).T)


def test_another_file_is_refused_before_anything_is_read_of_it(tmp_path):
    path = tmp_path / "network.pth"
    path.write_bytes(pickled(MAGIC)[:-1] + b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(
        DataError, match=r"network\.pth is not the file that was published: it has \d+ bytes and another SHA-256"
    ):
        read_tensors(path, "0" * 64)


@pytest.mark.parametrize("where", range(5), ids=["first", "protocol", "machine", "state", "keys"])
@pytest.mark.parametrize(
    ("name", "call"),
    [("os.system", b"cos\nsystem\n(S'touch ran'\ntR."), ("builtins.eval", b"c__builtin__\neval\n(S'1'\ntR.")],
)
def test_a_name_that_no_tensor_needs_is_refused_and_nothing_is_run(tmp_path, monkeypatch, where, name, call):
    monkeypatch.chdir(tmp_path)
    parts = [pickled(value) for value in (MAGIC, PROTOCOL, {}, network()[0], ["11", "12"])]
    parts[where] = b"\x80\x02" + call
    with pytest.raises(DataError, match=rf"it names {name.replace('builtins', '__builtin__')}, which no tensor needs"):
        read(b"".join(parts), tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path, share):
    content = saved(*network())
    with pytest.raises(DataError, match="is no dictionary of tensors as PyTorch saves it"):
        read(content[: int(share * len(content))], tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    state, storages = network()
    wrong = {
        "another number in front": saved(state, storages, magic=3),
        "no dictionary": saved([1, 2], {}),
        "no tensors": saved({"kernel": 1.0}, {}),
        "a zip": b"PK\x03\x04" + bytes(200),
        "text": b"nothing of the kind",
        "a storage that is not there": saved(state, {"12": COUNT}),
        "another length": saved(state, {"12": COUNT, "11": KERNEL[0]}),
        "beyond its storage": saved({"kernel": Tensor(KERNEL, "11", begin=1)}, {"11": KERNEL}),
    }
    for name, content in wrong.items():
        with pytest.raises(DataError, match="is no dictionary of tensors as PyTorch saves it"):
            pytest.fail(f"{name}: {read(content, tmp_path)}")
