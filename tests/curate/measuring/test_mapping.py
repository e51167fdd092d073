import subprocess
import sys

import numpy as np
import pytest
import threadpoolctl

from curate.configs import ScanConfig
from curate.measuring import mapping
from curate.measuring.mapping import MAPS, lay_out
from curate.measuring.neighbours import nearest
from curate.measuring.storage import cache_folder
from curate.stage.errors import DataError, UnknownName

EVERY_MAP = [pytest.param(name, marks=pytest.mark.slow) if name == "umap" else name for name in MAPS]


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Compiled functions are kept for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        cache_folder.cache_clear()
        yield
    cache_folder.cache_clear()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """For so few points, threads that wait for each other cost more than they bring."""
    with threadpoolctl.threadpool_limits(1):
        yield


def clouds(n: int, seed: int = 0):
    """The neighbours of n points in three clouds far from each other."""
    features = np.random.default_rng(seed).normal(0, 1, (n, 8)).astype(np.float32)
    features[np.arange(n), np.arange(n) % 3] += 30
    return nearest(features, np.arange(n))


@pytest.mark.parametrize("kind", EVERY_MAP)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 9])
def test_a_handful_of_points_is_laid_out_too(kind, n):
    places = lay_out(clouds(n), kind, 0)
    assert places.shape == (n, 2)
    assert places.dtype == np.float32
    assert np.isfinite(places).all()


@pytest.mark.parametrize("kind", EVERY_MAP)
@pytest.mark.parametrize("n", [10, 60])
def test_every_map_gives_each_point_a_place_and_the_same_one_again(kind, n):
    table = clouds(n)
    before = table.features.copy(), table.indices.copy(), table.distances.copy()
    places = lay_out(table, kind, 5)
    assert places.shape == (n, 2)
    assert places.dtype == np.float32
    assert np.isfinite(places).all()
    assert len(np.unique(places, axis=0)) > n / 2
    assert (lay_out(table, kind, 5) == places).all()
    for given, now in zip(before, (table.features, table.indices, table.distances), strict=True):
        assert (given == now).all()


@pytest.mark.parametrize("kind", EVERY_MAP)
def test_points_that_lie_together_are_drawn_together(kind):
    places = lay_out(clouds(60), kind, 5)
    centres = np.stack([places[cloud::3].mean(axis=0) for cloud in range(3)])
    nearest_centre = np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest_centre == np.arange(60) % 3).mean() > 0.95


@pytest.mark.parametrize("kind", [kind for kind in EVERY_MAP if kind != "tsne"])
def test_points_in_one_and_the_same_place_are_no_trouble(kind):
    same = nearest(np.ones((30, 4), np.float32), np.arange(30))
    assert np.isfinite(lay_out(same, kind, 0)).all()


@pytest.mark.parametrize("seed", [2**32 - 1, 2**32, 2**64])
def test_a_seed_of_any_size_that_a_configuration_takes_lays_out_a_map(seed):
    try:
        config = ScanConfig(seed=seed, map="tsne")
    except DataError:
        return
    assert np.isfinite(lay_out(clouds(12), config.map, config.seed)).all()


def test_no_map_is_no_place():
    places = lay_out(clouds(12), "none", 0)
    assert places.shape == (12, 2)
    assert np.isnan(places).all()


def test_a_map_that_is_none_is_answered_with_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'tsne'"):
        lay_out(clouds(12), "tsen", 0)


def test_the_main_axes_are_drawn_as_they_are():
    table = clouds(20)
    assert (lay_out(table, "pca", 0) == table.features[:, :2]).all()


def test_a_single_axis_is_drawn_as_a_line():
    line = nearest(np.arange(12, dtype=np.float32)[:, None], np.arange(12))
    places = lay_out(line, "pca", 0)
    assert (places[:, 0] == np.arange(12)).all()
    assert not places[:, 1].any()


def test_of_a_large_set_a_sample_is_laid_out_and_the_rest_put_among_its_neighbours(monkeypatch):
    laid_out = []
    real = MAPS["tsne"]

    def counted(neighbours, seed):
        laid_out.append(len(neighbours.rows))
        return real(neighbours, seed)

    monkeypatch.setattr(mapping, "AT_MOST", 60)
    monkeypatch.setitem(MAPS._entries, "tsne", counted)
    places = lay_out(clouds(150), "tsne", 0)
    assert laid_out == [60]
    assert places.shape == (150, 2)
    assert np.isfinite(places).all()
    centres = np.stack([places[cloud::3].mean(axis=0) for cloud in range(3)])
    assert (np.linalg.norm(places[:, None] - centres, axis=2).argmin(axis=1) == np.arange(150) % 3).all()


@pytest.mark.slow
def test_umap_loads_no_tensorflow_and_hides_none(tmp_path):
    script = (
        "import sys; from curate.measuring.mapping import _load_umap; print(_load_umap().__name__);"
        "assert 'tensorflow' not in sys.modules, 'tensorflow was loaded, or hidden for good'"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "UMAP"
