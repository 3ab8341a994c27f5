"""``check_derivatives``: every derivative of a model computed in two ways that share no rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx_ir as ir

from graphspec.derivatives import jvp, vjp
from graphspec.errors import ExecutionError, NotDifferentiable, UnsupportedError
from graphspec.interchange import load
from graphspec.testing import differences
from graphspec.testing.comparing import compared, elementwise, located, located_product, relative, size_along, unit
from graphspec.testing.report import Comparison, DerivativeMismatchError, DerivativeReport, Kind, KinkError
from graphspec.testing.runner import Runner, depends_on, is_narrow, is_random, not_analytic
from graphspec.testing.widening import array_in, in_dtype

Method = Literal["differences", "complex"]
Arrays = dict[str, Any]

# The most that two runtimes may differ by: rounding, in their own order, at the width that both compute in.
_RUNTIMES = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 2e-3}


def check_derivatives(
    model: Any,
    feeds: Mapping[str, Any],
    of: Sequence[str],
    wrt: Sequence[str],
    *,
    order: int = 2,
    method: Method = "differences",
    forward: bool = True,
    onnxruntime: bool = True,
    rtol: float = 1e-6,
    elements: int = 48,
    directions: int = 4,
    rng: np.random.Generator | None = None,
) -> DerivativeReport:
    """Check a model's derivatives at one point, in float64 whatever the model is written in.

    Reverse mode is held against slopes of the values, the derivative of the derivative against slopes of the
    derivative, and forward mode against reverse mode (⟨Jv, w⟩ = ⟨v, Jᵀw⟩), all through random cotangents. Last, ONNX
    Runtime runs the derived model.

    Args:
        model: Anything that ``graphspec.load`` takes.
        feeds: One array per graph input; away from kinks and ties, where values cannot tell what is right.
        of: Names of the values to differentiate.
        wrt: Names of graph inputs or initializers (parameters) to differentiate with respect to.
        order: 2 also checks the derivative of the derivative, in its inputs and in its cotangents; 1 does not.
        method: ``"differences"``: five-point central differences, with other steps where the first does not confirm;
            ``"complex"``: complex steps, exact to the last digits, for graphs of analytic operators alone.
        forward: Whether to check forward mode.
        onnxruntime: Whether to run the derived model on ONNX Runtime; left out, as the report says, where that is
            not installed, has no kernel, or gives other values already for the model itself.
        rtol: Largest deviation allowed, relative to the size of the derivative; a model with operators that ONNX has
            in float32 alone (DequantizeLinear) needs 1e-3.
        elements: Inputs up to this size are checked element by element, larger ones along random directions.
        directions: Number of random directions.
        rng: Source of cotangents and directions; a fixed seed by default.

    Returns:
        What was compared, and for each kind of comparison the one that came out worst.

    Raises:
        DerivativeMismatchError: A derivative is wrong; the worst element is named.
        KinkError: The values are not smooth there, or too noisy to tell.
        GraphSpecError: The model cannot be read, differentiated or run.
    """
    with np.errstate(all="ignore"):
        check = _Check(rtol, elements, directions, rng or np.random.default_rng(0), method)
        return _checked(load(model), feeds, of, wrt, order, forward, onnxruntime, check)


def _checked(
    model: ir.Model, feeds: Mapping[str, Any], of: Sequence[str], wrt: Sequence[str], order: int, forward: bool,
    onnxruntime: bool, check: _Check,
) -> DerivativeReport:  # fmt: skip
    of, wrt = ([names] if isinstance(names, str) else list(names) for names in (of, wrt))
    wide, point = _in_float64(model, dict(feeds), of, wrt)
    derived = vjp(wide, of, wrt)
    first = _Derived(derived, of, wrt, point, check.rng)
    check.left_out += [f"{y} is not finite in some elements, which have no slope" for y in first.infinite]
    check.against_slopes("reverse", first)
    if order > 1:
        inputs = [*wrt, *first.weights_of.values()]
        inputs = [x for x in inputs if depends_on(derived, first.names, [x])]
        results = [name for name in first.names if depends_on(derived, [name], inputs)]
        if results:
            second = _Derived(vjp(derived, results, inputs), results, inputs, first.point, check.rng)
            check.against_slopes("second order", second)
    if forward:
        check.forward(wide, of, wrt, first)
    if onnxruntime:
        reason = check.on_onnxruntime(model, wide, of, wrt, first)
        if reason:
            check.left_out.append(f"ONNX Runtime: {reason}")
    zeros = [x for x, gradient in first.results.items() if gradient.size and not gradient.any()]
    return DerivativeReport(check.counts, check.closest, check.left_out, zeros, check.rtol)


def _in_float64(model: ir.Model, feeds: Arrays, of: list[str], wrt: list[str]) -> tuple[ir.Model, Arrays]:
    """The model in float64, and a feed for everything it is differentiated with respect to."""
    values = ir.convenience.create_value_mapping(model.graph)
    named = [values[name] for name in (*of, *wrt) if name in values]
    feeds = {name: np.asarray(feed) if not isinstance(feed, list) or _is_tensor(values.get(name)) else feed
             for name, feed in feeds.items()}  # fmt: skip
    if any(value.dtype not in (None, ir.DataType.DOUBLE) for value in named):
        model = in_dtype(model, ir.DataType.DOUBLE)
        feeds = {name: array_in(feed, ir.DataType.DOUBLE) for name, feed in feeds.items()}
        values = ir.convenience.create_value_mapping(model.graph)
    for name in wrt:
        if name in feeds or name not in values:
            continue
        tensor = values[name].const_value if values[name].is_initializer() else None
        if tensor is None:
            raise NotDifferentiable(
                f"`wrt` names {name!r}, which is computed in the graph: only what can be fed can be varied.",
                expected="a graph input or an initializer",
                found="the output of a node, or an input without a feed",
                hint="Check the part of the graph behind it as a model of its own.",
            )
        feeds[name] = tensor.numpy()
    return model, feeds


def _is_tensor(value: ir.Value | None) -> bool:
    return value is None or isinstance(value.type, ir.TensorType)


class _Derived:
    """A model of vector-Jacobian products at one point, with random cotangents.

    Attributes:
        weights: The cotangent of each value of ``of``.
        weights_of: The name of the input that holds it.
        names: The names of the results, in the order of ``wrt``.
        results: The results.
        steps: The steps that its values are precise enough for.
    """

    def __init__(self, model: ir.Model, of: list[str], wrt: list[str], point: Arrays, rng: np.random.Generator) -> None:
        self.model, self.of, self.wrt = model, of, wrt
        self.steps = differences.NARROW if is_narrow(model, [*of, *wrt], wrt) else differences.WIDE
        self.runner = Runner(model)
        self.values = self.runner.run(point, of)
        inputs = [v.name or "" for v in model.graph.inputs][-len(of) :]
        self.weights_of = dict(zip(of, inputs, strict=True))
        self.weights = {y: np.asarray(rng.standard_normal(v.shape), v.dtype) for y, v in self.values.items()}
        self.infinite = [y for y, v in self.values.items() if not np.isfinite(v).all()]
        for y in self.infinite:  # masked scores are -inf and stay so: they have no slope, the others have
            self.weights[y] *= np.isfinite(self.values[y])
        self.point = {**point, **{self.weights_of[y]: weight for y, weight in self.weights.items()}}
        self.names = [v.name or "" for v in model.graph.outputs][-len(wrt) :]
        # The values are fetched as well, so that random numbers are drawn for the same nodes in the same order.
        found = self.runner.run(self.point, [*of, *self.names])
        self.results = {x: found[name] for x, name in zip(wrt, self.names, strict=True)}

    def moved(self, x: str, change: Any, runner: Runner) -> Any:
        """Σ ⟨y, w⟩ with one input moved."""
        found = runner.run({**self.point, x: self.point[x] + change}, self.of)
        if any(found[y].shape != weight.shape for y, weight in self.weights.items()):
            return math.nan  # a number that decides a shape has moved too far
        for y in self.infinite:
            found[y][self.weights[y] == 0] = 0
        return differences.value_of(found, self.weights)

    @property
    def size(self) -> float:
        """Σ ⟨|y|, |w|⟩, which rounding is relative to."""
        return float(sum((abs(y) * abs(w))[w != 0].sum() for y, w in self._weighted()))

    def _weighted(self) -> Iterable[tuple[Any, Any]]:
        return ((y, self.weights[name]) for name, y in self.values.items())


class _Check:
    """The comparisons made so far."""

    def __init__(self, rtol: float, elements: int, directions: int, rng: np.random.Generator, method: Method) -> None:
        if method not in ("differences", "complex"):
            raise ValueError(f"method is 'differences' or 'complex', not {method!r}.")
        self.rtol, self.elements, self.count, self.rng, self.method = rtol, elements, directions, rng, method
        self.counts: dict[Kind, int] = {}
        self.closest: dict[Kind, Comparison] = {}
        self.left_out: list[str] = []

    def add(self, comparison: Comparison) -> None:
        kind = comparison.kind
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind not in self.closest or comparison.deviation >= self.closest[kind].deviation:
            self.closest[kind] = comparison

    def against_slopes(self, kind: Kind, derived: _Derived) -> None:
        """Hold the results of a derived model against slopes of what it is derived from."""
        if self.method == "complex":
            offending = not_analytic(derived.model, derived.of)
            if offending:
                raise UnsupportedError(
                    f"Complex steps need analytic operators, which {offending} is not.",
                    hint='Use method="differences".',
                )
        floor = 0.0 if self.method == "complex" else differences.smallest(derived.size, derived.steps)
        runner = Runner(derived.model, complexes=True) if self.method == "complex" else derived.runner
        for x in derived.wrt:
            base, gradient = np.asarray(derived.point[x]), derived.results[x]
            if gradient.shape != base.shape or gradient.dtype != base.dtype:
                raise DerivativeMismatchError(
                    f"The derivative with respect to {x} has shape {gradient.shape} and dtype {gradient.dtype}, "
                    f"{x} itself {base.shape} and {base.dtype}."
                )

            def slope(direction: Any, careful: bool, x: str = x) -> float:
                def line(step: Any) -> Any:
                    return derived.moved(x, step * direction, runner)

                if self.method == "complex":
                    return differences.complex_step(line)
                if not careful:
                    return differences.five_point(line, derived.steps.first)
                reach = np.max(np.abs(derived.point[x])) / np.max(np.abs(direction))
                return differences.settled(line, derived.steps, float(reach)).value

            def smooth(direction: Any, scale: float, x: str = x) -> str | None:
                if self.method == "complex":
                    return None
                if derived.infinite:
                    return f"{derived.infinite[0]} is not finite there"

                def line(step: float) -> float:
                    return float(derived.moved(x, step * direction, runner))

                return differences.roughness(line, scale, derived.steps)

            self._compare(kind, ", ".join(derived.of), x, base, gradient, slope, smooth, floor)

    def forward(self, wide: ir.Model, of: list[str], wrt: list[str], first: _Derived) -> None:
        """Hold forward mode against reverse mode: ⟨Jv, w⟩ = ⟨v, Jᵀw⟩ for random v, input by input."""
        pushed = jvp(wide, of, wrt)
        runner = Runner(pushed)
        inputs = [v.name or "" for v in pushed.graph.inputs][-len(wrt) :]
        results = [v.name or "" for v in pushed.graph.outputs][-len(of) :]
        still = {t: np.zeros_like(first.point[x]) for t, x in zip(inputs, wrt, strict=True)}
        weights = {name: first.weights[y] for name, y in zip(results, of, strict=True)}
        floor = differences.smallest(first.size, first.steps)
        for x, tangent in zip(wrt, inputs, strict=True):
            gradient, base = first.results[x], np.asarray(first.point[x])

            def product(direction: Any, tangent: str = tangent) -> float:
                found = runner.run({**first.point, **still, tangent: direction}, [*of, *results])
                return float(differences.value_of({n: found[n] for n in results}, weights))

            drawn = np.asarray(self.rng.standard_normal(base.shape), base.dtype)
            expected, found = float((gradient * drawn).sum()), product(drawn)
            size = float((abs(gradient) * abs(drawn)).sum())  # both are sums, rounded in their own order
            deviation = relative(found - expected, max(size, floor))
            worst = Comparison("forward", x, ", ".join(of), None, "a random tangent", expected, found, deviation)
            self.add(worst)
            if not deviation <= self.rtol:
                worst = located_product(worst, gradient, drawn, product)
                raise DerivativeMismatchError(str(worst), worst)

    def _compare(
        self, kind: Kind, of: str, x: str, base: Any, gradient: Any, slope: Callable[[Any, bool], float],
        smooth: Callable[[Any, float], str | None], floor: float,
    ) -> None:  # fmt: skip
        wrong: list[tuple[Comparison, Any]] = []
        for direction, index, where in self._directions(base):
            found, expected = float((gradient * direction).sum()), slope(direction, False)
            comparison = compared(kind, of, x, index, where, expected, found, gradient, direction, floor)
            if not comparison.deviation <= self.rtol:
                expected = slope(direction, True)
                comparison = compared(kind, of, x, index, where, expected, found, gradient, direction, floor)
            if not comparison.deviation <= self.rtol:
                wrong.append((comparison, direction))
            self.add(comparison)
        if not wrong:
            return
        reasons = [smooth(d, size_along(gradient, d)) for _, d in wrong]
        sharp = [pair for pair, reason in zip(wrong, reasons, strict=True) if reason is None]
        worst, direction = max(sharp or wrong, key=lambda pair: np.nan_to_num(pair[0].deviation, nan=math.inf))
        if worst.index is None:
            worst = located(worst, gradient, direction, lambda d: slope(d, True), floor)
        if sharp:
            raise DerivativeMismatchError(f"{worst}. {len(wrong)} of {x}'s comparisons failed.", worst)
        reason = next(r for r, (c, _) in zip(reasons, wrong, strict=True) if r is not None)
        raise KinkError(
            f"The values are not smooth there, so that they cannot tell: {reason}. {worst}. "
            "Choose feeds away from kinks, ties and jumps.",
            worst,
        )

    def on_onnxruntime(
        self, model: ir.Model, wide: ir.Model, of: list[str], wrt: list[str], first: _Derived
    ) -> str | None:
        """Run the derived model there, in the model's own dtype or else in float32; why not, if not."""
        if is_random(model):
            return "random numbers are drawn by each runtime in its own way"
        own = {v.dtype for v in model.graph.inputs if v.dtype is not None and v.dtype.is_floating_point()}
        narrow = in_dtype(wide, ir.DataType.FLOAT)
        reason: str | None = None
        for candidate in [wide, narrow] if ir.DataType.DOUBLE in own else [narrow]:
            reason = self._one_runtime(candidate, of, wrt, first)
            if reason is None:
                return None
        return reason

    def _one_runtime(self, model: ir.Model, of: list[str], wrt: list[str], first: _Derived) -> str | None:
        derived = first.model if _same_dtype(model, first.model) else vjp(model, of, wrt)
        dtype = next(v.dtype for v in derived.graph.outputs if v.name in first.names) or ir.DataType.DOUBLE
        feeds = {name: array_in(feed, dtype) for name, feed in first.point.items()}
        fetches = [*of, *first.names]
        try:
            theirs = Runner(derived, provider="onnxruntime").run(feeds, fetches)
        except (UnsupportedError, ExecutionError) as error:
            return error.message
        ours = Runner(derived).run(feeds, fetches)
        limit = _RUNTIMES[np.dtype(dtype.numpy())]
        least = 1e-3 * first.size  # smaller derivatives are what rounding leaves of larger terms
        for value, name in [*zip(of, of, strict=True), *zip(wrt, first.names, strict=True)]:
            if ours[name].shape != theirs[name].shape and name in of:
                return f"it gives {name} the shape {theirs[name].shape}, NumPy {ours[name].shape}"
            comparison = elementwise(value, ", ".join(of), ours[name], theirs[name], least)
            if name in of:
                if not comparison.deviation <= limit:
                    return f"it gives other values of {name} than NumPy, by {comparison.deviation:.2g}"
                continue
            self.add(comparison)
            if not comparison.deviation <= limit:
                raise DerivativeMismatchError(f"{comparison}, more than {limit:g}", comparison)
        return None

    def _directions(self, base: Any) -> Iterable[tuple[Any, tuple[int, ...] | None, str]]:
        if base.size <= self.elements:
            for i in range(base.size):
                yield unit(base, i)
            return
        for i in range(self.count):
            drawn = np.asarray(self.rng.standard_normal(base.shape), base.dtype)
            yield drawn / np.linalg.norm(drawn), None, f"along random direction {i + 1} of {self.count}"


def _same_dtype(model: ir.Model, derived: ir.Model) -> bool:
    return [v.dtype for v in model.graph.inputs] == [v.dtype for v in derived.graph.inputs][: len(model.graph.inputs)]
