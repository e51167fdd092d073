"""Pictures to vectors: backbones (by OpenVINO on a CPU, by Keras on a GPU) or the built-in descriptor."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..stage.errors import DataError, UnknownName
from ..stage.files import room, write_text
from ..stage.shortness import short_repr
from . import descriptor, inference, lite
from .backbones import WeightsUnavailable, application_names, check_side, feature_model
from .choosing import automatic, cache_state, on_gpu
from .storage import cache_folder

BUILTIN, AUTO = "builtin", "auto"
BESIDE = "+"  # between the names of backbones that see side by side


@dataclass(frozen=True, eq=False)
class Embedder:
    """Turns uint8 (n, size, size, 3) into float32 (n, dimensions); safe to call from several threads.

    describe  for the person;  digest  names model and weights in the manifest
    vectors   (N, dimensions): of every row of a set, where a person brought them; nothing is embedded then
    """

    name: str
    size: int
    dimensions: int
    describe: str
    digest: str
    embed: Callable[[np.ndarray], np.ndarray]
    vectors: np.ndarray | None = None

    __repr__ = short_repr

    @property
    def words(self) -> str:
        """For the manifest: with the size at which it sees pictures, where it sees any."""
        return self.describe if self.vectors is not None else f"{self.describe}, {self.size} px"


def load_embedder(
    backbone: str, weights: str | None, size: int, workers: int, say: Callable[[str], None] = lambda line: None
) -> tuple[Embedder, str]:
    """The embedder that a configuration asks for, and a note for the person ("" if all is as asked).

    backbone  "auto" (see `automatic`), "builtin", the name of a backbone, or names with "+" between, side by side

    Where "auto" finds no weights at all it goes on with the built-in descriptor and says so. A backbone asked for by
    name is an error where its weights cannot be had.
    """
    if backbone == BUILTIN:
        if weights is not None:
            raise DataError("--weights goes with a backbone that has some; builtin has none. Leave one of them out.")
        return builtin(), ""
    if backbone == AUTO:
        return _automatic_embedder(weights, size, workers, say)
    try:
        return _named_embedder(backbone, weights, size, workers, say), ""
    except _NoWeights as error:
        raise DataError(
            f"{error} Give a file with --weights, point KERAS_HOME at a cache that holds them, "
            "or use --backbone builtin."
        ) from None


def _automatic_embedder(
    weights: str | None, size: int, workers: int, say: Callable[[str], None]
) -> tuple[Embedder, str]:
    names = automatic(weights)
    for name in names:
        try:
            embedder = _named_embedder(name, weights, size, workers, say)
        except _NoWeights:
            continue
        missing = names[: names.index(name)]
        return embedder, f"{_not_to_be_had(missing)}, so {name} is used instead" if missing else ""
    return builtin(), (
        f"{_not_to_be_had(names)}, so the built-in descriptor is used instead: label errors and outliers are found "
        "less reliably. Install Trustset with its dependencies, or point KERAS_HOME at weights."
    )


def _not_to_be_had(names: Sequence[str]) -> str:
    return f"no weights of {' or '.join(names)} are to be had here"


def _named_embedder(
    backbone: str, weights: str | None, size: int, workers: int, say: Callable[[str], None]
) -> Embedder:
    """The embedder of one backbone, or of several side by side. Raises _NoWeights."""
    names = backbone.split(BESIDE)
    if weights is not None and len(names) > 1:
        raise DataError(f"one weights file cannot serve {len(names)} backbones. Name one of them.")
    for name in names:
        check_side(name, size)
    if on_gpu():
        embedders = [_keras_embedder(name, weights, size) for name in names]
    else:
        embedders = [_openvino_embedder(name, weights, size, workers, say) for name in names]
    return embedders[0] if len(embedders) == 1 else beside(embedders)


def beside(embedders: Sequence[Embedder]) -> Embedder:
    """What several embedders of one size see, side by side, each vector of length 1: none outweighs the others."""

    def embed(batch: np.ndarray) -> np.ndarray:
        return side_by_side([embedder.embed(batch) for embedder in embedders])

    digest = hashlib.blake2b("\n".join(embedder.digest for embedder in embedders).encode(), digest_size=16)
    return Embedder(
        BESIDE.join(embedder.name for embedder in embedders),
        embedders[0].size,
        sum(embedder.dimensions for embedder in embedders),
        " beside ".join(embedder.describe for embedder in embedders),
        digest.hexdigest(),
        embed,
    )


def side_by_side(parts: Sequence[np.ndarray]) -> np.ndarray:
    """float32 (n, D + ...) of length 1: vectors (n, D), (n, ...) of several embedders, none outweighing the others.

    Each is taken as it is kept, float16 of length 1; what is float16 already is that. So they may be joined at once or
    one after the other.
    """
    kept = [part if part.dtype == np.float16 else normalised(part).astype(np.float16) for part in parts]
    return normalised(np.concatenate(kept, axis=1).astype(np.float32))


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, D), each of length 1; zeros stay."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def builtin() -> Embedder:
    """The descriptor of colour, texture and gradients: no weights, the same on every machine."""

    def embed(batch: np.ndarray) -> np.ndarray:
        return np.stack([descriptor.describe(picture) for picture in batch])

    return Embedder(
        BUILTIN,
        descriptor.SIDE,
        descriptor.LENGTH,
        "the built-in descriptor (no weights)",
        "builtin-1",
        embed,
    )


class _NoWeights(Exception):
    """ImageNet weights cannot be had here."""


def _openvino_embedder(
    name: str, weights: str | None, size: int, workers: int, say: Callable[[str], None] = lambda line: None
) -> Embedder:
    path, digest = _converted(name, weights, size, say)
    embed = inference.load(path, (size, size, 3), workers)
    dimensions = embed(np.zeros((0, size, size, 3), np.uint8)).shape[1]
    return Embedder(name, size, dimensions, f"{name} ({_trained(weights)}) on the CPU", digest, embed)


def _keras_embedder(name: str, weights: str | None, size: int) -> Embedder:
    try:
        model = feature_model(name, size, weights or "imagenet")
    except WeightsUnavailable as error:
        raise _NoWeights(str(error)) from None
    lock = threading.Lock()

    def embed(batch: np.ndarray) -> np.ndarray:
        with lock:
            return np.asarray(model.predict_on_batch(batch.astype(np.float32)), np.float32)

    h = hashlib.blake2b(digest_size=16)
    for array in model.get_weights():
        h.update(np.ascontiguousarray(array).data)
    return Embedder(
        name,
        size,
        int(model.output_shape[1]),
        f"{name} ({_trained(weights)}) on the GPU",
        h.hexdigest(),
        embed,
    )


def _trained(weights: str | None) -> str:
    return "ImageNet" if weights is None else Path(weights).name


def _converted(name: str, weights: str | None, size: int, say: Callable[[str], None]) -> tuple[str, str]:
    """Path of the backbone's OpenVINO IR, converted on first use, and a digest that names its weights.

    The cache is keyed by the source of the weights: the bytes of the file, or the state of Keras' own cache, so that
    a scan whose model is converted already never imports Keras.
    """
    cache = cache_folder()
    if weights is not None and not Path(weights).is_file():
        raise DataError(f"no weights file {weights}.")
    origin = _bytes_digest(Path(weights)) if weights is not None else _origin(name)
    stamp = cache / f"{name}-{size}-{origin}.json".replace("/", "_")
    entry = _read_stamp(stamp)
    if entry and (cache / entry["model"]).exists() and (cache / entry["model"]).with_suffix(".bin").exists():
        return str(cache / entry["model"]), entry["digest"]

    if names := application_names():  # before it is said to be fetched
        UnknownName.check("backbone", [name.partition("-")[0]], names)
    at_hand = weights is not None or name in lite.NAMES
    work = "converting" if at_hand else "fetching and converting"
    say(f"{work} {name}: some ten seconds, once on this machine")
    with room(cache / "model") as folder:
        draft = folder / "model.xml"
        _convert(name, size, weights or "imagenet", draft)
        digest = _bytes_digest(draft.with_suffix(".bin"))
        model = cache / f"{name}-{size}-{digest}.xml"
        draft.with_suffix(".bin").replace(model.with_suffix(".bin"))
        draft.replace(model)
    # Fetching the weights changed Keras' cache: the stamp is for the state that the next scan will see.
    origin = origin if weights is not None else _origin(name)
    stamp = cache / f"{name}-{size}-{origin}.json".replace("/", "_")
    write_text(json.dumps({"model": model.name, "digest": digest}), stamp)
    return str(model), digest


def _convert(name: str, size: int, weights: str, out: Path) -> None:
    """Run the conversion in a process of its own: the backend's memory, start-up messages and threads stay there."""
    command = [sys.executable, "-m", "curate.measuring.conversion", name, str(size), weights, str(out)]
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    # Keras prints the progress of a download: shown to a person, and never mixed into what a machine reads.
    stdout = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else subprocess.DEVNULL
    process = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment, check=False)
    if process.returncode == 0:
        return
    reason = (process.stderr.strip().splitlines() or ["no reason given"])[-1]
    if process.returncode == 3:
        raise _NoWeights(reason)
    if process.returncode == 2:
        raise UnknownName(reason) if reason.startswith("no backbone named") else DataError(reason)
    raise RuntimeError(f"{' '.join(command)} failed:\n{process.stderr}")


def _read_stamp(stamp: Path) -> dict[str, str] | None:
    try:
        content = json.loads(stamp.read_text())
    except (OSError, ValueError):  # none yet, or cut short: convert again
        return None
    fits = isinstance(content, dict) and all(isinstance(content.get(key), str) for key in ("model", "digest"))
    return content if fits else None


def _bytes_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _origin(name: str) -> str:
    """What ImageNet's weights of a backbone are known by, before they are read."""
    return lite.weights_digest(name) if name in lite.NAMES else cache_state()
