"""The nineteen of ImageNet-C: fifteen to test with, four to select models by.

Under their published names, after Hendrycks and Dietterich, "Benchmarking neural network robustness to common
corruptions and perturbations", 2019. Each path runs from barely visible to beyond the published severity 5, and the
effect only grows along it; the published parameters, which do not always, are the presets.
"""

from __future__ import annotations

from .corruption import VALIDATION, corruption

_COMMON, _BOTH = ("common",), ("common", "blood")

corruption("gaussian_noise", "gaussian_noise", {"sd": (0.01, 0.5)}, sets=_COMMON)
corruption("shot_noise", "shot_noise", {"photons": (3000, 1)}, sets=_COMMON)
corruption("impulse_noise", "impulse_noise", {"amount": (0.0005, 0.4)}, sets=_COMMON)
corruption("defocus_blur", "defocus_blur", {"radius": (0.003, 0.13)}, fixed={"alias": 0.3}, sets=_BOTH)
corruption(
    "glass_blur",
    "glass_blur",
    {"sigma": (0.001, 0.014), "reach": (0.0005, 0.08)},
    fixed={"rounds": 1},
    sets=_COMMON,
)
corruption(
    "motion_blur",
    "motion_blur",
    {"radius": (0.02, 0.35), "sigma": (0.004, 0.25)},
    free={"angle": (-45, 45)},
    sets=_BOTH,
)
# Twenty enlargements all along.
corruption("zoom_blur", "zoom_blur", {"zoom": (1.0205, 1.82), "step": (0.001, 0.04)}, sets=_COMMON)
corruption("snow", "snow", {"mean": (-0.15, 0.65), "mix": (0.99, 0.5)}, free={"angle": (-135, -45)}, sets=_COMMON)
corruption("frost", "frost", {"amount": (0.03, 0.95), "keep": (1, 0.35)}, sets=_COMMON)
corruption("fog", "fog", {"amount": (0.03, 6)}, sets=_COMMON)
corruption("brightness", "brightness", {"add": (0.01, 0.7)}, sets=_BOTH)
corruption("contrast", "contrast", {"factor": (0.95, 0.03)}, sets=_BOTH)
corruption(
    "elastic_transform",
    "elastic",
    {"alpha": (0.02, 2), "affine": (0.002, 0.1)},
    fixed={"sigma": 0.04},
    sets=_COMMON,
)
corruption("pixelate", "pixelate", {"scale": (0.98, 0.08)}, sets=_BOTH)
corruption("jpeg_compression", "jpeg", {"quality": (97, 2)}, sets=_BOTH)

corruption("speckle_noise", "speckle_noise", {"sd": (0.01, 1)}, sets=_COMMON, role=VALIDATION)
corruption("gaussian_blur", "gaussian_blur", {"sigma": (0.003, 0.09)}, sets=_COMMON, role=VALIDATION)
corruption("spatter", "spatter", {"loc": (0.615, 0.695)}, free={"mud": (0, 1)}, sets=_COMMON, role=VALIDATION)
# Towards too much of it: published steps 1 and 2 take colour away instead.
corruption("saturate", "saturate", {"factor": (1.1, 20), "add": (0.0, 0.2)}, sets=_BOTH, role=VALIDATION)
