import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augment.operations.operation import OPERATIONS, Operation, Parameter
from augment.policies.policy import AugMix, Call, Context, Mix, OneOf, Policy, RandAugment, Use, perform, shares
from curate.stage.errors import UnknownName


def lighter(image, by):
    return np.clip(image.astype(int) + round(by), 0, 255).astype(np.uint8)


def rolled(image, pixels):
    return np.roll(image, round(pixels), axis=1)


def speckled(image, amount, seed):
    noise = np.random.default_rng(seed).normal(0, amount, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


LIGHTER = Operation("lighter", "light", lighter, {"by": Parameter(-100, 100)})
ROLLED = Operation("rolled", "geometry", rolled, {"pixels": Parameter(-0.5, 0.5, unit="side")})
SPECKLED = Operation("speckled", "noise", speckled, {"amount": Parameter(0, 30)}, seeded=True)
TOYS = {of.name: of for of in (LIGHTER, ROLLED, SPECKLED)}

PARTNERS = np.array([1, 2, 4])
CONTEXT = Context({"side": 24.0}, PARTNERS)
PICTURES = np.random.default_rng(0).integers(0, 256, (6, 24, 32, 3), np.uint8)

UP = Use(LIGHTER, {"by": (10, 20)})
AROUND = Use(ROLLED, {"pixels": (-0.5, 0.5)}, p=0.5)
ALL_STEPS = (
    UP,
    AROUND,
    OneOf((Use(SPECKLED, {"amount": (5, 10)}), Use(LIGHTER, {"by": (-30, -10)})), p=0.7),
    RandAugment((LIGHTER, ROLLED, SPECKLED)),
    AugMix((LIGHTER, ROLLED, SPECKLED)),
    Mix("mixup", 0.4),
    Mix("cutmix", 1.0, p=0.8),
)
ALL = Policy("all", (ALL_STEPS,))


@pytest.fixture(autouse=True, scope="module")
def _toys():
    """The toys among the operations, for as long as these tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OPERATIONS, "_entries", {**OPERATIONS, **TOYS})
        yield


def rng_of(*seed: int) -> np.random.Generator:
    return np.random.default_rng(list(seed))


def drawn(step, times: int = 1000, context: Context = CONTEXT) -> list:
    rng = rng_of(7)
    return [step.draw(rng, context, ()) for _ in range(times)]


# What is drawn


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 9))
def test_a_draw_follows_from_seed_row_and_copy_alone(seed, row, copy):
    first = ALL.draw(rng_of(seed, row, copy), copy, CONTEXT)
    ALL.draw(rng_of(seed + 1, row, copy), copy, CONTEXT)
    assert ALL.draw(rng_of(seed, row, copy), copy, CONTEXT) == first


def test_another_seed_row_or_copy_draws_something_else():
    keys = [(0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2), (1, 1, 1)]
    records = [json.dumps(ALL.draw(rng_of(*key), 1, CONTEXT)) for key in keys]
    assert len(set(records)) == len(keys)


@given(st.integers(0, 10_000))
def test_a_record_read_from_json_makes_the_same_pixels(seed):
    record = ALL.draw(rng_of(seed), 1, CONTEXT)
    again = json.loads(json.dumps(record))
    assert again == record
    made = perform(PICTURES[0], record, PICTURES.__getitem__)
    assert (perform(PICTURES[0], again, PICTURES.__getitem__) == made).all()
    assert (made.shape, made.dtype) == (PICTURES[0].shape, np.uint8)


def test_a_step_is_left_out_as_often_as_its_probability_says():
    for p in (0.0, 0.25, 0.9, 1.0):
        for step in (
            Use(LIGHTER, {}, p),
            OneOf((UP,), p),
            Mix("mixup", 1, p),
            AugMix((LIGHTER,), p=p),
            Call("a.py:f", "", p),
        ):
            assert np.mean([len(record) for record in drawn(step)]) == pytest.approx(p, abs=0.05)


def test_a_use_draws_from_its_spans_and_leaves_the_rest_neutral():
    values = [record[0]["by"] for record in drawn(UP)]
    assert 10 <= min(values) < 10.5
    assert 19.5 < max(values) <= 20
    assert drawn(Use(LIGHTER, {}), 1) == [[{"op": "lighter", "by": 0}]]


def test_one_of_several_is_as_likely_as_the_others():
    names = [record[0]["op"] for record in drawn(OneOf((UP, AROUND_SURELY, Use(SPECKLED, {}))), 1500)]
    assert {names.count(name) > 400 for name in TOYS} == {True}


AROUND_SURELY = Use(ROLLED, {"pixels": (0.1, 0.1)})


# RandAugment


def test_randaugment_goes_to_both_sides_alike():
    values = [each["by"] for record in drawn(RandAugment((LIGHTER,), ops=2)) for each in record]
    assert np.mean(np.array(values) > 0) == pytest.approx(0.5, abs=0.05)
    assert np.mean(values) == pytest.approx(0, abs=4)


@pytest.mark.parametrize(("ops", "rate"), [(1, 1.0), (2, 10 / 11), (3, 0.5), (2, 0.0)])
def test_randaugment_leaves_out_as_many_as_its_rate_says(ops, rate):
    lengths = [len(record) for record in drawn(RandAugment((LIGHTER, ROLLED), ops=ops, rate=rate))]
    assert np.mean(lengths) == pytest.approx(ops * rate, abs=0.1)
    assert max(lengths) <= ops


def test_randaugment_draws_magnitudes_about_its_own():
    values = np.abs([r[0]["by"] for r in drawn(RandAugment((LIGHTER,), ops=1, magnitude=0.5, spread=0.15, rate=1))])
    assert values.mean() == pytest.approx(50, abs=2)
    assert values.std() == pytest.approx(15, abs=1.5)
    extreme = np.abs([r[0]["by"] for r in drawn(RandAugment((LIGHTER,), ops=1, magnitude=0.9, spread=0.5, rate=1))])
    assert extreme.max() == 100
    assert extreme.min() >= 0


def test_randaugment_without_spread_has_one_magnitude():
    of = RandAugment((LIGHTER,), ops=1, magnitude=0.35, spread=0, rate=1)
    assert {round(record[0]["by"], 9) for record in drawn(of)} == {-35, 35}
    assert of.operations() == {"lighter": {"by": (-35, 35)}}


def test_randaugment_takes_each_operation_as_often():
    names = [record[0]["op"] for record in drawn(RandAugment(tuple(TOYS.values()), ops=1, rate=1), 1500)]
    assert all(400 < names.count(name) < 600 for name in TOYS)


# AugMix


def test_augmix_has_its_width_and_depth():
    for depth, lengths in ((0, {1, 2, 3}), (2, {2})):
        records = [record[0] for record in drawn(AugMix((LIGHTER, ROLLED), width=4, depth=depth), 300)]
        assert {len(record["chains"]) for record in records} == {4}
        assert {len(chain) for record in records for chain in record["chains"]} == lengths


def test_augmix_weights_add_up_to_one_and_none_is_negative():
    for alpha in (0.1, 1.0, 10.0):
        for (record,) in drawn(AugMix((LIGHTER,), alpha=alpha), 300):
            assert sum(record["weights"]) == pytest.approx(1)
            assert min(record["weights"]) >= 0
            assert 0 <= record["share"] <= 1


def test_augmix_stays_below_its_magnitude_on_both_sides():
    values = [e["by"] for (r,) in drawn(AugMix((LIGHTER,), magnitude=0.3)) for chain in r["chains"] for e in chain]
    assert -30 <= min(values) < -28
    assert 28 < max(values) <= 30
    assert np.mean(values) == pytest.approx(0, abs=1.5)
    assert AugMix((LIGHTER,), magnitude=0.3).operations() == {"lighter": {"by": (-30, 30)}}


def test_augmix_mixes_what_its_chains_make():
    dark = np.full((8, 8, 3), 100, np.uint8)
    chains = [[{"op": "lighter", "by": 50}], [{"op": "lighter", "by": 20}, {"op": "lighter", "by": 10}]]
    record = [{"op": "augmix", "chains": chains, "weights": [0.75, 0.25], "share": 0.5}]
    assert (perform(dark, record, PICTURES.__getitem__) == round(0.5 * 100 + 0.5 * (0.75 * 150 + 0.25 * 130))).all()


# Mixing


def test_partners_are_training_pictures_each_as_likely():
    rows = [record[0]["row"] for record in drawn(Mix("mixup", 1.0))]
    assert set(rows) == set(PARTNERS.tolist())
    assert all(rows.count(row) > 250 for row in set(rows))


def test_without_partners_nothing_is_mixed():
    assert drawn(Mix("cutmix", 1.0), 5, Context({"side": 24.0})) == [[]] * 5


def test_a_partner_goes_through_the_same_steps_by_its_own_draws():
    steps = (Use(LIGHTER, {"by": (0, 50)}), Use(ROLLED, {"pixels": (0.1, 0.2)}), Mix("mixup", 1.0))
    record = Policy("p", (steps,)).draw(rng_of(0), 1, CONTEXT)
    first = record[-1]["first"]
    assert [each["op"] for each in first] == ["lighter", "rolled"]
    assert first != record[:2]
    made = perform(PICTURES[0], record, PICTURES.__getitem__)
    own = perform(PICTURES[0], record[:2], PICTURES.__getitem__)
    partner = perform(PICTURES[record[-1]["row"]], first, PICTURES.__getitem__)
    kept = record[-1]["kept"]
    assert np.abs(made - (kept * own.astype(float) + (1 - kept) * partner)).max() <= 0.51


def test_a_partner_is_not_mixed_itself():
    steps = (UP, Mix("mixup", 1.0), OneOf((Mix("cutmix", 1.0), Mix("mixup", 1.0))), Mix("cutmix", 1.0))
    for seed in range(20):
        record = Policy("p", (steps,)).draw(rng_of(seed), 1, CONTEXT)
        assert [[each["op"] for each in mix["first"]] for mix in record[1:]] == [["lighter"]] * 3


def test_steps_after_a_mix_are_not_done_to_the_partner_twice():
    record = Policy("p", ((Mix("mixup", 1.0), UP),)).draw(rng_of(0), 1, CONTEXT)
    assert [each["op"] for each in record] == ["mixup", "lighter"]
    assert record[0]["first"] == []


@given(st.integers(0, 10_000), st.integers(0, 4))
def test_shares_are_what_mixing_did_to_the_pixels_and_add_up_to_one(seed, row):
    # Every row a colour of its own: how much of it is in the result is its share.
    colours = np.zeros((5, 30, 44, 5), np.uint8)
    colours[range(5), ..., range(5)] = 250
    policy = Policy("p", ((Mix("mixup", 1.0), OneOf((Mix("cutmix", 1.0), Mix("mixup", 0.3))), Mix("mixup", 1.0)),))
    record = policy.draw(rng_of(seed), 1, Context(partners=np.arange(5)))
    held = shares(row, record)
    assert sum(held.values()) == pytest.approx(1)
    for channels in (slice(0, 3), slice(2, 5)):
        made = perform(colours[row, ..., channels], record, colours[..., channels].__getitem__).mean(axis=(0, 1)) / 250
        assert made == pytest.approx([held.get(of, 0) for of in range(5)][channels], abs=0.01)


def test_a_picture_that_is_not_mixed_has_all_of_its_label():
    assert shares(7, Policy("p", ((UP, RandAugment((LIGHTER,)), AugMix((LIGHTER,))),)).draw(rng_of(0), 1, CONTEXT)) == {
        7: 1
    }


def test_shares_of_a_picture_mixed_with_itself_and_of_mixed_partners():
    assert shares(7, [{"op": "mixup", "kept": 0.3, "row": 7, "first": []}]) == {7: 1}
    inner = [{"op": "cutmix", "kept": 0.5, "row": 2, "first": []}]
    assert shares(7, [{"op": "mixup", "kept": 0.75, "row": 1, "first": inner}]) == {7: 0.75, 1: 0.125, 2: 0.125}


# Policies


def test_copies_go_through_the_pipelines_in_turn():
    policy = Policy("p", ((UP,), (AROUND_SURELY,), (Use(SPECKLED, {}),)))
    names = [policy.draw(rng_of(copy), copy, CONTEXT)[0]["op"] for copy in range(1, 8)]
    assert names == ["lighter", "rolled", "speckled", "lighter", "rolled", "speckled", "lighter"]


def test_steps_are_named_once_each():
    assert Policy("p", ((UP, AROUND), (AROUND, Use(LIGHTER, {"by": (10, 20)})), (UP,))).steps() == (UP, AROUND)


def test_operations_are_told_with_their_widest_spans():
    policy = Policy("p", ((UP, OneOf((Use(LIGHTER, {"by": (-5, 15)}), AROUND))), (Use(SPECKLED, {}), Mix("mixup"))))
    assert policy.operations() == {
        "lighter": {"by": (-5, 20)},
        "rolled": {"pixels": (-0.5, 0.5)},
        "speckled": {"amount": (0, 0)},
    }


def test_what_is_free_is_told_with_its_whole_span():
    step = RandAugment((ANYWHERE, LIGHTER), magnitude=0.5, spread=0)
    assert step.operations() == {"anywhere": {"pixels": (-9, 9)}, "lighter": {"by": (-50, 50)}}
    assert Use(ANYWHERE, {}).operations() == {"anywhere": {"pixels": (-9, 9)}}


def test_every_operation_that_is_drawn_is_told():
    told = ALL.operations()
    for seed in range(200):
        for values in ALL.draw(rng_of(seed), 1, CONTEXT):
            inside = [each for chain in values.get("chains", ()) for each in chain] or values.get("first", [values])
            assert {each["op"] for each in inside} - {"augmix"} <= set(told)


@pytest.mark.parametrize(
    ("steps", "mixes"),
    [
        ((UP, Mix("mixup")), True),
        ((OneOf((UP, OneOf((Mix("cutmix"),)))),), True),
        ((UP, RandAugment((LIGHTER,))), False),
    ],
)
def test_a_policy_knows_whether_labels_become_soft(steps, mixes):
    assert Policy("p", ((UP,), steps)).mixes == mixes


FIXED = Use(LIGHTER, {"by": (30, 30)})
ANYWHERE = Operation("anywhere", "geometry", rolled, {"pixels": Parameter(-9, 9, free=True)})


@pytest.mark.parametrize(
    ("pipelines", "different"),
    [
        (((FIXED,),), 1),
        (((FIXED,), (FIXED, AROUND_SURELY), (AROUND_SURELY,)), 3),
        (((FIXED,), (Use(LIGHTER, {"by": (30, 30)}),)), 1),
        (((FIXED,), (UP,)), None),
        (((FIXED,), (Use(LIGHTER, {"by": (30, 30)}, p=0.5),)), None),
        (((Use(SPECKLED, {"amount": (3, 3)}),),), None),
        (((Use(ANYWHERE, {}),),), None),
        (((Use(ANYWHERE, {"pixels": (3, 3)}),),), 1),
        (((RandAugment((LIGHTER,)),),), None),
        (((OneOf((FIXED, AROUND_SURELY)),),), None),
        (((FIXED, Mix("mixup")),), None),
        (((Call("a.py:f", ""),),), None),
    ],
)
def test_without_chance_there_are_as_many_copies_as_pipelines_that_differ(pipelines, different):
    assert Policy("p", pipelines).different == different


# Doing


def test_what_was_given_stays_as_it_was():
    before = PICTURES.copy()
    for seed in range(50):
        made = perform(PICTURES[0], ALL.draw(rng_of(seed), 1, CONTEXT), PICTURES.__getitem__)
        made[:] = 0
    assert (before == PICTURES).all()


def test_an_empty_record_is_the_picture_itself():
    assert (perform(PICTURES[3], [], PICTURES.__getitem__) == PICTURES[3]).all()


def test_a_record_of_an_operation_that_there_is_not_is_told_so():
    with pytest.raises(UnknownName, match=r"no operation named 'lightr'. Did you mean 'lighter'"):
        perform(PICTURES[0], [{"op": "lightr", "by": 3}], PICTURES.__getitem__)


def test_lengths_follow_the_size_of_the_pictures():
    by = [drawn(AROUND_SURELY, 1, Context({"side": side}))[0][0]["pixels"] for side in (28.0, 224.0)]
    assert by == pytest.approx([2.8, 22.4])
