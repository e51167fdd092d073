"""What storing a picture costs: compression and coarse pixels.

After Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", 2019.
"""

from __future__ import annotations

import cv2
import numpy as np

from .operation import LOG, Parameter, Pixels, operation


@operation("digital", quality=Parameter(7, 100, 100, LOG))
def jpeg(image: Pixels, quality: float) -> Pixels:
    """Written as JPEG of that quality (1 to 100, rounded), and read again."""
    options = [cv2.IMWRITE_JPEG_QUALITY, max(1, round(quality))]
    _, written = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    read = np.asarray(cv2.imdecode(written, cv2.IMREAD_COLOR))
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB))


@operation("digital", scale=Parameter(0.2, 1, 1, LOG))
def pixelate(image: Pixels, scale: float) -> Pixels:
    """In square blocks: made smaller, to `scale` of its sides, and large again, both by Pillow's box filter."""
    from PIL import Image

    height, width = image.shape[:2]
    # A hair's breadth for products such as 0.29 * 100, which are a little less than what they stand for.
    small = (max(1, int(width * scale + 1e-9)), max(1, int(height * scale + 1e-9)))
    boxed = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    return np.array(boxed.resize((width, height), Image.Resampling.BOX))
