"""An operation at a magnitude, and what holds for each at any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from augment.operations.operation import Operation


def _at_magnitude(of: Operation, image: np.ndarray, magnitude: float, seed: int = 0) -> np.ndarray:
    drawn = of.draw_at(magnitude, np.random.default_rng(seed), {"side": min(image.shape[:2])})
    return of(image, **{name: value for name, value in drawn.items() if name != "op"})


@pytest.fixture(scope="session")
def at_magnitude() -> Callable[..., np.ndarray]:
    """A function (operation, image, magnitude, seed=0) -> what the operation makes of the image."""
    return _at_magnitude


@pytest.fixture(scope="session")
def checked_result() -> Callable[..., np.ndarray]:
    """As at_magnitude, and checked: shape and type stay, the given picture too, and once more gives the same."""

    def checked(of: Operation, image: np.ndarray, magnitude: float) -> np.ndarray:
        before = image.copy()
        image.flags.writeable = False
        result = _at_magnitude(of, image, magnitude)
        assert (result.dtype, result.shape) == (np.uint8, image.shape)
        assert not np.shares_memory(result, image)
        assert (image == before).all()
        assert (_at_magnitude(of, image, magnitude) == result).all()
        return result

    return checked
