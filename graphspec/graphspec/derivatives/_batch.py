"""What the rules of batching work with: values with or without a leading dimension of seeds, and shapes without it.

A rule is given the node, and for each input what stands for it; it emits nodes and returns what stands for the outputs,
or ``None`` where it does not cover the case: the node is then repeated for each seed by a Scan, which is always right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphspec.inference import known_constant
from graphspec.operators.builder import Builder
from graphspec.optimize.propagate import merged

# A dimension: a number, or an int64 vector of length 1 that holds it at run time.
Dim = int | ir.Value


@dataclasses.dataclass(frozen=True, slots=True)
class Arg:
    """One input of a node.

    Attributes:
        old: The value in the graph without seeds.
        value: What stands for it.
        batched: Whether that has the leading dimension.
    """

    old: ir.Value
    value: ir.Value
    batched: bool

    @property
    def rank(self) -> int | None:
        """Rank without the leading dimension; ``None`` when unknown."""
        return None if self.old.shape is None else self.old.shape.rank()

    @property
    def constant(self) -> Any:
        """The array, where the graph itself fixes it."""
        return None if self.batched else known_constant(self.value)


@dataclasses.dataclass(frozen=True, slots=True)
class Plain:
    """An output without the leading dimension: it is the same for every seed."""

    value: ir.Value


Args = Sequence[Arg | None]
Outputs = list[ir.Value | Plain]


class Batch:
    """The builder of a batched graph, and the number of seeds.

    Args:
        op: Takes the nodes.
        size: The number of seeds, or the name of the dimension.
        like: A value that has the leading dimension.
    """

    def __init__(self, op: Builder, size: int | str, like: ir.Value) -> None:
        self.op = op
        self.size = size
        self._like = like
        self._count: ir.Value | None = None

    @property
    def count(self) -> Dim:
        """The number of seeds."""
        if isinstance(self.size, int):
            return self.size
        if self._count is None:
            self._count = self.op.Shape(self._like, start=0, end=1)
        return self._count

    def inside(self, op: Builder) -> Batch:
        """The same for a subgraph."""
        return Batch(op, self.size, self._like)

    # --- nodes ----------------------------------------------------------------------------------------------------

    def again(self, node: ir.Node, inputs: Sequence[ir.Value | None], **changed: Any) -> Outputs:
        """The same operator on other inputs, with some attributes changed."""
        attributes: dict[str, Any] = {**node.attributes, **changed}
        found = self.op.emit(node.op_type, inputs, attributes, len(node.outputs), node.domain)
        return list(found)

    def typed(self, new: ir.Value, old: ir.Value) -> ir.Value:
        """Tell a batched value the type and shape that follow from those of the value that it stands for."""
        new.type = new.type or old.type
        if old.shape is not None:
            new.shape = merged(ir.Shape([self.size, *_plain_dims(old.shape)]), new.shape)
        return new

    # --- dimensions -----------------------------------------------------------------------------------------------

    def dim(self, arg: Arg, axis: int) -> Dim:
        """A dimension of the value without seeds; ``axis`` counts from the front."""
        assert arg.old.shape is not None
        known = arg.old.shape[axis]
        if isinstance(known, int):
            return known
        at = axis + arg.batched
        found: ir.Value = self.op.Shape(arg.value, start=at, end=at + 1)
        return found

    def dims(self, arg: Arg) -> list[Dim]:
        """All dimensions without seeds, of a value of known rank."""
        assert arg.rank is not None
        return [self.dim(arg, axis) for axis in range(arg.rank)]

    def vector(self, dims: Iterable[Dim]) -> ir.Value:
        """Dimensions as an int64 vector."""
        listed = list(dims)
        if all(isinstance(d, int) for d in listed):
            return self.op.ints([d for d in listed if isinstance(d, int)])
        parts = [self.op.ints([d]) if isinstance(d, int) else d for d in listed]
        found: ir.Value = parts[0] if len(parts) == 1 else self.op.Concat(*parts, axis=0)
        return found

    def product(self, dims: Iterable[Dim]) -> Dim:
        """The product of dimensions."""
        number, rest = 1, None
        for d in dims:
            if isinstance(d, int):
                number *= d
            else:
                rest = d if rest is None else self.op.Mul(rest, d)
        if rest is None or number == 0:
            return number
        found: ir.Value = rest if number == 1 else self.op.Mul(rest, self.op.ints([number]))
        return found

    def quotient(self, d: Dim, number: int) -> Dim:
        """A dimension divided by a number that divides it."""
        if isinstance(d, int):
            return d // number
        found: ir.Value = d if number == 1 else self.op.Div(d, self.op.ints([number]))
        return found

    def reshape(self, x: ir.Value, dims: Sequence[Dim]) -> ir.Value:
        """``x`` in the shape of these dimensions, of which one that is not known is left to the operator."""
        unknown = [i for i, d in enumerate(dims) if not isinstance(d, int)]
        if len(unknown) == 1 and 0 not in dims:
            target = self.op.ints([-1 if not isinstance(d, int) else d for d in dims])
            found: ir.Value = self.op.Reshape(x, target)
        else:
            found = self.op.reshape(x, self.vector(dims))
        if found is not x:
            known = ir.Shape([d if isinstance(d, int) else None for d in dims])
            found.shape = merged(known, found.shape)
        return found

    # --- values ---------------------------------------------------------------------------------------------------

    def aligned(self, arg: Arg, rank: int) -> ir.Value:
        """The value, so that it broadcasts against batched values of this rank: ones go behind the seeds."""
        missing = rank - (arg.rank or 0)
        if not arg.batched or missing <= 0:
            return arg.value
        found: ir.Value = self.op.Unsqueeze(arg.value, self.op.ints(range(1, missing + 1)))
        return found

    def expanded(self, arg: Arg) -> ir.Value:
        """The value with a leading dimension, repeated where it had none."""
        if arg.batched:
            return arg.value
        op = self.op
        count = op.ints([self.count]) if isinstance(self.count, int) else self.count
        static = op.static(arg.value)
        if static is not None and isinstance(self.count, int):
            shape = op.ints([self.count, *static])
        elif arg.rank == 0:
            shape = count
        else:
            shape = op.Concat(count, op.shape(arg.value), axis=0)
        return self.typed(op.Expand(arg.value, shape), arg.old)

    def transposed(self, x: ir.Value, perm: Sequence[int]) -> ir.Value:
        """``x`` with its axes in another order."""
        if list(perm) == list(range(len(perm))):
            return x
        found: ir.Value = self.op.Transpose(x, perm=list(perm))
        return found

    def moved(self, x: ir.Value, start: int, end: int, rank: int) -> ir.Value:
        """``x``, of this rank with all its axes, with one axis moved."""
        perm = [i for i in range(rank) if i != start]
        perm.insert(end, start)
        return self.transposed(x, perm)

    def axes(self, arg: Arg) -> ir.Value:
        """Axes one further back; those that are counted from the end stay."""
        if (known := arg.constant) is not None:
            return self.op.const(np.where(known < 0, known, known + 1), known.dtype)
        one = self.op.scalar(1, arg.value)
        zero = self.op.scalar(0, arg.value)
        found: ir.Value = self.op.Where(self.op.Less(arg.value, zero), arg.value, self.op.Add(arg.value, one))
        return found


def shifted(axis: int) -> int:
    """The axis one further back, unless it is counted from the end."""
    return axis if axis < 0 else axis + 1


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    return node.attributes[name].as_int() if name in node.attributes else default


def integers(node: ir.Node, name: str) -> list[int] | None:
    """A list of integers, ``None`` when the node does not have it."""
    return list(node.attributes[name].as_ints()) if name in node.attributes else None


def _plain_dims(shape: ir.Shape) -> list[int | str | None]:
    return [d if isinstance(d, int) else d.value for d in shape.dims]


# --- the table of rules -----------------------------------------------------------------------------------------------

Rule = Callable[[Batch, ir.Node, Args], Outputs | None]

RULES: dict[str, Rule] = {}


def rule(op_types: str) -> Callable[[Rule], Rule]:
    """Register the decorated function for operators of ai.onnx, given with spaces between them."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(op_types.split(), function))
        return function

    return register


def only_first(args: Args) -> bool:
    """Whether the first input alone has seeds."""
    return all(a.batched == (i == 0) for i, a in enumerate(args) if a is not None)


def values_of(args: Args) -> list[ir.Value | None]:
    """What stands for the inputs."""
    return [None if a is None else a.value for a in args]


def is_static(arg: Arg) -> bool:
    """Whether all dimensions without seeds are numbers."""
    return arg.old.shape is not None and arg.old.shape.is_static()
