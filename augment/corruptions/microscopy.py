"""What goes wrong between two microscopes: light, stain, lens, camera and what lies on the slide.

The blood set is MedMNIST-C's (Di Salvo et al., 2024); what it shares with the common one is registered there. Each path
runs from barely visible to beyond what a person would accept; where on it the five severities lie is measured.
"""

from __future__ import annotations

from .corruption import VALIDATION, corruption

_ANY_ANGLE = {"angle": (-180.0, 180.0)}
_BLOOD, _OURS = ("blood", "microscopy"), ("microscopy",)

corruption("brightness_down", "enhance_brightness", {"factor": (0.97, 0.12)}, sets=_BLOOD)
corruption("contrast_up", "enhance_contrast", {"factor": (1.03, 6)}, sets=("blood",))
corruption("stain_deposit", "stain_deposit", {"count": (0.3, 12)}, sets=_BLOOD)
corruption("bubbles", "bubbles", {"radius": (0.008, 0.16), "count": (7, 20)}, sets=_BLOOD)

corruption(
    "stain_shift",
    "stain_shift",
    {"amount": (0.2, 12)},
    free={"l": (-1, 1), "a": (-1, 1), "b": (-1, 1)},
    sets=_OURS,
)
corruption("illumination", "illumination", {"amount": (0.03, 0.95)}, free=_ANY_ANGLE, sets=_OURS)
corruption("vignette", "vignette", {"amount": (0.05, 1)}, sets=_OURS)
corruption("dust", "dust", {"count": (0.5, 40), "size": (0.015, 0.04)}, sets=_OURS)
corruption("white_balance", "white_balance", {"amount": (0.02, 0.9)}, free=_ANY_ANGLE, sets=_OURS)
corruption("chromatic_shift", "chromatic_shift", {"shift": (0.002, 0.1)}, free=_ANY_ANGLE, sets=_OURS)
corruption("resample", "resample", {"scale": (0.97, 0.07)}, sets=_OURS)
corruption("sensor_noise", "sensor_noise", {"photons": (20000, 2), "read": (0.001, 0.2)}, sets=_OURS)

corruption("hed_shift", "hed_shift", {"amount": (0.03, 1.5)}, sets=_OURS, role=VALIDATION)
corruption("gamma", "gamma", {"exponent": (0.95, 0.15)}, sets=_OURS, role=VALIDATION)
corruption("ghost", "ghost", {"shift": (0.02, 0.2), "alpha": (0.05, 0.5)}, free=_ANY_ANGLE, sets=_OURS, role=VALIDATION)
