"""Derivatives of a stored graph, as flows: one table of verbs, and their signatures."""

from __future__ import annotations

import dataclasses
from typing import Any

from graphspec_client._answers import Answer, Description, Matrices
from graphspec_client._codec import Array
from graphspec_client._exceptions import ProtocolError
from graphspec_client._requests import Feeds, Flow, Names, Reply, Stored, exchange, names, post, read


@dataclasses.dataclass(frozen=True, slots=True)
class Verb:
    """How a derivative is asked for.

    Attributes:
        answer: The group of the answer that it is about.
        vectors: The group of tensors that it takes beside the feeds.
        scalar: Whether it differentiates one scalar.
    """

    answer: str
    vectors: str | None = None
    scalar: bool = False


VERBS = {
    "grad": Verb("gradients", scalar=True),
    "vjp": Verb("vjp", "cotangents"),
    "jvp": Verb("jvp", "tangents"),
    "hvp": Verb("hvp", "tangents", scalar=True),
    "jacobian": Verb("jacobian"),
    "hessian": Verb("hessian", scalar=True),
}


def _ask(
    model: Stored,
    verb: str,
    feeds: Feeds | None,
    of: Names,
    wrt: Names,
    vectors: Feeds | None,
    parameters: Feeds | None,
    fetches: Names | None,
    allow_unused: bool,
    seeds: int | None = None,
    checkpoint: Names = (),
) -> Flow[Reply]:
    body = {
        "of": of if VERBS[verb].scalar else names(of),
        "wrt": names(wrt),
        "fetches": None if fetches is None else names(fetches),
        "allow_unused": allow_unused or None,
        "seeds": seeds,
        "checkpoint": names(checkpoint) or None,
    }
    tensors = {"feeds": feeds, "parameters": parameters, VERBS[verb].vectors or "": vectors}
    return (yield from exchange(f"/v1/graphs/{model.id}/{verb}", body, tensors))


def products(
    model: Stored,
    verb: str,
    feeds: Feeds | None,
    of: Names,
    wrt: Names,
    vectors: Feeds | None = None,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
    seeds: int | None = None,
    checkpoint: Names = (),
) -> Flow[Answer]:
    """The answer of a verb that gives arrays by one name."""
    wanted = VERBS[verb].answer
    reply = yield from _ask(model, verb, feeds, of, wrt, vectors, parameters, fetches, allow_unused, seeds, checkpoint)
    return read(reply, lambda groups: Answer.from_groups(groups, wanted), lambda body: Answer.from_json(body, wanted))


def matrices(
    model: Stored,
    verb: str,
    feeds: Feeds | None,
    of: Names,
    wrt: Names,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
) -> Flow[Matrices]:
    """The answer of a verb that gives arrays by two names."""
    rows = names(wrt) if VERBS[verb].scalar else names(of)
    reply = yield from _ask(model, verb, feeds, of, wrt, None, parameters, fetches, allow_unused)
    return read(
        reply,
        lambda groups: Matrices.from_groups(groups, verb, rows, names(wrt)),
        lambda body: Matrices.from_json(body, verb),
    )


def grad(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    of: str,
    wrt: Names,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
    checkpoint: Names = (),
) -> Flow[Answer]:
    """The gradients of one scalar.

    Args:
        feeds: The inputs by name.
        of: The scalar to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.
        allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.
        checkpoint: Intermediate values that the backward part computes anew instead of keeping them: less memory for
            more work.

    Returns:
        The gradients by the names of ``wrt``; ``.outputs`` has the outputs.
    """
    return products(_model, "grad", feeds, of, wrt, None, parameters, fetches, allow_unused, checkpoint=checkpoint)


def value_and_grad(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    of: str,
    wrt: Names,
    parameters: Feeds | None = None,
    checkpoint: Names = (),
) -> Flow[tuple[Array, Answer]]:
    """One scalar and its gradients, in one run.

    Args:
        feeds: The inputs by name.
        of: The scalar to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        checkpoint: Intermediate values that the backward part computes anew instead of keeping them: less memory for
            more work.

    Returns:
        The scalar, and the gradients by the names of ``wrt``.
    """
    answer = yield from grad(_model, feeds, of=of, wrt=wrt, parameters=parameters, fetches=[of], checkpoint=checkpoint)
    if of not in answer.outputs:
        raise ProtocolError(f"The answer has no output {of!r}.")
    return answer.outputs[of], answer


def vjp(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    cotangents: Feeds,
    wrt: Names,
    of: Names | None = None,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
    seeds: int | None = None,
    checkpoint: Names = (),
) -> Flow[Answer]:
    """The vector-Jacobian products: for each of ``wrt`` the sum over ``of`` of cotangent times Jacobian.

    Args:
        feeds: The inputs by name.
        cotangents: For each value of ``of`` an array of its shape.
        wrt: The values to differentiate with respect to.
        of: The values to differentiate; by default those that have a cotangent.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.
        allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.
        seeds: How many cotangents there are: they, and the products, then have a leading dimension of that size.
        checkpoint: Intermediate values that the backward part computes anew instead of keeping them: less memory for
            more work.

    Returns:
        The products by the names of ``wrt``; ``.outputs`` has the outputs.
    """
    targets = names(of) if of is not None else list(cotangents)
    return products(
        _model, "vjp", feeds, targets, wrt, cotangents, parameters, fetches, allow_unused, seeds, checkpoint
    )


def jvp(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    tangents: Feeds,
    of: Names,
    wrt: Names | None = None,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
    seeds: int | None = None,
) -> Flow[Answer]:
    """The Jacobian-vector products: for each of ``of`` the sum over ``wrt`` of Jacobian times tangent.

    Args:
        feeds: The inputs by name.
        tangents: For each value of ``wrt`` an array of its shape.
        of: The values to differentiate.
        wrt: The values to differentiate with respect to; by default those that have a tangent.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.
        allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.
        seeds: How many tangents there are: they, and the products, then have a leading dimension of that size.

    Returns:
        The products by the names of ``of``; ``.outputs`` has the outputs.
    """
    variables = names(wrt) if wrt is not None else list(tangents)
    return products(_model, "jvp", feeds, of, variables, tangents, parameters, fetches, allow_unused, seeds)


def hvp(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    tangents: Feeds,
    of: str,
    wrt: Names | None = None,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
    seeds: int | None = None,
) -> Flow[Answer]:
    """The product of a scalar's Hessian with a vector, and its gradients.

    Args:
        feeds: The inputs by name.
        tangents: For each value of ``wrt`` an array of its shape.
        of: The scalar to differentiate.
        wrt: The values to differentiate with respect to; by default those that have a tangent.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.
        allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.
        seeds: How many tangents there are: they, and the products, then have a leading dimension of that size.

    Returns:
        The products by the names of ``wrt``; ``.gradients`` has the gradients, ``.outputs`` the outputs.
    """
    variables = names(wrt) if wrt is not None else list(tangents)
    return products(_model, "hvp", feeds, of, variables, tangents, parameters, fetches, allow_unused, seeds)


def jacobian(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    of: Names,
    wrt: Names,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
) -> Flow[Matrices]:
    """Whole Jacobians.

    Args:
        feeds: The inputs by name.
        of: The values to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.
        allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.

    Returns:
        For each ``y`` of ``of`` and each ``x`` of ``wrt`` an array of the shape of ``y`` followed by that of ``x``:
        ``["y"]["x"]``; ``.outputs`` has the outputs.
    """
    return matrices(_model, "jacobian", feeds, of, wrt, parameters, fetches, allow_unused)


def hessian(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    of: str,
    wrt: Names,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
    allow_unused: bool = False,
) -> Flow[Matrices]:
    """The whole Hessian of one scalar.

    Args:
        feeds: The inputs by name.
        of: The scalar to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.
        allow_unused: Whether the derivative of what does not depend on ``wrt`` is zeros, and not refused.

    Returns:
        For each two of ``wrt`` an array of the shape of the first followed by that of the second: ``["x"]["w"]``;
        ``.outputs`` has the outputs.
    """
    return matrices(_model, "hessian", feeds, of, wrt, parameters, fetches, allow_unused)


def derive(
    _model: Stored, transform: str, *, of: Names, wrt: Names, allow_unused: bool = False, checkpoint: Names = ()
) -> Flow[Description]:
    """A derivative of the graph as a stored graph of its own."""
    scalar = transform in VERBS and VERBS[transform].scalar
    body: dict[str, Any] = {"transform": transform, "of": of if scalar else names(of), "wrt": names(wrt)}
    body["allow_unused"] = allow_unused or None
    body["checkpoint"] = names(checkpoint) or None
    reply = yield post(f"/v1/graphs/{_model.id}/derive", body)
    return Description.from_json(reply.json())
