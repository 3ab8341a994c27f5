"""Samples of conversions; those between 16 bits and fewer are in the conformance suite and the corners."""

from __future__ import annotations

import numpy as np
import onnx

from samples.sample import Floats, Sample

T = onnx.TensorProto
WHOLE = np.array([[-3, 0, 2], [120, 7, 1]])
TEXT = np.array(["3.5", "-1e2", "INF", "-inf", "nan", "7"], object)

SAMPLES = [
    Sample("Cast", (Floats((2, 3)),), {"to": T.DOUBLE}, id="float64"),
    Sample("Cast", (Floats(()),), {"to": T.DOUBLE}, id="scalar"),
    Sample("Cast", (Floats((2, 3)),), {"to": T.DOUBLE}, id="opset-9", opset=9),
    Sample("Cast", (Floats((2, 3)),), {"to": T.FLOAT}, id="float32", of=()),
    Sample("Cast", (Floats((2, 3)),), {"to": T.FLOAT16}, id="float16", of=()),
    Sample("Cast", (Floats((2, 3)),), {"to": T.INT32}, id="int32", of=()),
    Sample("Cast", (Floats((2, 3)),), {"to": T.BOOL}, id="bool", of=()),
    Sample("Cast", (WHOLE,), {"to": T.FLOAT}, id="int64-float32", of=()),
    Sample("Cast", (WHOLE,), {"to": T.INT8}, id="int64-int8", of=()),
    Sample("Cast", (WHOLE,), {"to": T.BOOL}, id="int64-bool", of=()),
    Sample("Cast", (WHOLE > 0,), {"to": T.FLOAT}, id="bool-float32", of=()),
    Sample("Cast", (WHOLE > 0,), {"to": T.INT64}, id="bool-int64", of=()),
    Sample("Cast", (np.array([300, -200, 128]),), {"to": T.UINT8}, id="wraps", of=()),
    Sample("Cast", (WHOLE,), {"to": T.STRING}, id="int64-string", of=()),
    Sample("Cast", (TEXT,), {"to": T.FLOAT}, id="string-float32", of=()),
    Sample("Cast", (TEXT,), {"to": T.DOUBLE}, id="string-float64", of=()),
    Sample("Cast", (np.array(["42", "-7"], object),), {"to": T.INT64}, id="string-int64", of=()),
    Sample("CastLike", (Floats((2, 3)), np.zeros(1)), id="same"),
    Sample("CastLike", (Floats((2, 3)), np.zeros(1, np.int64)), id="int64", of=()),
    Sample("CastLike", (WHOLE, np.zeros((), np.float32)), id="int64-float32", of=()),
    Sample("BitCast", (WHOLE,), {"to": T.UINT64}, id="int64-uint64", opset=26, of=()),
    Sample("BitCast", (WHOLE.astype(np.int32),), {"to": T.FLOAT}, id="int32-float32", opset=26, of=()),
]
