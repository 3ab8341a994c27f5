"""UM-Bridge 1.0, /umbridge/{model}: exact derivatives for its clients in Python, R, Julia, MATLAB and C++."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from graphspec import FeedError, NotDifferentiable, ValueInfo
from graphspec_server import wire_umbridge as wire
from graphspec_server._json import array_json, read_json
from graphspec_server.dataplane import DataPlane
from graphspec_server.errors import UnknownModel
from graphspec_server.executor import Work
from graphspec_server.models import Model, is_float
from graphspec_server.records import Record
from graphspec_server.routes._answers import json_answer
from graphspec_server.routes._bodies import read_compressed
from graphspec_server.vectors import Flat, flat_of, read_inputs, read_vector
from graphspec_server.wire import M, Message, parse

_VERSION = 1.0

# What needs derivatives, and of which order.
_ORDERS: dict[type[Message], int] = {wire.GradientRequest: 1, wire.ApplyJacobianRequest: 1, wire.ApplyHessianRequest: 2}


async def info(request: Request, model: str) -> Response:
    """The protocol's version, and the one model that there is here."""
    await _plain(request, model)
    return json_answer({"protocolVersion": _VERSION, "models": [model]})


async def model_info(request: Request, model: str) -> Response:
    """What a model can do: whatever its operators have derivatives for."""
    _, found, record = await _asked(request, model, wire.SizesRequest)
    flat_of(record, None)
    first, second = await _plane(request).differentiable(found.graph_id)
    support = {"Evaluate": True, "Gradient": first, "ApplyJacobian": first, "ApplyHessian": second}
    return json_answer({"support": support})


async def input_sizes(request: Request, model: str) -> Response:
    """How many numbers each input has."""
    message, _, record = await _asked(request, model, wire.SizesRequest)
    flat = flat_of(record, message.config)
    return json_answer({"inputSizes": flat.lengths(flat.inputs)})


async def output_sizes(request: Request, model: str) -> Response:
    """How many numbers each output has."""
    message, _, record = await _asked(request, model, wire.SizesRequest)
    flat = flat_of(record, message.config)
    return json_answer({"outputSizes": flat.lengths(flat.outputs)})


async def evaluate(request: Request, model: str) -> Response:
    """The outputs of a model."""
    message, found, record = await _asked(request, model, wire.EvaluateRequest)
    flat, values = read_inputs(flat_of(record, message.config), message.input)
    arrays = await _plane(request).run_work(found.graph_id, record, Work(), values)
    return await _answer(request, [arrays.outputs[name] for name in flat.outputs])


async def gradient(request: Request, model: str) -> Response:
    """A vector times the Jacobian of one output and one input."""
    message, found, record = await _asked(request, model, wire.GradientRequest)
    flat, values = read_inputs(flat_of(record, message.config), message.input)
    of, wrt = _chosen(flat.outputs, message.out_wrt, "outWrt"), _chosen(flat.inputs, message.in_wrt, "inWrt")
    cotangent = await _cotangent(request, found, record, flat, values, of, message.sens)
    work = Work("vjp", (of,), (wrt,), (), allow_unused=True)
    arrays = await _plane(request).run_work(found.graph_id, record, work, values, {of: cotangent})
    return await _answer(request, arrays.derivatives["vjp"][wrt])


async def apply_jacobian(request: Request, model: str) -> Response:
    """The Jacobian of one output and one input times a vector."""
    message, found, record = await _asked(request, model, wire.ApplyJacobianRequest)
    flat, values = read_inputs(flat_of(record, message.config), message.input)
    of, wrt = _chosen(flat.outputs, message.out_wrt, "outWrt"), _chosen(flat.inputs, message.in_wrt, "inWrt")
    tangent = read_vector(message.vec, flat.inputs[wrt], values[wrt].shape, "/vec")
    work = Work("jvp", (of,), (wrt,), (), allow_unused=True)
    arrays = await _plane(request).run_work(found.graph_id, record, work, values, {wrt: tangent})
    return await _answer(request, arrays.derivatives["jvp"][of])


async def apply_hessian(request: Request, model: str) -> Response:
    """The derivative of a gradient with respect to one input, along a vector of another."""
    message, found, record = await _asked(request, model, wire.ApplyHessianRequest)
    flat, values = read_inputs(flat_of(record, message.config), message.input)
    of = _chosen(flat.outputs, message.out_wrt, "outWrt")
    wrt, along = _chosen(flat.inputs, message.in_wrt1, "inWrt1"), _chosen(flat.inputs, message.in_wrt2, "inWrt2")
    cotangent = await _cotangent(request, found, record, flat, values, of, message.sens)
    tangent = read_vector(message.vec, flat.inputs[along], values[along].shape, "/vec")
    made = await _plane(request).second_order(found.graph_id, record, (of, wrt, along), values, cotangent, tangent)
    return await _answer(request, made)


async def _cotangent(
    request: Request, model: Model, record: Record, flat: Flat, values: dict[str, np.ndarray], of: str, sens: list[Any]
) -> np.ndarray:
    """The sensitivities in the output's shape; where only a run tells it, there is one."""
    shape = flat.shape(flat.outputs[of])
    if shape is None:
        arrays = await _plane(request).run_work(model.graph_id, record, Work(fetches=(of,)), values)
        shape = arrays.outputs[of].shape
    return read_vector(sens, flat.outputs[of], shape, "/sens")


def _chosen(values: Mapping[str, ValueInfo], place: int, field: str) -> str:
    names = list(values)
    if place >= len(names):
        reason = "There is no such input or output."
        raise FeedError(reason, code="index", path=f"/{field}", expected=f"0 to {len(names) - 1}", found=str(place))
    if not is_float(values[names[place]]):
        reason = f"{names[place]!r} is not floating point, so there is no derivative of it or with respect to it."
        raise NotDifferentiable(reason, code="not-float", path=f"/{field}", found=values[names[place]].dtype)
    return names[place]


async def _plain(request: Request, model: str) -> tuple[Model, Record]:
    found, record = await _plane(request).model(model, None)
    if found.transform != "run":
        raise UnknownModel("Derivatives have their own routes here.", hint="Ask the model itself.", found=model)
    return found, record


async def _asked(request: Request, model: str, kind: type[M]) -> tuple[M, Model, Record]:
    """The message, and the model it is for; whether there is one, and can do it, counts before what is asked of it."""
    body = await read_compressed(request)
    value = await _plane(request).call(lambda: read_json(body))
    name = parse(wire.SizesRequest, value).name
    if name != model:
        raise UnknownModel(f"There is no model {name!r} here.", expected=model, found=name)
    found, record = await _plain(request, model)
    if kind in _ORDERS:
        support = await _plane(request).differentiable(found.graph_id)
        if not support[_ORDERS[kind] - 1]:
            reason = f"The model has no derivatives of order {_ORDERS[kind]} by its inputs."
            raise NotDifferentiable(reason, hint="The graph's /v1 routes say what stands against it.")
    return parse(kind, value), found, record


async def _answer(request: Request, output: Any) -> Response:
    def write() -> Response:
        written = [_numbers(array) for array in output] if isinstance(output, list) else _numbers(output)
        return json_answer({"output": written})

    return await _plane(request).call(write)


def _numbers(array: np.ndarray) -> orjson.Fragment:
    """All elements; NaN and infinities as the protocol's own servers write them, which JSON does not have."""
    flat = np.asarray(array, np.float64).reshape(-1)
    return array_json(flat) if np.isfinite(flat).all() else orjson.Fragment(json.dumps(flat.tolist()))


def _plane(request: Request) -> DataPlane:
    plane: DataPlane = request.app.state.data_plane
    return plane
