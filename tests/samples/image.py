"""Samples of image files: a written one in the simplest of formats; further ones are in test_image_corners.py."""

from __future__ import annotations

import numpy as np

from samples.sample import Sample

FILE = np.frombuffer(b"P6 2 2 255\n" + bytes(range(0, 240, 20)), dtype=np.uint8)

SAMPLES = [
    Sample("ImageDecoder", (FILE,), {"pixel_format": form}, id=form, of=()) for form in ("RGB", "BGR", "Grayscale")
]
