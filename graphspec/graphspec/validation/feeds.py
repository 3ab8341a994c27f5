"""Feeds and fetches against a graph: names, dtypes, shapes, and symbolic dimensions across all feeds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec.errors import FeedError, Problem
from graphspec.validation.arrays import Refusal, array_of, type_name
from graphspec.validation.report import Kind, Shape, ValueInfo, closest, pointer
from graphspec.validation.source import to_model
from graphspec.validation.types import shape_text

# Metadata of a model: the initializers that stand for Constant nodes, no parameters though they are floating point.
CONSTANTS = "graphspec.constants"

Convert = Callable[[Any], Any]


def check_feeds(model: Any, feeds: Mapping[str, Any], fetches: Sequence[str] | None = None) -> dict[str, Any]:
    """Check feeds and fetches against a graph; see ``FeedChecker``, which is cheaper when asked again.

    Args:
        model: Anything that ``graphspec.load`` takes.
        feeds: A value for each graph input; parameters may be fed too.
        fetches: Names of outputs or intermediate values; ``None`` means all outputs.

    Returns:
        The feeds as arrays of the dtypes that the graph asks for.

    Raises:
        FeedError: Feeds or fetches do not fit; it carries every problem.
    """
    return FeedChecker(to_model(model))(feeds, fetches)


def _is_float(value: ir.Value) -> bool:
    dtype = value.dtype or (value.const_value.dtype if value.const_value is not None else None)
    return dtype is not None and dtype.is_floating_point()


def marked_constants(model: ir.Model) -> frozenset[str]:
    """Names of the initializers that a transform put there: constants, which nobody feeds."""
    try:
        names = json.loads(model.metadata_props.get(CONSTANTS, "[]"))
    except ValueError:  # somebody else's entry of that name
        return frozenset()
    return frozenset(n for n in names if isinstance(n, str)) if isinstance(names, list) else frozenset()


class FeedChecker:
    """The inputs of one graph, prepared so that checking the feeds of a run costs microseconds.

    Python numbers and lists take the dtype that the graph asks for, as long as their kind allows (integers become
    floats, floats never become integers). Arrays are never converted: their dtype must be the graph's.

    Args:
        model: The graph; only its inputs, parameters, outputs and names are read, now.

    Attributes:
        inputs: What must be fed, by name; those of an optional type may be ``None`` or left out.
        parameters: What may be fed: the initializers that hold floating-point numbers, and those that are inputs too.
            The others (indices, axes, shapes) are part of the graph: shapes and derivatives are worked out from them.
        outputs: What comes out.
    """

    def __init__(self, model: ir.Model) -> None:
        graph = model.graph
        initializers = {name: value for name, value in graph.initializers.items() if name}
        constants = marked_constants(model)
        parameters = {
            n: v for n, v in initializers.items() if v.is_graph_input() or (_is_float(v) and n not in constants)
        }
        self.inputs = {v.name: _info(v, "input") for v in graph.inputs if v.name and v.name not in initializers}
        self.parameters = {name: _info(value, "parameter") for name, value in parameters.items()}
        self.outputs: dict[str, ValueInfo] = {}
        for value in graph.outputs:
            if value.name:
                known = self.inputs.get(value.name) or self.parameters.get(value.name)
                self.outputs[value.name] = known or _info(value, "intermediate")
        values = {v.name: v for v in graph.inputs if v.name} | parameters
        self._required = frozenset(self.inputs)  # by the quick way; the slow way fills optional ones in
        self._optional = [v.name for v in graph.inputs if v.name in self.inputs and isinstance(v.type, ir.OptionalType)]
        self._slots = {name: _Slot(name, value) for name, value in values.items()}
        self._names = self._required | self.parameters.keys() | self.outputs.keys()
        self._fixed = initializers.keys() - parameters.keys()
        self._names |= self._fixed | {value.name for node in graph for value in node.outputs if value.name}

    def __call__(self, feeds: Mapping[str, Any], fetches: Sequence[str] | None = None) -> dict[str, Any]:
        """Check one run's feeds and fetches.

        Returns:
            The feeds as arrays of the dtypes that the graph asks for; arrays that fit are returned as they are.

        Raises:
            FeedError: They do not fit; it carries every problem.
        """
        if type(feeds) is not dict or not self._required <= feeds.keys():
            return self._slowly(feeds, fetches)
        if fetches is not None and (isinstance(fetches, str) or not self._names.issuperset(fetches)):
            return self._slowly(feeds, fetches)
        symbols: dict[str, int] = {}
        slots = self._slots
        for name, array in feeds.items():
            slot = slots.get(name)
            if slot is None or type(array) is not np.ndarray or array.dtype != slot.dtype:
                return self._slowly(feeds, fetches)
            shape = array.shape
            if len(shape) != slot.rank:
                return self._slowly(feeds, fetches)
            for axis, size in slot.fixed:
                if shape[axis] != size:
                    return self._slowly(feeds, fetches)
            for axis, symbol in slot.symbolic:
                if symbols.setdefault(symbol, shape[axis]) != shape[axis]:
                    return self._slowly(feeds, fetches)
        return dict(feeds)

    def _slowly(self, feeds: Mapping[str, Any], fetches: Sequence[str] | None) -> dict[str, Any]:
        """The same check, with conversions, and with words."""
        if not isinstance(feeds, Mapping):
            raise FeedError(f"Feeds are a mapping from names to values, not {type(feeds).__name__}.", path="/feeds")
        problems: list[Problem] = []
        result: dict[str, Any] = {}
        symbols: dict[str, tuple[int, str, int]] = {}
        for name, value in feeds.items():
            where = f"/feeds/{pointer(str(name))}"
            slot = self._slots.get(name)
            if slot is None:
                problems.append(self._unknown(str(name), where))
                continue
            try:
                result[name] = slot.convert(value)
            except Refusal as refusal:
                problems.append(refusal.problem(f"The feed {name!r}", where))
                continue
            problems += slot.shape_problems(result[name], where, symbols)
        for name in self._optional:
            result.setdefault(name, None)
        missing = [name for name in self.inputs if name not in feeds and name not in self._optional]
        problems += [
            Problem(
                "missing-feed",
                f"The input {name!r} has no feed.",
                path=f"/feeds/{pointer(name)}",
                expected=_text(self.inputs[name]),
                found="nothing",
            )
            for name in missing
        ]
        problems += self._fetch_problems(fetches)
        if problems:
            raise FeedError(problems=problems)
        return result

    def _unknown(self, name: str, where: str) -> Problem:
        match = closest(name, self._slots)
        if name in self._fixed:
            hint: str | None = "It is a constant of the graph; list it among the inputs to feed it."
        elif name in self._names:
            hint = "It is computed by the graph: it may be fetched, not fed."
        else:
            hint = f"Did you mean {match!r}?" if match else None
        return Problem(
            "unknown-feed",
            f"The graph has no input or parameter named {name!r}.",
            path=where,
            expected=_some(self.inputs) or "no feeds",
            found=name,
            hint=hint,
        )

    def _fetch_problems(self, fetches: Sequence[str] | None) -> Iterable[Problem]:
        if fetches is None:
            return
        if isinstance(fetches, str) or not isinstance(fetches, Iterable):
            yield Problem(
                "unknown-fetch",
                "Fetches are a list of names.",
                path="/fetches",
                expected="a list of names",
                found=repr(fetches)[:100],
                hint=f"Write [{fetches!r}]." if isinstance(fetches, str) else None,
            )
            return
        for place, name in enumerate(fetches):
            if not isinstance(name, str) or name not in self._names:
                match = closest(name, self._names) if isinstance(name, str) else None
                yield Problem(
                    "unknown-fetch",
                    f"The graph has no value named {name!r}.",
                    path=f"/fetches/{place}",
                    expected=f"an output ({_some(self.outputs)}) or another value of the graph",
                    found=str(name)[:100],
                    hint=f"Did you mean {match!r}?" if match else None,
                )


class _Slot:
    """What one input asks for."""

    __slots__ = ("convert", "dtype", "fixed", "name", "rank", "shape", "symbolic")

    def __init__(self, name: str, value: ir.Value) -> None:
        self.name = name
        type_, self.shape = _type_of(value), _shape_of(value)
        self.convert: Convert = array_of(type_)
        shape = self.shape
        dense = isinstance(type_, ir.TensorType) and type_.dtype not in {ir.DataType.STRING, ir.DataType.UNDEFINED}
        self.dtype = np.dtype(type_.dtype.numpy() if type_ is not None and dense else np.void)
        # No array has a rank of -1: then the slow way decides.
        self.rank = len(shape) if shape is not None and dense else -1
        self.fixed = [(axis, size) for axis, size in enumerate(shape or ()) if isinstance(size, int)]
        self.symbolic = [(axis, size) for axis, size in enumerate(shape or ()) if isinstance(size, str)]

    def shape_problems(self, array: Any, where: str, symbols: dict[str, tuple[int, str, int]]) -> Iterable[Problem]:
        """What is wrong with the shape of an array; ``symbols`` remembers size, feed and axis of each symbol."""
        if self.shape is None or not isinstance(array, np.ndarray):
            return
        wanted, found = shape_text(self.shape), shape_text(array.shape)
        if array.ndim != len(self.shape):
            yield Problem(
                "shape-mismatch",
                f"The feed {self.name!r} has {array.ndim} dimensions.",
                path=where,
                expected=f"{len(self.shape)} dimensions: {wanted}",
                found=found,
            )
            return
        wrong = [axis for axis, size in self.fixed if array.shape[axis] != size]
        if wrong:
            yield Problem(
                "shape-mismatch",
                f"The feed {self.name!r} has the wrong size in {_axes(wrong)}.",
                path=where,
                expected=wanted,
                found=found,
            )
        for axis, symbol in self.symbolic:
            size = array.shape[axis]
            first, other, other_axis = symbols.setdefault(symbol, (size, self.name, axis))
            if first != size:
                yield Problem(
                    "shape-mismatch",
                    f"The dimension {symbol!r} is {first} in the feed {other!r} (axis {other_axis}) "
                    f"and {size} in the feed {self.name!r} (axis {axis}).",
                    path=where,
                    expected=f"{wanted} with {symbol} = {first}, as in {other!r}",
                    found=found,
                )


def _axes(axes: Sequence[int]) -> str:
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(map(str, axes))


def _some(names: Iterable[str], most: int = 8) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")


def _text(info: ValueInfo) -> str:
    return (info.dtype or "any type") + ("" if info.shape is None else shape_text(info.shape))


def _type_of(value: ir.Value) -> ir.TypeProtocol | None:
    if value.type is None and value.const_value is not None:
        return ir.TensorType(value.const_value.dtype)
    return value.type


def _shape_of(value: ir.Value) -> Shape | None:
    if not isinstance(_type_of(value), ir.TensorType):
        return None
    shape: Any = value.shape
    if shape is None and value.const_value is not None:
        shape = value.const_value.shape
    if shape is None:
        return None
    return tuple(size if isinstance(size, int) else size.value for size in shape)


def _info(value: ir.Value, kind: Kind) -> ValueInfo:
    return ValueInfo(type_name(_type_of(value)), _shape_of(value), kind)
