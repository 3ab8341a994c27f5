"""Samples of the operators that make a tensor from a few numbers, or from nothing."""

from __future__ import annotations

import numpy as np
import onnx

from samples.sample import Floats, Sample

T = onnx.TensorProto
# Random numbers are each implementation's own: only their distribution and their seed are tested, elsewhere.
RANDOM = {"of": (), "forward": False}

SAMPLES = [
    Sample("Constant", (), {"value": np.array([[1.5, 2.0]], np.float32)}, id="value", of=()),
    Sample("Constant", (), {"value_float": 1.5}, id="float", of=()),
    Sample("Constant", (), {"value_floats": [1.5, 2.5]}, id="floats", of=()),
    Sample("Constant", (), {"value_int": 3}, id="int", of=()),
    Sample("Constant", (), {"value_ints": [3, 4]}, id="ints", of=()),
    Sample("Constant", (), {"value_string": "a"}, id="string", of=()),
    Sample("Constant", (), {"value_strings": ["a", "b"]}, id="strings", of=()),
    Sample("Range", (Floats((), 0.1, 0.2), np.array(3.0), Floats((), 0.6, 0.65)), id="floats"),
    Sample("Range", (Floats((), 0.1, 0.2), np.array(-3.0), Floats((), -0.65, -0.6)), id="down"),
    Sample("Range", (Floats((), 3, 4), np.array(2.0), Floats((), 0.6, 0.65)), id="empty"),
    Sample("Range", (np.array(0.15), Floats((), 2.9, 2.95), np.array(0.6)), id="limit", zero=True),
    Sample("Range", (np.array(3), np.array(10), np.array(3)), id="integers", of=()),
    Sample("Range", (np.array(10), np.array(-2), np.array(-4)), id="integers-down", of=()),
    Sample("Range", (np.array(10), np.array(-3), np.array(-4)), id="integers-uneven", of=()),
    Sample("ConstantOfShape", (np.array([2, 3]),), id="default", of=()),
    Sample("ConstantOfShape", (np.array([2, 0]),), {"value": np.array([7], np.int64)}, id="int64", of=()),
    Sample("ConstantOfShape", (np.zeros(0, np.int64),), {"value": np.array([1.5])}, id="scalar", of=()),
    Sample("EyeLike", (Floats((2, 3)),), id="main", zero=True),
    Sample("EyeLike", (Floats((3, 3)),), {"k": 1}, id="above", zero=True),
    Sample("EyeLike", (Floats((3, 2)),), {"k": -1, "dtype": T.DOUBLE}, id="below", zero=True),
    Sample("EyeLike", (np.zeros((2, 2), np.int32),), {"dtype": T.INT64, "k": 7}, id="outside", of=()),
    Sample("RandomNormal", (), {"shape": [2, 3], "seed": 1.0}, **RANDOM),
    Sample("RandomUniform", (), {"shape": [2, 3], "seed": 1.0}, **RANDOM),
    Sample("RandomNormalLike", (Floats((2, 3)),), {"seed": 1.0}, **RANDOM),
    Sample("RandomUniformLike", (Floats((2, 3)),), {"seed": 1.0}, **RANDOM),
    Sample("Bernoulli", (Floats((2, 3), 0, 1),), {"seed": 1.0}, **RANDOM),
    Sample("Multinomial", (Floats((2, 3)),), {"seed": 1.0, "sample_size": 4}, **RANDOM),
]
