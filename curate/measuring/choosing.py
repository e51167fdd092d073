"""Which backbone "auto" stands for on this machine, and where Keras keeps weights here."""

from __future__ import annotations

import hashlib
import os
import threading
from contextlib import suppress
from pathlib import Path

from .lite import has_weights

SMALL_BACKBONE = "MobileNetV2-0.35"  # 2 MB, from Keras' hub: on a CPU
PACKED_BACKBONE = "EfficientNetLite0"  # its weights are installed with us: on a CPU without these
STRONG_BACKBONE = "EfficientNetV2S"  # on a GPU
# What Keras calls the weights of SMALL_BACKBONE, and where it fetches them.
_HUB = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
_SMALL_WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def automatic(weights: str | None = None) -> tuple[str, ...]:
    """Backbones that "auto" stands for on this machine, the one to be taken first.

    On a GPU that is STRONG_BACKBONE. On a CPU it is SMALL_BACKBONE, a quarter of the work of PACKED_BACKBONE and better
    on cells, if its weights are in Keras' cache, given as a file, or to be fetched; the hub is asked for 2 seconds at
    most. Else, and where fetching fails, it is PACKED_BACKBONE, whose weights were installed with us.
    """
    if on_gpu():
        return STRONG_BACKBONE, PACKED_BACKBONE
    if weights is not None or (keras_home() / "models" / _SMALL_WEIGHTS).is_file() or _hub_answers():
        return SMALL_BACKBONE, PACKED_BACKBONE
    return (PACKED_BACKBONE,)


def second(backbone: str, weights: str | None) -> str:
    """The backbone that may look as well where "auto" stands for `backbone`; "" for none.

    Two networks find more than each: of MobileNetV2 and Lite0, the mistakes of a probe on cells, digits and photographs
    fall by a quarter to a half. But the second takes four times as long as the first.
    """
    return PACKED_BACKBONE if backbone == SMALL_BACKBONE and weights is None and has_weights(PACKED_BACKBONE) else ""


def on_gpu() -> bool:
    """Whether Keras will find an NVIDIA GPU, without importing it; CUDA_VISIBLE_DEVICES= hides one as usual."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0") not in ("", "-1") and Path("/dev/nvidia0").exists()


def keras_home() -> Path:
    """The folder that Keras keeps its settings and its weights in."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")


def cache_state() -> str:
    """A digest of the names, sizes and times of the weight files in Keras' cache."""
    home = keras_home()
    files = sorted((home / "models").glob("*"))
    state = [
        str(home.resolve()),
        *(f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files if f.is_file()),
    ]
    return hashlib.blake2b("\n".join(state).encode(), digest_size=16).hexdigest()


def _hub_answers(seconds: float = 2.0) -> bool:
    """Whether SMALL_BACKBONE's weights could be fetched; an answer that takes longer counts as none."""
    answers: list[int] = []

    def ask() -> None:
        from http.client import HTTPException
        from urllib.request import Request, urlopen

        request = Request(_HUB + _SMALL_WEIGHTS, method="HEAD")
        with suppress(OSError, HTTPException, ValueError), urlopen(request, timeout=seconds) as answer:
            answers.append(answer.status)

    # Looking up a name may take longer than any time limit of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)
