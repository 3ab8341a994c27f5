"""Recurrent networks: RNN, GRU and LSTM, a step of NumPy per element of the sequence.

Their derivatives are those of a Scan, which the transforms put in their place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphspec.operators.registry import Array, operator

Activation = Callable[[Array, float, float], Array]


def _sigmoid(x: Array, _a: float = 0, _b: float = 0) -> Array:
    """1 / (1 + e⁻ˣ), without overflow on either side."""
    return np.asarray(0.5 * (np.tanh(0.5 * x) + 1))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


# name (lower case)   f(x, alpha, beta)                              default alpha and beta, None where not taken
_ACTIVATIONS: dict[str, tuple[Activation, float | None, float | None]] = {
    "relu":            (lambda x, a, b: np.maximum(x, 0), None, None),
    "tanh":            (lambda x, a, b: np.tanh(x), None, None),
    "sigmoid":         (_sigmoid, None, None),
    "affine":          (lambda x, a, b: a * x + b, 1.0, 0.0),
    "leakyrelu":       (lambda x, a, b: np.where(x < 0, a * x, x), 0.01, None),
    "thresholdedrelu": (lambda x, a, b: np.where(x > a, x, np.zeros_like(x)), 1.0, None),
    "scaledtanh":      (lambda x, a, b: a * np.tanh(b * x), 1.0, 1.0),
    "hardsigmoid":     (lambda x, a, b: np.clip(a * x + b, 0, 1), 0.2, 0.5),
    "elu":             (lambda x, a, b: np.where(x < 0, a * np.expm1(x), x), 1.0, None),
    "softsign":        (lambda x, a, b: x / (1 + np.abs(x)), None, None),
    "softplus":        (lambda x, a, b: _softplus(x), None, None),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Run:
    """What the three operators share: sizes, directions, activations, initial states."""

    X: Array  # (seq, batch, input), whatever the layout
    lengths: Array
    directions: int
    hidden: int
    reverse_first: bool
    activations: list[Callable[[Array], Array]]
    clip: float | None
    layout: int

    def functions(self, d: int, count: int) -> list[Callable[[Array], Array]]:
        """The activations of direction ``d``."""
        return self.activations[d * count : (d + 1) * count]

    def clipped(self, x: Array) -> Array:
        """Pre-activations within ±clip."""
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)

    def scan(
        self, d: int, states: list[Array], cell: Callable[[Array, list[Array]], list[Array]]
    ) -> tuple[Array, list[Array]]:
        """Run ``cell`` over one direction.

        Args:
            d: The direction.
            states: Initial states, each (batch, hidden).
            cell: One step: input (batch, input) and states to states; the first state is the output.

        Returns:
            All outputs (seq, batch, hidden), zero behind each sequence's end, and the last states.
        """
        seq, batch, _ = self.X.shape
        backwards = d == 1 or self.reverse_first
        X = _reversed(self.X, self.lengths) if backwards else self.X
        Y = np.zeros((seq, batch, self.hidden), self.X.dtype)
        uniform = bool((self.lengths == seq).all())
        for t in range(seq):
            after = cell(X[t], states)
            if uniform:
                states = after
                Y[t] = states[0]
            else:  # a sequence that has ended keeps its state and puts out zeros
                alive = (t < self.lengths)[:, None]
                states = [np.where(alive, new, old) for new, old in zip(after, states, strict=True)]
                Y[t] = np.where(alive, states[0], 0)
        return (_reversed(Y, self.lengths) if backwards else Y), states

    def collect(self, results: list[tuple[Array, list[Array]]]) -> tuple[Array, ...]:
        """Y and the last states in ONNX's shapes."""
        Y = np.stack([y for y, _ in results], axis=1)  # (seq, directions, batch, hidden)
        states = [np.stack([s[i] for _, s in results]) for i in range(len(results[0][1]))]
        if self.layout:
            Y = Y.transpose(2, 0, 1, 3)
            states = [s.transpose(1, 0, 2) for s in states]
        return tuple(np.ascontiguousarray(a) for a in (Y, *states))


def _reversed(X: Array, lengths: Array) -> Array:
    """Each sequence of X (seq, batch, ...) backwards within its own length."""
    seq = X.shape[0]
    t = np.arange(seq)[:, None]
    index = np.where(t < lengths, lengths - 1 - t, t)
    return X[index, np.arange(X.shape[1])]


def _prepare(
    X: Array, W: Array, sequence_lens: Array | None, *, gates: int, defaults: list[str], activations: list[str] | None,
    activation_alpha: list[float] | None, activation_beta: list[float] | None, clip: float | None, direction: str,
    hidden_size: int | None, layout: int,
) -> _Run:  # fmt: skip
    """Check attributes against shapes and bind the activations.

    Raises:
        ValueError: An attribute is unknown or does not fit the weights.
    """
    if direction not in ("forward", "reverse", "bidirectional"):
        raise ValueError(f"direction is forward, reverse or bidirectional, not {direction!r}")
    directions = 2 if direction == "bidirectional" else 1
    hidden = W.shape[1] // gates
    if W.shape[0] != directions or W.shape[1] != gates * hidden or (hidden_size or hidden) != hidden:
        raise ValueError(
            f"W of shape {list(W.shape)} does not fit {directions} directions and hidden_size {hidden_size}"
        )
    X = X.transpose(1, 0, 2) if layout else X
    lengths = np.full(X.shape[1], X.shape[0]) if sequence_lens is None else np.asarray(sequence_lens)
    if lengths.shape != (X.shape[1],) or lengths.min(initial=0) < 0 or lengths.max(initial=0) > X.shape[0]:
        raise ValueError(f"sequence_lens must hold {X.shape[1]} numbers from 0 to {X.shape[0]}, not {lengths.tolist()}")
    names = activations or defaults * directions
    if len(names) != len(defaults) * directions:
        raise ValueError(f"activations must name {len(defaults) * directions} functions, not {len(names)}")
    bound = _bind(names, list(activation_alpha or []), list(activation_beta or []))
    return _Run(X, lengths, directions, hidden, direction == "reverse", bound, clip, layout)


def with_parameters(names: Sequence[str], alphas: list[float], betas: list[float]) -> list[tuple[str, float, float]]:
    """Each activation with its own alpha and beta; the lists are used up in the order of the names.

    Raises:
        ValueError: A name is unknown.
    """
    found = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise ValueError(f"activation {name!r} is unknown; there are {', '.join(sorted(_ACTIVATIONS))}")
        _, alpha, beta = _ACTIVATIONS[name.lower()]
        # A function that takes no alpha or beta uses none of the list up.
        a = alphas.pop(0) if alphas and alpha is not None else alpha or 0.0
        b = betas.pop(0) if betas and beta is not None else beta or 0.0
        found.append((name, a, b))
    return found


def _bind(names: list[str], alphas: list[float], betas: list[float]) -> list[Callable[[Array], Array]]:
    """The functions, their parameters bound."""
    bound: list[Callable[[Array], Array]] = []
    for name, a, b in with_parameters(names, alphas, betas):
        function = _ACTIVATIONS[name.lower()][0]
        bound.append(lambda x, f=function, a=a, b=b: np.asarray(f(x, a, b)).astype(x.dtype, copy=False))  # type: ignore[misc]
    return bound


def _initial(state: Array | None, run: _Run, d: int) -> Array:
    if state is None:
        return np.zeros((run.X.shape[1], run.hidden), run.X.dtype)
    return np.asarray(state[:, d] if run.layout else state[d])


def _biases(B: Array | None, run: _Run, gates: int) -> Array:
    """(directions, 2·gates·hidden), zeros by default."""
    return np.zeros((run.directions, 2 * gates * run.hidden), run.X.dtype) if B is None else B


@operator("RNN", since=1, through_subgraphs=True)
def rnn(
    X: Array, W: Array, R: Array, B: Array | None = None, sequence_lens: Array | None = None,
    initial_h: Array | None = None, *, activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None, activations: Sequence[str] = ("Tanh", "Tanh"),
    clip: float | None = None, direction: str = "forward", hidden_size: int | None = None, layout: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, Array]:  # fmt: skip
    """Hₜ = f(Xₜ Wᵀ + Hₜ₋₁ Rᵀ + Wb + Rb); Y holds all Hₜ, Y_h the last.

    Shapes: X (seq, batch, input), W (directions, hidden, input), R (directions, hidden, hidden).  Source: ONNX RNN.
    """
    names = list(activations)[: 2 if direction == "bidirectional" else 1]
    run = _prepare(
        X, W, sequence_lens, gates=1, defaults=["Tanh"], activations=names, activation_alpha=activation_alpha,
        activation_beta=activation_beta, clip=clip, direction=direction, hidden_size=hidden_size, layout=layout,
    )  # fmt: skip
    bias = _biases(B, run, 1)
    results = []
    for d in range(run.directions):
        (f,) = run.functions(d, 1)
        b = bias[d, : run.hidden] + bias[d, run.hidden :]

        def cell(x: Array, states: list[Array], d: int = d, f: Any = f, b: Array = b) -> list[Array]:
            return [f(run.clipped(x @ W[d].T + states[0] @ R[d].T + b))]

        results.append(run.scan(d, [_initial(initial_h, run, d)], cell))
    Y, Y_h = run.collect(results)
    return Y, Y_h


@operator("GRU", since=1, through_subgraphs=True)
def gru(
    X: Array, W: Array, R: Array, B: Array | None = None, sequence_lens: Array | None = None,
    initial_h: Array | None = None, *, activation_alpha: list[float] | None = None,
    activation_beta: list[float] | None = None, activations: list[str] | None = None, clip: float | None = None,
    direction: str = "forward", hidden_size: int | None = None, layout: int = 0, linear_before_reset: int = 0,
    output_sequence: int = 0,
) -> tuple[Array, Array]:  # fmt: skip
    """z, r = f(X W_zr + H R_zr + b);  h = g(X W_h + (r ∘ H) R_h + b), or r ∘ (H R_h + Rb_h) with linear_before_reset;
    H = (1 - z) ∘ h + z ∘ H.

    Shapes: X (seq, batch, input), W (directions, 3·hidden, input), R (directions, 3·hidden, hidden); gates z, r, h.
    Source: ONNX GRU; Cho et al. 2014.
    """  # noqa: D205
    run = _prepare(
        X, W, sequence_lens, gates=3, defaults=["Sigmoid", "Tanh"], activations=activations,
        activation_alpha=activation_alpha, activation_beta=activation_beta, clip=clip, direction=direction,
        hidden_size=hidden_size, layout=layout,
    )  # fmt: skip
    n = run.hidden
    bias = _biases(B, run, 3)
    results = []
    for d in range(run.directions):
        f, g = run.functions(d, 2)
        wb, rb = bias[d, : 3 * n], bias[d, 3 * n :]

        def cell(
            x: Array, states: list[Array], d: int = d, f: Any = f, g: Any = g, wb: Array = wb, rb: Array = rb
        ) -> list[Array]:
            H = states[0]
            gates = run.clipped(x @ W[d, : 2 * n].T + H @ R[d, : 2 * n].T + wb[: 2 * n] + rb[: 2 * n])
            z, r = f(gates[:, :n]), f(gates[:, n:])
            if linear_before_reset:
                inner = r * (H @ R[d, 2 * n :].T + rb[2 * n :])
            else:
                inner = (r * H) @ R[d, 2 * n :].T + rb[2 * n :]
            h = g(run.clipped(x @ W[d, 2 * n :].T + wb[2 * n :] + inner))
            return [((1 - z) * h + z * H).astype(H.dtype, copy=False)]

        results.append(run.scan(d, [_initial(initial_h, run, d)], cell))
    Y, Y_h = run.collect(results)
    return Y, Y_h


@operator("LSTM", since=1, through_subgraphs=True)
def lstm(
    X: Array, W: Array, R: Array, B: Array | None = None, sequence_lens: Array | None = None,
    initial_h: Array | None = None, initial_c: Array | None = None, P: Array | None = None, *,
    activation_alpha: list[float] | None = None, activation_beta: list[float] | None = None,
    activations: list[str] | None = None, clip: float | None = None, direction: str = "forward",
    hidden_size: int | None = None, input_forget: int = 0, layout: int = 0, output_sequence: int = 0,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """i, o, f, c = gates of X W + H R + b (with peepholes P ∘ C);  C = f ∘ C + i ∘ c;  H = o ∘ h(C).

    Shapes: X (seq, batch, input), W (directions, 4·hidden, input), R (directions, 4·hidden, hidden), P (directions,
    3·hidden) for i, o, f.  Source: ONNX LSTM; Hochreiter & Schmidhuber 1997.
    """
    run = _prepare(
        X, W, sequence_lens, gates=4, defaults=["Sigmoid", "Tanh", "Tanh"], activations=activations,
        activation_alpha=activation_alpha, activation_beta=activation_beta, clip=clip, direction=direction,
        hidden_size=hidden_size, layout=layout,
    )  # fmt: skip
    n = run.hidden
    bias = _biases(B, run, 4)
    peep = np.zeros((run.directions, 3 * n), X.dtype) if P is None else P
    results = []
    for d in range(run.directions):
        f, g, h = run.functions(d, 3)
        b = bias[d, : 4 * n] + bias[d, 4 * n :]

        def cell(
            x: Array, states: list[Array], d: int = d, f: Any = f, g: Any = g, h: Any = h, b: Array = b
        ) -> list[Array]:
            H, C = states
            pre = x @ W[d].T + H @ R[d].T + b
            i = f(run.clipped(pre[:, :n] + peep[d, :n] * C))
            forget = 1 - i if input_forget else f(run.clipped(pre[:, 2 * n : 3 * n] + peep[d, 2 * n :] * C))
            C = forget * C + i * g(run.clipped(pre[:, 3 * n :]))
            o = f(run.clipped(pre[:, n : 2 * n] + peep[d, n : 2 * n] * C))
            return [o * h(C), C]

        states = [_initial(initial_h, run, d), _initial(initial_c, run, d)]
        results.append(run.scan(d, states, cell))
    Y, Y_h, Y_c = run.collect(results)
    return Y, Y_h, Y_c
