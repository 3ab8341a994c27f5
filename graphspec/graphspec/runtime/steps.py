"""The straight-line form of a plan whose shapes are all known: places for arrays, and the calls that fill them.

Lowerings write it through an ``Emitter``; ``compiled.py`` lays the places out in one arena and runs the calls.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

Array = Any


class UnforeseenShapeError(Exception):
    """A plain kernel's result has another shape than the graph says; never leaves the runtime."""


class Place:
    """Where an array is at run time.

    Attributes:
        shape: Its shape; ``None`` for results of plain kernels, which are known only when they are there.
        dtype: Its dtype; ``None`` as well.
        array: The array itself, for constants.
        base: The place that this is a view of.
        view: Makes the view from the base's array.
        planned: It has room in the arena.
        holds: Places whose memory the array may share: they live as long as it does.
        unwritten: An array of the same shape and strides that is never read, for questions of layout.
    """

    __slots__ = ("array", "base", "dtype", "holds", "planned", "shape", "unwritten", "view")

    def __init__(
        self, shape: tuple[int, ...] | None, dtype: np.dtype[Any] | None, *, array: Array = None,
        base: Place | None = None, view: Callable[[Array], Array] | None = None, planned: bool = False,
        holds: tuple[Place, ...] = (), unwritten: Array = None,
    ) -> None:  # fmt: skip
        self.shape = shape
        self.dtype = dtype
        self.array = array
        self.base = base
        self.view = view
        self.planned = planned
        self.holds = holds
        self.unwritten = unwritten

    def describe(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Say what shape and dtype a plain kernel's result will have; its layout stays unknown."""
        self.shape, self.dtype, self.unwritten = shape, dtype, _unwritten(shape, dtype)

    @property
    def root(self) -> Place:
        """The place whose memory this is."""
        place = self
        while place.base is not None:
            place = place.base
        return place

    @property
    def size(self) -> int:
        """Number of elements; the shape must be known."""
        return math.prod(self.shape or ())

    @property
    def nbytes(self) -> int:
        """Bytes of the elements; the shape must be known."""
        return self.size * self.dtype.itemsize if self.dtype is not None else 0

    @property
    def contiguous(self) -> bool:
        """Whether its elements are known to lie row by row without gaps."""
        return not self.holds and self.unwritten is not None and bool(self.unwritten.flags.c_contiguous)


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One call.

    Attributes:
        function: What is called.
        arguments: Places, or values that are the same in each run.
        keywords: The same, by name.
        writes: Places that the call fills.
        result: The place that the call's result becomes; ``None`` where it writes into ``writes``.
        in_place: What it writes may have the memory of an argument of the same shape and dtype that dies here.
        elementwise: Each element of what it writes comes from those at the same place, broadcasts included: the call
            may be made on parts.
        node: For messages.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    writes: tuple[Place, ...]
    result: Place | None
    in_place: bool
    elementwise: bool
    node: ir.Node

    @property
    def reads(self) -> list[Place]:
        """The places that the call reads."""
        written = set(map(id, self.writes))
        return [a for a in (*self.arguments, *self.keywords.values()) if isinstance(a, Place) and id(a) not in written]


class Node:
    """A node as lowerings see it.

    Attributes:
        inputs: A place per input; ``None`` where an optional one is left out.
        outputs: Shape and dtype per output.
        attributes: As the kernel takes them, defaults filled in.
        node: The node itself.
        opset: The version of its domain.
    """

    __slots__ = ("attributes", "inputs", "node", "opset", "outputs")

    def __init__(
        self, node: ir.Node, inputs: tuple[Place | None, ...],
        outputs: tuple[tuple[tuple[int, ...], np.dtype[Any]], ...], attributes: dict[str, Any], opset: int,
    ) -> None:  # fmt: skip
        self.node = node
        self.inputs = inputs
        self.outputs = outputs
        self.attributes = attributes
        self.opset = opset

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.outputs[0][0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the first output."""
        return self.outputs[0][1]


Lowering = Callable[["Emitter", Node], "Place | tuple[Place, ...] | None"]
"""Emits the calls of a node and returns the place of each output; ``None`` leaves the node to its plain kernel."""


class Emitter:
    """Takes the steps of a plan."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.node: ir.Node | None = None

    def constant(self, array: Array) -> Place:
        """The place of an array that is the same in each run."""
        return Place(array.shape, array.dtype, array=array, unwritten=array)

    def buffer(self, shape: tuple[int, ...], dtype: Any) -> Place:
        """Room in the arena, for results and for scratch."""
        dtype = np.dtype(dtype)
        return Place(tuple(shape), dtype, planned=True, unwritten=_unwritten(shape, dtype))

    def view(self, base: Place, view: Callable[[Array], Array]) -> Place:
        """Another look at a place's memory; ``view`` must not copy."""
        seen = view(base.unwritten)
        if base.array is not None:
            return self.constant(seen)
        if base.planned:
            return Place(seen.shape, seen.dtype, base=base, view=view, planned=True, unwritten=seen)
        place = Place(seen.shape, seen.dtype, holds=(base,), unwritten=seen)
        self._step(view, (base,), {}, (), place)
        return place

    def call(self, function: Callable[..., Any], *arguments: Any, out: Place) -> Place:
        """Call ``function(*arguments, out=out)``; arguments are places or fixed values."""
        self._step(function, arguments, {"out": out}, (out,), None)
        return out

    def ufunc(self, function: Callable[..., Any], *arguments: Any, out: Place) -> Place:
        """As ``call``, of an elementwise function: what it writes may take an argument's memory."""
        self._step(function, arguments, {"out": out}, (out,), None, in_place=True, elementwise=True)
        return out

    def fill(
        self, function: Callable[..., Any], *arguments: Any, writes: tuple[Place, ...], elementwise: bool = False,
        **keywords: Any,
    ) -> None:  # fmt: skip
        """Call a function that fills the places among its arguments that ``writes`` lists."""
        self._step(function, arguments, keywords, writes, None, elementwise=elementwise)

    def copy(self, source: Place, out: Place, **keywords: Any) -> Place:
        """Copy elements, as ``numpy.copyto``."""
        self.fill(np.copyto, out, source, writes=(out,), elementwise=True, **keywords)
        return out

    def plain(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Place:
        """Call a function that allocates its result, which may share memory with the arguments."""
        place = Place(None, None, holds=tuple(a for a in arguments if isinstance(a, Place)))
        self._step(function, arguments, {}, (), place)
        return place

    def _step(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any],
        writes: tuple[Place, ...], result: Place | None, *, in_place: bool = False, elementwise: bool = False,
    ) -> None:  # fmt: skip
        assert self.node is not None
        self.steps.append(Step(function, arguments, keywords, writes, result, in_place, elementwise, self.node))


def feed(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Place:
    """The place of an array that each run is given, contiguous."""
    return Place(shape, dtype, unwritten=_unwritten(shape, dtype))


def _unwritten(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array with the shape and the strides of a contiguous one, and no memory: it must never be read or written."""
    sizes = [dtype.itemsize, *(max(size, 1) for size in reversed(shape[1:]))] if shape else []
    return np.lib.stride_tricks.as_strided(np.empty(1, dtype), tuple(shape), tuple(np.cumprod(sizes)[::-1]))
