"""Signals: Fourier transforms, whole and by frames, and the mel filter bank."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphspec import dtypes
from graphspec.inference import known_constant
from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Builder, Cotangents, Value
from graphspec.operators.registry import ZERO, Array, operator


def _complex(x: Array) -> Array:
    """Pairs (..., 1 or 2) as complex numbers."""
    if x.shape[-1] not in (1, 2):
        raise ValueError(f"the last axis holds real and imaginary part, 1 or 2 numbers, not {x.shape[-1]}")
    z = np.zeros(x.shape[:-1], np.complex128 if x.dtype == np.float64 else np.complex64)
    z.real = x[..., 0]
    if x.shape[-1] == 2:
        z.imag = x[..., 1]
    return z


def _pairs(z: Array, dtype: np.dtype[np.generic]) -> Array:
    return np.stack([z.real, z.imag], axis=-1).astype(dtype)


def _transform(x: Array, length: int | None, axis: int, inverse: int, onesided: int) -> Array:
    z = _complex(x)
    size = z.shape[axis] if length is None else length
    if size < 1:
        raise ValueError(f"dft_length must be positive, not {size}")
    if onesided and inverse:  # from one half of a conjugate-symmetric spectrum back to a real signal
        size = 2 * (z.shape[axis] - 1) if length is None else length
        return np.asarray(np.fft.irfft(z, size, axis=axis))[..., None].astype(x.dtype)
    if onesided:
        if x.shape[-1] == 2:
            raise ValueError("a one-sided transform takes a real signal, with 1 as its last dimension")
        return _pairs(np.fft.rfft(z.real, size, axis=axis), x.dtype)
    return _pairs(np.fft.ifft(z, size, axis=axis) if inverse else np.fft.fft(z, size, axis=axis), x.dtype)


@operator("DFT", since=20)
def dft(
    input: Array, dft_length: Array | None = None, axis: Array | None = None, *, inverse: int = 0, onesided: int = 0
) -> Array:
    """X[k] = Σ over n of x[n] · e^(-2πi·k·n/N), and with ``inverse`` the inverse, divided by N.

    Shapes: input (..., n, ..., 1 or 2), real or pairs; the length is cut or filled with zeros to dft_length.
    Source: ONNX DFT; Cooley & Tukey 1965.
    """
    at = -2 if axis is None else int(axis.reshape(()))
    return _along(input, dft_length, at, inverse, onesided)


@operator("DFT", since=17)
def dft_17(
    input: Array, dft_length: Array | None = None, *, axis: int = 1, inverse: int = 0, onesided: int = 0
) -> Array:
    """As DFT-20, with the axis as an attribute."""
    return _along(input, dft_length, axis, inverse, onesided)


def _along(input: Array, dft_length: Array | None, axis: int, inverse: int, onesided: int) -> Array:
    axis = axis + input.ndim if axis < 0 else axis
    if not 0 <= axis < input.ndim - 1:
        raise ValueError(f"axis {axis} lies outside of the signal's axes 0 to {input.ndim - 2}")
    length = None if dft_length is None else int(dft_length.reshape(()))
    if length is not None:
        reasonable((*input.shape[:axis], max(length, 0), *input.shape[axis + 1 : -1], 2), 16)
    return _transform(input, length, axis, inverse, onesided)


@dft.vjp
def dft_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, dft_length: Value | None = None, axis: Value | None = None, *,
    inverse: int, onesided: int,
) -> Cotangents:  # fmt: skip
    """The transpose of a transform is one in the other direction: Fᵀ of pairs is N · F⁻¹; see ``_transposed``."""
    return _transposed(op, dY, Y, input, dft_length, op.ints([-2]) if axis is None else axis, inverse, onesided)


@dft_17.vjp
def dft_17_vjp(
    op: Builder, dY: Value, Y: Value, input: Value, dft_length: Value | None = None, *, axis: int, inverse: int,
    onesided: int,
) -> Cotangents:  # fmt: skip
    """As for DFT-20."""
    return _transposed(op, dY, Y, input, dft_length, op.ints([axis]), inverse, onesided)


def _transposed(
    op: Builder, dY: Value, Y: Value, input: Value, dft_length: Value | None, axis: Value, inverse: int, onesided: int
) -> Cotangents:
    """Filling with zeros and cutting are each other's transpose, as are taking the real part and a zero imaginary one.

    A one-sided inverse counts each element twice, for itself and its conjugate, but the first, and the last of an
    even length.
    """
    axis = op.reshape(op.cast(axis, ir.DataType.INT64), [1])
    if onesided and inverse:
        length = _size(op, Y, axis)
        half = _dft(op, dY, None, axis, onesided=1)
        count = _size(op, half, axis)
        zero, one = op.const(np.int64(0)), op.const(np.int64(1))
        k = op.Range(zero, op.reshape(count, []), one)
        once = op.Or(op.Equal(k, zero), op.Equal(op.Add(k, k), length))
        weight = op.Where(once, op.scalar(1, dY), op.scalar(2, dY))
        rank = op.reshape(op.Size(op.Shape(half)), [1])
        at = op.Range(zero, op.reshape(rank, []), one)
        along = op.Where(op.Equal(at, op.Mod(axis, rank)), op.const(np.int64(-1)), one)
        g = op.Mul(half, op.Div(op.Reshape(weight, along), op.cast(length, dY)))
    elif inverse:
        length = _size(op, Y, axis)
        g = op.Div(_dft(op, dY, None, axis), op.cast(length, dY))
    else:
        length = _size(op, input, axis) if dft_length is None else _vector(op, dft_length)
        filled = op.reshape(length, []) if onesided else None  # the half that is left out counts as zero
        g = op.Mul(_dft(op, dY, filled, axis, inverse=1), op.cast(length, dY))
    if dft_length is not None or (onesided and inverse):
        g = _fitted(op, g, _size(op, input, axis), axis)
    return op.reshape_like(_parts(op, g, input), input), None, None


def _dft(
    op: Builder, x: Value, length: Value | None, axis: Value, *, inverse: int | None = None, onesided: int | None = None
) -> Value:
    if op.opset >= 20:
        spectrum: Value = op.DFT(x, length, op.reshape(axis, []), inverse=inverse, onesided=onesided)
    else:
        number = known_constant(axis)
        assert number is not None  # it was an attribute
        spectrum = op.DFT(x, length, axis=int(number.reshape(())), inverse=inverse, onesided=onesided)
    return spectrum


def _vector(op: Builder, scalar: Value) -> Value:
    return op.reshape(op.cast(scalar, ir.DataType.INT64), [1])


def _size(op: Builder, x: Value, axis: Value) -> Value:
    """One dimension of ``x``, an int64 vector of length 1."""
    number = known_constant(axis)
    if number is not None:
        return op.dim(x, int(number.reshape(())))
    out: Value = op.Gather(op.Shape(x), axis)
    return out


def _fitted(op: Builder, g: Value, size: Value, axis: Value) -> Value:
    """``g`` cut, or filled with zeros, to ``size`` elements along ``axis``."""
    cut = op.Slice(g, op.ints([0]), size, axis)
    missing = op.Sub(size, _size(op, cut, axis))
    out: Value = op.Pad(cut, op.Concat(op.ints([0]), missing, axis=0), None, axis)
    return out


def _parts(op: Builder, pairs: Value, like: Value) -> Value:
    """As many of real and imaginary part as ``like`` has."""
    dims = op.dims(like)
    if dims is not None and dims[-1] == 2:
        return pairs
    out: Value = op.Slice(pairs, op.ints([0]), op.dim(like, -1), op.ints([-1]))
    return out


@operator("STFT", since=17)
def stft(
    signal: Array, frame_step: Array, window: Array | None = None, frame_length: Array | None = None, *,
    onesided: int = 1,
) -> Array:  # fmt: skip
    """The DFT of each frame: frames start every ``frame_step`` and are multiplied by the window.

    Shapes: signal (batch, length, 1 or 2); output (batch, frames, bins, 2).  Source: ONNX STFT.
    """
    step = int(frame_step.reshape(()))
    if window is None and frame_length is None:
        raise ValueError("STFT needs a window or a frame_length")
    size = int(frame_length.reshape(())) if frame_length is not None else len(window)  # type: ignore[arg-type]
    if step < 1 or not 1 <= size <= signal.shape[1]:
        raise ValueError(f"frames of {size} every {step} do not fit a signal of length {signal.shape[1]}")
    if window is not None and window.shape != (size,):
        raise ValueError(f"the window has shape {list(window.shape)}, the frames have length {size}")
    frames = np.lib.stride_tricks.sliding_window_view(signal, size, axis=1)[:, ::step]  # (batch, frames, pair, size)
    frames = frames.transpose(0, 1, 3, 2)
    if window is not None:
        frames = frames * window[:, None]
    return _transform(np.asarray(frames), None, 2, 0, onesided).astype(signal.dtype, copy=False)


@stft.vjp
def stft_vjp(
    op: Builder, dY: Value, Y: Value, signal: Value, frame_step: Value, window: Value | None = None,
    frame_length: Value | None = None, *, onesided: int,
) -> Cotangents:  # fmt: skip
    """Each frame back from its spectrum, N · F⁻¹, weighed by the window and added where it was taken from."""
    assert window is not None or frame_length is not None
    node = Y.producer()
    if node is not None and "onesided" not in node.attributes:
        # ONNX's shape inference takes the attribute for 0 where it is left out, and so refuses the right shape.
        node.attributes.add(ir.AttrInt64("onesided", onesided))
    size = _vector(op, frame_length) if frame_length is not None else op.dim(window, 0)  # type: ignore[arg-type]
    filled = op.reshape(size, []) if onesided else None
    spectrum = _dft(op, dY, filled, op.ints([2]), inverse=1)
    dframes = op.Mul(_parts(op, spectrum, signal), op.cast(size, dY))  # (batch, frame, place, part)
    zero, one = op.const(np.int64(0)), op.const(np.int64(1))
    starts = op.Mul(op.Range(zero, op.reshape(op.dim(Y, 1), []), one), _vector(op, frame_step))
    at = op.Add(op.Unsqueeze(starts, op.ints([1])), op.Range(zero, op.reshape(size, []), one))
    dwindow = None
    if window is not None:
        column = op.Unsqueeze(window, op.ints([1]))
        dwindow = op.reduce_sum(op.Mul(dframes, op.Gather(signal, at, axis=1)), [0, 1, 3], keepdims=False)
        dframes = op.Mul(dframes, column)
    nothing = op.expand(op.scalar(0, dY), op.Concat(op.dim(signal, 1), op.dim(signal, 0), op.dim(signal, 2), axis=0))
    updates = op.Transpose(dframes, perm=[1, 2, 0, 3])
    added = op.ScatterND(nothing, op.Unsqueeze(at, op.ints([2])), updates, reduction="add")
    return op.reshape_like(op.Transpose(added, perm=[1, 0, 2]), signal), None, dwindow, None


@operator("MelWeightMatrix", since=17, rule=ZERO)
def mel_weight_matrix(
    num_mel_bins: Array, dft_length: Array, sample_rate: Array, lower_edge_hertz: Array, upper_edge_hertz: Array, *,
    output_datatype: int = 1,
) -> Array:  # fmt: skip
    """Triangular filters, evenly spaced in mel = 2595·log10(1 + Hz/700), over the bins of a one-sided spectrum.

    Shapes: (dft_length // 2 + 1, num_mel_bins).  Source: ONNX MelWeightMatrix; Davis & Mermelstein 1980.
    """
    bins, length, rate = (int(a.reshape(())) for a in (num_mel_bins, dft_length, sample_rate))
    low, high = (float(a.reshape(())) for a in (lower_edge_hertz, upper_edge_hertz))
    rows = length // 2 + 1
    if bins < 1 or length < 1 or rate < 1:
        raise ValueError("num_mel_bins, dft_length and sample_rate must be positive")
    reasonable((rows, bins), 8)
    lowest, highest = (2595 * np.log10(1 + edge / 700) for edge in (low, high))
    mels = np.linspace(lowest, highest, bins + 2, endpoint=False)
    edges = np.floor((length + 1) * (700 * (10 ** (mels / 2595) - 1)) / rate).astype(np.int64)
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    k = np.arange(rows)[:, None]
    rise = (k - left) / np.maximum(middle - left, 1)
    fall = (right - k) / np.maximum(right - middle, 1)
    weights = np.where((k >= left) & (k < middle), rise, 0.0) + np.where((k >= middle) & (k < right), fall, 0.0)
    weights = np.where(k == middle, 1.0, weights)
    return weights.astype(dtypes.of(output_datatype).numpy)
