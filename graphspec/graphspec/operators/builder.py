"""The builder: emits standard ONNX nodes, and knows the type and shape of every value it emits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from graphspec import dtypes
from graphspec.inference import infer_node

Dims = tuple[int | str | None, ...]


class Builder:
    """Emits nodes by attribute access: ``op.Mul(a, b)``, ``op.Split(x, axis=0, outputs=3)``.

    Inputs are values or ``None`` (an optional input left out), attributes are keywords under their ONNX names, and the
    result is one value, or a tuple when ``outputs`` is given. Nothing but the builder's own list is changed: whoever
    owns the graph takes ``nodes`` from it.

    Args:
        opset_imports: Domains and versions of the graph that the nodes go to.
        names: Names already taken; the names given out are added to it.
        ir_version: The model's IR version, for inference.
    """

    def __init__(self, opset_imports: Mapping[str, int], names: set[str], ir_version: int = 10) -> None:
        self.opset_imports = opset_imports
        self.names = names
        self.ir_version = ir_version
        self.nodes: list[ir.Node] = []
        self._constants: dict[tuple[Any, ...], ir.Value] = {}
        self._tried: dict[str, int] = {}

    @property
    def opset(self) -> int:
        """Version of the default domain."""
        return self.opset_imports[""]

    # --- emitting -----------------------------------------------------------------------------------------------

    def __getattr__(self, op_type: str) -> Callable[..., Any]:
        if not op_type[:1].isupper():
            raise AttributeError(op_type)

        def emit(*inputs: ir.Value | None, outputs: int | None = None, **attributes: Any) -> Any:
            return self.emit(op_type, inputs, attributes, outputs)

        return emit

    def emit(
        self,
        op_type: str,
        inputs: Iterable[ir.Value | None],
        attributes: Mapping[str, Any] | None = None,
        outputs: int | None = None,
        domain: str = "",
    ) -> Any:
        """Emit one node and infer its outputs; see the class for the arguments."""
        schema: Any = onnx.defs.get_schema(op_type, self.opset_imports[domain], domain)  # Any: its stubs lack enums
        kept = list(inputs)
        while kept and kept[-1] is None:
            kept.pop()
        attrs = [
            value
            if isinstance(value, ir.Attr)
            else ir.convenience.convert_attribute(
                name, _plain(value), ir.AttributeType(int(schema.attributes[name].type))
            )
            for name, value in (attributes or {}).items()
            if value is not None
        ]
        node = ir.Node(domain, op_type, kept, attrs, num_outputs=outputs or 1, name=self.fresh(op_type))
        for output in node.outputs:
            output.name = self.fresh(f"{op_type}_out")
        for output, known in zip(
            node.outputs, infer_node(node, self.opset_imports, ir_version=self.ir_version), strict=True
        ):
            if known is not None:
                output.type, output.shape = known.type, known.shape
        self.nodes.append(node)
        return node.outputs[0] if outputs is None else tuple(node.outputs)

    def output(self, y: ir.Value, index: int) -> ir.Value:
        """Another output of the node that gives ``y``; the node is made to give it if it did not.

        Only for nodes of a graph that the caller of the transform owns.
        """
        node = y.producer()
        assert node is not None
        if len(node.outputs) <= index:
            node.resize_outputs(index + 1)
        output = node.outputs[index]
        if not output.name:
            output.name = self.fresh(f"{node.op_type}_out")
        if output.type is None:
            inferred = infer_node(node, self.opset_imports, ir_version=self.ir_version)
            known = inferred[index]
            if known is not None:
                output.type, output.shape = known.type, known.shape
        return output

    def fresh(self, stem: str) -> str:
        """A name not taken yet: ``stem`` itself, or with the first free number behind it."""
        name, n = stem, self._tried.get(stem, 1)
        while name in self.names:
            n += 1
            name = f"{stem}_{n}"
        self._tried[stem] = n  # so that the next search starts here: the search as a whole stays linear
        self.names.add(name)
        return name

    # --- constants ----------------------------------------------------------------------------------------------

    def const(self, values: npt.ArrayLike, dtype: Any = None) -> ir.Value:
        """A constant; equal ones are emitted once."""
        array = np.asarray(values, dtype=None if dtype is None else dtypes.of(dtype).numpy)
        key = (array.dtype, array.shape, array.tobytes())
        if key not in self._constants:
            value: ir.Value = self.emit("Constant", (), {"value": ir.AttrTensor("value", ir.Tensor(array))})
            self._constants[key] = value
        return self._constants[key]

    def ints(self, values: Iterable[int]) -> ir.Value:
        """A constant int64 vector (axes, a shape, pads ...)."""
        return self.const(np.array(list(values), dtype=np.int64))

    def scalar(self, value: float, like: ir.Value) -> ir.Value:
        """A constant of rank 0 with the dtype of ``like``."""
        return self.const(np.array(value, dtype=self.numpy_dtype(like)))

    def zeros_like(self, x: ir.Value) -> ir.Value:
        """Zeros with the shape and dtype of ``x``."""
        return self.full_like(x, 0)

    def ones_like(self, x: ir.Value) -> ir.Value:
        """Ones with the shape and dtype of ``x``."""
        return self.full_like(x, 1)

    def full_like(self, x: ir.Value, value: float) -> ir.Value:
        """``value`` everywhere, with the shape and dtype of ``x``."""
        if self.dims(x) == ():
            return self.scalar(value, x)
        return self.expand(self.scalar(value, x), self.shape(x))

    # --- what is known of a value -------------------------------------------------------------------------------

    def dtype(self, x: ir.Value) -> ir.DataType:
        """ONNX dtype of ``x``."""
        if x.dtype is None:
            raise TypeError(f"The dtype of value {x.name!r} is not known.")
        return x.dtype

    def numpy_dtype(self, x: ir.Value) -> np.dtype[Any]:
        """NumPy dtype of ``x``."""
        return dtypes.of(int(self.dtype(x))).numpy

    def dims(self, x: ir.Value) -> Dims | None:
        """Dimensions of ``x``: an int, a symbol's name, or ``None`` each; ``None`` when the rank is unknown."""
        if x.shape is None:
            return None
        return tuple(d if isinstance(d, int) else d.value for d in x.shape.dims)

    def static(self, x: ir.Value) -> tuple[int, ...] | None:
        """Dimensions of ``x`` when all are known numbers, else ``None``."""
        dims = self.dims(x)
        if dims is None or not all(isinstance(d, int) for d in dims):
            return None
        return tuple(d for d in dims if isinstance(d, int))

    def rank(self, x: ir.Value) -> int | None:
        """Rank of ``x``, or ``None`` when unknown."""
        return None if x.shape is None else x.shape.rank()

    def same_shape(self, x: ir.Value, y: ir.Value) -> bool:
        """Whether both shapes are known to be equal, equal symbols included."""
        a, b = self.dims(x), self.dims(y)
        return a is not None and a == b and None not in a

    # --- shapes as values ---------------------------------------------------------------------------------------

    def shape(self, x: ir.Value) -> ir.Value:
        """The shape of ``x`` as an int64 vector: a constant when it is static."""
        static = self.static(x)
        out: ir.Value = self.ints(static) if static is not None else self.Shape(x)
        return out

    def size(self, x: ir.Value) -> ir.Value:
        """The number of elements of ``x`` as an int64 scalar: a constant when it is static."""
        static = self.static(x)
        return self.const(np.array(int(np.prod(static)), np.int64)) if static is not None else self.Size(x)

    def dim(self, x: ir.Value, axis: int) -> ir.Value:
        """One dimension of ``x`` as an int64 vector of length 1."""
        dims = self.dims(x)
        if dims is not None and isinstance(d := dims[axis], int):
            return self.ints([d])
        # Behind the last axis, counted from the end, there is no number to name: the end is left out.
        out: ir.Value = self.Shape(x, start=axis, end=axis + 1 or None)
        return out

    def reshape(self, x: ir.Value, shape: ir.Value | Iterable[int]) -> ir.Value:
        """``x`` in another shape, zeros taken literally; nothing is emitted when it is that already."""
        target = shape if isinstance(shape, ir.Value) else self.ints(shape)
        if (known := _constant_dims(target)) is not None and known == self.static(x):
            return x
        allowzero = 1 if known is None or 0 in known else None
        out: ir.Value = self.Reshape(x, target, allowzero=allowzero)
        return out

    def reshape_like(self, g: ir.Value, x: ir.Value) -> ir.Value:
        """``g`` in the shape of ``x``."""
        if self.same_shape(g, x):
            return g
        written = self._written(g, x)
        out = self.reshape(g, self.shape(x)) if written is None else self.Reshape(g, self.ints(written))
        out.shape = x.shape if x.shape is not None else out.shape
        return out

    def _written(self, g: ir.Value, x: ir.Value) -> list[int] | None:
        """A target for Reshape that needs no number known only at run time: 0 copies a dimension, one -1 is inferred.

        ``None`` where there is none, and where all dimensions are known anyway.
        """
        have, want = self.dims(g), self.dims(x)
        if have is None or want is None or 0 in want or self.static(x) is not None:
            return None
        copied = [d is not None and i < len(have) and have[i] == d for i, d in enumerate(want)]
        target = [d if isinstance(d, int) else 0 if same else -1 for d, same in zip(want, copied, strict=True)]
        # Beside a dimension that is copied, and may be 0 then, -1 could be any number.
        return target if -1 not in target or (target.count(-1) == 1 and 0 not in target) else None

    def expand(self, x: ir.Value, shape: ir.Value) -> ir.Value:
        """``x`` broadcast to ``shape``; nothing is emitted when it has that shape already."""
        if (known := _constant_dims(shape)) is not None and known == self.static(x):
            return x
        out: ir.Value = self.Expand(x, shape)
        return out

    def expand_like(self, g: ir.Value, x: ir.Value) -> ir.Value:
        """``g`` broadcast to the shape of ``x`` (which it must not exceed)."""
        if self.same_shape(g, x):
            return g
        out = self.expand(g, self.shape(x))
        out.shape = x.shape if x.shape is not None else out.shape
        return out

    def cast(self, x: ir.Value, dtype: ir.DataType | ir.Value) -> ir.Value:
        """``x`` in a dtype (or that of a value); nothing is emitted when it is that already."""
        target = self.dtype(dtype) if isinstance(dtype, ir.Value) else dtype
        if x.dtype == target:
            return x
        out: ir.Value = self.Cast(x, to=int(target))
        return out

    # --- sums ---------------------------------------------------------------------------------------------------

    def reduce_sum(self, x: ir.Value, axes: Iterable[int] | None, keepdims: bool = True) -> ir.Value:
        """Sum over ``axes`` (all when ``None``); nothing is emitted for an empty list."""
        if axes is None:
            out: ir.Value = self.ReduceSum(x, keepdims=int(keepdims))
            return out
        listed = list(axes)
        return self.ReduceSum(x, self.ints(listed), keepdims=int(keepdims)) if listed else x

    def unbroadcast(self, g: ir.Value, x: ir.Value) -> ir.Value:
        """Sum ``g`` over the axes along which ``x`` was broadcast, so that it has the shape of ``x``.

        Equal shapes, static or by equal symbols, emit nothing; where the shapes are only known at run time the axes
        are computed at run time.
        """
        have, want = self.dims(g), self.dims(x)
        if have is not None and want is not None:
            if have == want and None not in have:
                return g
            padded: Dims = (1,) * (len(have) - len(want)) + want
            settled = all(w == h or (w == 1 and h is not None) for h, w in zip(have, padded, strict=True))
            if settled and None not in want:
                lead = list(range(len(have) - len(want)))
                inner = [i for i, (h, w) in enumerate(zip(have, padded, strict=True)) if w == 1 and h != 1]
                kept = [i for i in inner if i not in lead]
                if lead and not kept:
                    return self.reduce_sum(g, lead, keepdims=False)
                if lead:  # sum all with kept dimensions first, then drop the leading ones
                    g = self.reduce_sum(g, lead, keepdims=False)
                    kept = [i - len(lead) for i in kept]
                return self.reduce_sum(g, kept)
        # Axes where x has 1 (or nothing) are summed; where g has 1 there too, the sum changes nothing.
        target = self.shape(x)
        missing = self.Sub(self.Size(self.Shape(g)), self.Size(target))
        ones = self.Expand(self.ints([1]), self.Reshape(missing, self.ints([1])))
        padded_shape = self.Concat(ones, target, axis=0)
        axes = self.Reshape(self.NonZero(self.Equal(padded_shape, self.ints([1]))), self.ints([-1]))
        out: ir.Value = self.Reshape(self.ReduceSum(g, axes, noop_with_empty_axes=1), target, allowzero=1)
        out.shape = x.shape if x.shape is not None else out.shape
        return out


def _plain(value: Any) -> Any:
    """An attribute as plain Python: NumPy scalars and arrays become ints, floats, lists or tensors."""
    if isinstance(value, np.ndarray):
        return ir.tensor(value)
    return value.item() if isinstance(value, np.generic) else value


def _constant_dims(shape: ir.Value) -> tuple[int, ...] | None:
    tensor = ir.convenience.get_const_tensor(shape)
    return None if tensor is None else tuple(int(d) for d in tensor.numpy())
