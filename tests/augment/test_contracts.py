"""What every operation, corruption and policy keeps to, whoever writes the next one."""

import inspect
import json
from functools import cache

import cv2
import numpy as np
import pytest

from augment.configs import SETS
from augment.corruptions.corruption import CORRUPTIONS, TEST, VALIDATION
from augment.operations.operation import FAMILIES, LOG, OPERATIONS, SEED, WHOLE
from augment.policies.library import NAMES, policy
from augment.policies.policy import Context, perform, shares
from curate.demo import DemoConfig, clean_cells

SIZES = ((28, 28), (96, 96), (224, 224), (40, 64))  # height, width
# Down to a single pixel, and the thinnest.
STRIPS = ((8, 8), (8, 200), (9, 8), (16, 200), (200, 16), (3, 3), (2, 5), (1, 1), (1, 40), (40, 1))
UNITS = {"sd_l": 5.0, "sd_a": 3.0, "sd_b": 3.0}
STRENGTHS = (0.0, 0.5, 1.0)

# Of these a magnitude of 0 changes nothing; a blur or a file's quality has no such value.
EXACT = [
    name
    for name, of in OPERATIONS.items()
    if of.function.__module__.rpartition(".")[2] in ("colour", "geometry", "light", "marks", "texture")
]

every_operation = pytest.mark.parametrize("name", OPERATIONS)
every_corruption = pytest.mark.parametrize("name", CORRUPTIONS)
every_policy = pytest.mark.parametrize("name", NAMES)


@cache
def drawn_cell():
    return clean_cells(DemoConfig(images=1))[0][0]


def cell(height=96, width=96):
    return cv2.resize(drawn_cell(), (width, height), interpolation=cv2.INTER_AREA)


def units(height, width):
    return {**UNITS, "side": float(min(height, width))}


def values_of(record):
    return {name: value for name, value in record.items() if name != "op"}


def drawn_at(operation, magnitude, height=96, width=96, seed=0):
    return operation.draw_at(magnitude, np.random.default_rng(seed), units(height, width))


def corrupted(corruption, strength, picture, seed=0):
    of = units(*picture.shape[:2])
    record = corruption.draw(corruption.settings(strength, of), np.random.default_rng(seed), of)
    return corruption.operation(picture, **values_of(record)), record


def is_a_picture_like(made, picture):
    assert isinstance(made, np.ndarray)
    assert made.dtype == np.uint8
    assert made.shape == picture.shape
    assert made.flags.c_contiguous


def away(made, picture):
    return float(np.abs(made.astype(int) - picture).mean())


# Operations


@every_operation
def test_an_operation_is_of_a_family_and_explained(name):
    operation = OPERATIONS[name]
    assert operation.name == name == operation.function.__name__
    assert operation.family in FAMILIES
    assert inspect.getdoc(operation.function)


@every_operation
def test_the_values_of_an_operation_have_an_order_and_a_neutral_one(name):
    for key, of in OPERATIONS[name].parameters.items():
        assert of.low <= of.high, key
        assert of.scale != LOG or min(of.low, of.neutral) > 0
        assert of.scale != WHOLE or float(of.neutral).is_integer()
        assert of.unit in ("", "side", *UNITS)


@every_operation
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_operation_makes_a_picture_of_the_same_size_and_leaves_the_given_one(name, size):
    picture = cell(*size)
    before = picture.copy()
    picture.flags.writeable = False
    for magnitude in (0.0, 0.4, 1.0):
        for seed in range(2):
            record = drawn_at(OPERATIONS[name], magnitude, *size, seed=seed)
            is_a_picture_like(OPERATIONS[name](picture, **values_of(record)), picture)
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("size", [(96, 96), (28, 28), (41, 70), (13, 8)], ids=str)
@pytest.mark.parametrize("name", EXACT)
def test_a_new_picture_comes_back_the_same_each_time_and_the_very_one_at_magnitude_zero(name, size):
    image, of = cv2.resize(drawn_cell(), size[::-1]), OPERATIONS[name]
    before = image.copy()
    image.flags.writeable = False
    made, again, alone = (of(image, **values_of(drawn_at(of, magnitude, *size))) for magnitude in (0.7, 0.7, 0))
    assert (made.dtype, made.shape) == (np.uint8, image.shape)
    assert not np.shares_memory(made, image)
    assert (image == before).all()
    assert (again == made).all()
    if of.parameters:  # a flip has no neutral value
        # Even of many photons some are missing.
        assert np.abs(alone.astype(int) - image).max() <= (2 if name == "sensor_noise" else 1)


@every_operation
@pytest.mark.parametrize("level", [0, 255])
def test_an_operation_takes_black_and_white_pictures(name, level):
    picture = np.full((40, 64, 3), level, np.uint8)
    for magnitude in (0.4, 1.0):
        record = drawn_at(OPERATIONS[name], magnitude, 40, 64)
        is_a_picture_like(OPERATIONS[name](picture, **values_of(record)), picture)


@every_operation
def test_an_operation_takes_grey_pictures(name):
    picture = np.repeat(cell(40, 64)[..., 1:2], 3, axis=2)
    record = drawn_at(OPERATIONS[name], 1.0, 40, 64)
    is_a_picture_like(OPERATIONS[name](picture, **values_of(record)), picture)


@every_operation
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_an_operation_takes_the_smallest_pictures_and_strips(name, size):
    picture = cell(*size)
    for magnitude in (0.3, 1.0):
        record = drawn_at(OPERATIONS[name], magnitude, *size)
        is_a_picture_like(OPERATIONS[name](picture, **values_of(record)), picture)


@every_operation
def test_an_operation_takes_a_picture_that_is_a_view(name):
    whole = cell(120, 120)
    view = whole[7:103, 3:99]
    record = drawn_at(OPERATIONS[name], 1.0)
    of_view, of_copy = (OPERATIONS[name](picture, **values_of(record)) for picture in (view, view.copy()))
    assert np.array_equal(of_view, of_copy)
    is_a_picture_like(of_view, of_copy)


@every_operation
def test_the_same_values_give_the_same_pixels(name):
    picture = cell()
    record = drawn_at(OPERATIONS[name], 0.8)
    assert np.array_equal(*(OPERATIONS[name](picture, **values_of(record)) for _ in range(2)))


@pytest.mark.parametrize("name", [name for name, of in OPERATIONS.items() if of.seeded])
def test_another_seed_gives_other_pixels(name):
    picture = cell()
    values = values_of(drawn_at(OPERATIONS[name], 1.0))
    assert SEED in values
    made = {OPERATIONS[name](picture, **{**values, SEED: seed}).tobytes() for seed in (*range(7), 2**32 - 1)}
    # One of two shapes is what illumination takes from it.
    assert len(made) == 8 or (name == "illumination" and len(made) > 1)


@every_operation
def test_an_operation_does_not_touch_the_generators_of_others(name):
    before = np.random.get_state()[1].copy()  # noqa: NPY002  the global one, which nobody may use
    record = drawn_at(OPERATIONS[name], 1.0)
    OPERATIONS[name](cell(), **values_of(record))
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# An operation without a value does what it says, always. The others: JPEG's best quality has fewer colours all the
# same, and there is a little noise in the brightest light.
@pytest.mark.parametrize("name", [name for name, of in OPERATIONS.items() if of.parameters])
@pytest.mark.parametrize("size", [(28, 28), (96, 96), (40, 64)], ids=str)
def test_neutral_values_leave_the_picture_nearly_alone(name, size):
    picture = cell(*size)
    for seed in range(3):
        record = OPERATIONS[name].draw({}, np.random.default_rng(seed), units(*size))
        assert away(OPERATIONS[name](picture, **values_of(record)), picture) < 2.5


@every_operation
def test_a_record_survives_json_and_gives_the_same_pixels(name):
    picture = cell()
    for seed in range(3):
        record = drawn_at(OPERATIONS[name], 0.7, seed=seed)
        again = json.loads(json.dumps(record))
        assert again == record
        assert again["op"] == name
        assert np.array_equal(*(perform(picture, [of], lambda row: picture) for of in (record, again)))


@every_operation
def test_values_are_drawn_within_their_spans(name):
    operation = OPERATIONS[name]
    spans = {key: (of.low, of.high) for key, of in operation.parameters.items()}
    one = dict.fromkeys(("side", *UNITS), 1.0)
    for seed in range(20):
        for record in (
            operation.draw(spans, np.random.default_rng(seed), one),
            operation.draw_at(seed / 19, np.random.default_rng(seed), one),
        ):
            for key, (low, high) in spans.items():
                assert low - 1e-9 <= record[key] <= high + 1e-9


# Corruptions


@every_corruption
def test_a_corruption_says_what_it_is(name):
    corruption = CORRUPTIONS[name]
    assert corruption.name == name
    assert corruption.operation is OPERATIONS[corruption.operation.name]
    assert corruption.family in FAMILIES
    assert corruption.role in (TEST, VALIDATION)
    assert corruption.sets
    assert set(corruption.sets) <= set(SETS)
    assert corruption.strength
    assert set(corruption.strength) | set(corruption.free) | set(corruption.fixed) <= set(
        corruption.operation.parameters
    )
    assert set(corruption.strength).isdisjoint(corruption.free)


@every_corruption
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", STRIPS, ids=str)
def test_a_corruption_takes_the_smallest_pictures_and_strips(name, size):
    picture = cell(*size)
    for strength in STRENGTHS:
        is_a_picture_like(corrupted(CORRUPTIONS[name], strength, picture)[0], picture)


@every_corruption
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_corruption_makes_a_picture_of_the_same_size_and_leaves_the_given_one(name, size):
    picture = cell(*size)
    before = picture.copy()
    picture.flags.writeable = False
    for strength in STRENGTHS:
        is_a_picture_like(corrupted(CORRUPTIONS[name], strength, picture)[0], picture)
    assert np.array_equal(picture, before)


@every_corruption
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_severest_is_farther_from_the_picture_than_the_mildest_which_is_near(name, size):
    picture = cell(*size)
    mild, severe = (
        np.mean([away(corrupted(CORRUPTIONS[name], strength, picture, seed)[0], picture) for seed in range(4)])
        for strength in (0.0, 1.0)
    )
    assert mild < 12
    assert severe > 2 * mild
    assert severe > 2


@every_corruption
@pytest.mark.parametrize("level", [0, 255])
def test_a_corruption_takes_black_white_and_grey_pictures(name, level):
    for picture in (np.full((40, 64, 3), level, np.uint8), np.repeat(cell(40, 64)[..., 1:2], 3, axis=2)):
        for strength in (0.0, 1.0):
            is_a_picture_like(corrupted(CORRUPTIONS[name], strength, picture)[0], picture)


@every_corruption
def test_severities_from_equal_generators_differ_in_strength_alone(name):
    corruption = CORRUPTIONS[name]
    mild, severe = (corrupted(corruption, strength, cell())[1] for strength in (0.0, 1.0))
    same = {"op", SEED, *corruption.free, *corruption.fixed} & set(mild)
    assert {key: mild[key] for key in same} == {key: severe[key] for key in same}
    assert {key for key in mild if mild[key] != severe[key]} == set(corruption.strength)


@every_corruption
def test_the_record_of_a_corruption_survives_json_and_gives_the_same_pixels(name):
    picture = cell()
    made, record = corrupted(CORRUPTIONS[name], 0.6, picture)
    assert np.array_equal(perform(picture, [json.loads(json.dumps(record))], lambda row: picture), made)


@pytest.mark.parametrize("name", [name for name, of in CORRUPTIONS.items() if of.free or of.operation.seeded])
def test_another_generator_gives_another_corruption(name):
    picture = cell()
    one, same, other = (corrupted(CORRUPTIONS[name], 1.0, picture, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("role", [TEST, VALIDATION])
def test_no_operation_is_of_both_roles(role):
    of = {c.operation.name for c in CORRUPTIONS.values() if c.role == role}
    others = {c.operation.name for c in CORRUPTIONS.values() if c.role != role}
    assert of
    assert of.isdisjoint(others)


# Policies


def context(rows=20, side=32.0):
    return Context({**UNITS, "side": side}, np.arange(rows))


def record_of(of, row, copy, seed=0, among=None):
    return of.draw(np.random.default_rng([seed, row, copy]), copy, context() if among is None else among)


@every_policy
def test_a_policy_is_explained_and_has_copies(name):
    of = policy(name)
    assert of.name == name
    assert of.about.endswith(".")
    assert of.origin
    assert of.copies >= 1
    assert of.pipelines


@every_policy
def test_the_same_seed_row_and_copy_give_the_same_record(name):
    of, again = policy(name), policy(name)
    for row in range(10):
        for copy in range(1, 5):
            assert record_of(of, row, copy) == record_of(again, row, copy)


@every_policy
def test_other_rows_copies_and_seeds_give_other_draws(name):
    of = policy(name)
    if of.different is not None:
        copies = [json.dumps(record_of(of, 0, copy)) for copy in range(1, 1 + of.different)]
        assert len(set(copies)) == of.different
        return
    draws = [
        json.dumps(record_of(of, row, copy, seed)) for row in range(8) for copy in range(1, 5) for seed in range(2)
    ]
    # Most: now and then every step of a mild policy is left out.
    assert len(set(draws)) > 0.7 * len(draws)


@every_policy
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_policy_makes_pictures_of_the_same_size_and_leaves_the_given_one(name, size):
    of = policy(name)
    picture = cell(*size)
    before = picture.copy()
    picture.flags.writeable = False
    among = context(side=float(min(size)))
    for copy in range(1, 1 + max(3, len(of.pipelines))):
        record = record_of(of, 5, copy, among=among)
        again = json.loads(json.dumps(record))
        assert again == record
        made = perform(picture, record, lambda row: picture)
        is_a_picture_like(made, picture)
        assert np.array_equal(perform(picture, again, lambda row: picture), made)
    assert np.array_equal(picture, before)


@every_policy
def test_what_a_policy_draws_is_what_it_says_that_it_may_draw(name):
    of = policy(name)
    may, seen = of.operations(), set()

    def look(record):
        for drawn in record:
            if drawn["op"] in OPERATIONS:
                seen.add(drawn["op"])
            for inner in (drawn.get("first", []), *drawn.get("chains", [])):
                look(inner)

    for row in range(60):
        for copy in range(1, 4):
            look(record_of(of, row, copy))
    assert seen <= set(may)
    assert len(seen) >= 0.6 * len(may)


@every_policy
def test_shares_of_labels_add_up_to_one_and_are_whole_unless_pictures_are_mixed(name):
    of = policy(name)
    mixed = 0
    for row in range(20):
        for copy in range(1, 5):
            held = shares(row, record_of(of, row, copy))
            assert sum(held.values()) == pytest.approx(1)
            assert all(share >= 0 for share in held.values())
            mixed += len(held) > 1
    assert bool(mixed) == of.mixes


@every_policy
def test_without_anybody_to_mix_with_nothing_is_mixed(name):
    of = policy(name)
    for copy in range(1, 5):
        assert set(shares(3, record_of(of, 3, copy, among=context(rows=0)))) == {3}
