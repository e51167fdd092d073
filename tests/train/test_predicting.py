import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics import metrics_with, run_metrics

from curate.builds import BuildManifest
from curate.sets.scaling import INTEGERS, Decoding, Scale
from curate.stage.errors import DataError, OutputError
from curate.stage.manifest import read_manifest, write_manifest
from train.configs import FILTERS, TEST_TIME, EvaluateConfig, ModelConfig
from train.metrics import PredictionFacts, write_metrics
from train.predicting import (
    BATCH,
    SAMPLE,
    VIEWS,
    Predictor,
    as_measured,
    classes_of,
    decoding_of,
    load_predictor,
    predict,
    views_in_words,
    views_of,
    zoomed,
)
from train.sets import read_built

# Keras' own way of reading a variable of TensorFlow, under NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

CLASSES = ("red", "green", "blue")


def by_colour(images: np.ndarray) -> np.ndarray:
    """The share of each colour in the upper left corner."""
    shares = images[:, :4, :4].mean(axis=(1, 2), dtype=np.float32) + 1
    return shares / shares.sum(axis=1, keepdims=True)


def predictor(forward: Callable[[np.ndarray], np.ndarray] = by_colour, **other: object) -> Predictor:
    return replace(Predictor(forward, (16, 16), CLASSES, VIEWS["none"], None, 2, "keras"), **other)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    """uint8 (10, 16, 16, 3)."""
    return rng.integers(0, 256, (10, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network for the pictures of `built`, with the weights that it began with."""
    import keras

    from train.models import build_model

    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    build_model(ModelConfig(backbone=("cnn",), input_size=32), (32, 32), 3).model.save(path)
    return path


def test_without_more_the_model_is_asked_once(images):
    assert np.allclose(predictor()(images), by_colour(images))
    assert predictor()(images[:0]).shape == (0, 3)


def test_probabilities_are_the_mean_over_the_views(images):
    flips = predictor(views=VIEWS["flips"])(images)
    by_hand = [images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]]
    assert np.allclose(flips, np.mean([by_colour(view) for view in by_hand], axis=0))


@pytest.mark.parametrize(("name", "count"), [("none", 1), ("flips", 4), ("dihedral", 8), ("scales", 3)])
def test_views_are_different_pictures_of_the_same_size(images, name, count):
    made = [view(images) for view in VIEWS[name]]
    assert all(view.shape == images.shape and view.dtype == np.uint8 for view in made)
    assert len({view.tobytes() for view in made}) == count


def test_every_way_of_test_time_augmentation_is_there():
    assert tuple(VIEWS) == TEST_TIME


def test_the_eight_views_are_those_that_turning_and_mirroring_makes(images):
    turned = {np.rot90(flipped, k, axes=(1, 2)).tobytes() for k in range(4) for flipped in (images, images[:, :, ::-1])}
    assert {view(images).tobytes() for view in VIEWS["dihedral"]} == turned


def test_a_picture_that_is_not_square_is_mirrored_but_not_turned():
    assert views_of("flips", (8, 16)) == VIEWS["flips"]
    with pytest.raises(DataError, match=r"these are 16x8\. Take flips"):
        views_of("dihedral", (8, 16))


def test_a_model_looks_as_its_run_was_measured_unless_it_is_told_otherwise(tmp_path):
    model = tmp_path / "model.keras"
    assert as_measured(model, EvaluateConfig()) == EvaluateConfig(tta="none", filter="none")
    write_metrics(run_metrics(prediction=PredictionFacts("openvino", "flips", "denoise")), tmp_path)
    assert as_measured(model, EvaluateConfig()) == EvaluateConfig(tta="flips", filter="denoise")
    assert as_measured(model, EvaluateConfig(tta="none")) == EvaluateConfig(tta="none", filter="denoise")
    assert as_measured(model, EvaluateConfig(filter="none")) == EvaluateConfig(tta="flips", filter="none")


@pytest.mark.parametrize("name", TEST_TIME)
def test_it_is_said_how_often_each_picture_is_looked_at(name):
    said = views_in_words(metrics_with(prediction=PredictionFacts("keras", name, "none")))
    assert said.startswith(f"the mean of {len(VIEWS[name])} views (") if name != "none" else said == ""


@given(st.integers(9, 40), st.integers(9, 40), st.sampled_from([0.87, 1.0, 1.15]))
def test_a_zoomed_picture_keeps_its_size_and_its_middle(height, width, zoom):
    picture = np.full((1, height, width, 3), 90, np.uint8)
    made = zoomed(picture, zoom)
    assert made.shape == picture.shape
    assert (made == 90).all()


def test_zooming_makes_things_as_much_larger(images):
    spot = np.zeros((1, 100, 100, 3), np.uint8)
    cv2.circle(spot[0], (50, 50), 20, (255, 255, 255), -1)
    area = (spot > 127).sum()
    for zoom in (0.87, 1.15):
        assert (zoomed(spot, zoom) > 127).sum() / area == pytest.approx(zoom**2, rel=0.05)
    assert np.array_equal(zoomed(images, 1), images)


def test_a_filter_is_done_to_each_picture_before_its_views(images):
    def darker(image: np.ndarray) -> np.ndarray:
        return image // 2

    found = predictor(filter=darker, views=VIEWS["flips"])(images)
    assert np.allclose(found, predictor(views=VIEWS["flips"])(images // 2))


def test_pieces_come_back_in_order_from_several_threads(images):
    threads = set()

    def forward(batch: np.ndarray) -> np.ndarray:
        threads.add(threading.get_ident())
        return by_colour(batch)

    rows = [range(start, start + 2) for start in range(0, 10, 2)] * 20
    found = list(predictor(forward).over(lambda piece: images[list(piece)], rows))
    assert np.allclose(np.concatenate(found), np.tile(by_colour(images), (20, 1)))
    assert threading.get_ident() not in threads


def test_classes_are_those_of_the_run_or_of_the_build_or_numbers(tmp_path, built, blob_classes):
    model = tmp_path / "run" / "model.keras"
    model.parent.mkdir()
    assert classes_of(model, tmp_path, 2) == (
        ("0", "1"),
        "the model's classes have no names here, and are numbered",
    )
    assert classes_of(model, built, 3) == (blob_classes, "")
    assert classes_of(model, built, 2)[0] == ("0", "1")
    write_metrics(run_metrics(classes=("ant", "bee")), model.parent)
    assert classes_of(model, built, 2) == (("ant", "bee"), "")
    with pytest.raises(DataError, match="has 3 classes"):
        classes_of(model, built, 3)


def test_pictures_are_read_by_the_scale_of_the_run_or_of_the_build(tmp_path, own_built):
    model = tmp_path / "run" / "model.keras"
    model.parent.mkdir()
    twelve, ten = {INTEGERS: Scale(0, 4095, 12)}, {INTEGERS: Scale(0, 1023, 10)}
    assert decoding_of(model, own_built) == Decoding()  # of a build from before there was a scale
    manifest = read_manifest(BuildManifest, own_built / "built")
    write_manifest(replace(manifest, scale=ten, max_pixels=9000), own_built / "built")
    assert decoding_of(model, own_built) == Decoding(ten, 9000, foreign=True)
    write_metrics(run_metrics(scale=twelve), model.parent)
    assert decoding_of(model, own_built) == Decoding(twelve, 9000, foreign=True)


@pytest.fixture(scope="module")
def sample(built: Path) -> np.ndarray:
    """Real pictures of `built`."""
    return read_built(built).test.batch(range(SAMPLE))


def test_on_a_cpu_the_converted_model_says_what_keras_says(model_file, sample, blob_classes):
    from train.models import load_model

    said: list[str] = []
    found = load_predictor(model_file, sample, blob_classes, workers=2, say=said.append)
    assert (found.engine, found.note) == ("openvino", "")
    assert said == ["converting the model for the CPU"]
    model = load_model(model_file)
    model.jit_compile = False
    assert np.allclose(found(sample), model.predict_on_batch(sample), atol=1e-4)
    assert np.allclose(found(sample).sum(axis=1), 1, atol=1e-5)


def test_where_conversion_fails_or_is_off_keras_predicts_and_a_note_says_so(
    model_file, sample, blob_classes, monkeypatch
):
    import train.predicting

    whole = load_predictor(model_file, sample, blob_classes)(sample)
    for way, message in (
        (lambda *_: 1 / 0, r"does not take this model \(division by zero\)"),
        (lambda *_: lambda images: np.full((len(images), 3), 1 / 3, np.float32) + 0.01, "OpenVINO is off by"),
        (lambda *_: lambda images: np.full((len(images), 3), np.nan, np.float32), "OpenVINO is off by nan"),
    ):
        monkeypatch.setattr(train.predicting, "on_openvino", way)
        found = load_predictor(model_file, sample, blob_classes)
        assert found.engine == "keras"
        pd.testing.assert_series_equal(pd.Series(found.note).str.contains(message), pd.Series([True]))
        assert np.allclose(found(sample), whole, atol=1e-3)
        many = np.concatenate([sample] * 5)[: BATCH + 3]
        assert np.allclose(found(many), found.forward(many), atol=1e-6)
        assert np.allclose(found(many)[:SAMPLE], whole, atol=1e-3)


def test_a_model_of_other_classes_or_of_another_size_is_refused(model_file, sample):
    with pytest.raises(DataError, match="has 3 classes, and needed are 2: ant, bee"):
        load_predictor(model_file, sample, ("ant", "bee"))
    with pytest.raises(DataError, match="takes pictures of 32x32, and these are 30x32"):
        load_predictor(model_file, sample[:, :, :30], CLASSES)


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_that_may_be_asked_for_is_there(name, model_file, sample, blob_classes):
    found = load_predictor(model_file, sample, blob_classes, EvaluateConfig(filter=name))
    assert (found.filter is None) == (name == "none")
    assert found(sample).shape == (len(sample), 3)


@pytest.fixture
def folder(tmp_path: Path, built: Path) -> Path:
    """Pictures in files: of the size of the model, of another, and one that is none."""
    place = tmp_path / "new"
    place.mkdir()
    pictures = read_built(built).test.batch(range(3))
    for name, picture in zip(("a.png", "b.png"), pictures, strict=False):
        cv2.imwrite(str(place / name), picture[..., ::-1])
    cv2.imwrite(str(place / "c.png"), cv2.resize(pictures[2][..., ::-1], (90, 70)))
    (place / "d.png").write_bytes(b"no picture")
    return place


def test_images_without_labels_are_predicted_and_written(model_file, built, folder, blob_classes, sample, tmp_path):
    out = tmp_path / "told" / "predictions.csv"
    done = predict(model_file, folder, out=out, artifacts=built, workers=2)
    assert list(done.table) == ["id", "predicted", "confidence", *(f"p_{name}" for name in blob_classes)]
    assert done.table["id"].tolist() == ["a.png", "b.png", "c.png", "d.png"]
    whole = load_predictor(model_file, sample, blob_classes)(sample[:2])
    assert np.allclose(done.table.iloc[:2, 3:].to_numpy(np.float32), whole, atol=1e-5)
    assert done.table["predicted"][0] == blob_classes[whole[0].argmax()]
    assert done.table["confidence"][0] == pytest.approx(whole[0].max(), abs=1e-5)
    assert done.table["predicted"][3] == ""
    assert done.table.iloc[3, 2:].isna().all()
    assert any("1 images cannot be decoded" in note for note in done.notes)
    back = pd.read_csv(out)
    assert np.allclose(back["confidence"][:3], done.table["confidence"][:3], atol=1e-5)
    assert set(done.seconds) == {"loading", "predicting", "writing"}


def test_predictions_are_written_as_parquet_too(model_file, built, tmp_path):
    out = tmp_path / "p.parquet"
    done = predict(model_file, "val", EvaluateConfig(tta="flips"), out=out, artifacts=built, workers=1)
    assert pd.read_parquet(out)["id"].tolist() == list(read_built(built).val.ids)
    assert done.path == out


def test_another_kind_of_file_is_refused_before_anything_is_done(tmp_path):
    with pytest.raises(OutputError, match=r"neither \.csv nor \.parquet"):
        predict("no run", "no set", out=tmp_path / "p.xlsx")
