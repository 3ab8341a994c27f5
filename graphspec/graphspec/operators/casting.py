"""Conversion between element types, as ONNX's tables have it."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphspec import dtypes
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator

# The types that `saturate` is about, with their largest numbers.
_SATURATING = {
    dtypes.BY_NAME[f"float8{kind}"].numpy: largest
    for kind, largest in (("e4m3fn", 448.0), ("e4m3fnuz", 240.0), ("e5m2", 57344.0), ("e5m2fnuz", 57344.0))
}
_E8M0 = dtypes.BY_NAME["float8e8m0"].numpy
_TRUTHS = {"true": True, "false": False}


@operator("Cast", since=6)
def cast(input: Array, *, to: int, saturate: int = 1, round_mode: str = "up") -> Array:
    """The values in another element type; beyond its range infinity, the largest float 8, or an integer's low bits."""
    return converted(input, dtypes.of(to).numpy, bool(saturate), round_mode)


@operator("CastLike", since=15)
def cast_like(input: Array, target_type: Array, *, saturate: int = 1, round_mode: str = "up") -> Array:
    """The values in the element type of the second input."""
    return converted(input, target_type.dtype, bool(saturate), round_mode)


@cast.vjp
@cast_like.vjp
def cast_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, target_type: Value | None = None, **attributes: Any
) -> Cotangents:
    """dX = dY, cast back; nothing where X is no float."""
    row = dtypes.of(int(op.dtype(input)))
    return op.cast(dY, input) if row.is_float else None, ZERO


@operator("BitCast", since=26, rule=ZERO)
def bit_cast(input: Array, *, to: int) -> Array:
    """The same bits read as another element type of the same width."""
    source, target = dtypes.of(input.dtype), dtypes.of(to)
    if source.bits != target.bits or not source.bits:
        raise ValueError(f"{source.name} and {target.name} have no common number of bits.")
    if source.bits >= 8:
        return np.ascontiguousarray(input).view(target.numpy).reshape(input.shape)
    # Below 8 bits each element has a byte of its own, sign-extended where there is a sign.
    bits = np.ascontiguousarray(input).view(np.uint8).reshape(input.shape) & np.uint8((1 << source.bits) - 1)
    if target.name.startswith("int"):
        bits = np.where(bits >> np.uint8(target.bits - 1), bits | np.uint8(256 - (1 << target.bits)), bits)
    return np.asarray(bits, dtype=np.uint8).view(target.numpy)


def converted(x: Array, dtype: np.dtype[Any], saturate: bool = True, round_mode: str = "up") -> Array:
    """An array in another element type, by ONNX's rules.

    Args:
        x: Any array.
        dtype: A NumPy dtype of the table; ``object`` for strings.
        saturate: Float 8 beyond its range becomes the largest number, not NaN or infinity.
        round_mode: How to round to float8e8m0: ``"up"``, ``"down"`` or ``"nearest"``.

    Raises:
        ValueError: A string holds no number.
    """
    if x.dtype == dtype:
        return x
    if dtype.kind == "O":
        return _elements(x, _text, object)
    if x.dtype.kind == "O":
        return _from_text(x, dtype, saturate, round_mode)
    with np.errstate(all="ignore"):  # out of range is defined, or undefined, but no reason to warn
        if dtype == _E8M0:
            return _to_e8m0(_to_float32(x), saturate, round_mode)
        if saturate and dtype in _SATURATING:
            largest = _SATURATING[dtype]
            wide = _to_float32(x)
            return np.asarray(np.clip(wide, -largest, largest)).astype(dtype)
        if x.dtype.kind in "biufc" or dtype.kind in "biufc":
            return x.astype(dtype)
        return _to_float32(x).astype(dtype)  # between two types of which NumPy knows neither


def _to_float32(x: Array) -> Array:
    return x if x.dtype.kind == "f" and x.dtype.itemsize >= 4 else x.astype(np.float32)


def _to_e8m0(x: Array, saturate: bool, round_mode: str) -> Array:
    """The power of two above, below or nearest (halfway up), as its biased exponent; the sign is lost."""
    mantissa, exponent = np.frexp(np.abs(x))  # 1/2 ≤ mantissa < 1
    above = {"up": mantissa > 0.5, "down": np.zeros_like(mantissa, dtype=bool), "nearest": mantissa >= 0.75}
    if round_mode not in above:
        raise ValueError(f"`round_mode` is 'up', 'down' or 'nearest', not {round_mode!r}.")
    code = exponent - 1 + 127 + above[round_mode]
    code = np.where(x == 0, -1, np.where(np.isinf(x), 255, code))
    code = np.clip(code, 0, 254) if saturate else np.where((code < 0) | (code > 254), 255, code)
    return np.asarray(np.where(np.isnan(x), 255, code)).astype(np.uint8).view(_E8M0)


# --- strings --------------------------------------------------------------------------------------------------------


def _elements(x: Array, function: Any, dtype: Any) -> Array:
    out = np.empty(x.shape, dtype=dtype)
    out.reshape(-1)[:] = [function(v) for v in x.reshape(-1)]
    return out


def _text(value: Any) -> str:
    """The shortest decimal that reads back as the same number; ``NaN``, ``INF`` and ``-INF``; 1 and 0 for truths."""
    if isinstance(value, np.bool_):
        return str(int(value))
    text = str(value)
    return {"nan": "NaN", "inf": "INF", "-inf": "-INF"}.get(text, text)


def _from_text(x: Array, dtype: np.dtype[Any], saturate: bool, round_mode: str) -> Array:
    if dtype == np.bool_:
        return _elements(x, lambda s: _TRUTHS[s.lower()] if s.lower() in _TRUTHS else bool(float(s)), np.bool_)
    if dtype.kind in "iu":
        return _elements(x, _integer, dtype)
    numbers = _elements(x, float, np.float64)
    return numbers if dtype == np.float64 else converted(numbers, dtype, saturate, round_mode)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))
