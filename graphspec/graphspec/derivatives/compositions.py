"""The public transforms: each takes a model and returns a model that is again standard ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives import _recomputation as recomputation
from graphspec.derivatives import batching, reverse
from graphspec.derivatives._refusals import connected
from graphspec.errors import NotDifferentiable
from graphspec.operators.builder import Builder
from graphspec.optimize import clean, constants_to_initializers


def vjp(
    model: ir.Model, of: Sequence[str], wrt: Sequence[str], *, seeds: int | str | None = None,
    checkpoint: Sequence[str] = (), allow_unused: bool = False,
) -> ir.Model:  # fmt: skip
    """The vector-Jacobian product Σ ct_y · ∂y/∂x as a model.

    Args:
        model: Any model; it is not changed.
        of: Names of the values to differentiate: outputs or intermediates, floating point.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point.
        seeds: How many cotangents there are, or the name of a dimension: cotangents and results then have a leading
            dimension of that size, and what does not depend on them is computed once.
        checkpoint: Names of intermediate values that the backward part computes anew from what is not named here,
            instead of keeping them: less memory for more work.
        allow_unused: Give zeros for a ``wrt`` that ``of`` does not depend on, instead of a refusal.

    Returns:
        A model with the inputs of ``model`` and one ``y_cotangent`` per ``of`` (shape and dtype of ``y``); its outputs
        are those of ``model`` (and ``of``, where it is no output yet), then one ``x_vjp`` per ``wrt`` (shape and dtype
        of ``x``). A name already taken gets a number behind it. Models below opset 18 are converted upward first.

    Raises:
        NotDifferentiable: A name is unknown, not floating point, or not connected; or a value of ``checkpoint`` cannot
            be computed anew.
        NoGradientRule: An operator between ``wrt`` and ``of`` has no rule yet.
        ValidationError: The model's types or shapes do not fit.
    """
    return _reverse(model, of, wrt, "vjp", checkpoint, allow_unused, batching.check_seeds(seeds))


def grad(
    model: ir.Model, of: str, wrt: Sequence[str], *, checkpoint: Sequence[str] = (), allow_unused: bool = False
) -> ir.Model:
    """The gradient ∂of/∂x of a scalar as a model.

    Args:
        model: Any model; it is not changed.
        of: Name of a floating-point value with exactly one element.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point.
        checkpoint: Names of intermediate values that the backward part computes anew from what is not named here,
            instead of keeping them: less memory for more work.
        allow_unused: Give zeros for a ``wrt`` that ``of`` does not depend on, instead of a refusal.

    Returns:
        A model with the inputs of ``model``; its outputs are those of ``model`` (and ``of``, where it is no output
        yet), then one ``x_grad`` per ``wrt``, of the shape and dtype of ``x``. A name already taken gets a number
        behind it. Models below opset 18 are converted upward first.

    Raises:
        NotDifferentiable: ``of`` is no scalar; a name is unknown, not floating point, or not connected; or a value of
            ``checkpoint`` cannot be computed anew.
        NoGradientRule: An operator between ``wrt`` and ``of`` has no rule yet.
        ValidationError: The model's types or shapes do not fit.
    """
    return _reverse(model, [one_scalar(of)], wrt, "grad", checkpoint, allow_unused)


def one_scalar(of: str | Sequence[str]) -> str:
    """The one name in ``of``.

    Raises:
        NotDifferentiable: There are several, or it is no name.
    """
    names = [of] if isinstance(of, str) else list(of) if isinstance(of, Sequence) else [of]
    if len(names) != 1 or not isinstance(names[0], str):
        raise NotDifferentiable(
            f"`of` of a gradient is one scalar, not {of!r}.", code="not-scalar", hint="Use vjp for several outputs."
        )
    return names[0]


def _reverse(
    model: ir.Model, of: Sequence[str], wrt: Sequence[str], kind: str, checkpoint: Sequence[str], allow_unused: bool,
    many: batching.Seeds | None = None,
) -> ir.Model:  # fmt: skip
    of, wrt = listed(of), listed(wrt)
    derived = prepare.flatten(model)
    graph = derived.graph
    sources = prepare.named_values(graph, of, "of")
    targets = prepare.named_values(graph, wrt, "wrt")
    if kind == "grad":
        check_scalar(sources[0])
    if not allow_unused:
        connected(graph, sources, targets)
    recomputation.check(graph, listed(checkpoint))
    prepare.expand_ruleless(derived, of, wrt)
    values = ir.convenience.create_value_mapping(graph)
    sources, targets = [values[n] for n in of], [values[n] for n in wrt]

    op = prepare.builder_of(derived)
    taken = frozenset(op.names)
    names = []
    seeds = {y: op.ones_like(y) if kind == "grad" else _cotangent_input(graph, op, y) for y in sources}
    results = reverse.backward(graph, seeds, targets, op)
    graph.outputs.extend(y for y in sources if y not in graph.outputs)
    for x, dX in zip(targets, results, strict=True):
        # Identity gives the result its name even where it is an input, or one value twice.
        result = op.Identity(op.reshape_like(dX, x) if x.shape is None else dX)
        result.name = op.fresh(f"{x.name}_{kind}")
        result.type, result.shape = x.type, x.shape
        graph.outputs.append(result)
        names.append(result.name)
    graph.extend(recomputation.recompute(graph, op, listed(checkpoint)))
    clean(derived)
    name_results(derived, names, taken)
    if many is not None:
        batching.batch(derived, [seeds[y].name or "" for y in sources], names, many)
    constants_to_initializers(derived)
    return derived


def listed(names: Sequence[str]) -> list[str]:
    """Names, where one alone may be given as it is."""
    return [names] if isinstance(names, str) else list(names)


def check_scalar(value: ir.Value) -> None:
    """Refuse a value that is not known to have exactly one element."""
    shape = value.shape
    if shape is not None and shape.is_static() and int(np.prod(shape.numpy())) == 1:
        return
    found = "unknown" if shape is None else "(" + ", ".join(str(d) for d in shape.dims) + ")"
    raise NotDifferentiable(
        f"The gradient of {value.name!r} is not defined: it is no scalar.",
        code="not-scalar",
        expected="a value with exactly one element, known from the graph",
        found=f"shape {found}",
        hint="Reduce it in the graph (ReduceSum, ReduceMean), or use vjp with a cotangent of its shape.",
    )


def _cotangent_input(graph: ir.Graph, op: Builder, y: ir.Value) -> ir.Value:
    cotangent = ir.Value(name=op.fresh(f"{y.name}_cotangent"), type=y.type, shape=y.shape)
    graph.inputs.append(cotangent)
    return cotangent


def name_results(model: ir.Model, results: list[str], taken: frozenset[str]) -> None:
    """Let the producers of results carry the results' names, so that no Identity is left behind.

    Only values that the transform emitted are renamed: those of the source model (``taken``) keep their names.
    """
    graph = model.graph
    for i, output in enumerate(list(graph.outputs)):
        node = output.producer()
        if output.name not in results or node is None or node.op_type != "Identity":
            continue
        source = node.inputs[0]
        if source is None or source.producer() is None or source.is_graph_output() or source.name in taken:
            continue
        name, output.name = output.name, None
        source.name, source.type, source.shape = name, output.type, output.shape
        output.replace_all_uses_with(source, replace_graph_outputs=True)
        assert graph.outputs[i] is source
        graph.remove(node, safe=True)
