"""The one table of dtypes: JSON name, ONNX type, NumPy dtype, Open Inference Protocol datatype."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir


class DType(NamedTuple):
    """One element type under all its names.

    Attributes:
        name: The name in documents, feeds and messages (NumPy's, where NumPy has one).
        onnx: The ONNX enumeration member.
        numpy: The NumPy dtype that holds it (of ml_dtypes where NumPy has none; ``object`` for strings).
        datatype: The Open Inference Protocol's name, or ``None`` where it has none.
        bits: Bits per element in ``raw_data``; 0 for strings.
    """

    name: str
    onnx: ir.DataType
    numpy: np.dtype[Any]
    datatype: str | None
    bits: int

    @property
    def is_float(self) -> bool:
        """Whether the type is differentiable: a real floating-point type of at least 16 bits."""
        return self.name in {"float16", "float32", "float64", "bfloat16"}


def _row(name: str, numpy: npt.DTypeLike, datatype: str | None, bits: int, onnx: str | None = None) -> DType:
    return DType(name, ir.DataType[onnx or name.upper()], np.dtype(numpy), datatype, bits)


DTYPES: tuple[DType, ...] = (
    _row("float32", np.float32, "FP32", 32, "FLOAT"),
    _row("float64", np.float64, "FP64", 64, "DOUBLE"),
    _row("float16", np.float16, "FP16", 16),
    _row("bfloat16", ml_dtypes.bfloat16, "BF16", 16),
    _row("int64", np.int64, "INT64", 64),
    _row("int32", np.int32, "INT32", 32),
    _row("int16", np.int16, "INT16", 16),
    _row("int8", np.int8, "INT8", 8),
    _row("uint64", np.uint64, "UINT64", 64),
    _row("uint32", np.uint32, "UINT32", 32),
    _row("uint16", np.uint16, "UINT16", 16),
    _row("uint8", np.uint8, "UINT8", 8),
    _row("bool", np.bool_, "BOOL", 8),
    _row("string", object, "BYTES", 0),
    _row("complex64", np.complex64, None, 64),
    _row("complex128", np.complex128, None, 128),
    _row("float8e4m3fn", ml_dtypes.float8_e4m3fn, None, 8),
    _row("float8e4m3fnuz", ml_dtypes.float8_e4m3fnuz, None, 8),
    _row("float8e5m2", ml_dtypes.float8_e5m2, None, 8),
    _row("float8e5m2fnuz", ml_dtypes.float8_e5m2fnuz, None, 8),
    _row("float8e8m0", ml_dtypes.float8_e8m0fnu, None, 8),
    _row("float6e2m3", ml_dtypes.float6_e2m3fn, None, 6),
    _row("float6e3m2", ml_dtypes.float6_e3m2fn, None, 6),
    _row("float4e2m1", ml_dtypes.float4_e2m1fn, None, 4),
    _row("int4", ml_dtypes.int4, None, 4),
    _row("uint4", ml_dtypes.uint4, None, 4),
    _row("int2", ml_dtypes.int2, None, 2),
    _row("uint2", ml_dtypes.uint2, None, 2),
)

BY_NAME: dict[str, DType] = {row.name: row for row in DTYPES}
BY_ONNX: dict[int, DType] = {int(row.onnx): row for row in DTYPES}
BY_NUMPY: dict[np.dtype[Any], DType] = {row.numpy: row for row in DTYPES}


def of(dtype: Any) -> DType:
    """The row of a dtype given under any of its names.

    Args:
        dtype: A document name, an ONNX enumeration member or its number, or anything NumPy takes for a dtype.

    Raises:
        KeyError: There is no such element type in ONNX.
    """
    if isinstance(dtype, str) and dtype in BY_NAME:
        return BY_NAME[dtype]
    if isinstance(dtype, int):
        return BY_ONNX[int(dtype)]
    found = np.dtype(dtype)
    if found.kind in "USTO":  # every way in which NumPy holds strings
        return BY_NAME["string"]
    return BY_NUMPY[found]
