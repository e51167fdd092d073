"""A backbone converted to OpenVINO IR, in a process of its own: Keras and its backend take seconds and hundreds of
megabytes that a scan does not need once the model is converted.

    python -m curate.measuring.conversion NAME SIZE WEIGHTS|imagenet OUT.xml
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ..stage.errors import DataError, UnknownName
from .backbones import WeightsUnavailable, feature_model
from .inference import to_openvino


def convert(name: str, size: int, weights: str, out: Path) -> None:
    """Write a backbone as OpenVINO IR (`out` and its .bin), whole or not at all."""
    to_openvino(feature_model(name, size, weights), out)


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
