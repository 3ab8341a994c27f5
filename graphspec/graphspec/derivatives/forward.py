"""Forward mode, as reverse mode twice, and the product of a Hessian with a vector.

A vector-Jacobian product is linear in its cotangent, and so the Jacobian-vector product is its transpose: reverse mode
once with a cotangent that stands for any, and once more from the results to that cotangent, seeded with the tangents.
What belongs to the first product alone is dead then. So one set of rules serves both modes, and they cannot differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphspec.derivatives import _prepare as prepare
from graphspec.derivatives import batching, compositions, reverse
from graphspec.derivatives._refusals import connected
from graphspec.errors import NotDifferentiable
from graphspec.operators.builder import Builder
from graphspec.optimize import clean, constants_to_initializers, propagate

Seed = Callable[[Builder, ir.Value], ir.Value]

# What the cotangent is where the transpose still mentions it. Any number gives the same result: a test changes it.
_STAND_IN = 0.0


def jvp(
    model: ir.Model,
    of: Sequence[str],
    wrt: Sequence[str],
    *,
    seeds: int | str | None = None,
    allow_unused: bool = False,
) -> ir.Model:
    """The Jacobian-vector product Σ ∂y/∂x · t_x as a model.

    Args:
        model: Any model; it is not changed.
        of: Names of the values to differentiate: outputs or intermediates, floating point.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point.
        seeds: How many tangents there are, or the name of a dimension: tangents and results then have a leading
            dimension of that size, and what does not depend on them is computed once.
        allow_unused: Give zeros for an ``of`` that depends on no ``wrt``, instead of a refusal.

    Returns:
        A model with the inputs of ``model`` and one ``x_tangent`` per ``wrt`` (shape and dtype of ``x``); its outputs
        are those of ``model`` (and ``of``, where it is no output yet), then one ``y_jvp`` per ``of`` (shape and dtype
        of ``y``). A name already taken gets a number behind it. Models below opset 18 are converted upward first.

    Raises:
        NotDifferentiable: A name is unknown, not floating point, or not connected.
        NoGradientRule: An operator between ``wrt`` and ``of``, or of its rule, has no rule yet.
        ValidationError: The model's types or shapes do not fit.
    """
    many = batching.check_seeds(seeds)
    of, wrt = compositions.listed(of), compositions.listed(wrt)
    derived = prepare.flatten(model)
    graph = derived.graph
    sources, targets = prepare.named_values(graph, of, "of"), prepare.named_values(graph, wrt, "wrt")
    if not allow_unused:
        connected(graph, sources, targets)
    graph.outputs.extend(y for y in sources if y not in graph.outputs)
    # Before any name is given out: expansions may give new names, but never change one.
    taken = frozenset(prepare.builder_of(derived).names)
    inputs, outputs = len(graph.inputs), len(graph.outputs)

    pulled = _pull(derived, of, wrt, [_input(derived, y, "cotangent") for y in of], "vjp")
    cotangents = [value.name or "" for value in graph.inputs[inputs:]]
    propagate(derived)
    tangents = [_input(derived, x, "tangent") for x in wrt]
    # The transpose's results have the cotangents' names in them; they are renamed after what they are.
    pushed = _pull(derived, pulled, cotangents, tangents, "vjp")
    values = ir.convenience.create_value_mapping(graph)
    op = prepare.builder_of(derived)
    names = []
    for y, result in zip(of, pushed, strict=True):
        values[result].name = op.fresh(f"{y}_jvp")
        names.append(values[result].name or "")
    for _ in pulled:
        graph.outputs.pop(outputs)
    clean(derived)
    _stand_in(derived, dict(zip(cotangents, of, strict=True)))
    compositions.name_results(derived, names, taken)
    if many is not None:
        batching.batch(derived, [v.name or "" for v in graph.inputs[-len(wrt) :]], names, many)
    constants_to_initializers(derived)
    return derived


def hvp(
    model: ir.Model, of: str, wrt: Sequence[str], *, seeds: int | str | None = None, allow_unused: bool = False
) -> ir.Model:
    """The gradient of a scalar and the product of its Hessian with a vector, Σ ∂²of/∂x∂x' · t_x', as a model.

    Args:
        model: Any model; it is not changed.
        of: Name of a floating-point value with exactly one element.
        wrt: Names of inputs, initializers (parameters) or intermediates, floating point; none may be computed from
            another.
        seeds: As for ``jvp``; the gradients are computed once and have no leading dimension.
        allow_unused: Give zeros for a ``wrt`` that ``of`` does not depend on, instead of a refusal.

    Returns:
        A model with the inputs of ``model`` and one ``x_tangent`` per ``wrt`` (shape and dtype of ``x``); its outputs
        are those of ``model`` (and ``of``, where it is no output yet), then one ``x_grad`` per ``wrt``, then one
        ``x_hvp`` per ``wrt``, each of the shape and dtype of ``x``. A name already taken gets a number behind it.
        Models below opset 18 are converted upward first.

    Raises:
        NotDifferentiable: ``of`` is no scalar; a name is unknown, not floating point, or not connected; or a value of
            ``wrt`` is computed from another.
        NoGradientRule: An operator between ``wrt`` and ``of``, or of its rule, has no rule yet.
        ValidationError: The model's types or shapes do not fit.
    """
    many = batching.check_seeds(seeds)
    scalar, wrt = compositions.one_scalar(of), compositions.listed(wrt)
    derived = prepare.flatten(model)
    graph = derived.graph
    sources, targets = prepare.named_values(graph, [scalar], "of"), prepare.named_values(graph, wrt, "wrt")
    compositions.check_scalar(sources[0])
    if not allow_unused:
        connected(graph, sources, targets)
    _independent(graph, targets)
    graph.outputs.extend(y for y in sources if y not in graph.outputs)
    taken = frozenset(prepare.builder_of(derived).names)

    gradients = _pull(derived, [scalar], wrt, [lambda op, y: op.ones_like(y)], "grad")
    propagate(derived)
    # A Hessian is its own transpose, so that one more pass of reverse mode gives the product.
    products = _pull(derived, gradients, wrt, [_input(derived, x, "tangent") for x in wrt], "hvp")
    clean(derived)
    compositions.name_results(derived, [*gradients, *products], taken)
    if many is not None:
        batching.batch(derived, [v.name or "" for v in graph.inputs[-len(wrt) :]], products, many)
    constants_to_initializers(derived)
    return derived


def _input(model: ir.Model, name: str, suffix: str) -> Seed:
    """A seed that is a new input of the graph, ``name_suffix``."""

    def seed(op: Builder, value: ir.Value) -> ir.Value:
        known = ir.convenience.create_value_mapping(model.graph)[name]
        new = ir.Value(name=op.fresh(f"{name}_{suffix}"), type=known.type, shape=known.shape)
        model.graph.inputs.append(new)
        return new

    return seed


def _pull(model: ir.Model, of: Sequence[str], wrt: Sequence[str], seeds: Sequence[Seed], suffix: str) -> list[str]:
    """Put one pass of reverse mode behind a flat model; the names of its results, which become outputs."""
    graph = model.graph
    prepare.expand_ruleless(model, of, wrt)
    values = ir.convenience.create_value_mapping(graph)
    targets = [values[name] for name in wrt]
    op = prepare.builder_of(model)
    cotangents = {values[name]: seed(op, values[name]) for name, seed in zip(of, seeds, strict=True)}
    names = []
    for x, dX in zip(targets, reverse.backward(graph, cotangents, targets, op), strict=True):
        # Identity gives the result its name even where it is an input, or one value twice.
        result = op.Identity(op.reshape_like(dX, x) if x.shape is None else dX)
        result.name = op.fresh(f"{x.name}_{suffix}")
        result.type, result.shape = x.type, x.shape
        graph.outputs.append(result)
        names.append(result.name)
    graph.extend(op.nodes)
    return names


def _stand_in(model: ir.Model, cotangents: dict[str, str]) -> None:
    """Take the cotangents from the inputs; a rule may have left one where only its shape or type counts."""
    graph = model.graph
    values = ir.convenience.create_value_mapping(graph)
    op = prepare.builder_of(model)
    for name, y in cotangents.items():
        cotangent = values[name]
        if cotangent.uses():
            cotangent.replace_all_uses_with(op.full_like(values[y], _STAND_IN))
        graph.inputs.remove(cotangent)
    if op.nodes:
        graph.extend(op.nodes)
        graph.sort()
        clean(model)


def _independent(graph: ir.Graph, wrt: Sequence[ir.Value]) -> None:
    """Refuse a ``wrt`` that is computed from another: a Hessian's variables are free of each other.

    Raises:
        NotDifferentiable: Two of the values are no independent variables.
    """
    for x in wrt:
        moved = prepare.reachable(graph, [x])
        for other in wrt:
            if other is not x and other in moved:
                raise NotDifferentiable(
                    f"{other.name!r} is computed from {x.name!r}: a Hessian's variables are independent of each other.",
                    code="not-independent",
                    expected="values of which none depends on another",
                    found=f"a path of nodes from {x.name!r} to {other.name!r}",
                    hint="Ask for the two in separate calls.",
                )
