"""The session: a model compiled once, run often."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx.shape_inference
import onnx_ir as ir

from graphspec.errors import ValidationError
from graphspec.operators import functions
from graphspec.operators._random import seeded
from graphspec.operators.expansions import expanded
from graphspec.optimize import clean, copied, propagate, upgraded
from graphspec.optimize.propagate import RANDOM
from graphspec.runtime.compiled import CompiledPlan
from graphspec.runtime.plan import Plan, compile_graph, find_kernel, has_no_kernel, owned
from graphspec.runtime.specialize import specialized
from graphspec.runtime.steps import UnforeseenShapeError
from graphspec.validation import FeedChecker, ValueInfo, validate

# Bodies may hold operators with bodies; ONNX's own nest three deep at most.
_MAX_NESTING = 8
# Plans kept, one for each set of fetches and of names fed.
_PLANS = 64
# Compiled plans kept, one for each set of fetches and shapes; each has memory of its own.
_COMPILED = 16
# Sets of shapes remembered as having come once.
_SEEN = 256
# Below this opset a missing kernel is worth an upward conversion: rows exist for the newest forms first.
_CONVERT_TO = 18


class Session:
    """A plan with its weights; ``run`` may be called from several threads at once.

    Args:
        model: Any model; it is not changed, and later changes to it are not seen.
        provider: ``"numpy"``, or ``"onnxruntime"`` where that package is installed.
        optimize: Fold constants, merge common subexpressions and drop dead nodes first.

    Raises:
        UnsupportedError: An operator has neither kernel nor body; the problem names the node.
        ValidationError: The graph breaks a rule of ONNX.
        DifferentiationError: A ``Gradient`` node asks for a derivative that does not exist.
    """

    def __init__(
        self, model: ir.Model, *, provider: Literal["numpy", "onnxruntime"] = "numpy", optimize: bool = True
    ) -> None:
        self._feeds = FeedChecker(model)
        self.inputs: dict[str, ValueInfo] = self._feeds.inputs
        self.outputs: dict[str, ValueInfo] = self._feeds.outputs
        self._order = tuple(self.inputs)
        self._provider = _provider(expanded(model), provider, optimize)

    def run(
        self,
        feeds: Mapping[str, Any],
        fetches: Sequence[str] | None = None,
        *,
        deadline: float | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Compute outputs.

        Args:
            feeds: One array (or nested list) per graph input; an initializer may be fed too, which overrides it.
            fetches: Names of outputs or intermediate values; all outputs by default. Only what they need is computed.
            deadline: ``time.monotonic()`` seconds after which no further kernel is started.
            seed: Where the random numbers of this run start, for nodes without a ``seed`` of their own; different from
                run to run by default. Of no effect with ONNX Runtime.

        Returns:
            One array per fetch, the caller's own (no two share memory, none with the feeds or the weights).

        Raises:
            FeedError: Feeds or fetches do not fit; every problem is listed.
            ExecutionError: A kernel refused its values; the problem names the node.
            LimitError: Past the deadline, or out of memory.
        """
        if fetches is None and seed is None and type(feeds) is dict and len(feeds) == len(self._order):
            quick = self._quickly(feeds, deadline)
            if quick is not None:
                return quick
        names = tuple(self.outputs) if fetches is None else tuple(fetches)
        arrays = self._feeds(feeds, fetches)
        with seeded(seed):
            results: dict[str, Any] = self._provider.run(arrays, names, deadline)
        return results

    def _quickly(self, feeds: dict[str, Any], deadline: float | None) -> dict[str, Any] | None:
        """Run what was compiled for feeds of just these shapes and dtypes, which were checked then."""
        try:
            arrays = [feeds[name] for name in self._order]
            plan = self._provider.compiled.get(tuple([(a.shape, a.dtype) for a in arrays]))
        except (KeyError, AttributeError, TypeError):
            return None
        if plan is None:
            return None
        for array in arrays:
            if type(array) is not np.ndarray or not array.flags.c_contiguous:
                return None
        try:
            return dict(zip(self.outputs, plan.run(arrays, deadline), strict=True))
        except UnforeseenShapeError:
            return None


class NumpyProvider:
    """Runs plans of NumPy kernels.

    A plan per set of fetches and overridden parameters holds for any shapes. For shapes that come again (or are known
    from the graph) a compiled plan takes its place.

    Attributes:
        compiled: The compiled plans for all outputs from all inputs, by shape and dtype of each input.
    """

    def __init__(self, model: ir.Model, optimize: bool) -> None:
        self._model = _runnable(model, optimize)
        self._values = ir.convenience.create_value_mapping(self._model.graph)
        self._original = model if optimize else None
        self._lock = threading.Lock()
        self._plain: NumpyProvider | None = None
        self._plan = functools.lru_cache(_PLANS)(self._compile)
        outputs = tuple(v.name or "" for v in self._model.graph.outputs)
        inputs = [v for v in self._model.graph.inputs if v.const_value is None]
        self._outputs, self._inputs = outputs, tuple(v.name or "" for v in inputs)
        self._plan(outputs, frozenset(self._inputs))  # so that what cannot run is said now
        self.compiled: dict[Any, CompiledPlan] = {}
        self._specialized = functools.lru_cache(_COMPILED)(self._specialize)
        self._seen: dict[Any, None] = {}
        self._draws = any(node.op_type in RANDOM for node in self._model.graph.all_nodes())
        self._static = all(v.shape is not None and v.shape.is_static() for v in inputs)

    def run(self, feeds: dict[str, Any], fetches: tuple[str, ...], deadline: float | None) -> dict[str, Any]:
        """As ``Session.run``, with feeds that were checked."""
        if not self._values.keys() >= set(fetches):  # optimised away, but wanted now
            return self._unoptimized().run(feeds, fetches, deadline)
        compiled = self._compiled_for(feeds, fetches) if self._original is not None else None
        if compiled is not None:
            arrays = [np.asarray(feeds[name], order="C") for name in self._in_order(feeds)]
            try:
                return dict(zip(fetches, compiled.run(arrays, deadline), strict=True))
            except UnforeseenShapeError:
                pass  # plans for any shapes believe no declaration
        plan = self._plan(fetches, frozenset(feeds))
        order = sorted(name for name in feeds if name in self._values)
        with np.errstate(all="ignore"):
            results = plan.run([feeds[name] for name in order], deadline)
        return dict(zip(fetches, owned(results, feeds.values()), strict=True))

    def _compiled_for(self, feeds: dict[str, Any], fetches: tuple[str, ...]) -> CompiledPlan | None:
        """The compiled plan for these shapes, made when they come for the second time."""
        if any(type(a) is not np.ndarray or a.dtype == object or n not in self._values for n, a in feeds.items()):
            return None
        shapes = tuple((name, feeds[name].shape) for name in self._in_order(feeds))
        key = (fetches, shapes)
        if not self._static and key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > _SEEN:
                self._seen.pop(next(iter(self._seen)), None)
            return None
        try:
            plan = self._specialized(fetches, shapes)
        except (MemoryError, ValueError, onnx.shape_inference.InferenceError):
            return None  # values that do not fit these shapes: the plain kernels say which, and where
        if fetches == self._outputs and feeds.keys() == set(self._inputs) and not self._draws:
            with self._lock:
                while len(self.compiled) >= _COMPILED:
                    self.compiled.pop(next(iter(self.compiled)))
                self.compiled[tuple([(feeds[n].shape, feeds[n].dtype) for n in self._inputs])] = plan
        return plan

    def _in_order(self, feeds: dict[str, Any]) -> list[str]:
        """The names fed, in one order whatever the caller's: inputs as the graph has them, then the others."""
        return [*(n for n in self._inputs if n in feeds), *sorted(feeds.keys() - set(self._inputs))]

    def _specialize(self, fetches: tuple[str, ...], shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> CompiledPlan:
        return specialized(self._model, dict(shapes), fetches)

    def _compile(self, fetches: tuple[str, ...], fed: frozenset[str]) -> Plan:
        inputs = [self._values[name] for name in sorted(fed) if name in self._values]
        graph = self._model.graph
        return compile_graph(graph, graph.opset_imports, inputs, [self._values[name] for name in fetches])

    def _unoptimized(self) -> NumpyProvider:
        with self._lock:
            if self._plain is None:
                assert self._original is not None
                self._plain = NumpyProvider(self._original, optimize=False)
            return self._plain


def _provider(model: ir.Model, name: str, optimize: bool) -> Any:
    if name == "numpy":
        return NumpyProvider(model, optimize)
    if name == "onnxruntime":
        from graphspec.runtime.ort import OnnxRuntimeProvider  # optional dependency: only where it is asked for

        return OnnxRuntimeProvider(model)
    raise ValueError(f"provider is 'numpy' or 'onnxruntime', not {name!r}.")


def _runnable(model: ir.Model, optimize: bool) -> ir.Model:
    """A copy whose nodes all have kernels: functions inlined, bodies expanded, sorted, and optimised if asked."""
    try:
        own = copied(model)
        if own.functions:
            functions.inline(own)
        if _needs_conversion(own):
            own = copied(upgraded(own, _CONVERT_TO))
        propagate(own, fold=optimize)
        for _ in range(_MAX_NESTING):
            if not functions.expand_bodies(own, has_no_kernel):
                break
            propagate(own, fold=optimize)
        if optimize:
            clean(own)
    except (ValueError, onnx.shape_inference.InferenceError) as error:
        validate(model).raise_for_errors()
        raise ValidationError(f"The graph's types and shapes do not fit: {error}") from error
    return own


def _needs_conversion(model: ir.Model) -> bool:
    imports = model.graph.opset_imports
    if imports.get("", _CONVERT_TO) >= _CONVERT_TO:
        return False
    return any(
        node.domain == "" and find_kernel(node, imports) is None and not functions.has_body(node, imports[""])
        for node in model.graph.all_nodes()
    )
