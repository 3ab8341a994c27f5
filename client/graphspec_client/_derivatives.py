"""Forward mode and whole matrices of a stored graph, as flows."""

from __future__ import annotations

from collections.abc import Mapping

from graphspec_client import _bulk
from graphspec_client._answers import Answer, Matrices
from graphspec_client._exceptions import CodecError, ProtocolError
from graphspec_client._requests import Feeds, Flow, Names, Stored, ask, exchange, names


def jvp(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    tangents: Feeds,
    of: Names,
    wrt: Names | None = None,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
) -> Flow[Answer]:
    """The Jacobian-vector products: for each of ``of`` the sum over ``wrt`` of Jacobian times tangent.

    Args:
        feeds: The inputs by name.
        tangents: For each value of ``wrt`` an array of its shape.
        of: The values to differentiate.
        wrt: The values to differentiate with respect to; by default those that have a tangent.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.

    Returns:
        The products by the names of ``of``; ``.outputs`` has the outputs.
    """
    variables = names(wrt) if wrt is not None else list(tangents)
    body = {"of": names(of), "wrt": variables, "fetches": None if fetches is None else names(fetches)}
    path = f"/v1/graphs/{_model.id}/jvp"
    return (yield from ask("jvp", path, body, feeds=feeds, parameters=parameters, tangents=tangents))


def hvp(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    tangents: Feeds,
    of: str,
    wrt: Names | None = None,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
) -> Flow[Answer]:
    """The product of a scalar's Hessian with a vector, and its gradients.

    Args:
        feeds: The inputs by name.
        tangents: For each value of ``wrt`` an array of its shape.
        of: The scalar to differentiate.
        wrt: The values to differentiate with respect to; by default those that have a tangent.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.

    Returns:
        The products by the names of ``wrt``; ``.gradients`` has the gradients, ``.outputs`` the outputs.
    """
    variables = names(wrt) if wrt is not None else list(tangents)
    body = {"of": of, "wrt": variables, "fetches": None if fetches is None else names(fetches)}
    path = f"/v1/graphs/{_model.id}/hvp"
    return (yield from ask("hvp", path, body, feeds=feeds, parameters=parameters, tangents=tangents))


def jacobian(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    of: Names,
    wrt: Names,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
) -> Flow[Matrices]:
    """Whole Jacobians.

    Args:
        feeds: The inputs by name.
        of: The values to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.

    Returns:
        For each ``y`` of ``of`` and each ``x`` of ``wrt`` an array of the shape of ``y`` followed by that of ``x``:
        ``["y"]["x"]``; ``.outputs`` has the outputs.
    """
    body = {"of": names(of), "wrt": names(wrt), "fetches": None if fetches is None else names(fetches)}
    return (yield from _matrices(_model, "jacobian", body, names(of), names(wrt), feeds, parameters))


def hessian(
    _model: Stored,
    feeds: Feeds | None = None,
    *,
    of: str,
    wrt: Names,
    parameters: Feeds | None = None,
    fetches: Names | None = None,
) -> Flow[Matrices]:
    """The whole Hessian of one scalar.

    Args:
        feeds: The inputs by name.
        of: The scalar to differentiate.
        wrt: The inputs, parameters or intermediate values to differentiate with respect to.
        parameters: Values that override the graph's parameters in this run.
        fetches: The values wanted beside, in ``.outputs``; by default the outputs.

    Returns:
        For each two of ``wrt`` an array of the shape of the first followed by that of the second: ``["x"]["w"]``;
        ``.outputs`` has the outputs.
    """
    body = {"of": of, "wrt": names(wrt), "fetches": None if fetches is None else names(fetches)}
    return (yield from _matrices(_model, "hessian", body, names(wrt), names(wrt), feeds, parameters))


def _matrices(
    model: Stored,
    wanted: str,
    body: Mapping[str, object],
    rows: list[str],
    columns: list[str],
    feeds: Feeds | None,
    parameters: Feeds | None,
) -> Flow[Matrices]:
    path = f"/v1/graphs/{model.id}/{wanted}"
    reply = yield from exchange(path, body, {"feeds": feeds, "parameters": parameters})
    try:
        if reply.headers.get("content-type", "").startswith(_bulk.SAFETENSORS):
            return Matrices.from_groups(_bulk.unpack(reply.content), wanted, rows, columns)
        return Matrices.from_json(reply.json(), wanted)
    except CodecError as error:
        raise ProtocolError(f"The answer cannot be read: {error}", status=reply.status) from None
