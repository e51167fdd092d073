import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from curate.measuring import embedding
from curate.measuring.choosing import PACKED_BACKBONE, SMALL_BACKBONE
from curate.measuring.descriptor import LENGTH, describe
from curate.measuring.embedding import Embedder, builtin, load_embedder
from curate.measuring.storage import cache_folder
from curate.stage.errors import DataError, UnknownName

ROOT = Path(__file__).parents[3]
KERAS_HOME = ROOT / "../shared/keras"
WEIGHTS = KERAS_HOME / "models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason="no ImageNet weights beside the project")
SIZE = 96


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch):
    """A cache of its own, no weights, no GPU and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    cache_folder.cache_clear()
    yield
    cache_folder.cache_clear()


@pytest.fixture
def converting(monkeypatch):
    """What the process that converts is asked for, and how it ends: exit status and last words."""
    asked = []

    def ends(status: int, words: str = ""):
        def run(command, **options):
            asked.append(command)
            return subprocess.CompletedProcess(command, status, stderr=words)

        monkeypatch.setattr(subprocess, "run", run)
        return asked

    return ends


@pytest.fixture
def converted(monkeypatch):
    """Conversions made, none of them real: two files each, the second of which holds the weights' name."""
    made = []

    def convert(name, size, weights, out):
        made.append((name, size, weights))
        out.write_text("<model/>")
        out.with_suffix(".bin").write_bytes(f"{name} {weights}".encode())

    monkeypatch.setattr(embedding, "_convert", convert)
    return made


def quietly(line: str) -> None:
    pass


# The built-in descriptor


def test_the_builtin_embedder_describes_each_picture(cells):
    embedder = builtin()
    pictures = cells[0][:5]
    found = embedder.embed(pictures)
    assert found.shape == (5, embedder.dimensions) == (5, LENGTH)
    assert found.dtype == np.float32
    assert (found == np.stack([describe(picture) for picture in pictures])).all()
    assert "no weights" in embedder.describe
    assert embedder.digest


def test_the_builtin_embedder_asked_for_by_name_needs_nothing_and_says_nothing():
    embedder, note = load_embedder("builtin", None, 7, 1)
    assert embedder.name == "builtin"
    assert note == ""


# What cannot be had


@pytest.mark.parametrize("size", [-1, 0, 31])
def test_pictures_too_small_for_any_backbone_are_refused(size):
    with pytest.raises(DataError, match=f"--input-size {size} is below the 32 pixels"):
        load_embedder("auto", None, size, 1)


def test_a_backbone_that_needs_larger_pictures_than_others_says_so():
    with pytest.raises(DataError, match="--input-size 48 is below the 71 pixels that Xception needs"):
        load_embedder("Xception", None, 48, 1)


def test_weights_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match=r"no weights file .*mine\.h5"):
        load_embedder(SMALL_BACKBONE, str(tmp_path / "mine.h5"), SIZE, 1)


def test_without_weights_the_builtin_descriptor_stands_in_and_says_so(converting):
    asked = converting(3, "warm-up\nno ImageNet weights for it")
    embedder, note = load_embedder("auto", None, SIZE, 1)
    assert embedder.name == "builtin"
    assert PACKED_BACKBONE in note
    assert "built-in descriptor is used instead" in note
    assert "KERAS_HOME" in note
    assert len(asked) == 1


def test_a_backbone_asked_for_by_name_is_an_error_without_its_weights(converting):
    converting(3, "no ImageNet weights for ResNet50: offline")
    with pytest.raises(DataError, match=r"no ImageNet weights for ResNet50: offline.*--weights.*--backbone builtin"):
        load_embedder("ResNet50", None, SIZE, 1)


def test_a_process_that_does_not_know_the_backbone_or_the_weights_says_why(converting):
    converting(2, "no backbone named 'ResNet5'. Did you mean 'ResNet50'?")
    with pytest.raises(UnknownName, match="Did you mean 'ResNet50'"):
        load_embedder("ResNet5", None, SIZE, 1)
    converting(2, "mine.h5 does not hold weights of ResNet50")
    with pytest.raises(DataError, match="does not hold weights"):
        load_embedder("ResNet50", None, SIZE, 1)


def test_a_process_that_breaks_is_a_bug_and_shows_all_it_said(converting):
    converting(1, "Traceback\nboom")
    with pytest.raises(RuntimeError, match=r"(?s)curate\.measuring\.conversion.*Traceback\nboom"):
        load_embedder("auto", None, SIZE, 1)


@pytest.fixture
def loaded(monkeypatch):
    """Embedders that are loaded, by the names of their backbones, none of them real."""

    def load(name, *_):
        return Embedder(name, SIZE, 2, name, f"digest of {name}", lambda batch: np.full((len(batch), 2), len(name)))

    monkeypatch.setattr(embedding, "_keras_embedder", load)
    monkeypatch.setattr(embedding, "_openvino_embedder", load)
    return load


@pytest.mark.parametrize(
    ("choices", "missing", "name"),
    [
        ((SMALL_BACKBONE, PACKED_BACKBONE), (), SMALL_BACKBONE),
        ((SMALL_BACKBONE, PACKED_BACKBONE), (SMALL_BACKBONE,), PACKED_BACKBONE),
        ((PACKED_BACKBONE,), (), PACKED_BACKBONE),
        ((SMALL_BACKBONE, PACKED_BACKBONE), (SMALL_BACKBONE, PACKED_BACKBONE), "builtin"),
    ],
)
def test_auto_takes_the_first_whose_weights_are_to_be_had(monkeypatch, loaded, choices, missing, name):
    def load(name, *options):
        if name in missing:
            raise embedding._NoWeights("offline")
        return loaded(name, *options)

    monkeypatch.setattr(embedding, "automatic", lambda weights: choices)
    monkeypatch.setattr(embedding, "_openvino_embedder", load)
    embedder, note = load_embedder("auto", None, SIZE, 1)
    assert embedder.name == name
    assert all(other in note for other in missing)
    assert (note == "") == (not missing)


# Side by side


def test_two_backbones_see_side_by_side_and_weigh_the_same(loaded):
    embedder, note = load_embedder("MobileNetV2-0.35+EfficientNetLite2", None, SIZE, 1)
    assert (embedder.name, embedder.dimensions, note) == ("MobileNetV2-0.35+EfficientNetLite2", 4, "")
    assert embedder.describe == "MobileNetV2-0.35 beside EfficientNetLite2"
    vectors = embedder.embed(np.zeros((3, SIZE, SIZE, 3), np.uint8))
    np.testing.assert_allclose(vectors, np.full((3, 4), 0.5))
    other, _ = load_embedder("EfficientNetLite2+MobileNetV2-0.35", None, SIZE, 1)
    assert other.digest != embedder.digest


def test_one_weights_file_cannot_serve_two(tmp_path):
    with pytest.raises(DataError, match="one weights file cannot serve 2 backbones"):
        load_embedder("MobileNetV2-0.35+EfficientNetLite2", str(tmp_path / "mine.h5"), SIZE, 1)


def test_of_two_names_each_must_be_a_backbone(monkeypatch, tmp_path):
    with pytest.raises(UnknownName, match="no backbone named 'foo'"):
        load_embedder("foo+EfficientNetLite2", None, SIZE, 1)


# The cache


def test_a_model_is_converted_once_for_each_size_and_said_to_be(converted):
    said = []
    first = embedding._converted("ResNet50", None, 96, said.append)
    assert embedding._converted("ResNet50", None, 96, said.append) == first
    assert converted == [("ResNet50", 96, "imagenet")]
    (line,) = said
    assert "ResNet50" in line
    path, digest = first
    assert Path(path).parent == cache_folder()
    assert digest in Path(path).name
    embedding._converted("ResNet50", None, 128, quietly)
    assert len(converted) == 2


def test_no_draft_is_left_in_the_cache(converted):
    embedding._converted("ResNet50", None, 96, quietly)
    assert sorted(path.suffix for path in cache_folder().iterdir()) == [".bin", ".json", ".xml"]


def test_other_weights_in_the_cache_of_keras_are_converted_anew(converted, tmp_path):
    embedding._converted("ResNet50", None, 96, quietly)
    weights = tmp_path / "keras/models/new.h5"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"other weights")
    embedding._converted("ResNet50", None, 96, quietly)
    assert len(converted) == 2


def test_a_weights_file_is_known_by_its_bytes_and_not_its_name(converted, tmp_path):
    one, two, three = (tmp_path / name for name in ("one.h5", "two.h5", "three.h5"))
    one.write_bytes(b"a")
    two.write_bytes(b"a")
    three.write_bytes(b"b")
    for file in (one, two, three):
        embedding._converted("ResNet50", str(file), 96, quietly)
    assert [Path(weights).name for _, _, weights in converted] == ["one.h5", "three.h5"]


@pytest.mark.parametrize("lost", [".bin", ".xml", ".json"])
def test_a_cache_that_lost_a_file_is_made_again(converted, lost):
    before = embedding._converted("ResNet50", None, 96, quietly)
    (file,) = cache_folder().glob(f"*{lost}")
    file.unlink()
    assert embedding._converted("ResNet50", None, 96, quietly) == before
    assert len(converted) == 2


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_stamp_cut_short_is_made_again(converted, text):
    before = embedding._converted("ResNet50", None, 96, quietly)
    (stamp,) = cache_folder().glob("*.json")
    stamp.write_text(text)
    assert embedding._converted("ResNet50", None, 96, quietly) == before
    assert len(converted) == 2


# A real backbone


@pytest.fixture(scope="module")
def real_home(tmp_path_factory):
    """A cache in which MobileNetV2 is converted once for all tests of this module."""
    return tmp_path_factory.mktemp("converted")


@pytest.fixture
def mobilenet(real_home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(real_home))
    monkeypatch.setenv("KERAS_HOME", str(KERAS_HOME.resolve()))
    cache_folder.cache_clear()
    embedder, note = load_embedder("auto", None, SIZE, 2)
    assert note == ""
    return embedder


BY_KERAS = """
import sys, numpy, keras
shape = (96, 96, 3)
base = keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=shape, pooling="avg")
base.load_weights(sys.argv[1])
pictures = numpy.load(sys.argv[2]).astype("float32")
features = base.predict(keras.applications.mobilenet_v2.preprocess_input(pictures), verbose=0)
numpy.save(sys.argv[3], features)
"""


@needs_weights
@pytest.mark.slow
def test_the_converted_model_gives_what_keras_gives(mobilenet, cells, tmp_path):
    pictures = np.concatenate([cells[0][:5], np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)])
    np.save(tmp_path / "pictures.npy", pictures)
    command = [sys.executable, "-c", BY_KERAS, str(WEIGHTS), str(tmp_path / "pictures.npy"), str(tmp_path / "out.npy")]
    subprocess.run(command, check=True, capture_output=True)
    expected = np.load(tmp_path / "out.npy")
    found = mobilenet.embed(pictures)
    assert found.shape == expected.shape == (7, 1280)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-3)
    assert "MobileNetV2-0.35 (ImageNet) on the CPU" in mobilenet.describe


@needs_weights
@pytest.mark.slow
def test_a_converted_model_is_loaded_again_without_keras(mobilenet):
    script = (
        "import sys; from curate.measuring.embedding import load_embedder\n"
        f"embedder, note = load_embedder('auto', None, {SIZE}, 1)\n"
        "print(embedder.digest, note)\n"
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == mobilenet.digest


@needs_weights
@pytest.mark.slow
def test_a_picture_is_embedded_alike_in_any_batch_and_by_any_thread(mobilenet, cells):
    pictures = cells[0][:13]
    whole = mobilenet.embed(pictures)
    alone = np.concatenate([mobilenet.embed(picture[None]) for picture in pictures])
    np.testing.assert_array_equal(whole, alone)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(mobilenet.embed, [pictures] * 8):
            np.testing.assert_array_equal(found, whole)
    one_worker, _ = load_embedder("auto", None, SIZE, 1)
    np.testing.assert_array_equal(one_worker.embed(pictures), whole)
    assert mobilenet.embed(pictures[:0]).shape == (0, 1280)


@needs_weights
@pytest.mark.slow
def test_weights_given_as_a_file_are_those_that_are_used(mobilenet, cells):
    given, note = load_embedder(SMALL_BACKBONE, str(WEIGHTS), SIZE, 2)
    assert note == ""
    assert WEIGHTS.name in given.describe
    np.testing.assert_array_equal(given.embed(cells[0][:3]), mobilenet.embed(cells[0][:3]))


@pytest.mark.slow
def test_an_unknown_backbone_is_answered_with_the_nearest():
    nearest = r"no backbone named 'MobilNetV2'\. Did you mean 'MobileNetV2'\? The nearest of \d+ known: "
    with pytest.raises(UnknownName, match=nearest):
        load_embedder("MobilNetV2-0.35", None, SIZE, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2-wide", "ResNet50-0.5"])
def test_a_width_that_is_no_number_or_that_the_family_does_not_have_is_refused(name):
    with pytest.raises((DataError, UnknownName), match=name):
        load_embedder(name, None, SIZE, 1)


@pytest.mark.slow
def test_a_file_that_holds_no_weights_is_refused(tmp_path):
    (tmp_path / "mine.weights.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"mine\.weights\.h5 does not hold weights of MobileNetV2-0\.35"):
        load_embedder(SMALL_BACKBONE, str(tmp_path / "mine.weights.h5"), SIZE, 1)


@pytest.mark.slow
def test_offline_the_network_is_the_one_that_was_installed_with_us(cells):
    """And it gives what Keras gives."""
    from curate.measuring.backbones import feature_model

    embedder, note = load_embedder("auto", None, SIZE, 1)
    assert (embedder.name, embedder.dimensions, note) == (PACKED_BACKBONE, 1280, "")
    assert embedder.describe == "EfficientNetLite0 (ImageNet) on the CPU"
    expected = feature_model(PACKED_BACKBONE, SIZE, "imagenet").predict(cells[0][:7].astype(np.float32), verbose=0)
    np.testing.assert_allclose(embedder.embed(cells[0][:7]), expected, atol=1e-3, rtol=1e-3)


def test_a_backbone_that_there_is_not_is_not_said_to_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(embedding, "cache_folder", lambda: tmp_path)
    said: list[str] = []
    with pytest.raises(UnknownName, match="no backbone named 'foo'"):
        load_embedder("foo", None, 96, 1, said.append)
    assert said == []


def test_a_stamp_of_another_make_counts_for_nothing(tmp_path):
    for text in ("{}", "[]", '{"model": 3, "digest": "x"}', "{"):
        (tmp_path / "stamp.json").write_text(text)
        assert embedding._read_stamp(tmp_path / "stamp.json") is None


def test_weights_for_a_descriptor_that_has_none_are_refused():
    with pytest.raises(DataError, match="builtin has none"):
        load_embedder("builtin", "weights.h5", 96, 1)
