from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
from manifests import finish_run
from metrics import run_metrics

from curate.stage.errors import DataError
from curate.stage.progress import Silent
from train.configs import EvaluateConfig, ModelConfig, RunConfig
from train.explanation import (
    SHIFTED_SHOWN,
    WRONG_SHOWN,
    explain,
    explained,
    hardest,
    heat_maps,
    panel_of,
    panels,
    write_hardest,
    write_sheet,
)
from train.inputs import RunInputs
from train.metrics import write_metrics
from train.models import build_model
from train.panels import Case, Explained
from train.predictions import Predictions, Track, facts_of
from train.runs import write_predictions
from train.sets import read_built, read_set

ROOT = Path(__file__).parents[2]
SIDE = 8


def blocks(pools: Sequence[int], kernel: np.ndarray) -> Any:
    """A model whose maps are plain means of `pool` x `pool` pixels of the picture, joined by a linear head: what speaks
    for a class at each place can be worked out by hand."""
    import keras

    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255, name="resize")(pixels)
    pooled = []
    for number, pool in enumerate(pools):
        inner = keras.Input((SIDE, SIDE, 3))
        nested = keras.Model(inner, keras.layers.AveragePooling2D(pool)(inner), name=f"backbone_{number}")
        pooled.append(keras.layers.GlobalAveragePooling2D(name=f"pool_{number}")(nested(scaled)))
    features = keras.layers.Concatenate(name="features")(pooled) if len(pooled) > 1 else pooled[0]
    head = keras.Sequential(
        [keras.layers.Dropout(0.5), keras.layers.Dense(kernel.shape[1], name="logits")], name="head"
    )
    model = keras.Model(pixels, keras.layers.Softmax(name="probabilities")(head(features)))
    head.layers[-1].set_weights([kernel.astype(np.float32), np.zeros(kernel.shape[1], np.float32)])
    return model


def by_hand(images: np.ndarray, pools: Sequence[int], kernel: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """The same heat maps without any gradient: a linear head's weights are those of the maps."""
    heat = []
    for image, code in zip(images, classes, strict=True):
        total = np.zeros((SIDE, SIDE), np.float32)
        for number, pool in enumerate(pools):
            cells = SIDE // pool
            means = (image / 255).reshape(cells, pool, cells, pool, 3).mean(axis=(1, 3))
            weights = kernel[3 * number : 3 * number + 3, code]
            total += cv2.resize((means @ weights).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        total = np.maximum(total, 0)
        heat.append(total / total.max() if total.any() else total)
    return np.array(heat)


@pytest.mark.parametrize("pools", [(2,), (1,), (4, 2)])
def test_under_a_linear_head_a_heat_map_is_the_weighted_sum_of_the_maps(
    pools: tuple[int, ...], rng: np.random.Generator
) -> None:
    kernel = rng.normal(size=(3 * len(pools), 4))
    images = rng.integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    classes = np.array([0, 1, 2, 3, 1])
    heat = heat_maps(blocks(pools, kernel), images, classes)
    assert heat.dtype == np.float32
    assert heat == pytest.approx(by_hand(images, pools, kernel, classes), abs=1e-5)


def test_by_default_the_likeliest_class_is_explained(rng: np.random.Generator) -> None:
    kernel = rng.normal(size=(3, 4))
    model = blocks((2,), kernel)
    images = rng.integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    likeliest = (images.reshape(5, -1, 3).mean(axis=1) @ kernel).argmax(axis=1)
    assert heat_maps(model, images) == pytest.approx(heat_maps(model, images, likeliest))


def test_where_nothing_speaks_for_a_class_its_map_is_empty() -> None:
    images = np.full((1, SIDE, SIDE, 3), 200, np.uint8)
    kernel = np.array([[-1.0, 1.0]] * 3)
    heat = heat_maps(blocks((2,), kernel), np.repeat(images, 2, axis=0), np.array([0, 1]))
    assert not heat[0].any()
    assert heat[1] == pytest.approx(1)


def test_an_image_is_explained_alike_in_any_company(rng: np.random.Generator) -> None:
    model = blocks((2,), rng.normal(size=(3, 3)))
    images = rng.integers(0, 256, (37, SIDE, SIDE, 3), dtype=np.uint8)
    whole = heat_maps(model, images)
    assert whole.shape == (37, SIDE, SIDE)
    assert whole[[20]] == pytest.approx(heat_maps(model, images[[20]]), abs=1e-6)
    assert heat_maps(model, images[:0]).shape == (0, SIDE, SIDE)


@pytest.mark.parametrize("at", [(0, 0), (4, 8), (12, 12)])
def test_a_bright_spot_is_found(at: tuple[int, int]) -> None:
    top, left = at
    kernel = np.array([[1.0, -1.0]] * 3)
    image = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    image[0, top // 2 : top // 2 + 2, left // 2 : left // 2 + 2] = 255
    heat = heat_maps(blocks((2,), kernel), image, np.array([0]))[0]
    assert heat[top // 2 : top // 2 + 2, left // 2 : left // 2 + 2].max() == 1
    assert heat.sum() < 20


def test_a_model_of_another_make_is_refused() -> None:
    import keras

    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with pytest.raises(DataError, match=r"no layers named pool_0 and probabilities.*one that `train` has made"):
        heat_maps(model, np.zeros((1, 4, 4, 3), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "policy"),
    [
        (ModelConfig(("cnn",), "random", 32, dense=(8,), head_norm=True), "float32"),
        (ModelConfig(("cnn", "cnn"), "random", 32, attention="cbam"), "float32"),
        (ModelConfig(("cnn",), "random", 32, attention="se"), "mixed_bfloat16"),
        (ModelConfig(("MobileNetV2-0.35",), "random", 32), "float32"),
    ],
    ids=["dense head", "two backbones with attention", "mixed precision", "nested application"],
)
def test_any_model_of_train_is_explained(config: ModelConfig, policy: str, rng: np.random.Generator) -> None:
    keras.utils.set_random_seed(0)
    model = build_model(config, (24, 32), 3, policy).model
    images = rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
    heat = np.stack([heat_maps(model, images, np.full(3, code)) for code in range(3)])
    assert heat.shape == (3, 3, 24, 32)
    assert np.isfinite(heat).all()
    assert heat.min() >= 0
    assert set(np.unique(heat.max(axis=(2, 3)))) <= {0, 1}
    assert heat.any()
    assert (heat[0] != heat[1]).any()
    assert (heat_maps(model, images) == heat_maps(model, images)).all()


ELSEWHERE = """
import json, sys
import numpy as np
from train.explanation import heat_maps
from train.models import load_model
model, images = load_model(sys.argv[1]), np.load(sys.argv[2])
import keras
heat = heat_maps(model, images, np.arange(len(images)) % 3)
print("TOLD" + json.dumps([keras.backend.backend(), heat.tolist()]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_draw_the_same_maps(backend: str, tmp_path: Path, rng: np.random.Generator) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}")
    config = ModelConfig(("cnn", "cnn"), "random", 32, attention="se", dense=(8,))
    model = build_model(config, (16, 16), 3).model
    images = rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    here = heat_maps(model, images, np.arange(4) % 3)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "model.keras"), str(tmp_path / "images.npy")]
    environment = os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    name, heat = json.loads(done.stdout.split("TOLD")[1])
    assert name == backend
    assert here.any()
    assert np.array(heat) == pytest.approx(here, abs=1e-3)


# Which cases are shown

TRACKS = (
    Track("val", "val"),
    Track("test", "test"),
    *(Track(f"fog-{s}", "test", "fog", s, "weather", "near") for s in (1, 3, 5)),
    *(Track(f"snow-{s}", "test", "snow", s, "weather", "disjoint") for s in (1, 5)),
    *(Track(f"shot_noise-{s}", "test", "shot_noise", s, "noise", "disjoint") for s in (1, 5)),
    Track("composed-2", "test", "composed-2"),
    Track("composed-3", "test", "composed-3"),
    Track("gamma-5", "validation", "gamma", 5, "light", "near"),
)
CLASSES = ("cat", "dog")


def table(rows: Sequence[tuple[str, str, int, float]]) -> pd.DataFrame:
    """Predictions from (set, source, label, probability of class 0); what has no label has -1."""
    return pd.DataFrame(
        {
            "set": [of for of, *_ in rows],
            "id": [source + ("+1" if of.startswith("composed") else "") for of, source, *_ in rows],
            "source": [source for _, source, *_ in rows],
            "group": range(len(rows)),
            "label": [label for *_, label, _ in rows],
            "p0": np.array([p for *_, p in rows], np.float32),
            "p1": np.array([1 - p for *_, p in rows], np.float32),
        }
    )


def everywhere(source: str, label: int, clean: float, **under: float) -> list[tuple[str, str, int, float]]:
    """One source in every set of the test, as sure of class 0 as when clean unless told otherwise."""
    names = [track.name for track in TRACKS if track.role == "test"]
    return [(name, source, label, under.get(name.replace("-", "_"), clean)) for name in names]


@pytest.fixture
def predictions() -> pd.DataFrame:
    """a, b cats and c, d dogs: a is sure, b is lost in fog, c in noise and worse in snow, d is wrong throughout."""
    rows = [
        *everywhere("a", 0, 0.99),
        *everywhere("b", 0, 0.9, fog_5=0.2, fog_3=0.3, composed_3=0.1),
        *everywhere("c", 1, 0.2, shot_noise_5=0.7, snow_5=0.6),
        *everywhere("d", 1, 0.8),
        ("val", "v", 0, 0.0),
        ("gamma-5", "v", 0, 0.0),
        ("test", "unlabelled", -1, 1.0),
    ]
    return table(rows).sample(frac=1, random_state=0)


def test_of_each_class_the_surest_is_shown_and_of_the_wrong_ones_too(predictions: pd.DataFrame) -> None:
    right, wrong, _ = panels(predictions, TRACKS)
    assert [(case.id, case.label, case.predicted) for case in right.cases] == [("a", 0, 0), ("c", 1, 1)]
    assert right.cases[0].confidence == pytest.approx(0.99)
    assert [(case.set, case.id, case.right) for case in wrong.cases] == [("test", "d", False)]
    assert (wrong.cases[0].confidence, wrong.cases[0].own) == (pytest.approx(0.8), pytest.approx(0.2))


def test_of_each_family_the_corruption_that_hurts_most_has_one_row(predictions: pd.DataFrame) -> None:
    shifted = panels(predictions, TRACKS)[-1]
    # Two are right in fog 5 and in noise 5, as in snow 5: of equals the first by name.
    assert [[case.variant for case in row] for row in shifted.rows] == [
        ["clean", "fog, mild", "fog, severe", "3 at once"],
        ["clean", "shot noise, mild", "shot noise, severe", "3 at once"],
    ]
    assert [case.set for case in shifted.rows[0]] == ["test", "fog-1", "fog-5", "composed-3"]
    assert [[case.right for case in row] for row in shifted.rows] == [
        [True, True, False, False],
        [True, True, False, True],
    ]
    assert [row[0].id for row in shifted.rows] == ["b", "c"]
    assert shifted.rows[0][-1].id == "b+1"


def test_the_order_of_the_predictions_does_not_matter(predictions: pd.DataFrame) -> None:
    assert panels(predictions, TRACKS) == panels(predictions.iloc[::-1], TRACKS)
    assert hardest(predictions, TRACKS, CLASSES).equals(hardest(predictions.iloc[::-1], TRACKS, CLASSES))


def test_no_more_are_shown_than_fit() -> None:
    wrong = [("test", f"w{i:02}", 0, 0.3) for i in range(30)]
    tracks = [TRACKS[1]]
    for family in range(10):
        tracks.append(Track(f"x{family}-5", "test", f"x{family}", 5, str(family)))
        wrong += [("test", f"s{family}", 0, 0.9), (f"x{family}-5", f"s{family}", 0, 0.1)]
    shown = panels(table(wrong), tracks)
    assert [len(panel.rows) for panel in shown] == [1, 1, SHIFTED_SHOWN]
    assert [case.id for case in shown[1].cases] == [f"w{i:02}" for i in range(WRONG_SHOWN)]


def test_without_a_benchmark_and_with_nothing_wrong_there_is_less_to_show() -> None:
    only = table([("test", "a", 0, 0.9), ("test", "b", 1, 0.1)])
    assert [panel.title for panel in panels(only, [TRACKS[1]])] == ["Right, with high confidence"]
    found = hardest(only, [TRACKS[1]], CLASSES)
    assert found["id"].tolist() == ["a", "b"]
    assert found["corrupted"].isna().all()
    assert found["worst_set"].tolist() == ["", ""]


def test_wrong_ones_from_elsewhere_have_a_panel_of_their_own(predictions: pd.DataFrame) -> None:
    zoo = table([("zoo.npz", "a", 1, 0.7), ("zoo.npz", "z", 0, 0.7)])
    shown = panels(pd.concat([predictions, zoo]), (*TRACKS, Track("zoo.npz", "external")))
    assert [panel.title for panel in shown][2] == "Wrong on zoo.npz"
    assert [(case.set, case.id) for case in shown[2].cases] == [("zoo.npz", "a")]


def test_images_asked_for_are_shown_under_what_misleads_them_most(predictions: pd.DataFrame) -> None:
    panel = panel_of(predictions, TRACKS, ["c", "b"])
    assert [[case.variant for case in row][2] for row in panel.rows] == ["shot noise, severe", "fog, severe"]
    with pytest.raises(DataError, match=r"no test image 'v' in this run\. There are 4, such as"):
        panel_of(predictions, TRACKS, ["a", "v"])


def test_the_hardest_are_those_whose_class_has_least_probability(predictions: pd.DataFrame) -> None:
    found = hardest(predictions, TRACKS, CLASSES)
    assert found["id"].tolist() == ["d", "c", "b", "a"]
    b = found.set_index("id").loc["b"]
    # Nine sets: fog 3 and 5 and the composed one are told above, the others are as when clean.
    corrupted = (6 * 0.9 + 0.3 + 0.2 + 0.1) / 9
    assert (b["clean"], b["corrupted"]) == (pytest.approx(0.9), pytest.approx(corrupted))
    assert b["mean"] == pytest.approx((0.9 + corrupted) / 2)
    assert b["wrong"] == pytest.approx(3 / 9)
    assert (b["worst_set"], b["worst"]) == ("composed-3", pytest.approx(0.1))
    assert found.loc[0, ["class", "said"]].tolist() == ["dog", "cat"]


# On a built set


@pytest.fixture(scope="module")
def fitted(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A small model that nothing was taught, and a run's folder with what it says of the built set's test."""
    sets = read_built(built)
    model = build_model(ModelConfig(("cnn",), "random", 32), sets.test.size, 3).model
    seen = [sets.test, *(one for one in sets.benchmark if one.role == "test")]
    rng = np.random.default_rng(3)
    answers = Predictions(
        tuple(Track(one.name, one.role, one.corruption, one.severity, one.family, one.verdict) for one in seen),
        np.concatenate([np.full(len(one), i) for i, one in enumerate(seen)]),
        np.concatenate([np.array(one.ids, object) for one in seen]),
        np.concatenate([one.sources.astype(object) for one in seen]),
        np.concatenate([one.groups for one in seen]),
        np.concatenate([one.labels for one in seen]),
        rng.dirichlet(np.ones(3), sum(map(len, seen))).astype(np.float32),
    )
    folder = tmp_path_factory.mktemp("fitted")
    model.save(folder / "model.keras")
    write_predictions(answers.table(), folder)
    write_metrics(run_metrics(classes=sets.classes, sets=facts_of(answers.tracks)), folder)
    finish_run(folder, source="built", input_digest="0")
    return model, folder


def in_runs(artifacts: Path, fitted: Path) -> Path:
    """The run, where runs are."""
    folder = artifacts / "runs" / "one"
    folder.mkdir(parents=True)
    for file in fitted.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_what_is_shown_are_the_pictures_of_the_sets(fitted: tuple[Any, Path], built: Path) -> None:
    model, folder = fitted
    sets = read_built(built)
    predictions = pd.read_parquet(folder / "predictions.parquet")
    made = explained(model, RunInputs(sets), predictions)
    assert made.panels[0].title == "Right, with high confidence"
    assert {case for panel in made.panels for case in panel.cases} == set(made.pictures)
    by_name = {one.name: one for one in (sets.test, *sets.benchmark)}
    for case, picture in made.pictures.items():
        of = by_name[case.set]
        assert (picture.pixels == of.batch([of.ids.index(case.id)])[0]).all()
        assert (picture.heat == heat_maps(model, picture.pixels[None], np.array([case.predicted]))[0]).all()
    assert len(made.thumbnails) == 16
    assert (made.thumbnails[0] == sets.test.batch([sets.test.ids.index(made.hardest["id"][0])])[0]).all()
    assert made.places == (tuple(model.get_layer("pool_0").input.shape[1:3]),)


def test_a_filter_is_drawn_as_the_model_saw_it(fitted: tuple[Any, Path], built: Path) -> None:
    from train.filters import FILTERS

    model, folder = fitted
    predictions = pd.read_parquet(folder / "predictions.parquet")
    name = next(iter(FILTERS))
    plain, filtered = (
        explained(model, RunInputs(read_built(built)), predictions, filter=one) for one in ("none", name)
    )
    case = plain.panels[0].cases[0]
    assert (filtered.pictures[case].pixels == FILTERS[name](plain.pictures[case].pixels)).all()


def test_explaining_a_run_writes_its_sheet_and_table_again_to_the_byte(
    fitted: tuple[Any, Path], own_built: Path
) -> None:
    folder = in_runs(own_built, fitted[1])
    made, path = explain("one", own_built)
    assert path == folder / "gradcam.png"
    first = path.read_bytes(), (folder / "hardest.csv").read_bytes()
    explain(folder, own_built)
    assert (path.read_bytes(), (folder / "hardest.csv").read_bytes()) == first
    table = pd.read_csv(folder / "hardest.csv", dtype={"id": str})
    assert table["id"].tolist() == made.hardest["id"].tolist()
    assert cv2.imread(str(path)).ndim == 3


def test_a_set_from_elsewhere_is_shown_again_as_long_as_it_is_there(
    fitted: tuple[Any, Path], own_built: Path, tmp_path: Path
) -> None:
    folder = in_runs(own_built, fitted[1])
    zoo = tmp_path / "zoo.npz"
    np.savez(zoo, images=read_built(own_built).test.batch(range(6)), labels=np.zeros(6, np.int64))
    config = replace(RunConfig(), evaluate=EvaluateConfig(external=(str(zoo),)))
    finish_run(folder, config, source="built", input_digest="0")
    own = read_set(zoo, read_built(own_built).classes, own_built, (32, 32))
    said = pd.DataFrame(
        {"set": own.name, "id": own.ids, "source": own.sources, "group": own.groups, "label": 0, "p0": 0.2, "p1": 0.7}
    ).assign(p2=0.1)
    write_predictions(pd.concat([pd.read_parquet(folder / "predictions.parquet"), said]), folder)

    made, _ = explain("one", own_built)
    (panel,) = (panel for panel in made.panels if panel.title == "Wrong on zoo.npz")
    assert [case.id for case in panel.cases] == list(own.ids)

    zoo.unlink()
    lines: list[str] = []
    reporter = Silent()
    reporter.say = lines.append  # type: ignore[method-assign]
    made, _ = explain("one", own_built, reporter)
    assert "Wrong on zoo.npz" not in [panel.title for panel in made.panels]
    assert lines == [f"{zoo} is not there any more, so that nothing of it is shown"]


def test_images_asked_for_go_to_a_file_of_their_own(fitted: tuple[Any, Path], own_built: Path) -> None:
    folder = in_runs(own_built, fitted[1])
    some = read_built(own_built).test.ids[:2]
    made, path = explain("one", own_built, images=some)
    assert path.name == "gradcam-images.png"
    assert [row[0].id for row in made.panels[0].rows] == list(some)
    assert not (folder / "gradcam.png").exists()
    with pytest.raises(DataError, match="no test image 'nobody'"):
        explain("one", own_built, images=["nobody"])


def test_a_set_that_was_built_anew_is_told(fitted: tuple[Any, Path], built: Path) -> None:
    model, folder = fitted
    predictions = pd.read_parquet(folder / "predictions.parquet")
    changed = predictions.assign(id="old-" + predictions["id"])
    with pytest.raises(DataError, match=r"has no image 'old-.*it was built anew since\. Train again"):
        explained(model, RunInputs(read_built(built)), changed)


def test_a_run_that_is_not_there_is_told(own_built: Path) -> None:
    with pytest.raises(DataError, match="no run 'none'"):
        explain("none", own_built)


def test_nothing_to_show_is_no_failure(tmp_path: Path) -> None:
    empty = hardest(table([]), [TRACKS[1]], CLASSES)
    made = Explained(CLASSES, (), {}, ((2, 2),), empty)
    assert cv2.imread(str(write_sheet(made, tmp_path / "sheet.png"))).ndim == 3
    assert write_hardest(made, tmp_path / "hardest.csv").read_text().startswith("set,id,source,label,class,said,clean")


def test_a_case_is_right_where_its_class_was_said() -> None:
    assert Case("test", "a", 1, 1, 0.9, 0.9).right
    assert not Case("test", "a", 1, 0, 0.9, 0.1).right
