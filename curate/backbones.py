"""Keras applications by name, as models from uint8 pictures to pooled features. Imported in a process of its own:
Keras and its backend take seconds and hundreds of megabytes that a scan does not need once the model is converted.

    python -m curate.backbones NAME SIZE WEIGHTS|imagenet OUT.xml
"""

from __future__ import annotations

import os
import sys
from inspect import signature
from pathlib import Path
from typing import Any

from .errors import DataError, UnknownName


class WeightsUnavailable(DataError):
    """ImageNet weights are neither in the Keras cache nor to be fetched."""


def application(name: str) -> tuple[Any, Any, dict[str, float]]:
    """The constructor, the module with its preprocess_input, and the options of a backbone such as "MobileNetV2-0.35".

    A number after the dash is the width multiplier `alpha`.
    """
    import keras

    family, _, width = name.partition("-")
    constructors = {n: f for n, f in vars(keras.applications).items() if callable(f) and n[:1].isupper()}
    if family not in constructors:
        raise UnknownName.among("backbone", family, constructors)
    modules = [m for m in vars(keras.applications).values() if hasattr(m, "preprocess_input") and hasattr(m, family)]
    if width and not _is_number(width):
        raise DataError(f"{name}: {width!r} is no width. Write a number after the dash, as in MobileNetV2-0.35.")
    if width and "alpha" not in signature(constructors[family]).parameters:
        raise DataError(f"{name}: {family} comes in one width only. Write {family}.")
    # Some families sit in two modules (resnet and resnet50); each preprocesses alike.
    return constructors[family], modules[0], {"alpha": float(width)} if width else {}


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def feature_model(name: str, size: int, weights: str) -> Any:
    """A Keras model from uint8 (N, size, size, 3) to average-pooled features, preprocessing included.

    weights  a file as `save_weights` wrote it, "imagenet", or "random"
    Raises WeightsUnavailable where ImageNet's can neither be read nor fetched, DataError where a file does not fit.
    """
    import keras

    construct, module, options = application(name)
    built = construct(include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg", **options)
    if weights == "imagenet":
        try:
            # Built at its own size, for that decides which file Keras looks for; then carried over.
            published = construct(include_top=False, weights="imagenet", pooling="avg", **options)
        except Exception as error:
            # Keras raises a bare Exception where the download fails; any other is not ours to hide.
            if "URL fetch failure" not in str(error) and not isinstance(error, OSError):
                raise
            raise WeightsUnavailable(f"no ImageNet weights for {name}: {error}.") from error
        built.set_weights(published.get_weights())
    elif weights != "random":
        try:
            built.load_weights(weights)
        except (OSError, ValueError) as error:
            raise DataError(f"{weights} does not hold weights of {name} without its top: {error}") from error
    pixels = keras.Input((size, size, 3))
    return keras.Model(pixels, built(module.preprocess_input(pixels)))


def convert(name: str, size: int, weights: str, out: Path) -> None:
    """Write a backbone as OpenVINO IR (`out` and its .bin), whole or not at all."""
    import tempfile

    from .embedding import import_openvino

    import_openvino()  # before Keras does, and without its telemetry
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        draft = Path(scratch) / out.name
        feature_model(name, size, weights).export(str(draft), format="openvino", verbose=False)
        draft.with_suffix(".bin").replace(out.with_suffix(".bin"))
        draft.replace(out)


def main(arguments: list[str]) -> int:
    """Convert. Exit status 3 where weights cannot be had, 2 where they do not fit, the reason last on stderr."""
    name, size, weights, out = arguments
    try:
        convert(name, int(size), weights, Path(out))
    except WeightsUnavailable as error:
        print(error, file=sys.stderr)
        return 3
    except (DataError, UnknownName) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    sys.exit(main(sys.argv[1:]))
