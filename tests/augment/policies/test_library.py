import json
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib import resources
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from augment.corruptions.corruption import CORRUPTIONS, TEST
from augment.operations.operation import OPERATIONS
from augment.policies import library
from augment.policies.policy import AugMix, Call, Context, Mix, OneOf, Policy, RandAugment, Use, perform
from curate.stage.errors import DataError, ToolkitError, UnknownName

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "policies.md").read_text("utf-8")
SIZES = [(28, 28), (96, 96), (45, 130)]
FLIP = 'steps = [{op = "flip_x"}]\n'


def context_of(height: int, width: int) -> Context:
    return Context({"side": float(min(height, width)), "sd_l": 8.0, "sd_a": 6.0, "sd_b": 5.0}, np.array([0, 1, 3]))


def pictures_of(height: int, width: int) -> np.ndarray:
    """Four pictures, smooth here and rough there."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    smooth = 40 + 180 * np.stack([x, y, (x + y) / 2], axis=-1)
    return np.clip(smooth + rng.normal(0, 25, (4, height, width, 3)) * (x > 0.5)[..., None], 0, 255).astype(np.uint8)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Write mine.toml in a folder of its own, and load it."""
    monkeypatch.chdir(tmp_path)

    def load(text: str) -> Policy:
        Path("mine.toml").write_text(text, "utf-8")
        return library.policy("mine.toml", ["own.py", "mine.py"])

    return load


def steps_of(policy: Policy) -> list:
    """All steps, those inside others too."""

    def inside(step):
        return [step, *(each for inner in step.steps for each in inside(inner))] if isinstance(step, OneOf) else [step]

    return [each for step in policy.steps() for each in inside(step)]


# The built-in ones


def test_every_file_has_a_name_and_every_name_a_file():
    folder = resources.files("augment") / "policies"
    assert sorted(library.names()) == sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )
    assert library.names()[:3] == ("light", "moderate", "heavy")


@pytest.mark.parametrize("name", library.names())
def test_a_policy_says_what_it_is_for_and_where_it_is_from(name):
    policy = library.policy(name)
    assert policy.name == name
    assert policy.about.endswith(".")
    assert policy.origin
    assert policy.path is None
    assert policy.copies >= len(policy.pipelines)
    assert (resources.files("augment") / "policies" / f"{name}.toml").read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("name", library.names())
@pytest.mark.parametrize("size", SIZES)
def test_a_policy_makes_pictures_of_any_size_and_again_from_its_record(name, size):
    policy, pictures, context = library.policy(name), pictures_of(*size), context_of(*size)
    before = pictures.copy()
    for copy in range(1, 2 * policy.copies + 1):
        record = policy.draw(np.random.default_rng([0, 2, copy]), copy, context)
        made = perform(pictures[2], record, pictures.__getitem__)
        assert (made.shape, made.dtype) == (pictures[2].shape, np.uint8)
        again = json.loads(json.dumps(record))
        assert (perform(pictures[2], again, pictures.__getitem__) == made).all()
        assert policy.draw(np.random.default_rng([0, 2, copy]), copy, context) == record
    assert (pictures == before).all()


@pytest.mark.parametrize("name", [name for name in library.names() if name not in ("mixup", "dihedral8")])
def test_copies_differ_from_the_picture_and_from_each_other(name):
    policy, pictures, context = library.policy(name), pictures_of(96, 96), context_of(96, 96)
    records = [policy.draw(np.random.default_rng([0, 2, copy]), copy, context) for copy in range(1, 9)]
    made = {perform(pictures[2], record, pictures.__getitem__).tobytes() for record in records}
    assert len(made - {pictures[2].tobytes()}) >= 6


@pytest.mark.parametrize("name", library.names())
def test_a_policy_can_be_pickled(name):
    policy = library.policy(name)
    again = pickle.loads(pickle.dumps(policy))
    assert again == policy
    assert library.digest(again) == library.digest(policy)


@pytest.mark.slow
def test_another_process_draws_the_same():
    policy, context = library.policy("everything"), context_of(96, 96)
    rngs = [np.random.default_rng([0, row, 1]) for row in range(8)]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = [pool.submit(policy.draw, rng, 1, context) for rng in rngs]
        assert [future.result() for future in there] == [policy.draw(rng, 1, context) for rng in rngs]


@pytest.mark.parametrize("size", SIZES)
def test_a_policy_looks_the_same_at_every_size(size):
    drawn = []
    for shape in (size, (224, 224)):
        record = library.policy("a2").draw(np.random.default_rng(0), 1, context_of(*shape))
        drawn.append([record[0]["degrees"], record[0]["x"] / min(shape), record[0]["y"] / min(shape)])
    assert drawn[0] == pytest.approx(drawn[1])


def test_which_ones_mix_labels():
    mixing = {name for name in library.names() if library.policy(name).mixes}
    assert mixing == {"mixup", "cutmix", "mixup-cutmix", "mixup-cutmix-traditional", "hidden-players"}


def test_only_dihedral8_has_an_end_to_its_copies():
    assert {name: library.policy(name).different for name in library.names()} == {
        name: 7 if name == "dihedral8" else None for name in library.names()
    }


def test_dihedral8_makes_eight_pictures_of_one():
    picture = pictures_of(31, 31)[0]
    policy = library.policy("dihedral8")
    made = [perform(picture, policy.draw(np.random.default_rng(0), copy, Context()), {}.get) for copy in range(1, 8)]
    turned = [np.rot90(side, k) for side in (picture, picture[:, ::-1]) for k in range(4)]
    assert {each.tobytes() for each in (picture, *made)} == {each.tobytes() for each in turned}


@pytest.mark.parametrize("name", ["light", "moderate", "heavy", "augmix"])
def test_what_is_meant_for_the_benchmark_has_nothing_of_it(name):
    tested = {of.operation.name for of in CORRUPTIONS.values() if of.role == TEST}
    assert len(tested) > 20
    assert not set(library.policy(name).operations()) & tested


def test_heavy_has_nothing_of_the_validation_part_either():
    assert not set(library.policy("heavy").operations()) & {of.operation.name for of in CORRUPTIONS.values()}


def test_everything_has_all_of_it():
    held = set(library.policy("everything").operations())
    assert {of.operation.name for of in CORRUPTIONS.values()} <= held
    assert set(library.policy("heavy").operations()) <= held


def test_heavy_makes_about_five_changes_to_a_picture():
    policy = library.policy("heavy")
    records = [policy.draw(np.random.default_rng([0, row, 1]), 1, context_of(96, 96)) for row in range(500)]
    assert 4.5 < np.mean([len(record) for record in records]) < 6.5
    assert len({tuple(sorted(drawn["op"] for drawn in record)) for record in records}) > 100


def test_augmix_keeps_the_benchmark_out_unless_all_operations_are_wanted():
    all_ops = {"colourfulness", "enhance_contrast", "enhance_brightness", "sharpness"}
    assert set(library.policy("augmix-all").operations()) - set(library.policy("augmix").operations()) == all_ops
    assert len(library.policy("augmix").operations()) == 9


def test_the_grid_of_the_report_has_eight_orientations_and_its_magnitudes():
    for name, ops, magnitude in (("0.2x1", 1, 0.2), ("0.35x1", 1, 0.35), ("0.45x2", 2, 0.45), ("0.6x2", 2, 0.6)):
        policy = library.policy(f"randaugment-{name}")
        assert (policy.copies, len(policy.pipelines)) == (8, 8)
        assert [steps[0].spans["element"] for steps in policy.pipelines] == [(i, i) for i in range(8)]
        assert {(steps[1].ops, steps[1].magnitude) for steps in policy.pipelines} == {(ops, magnitude)}


def test_hidden_players_are_two_copies_of_one_kind_and_one_of_another():
    first, second, third = library.policy("hidden-players").pipelines
    assert first == second
    assert {RandAugment, AugMix} <= {type(step) for step in first}
    assert [step.kind for step in third] == ["cutmix", "mixup"]


# Files


def test_a_file_says_all_that_it_may(mine):
    Path("own.py").write_text("def fade(image, rng):\n    return image")
    policy = mine("""
about = "All."
origin = "ours"
copies = 6
[[pipeline]]
share = 2
steps = [
  {op = "affine", degrees = [-180, 180], zoom = 1.1, p = 0.9},
  {one_of = [{op = "hue", degrees = [-15, 15]}, {one_of = [{op = "flip_x"}]}], p = 0.8},
  {op = "randaugment", ops = 3, magnitude = 0.45, spread = 0.2, rate = 0.5, among = ["rotate", "hue"], p = 0.7},
]
[[pipeline]]
steps = [
  {op = "augmix", width = 4, depth = 2, alpha = 0.5, magnitude = 0.2, among = ["rotate"], p = 0.6},
  {op = "mixup", alpha = 0.3, p = 0.5},
  {op = "cutmix"},
  {call = "own.py:fade", p = 0.4},
]
""")
    assert (policy.name, policy.about, policy.origin, policy.copies) == ("mine", "All.", "ours", 6)
    assert policy.path == Path("mine.toml")
    first, second, third = policy.pipelines
    assert first == second
    assert first[0] == Use(OPERATIONS["affine"], {"degrees": (-180, 180), "zoom": (1.1, 1.1)}, 0.9)
    assert first[1].p == 0.8
    assert first[1].steps[1] == OneOf((Use(OPERATIONS["flip_x"], {}),))
    among = (OPERATIONS["rotate"], OPERATIONS["hue"])
    assert first[2] == RandAugment(among, ops=3, magnitude=0.45, spread=0.2, rate=0.5, p=0.7)
    assert third[0] == AugMix(among[:1], width=4, depth=2, alpha=0.5, magnitude=0.2, p=0.6)
    assert third[1:3] == (Mix("mixup", 0.3, 0.5), Mix("cutmix", 1.0))
    assert (third[3].target, third[3].p) == ("own.py:fade", 0.4)


def test_a_file_may_say_next_to_nothing(mine):
    policy = mine(FLIP)
    assert (policy.copies, policy.about, policy.origin) == (4, "", "")
    assert policy.pipelines == ((Use(OPERATIONS["flip_x"], {}),),)


def test_randaugment_and_augmix_have_their_lists_and_values_by_default(mine):
    (rand, augmix, every) = mine(
        'steps = [{op = "randaugment"}, {op = "augmix"}, {op = "augmix", all_ops = true}]'
    ).steps()
    assert (rand.ops, rand.magnitude, rand.spread, rand.rate) == (2, 0.5, 0.15, 10 / 11)
    assert (augmix.width, augmix.depth, augmix.alpha, augmix.magnitude) == (3, 0, 1.0, 0.3)
    assert (len(rand.among), len(augmix.among), len(every.among)) == (13, 9, 13)


def test_a_function_beside_a_file_is_found_from_anywhere(mine, tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "own.py").write_text("def fade(image, rng):\n    return image // 2")
    (tmp_path / "sub" / "own.toml").write_text('steps = [{call = "own.py:fade"}]')
    policy = library.policy("sub/own.toml", ["sub/own.py"])
    picture = pictures_of(9, 9)[0]
    assert (perform(picture, policy.draw(np.random.default_rng(0), 1, Context()), {}.get) == picture // 2).all()


def test_a_function_beside_a_file_is_not_run_unless_it_is_named(mine, tmp_path):
    Path("evil.py").write_text("from pathlib import Path\nPath('ran').touch()\ndef fade(image, rng):\n    return image")
    message = (
        "mine.toml: step 1: this calls fade of evil.py, and Python code runs only from a file that the command names"
    )
    with pytest.raises(DataError, match=message):
        mine('steps = [{call = "evil.py:fade"}]')
    assert not Path("ran").exists()
    library.policy("mine.toml", [tmp_path / "evil.py"])
    assert Path("ran").exists()


def test_a_function_is_a_policy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def fade(image, rng):\n    return image // rng.integers(2, 4, dtype='uint8')")
    policy = library.policy("mine.py:fade")
    assert (policy.name, policy.path, policy.mixes, policy.different) == ("mine.py:fade", Path("mine.py"), False, None)
    assert isinstance(policy.steps()[0], Call)
    assert pickle.loads(pickle.dumps(policy)) == policy
    picture = pictures_of(9, 9)[0]
    record = policy.draw(np.random.default_rng(0), 1, Context())
    made = perform(picture, record, {}.get)
    assert (made == perform(picture, json.loads(json.dumps(record)), {}.get)).all()
    assert (made == picture // 2).all() or (made == picture // 3).all()


# Mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = [\n", "this is no TOML: "),
        (
            "copies = 3\nsteps = 1 2",
            "this is no TOML: Expected newline or end of document after a statement (at line 2, ",
        ),
        ("abuot = 'x'\n" + FLIP, "no key of a policy named 'abuot'. Did you mean 'about'? Known: about, copies, "),
        ("about = 3\n" + FLIP, 'about is 3; needed is text in "quotes".'),
        ("about = 'x'", "needed is either steps = [...], or [[pipeline]] once or more."),
        (FLIP + "[[pipeline]]\n" + FLIP, "needed is either steps = [...], or [[pipeline]] once or more."),
        ("copies = 0\n" + FLIP, "copies is 0; needed is a whole number from 1 to 10,000."),
        ("copies = 2.5\n" + FLIP, "copies is 2.5; needed is a whole number from 1 to 10,000."),
        ("copies = true\n" + FLIP, "copies is True; needed is a whole number from 1 to 10,000."),
        ("[pipeline]\n" + FLIP, "pipeline is no list of tables; write [[pipeline]], in two pairs of brackets."),
        ("pipeline = []", "pipeline is no list of tables; "),
        ("[[pipeline]]\nshare = 0\n" + FLIP, "pipeline 1: share is 0; needed is a whole number from 1 to 1,000."),
        (
            "[[pipeline]]\n" + FLIP + "[[pipeline]]\nstep = 1",
            "pipeline 2: no key of a pipeline named 'step'. Did you mean 'steps'? Known: share, steps",
        ),
        (
            "[[pipeline]]\n" + FLIP + '[[pipeline]]\nsteps = [{op = "flip_x"}, {op = "flip_x", p = -1}]',
            "pipeline 2: step 2: p is -1; needed is a number from 0 to 1.",
        ),
        (
            "[[pipeline]]\nshare = 2",
            'pipeline 1: there is no step; needed is a list of one or more, as in [{op = "flip_x"}].',
        ),
        ("steps = []", "there is no step; needed is a list of one or more"),
        ("steps = 'flip_x'", "there is no step; needed is a list of one or more"),
        ("steps = ['flip_x']", "step 1: this is 'flip_x'; needed is a table with op, one_of or call, as in "),
        ("steps = [{p = 1}]", "step 1: this is {'p': 1}; needed is a table with op, one_of or call"),
        ("steps = [{op = 'flip_x', one_of = []}]", "step 1: this is {'op': 'flip_x', 'one_of': []}; needed is"),
        ("steps = [{op = 3}]", 'step 1: op is 3; needed is text in "quotes".'),
        ("steps = [{op = 'rotat'}]", "step 1: no operation named 'rotat'. Did you mean 'rotate'? The nearest of "),
        ("steps = [{op = 'mixupp'}]", "step 1: no operation named 'mixupp'. Did you mean 'mixup'?"),
        (
            "steps = [{op = 'rotate', degree = 3}]",
            "step 1: no parameter of rotate named 'degree'. Did you mean 'degrees'? Known: degrees",
        ),
        (
            "steps = [{op = 'rotate', degrees = [9, -9]}]",
            "step 1: degrees of rotate is [9, -9]; needed are two numbers, the smaller first.",
        ),
        ("steps = [{op = 'rotate', degrees = nan}]", "step 1: degrees of rotate is [nan, nan]; needed are two numbers"),
        (
            "steps = [{op = 'rotate', degrees = [1]}]",
            "step 1: degrees is [1]; needed is a number, or two as [low, high].",
        ),
        ("steps = [{op = 'rotate', degrees = 'far'}]", "step 1: degrees is 'far'; needed is a number, or two as"),
        (
            "steps = [{op = 'rotate', degrees = [true, 3]}]",
            "step 1: degrees is [True, 3]; needed is a number, or two as",
        ),
        ("steps = [{op = 'zoom', factor = [0, 1.2]}]", "step 1: factor of zoom is a factor and begins at 0; needed is"),
        (
            "steps = [{op = 'dihedral', element = 1.5}]",
            "step 1: element of dihedral is [1.5, 1.5]; needed are whole numbers.",
        ),
        ("steps = [{op = 'dihedral', element = [0, 8]}]", "step 1: element of dihedral is [0, 8]; sensible is 0 to 7."),
        ("steps = [{op = 'erase', share = [-1, 0]}]", "step 1: share of erase is [-1, 0]; sensible is 0 to "),
        ("steps = [{op = 'flip_x', p = 1.5}]", "step 1: p is 1.5; needed is a number from 0 to 1."),
        ("steps = [{op = 'flip_x', p = nan}]", "step 1: p is nan; needed is a number from 0 to 1."),
        ("steps = [{op = 'flip_x', p = 'often'}]", "step 1: p is 'often'; needed is a number from 0 to 1."),
        ("steps = [{one_of = []}]", "step 1: there is no choice; needed is a list of one or more"),
        ("steps = [{one_of = [{op = 'flip_x'}], q = 1}]", "step 1: no key of one_of named 'q'. Known: p"),
        (
            "steps = [{op = 'flip_x'}, {one_of = [{op = 'flip_x'}, {op = 'flipy'}]}]",
            "step 2: choice 2: no operation named 'flipy'. Did you mean 'flip_y'?",
        ),
        (
            "steps = [{op = 'randaugment', op_s = 2}]",
            "step 1: no key of randaugment named 'op_s'. Did you mean 'ops'? Known: among, magnitude, ops, p, ",
        ),
        ("steps = [{op = 'randaugment', ops = 0}]", "step 1: ops is 0; needed is a whole number from 1 to 100."),
        ("steps = [{op = 'randaugment', magnitude = 9}]", "step 1: magnitude is 9; needed is a number from 0 to 1."),
        ("steps = [{op = 'randaugment', spread = -0.1}]", "step 1: spread is -0.1; needed is a number from 0 to 100."),
        ("steps = [{op = 'randaugment', rate = 2}]", "step 1: rate is 2; needed is a number from 0 to 1."),
        ("steps = [{op = 'randaugment', among = []}]", "step 1: among is []; needed is a list of operations, as in "),
        ("steps = [{op = 'randaugment', among = 'hue'}]", "step 1: among is 'hue'; needed is a list of operations"),
        ("steps = [{op = 'randaugment', among = [3]}]", 'step 1: among is 3; needed is text in "quotes".'),
        ("steps = [{op = 'randaugment', among = ['huge']}]", "step 1: no operation named 'huge'. Did you mean 'hue'?"),
        ("steps = [{op = 'augmix', width = 0}]", "step 1: width is 0; needed is a whole number from 1 to 100."),
        ("steps = [{op = 'augmix', depth = -1}]", "step 1: depth is -1; needed is a whole number from 0 to 100."),
        ("steps = [{op = 'augmix', alpha = 0}]", "step 1: alpha is 0; needed is a number from 0.001 to 1,000,000."),
        ("steps = [{op = 'augmix', all_ops = 1}]", "step 1: all_ops is 1; needed is true or false."),
        (
            "steps = [{op = 'augmix', all_ops = true, among = ['hue']}]",
            "step 1: augmix has all_ops and among; give one of them.",
        ),
        ("steps = [{op = 'mixup', alpha = inf}]", "step 1: alpha is inf; needed is a number from 0.001 to 1,000,000."),
        ("steps = [{op = 'cutmix', beta = 1}]", "step 1: no key of cutmix named 'beta'. Known: alpha, p"),
        ("steps = [{call = 'own.py'}]", "step 1: 'own.py' is no function. Give file.py:name, as in mine.py:fade."),
        (
            "steps = [{call = 'own.py:fade'}]",
            "step 1: own.py cannot be read: No such file or directory. Give file.py:name.",
        ),
        ("steps = [{call = 'own.py:fade', by = 1}]", "step 1: no key of call named 'by'. Known: p"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_place(mine, text, message):
    with pytest.raises(ToolkitError) as told:
        mine(text)
    assert str(told.value).startswith(f"mine.toml: {message}")
    assert "\n" not in str(told.value)
    assert type(told.value) is (UnknownName if ": no " in str(told.value) else DataError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"copies = {2**80}\n" + FLIP, f"copies is {2**80}; needed is a whole number from 1 to 10,000."),
        ("[[pipeline]]\nshare = 2_000_000\n" + FLIP, "share is 2000000; needed is a whole number from 1 to 1,000."),
        ("[[pipeline]]\nshare = 1_000_000_000_000\n" + FLIP, "share is 1000000000000; needed is a whole number"),
        (
            f"[[pipeline]]\nshare = 600\n{FLIP}\n" * 2,
            "pipeline 2: the shares add up to 1,200; needed are 1,000 at most.",
        ),
        ("steps = [{op = 'randaugment', ops = 1_000_000}]", "ops is 1000000; needed is a whole number from 1 to 100."),
        ("steps = [{op = 'augmix', width = 1_000_000}]", "width is 1000000; needed is a whole number from 1 to 100."),
        (f"steps = [{{op = 'augmix', depth = {2**63}}}]", f"depth is {2**63}; needed is a whole number from 0 to 100."),
        ("steps = [{op = 'mixup', alpha = 1e-300}]", "alpha is 1e-300; needed is a number from 0.001 to 1,000,000."),
        (
            f"steps = [{{op = 'rotate', degrees = {10**400}}}]",
            "degrees is 10000000000000000000...00000000000000000; needed",
        ),
        (f"steps = [{{op = 'flip_x', p = {10**400}}}]", "p is 10000000000000000000...00000000000000000; needed is a"),
        (
            "steps = [{op = 'zoom_blur', zoom = 1.1, step = 1e-9}]",
            "step of zoom_blur is [1e-09, 1e-09]; sensible is 0.02",
        ),
        (
            "steps = [" + "{one_of = [" * 30 + "{op = 'flip_x'}" + "]}" * 30 + "]",
            "one_of is nested more than 10 deep.",
        ),
        ("steps = " + "[" * 100_000, "mine.toml: this is nested too deep to be read."),
    ],
)
def test_an_absurd_number_is_refused_before_anything_is_made_of_it(mine, text, message):
    with pytest.raises(DataError, match=re.escape(message)):
        mine(text)


def test_lengths_given_in_pixels_are_told_apart_from_shares(mine):
    with pytest.raises(
        DataError, match=r"shift of translate_x is \[-12, 12\]; sensible is .*, as shares of the shorter"
    ):
        mine('steps = [{op = "translate_x", shift = [-12, 12]}]')


def test_a_file_that_is_no_text_is_told_so(mine):
    Path("mine.toml").write_bytes(b"about = '\xff\xfe'")
    with pytest.raises(DataError, match=r"mine.toml: this is no TOML: 'utf-8' codec can't decode byte 0xff"):
        library.policy("mine.toml")


def test_a_file_that_is_not_there_is_told_so(tmp_path):
    with pytest.raises(DataError, match=r"gone.toml cannot be read: No such file or directory"):
        library.policy(str(tmp_path / "gone.toml"))
    with pytest.raises(DataError, match=r"gone.py cannot be read: No such file or directory"):
        library.policy(f"{tmp_path}/gone.py:fade")


def test_a_name_that_there_is_not_is_told_with_the_nearest_and_what_else_is_taken():
    with pytest.raises(UnknownName) as told:
        library.policy("hevy")
    assert str(told.value).startswith("no policy named 'hevy'. Did you mean 'heavy'? Known: a1, a2, ")
    assert str(told.value).endswith("A file of your own is taken too: mine.toml, or mine.py:function.")


# Digests


def test_no_two_policies_have_one_digest():
    digests = {library.digest(library.policy(name)) for name in library.names()}
    assert len(digests) == len(library.names())
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)


BASE = 'steps = [{op = "hue", degrees = [-9, 9], p = 0.5}, {op = "randaugment"}, {op = "flip_x"}]'


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("9]", "10]"),
        ("p = 0.5", "p = 0.6"),
        ("[-9, 9]", "9"),
        ("hue", "rotate"),
        ('randaugment"', 'randaugment", ops = 3'),
        ("flip_x", "flip_y"),
        (', {op = "flip_x"}', ""),
        ('{op = "flip_x"}', '{one_of = [{op = "flip_x"}]}'),
    ],
)
def test_what_changes_a_draw_changes_the_digest(mine, old, new):
    before = library.digest(mine(BASE))
    assert old in BASE
    assert library.digest(mine(BASE.replace(old, new))) != before


def test_words_and_copies_do_not(mine):
    before = library.digest(mine(BASE))
    other = mine("# A comment.\nabout = 'Other words.'\ncopies = 9\n" + BASE.replace("[-9, 9]", "[-9.0, 9.0]"))
    assert library.digest(other) == before
    assert library.digest(replace(other, name="other", path=None)) == before


def test_the_digest_follows_the_range_that_a_magnitude_is_of():
    policy = library.policy("randaugment")
    (step,) = policy.steps()
    first = step.among[0]
    wider = replace(first, parameters={name: replace(of, high=of.high * 2) for name, of in first.parameters.items()})
    other = replace(policy, pipelines=((replace(step, among=(wider, *step.among[1:])),),))
    assert library.digest(other) != library.digest(policy)


def test_the_digest_follows_the_file_of_a_function(mine):
    Path("own.py").write_text("def fade(image, rng):\n    return image")
    before = library.digest(mine('steps = [{call = "own.py:fade"}]'))
    Path("own.py").write_text("def fade(image, rng):\n    return image // 2")
    assert library.digest(mine('steps = [{call = "own.py:fade"}]')) != before


# The page


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def test_the_examples_of_the_page_work(mine, capsys):
    (own,) = (text for text in blocks("python") if "def fade" in text)
    Path("mine.py").write_text(own)
    (text,) = blocks("toml")
    for policy in (mine(text), library.policy("mine.py:fade")):
        pictures, context = pictures_of(96, 96), context_of(96, 96)
        for copy in range(1, 25):
            record = policy.draw(np.random.default_rng([0, 1, copy]), copy, context)
            assert perform(pictures[1], record, pictures.__getitem__).shape == (96, 96, 3)
    names: dict[str, object] = {}
    for python in blocks("python"):
        exec(compile(python, "policies.md", "exec"), names)
    assert "cutmix" in capsys.readouterr().out


def test_the_mistake_on_the_page_is_told_as_it_says(mine):
    (message,) = re.findall(r"`mine.toml: (.*?)`", PAGE)
    (text,) = blocks("toml")
    Path("mine.py").write_text("def fade(image, rng):\n    return image")
    with pytest.raises(DataError, match=re.escape(message)):
        mine(text.replace("p = 0.9", "p = 1.5"))


def test_the_page_tells_of_every_policy_and_of_every_operation_with_its_parameters():
    policies = re.findall(r"^\| `([\w.-]+)` \| (\d+) \| (.*?) *\|$", PAGE, re.M)
    assert [name for name, _, _ in policies] == list(library.names())
    for name, copies, about in policies:
        assert int(copies) == library.policy(name).copies
        assert about.startswith(library.policy(name).about)
    told = dict(re.findall(r"`(\w+)`(?: \(([\w, ]+)\))?(?=, `| \|$)", PAGE, re.M))
    assert {name: told.get(name) for name in OPERATIONS} == {
        name: ", ".join(of.parameters) for name, of in OPERATIONS.items()
    }


def test_the_page_tells_of_the_values_that_are_taken_by_default(mine):
    rand, augmix = mine('steps = [{op = "randaugment"}, {op = "augmix"}]').steps()
    assert f"`ops` {rand.ops}, `magnitude` {rand.magnitude} (from 0 to 1), `spread` {rand.spread}, `rate` 10/11" in PAGE
    told = f"`width` {augmix.width}, `depth` {augmix.depth} (1 to 3 by chance), `alpha` {augmix.alpha:g}, `magnitude` "
    assert f"{told}{augmix.magnitude}" in PAGE
