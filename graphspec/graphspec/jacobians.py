"""Whole Jacobians and Hessians as arrays: a compiled product, run once for each element of the smaller side."""

from __future__ import annotations

import functools
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from graphspec.derivatives import hvp, jvp, vjp
from graphspec.errors import LimitError, NoGradientRule
from graphspec.optimize import copied
from graphspec.runtime import Session

Mode = Literal["auto", "forward", "reverse"]
Matrices = dict[str, dict[str, Any]]
Parts = Mapping[tuple[str, str], Any]


def jacobian(
    model: ir.Model, feeds: Mapping[str, Any], of: Sequence[str], wrt: Sequence[str], *, mode: Mode = "auto"
) -> Matrices:
    """The Jacobians ∂y/∂x at one point.

    Args:
        model: Any model; it is not changed.
        feeds: As for ``Session.run``.
        of: Names of the values to differentiate: outputs or intermediates, floating point.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point.
        mode: ``"forward"``: one run for each element of ``wrt``; ``"reverse"``: one for each element of ``of``;
            ``"auto"``: whichever is fewer.

    Returns:
        For each ``y`` of ``of``, for each ``x`` of ``wrt``, an array of the shape of ``y`` followed by that of ``x``.

    Raises:
        NotDifferentiable: A name is unknown, not floating point, or not connected.
        NoGradientRule: An operator between ``wrt`` and ``of`` has no rule yet.
        ValidationError: The model's types or shapes do not fit.
        FeedError: Feeds do not fit; every problem is listed.
    """
    return Jacobian(model, of, wrt, mode=mode).run(feeds, fetches=())[1]


def hessian(model: ir.Model, feeds: Mapping[str, Any], of: str, wrt: Sequence[str]) -> Matrices:
    """The Hessian ∂²of/∂x∂x' at one point, one run for each element of ``wrt``.

    Args:
        model: Any model; it is not changed.
        feeds: As for ``Session.run``.
        of: Name of a floating-point value with exactly one element.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point; none may be computed from
            another.

    Returns:
        For each ``x`` of ``wrt``, for each ``x'`` of ``wrt``, an array of the shape of ``x`` followed by that of
        ``x'``.

    Raises:
        NotDifferentiable: As for ``hvp``.
        NoGradientRule: An operator between ``wrt`` and ``of``, or of its rule, has no rule yet.
        ValidationError: The model's types or shapes do not fit.
        FeedError: Feeds do not fit; every problem is listed.
    """
    return Hessian(model, of, wrt).run(feeds, fetches=())[1]


class Jacobian:
    """A Jacobian compiled once, computed often; ``run`` may be called from several threads at once.

    Args:
        model: Any model; it is not changed, and later changes to it are not seen.
        of: As for ``jacobian``.
        wrt: As for ``jacobian``.
        mode: As for ``jacobian``.

    Raises:
        NotDifferentiable, NoGradientRule, ValidationError: As ``jacobian``.
    """

    def __init__(self, model: ir.Model, of: Sequence[str], wrt: Sequence[str], *, mode: Mode = "auto") -> None:
        if mode not in ("auto", "forward", "reverse"):
            raise ValueError(f"mode is 'auto', 'forward' or 'reverse', not {mode!r}.")
        self._of = [of] if isinstance(of, str) else list(of)
        self._wrt = [wrt] if isinstance(wrt, str) else list(wrt)
        self._mode = mode
        self._model = copied(model)
        self._lock = threading.Lock()
        self._products = functools.lru_cache(2)(self._compile)
        self._products(mode == "forward")  # what cannot be differentiated is said now
        self._session = Session(model)

    def run(
        self,
        feeds: Mapping[str, Any],
        fetches: Sequence[str] | None = None,
        *,
        deadline: float | None = None,
        seed: int | None = None,
        max_bytes: int | None = None,
    ) -> tuple[dict[str, Any], Matrices]:
        """Compute outputs and Jacobians.

        Args:
            feeds: As for ``Session.run``, like ``fetches``, ``deadline`` and ``seed``; random numbers are the same for
                the whole of the Jacobian.
            fetches: Names of the values wanted beside; all outputs by default.
            deadline: ``time.monotonic()`` seconds after which no further kernel is started.
            seed: Where the random numbers start.
            max_bytes: The most that all Jacobians together may take; a larger request is refused before any of it is
                computed.

        Returns:
            The values fetched, and the Jacobians as ``jacobian`` gives them.

        Raises:
            FeedError, ExecutionError, LimitError: As ``Session.run``.
        """
        seed = secrets.randbits(63) if seed is None else seed
        outputs, values = _values(self._session, feeds, fetches, [*self._of, *self._wrt], deadline, seed)
        _check_size([(values[y], values[x]) for y in self._of for x in self._wrt], max_bytes)
        forward = self._is_forward(values)
        with self._lock:  # compiled by the first who asks
            products = self._products(forward)
        of, wrt = {y: values[y] for y in self._of}, {x: values[x] for x in self._wrt}
        seeded, results = (wrt, of) if forward else (of, wrt)
        parts = products.run(feeds, seeded, results, deadline, seed)
        if forward:
            return outputs, _matrices(of, wrt, {(y, x): parts[x, y].T for y in of for x in wrt})
        return outputs, _matrices(of, wrt, parts)

    def _is_forward(self, values: Mapping[str, Any]) -> bool:
        if self._mode != "auto":
            return self._mode == "forward"
        if sum(values[x].size for x in self._wrt) >= sum(values[y].size for y in self._of):
            return False
        try:
            with self._lock:
                self._products(True)
        except NoGradientRule:  # reverse mode needs rules for the model alone, forward mode for its rules too
            return False
        return True

    def _compile(self, forward: bool) -> _Products:
        derived = (jvp if forward else vjp)(self._model, self._of, self._wrt)
        return _Products(derived, self._wrt if forward else self._of, self._of if forward else self._wrt)


class Hessian:
    """A Hessian compiled once, computed often; ``run`` may be called from several threads at once.

    Args:
        model: Any model; it is not changed, and later changes to it are not seen.
        of: As for ``hessian``.
        wrt: As for ``hessian``.

    Raises:
        NotDifferentiable, NoGradientRule, ValidationError: As ``hessian``.
    """

    def __init__(self, model: ir.Model, of: str, wrt: Sequence[str]) -> None:
        self._wrt = [wrt] if isinstance(wrt, str) else list(wrt)
        self._products = _Products(hvp(model, of, self._wrt), self._wrt, self._wrt)
        self._session = Session(model)

    def run(
        self,
        feeds: Mapping[str, Any],
        fetches: Sequence[str] | None = None,
        *,
        deadline: float | None = None,
        seed: int | None = None,
        max_bytes: int | None = None,
    ) -> tuple[dict[str, Any], Matrices]:
        """Compute outputs and the Hessian; arguments and errors as for ``Jacobian.run``.

        Returns:
            The values fetched, and the Hessian as ``hessian`` gives it.
        """
        seed = secrets.randbits(63) if seed is None else seed
        outputs, values = _values(self._session, feeds, fetches, self._wrt, deadline, seed)
        _check_size([(values[x], values[z]) for x in self._wrt for z in self._wrt], max_bytes)
        wrt = {x: values[x] for x in self._wrt}
        parts = self._products.run(feeds, wrt, wrt, deadline, seed)
        return outputs, _matrices(wrt, wrt, {(x, z): parts[z, x].T for x in wrt for z in wrt})


class _Products:
    """A model of products (vjp, jvp, hvp), compiled: its last inputs are seeds, its last outputs are results."""

    def __init__(self, derived: ir.Model, seeded: Sequence[str], results: Sequence[str]) -> None:
        inputs, outputs = derived.graph.inputs[-len(seeded) :], derived.graph.outputs[-len(results) :]
        self._inputs = {name: value.name or "" for name, value in zip(seeded, inputs, strict=True)}
        self._outputs = {name: value.name or "" for name, value in zip(results, outputs, strict=True)}
        self._session = Session(derived)

    def run(
        self,
        feeds: Mapping[str, Any],
        seeded: Mapping[str, Any],
        results: Mapping[str, Any],
        deadline: float | None,
        seed: int,
    ) -> Parts:
        """One run for each element of ``seeded``; a matrix (element of it, element of the result) for each pair."""
        seeds = {name: np.zeros_like(value) for name, value in seeded.items()}
        point = {**feeds, **{self._inputs[name]: array for name, array in seeds.items()}}
        wanted = list(self._outputs.values())
        parts = {(s, r): np.empty((a.size, b.size), b.dtype) for s, a in seeded.items() for r, b in results.items()}
        for name, array in seeds.items():
            flat = array.reshape(-1)
            for i in range(flat.size):
                flat[i] = 1
                found = self._session.run(point, fetches=wanted, deadline=deadline, seed=seed)
                flat[i] = 0
                for result, output in self._outputs.items():
                    parts[name, result][i] = found[output].reshape(-1)
        return parts


def _values(
    session: Session,
    feeds: Mapping[str, Any],
    fetches: Sequence[str] | None,
    names: Sequence[str],
    deadline: float | None,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values fetched, and those of ``names``, from one run."""
    wanted = list(session.outputs if fetches is None else fetches)
    found = session.run(feeds, list(dict.fromkeys([*wanted, *names])), deadline=deadline, seed=seed)
    return {name: found[name] for name in wanted}, {name: np.array(found[name], order="C") for name in names}


def _check_size(pairs: Sequence[tuple[Any, Any]], limit: int | None) -> None:
    """Refuse matrices that would be larger than the limit.

    Raises:
        LimitError: They would; the problem tells how large.
    """
    needed = sum(a.size * b.size * a.itemsize for a, b in pairs)
    if limit is not None and needed > limit:
        raise LimitError(
            "The matrix of derivatives would need more memory than a run may use.",
            code="memory",
            expected=f"at most {limit} bytes",
            found=f"{needed} bytes",
            hint="Ask for fewer values, or for products with vectors: jvp, vjp, hvp.",
        )


def _matrices(of: Mapping[str, Any], wrt: Mapping[str, Any], parts: Parts) -> Matrices:
    return {
        y: {x: np.ascontiguousarray(parts[y, x]).reshape(a.shape + b.shape) for x, b in wrt.items()}
        for y, a in of.items()
    }
