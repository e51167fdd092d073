import math

import keras
import numpy as np
import pytest
from keras import ops

from curate.stage.errors import DataError
from train.ranger import Ranger


def radam(start, gradients, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """Algorithm 2 of Liu et al., 2020, in double precision: the weights after each step."""
    weights, mean, square, found = start, 0.0, 0.0, []
    longest = 2 / (1 - beta_2) - 1
    for t, gradient in enumerate(gradients, 1):
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        length = longest - 2 * t * beta_2**t / (1 - beta_2**t)
        direction = mean / (1 - beta_1**t)
        if length > 4:
            rectified = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            weights = weights - rate * rectified * direction * math.sqrt(1 - beta_2**t) / (np.sqrt(square) + epsilon)
        else:
            weights = weights - rate * direction
        found.append(weights)
    return np.array(found)


def steps(optimizer, start, gradients):
    """The weights after each step of an optimizer."""
    variable = keras.Variable(np.asarray(start, np.float32))
    optimizer.build([variable])
    found = []
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(np.asarray(gradient, np.float32))])
        found.append(np.asarray(variable).copy())
    return np.array(found)


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.95, 0.9)])
def test_without_looking_back_it_is_radam(rng, betas):
    gradients = rng.normal(0, 1, (20, 3)) * [1, 10, 0.01]
    start = np.array([0.5, -1.0, 2.0])
    found = steps(Ranger(0.1, *betas, look=1000), start, gradients)
    assert found == pytest.approx(radam(start, gradients, 0.1, *betas), rel=1e-4, abs=1e-5)


def test_the_first_steps_are_momentum_alone_and_the_fifth_is_rectified():
    # With gradients of one, Adam's direction is 1; r of the paper at t = 5 for 0.999 is 0.0173.
    found = steps(Ranger(1.0, look=1000), [0.0], np.ones((5, 1)))[:, 0]
    assert found[:4] == pytest.approx([-1, -2, -3, -4], rel=1e-5)
    assert found[4] - found[3] == pytest.approx(-0.0172, abs=2e-4)


def test_every_few_steps_it_goes_half_of_the_way_back():
    # In its first four steps the gradient one moves it by the rate: 1, 2, then back to 0 + 0.5 * 2, and so on.
    found = steps(Ranger(1.0, look=2), [10.0], np.ones((4, 1)))[:, 0]
    assert found == pytest.approx([9, 9, 8, 8], rel=1e-5)
    found = steps(Ranger(1.0, look=3, share=0.2), [10.0], np.ones((4, 1)))[:, 0]
    assert found == pytest.approx([9, 8, 10 - 0.2 * 3, 9.4 - 1], rel=1e-5)


def test_six_steps_and_half_of_the_way_by_default(rng):
    gradients = rng.normal(0, 1, (13, 2))
    expected, weights = [], np.zeros(2)
    plain = np.diff(radam(np.zeros(2), gradients, 0.1), axis=0, prepend=np.zeros((1, 2)))
    slow = weights
    for t, change in enumerate(plain, 1):
        weights = weights + change
        if t % 6 == 0:
            slow = weights = slow + 0.5 * (weights - slow)
        expected.append(weights)
    assert steps(Ranger(0.1), np.zeros(2), gradients) == pytest.approx(np.array(expected), rel=1e-4, abs=1e-5)


def test_weights_set_after_it_was_built_are_where_it_looks_back_to():
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = Ranger(1.0, look=2)
    optimizer.build([variable])
    variable.assign(np.float32([10]))
    for _ in range(2):
        optimizer.apply([ops.convert_to_tensor(np.float32([1]))])
    assert np.asarray(variable) == pytest.approx(9)


def test_it_fits_a_line_inside_a_model(rng):
    points = rng.normal(0, 1, (128, 3)).astype(np.float32)
    values = points @ np.float32([[1], [-2], [0.5]])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(Ranger(0.3), "mse", jit_compile=False)
    told = model.fit(points, values, batch_size=16, epochs=30, verbose=0).history["loss"]
    assert told[-1] < 1e-3 < 0.1 < told[0]


def test_what_it_knows_is_saved_and_goes_on_as_if_nothing_had_been(rng):
    gradients = rng.normal(0, 1, (16, 2)).astype(np.float32)
    undisturbed = steps(Ranger(0.1), [1.0, 2.0], gradients)

    variable = keras.Variable(np.float32([1, 2]))
    first = Ranger(0.1)
    first.build([variable])
    for gradient in gradients[:8]:
        first.apply([ops.convert_to_tensor(gradient)])
    store = {}
    first.save_own_variables(store)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(first))
    assert isinstance(again, Ranger)
    assert again.get_config() == first.get_config()
    other = keras.Variable(np.asarray(variable))
    again.build([other])
    again.load_own_variables(store)
    for gradient in gradients[8:]:
        again.apply([ops.convert_to_tensor(gradient)])
    assert (np.asarray(other) == undisturbed[-1]).all()


def test_a_model_is_saved_and_loaded_with_it(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(Ranger(0.05, look=4, weight_decay=0.1), "mse", jit_compile=False)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "line.keras")
    loaded = keras.models.load_model(tmp_path / "line.keras").optimizer
    assert (loaded.look, loaded.weight_decay) == (4, 0.1)
    assert len(loaded.variables) == len(model.optimizer.variables)


def test_a_rate_that_can_never_be_rectified_is_refused():
    with pytest.raises(DataError, match=r"beta_2 is 0.5; needed is a number from 0.7"):
        Ranger(beta_2=0.5)
