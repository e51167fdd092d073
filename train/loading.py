"""A model from its .keras file, and the parts of one, by the names that its layers have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curate.stage.errors import DataError, gist

if TYPE_CHECKING:
    import keras


def load_model(path: str | Path) -> keras.Model:
    """The model of a .keras file. Raises DataError where it is none of ours, or damaged."""
    import keras

    from . import layers, ranger  # noqa: F401  whose classes the file names

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras raise whatever damaged bytes lead them to
        raise DataError(
            f"{path} cannot be read as a model ({gist(error)}). Give the model.keras of a run, whole as it was written."
        ) from error
    names = {layer.name for layer in model.layers}
    if not {"resize", "features", "head", "probabilities"} <= names:
        raise DataError(f"{path} holds a model of another make. Needed is the model.keras of a run.")
    return model


def backbones_of(model: keras.Model) -> list[keras.Model]:
    """The nested models that are its backbones."""
    return [layer for layer in model.layers if layer.name.startswith("backbone_")]


def head_of(model: keras.Model) -> keras.Model:
    """The layers from features (n, C) to logits (n, K)."""
    return model.get_layer("head")
