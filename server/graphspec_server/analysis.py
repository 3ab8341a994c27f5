"""What can be said of a graph without running it: which derivatives it has, and the shapes of its outputs."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

import graphspec as gs
from graphspec import DifferentiationError, FeedError, UnsupportedError, ValueInfo
from graphspec_server.models import is_float
from graphspec_server.records import Record


def orders(model: ir.Model, record: Record) -> tuple[bool, bool]:
    """Whether a graph has derivatives of first order, and of second: of all float outputs by all float inputs."""
    wrt = [name for name, info in record.inputs.items() if is_float(info)]
    of = [name for name in record.outputs if name in record.values and is_float(record.values[name])]
    if not of or not wrt:
        return False, False
    try:
        first = gs.vjp(model, of, wrt, allow_unused=True)
    except (DifferentiationError, UnsupportedError):
        return False, False
    try:
        products = [value.name or "" for value in list(first.graph.outputs)[-len(wrt) :]]
        gs.jvp(first, products, wrt, allow_unused=True)
    except (DifferentiationError, UnsupportedError):
        return True, False
    return True, True


def abstract_outputs(model: ir.Model, record: Record, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, ValueInfo]:
    """What the outputs of a graph will be for inputs of these shapes.

    Args:
        model: The graph; its shapes are changed.
        record: What is known of it.
        shapes: A shape for each input.

    Raises:
        FeedError: An input is unknown, missing or of another rank or size, or only a run could tell.
    """
    if shapes.keys() != record.inputs.keys():
        wanted, given = (", ".join(sorted(names)) for names in (record.inputs, shapes))
        raise FeedError("These are not the inputs.", code="inputs", path="/inputs", expected=wanted, found=given)
    for name, shape in shapes.items():
        known = record.inputs[name].shape
        if known is not None and not _fits(shape, known):
            reason = f"The input {name!r} has another shape."
            raise FeedError(reason, code="shape", path="/inputs", expected=str(list(known)), found=str(list(shape)))
    for value in model.graph.inputs:
        value.shape = ir.Shape(shapes[value.name or ""]) if value.name in shapes else value.shape
    # What was known of values without these shapes would stand in the way of what follows from them.
    for node in model.graph:
        for value in node.outputs:
            value.shape = None
    report = gs.validate(model)
    if report.problems and any(problem.severity == "error" for problem in report.problems):
        raise FeedError("The shapes do not fit together.", code="shape", path="/inputs", found=str(report.problems[0]))
    outputs = {name: report.values[name] for name in record.outputs}
    for name, info in outputs.items():
        if info.shape is None or any(not isinstance(d, int) for d in info.shape):
            raise FeedError(f"Only a run tells the shape of {name!r}.", code="open-size", path="/inputs")
    return outputs


def _fits(shape: tuple[int, ...], known: tuple[int | str | None, ...]) -> bool:
    return len(shape) == len(known) and all(
        not isinstance(wanted, int) or wanted == size for wanted, size in zip(known, shape, strict=True)
    )
