import keras
import numpy as np
import pytest
from keras import ops

from train.configs import OPTIMIZERS, FitConfig
from train.optimizers import optimizer_of

STILL = FitConfig(schedule="constant", clip=0.0, ema=0.0)


def config_of(**given):
    return FitConfig(**{"schedule": "constant", "clip": 0.0, "ema": 0.0, **given})


def small_model():
    keras.utils.set_random_seed(0)
    hidden = [keras.layers.Dense(8, "tanh"), keras.layers.BatchNormalization()]
    return keras.Sequential([keras.Input((2,)), *hidden, keras.layers.Dense(2), keras.layers.Softmax()])


@pytest.fixture(scope="module")
def moons():
    """Two classes that no line parts: (float32 (200, 2), float32 (200, 2))."""
    rng = np.random.default_rng(0)
    angle, label = rng.uniform(0, np.pi, 200), rng.integers(2, size=200)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(label, -1, 1)[:, None]
    points += label[:, None] * [1, 0.5] + rng.normal(0, 0.05, (200, 2))
    return points.astype(np.float32), np.eye(2, dtype=np.float32)[label]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns(name, moons):
    rate = {"lion": 3e-3}.get(name, 0.03)
    model = small_model()
    config = FitConfig(optimizer=name, weight_decay=0.001)  # everything on: cosine, clipping, averaging
    model.compile(optimizer_of(config, rate, 7 * 15), "categorical_crossentropy", jit_compile=False)
    told = model.fit(*moons, batch_size=32, epochs=15, verbose=0).history["loss"]
    assert told[-1] < 0.7 * told[0]
    assert np.isfinite(told).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_what_the_options_say(name):
    made = optimizer_of(FitConfig(optimizer=name, clip=0.5, ema=0.9, weight_decay=0.02, momentum=0.7), 0.1, 100)
    assert type(made).__name__.lower() == {"rmsprop": "rmsprop"}.get(name, name)
    told = made.get_config()
    assert told["global_clipnorm"] == 0.5
    assert (told["use_ema"], told["ema_momentum"], told["ema_overwrite_frequency"]) == (True, 0.9, None)
    assert told["weight_decay"] == (0.02 if name in ("adamw", "lion", "ranger") else None)
    assert told.get("momentum", 0.7) == 0.7
    assert float(made.learning_rate) == 0  # the warm-up begins there


def test_nothing_is_clipped_or_averaged_where_that_is_not_asked_for():
    told = optimizer_of(STILL, 0.1, 100).get_config()
    assert told["global_clipnorm"] is None
    assert told["use_ema"] is False
    assert told["learning_rate"] == pytest.approx(0.1)


def test_the_rate_of_a_plateau_can_be_set():
    made = optimizer_of(FitConfig(schedule="plateau"), 0.1, 100)
    made.learning_rate = 0.03
    assert float(made.learning_rate) == pytest.approx(0.03)


@pytest.mark.parametrize("name", ["adamw", "lion", "ranger"])
def test_only_what_multiplies_decays(name):
    model = small_model()
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer = optimizer_of(config_of(optimizer=name, weight_decay=0.1), 0.5, 100)
    optimizer.build(model.trainable_variables)
    optimizer.apply([ops.zeros(variable.shape) for variable in model.trainable_variables])
    decayed = {variable.name: float(np.asarray(variable).max()) for variable in model.trainable_variables}
    assert decayed == {"kernel": pytest.approx(0.95), "bias": 1, "gamma": 1, "beta": 1}


def test_gradients_are_clipped_by_their_norm_over_all_weights():
    one, two = keras.Variable(np.zeros(1)), keras.Variable(np.zeros(1))
    optimizer = optimizer_of(config_of(optimizer="sgd", momentum=0.0, clip=1.0), 1.0, 10)
    optimizer.build([one, two])
    optimizer.apply([ops.convert_to_tensor(np.float32([3])), ops.convert_to_tensor(np.float32([4]))])
    assert [float(one[0]), float(two[0])] == pytest.approx([-0.6, -0.8])


def test_the_moving_average_is_there_to_be_taken():
    variable = keras.Variable(np.zeros(1))
    optimizer = optimizer_of(config_of(optimizer="sgd", momentum=0.0, ema=0.5), 1.0, 10)
    optimizer.build([variable])
    for _ in range(3):
        optimizer.apply([ops.convert_to_tensor(np.float32([-1]))])
    assert float(variable[0]) == 3
    optimizer.finalize_variable_values([variable])
    assert float(variable[0]) == pytest.approx(0.5 * (0.5 * 1 + 0.5 * 2) + 0.5 * 3)
