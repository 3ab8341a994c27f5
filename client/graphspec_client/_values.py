"""What the tracer records: values, the nodes that compute them, and the document made of both.

A value is one of four things: a *leaf* (data of the caller, with a slot for its gradient), a *constant* (part of the
graph), an *input* (a symbol, while a function is traced) or an output of a node. Values never change; what is found
out later (the result of a run) is kept beside, as a cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphspec_client import _codec, _current, _dtypes
from graphspec_client._codec import Array
from graphspec_client._exceptions import TraceError

Dim = int | str | None
Shape = tuple[Dim, ...] | None

OPSET = 23  # the first with Attention, RMSNormalization and RotaryEmbedding


@dataclasses.dataclass(slots=True)
class Slot:
    """Where the gradient of a leaf, or of a retained intermediate value, is summed up."""

    grad: Array | Value | None = None


@dataclasses.dataclass(eq=False, slots=True)
class Value:
    """One value of a graph.

    Attributes:
        dtype: The element type, by its name on the wire.
        shape: Sizes (numbers), symbols (strings) and unknown sizes (``None``); ``None`` if not even the rank is known.
        kind: ``"leaf"``, ``"constant"``, ``"input"`` or ``"node"``.
        name: What the caller calls it, or ``None``.
        weak: Whether it takes part in promotion as a Python scalar does.
        requires_grad: Whether a gradient may flow through it to a leaf.
        slot: Where its own gradient goes, or ``None``.
        node: The node that computes it.
        client: The client that evaluates it, or ``None`` for the default one.
        symbolic: Whether it depends on an input, so that it has no value yet.
        data: The array of a leaf or constant; the result of a run, once there was one.
        detached: The value whose array a leaf takes over, once there is one.
        holder: A weak reference to the tensor whose data a leaf is; that may have other data by now.
    """

    dtype: str
    shape: Shape
    kind: str
    name: str | None = None
    weak: bool = False
    requires_grad: bool = False
    slot: Slot | None = None
    node: Node | None = None
    client: Any = None
    symbolic: bool = False
    data: Array | None = None
    detached: Value | None = None
    holder: Callable[[], Any] | None = None

    @property
    def rank(self) -> int:
        """The number of axes; found out through the service if the operator leaves it open."""
        return len(known_shape(self))

    def array(self) -> Array:
        """The data of a leaf or constant."""
        if self.data is None and self.detached is not None:
            self.data = evaluate([self.detached])[0]
        assert self.data is not None, f"a {self.kind} has no data of its own"
        return self.data


@dataclasses.dataclass(eq=False, slots=True)
class Node:
    """One operator at work: ``outputs = op_type(*inputs, **attributes)``.

    Attributes:
        functions: The model-local functions that the document needs for it.
    """

    op_type: str
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any]
    domain: str = ""
    outputs: tuple[Value, ...] = ()
    where: str = ""
    overload: str = ""
    functions: tuple[Mapping[str, Any], ...] = ()


def known_shape(value: Value) -> tuple[Dim, ...]:
    """The shape, with its rank known: by the tracer, or else by evaluating the value.

    Raises:
        TraceError: The value is symbolic, and the operator that makes it leaves its rank open.
    """
    if value.shape is None:
        if value.symbolic:
            op_type = value.node.op_type if value.node else value.kind
            raise TraceError(f"The rank of the output of {op_type} is not known while tracing; reshape it first.")
        (array,) = evaluate([value])
        value.shape = array.shape
    return value.shape


def leaf(array: Array, **fields: Any) -> Value:
    """Data of the caller; the array must not be changed afterwards."""
    return Value(_dtypes.wire_name(array.dtype), array.shape, "leaf", data=array, **fields)


def constant(data: Any, dtype: str, *, weak: bool = False) -> Value:
    """Data that is part of the graph: scalars in expressions, axes, shapes.

    Raises:
        OverflowError: A Python integer that the dtype cannot hold.
    """
    array = np.array(data, _dtypes.numpy_dtype(dtype))
    return Value(dtype, array.shape, "constant", data=array, weak=weak)


def ints(data: Sequence[int] | int) -> Value:
    """An int64 constant, as ONNX wants axes, shapes and indices."""
    return constant(data, "int64")


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A recorded graph, ready for the service.

    Attributes:
        document: The JSON form of the graph; equal graphs give equal documents, whatever their data.
        feeds: The leaves' arrays by name (none when leaves became parameters).
        leaves: The leaves by name.
        inputs: What stands for each input of the document: a leaf, or a symbol.
        names: The name of every value in the document, by the value's ``id``.
        outputs: The names of the outputs, in the order asked for.
        values: The outputs by name.
        nodes: The nodes by their names in the document.
    """

    document: dict[str, Any]
    feeds: dict[str, Array]
    leaves: dict[str, Value]
    inputs: dict[str, Value]
    names: dict[int, str]
    outputs: list[str]
    values: dict[str, Value]
    nodes: dict[str, Node]


def record(
    outputs: Sequence[Value],
    *,
    name: str = "traced",
    inputs: Sequence[Value] = (),
    stop: Callable[[Value], bool] = lambda value: False,
    bake: bool = False,
) -> Program:
    """The document that computes ``outputs``.

    Args:
        outputs: The values wanted.
        name: The name of the graph.
        inputs: Symbols in the order in which the graph lists them; those that no output needs are left out.
        stop: Whether the array at hand is taken for a value, instead of the nodes that compute it.
        bake: Whether leaves become parameters of the graph (for one that is stored) or inputs, fed with each run.
    """
    writer = _Writer(stop, bake)
    order = _sorted(outputs, stop)
    wanted = {id(value) for value in order}
    for value in [*(v for v in inputs if id(v) in wanted), *order]:
        writer.add(value)
    names = [writer.output(value) for value in outputs]
    document: dict[str, Any] = {"graphspec": 1, "name": name, "opset": OPSET, "inputs": writer.inputs}
    if writer.parameters:
        document["parameters"] = writer.parameters
    if writer.domains:
        document["opset"] = {"": OPSET, **dict.fromkeys(sorted(writer.domains), 1)}
    if writer.functions:
        document["functions"] = list(writer.functions.values())
    document |= {"nodes": writer.nodes, "outputs": dict(zip(names, map(_declared, outputs), strict=True))}
    inputs_by_name = {writer.names[id(v)]: v for v in order if writer.names[id(v)] in writer.inputs}
    values = dict(zip(names, outputs, strict=True))
    return Program(document, writer.feeds, writer.leaves, inputs_by_name, writer.names, names, values, writer.recorded)


def _declared(value: Value) -> dict[str, Any]:
    """The type that an output is declared to have, as far as it is known."""
    return {"dtype": value.dtype} | ({} if value.shape is None else {"shape": list(value.shape)})


def ancestors(outputs: Iterable[Value]) -> list[Value]:
    """The values that ``outputs`` depend on, themselves included, each after those it depends on."""
    return _sorted(outputs, lambda value: False)


def _sorted(outputs: Iterable[Value], stop: Callable[[Value], bool]) -> list[Value]:
    order: list[Value] = []
    seen: set[int] = set()
    stack = [(value, False) for value in reversed(list(outputs))]
    while stack:
        value, ready = stack.pop()
        if ready:
            order.append(value)
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        stack.append((value, True))
        if value.node is not None and not stop(value):
            stack += [(v, False) for v in reversed(value.node.inputs) if v is not None and id(v) not in seen]
    return order


class _Writer:
    """Names values and nodes, and writes them down as parts of a document."""

    def __init__(self, stop: Callable[[Value], bool], bake: bool) -> None:
        self.stop, self.bake = stop, bake
        self.inputs: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.nodes: list[dict[str, Any]] = []
        self.domains: set[str] = set()
        self.functions: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        self.feeds: dict[str, Array] = {}
        self.leaves: dict[str, Value] = {}
        self.names: dict[int, str] = {}
        self.recorded: dict[str, Node] = {}
        self.taken: set[str] = set()
        self.constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.outputs: set[str] = set()

    def add(self, value: Value) -> None:
        if id(value) in self.names:
            return
        if value.kind == "input":
            self.names[id(value)] = name = self.unique(value.name, "x", len(self.inputs))
            self.inputs[name] = {"dtype": value.dtype, "shape": list(value.shape or ())}
        elif value.kind == "constant":
            self.add_constant(value)
        elif value.kind == "leaf" or self.stop(value):
            self.add_leaf(value)
        else:
            self.add_node(value)

    def add_constant(self, value: Value) -> None:
        array = value.array()
        key = (value.dtype, array.shape, array.tobytes())
        if value.dtype == "string" or key not in self.constants:
            self.constants[key] = self.unique(None, "c", len(self.parameters))
            self.parameters[self.constants[key]] = _codec.encode(array)
        self.names[id(value)] = self.constants[key]

    def add_leaf(self, value: Value) -> None:
        array = value.array()
        if self.bake:
            name = self.unique(value.name, "p", len(self.parameters))
            self.parameters[name] = _codec.encode(array)
        else:
            name = self.unique(value.name, "x", len(self.inputs))
            self.inputs[name] = {"dtype": value.dtype, "shape": list(array.shape)}
            self.feeds[name] = array
        self.names[id(value)], self.leaves[name] = name, value

    def add_node(self, value: Value) -> None:
        node = value.node
        assert node is not None, "a value that is none of the other kinds comes from a node"
        count = len(self.recorded)
        for output in node.outputs:
            self.names[id(output)] = self.unique(output.name, "v", len(self.names))
        name = self.unique(None, f"{node.op_type}_", count)
        entry: dict[str, Any] = {"op": node.op_type}
        if node.domain:
            entry["domain"] = node.domain
            self.domains.add(node.domain)
        if node.overload:
            entry["overload"] = node.overload
        for function in node.functions:
            self.add_function(function)
        entry |= {"name": name, "inputs": [self.names[id(v)] if v is not None else "" for v in node.inputs]}
        entry["outputs"] = [self.names[id(output)] for output in node.outputs]
        if node.attributes:
            entry["attributes"] = node.attributes
        self.nodes.append(entry)
        self.recorded[name] = node

    def add_function(self, function: Mapping[str, Any]) -> None:
        key = (function.get("domain", ""), function["name"], function.get("overload", ""))
        if self.functions.setdefault(key, function) != function:
            raise TraceError(f"Two derivatives in one graph bring functions of one name, {key[1]!r}, that differ.")
        self.domains.add(key[0])
        opset = function.get("opset")
        self.domains |= set(opset) - {""} if isinstance(opset, dict) else set()

    def output(self, value: Value) -> str:
        """The name under which the graph gives the value; a copy where a graph may not give the value itself."""
        name = self.names[id(value)]
        if name in self.outputs or name in self.inputs or name in self.parameters:
            source, name = name, self.unique(None, "y", len(self.outputs))
            self.nodes.append({"op": "Identity", "inputs": [source], "outputs": [name]})
        self.outputs.add(name)
        return name

    def unique(self, wanted: str | None, prefix: str, number: int) -> str:
        name = wanted or f"{prefix}{number}"
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def common_client(values: Iterable[Value | None]) -> Any:
    """The one client that these values belong to.

    Raises:
        ValueError: They belong to different ones.
    """
    clients = {id(v.client): v.client for v in values if v is not None and v.client is not None}
    if len(clients) > 1:
        raise ValueError("Tensors of different clients meet in one operation.")
    return next(iter(clients.values()), None)


def refuse_symbol(value: Value) -> None:
    """Refuse to evaluate a value that has none yet.

    Raises:
        TraceError: The value stands for whatever a function will be called with.
    """
    if value.symbolic:
        raise TraceError(
            "While a function is traced its tensors have no values: Python cannot branch on them, loop over them or "
            "convert them. Choose by np.where(condition, a, b) in place of if."
        )


def client_of(values: Sequence[Value]) -> Any:
    """The client of these values, or the default one.

    Raises:
        TraceError: A value is symbolic.
        TypeError: The client is one to be awaited.
    """
    for value in values:
        refuse_symbol(value)
    client = common_client(values)
    if client is None:
        return _current.current()
    if client.awaits:
        raise TypeError("These tensors belong to an AsyncClient: await client.evaluate(x), await client.backward(x).")
    return client


def evaluate(values: Sequence[Value]) -> tuple[Array, ...]:
    """The values' arrays, by the client that they belong to.

    Raises:
        TraceError: A value is symbolic.
        TypeError: The client is one to be awaited.
    """
    if all(value.data is not None for value in values):
        return tuple(value.array() for value in values)
    arrays: tuple[Array, ...] = client_of(values).evaluate(*values)
    return arrays
