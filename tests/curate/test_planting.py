import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.faults.copying import AFFINE, CROPS, NEAR
from curate.faults.drawing import strange_pictures
from curate.faults.spoiling import COLOURS, FAULTS, STRENGTHS, cast_name
from curate.planting import Cast, PlantConfig, plant
from curate.stage.errors import DataError, UnknownName

KINDS = {"intruder", "exact", "near", "conflict", "label", "cast", "blur", "dark", "light", "grey", "solid"}
EVERY_FAULT = [*((NEAR, name) for name in NEAR), *((FAULTS, name) for name in FAULTS)]


def scenes(n: int, height: int = 24, width: int = 24, seed: int = 0) -> np.ndarray:
    """Smooth coloured pictures, all different, neither dark nor bright."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 190, (n, 4, 4, 3))
    return coarse.repeat(-(-height // 4), 1).repeat(-(-width // 4), 2)[:, :height, :width].astype(np.uint8)


def greyscale(n: int) -> np.ndarray:
    return scenes(n)[..., :1].repeat(3, axis=3)


def labels_for(n: int, classes: int = 4) -> np.ndarray:
    return np.arange(n) % classes


def entries(truth: dict, *kinds: str) -> list[dict]:
    return [entry for entry in truth["planted"] if entry["kind"] in kinds]


@pytest.fixture(scope="module")
def planted():
    images, labels = scenes(400), labels_for(400)
    return images, labels, plant(images, labels, PlantConfig(seed=3))


@pytest.mark.parametrize(("table", "name"), EVERY_FAULT, ids=[name for _, name in EVERY_FAULT])
@pytest.mark.parametrize("shape", [(96, 96), (28, 28), (9, 9), (20, 31)], ids=str)
def test_every_fault_keeps_shape_and_dtype_and_its_input(table, name, shape):
    (image,) = scenes(1, *shape)
    before = image.copy()
    image.flags.writeable = False
    made = table[name](image, np.random.default_rng(0))
    assert made.shape == image.shape
    assert made.dtype == np.uint8
    assert made.flags.c_contiguous
    assert np.array_equal(image, before)
    assert not np.array_equal(made, image)
    assert np.array_equal(made, table[name](image, np.random.default_rng(0)))


@pytest.mark.parametrize("name", [*NEAR, "blur", "dark", "light", "grey", "solid"])
def test_every_other_fault_leaves_a_greyscale_image_grey(name):
    (image,) = greyscale(1)
    made = (NEAR if name in NEAR else FAULTS)[name](image, np.random.default_rng(1)).astype(int)
    # JPEG rounds its colour channels; so may the cubic resampling, by a level.
    assert np.ptp(made, axis=2).max() <= 2


@pytest.mark.parametrize("name", NEAR)
def test_a_near_copy_still_looks_like_its_original(name):
    (image,) = scenes(1, 96, 96)
    made = NEAR[name](image, np.random.default_rng(2)).astype(float)
    assert abs(made.mean() - image.mean()) < 30
    if name not in ("rot90", "flip"):
        assert np.corrcoef(made.ravel(), image.ravel())[0, 1] > 0.7


def test_spoiled_images_are_what_their_name_says():
    (image,) = scenes(1, 96, 96)
    spoiled = {name: FAULTS[name](image, np.random.default_rng(0)).astype(float) for name in FAULTS}
    assert spoiled["dark"].mean() < 25
    assert spoiled["light"].mean() > 220
    assert np.ptp(spoiled["grey"], axis=2).max() == 0
    assert spoiled["solid"].std((0, 1)).max() < 2
    assert np.abs(np.diff(spoiled["blur"], axis=0)).max() < np.abs(np.diff(image.astype(float), axis=0)).max() / 3


@pytest.mark.parametrize("colour", COLOURS)
def test_a_cast_lifts_its_own_channels_and_a_strong_one_shifts_more_than_a_subtle_one(colour):
    image = np.full((8, 8, 3), 150, np.uint8)
    lifted = np.array(COLOURS[colour], bool)
    gaps = []
    for strength in STRENGTHS:
        mean = FAULTS[cast_name(colour, strength)](image, np.random.default_rng(0)).mean((0, 1))
        assert mean[lifted].min() > mean[~lifted].max()
        gaps.append(mean[lifted].min() - mean[~lifted].max())
    assert 10 < gaps[0] < gaps[1]


def test_the_default_rates_are_those_of_the_course_set():
    config, n = PlantConfig(), 2500
    assert [config.count(rate, n) for rate in config.intruder] == [290, 36]
    singles = (config.exact, config.near, config.conflict, config.label, config.blur, config.dark)
    assert [config.count(rate, n) for rate in singles] == [25, 38, 15, 50, 10, 8]
    assert sum(config.count(cast.rate, n) for cast in config.casts) == 58


def test_the_fraction_scales_every_count(planted):
    images, labels, whole = planted
    half = plant(images, labels, PlantConfig(seed=3, fraction=0.5))
    for kind, count in whole.truth["counts"].items():
        assert abs(half.truth["counts"][kind] - count / 2) <= 2
    none = plant(images, labels, PlantConfig(seed=3, fraction=0))
    assert none.truth["planted"] == []
    assert np.array_equal(none.images, images[none.source])


def test_thirty_images_get_every_kind_of_fault_at_least_once():
    truth = plant(scenes(30), labels_for(30), PlantConfig()).truth
    assert set(truth["counts"]) == KINDS
    assert {entry["colour"] for entry in entries(truth, "cast")} == {"blue", "yellow"}


def test_the_truth_says_how_many_rows_and_faults_there_are(planted):
    images, _, made = planted
    truth = made.truth
    assert truth["rows"] == len(made.images) == len(made.labels) == len(made.source)
    assert (truth["clean_rows"], truth["seed"]) == (len(images), 3)
    assert truth["counts"] == Counter(entry["kind"] for entry in truth["planted"])
    assert set(truth["counts"]) == KINDS
    copies = len(entries(truth, "intruder", "exact", "near", "conflict"))
    assert truth["rows"] == truth["clean_rows"] + copies


def test_the_truth_survives_json(planted):
    truth = planted[2].truth
    assert json.loads(json.dumps(truth)) == truth


def test_a_row_gets_one_fault_at_most_and_an_original_gets_none(planted):
    truth = planted[2].truth
    rows = [entry["row"] for entry in truth["planted"]]
    assert rows == sorted(set(rows))
    originals = [entry["of"] for entry in entries(truth, "exact", "near", "conflict")]
    assert len(set(originals)) == len(originals)
    assert not set(rows) & set(originals)


def test_every_row_that_the_truth_does_not_name_is_as_it_was_given(planted):
    images, labels, made = planted
    named = {entry["row"] for entry in made.truth["planted"]}
    rest = [row for row in range(len(made.images)) if row not in named]
    assert np.array_equal(made.images[rest], images[made.source[rest]])
    assert np.array_equal(made.labels[rest], labels[made.source[rest]])
    copies = {entry["row"] for entry in entries(made.truth, "exact", "near", "conflict", "intruder")}
    shown = [int(made.source[row]) for row in range(len(made.images)) if row not in copies]
    assert sorted(shown) == list(range(len(images)))


def test_every_row_that_the_truth_names_differs_as_it_says(planted):
    images, labels, made = planted
    for entry in made.truth["planted"]:
        row, kind = entry["row"], entry["kind"]
        image, label, source = made.images[row], made.labels[row], made.source[row]
        if kind == "intruder":
            assert source == -1
            assert np.array_equal(image, strange_pictures(24, 24)["ab".index(entry["of"])])
            continue
        same_image = np.array_equal(image, images[source])
        if kind in ("exact", "near", "conflict"):
            of = entry["of"]
            assert source == made.source[of]
            assert same_image == np.array_equal(image, made.images[of]) == (kind != "near")
            assert (label == made.labels[of]) == (kind != "conflict")
        elif kind == "label":
            assert same_image
            assert entry["was"] == labels[source] != label
        else:
            assert not same_image
            assert label == labels[source]
        if kind == "near":
            assert entry["how"] in NEAR
        if kind == "cast":
            assert cast_name(entry["colour"], entry["strength"]) in FAULTS


def test_every_way_of_copying_is_used_about_equally_often():
    config = PlantConfig(intruder=(), exact=0, near=0.22, conflict=0, label=0, casts=(), fraction=1)
    truth = plant(scenes(200), labels_for(200), config).truth
    assert Counter(entry["how"] for entry in entries(truth, "near")) == dict.fromkeys(NEAR, 4)


def test_affine_copies_and_crops_are_planted_in_each_way_under_the_label_of_their_original():
    config = PlantConfig(intruder=(), exact=0, near=0, conflict=0, label=0, casts=(), affine=0.12, crop=0.04)
    images, labels = scenes(200), labels_for(200)
    made = plant(images, labels, config)
    assert Counter(entry["how"] for entry in entries(made.truth, "affine")) == dict.fromkeys(AFFINE, 2)
    assert Counter(entry["how"] for entry in entries(made.truth, "crop")) == dict.fromkeys(CROPS, 4)
    for entry in entries(made.truth, "affine", "crop"):
        assert made.labels[entry["row"]] == made.labels[entry["of"]]
        assert made.source[entry["row"]] == made.source[entry["of"]]


def test_off_topic_pictures_are_planted_once_each_under_drawn_labels_as_many_as_there_are():
    images, labels, strangers = scenes(200), labels_for(200), scenes(12, seed=9)
    made = plant(images, labels, PlantConfig(off_topic=0.05), off_topic=strangers)
    planted = entries(made.truth, "off_topic")
    assert len(planted) == len({entry["of"] for entry in planted}) == 10
    for entry in planted:
        assert np.array_equal(made.images[entry["row"]], strangers[int(entry["of"])])
        assert made.source[entry["row"]] == -1
    assert len({int(made.labels[entry["row"]]) for entry in planted}) > 1
    assert plant(images, labels, PlantConfig(off_topic=0.5), off_topic=strangers).truth["counts"]["off_topic"] == 12
    assert "off_topic" not in plant(images, labels, PlantConfig(off_topic=0.5)).truth["counts"]


def test_off_topic_pictures_of_a_grey_set_are_grey():
    made = plant(greyscale(60), labels_for(60), PlantConfig(off_topic=0.1), off_topic=scenes(6, seed=9))
    assert made.truth["counts"]["off_topic"] == 6
    assert np.ptp(made.images.astype(int), axis=3).max() <= 2
    with pytest.raises(DataError, match="off-topic pictures are"):
        plant(greyscale(60), labels_for(60), PlantConfig(off_topic=0.1), off_topic=scenes(6, 8, 8))


def test_intruders_wear_any_label_and_those_of_one_class_a_single_one():
    config = PlantConfig(intruder=(0.5,), intruder_one_class=0.2)
    made = plant(scenes(100), labels_for(100), config)
    worn = {
        letter: {int(made.labels[entry["row"]]) for entry in entries(made.truth, "intruder") if entry["of"] == letter}
        for letter in "ab"
    }
    assert worn["a"] == {0, 1, 2, 3}
    assert len(worn["b"]) == 1


def test_given_strangers_are_the_ones_that_intrude():
    strangers = scenes(2, seed=9)
    made = plant(scenes(40), labels_for(40), PlantConfig(), strangers=strangers)
    for entry in entries(made.truth, "intruder"):
        assert np.array_equal(made.images[entry["row"]], strangers["ab".index(entry["of"])])


def test_a_cast_for_one_class_falls_on_that_class_alone():
    config = PlantConfig(casts=(Cast("green", "subtle", 0.1, label=2),))
    made = plant(scenes(100), labels_for(100), config)
    assert [int(made.labels[entry["row"]]) for entry in entries(made.truth, "cast")] == [2] * 10


def test_greyscale_images_get_every_fault_but_those_of_colour():
    images = greyscale(60)
    made = plant(images, labels_for(60), PlantConfig())
    assert set(made.truth["counts"]) == KINDS - {"cast", "grey"}
    assert np.ptp(made.images.astype(int), axis=3).max() <= 2


def test_no_fault_is_planted_where_it_would_not_show():
    black = np.zeros((40, 16, 16, 3), np.uint8)
    made = plant(black, np.zeros(40, int), PlantConfig())
    assert set(made.truth["counts"]) == {"intruder", "exact", "near", "light", "solid"}
    assert {entry["how"] for entry in entries(made.truth, "near")} == {"noise"}


def test_unlabelled_images_keep_no_label():
    made = plant(scenes(40), np.full(40, -1), PlantConfig())
    assert set(made.labels) == {-1}
    assert set(made.truth["counts"]) == KINDS - {"conflict", "label"}


def test_an_empty_set_stays_empty():
    made = plant(scenes(0), labels_for(0), PlantConfig())
    assert made.images.shape == (0, 24, 24, 3)
    assert (made.truth["rows"], made.truth["planted"]) == (0, [])


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(0, 60),
    classes=st.integers(1, 4),
    seed=st.integers(0, 2**40),
    fraction=st.floats(0, 2),
)
def test_the_same_seed_gives_the_same_bytes_and_the_input_is_left_alone(n, classes, seed, fraction):
    images, labels = scenes(n, 12, 16), labels_for(n, classes)
    given_images, given_labels = images.copy(), labels.copy()
    config = PlantConfig(seed=seed, fraction=fraction)
    one, two = plant(images, labels, config), plant(images, labels, config)
    assert np.array_equal(one.images, two.images)
    assert np.array_equal(one.labels, two.labels)
    assert one.truth == two.truth
    assert np.array_equal(images, given_images)
    assert np.array_equal(labels, given_labels)
    assert not np.shares_memory(one.images, images)
    assert one.images.dtype == np.uint8
    assert one.labels.dtype == np.int64


def test_another_seed_plants_other_rows(planted):
    images, labels, made = planted
    other = plant(images, labels, PlantConfig(seed=4))
    assert other.truth["counts"] == made.truth["counts"]
    assert other.truth["planted"] != made.truth["planted"]


def test_strange_pictures_have_the_size_asked_for_and_differ():
    for height, width in ((96, 96), (28, 28), (40, 60)):
        pictures = strange_pictures(height, width)
        assert pictures.shape == (3, height, width, 3)
        assert pictures.dtype == np.uint8
        assert len({picture.tobytes() for picture in pictures}) == 3


def test_a_bad_configuration_is_refused():
    with pytest.raises(DataError, match="0 or more"):
        PlantConfig(seed=-1)
    with pytest.raises(DataError, match="0 or more"):
        PlantConfig(blur=-0.1)
    with pytest.raises(DataError, match="each must be a number"):
        PlantConfig(casts=(Cast("blue", "strong", float("nan")),))
    with pytest.raises(UnknownName, match="'yellow'"):
        Cast("yelow", "strong", 0.1)
    with pytest.raises(UnknownName, match="'subtle'"):
        Cast("blue", "subtl", 0.1)


def test_input_that_cannot_be_planted_in_is_refused():
    images, labels = scenes(40), labels_for(40)
    with pytest.raises(DataError, match=r"uint8 \(N, H, W, 3\) is needed"):
        plant(images[..., 0], labels, PlantConfig())
    with pytest.raises(DataError, match="whole numbers"):
        plant(images, labels[:-1], PlantConfig())
    with pytest.raises(DataError, match="one picture for each intruder"):
        plant(images, labels, PlantConfig(), strangers=scenes(1))
    with pytest.raises(DataError, match="one picture for each intruder"):
        plant(images, labels, PlantConfig(), strangers=scenes(2, 8, 8))
    with pytest.raises(DataError, match="only 20 of 40 are still without a fault"):
        plant(images, labels, replace(PlantConfig(), exact=0.5, near=0.6))
