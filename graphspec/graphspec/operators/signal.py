"""Signals: Fourier transforms, whole and by frames, and the mel filter bank."""

from __future__ import annotations

import numpy as np

from graphspec import dtypes
from graphspec.operators._sizes import reasonable
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
