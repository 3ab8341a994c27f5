"""Image files: formats, pixel formats, damaged files, and Pillow left out."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import PIL.Image
import pytest

from graphspec.errors import UnsupportedError
from graphspec.operators import registry

PIXELS = np.random.default_rng(3).integers(0, 256, (5, 4, 3), dtype=np.uint8)


def _decoded(data: bytes, **attributes: Any) -> np.ndarray:
    entry = registry.find("ImageDecoder", "", 23)
    assert entry is not None
    found = entry.kernel(np.frombuffer(data, dtype=np.uint8), **attributes)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.uint8
    return found


def _file(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


LOSSLESS = {"BMP": {}, "PNG": {}, "TIFF": {}, "PPM": {}, "JPEG2000": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("form", LOSSLESS)
def test_formats(form: str) -> None:
    data = _file(PIXELS, form, **LOSSLESS[form])
    np.testing.assert_array_equal(_decoded(data), PIXELS)
    np.testing.assert_array_equal(_decoded(data, pixel_format="BGR"), PIXELS[..., ::-1])
    grey = np.asarray(PIL.Image.fromarray(PIXELS).convert("L"))[..., None]
    np.testing.assert_array_equal(_decoded(data, pixel_format="Grayscale"), grey)


@pytest.mark.parametrize("pixel_format", ["RGB", "BGR", "Grayscale"])
@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_the_channels_are_those_asked_for(mode: str, pixel_format: str) -> None:
    stream = io.BytesIO()
    image = PIL.Image.fromarray(PIXELS)
    (image.convert("L") if mode == "I;16" else image).convert(mode).save(stream, "PNG")
    found = _decoded(stream.getvalue(), pixel_format=pixel_format)
    assert found.shape == (5, 4, 1 if pixel_format == "Grayscale" else 3)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        _file(PIXELS, "PNG")[:60],
        _file(PIXELS, "BMP")[:-10],
        _file(PIXELS, "GIF"),
        b"P6 0 0 255\n",
    ],
    ids=["empty", "text", "png-cut", "bmp-cut", "gif", "ppm-of-nothing"],
)
def test_what_cannot_be_decoded_has_no_pixels(data: bytes) -> None:
    assert _decoded(data).shape == (0, 0, 3)
    assert _decoded(data, pixel_format="Grayscale").shape == (0, 0, 1)


def test_a_file_that_swells_is_refused() -> None:
    with pytest.raises(MemoryError):
        _decoded(b"P6 60000 60000 255\n")


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="YUV"):
        _decoded(_file(PIXELS, "PNG"), pixel_format="YUV")


def test_without_pillow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UnsupportedError) as refusal:
        _decoded(b"")
    assert refusal.value.problems[0].hint == "pip install graphspec[image]"
