import pickle

import numpy as np
import pytest

from augment import preservation
from augment.features import Features, load_features
from augment.operations.operation import OPERATIONS
from augment.policies.functions import load
from augment.policies.policy import Call, Context, Mix, OneOf, Policy, Step, Use, perform
from augment.preservation import (
    LabelledPictures,
    LabelProbe,
    fit_label_probe,
    label_losses,
    open_label_probe,
    shows_label,
)
from augment.statistics import lab_spread
from curate.demo import DemoConfig, clean_cells

CLASSES = 4


def use(operation: str, p: float = 1.0, **spans: tuple[float, float]) -> Use:
    return Use(OPERATIONS[operation], spans, p)


# Nothing is left to be seen after any of these.
BLACK = use("brightness", add=(-0.95, -0.95))
CLOSE = use("zoom", factor=(12.0, 12.0))
NOISE = use("gaussian_noise", sd=(2.0, 2.0))
MILD = (use("dihedral", element=(0, 7)), use("contrast", factor=(0.6, 1.4)), use("gaussian_noise", sd=(0.0, 0.03)))


@pytest.fixture(scope="module")
def cells() -> tuple[np.ndarray, np.ndarray]:
    images, labels = clean_cells(DemoConfig(images=200, classes=CLASSES))
    return images, labels.astype(np.int64)


@pytest.fixture(scope="module")
def plain() -> Features:
    return load_features("builtin", None, 96, 1)[0]


@pytest.fixture(scope="module")
def context(cells) -> Context:
    return Context({**lab_spread(cells[0]), "side": 96.0}, np.arange(len(cells[0])))


@pytest.fixture(scope="module")
def mild(cells, plain, context) -> LabelProbe:
    probe, note = fit(*cells, None, Policy("mild", (MILD,)), plain, context, seed=0)
    assert note == ""
    return probe


def fit(pictures, labels, groups, *options, rows=None, **more) -> tuple[LabelProbe | None, str]:
    return fit_label_probe(LabelledPictures(pictures, labels, groups, rows), *options, **more)


def after(cells, context, *steps: Step, rows) -> list[np.ndarray]:
    """Pictures of some rows after steps."""
    policy = Policy("p", (steps,))
    return [
        perform(cells[0][row], policy.draw(np.random.default_rng([7, row]), 1, context), cells[0].__getitem__)
        for row in rows
    ]


def random_features(seed: int = 0) -> Features:
    """Features that are the same for equal pictures and nothing alike for others: only copies can be known by them."""

    def embed(batch: np.ndarray) -> np.ndarray:
        keys = [int(picture.astype(np.int64).sum()) for picture in batch]
        return np.stack([np.random.default_rng([seed, key]).normal(size=64) for key in keys]).astype(np.float32)

    return Features("chance", "chance", "0", 16, 64, embed)


def numbered(n: int) -> np.ndarray:
    """n pictures of 16 pixels a side, no two of one sum."""
    images = np.zeros((n, 16, 16, 3), np.uint8)
    for i in range(n):
        images[i].reshape(-1)[: i + 1] = 1
    return images


# What it knows


def test_clean_and_mildly_augmented_pictures_are_known(mild, cells, plain, context):
    rows = np.arange(0, 200, 2)
    assert mild.clean > 0.9
    assert mild.augmented > 0.85
    assert mild.knows(plain(cells[0][rows]), cells[1][rows], rows).mean() > 0.95
    assert mild.knows(plain(after(cells, context, *MILD, rows=rows)), cells[1][rows], rows).mean() > 0.9


@pytest.mark.parametrize("destroyer", [BLACK, CLOSE, NOISE], ids=["black", "close", "noise"])
def test_pictures_in_which_nothing_is_left_are_not_known(mild, cells, plain, context, destroyer):
    rows = np.arange(0, 200, 2)
    known = mild.knows(plain(after(cells, context, destroyer, rows=rows)), cells[1][rows], rows)
    # One class of four is hit by chance.
    assert known.mean() < 0.6


@pytest.mark.slow
def test_a_policy_that_destroys_pictures_does_not_teach_the_probe_to_accept_it(cells, plain, context):
    destroying = tuple(OneOf((of,), 0.3) for of in (BLACK, CLOSE, NOISE))
    probe, note = fit(*cells, None, Policy("p", ((*MILD, *destroying),)), plain, context, seed=0)
    assert note == ""
    rows = np.arange(0, 200, 2)
    for destroyer in (BLACK, CLOSE, NOISE):
        assert probe.knows(plain(after(cells, context, destroyer, rows=rows)), cells[1][rows], rows).mean() < 0.6
    assert probe.knows(plain(cells[0][rows]), cells[1][rows], rows).mean() > 0.9


def test_a_wrong_label_is_not_known(mild, cells, plain):
    rows = np.arange(0, 200, 2)
    wrong = (cells[1][rows] + 1) % CLASSES
    assert mild.knows(plain(cells[0][rows]), wrong, rows).mean() < 0.1


def test_in_a_mixture_any_of_its_classes_will_do(mild, cells, plain):
    rows = np.arange(0, 200, 2)
    seen = plain(cells[0][rows])
    soft = np.zeros((len(rows), CLASSES), np.float32)
    each = np.arange(len(rows))
    soft[each, cells[1][rows]], soft[each, (cells[1][rows] + 1) % CLASSES] = 0.2, 0.8
    assert mild.knows(seen, soft, rows).mean() > 0.95
    soft[each, cells[1][rows]], soft[each, (cells[1][rows] + 2) % CLASSES] = 0.0, 0.2
    assert mild.knows(seen, soft, rows).mean() < 0.15


def test_soft_labels_of_one_class_are_as_plain_ones(mild, cells, plain, context):
    rows = np.arange(0, 200, 3)
    seen = plain(after(cells, context, CLOSE, rows=rows))
    soft = np.eye(CLASSES, dtype=np.float32)[cells[1][rows]]
    assert (mild.knows(seen, soft, rows) == mild.knows(seen, cells[1][rows], rows)).all()


@pytest.mark.slow
def test_what_was_not_learnt_cannot_be_lost(cells, plain, context):
    labels = cells[1].copy()
    labels[np.flatnonzero(labels == 3)[5:]] = -1  # too few of class 3 are left
    probe, _ = fit(cells[0], labels, None, Policy("mild", (MILD,)), plain, context, seed=0)
    assert probe.classes.tolist() == [0, 1, 2]
    rows = np.arange(200)
    black = plain(after(cells, context, BLACK, rows=rows))
    assert probe.knows(black, np.full(200, 3), rows).all()
    assert probe.knows(black, np.full(200, -1), rows).all()
    mixed = np.zeros((200, 4), np.float32)
    mixed[:, [0, 3]] = 0.5
    assert probe.knows(black, mixed, rows).all()
    assert not probe.knows(black, cells[1] % 3, rows).all()


# Who judges whom


def test_probabilities_add_up_for_rows_that_were_learnt_from_and_for_others(mild, cells, plain):
    given = mild.probabilities(plain(cells[0][:9]), np.array([*range(6), 700, 800, 10_000]))
    assert given.shape == (9, CLASSES)
    np.testing.assert_allclose(given.sum(axis=1), 1)


def test_a_row_is_judged_by_the_probe_that_has_not_seen_it(mild, cells, plain):
    seen = plain(cells[0][:40])
    by_row = mild.probabilities(seen, np.arange(40))
    for fold in range(5):
        of = mild.fold[:40] == fold
        logs = seen[of] @ mild.weights[fold] + mild.bias[fold]
        likely = np.exp(logs - logs.max(axis=1, keepdims=True))
        np.testing.assert_allclose(by_row[of], likely / likely.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)
    assert set(mild.fold.tolist()) == {0, 1, 2, 3, 4}


def test_neither_a_picture_s_copies_nor_its_group_help_to_know_it():
    # Copies of a picture are known by heart, unless they are kept on one side; the labels are without rhyme or reason.
    images = numbered(60).repeat(4, axis=0)
    labels = np.random.default_rng(0).integers(0, 2, 60).repeat(4)
    groups = np.arange(60).repeat(4)
    still = Policy("still", ((use("dihedral", element=(0, 0)),),))
    context = Context({"side": 16.0}, np.arange(240))
    apart, note = fit(images, labels, groups, still, random_features(), context, seed=0)
    assert apart is None
    assert "the label probe is right on only" in note
    together, _ = fit(images, labels, None, still, random_features(), context, seed=0)
    assert together is not None
    assert together.clean > 0.9


def test_augmented_copies_of_a_picture_do_not_help_to_know_it():
    images, labels = numbered(150), np.random.default_rng(0).integers(0, 2, 150)
    still = Policy("still", ((use("dihedral", element=(0, 0)),),))
    context = Context({"side": 16.0}, np.arange(150))
    probe, note = fit(images, labels, None, still, random_features(), context, seed=0)
    assert probe is None
    assert "not checked" in note


def test_rows_are_those_of_the_set_where_only_some_are_given(mild, cells, plain, context):
    rows = np.random.default_rng(0).permutation(np.arange(1000, 1400, 2))
    probe, _ = fit(*cells, None, Policy("mild", (MILD,)), plain, context, seed=0, rows=rows)
    assert set(probe.rows.tolist()) == set(rows.tolist())
    seen = plain(cells[0][:30])
    np.testing.assert_array_equal(probe.probabilities(seen, rows[:30]), mild.probabilities(seen, np.arange(30)))


def test_a_sample_has_as_many_pictures_of_each_class(cells, plain, context):
    probe, _ = fit(*cells, None, Policy("mild", (MILD,)), plain, context, seed=0, sample=80)
    assert np.bincount(cells[1][probe.rows]).tolist() == [20] * CLASSES


# Where there is no probe


def test_one_class_is_nothing_to_be_told_apart(cells, plain, context):
    probe, note = fit(cells[0], np.zeros(200, np.int64), None, Policy("mild", (MILD,)), plain, context, seed=0)
    assert probe is None
    assert note == (
        "the labels of augmented images are not checked: fewer than two classes have 10 pictures to learn from"
    )


def test_no_labels_and_no_pictures_are_nothing_either(cells, plain, context):
    for labels in (np.full(200, -1), np.zeros(0, np.int64)):
        probe, note = fit(cells[0][: len(labels)], labels, None, Policy("p", (MILD,)), plain, context, seed=0)
        assert probe is None
        assert "fewer than two classes" in note


def test_labels_that_cannot_be_seen_are_not_checked(cells, plain, context):
    labels = np.random.default_rng(0).integers(0, 3, 200)
    probe, note = fit(cells[0], labels, None, Policy("mild", (MILD,)), plain, context, seed=0)
    assert probe is None
    assert "of clean pictures" in note


def test_two_classes_will_do(cells, plain, context):
    two = cells[1] < 2
    local = Context(context.units, np.arange(two.sum()))
    probe, _ = fit(cells[0][two], cells[1][two], None, Policy("mild", (MILD,)), plain, local, seed=0)
    rows = np.arange(two.sum())
    given = probe.probabilities(plain(cells[0][two]), rows)
    assert (given.argmax(axis=1) == cells[1][two]).mean() > 0.9


# The clean picture counts


def test_where_the_clean_picture_is_not_known_either_the_operation_is_not_to_blame(mild, cells, plain, context):
    rows = np.arange(0, 200, 2)
    images = np.stack(after(cells, context, BLACK, rows=rows))
    right = np.eye(CLASSES, dtype=np.float32)[cells[1][rows]]
    known = shows_label(mild, plain, images, right, rows, cells[0].__getitem__)
    assert known.mean() < 0.6
    wrong = np.roll(right, 1, axis=1)
    assert shows_label(mild, plain, images, wrong, rows, cells[0].__getitem__).mean() > 0.9


def test_sources_are_opened_only_where_they_are_needed(mild, cells, plain):
    rows = np.flatnonzero(mild.knows(plain(cells[0]), cells[1], np.arange(200)))[:20]

    def open_row(row: int) -> np.ndarray:
        raise AssertionError("a picture that is known needs no second look")

    soft = np.eye(CLASSES, dtype=np.float32)[cells[1][rows]]
    assert shows_label(mild, plain, cells[0][rows], soft, rows, open_row).all()


# Kill rates


@pytest.mark.slow
def test_each_operation_is_tried_alone_and_the_destroyer_is_told(cells, plain, context, tmp_path):
    (tmp_path / "mine.py").write_text("def still(image, rng):\n    return image\n")
    target = f"{tmp_path / 'mine.py'}:still"
    steps = (*MILD, OneOf((CLOSE, Call(target, load(target, [tmp_path / "mine.py"]))), 0.2), Mix("mixup", 0.4, 0.5))
    policy = Policy("p", (steps,))
    probe, _ = fit(*cells, None, policy, plain, context, seed=0)
    rates = label_losses(LabelledPictures(*cells), probe, policy, plain, context.units, seed=0, sample=60)
    assert list(rates.columns) == ["operation", "tried", "augmented", "clean", "lost"]
    assert set(rates["operation"]) == {"dihedral", "contrast", "gaussian_noise", "zoom", target, "mixup"}
    assert (rates["tried"] == 60).all()
    assert rates["augmented"].is_monotonic_decreasing
    killed = dict(zip(rates["operation"], rates["lost"], strict=True))
    assert killed["zoom"] > 0.3
    assert killed[target] == 0
    for name in ("dihedral", "contrast", "gaussian_noise", "mixup"):
        assert killed[name] < 0.1


def test_the_worst_operation_comes_first(cells, plain, context, mild):
    policy = Policy("p", ((use("dihedral", element=(0, 7)), NOISE),))
    rates = label_losses(LabelledPictures(*cells), mild, policy, plain, context.units, seed=0, sample=40)
    assert rates["operation"].tolist() == ["gaussian_noise", "dihedral"]
    assert rates["augmented"][0] > 0.5


# Kept on disk


def test_it_is_the_same_after_it_was_saved_or_sent_to_another_process(mild, cells, plain, tmp_path):
    mild.save(tmp_path / "keeper.npz")
    seen, rows = plain(cells[0][:20]), np.arange(20)
    for again in (open_label_probe(tmp_path / "keeper.npz"), pickle.loads(pickle.dumps(mild))):
        np.testing.assert_array_equal(again.probabilities(seen, rows), mild.probabilities(seen, rows))
        assert (again.clean, again.augmented) == (mild.clean, mild.augmented)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_keeper_on_any_number_of_threads(cells, context, mild):
    threaded = load_features("builtin", None, 96, 3)[0]
    again, _ = fit(*cells, None, Policy("mild", (MILD,)), threaded, context, seed=0)
    np.testing.assert_array_equal(again.weights, mild.weights)
    np.testing.assert_array_equal(again.bias, mild.bias)
    other, _ = fit(*cells, None, Policy("mild", (MILD,)), threaded, context, seed=1)
    assert not np.array_equal(other.weights, mild.weights)


def test_all_pipelines_of_a_policy_are_learnt_from(cells, plain, context, monkeypatch):
    drawn = []
    monkeypatch.setattr(preservation, "perform", lambda image, record, open_row: drawn.append(record[0]["op"]) or image)
    pipelines = tuple((use(name),) for name in ("flip_x", "flip_y", "rotate"))
    fit(cells[0], cells[1], None, Policy("p", pipelines), plain, context, seed=0, sample=40)
    assert {name: drawn.count(name) >= 20 for name in set(drawn)} == dict.fromkeys(("flip_x", "flip_y", "rotate"), True)
