"""The messages of Tesseract: models as functions of named arrays."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from graphspec_server.wire import Message

_ARRAY = {
    "title": "Array",
    "description": "Numbers, nested lists of them, or an encoded array.",
    "anyOf": [
        {"type": ["number", "boolean", "array"], "items": {}},
        {
            "type": "object",
            "properties": {
                "object_type": {"const": "array", "type": "string"},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
                "dtype": {"type": "string"},
                "data": {
                    "type": "object",
                    "properties": {"buffer": {}, "encoding": {"enum": ["base64", "raw", "json"]}},
                    "required": ["buffer", "encoding"],
                },
            },
            "required": ["shape", "dtype", "data"],
        },
    ],
}

Array = Annotated[Any, WithJsonSchema(_ARRAY)]
Names = Annotated[list[str], Field(min_length=1)]


class ApplyRequest(Message):
    """The inputs of a model."""

    inputs: dict[str, Array]


class TesseractJacobian(ApplyRequest):
    """Jacobians of some outputs with respect to some inputs."""

    jac_inputs: Names
    jac_outputs: Names


class TesseractJvp(ApplyRequest):
    """A Jacobian-vector product."""

    jvp_inputs: Names
    jvp_outputs: Names
    tangent_vector: dict[str, Array]
    """For each of `jvp_inputs` an array of its shape."""


class TesseractVjp(ApplyRequest):
    """A vector-Jacobian product."""

    vjp_inputs: Names
    vjp_outputs: Names
    cotangent_vector: dict[str, Array]
    """For each of `vjp_outputs` an array of its shape."""


class AbstractArray(Message):
    """An array without its elements."""

    shape: list[Annotated[int, Field(ge=0, lt=2**63)]]
    dtype: str


class AbstractRequest(Message):
    """Shapes of the inputs of a model."""

    inputs: dict[str, AbstractArray]


class Status(Message):
    """That the model answers."""

    status: str


class ErrorDetail(Message):
    """One problem."""

    type: str
    loc: list[str]
    msg: str


class TesseractError(Message):
    """What went wrong."""

    detail: list[ErrorDetail] | str
