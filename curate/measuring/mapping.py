"""The 2-D picture of a set: to look at, never to judge by."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Protocol

import numpy as np

from ..stage.engine import chunks
from ..stage.registry import Registry
from .neighbours import Neighbours, nearest
from .storage import cache_folder

# From the neighbours and a seed: a place, (M, 2), for each row.
Layout = Callable[[Neighbours, int], np.ndarray]
MAPS: Registry[Layout] = Registry("map")
AT_MOST = 20_000  # points that are laid out: more would make the map the slowest part of a scan


def lay_out(neighbours: Neighbours, kind: str, seed: int) -> np.ndarray:
    """float32 (M, 2): a place for each of the rows of `neighbours`; NaN for kind "none"."""
    m = len(neighbours.rows)
    if kind == "none":
        return np.full((m, 2), np.nan, np.float32)
    layout = MAPS[kind]
    if m < 10:  # there is no neighbourhood to preserve; the main axes are the whole picture
        layout = pca
    if m <= AT_MOST or layout is pca:
        return np.asarray(layout(neighbours, seed), np.float32)
    # Of a large set an even sample is laid out, and every other row placed at the mean of its nearest in it.
    sample = np.linspace(0, m - 1, AT_MOST).astype(np.int64)
    places = np.asarray(layout(nearest(neighbours.features, sample), seed), np.float32)
    return _places_of_all(neighbours.features, sample, places)


def _places_of_all(features: np.ndarray, sample: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places of all rows: means over their three nearest `chosen` rows; chosen rows keep their own."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(features[sample])
    out = np.empty((len(features), 2), np.float32)
    for piece in chunks(len(features), 8192):
        out[piece] = places[search.kneighbors(features[piece], return_distance=False)].mean(axis=1)
    out[sample] = places
    return out


@MAPS.add
def umap(neighbours: Neighbours, seed: int) -> np.ndarray:
    """UMAP (McInnes et al. 2018) on the neighbours that are known already, from the main axes."""
    reducer = _load_umap()
    k = min(15, neighbours.indices.shape[1] + 1)
    itself = np.arange(len(neighbours.rows))[:, None]
    indices = np.concatenate([itself, neighbours.indices[:, : k - 1]], axis=1)
    distances = np.concatenate([np.zeros(itself.shape, np.float32), neighbours.distances[:, : k - 1]], axis=1)
    with warnings.catch_warnings():
        # UMAP warns that the table has no search index, and that a seed means one thread: both on purpose.
        warnings.simplefilter("ignore")
        fit = reducer(
            n_neighbors=k,
            n_epochs=200,
            init="pca",
            random_state=seed % 2**32,
            n_jobs=1,
            precomputed_knn=(indices, distances, None),
        )
        places = np.asarray(fit.fit_transform(neighbours.features))
    # Where all points coincide, the start from the main axes divides by zero.
    return places if np.isfinite(places).all() else pca(neighbours, seed)


@MAPS.add
def tsne(neighbours: Neighbours, seed: int) -> np.ndarray:
    """t-SNE (van der Maaten and Hinton 2008), as scikit-learn has it."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(30, (len(neighbours.rows) - 1) / 3)
    fit = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed % 2**32)
    with threadpool_limits(1):  # of OpenMP too: its sums differ in their last bits with the number of threads
        return np.asarray(fit.fit_transform(neighbours.features))


@MAPS.add
def pca(neighbours: Neighbours, seed: int) -> np.ndarray:
    """The two main axes of the embedding."""
    features = neighbours.features
    return np.pad(features[:, :2], ((0, 0), (0, max(0, 2 - features.shape[1]))))


def compiled() -> bool:
    """Whether UMAP's functions were compiled by an earlier scan: the first takes 20 seconds longer."""
    return (cache_folder() / "numba").exists()


class _Reducer(Protocol):
    def fit_transform(self, features: np.ndarray) -> np.ndarray: ...


def _load_umap() -> Callable[..., _Reducer]:
    """UMAP's class, without TensorFlow and with its compiled functions kept from scan to scan.

    Importing umap imports TensorFlow for a variant that is not used here: 12 s against 0.7 s. Compiling its functions
    takes 7 s, loading them 0.1 s.
    """
    import numba

    hidden = "tensorflow" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Tensorflow not installed"
            numba.config.CACHE_DIR = str(cache_folder() / "numba")  # type: ignore[attr-defined]
            with _compiled_late(numba):
                import umap
            from numba.core.dispatcher import Dispatcher
            from umap import layouts, umap_
    finally:
        if hidden:
            del sys.modules["tensorflow"]
    for module in (umap_, layouts):
        for function in vars(module).values():
            if isinstance(function, Dispatcher) and function.py_func.__module__.startswith("umap"):
                function.enable_caching()
    reducer: Callable[..., _Reducer] = umap.UMAP
    return reducer


@contextmanager
def _compiled_late(numba: ModuleType) -> Iterator[None]:
    """Within it, a module whose functions have signatures does not compile or load them when it is imported.

    Of PyNNDescent's 46 none is used where the neighbours are known: they wait until they are called, which saves 0.3 s.
    UMAP's own, which are, keep their signatures and are kept from scan to scan.
    """
    at_once = numba.njit

    def njit(*signature: object, **options: object) -> object:
        if not signature or callable(signature[0]):
            return at_once(*signature, **options)

        def compiler(function: Callable[..., object]) -> object:
            if function.__module__.startswith("pynndescent"):
                return at_once(**options)(function)
            return at_once(*signature, **{**options, "cache": True})(function)

        return compiler

    numba.njit = njit  # type: ignore[attr-defined]
    try:
        yield
    finally:
        numba.njit = at_once  # type: ignore[attr-defined]
