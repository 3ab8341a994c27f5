"""Images from files; decoding is Pillow's work, an extra: ``pip install graphspec[image]``."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from graphspec.errors import UnsupportedError
from graphspec.operators._sizes import reasonable
from graphspec.operators.registry import ZERO, Array, operator

# Those that ONNX names. Pillow knows more, some of which start other programs: not for files of strangers.
_FORMATS = ("BMP", "JPEG", "JPEG2000", "TIFF", "PNG", "WEBP", "PPM")
_MODES = {"RGB": "RGB", "BGR": "RGB", "Grayscale": "L"}


@operator("ImageDecoder", since=20, rule=ZERO)
def image_decoder(encoded_stream: Array, *, pixel_format: str = "RGB") -> Array:
    """The pixels of an image file as uint8: shape (H, W, 3), for pixel_format Grayscale (H, W, 1).

    As ONNX has it, what cannot be decoded gives no pixels: shape (0, 0, channels).  Source: ONNX ImageDecoder.
    """
    if pixel_format not in _MODES:
        raise ValueError(f"pixel_format {pixel_format!r} is not {', '.join(_MODES)}.")
    if encoded_stream.ndim != 1:
        raise ValueError(f"the encoded image has {encoded_stream.ndim} dimensions, not 1.")
    pillow = _pillow()
    mode = _MODES[pixel_format]
    try:
        with pillow.open(io.BytesIO(encoded_stream.tobytes()), formats=_FORMATS) as image:
            reasonable((*image.size, 4), 1)
            pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    except pillow.DecompressionBombError as error:
        raise MemoryError(str(error)) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError):  # whatever Pillow says of broken files
        return np.zeros((0, 0, len(mode)), np.uint8)
    pixels = pixels.reshape(*pixels.shape[:2], len(mode))
    return np.ascontiguousarray(pixels[..., ::-1] if pixel_format == "BGR" else pixels)


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError as error:
        raise UnsupportedError(
            "ImageDecoder needs Pillow, which is not installed.",
            code="missing-extra",
            expected="Pillow",
            found="nothing",
            hint="pip install graphspec[image]",
        ) from error
    return PIL.Image
