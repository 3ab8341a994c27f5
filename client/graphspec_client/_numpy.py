"""Which NumPy functions record a node when a tensor is among their arguments: two tables, a line a function.

A function that is not here raises TypeError and names its nearest neighbours; nothing is ever turned into an array
behind the caller's back.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from graphspec_client import _elementwise as e
from graphspec_client import _linalg as la
from graphspec_client import _reductions as r
from graphspec_client import _shaping as s

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: e.add, np.subtract: e.subtract, np.multiply: e.multiply, np.divide: e.divide,
    np.floor_divide: e.floor_divide, np.remainder: e.remainder, np.fmod: e.fmod, np.divmod: e.divmod_,
    np.power: e.power, np.negative: e.negative, np.positive: e.positive, np.absolute: e.absolute, np.fabs: e.absolute,
    np.sign: e.sign, np.exp: e.exp, np.exp2: e.exp2, np.expm1: e.expm1, np.log: e.log, np.log2: e.log2,
    np.log10: e.log10, np.log1p: e.log1p, np.sqrt: e.sqrt, np.square: e.square, np.cbrt: e.cbrt,
    np.reciprocal: e.reciprocal, np.sin: e.sin, np.cos: e.cos, np.tan: e.tan, np.arcsin: e.arcsin,
    np.arccos: e.arccos, np.arctan: e.arctan, np.arctan2: e.arctan2, np.hypot: e.hypot, np.sinh: e.sinh,
    np.cosh: e.cosh, np.tanh: e.tanh, np.arcsinh: e.arcsinh, np.arccosh: e.arccosh, np.arctanh: e.arctanh,
    np.degrees: e.degrees, np.rad2deg: e.degrees, np.radians: e.radians, np.deg2rad: e.radians,
    np.logaddexp: e.logaddexp, np.floor: e.floor, np.ceil: e.ceil, np.trunc: e.trunc, np.rint: e.rint,
    np.maximum: e.maximum, np.minimum: e.minimum, np.equal: e.equal, np.not_equal: e.not_equal,
    np.greater: e.greater, np.greater_equal: e.greater_equal, np.less: e.less, np.less_equal: e.less_equal,
    np.logical_and: e.logical_and, np.logical_or: e.logical_or, np.logical_xor: e.logical_xor,
    np.logical_not: e.logical_not, np.bitwise_and: e.bitwise_and, np.bitwise_or: e.bitwise_or,
    np.bitwise_xor: e.bitwise_xor, np.invert: e.invert, np.isnan: e.isnan, np.isinf: e.isinf,
    np.isfinite: e.isfinite, np.matmul: la.matmul,
}  # fmt: skip

# ufunc.reduce over an axis, spelled out: np.add.reduce(x) is np.sum(x), along axis 0 unless told otherwise.
REDUCE: dict[np.ufunc, Callable[..., Any]] = {
    np.add: r.sum_, np.multiply: r.prod, np.maximum: r.max_, np.minimum: r.min_,
    np.logical_and: r.all_, np.logical_or: r.any_,
}  # fmt: skip

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    # elementwise
    np.where: e.where, np.clip: e.clip, np.round: e.round_, np.around: e.round_, np.isclose: e.isclose,
    np.nan_to_num: e.nan_to_num, np.fix: e.trunc, np.astype: e.astype,
    # reductions
    np.sum: r.sum_, np.prod: r.prod, np.mean: r.mean, np.max: r.max_, np.amax: r.max_, np.min: r.min_,
    np.amin: r.min_, np.any: r.any_, np.all: r.all_, np.var: r.var, np.std: r.std, np.argmax: r.argmax,
    np.argmin: r.argmin, np.cumsum: r.cumsum, np.count_nonzero: r.count_nonzero, np.allclose: r.allclose,
    np.linalg.norm: r.norm,
    # shapes
    np.reshape: s.reshape, np.ravel: s.ravel, np.transpose: s.transpose, np.permute_dims: s.transpose,
    np.swapaxes: s.swapaxes, np.moveaxis: s.moveaxis, np.expand_dims: s.expand_dims, np.squeeze: s.squeeze,
    np.broadcast_to: s.broadcast_to, np.concatenate: s.concatenate, np.concat: s.concatenate, np.stack: s.stack,
    np.vstack: s.vstack, np.hstack: s.hstack, np.split: s.split, np.flip: s.flip, np.roll: s.roll, np.tile: s.tile,
    np.repeat: s.repeat, np.pad: s.pad, np.tril: s.tril, np.triu: s.triu, np.take: s.take,
    np.take_along_axis: s.take_along_axis, np.sort: s.sort, np.argsort: s.argsort, np.diff: s.diff,
    np.zeros_like: s.zeros_like, np.ones_like: s.ones_like, np.full_like: s.full_like,
    # products
    np.dot: la.dot, np.vdot: la.vdot, np.inner: la.inner, np.outer: la.outer, np.tensordot: la.tensordot,
    np.einsum: la.einsum, np.trace: la.trace, np.diagonal: la.diagonal, np.linalg.det: la.det,
}  # fmt: skip


def ufunc(function: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call of a NumPy ufunc records.

    Raises:
        TypeError: The ufunc, the method of it or an argument is not supported.
    """
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    if "out" in kwargs:
        raise TypeError(f"np.{function.__name__}: tensors never change, so there is no out=... (nor array += tensor).")
    if method == "reduce" and function in REDUCE:
        return REDUCE[function](*inputs, **{"axis": 0, **kwargs})
    if method != "__call__":
        raise TypeError(f"np.{function.__name__}.{method} of a tensor is not supported.")
    if function not in UFUNCS:
        raise TypeError(_unsupported(function.__name__))
    dtype = kwargs.pop("dtype", None)
    if kwargs:
        raise TypeError(f"np.{function.__name__} of a tensor takes no {', '.join(kwargs)}.")
    result = UFUNCS[function](*inputs)
    return e.astype(result, dtype) if dtype is not None else result


def function(called: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call of any other NumPy function records.

    Raises:
        TypeError: The function or an argument of it is not supported.
    """
    if called not in FUNCTIONS:
        raise TypeError(_unsupported(getattr(called, "__name__", str(called))))
    try:
        return FUNCTIONS[called](*args, **kwargs)
    except TypeError as error:
        if "keyword argument" in str(error) or "positional argument" in str(error):
            raise TypeError(f"np.{called.__name__} of a tensor: {error}.") from None
        raise


def _unsupported(name: str) -> str:
    known = sorted({str(getattr(f, "__name__", f)) for f in (*UFUNCS, *FUNCTIONS)})
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; the nearest that are: {', '.join(f'np.{one}' for one in near)}" if near else ""
    return (
        f"np.{name} of a tensor is not supported{hint}. All that are stand in docs/client.md; "
        f"for the array itself use x.numpy(), for an ONNX operator op(...)."
    )
