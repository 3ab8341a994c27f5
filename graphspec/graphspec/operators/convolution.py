"""Convolution and its transpose, over any number of spatial axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec.errors import NoGradientRule
from graphspec.operators import _windows
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators._windows import Windows, windows_of
from graphspec.operators.registry import Array, operator


@operator("Conv", since=1)
def conv(
    X: Array, W: Array, B: Array | None = None, *, auto_pad: str = "NOTSET", dilations: list[int] | None = None,
    group: int = 1, kernel_shape: list[int] | None = None, pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """Y[n, m, o] = B[m] + Σ over c, k of W[m, c, k] · X[n, c, o·stride + k·dilation - pad].

    Shapes: X (N, C, D1 ...), W (M, C/group, k1 ...), B (M); Y (N, M, O1 ...).  Dtype: that of X.
    Source: ONNX Conv.
    """
    _check_channels(X.shape[1], W.shape[1] * group, W.shape[0], group)
    if kernel_shape is not None and list(kernel_shape) != list(W.shape[2:]):
        raise ValueError(f"kernel_shape {kernel_shape} is not that of W, {list(W.shape[2:])}")
    w = windows_of(X.shape[2:], W.shape[2:], strides, dilations, pads, auto_pad)
    wide = _wide(X)
    Y = _convolve(X.astype(wide, copy=False), W.astype(wide, copy=False), w, group)
    if B is not None:
        Y += B.astype(wide, copy=False).reshape(-1, *[1] * len(w.out))
    return Y.astype(X.dtype, copy=False)


def _wide(X: Array) -> Any:
    """Half precision is summed in float32."""
    return np.float32 if X.dtype.itemsize < 4 else X.dtype


def _check_channels(channels: int, expected: int, features: int, group: int) -> None:
    if group < 1 or channels != expected or features % group:
        raise ValueError(f"X has {channels} channels, W asks for {expected}, in {group} groups of {features} features")


def _convolve(X: Array, W: Array, w: Windows, group: int) -> Array:
    N, C = X.shape[:2]
    M, per_group = W.shape[:2]
    if group == C and M == C and len(w.kernel) > 0:
        return _depthwise(X, W, w)
    if group == 1 and all(k == s == 1 for k, s in zip(w.kernel, w.strides, strict=True)):
        flat = _windows.pad_spatial(X, w.begin, w.end).reshape(N, C, -1)
        return np.asarray(np.matmul(W.reshape(M, C), flat)).reshape(N, M, *w.out)
    rank = len(w.kernel)
    views = _windows.view(X, w).reshape(N, group, per_group, *w.out, *w.kernel)
    outs, kernels = range(3, 3 + rank), range(3 + rank, 3 + 2 * rank)
    columns = views.transpose(0, 1, 2, *kernels, *outs).reshape(N, group, per_group * int(np.prod(w.kernel)), -1)
    weights = W.reshape(group, M // group, -1)
    return np.asarray(np.matmul(weights, columns)).reshape(N, M, *w.out)


def _depthwise(X: Array, W: Array, w: Windows) -> Array:
    """One filter a channel: a sum of shifted products, one per place in the kernel."""
    padded = _windows.pad_spatial(X, w.begin, w.end)
    Y = np.zeros((*X.shape[:2], *w.out), X.dtype)
    for place in itertools.product(*(range(k) for k in w.kernel)):
        where: tuple[Any, ...] = (slice(None), 0, *place)
        factor = W[where].reshape(-1, *[1] * len(w.out))
        Y += padded[(slice(None), slice(None), *_windows.places(place, w))] * factor
    return Y


@conv.vjp
def conv_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, W: Value, B: Value | None = None, **attributes: Any
) -> Cotangents:
    """dX = dY spread by W (a transposed convolution), dW = X correlated with dY, dB = Σ dY."""
    g = Geometry(op, X, W, dY, **attributes)
    dX = g.spread(dY, W)
    dW = g.correlate(X, dY, W)
    dB = op.reduce_sum(dY, [0, *range(2, g.rank + 2)], keepdims=False) if B is not None else None
    return dX, dW, dB


@operator("ConvTranspose", since=1)
def conv_transpose(
    X: Array, W: Array, B: Array | None = None, *, auto_pad: str = "NOTSET", dilations: list[int] | None = None,
    group: int = 1, kernel_shape: list[int] | None = None, output_padding: list[int] | None = None,
    output_shape: list[int] | None = None, pads: list[int] | None = None, strides: list[int] | None = None,
) -> Array:  # fmt: skip
    """Y[n, m, i·stride + k·dilation - pad] += W[c, m, k] · X[n, c, i], and B[m] added once.

    Shapes: X (N, C, D1 ...), W (C, M/group, k1 ...), B (M); Y (N, M, O1 ...).  Dtype: that of X.
    Source: ONNX ConvTranspose; Dumoulin & Visin 2016.
    """
    _check_channels(X.shape[1], W.shape[0], W.shape[0], group)
    if kernel_shape is not None and list(kernel_shape) != list(W.shape[2:]):
        raise ValueError(f"kernel_shape {kernel_shape} is not that of W, {list(W.shape[2:])}")
    begin, sizes, steps, gaps = transposed_layout(
        X.shape[2:], W.shape[2:], strides, dilations, pads, auto_pad, output_padding, output_shape
    )
    N, C = X.shape[:2]
    M = W.shape[1] * group
    wide = _wide(X)
    grouped = X.astype(wide, copy=False).reshape(N, group, C // group, -1)
    weights = W.astype(wide, copy=False).reshape(group, C // group, -1)
    columns = np.matmul(weights.transpose(0, 2, 1), grouped).reshape(N, M, *W.shape[2:], *X.shape[2:])
    extents = [(i - 1) * s + (k - 1) * d + 1 for i, s, k, d in zip(X.shape[2:], steps, W.shape[2:], gaps, strict=True)]
    full = np.zeros((N, M, *(max(e, b + o) for e, b, o in zip(extents, begin, sizes, strict=True))), wide)
    for place in itertools.product(*(range(k) for k in W.shape[2:])):
        where = [
            slice(p * d, p * d + (i - 1) * s + 1, s) for p, d, i, s in zip(place, gaps, X.shape[2:], steps, strict=True)
        ]
        full[(slice(None), slice(None), *where)] += columns[(slice(None), slice(None), *place)]
    Y = full[(slice(None), slice(None), *(slice(b, b + o) for b, o in zip(begin, sizes, strict=True)))]
    if B is not None:
        Y = Y + B.astype(wide, copy=False).reshape(-1, *[1] * len(sizes))
    return np.ascontiguousarray(Y.astype(X.dtype, copy=False))


def transposed_layout(
    spatial: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    dilations: Sequence[int] | None,
    pads: Sequence[int] | None,
    auto_pad: str,
    output_padding: Sequence[int] | None,
    output_shape: Sequence[int] | None,
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Begin padding, output sizes, strides and dilations of a transposed convolution, as ONNX lays them out.

    Raises:
        ValueError: An attribute has the wrong length, or an output size is not positive.
    """
    rank = len(spatial)
    kernel, strides, dilations, pads = _windows.filled(rank, kernel, strides, dilations, pads)
    extra = list(output_padding or [0] * rank)
    full = [
        s * (i - 1) + e + (k - 1) * d + 1
        for s, i, e, k, d in zip(strides, spatial, extra, kernel, dilations, strict=True)
    ]
    if output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        sizes = list(output_shape or [i * s for i, s in zip(spatial, strides, strict=True)])[-rank:]
        total = [f - o for f, o in zip(full, sizes, strict=True)]
        begin = [t - t // 2 if auto_pad == "SAME_LOWER" else t // 2 for t in total]
        if any(t < 0 for t in total):  # a larger output than the windows reach: zeros behind
            begin = [max(b, 0) for b in begin]
    else:
        if auto_pad == "VALID":
            pads = [0] * (2 * rank)
        begin = pads[:rank]
        sizes = [f - b - e for f, b, e in zip(full, begin, pads[rank:], strict=True)]
    if any(o < 1 for o in sizes):
        raise ValueError(f"the output would have the sizes {sizes}")
    return begin, sizes, strides, dilations


@conv_transpose.vjp
def conv_transpose_vjp(
    op: Builder, dY: Value, Y: Value, X: Value, W: Value, B: Value | None = None, *, auto_pad: str,
    dilations: list[int] | None, group: int, kernel_shape: list[int] | None, output_padding: list[int] | None,
    output_shape: list[int] | None, pads: list[int] | None, strides: list[int] | None,
) -> Cotangents:  # fmt: skip
    """dX = dY convolved with W, dW = dY correlated with X, dB = Σ dY."""
    rank = len(kernel_shape or strides or ()) or _rank(op, X, W)
    spatial, kernel = op.static(X), op.static(W)
    plain = auto_pad in ("NOTSET", "VALID", "") and not output_shape
    begin: list[int]
    if plain:
        begin = list(pads or [0] * (2 * rank))[:rank] if auto_pad != "VALID" else [0] * rank
    elif spatial is not None and kernel is not None:
        begin = transposed_layout(
            spatial[2:], kernel[2:], strides, dilations, pads, auto_pad, output_padding, output_shape
        )[0]
    else:
        raise NoGradientRule("ConvTranspose with auto_pad or output_shape needs static shapes to be differentiated.")
    # Seen as a convolution, dY is the input and X has the shape of its output.
    g = Geometry(
        op, dY, W, X, auto_pad="NOTSET", dilations=dilations, group=group, kernel_shape=kernel_shape, strides=strides,
        pads=None, begin=begin,
    )  # fmt: skip
    dX = g.gather(dY, W)
    dW = g.correlate(dY, X, W)
    dB = op.reduce_sum(dY, [0, *range(2, rank + 2)], keepdims=False) if B is not None else None
    return dX, dW, dB


def _rank(op: Builder, X: Value, W: Value) -> int:
    rank = op.rank(X) or op.rank(W)
    if rank is None:
        raise NoGradientRule("A convolution of unknown rank cannot be differentiated.")
    return rank - 2


class Geometry:
    """How a convolution from ``X`` to ``Y`` lies, as far as shapes are known, and its three linear maps as nodes.

    With static spatial shapes everything is attributes; else paddings are computed at run time.
    """

    def __init__(
        self, op: Builder, X: Value, W: Value, Y: Value, *, auto_pad: str, dilations: list[int] | None, group: int,
        kernel_shape: list[int] | None, pads: list[int] | None, strides: list[int] | None,
        begin: list[int] | None = None,
    ) -> None:  # fmt: skip
        self.op, self.X, self.Y = op, X, Y
        self.rank = rank = len(kernel_shape or strides or dilations or ()) or _rank(op, X, W)
        self.group = group
        self.strides, self.dilations = list(strides or [1] * rank), list(dilations or [1] * rank)
        dims = op.dims(W)
        known = kernel_shape or (dims[2:] if dims is not None else ())
        self.kernel = [int(k) for k in known if isinstance(k, int)]
        if len(self.kernel) != rank:
            self.kernel = []
        self.spatial, self.out = _spatial(op, X), _spatial(op, Y)
        self.W = W
        self.begin: list[int] | None = begin
        if begin is None and auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
            self.begin = list(pads or [0] * rank)[:rank] if auto_pad != "VALID" else [0] * rank
        elif begin is None and self.spatial is not None and self.kernel:
            w = windows_of(self.spatial, self.kernel, strides, dilations, pads, auto_pad)
            self.begin = list(w.begin)
        self.lower = auto_pad == "SAME_LOWER"

    @property
    def static(self) -> bool:
        """Whether all paddings are known numbers."""
        return self.spatial is not None and self.out is not None and bool(self.kernel) and self.begin is not None

    def _ends(self) -> list[int]:
        """Padding behind such that the last window ends there exactly; negative where the input reaches further."""
        assert self.spatial is not None and self.out is not None and self.begin is not None  # noqa: PT018
        return [
            (o - 1) * s + (k - 1) * d + 1 - size - b
            for o, s, k, d, size, b in zip(
                self.out, self.strides, self.kernel, self.dilations, self.spatial, self.begin, strict=True
            )
        ]

    def spread(self, Y: Value, W: Value) -> Value:
        """Y to X: each element of ``Y`` adds its window, weighted by ``W``, to ``X``."""
        op = self.op
        common = {"strides": self.strides, "dilations": self.dilations, "group": self.group}
        if self.static:
            assert self.begin is not None
            ends = self._ends()
            if min(self.begin) >= 0:
                behind = [max(-e, 0) for e in ends]
                pads = self.begin + [max(e, 0) for e in ends]
                out: Value = op.ConvTranspose(Y, W, **common, pads=pads, output_padding=behind if any(behind) else None)
                return out
        full = op.ConvTranspose(Y, W, **common)
        sizes, reach = op.Shape(self.X, start=2), op.Shape(full, start=2)
        begin = self.begin_value()
        end = op.Sub(op.Add(sizes, begin), reach)
        none = op.ints([0, 0])
        amounts = op.Concat(none, op.Neg(begin), none, end, axis=0)
        spread: Value = op.Pad(full, amounts)
        return spread

    def gather(self, X: Value, W: Value) -> Value:
        """X to Y: the convolution itself, with exactly the windows that ``Y`` has."""
        op = self.op
        common = {"strides": self.strides, "dilations": self.dilations, "group": self.group}
        if self.static:
            assert self.begin is not None
            ends = self._ends()
            if min(self.begin) >= 0 and all(-s < e for e, s in zip(ends, self.strides, strict=True)):
                out: Value = op.Conv(X, W, **common, pads=self.begin + [max(e, 0) for e in ends])
                return out
        gathered: Value = op.Conv(self._padded(X), W, **common)
        return gathered

    def correlate(self, X: Value, Y: Value, W: Value) -> Value:
        """The cotangent of the weights: Σ over n, o of Y[n, m, o] · X[n, c, o·stride + k·dilation - pad].

        It is a convolution of ``X`` by ``Y`` with batch and channels exchanged, strides and dilations too.
        """
        op, n, G = self.op, self.rank, self.group
        space = list(range(2, 2 + n))
        pads = None
        if self.static and self.begin is not None and min(self.begin) >= 0 and min(self._ends()) >= 0:
            pads = self.begin + self._ends()
        else:
            X = self._padded(X)
        if G == 1:
            images = op.Transpose(X, perm=[1, 0, *space])
            filters = op.Transpose(Y, perm=[1, 0, *space])
        else:
            images = self._by_group(X, [2, 1, 0], lead=True)
            filters = self._by_group(Y, [1, 2, 0], lead=False)
        swapped = op.Conv(images, filters, strides=self.dilations, dilations=self.strides, pads=pads, group=G)
        return op.reshape_like(op.Transpose(swapped, perm=[1, 0, *space]), W)

    def _by_group(self, T: Value, order: list[int], *, lead: bool) -> Value:
        """T (N, G·c, ...) as (c, G·N, ...) if ``lead``, else as (G·c, N, ...)."""
        op, n, G = self.op, self.rank, self.group
        space = op.Shape(T, start=2)
        batch = op.dim(T, 0)
        split = op.Reshape(T, op.Concat(batch, op.ints([G, -1]), space, axis=0))
        turned = op.Transpose(split, perm=[*order, *range(3, 3 + n)])
        many = op.ints([-1])
        inner = op.Mul(batch, op.ints([G])) if lead else batch
        out: Value = op.Reshape(turned, op.Concat(many, inner, space, axis=0))
        return out

    def begin_value(self) -> Value:
        """The padding in front as an int64 vector, computed at run time for SAME paddings of unknown sizes."""
        op = self.op
        if self.begin is not None:
            return op.ints(self.begin)
        one = op.ints([1] * self.rank)
        total = op.Sub(self.covered(), op.Shape(self.X, start=2))
        total = op.Max(total, op.ints([0] * self.rank))
        half: Value = op.Div(op.Add(total, one) if self.lower else total, op.ints([2] * self.rank))
        return half

    def covered(self) -> Value:
        """How far the windows reach, from the start of the first to the end of the last."""
        op = self.op
        one = op.ints([1] * self.rank)
        kernel = op.ints(self.kernel) if self.kernel else op.Shape(self.W, start=2)
        steps = op.Mul(op.Sub(op.Shape(self.Y, start=2), one), op.ints(self.strides))
        out: Value = op.Add(op.Add(steps, op.Mul(op.Sub(kernel, one), op.ints(self.dilations))), one)
        return out

    def _padded(self, X: Value) -> Value:
        """``X`` padded and cropped to just what the windows cover."""
        op = self.op
        begin = self.begin_value()
        end = op.Sub(op.Sub(self.covered(), op.Shape(self.X, start=2)), begin)
        none = op.ints([0, 0])
        out: Value = op.Pad(X, op.Concat(none, begin, none, end, axis=0))
        return out


def _spatial(op: Builder, X: Value) -> list[int] | None:
    dims = op.dims(X)
    if dims is None or not all(isinstance(d, int) for d in dims[2:]):
        return None
    return [d for d in dims[2:] if isinstance(d, int)]
