"""Whole Jacobians and Hessians as arrays: a compiled product with many seeds, one for each element of one side.

All seeds go through one run. Where its values would not fit the memory given, the seeds go in slices.
"""

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
from graphspec.optimize import copied, peak_bytes
from graphspec.runtime import Session

Mode = Literal["auto", "forward", "reverse"]
Matrices = dict[str, dict[str, Any]]
Parts = Mapping[tuple[str, str], Any]

# What a batch may hold at once, as far as shapes tell. Larger batches are no faster: caches are smaller by far.
BATCH_BYTES = 1 << 28
# A seed of forward mode, which is reverse mode transposed, costs about as much more than one of reverse mode.
_FORWARD_COST = 1.5


def jacobian(
    model: ir.Model,
    feeds: Mapping[str, Any],
    of: Sequence[str],
    wrt: Sequence[str],
    *,
    mode: Mode = "auto",
    batch_bytes: int = BATCH_BYTES,
    allow_unused: bool = False,
) -> Matrices:
    """The Jacobians ∂y/∂x at one point.

    Args:
        model: Any model; it is not changed.
        feeds: As for ``Session.run``.
        of: Names of the values to differentiate: outputs or intermediates, floating point.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point.
        mode: ``"forward"``: a seed for each element of ``wrt``; ``"reverse"``: one for each element of ``of``;
            ``"auto"``: whichever is cheaper; one of forward mode counts for one and a half.
        batch_bytes: What the values of one run may take, as far as shapes tell; 256 MiB by default. Where all seeds
            together would take more, they go in slices, of one seed at least.
        allow_unused: Give zeros for what is not connected, instead of a refusal.

    Returns:
        For each ``y`` of ``of``, for each ``x`` of ``wrt``, an array of the shape of ``y`` followed by that of ``x``.

    Raises:
        NotDifferentiable: A name is unknown, not floating point, or not connected.
        NoGradientRule: An operator between ``wrt`` and ``of`` has no rule yet.
        ValidationError: The model's types or shapes do not fit.
        FeedError: Feeds do not fit; every problem is listed.
    """
    return Jacobian(model, of, wrt, mode=mode, allow_unused=allow_unused).run(
        feeds, fetches=(), batch_bytes=batch_bytes
    )[1]


def hessian(
    model: ir.Model,
    feeds: Mapping[str, Any],
    of: str,
    wrt: Sequence[str],
    *,
    batch_bytes: int = BATCH_BYTES,
    allow_unused: bool = False,
) -> Matrices:
    """The Hessian ∂²of/∂x∂x' at one point, with a seed for each element of ``wrt``.

    Args:
        model: Any model; it is not changed.
        feeds: As for ``Session.run``.
        of: Name of a floating-point value with exactly one element.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point; none may be computed from
            another.
        batch_bytes: As for ``jacobian``.
        allow_unused: As for ``jacobian``.

    Returns:
        For each ``x`` of ``wrt``, for each ``x'`` of ``wrt``, an array of the shape of ``x`` followed by that of
        ``x'``.

    Raises:
        NotDifferentiable: As for ``hvp``.
        NoGradientRule: An operator between ``wrt`` and ``of``, or of its rule, has no rule yet.
        ValidationError: The model's types or shapes do not fit.
        FeedError: Feeds do not fit; every problem is listed.
    """
    return Hessian(model, of, wrt, allow_unused=allow_unused).run(feeds, fetches=(), batch_bytes=batch_bytes)[1]


class Jacobian:
    """A Jacobian compiled once, computed often; ``run`` may be called from several threads at once.

    Args:
        model: Any model; it is not changed, and later changes to it are not seen.
        of: As for ``jacobian``.
        wrt: As for ``jacobian``.
        mode: As for ``jacobian``.
        allow_unused: As for ``jacobian``.

    Raises:
        NotDifferentiable, NoGradientRule, ValidationError: As ``jacobian``.
    """

    def __init__(
        self, model: ir.Model, of: Sequence[str], wrt: Sequence[str], *, mode: Mode = "auto", allow_unused: bool = False
    ) -> None:
        if mode not in ("auto", "forward", "reverse"):
            raise ValueError(f"mode is 'auto', 'forward' or 'reverse', not {mode!r}.")
        self._of = [of] if isinstance(of, str) else list(of)
        self._wrt = [wrt] if isinstance(wrt, str) else list(wrt)
        self._mode = mode
        self._allow_unused = allow_unused
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
        batch_bytes: int = BATCH_BYTES,
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
            batch_bytes: As for ``jacobian``.

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
        parts = products.run(feeds, seeded, results, deadline, seed, batch_bytes)
        if forward:
            return outputs, _matrices(of, wrt, {(y, x): parts[x, y].T for y in of for x in wrt})
        return outputs, _matrices(of, wrt, parts)

    def _is_forward(self, values: Mapping[str, Any]) -> bool:
        if self._mode != "auto":
            return self._mode == "forward"
        columns, rows = (sum(values[name].size for name in names) for names in (self._wrt, self._of))
        if columns * _FORWARD_COST >= rows:
            return False
        try:
            with self._lock:
                self._products(True)
        except NoGradientRule:  # reverse mode needs rules for the model alone, forward mode for its rules too
            return False
        return True

    def _compile(self, forward: bool) -> _Products:
        seeds, product = _unused_dimension(self._model), jvp if forward else vjp
        derived = product(self._model, self._of, self._wrt, seeds=seeds, allow_unused=self._allow_unused)
        return _Products(derived, self._wrt if forward else self._of, self._of if forward else self._wrt)


class Hessian:
    """A Hessian compiled once, computed often; ``run`` may be called from several threads at once.

    Args:
        model: Any model; it is not changed, and later changes to it are not seen.
        of: As for ``hessian``.
        wrt: As for ``hessian``.
        allow_unused: As for ``hessian``.

    Raises:
        NotDifferentiable, NoGradientRule, ValidationError: As ``hessian``.
    """

    def __init__(self, model: ir.Model, of: str, wrt: Sequence[str], *, allow_unused: bool = False) -> None:
        self._wrt = [wrt] if isinstance(wrt, str) else list(wrt)
        derived = hvp(model, of, self._wrt, seeds=_unused_dimension(model), allow_unused=allow_unused)
        self._products = _Products(derived, self._wrt, self._wrt)
        self._session = Session(model)

    def run(
        self,
        feeds: Mapping[str, Any],
        fetches: Sequence[str] | None = None,
        *,
        deadline: float | None = None,
        seed: int | None = None,
        max_bytes: int | None = None,
        batch_bytes: int = BATCH_BYTES,
    ) -> tuple[dict[str, Any], Matrices]:
        """Compute outputs and the Hessian; arguments and errors as for ``Jacobian.run``.

        Returns:
            The values fetched, and the Hessian as ``hessian`` gives it.
        """
        seed = secrets.randbits(63) if seed is None else seed
        outputs, values = _values(self._session, feeds, fetches, self._wrt, deadline, seed)
        _check_size([(values[x], values[z]) for x in self._wrt for z in self._wrt], max_bytes)
        wrt = {x: values[x] for x in self._wrt}
        parts = self._products.run(feeds, wrt, wrt, deadline, seed, batch_bytes)
        return outputs, _matrices(wrt, wrt, {(x, z): parts[z, x].T for x in wrt for z in wrt})


class _Products:
    """A model of products (vjp, jvp, hvp) with seeds, compiled: its last inputs are seeds, its last outputs results."""

    def __init__(self, derived: ir.Model, seeded: Sequence[str], results: Sequence[str]) -> None:
        inputs, outputs = derived.graph.inputs[-len(seeded) :], derived.graph.outputs[-len(results) :]
        self._inputs = {name: value.name or "" for name, value in zip(seeded, inputs, strict=True)}
        self._outputs = {name: value.name or "" for name, value in zip(results, outputs, strict=True)}
        self._session = Session(derived)
        self._model = derived
        self._bytes = functools.lru_cache(16)(self._predict)

    def run(
        self,
        feeds: Mapping[str, Any],
        seeded: Mapping[str, Any],
        results: Mapping[str, Any],
        deadline: float | None,
        seed: int,
        batch_bytes: int,
    ) -> Parts:
        """A seed for each element of ``seeded``; a matrix (element of it, element of the result) for each pair."""
        wanted = list(self._outputs.values())
        parts = {(s, r): np.empty((a.size, b.size), b.dtype) for s, a in seeded.items() for r, b in results.items()}
        total = sum(a.size for a in seeded.values())
        step = self._slice(feeds, seeded, total, batch_bytes)
        for start in range(0, total, step):
            stop = min(start + step, total)
            vectors, rows = _unit_vectors(seeded, start, stop)
            point = {**feeds, **{self._inputs[name]: array for name, array in vectors.items()}}
            found = self._session.run(point, fetches=wanted, deadline=deadline, seed=seed)
            for result, output in self._outputs.items():
                array = found[output].reshape(stop - start, -1) if results[result].size else np.empty((stop - start, 0))
                for name, (to, taken) in rows.items():
                    parts[name, result][to] = array[taken]
        return parts

    def _slice(self, feeds: Mapping[str, Any], seeded: Mapping[str, Any], total: int, batch_bytes: int) -> int:
        """How many seeds go into one run."""
        if total <= 1:
            return 1
        known = {name: np.shape(array) for name, array in feeds.items() if array is not None}
        vectors = {self._inputs[name]: array.shape for name, array in seeded.items()}
        one, two = self._bytes(tuple(known.items()), tuple(vectors.items()))
        each = max(1, two - one)
        return int(np.clip((batch_bytes - (one - each)) // each, 1, total))

    def _predict(self, known: Any, vectors: Any) -> tuple[int, int]:
        """What the values of a run with one seed, and with two, take."""
        first, second = (
            peak_bytes(self._model, {**dict(known), **{name: (n, *shape) for name, shape in vectors}}) for n in (1, 2)
        )
        return first, second


def _unit_vectors(
    seeded: Mapping[str, Any], start: int, stop: int
) -> tuple[dict[str, Any], dict[str, tuple[slice, slice]]]:
    """Unit vectors, those numbered from ``start`` to ``stop`` among all of all values.

    Returns:
        For each value its part of the vectors; and for each that has a unit among them, which of its elements have, in
        which of the vectors.
    """
    vectors, rows, offset = {}, {}, 0
    for name, array in seeded.items():
        part = np.zeros((stop - start, array.size), array.dtype)
        first, last = max(start, offset), min(stop, offset + array.size)
        if first < last:
            each = np.arange(first, last)
            part[each - start, each - offset] = 1
            rows[name] = slice(first - offset, last - offset), slice(first - start, last - start)
        vectors[name] = part.reshape(stop - start, *array.shape)
        offset += array.size
    return vectors, rows


def _unused_dimension(model: ir.Model) -> str:
    """A name for the seeds' dimension that no dimension of the model has."""
    values = ir.convenience.create_value_mapping(model.graph).values()
    taken = {d.value for v in values if v.shape is not None for d in v.shape.dims if not isinstance(d, int)}
    return next(name for n in range(len(taken) + 1) if (name := f"seeds_{n}" if n else "seeds") not in taken)


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
