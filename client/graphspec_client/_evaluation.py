"""Values of tensors, and gradients into them: each takes one run of the graph recorded so far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphspec_client import _inline, _values
from graphspec_client._answers import Answer
from graphspec_client._codec import Array
from graphspec_client._elementwise import add, multiply
from graphspec_client._emit import emit, lift
from graphspec_client._exceptions import GraphSpecClientError
from graphspec_client._reductions import sum_
from graphspec_client._requests import Flow, ask
from graphspec_client._values import Program, Slot, Value, refuse_symbol


def evaluate_flow(_client: Any, *tensors: Any) -> Flow[tuple[Array, ...]]:
    """The values of several tensors, in one run; each keeps its own for later.

    Args:
        *tensors: What to compute.

    Returns:
        Their arrays, in order. They are read-only, since the tensors keep them.
    """
    values = [lift(tensor) for tensor in tensors]
    for value in values:
        refuse_symbol(value)
    yield from _detached(_client, values)
    missing = [value for value in dict.fromkeys(values) if value.data is None]
    if missing:
        program = _values.record(missing, stop=lambda value: value.data is not None)
        answer = yield from _run(program)
        for value, name in zip(missing, program.outputs, strict=True):
            _keep(value, answer.outputs[name])
    return tuple(value.array() for value in values)


def _detached(_client: Any, values: Sequence[Value]) -> Flow[None]:
    """Give leaves that are detached from values not run yet the arrays of these, in a run before."""
    waiting = [value for value in _values.ancestors(values) if value.data is None and value.detached is not None]
    if waiting:
        arrays = yield from evaluate_flow(_client, *(value.detached for value in waiting))
        for value, array in zip(waiting, arrays, strict=True):
            value.data = array


def backward_flow(_client: Any, tensor: Any, cotangent: Any = None, *, create_graph: bool = False) -> Flow[None]:
    """Add to ``.grad`` of every leaf that requires it the gradient of a tensor, in one run of both passes.

    Args:
        tensor: A scalar; or a tensor of any shape, with a ``cotangent`` of that shape.
        cotangent: The weights of the tensor's elements, in the sum that is differentiated.
        create_graph: Whether the gradients are tensors, to be differentiated again.

    Raises:
        ValueError: The tensor is no scalar and there is no cotangent, or the cotangent has another shape.
        TypeError: No leaf that the tensor depends on requires a gradient.
    """
    value = lift(tensor)
    refuse_symbol(value)
    targets = [one for one in _values.ancestors([value]) if one.slot is not None and one.requires_grad]
    if not value.requires_grad or not targets:
        raise TypeError("No tensor with requires_grad=True leads here by way of floating-point numbers.")
    if value.shape is None or not all(isinstance(size, int) for size in value.shape):
        yield from evaluate_flow(_client, value)  # as long as its values say
    loss = _scalar(value, cotangent)
    yield from _detached(_client, [loss])
    if create_graph:
        for target, gradient in zip(targets, (yield from _gradients(_client, loss, targets)), strict=True):
            _add(target, gradient)
        return
    extra = [value] if value.kind == "node" and loss is not value and value.data is None else []
    program = _values.record([loss, *extra], stop=lambda one: one.data is not None and not one.requires_grad)
    wrt = [program.names[id(target)] for target in targets]
    answer = yield from _run(program, grad={"of": program.outputs[0], "wrt": wrt})
    for one, name in zip([loss, *extra], program.outputs, strict=True):
        if one.data is None and name in answer.outputs:
            _keep(one, answer.outputs[name])
    for target, name in zip(targets, wrt, strict=True):
        _add(target, answer.gradients[name])


def _gradients(_client: Any, loss: Value, targets: Sequence[Value]) -> Flow[list[Value]]:
    """The gradients of a scalar as values of a graph: the service derives, the nodes are recorded here."""
    program = _values.record([loss])
    wrt = tuple(program.names[id(target)] for target in targets)
    wanted = _inline.Derivative(program.document, "grad", tuple(program.outputs), wrt)
    with located(program):
        document = yield from _inline.tracing(_client, lambda: _inline.document_of(wanted))
    inputs = [program.inputs[name] for name in program.document["inputs"]]
    return _inline.inline(document, inputs, [loss, *targets])[1:]


def _add(target: Value, gradient: Array | Value) -> None:
    assert isinstance(target.slot, Slot), "targets were chosen by their slot"
    before = target.slot.grad
    if before is None:
        target.slot.grad = gradient
    elif isinstance(before, Value) or isinstance(gradient, Value):
        target.slot.grad = add(before, gradient)
    else:
        target.slot.grad = before + gradient


def _scalar(value: Value, cotangent: Any) -> Value:
    """What is differentiated: the value itself, or the sum of its elements times the cotangent's."""
    if value.kind != "node":
        value = emit("Identity", value)  # a graph cannot give its own input
    if cotangent is None:
        if value.shape == ():
            return value
        if all(size == 1 for size in value.shape or ()):
            return sum_(value)
        raise ValueError(
            f"backward() of a tensor of shape {value.shape} needs a cotangent of that shape; of a scalar, none."
        )
    weights = lift(cotangent, value.dtype)
    if weights.shape != value.shape:
        raise ValueError(f"The cotangent has shape {weights.shape}, the tensor {value.shape}.")
    return sum_(multiply(value, weights))


def _run(program: Program, grad: dict[str, Any] | None = None) -> Flow[Answer]:
    with located(program):
        return (yield from ask("outputs", "/v1/run", {"graph": program.document, "grad": grad}, feeds=program.feeds))


@contextmanager
def located(program: Program) -> Iterator[None]:
    """Note on an error of the service where in the caller's code its nodes were written."""
    try:
        yield
    except GraphSpecClientError as error:
        for name in dict.fromkeys(problem.node for problem in error.problems if problem.node in program.nodes):
            node = program.nodes[str(name)]
            error.add_note(f"Node {name!r} ({node.op_type}) was recorded at {node.where}.")
        raise


def _keep(value: Value, array: Array) -> None:
    array.flags.writeable = False
    value.data, value.shape = array, array.shape
