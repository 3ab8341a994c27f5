"""The messages of UM-Bridge 1.0: models as functions of vectors of numbers.

Fields that we do not know are let pass, as servers of this protocol do.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, WithJsonSchema

from graphspec_server.wire import Message

_NUMBERS = {"type": "array", "items": {"type": "number"}}

Vector = Annotated[list[Any], WithJsonSchema(_NUMBERS)]


class SizesRequest(Message):
    """A question about a model."""

    model_config = ConfigDict(extra="ignore")

    name: str
    """The model, again."""

    config: Annotated[Any, WithJsonSchema({"type": "object"})] = None
    """Sizes of dimensions that the graph only names: `{"n": 4}`."""


class EvaluateRequest(SizesRequest):
    """What a model is evaluated at."""

    input: list[Vector]
    """A vector for each input, row-major."""


class GradientRequest(EvaluateRequest):
    """A vector-Jacobian product of one output and one input."""

    out_wrt: int = Field(alias="outWrt", ge=0)
    in_wrt: int = Field(alias="inWrt", ge=0)
    sens: Vector
    """A vector of the output's size."""


class ApplyJacobianRequest(EvaluateRequest):
    """A Jacobian-vector product of one output and one input."""

    out_wrt: int = Field(alias="outWrt", ge=0)
    in_wrt: int = Field(alias="inWrt", ge=0)
    vec: Vector
    """A vector of the input's size."""


class ApplyHessianRequest(EvaluateRequest):
    """The derivative of the gradient with respect to one input, along a vector of another."""

    out_wrt: int = Field(alias="outWrt", ge=0)
    in_wrt1: int = Field(alias="inWrt1", ge=0)
    in_wrt2: int = Field(alias="inWrt2", ge=0)
    sens: Vector
    """A vector of the output's size."""

    vec: Vector
    """A vector of the second input's size."""


class Info(Message):
    """Which models there are."""

    protocolVersion: float  # noqa: N815 - the protocol's own name
    models: list[str]


class ModelInfo(Message):
    """What a model can do."""

    support: dict[str, bool]


class InputSizes(Message):
    """How many numbers each input has."""

    inputSizes: list[int]  # noqa: N815 - the protocol's own name


class OutputSizes(Message):
    """How many numbers each output has."""

    outputSizes: list[int]  # noqa: N815 - the protocol's own name


class Output(Message):
    """A vector, or one for each output of the model."""

    output: Annotated[list[Any], WithJsonSchema({"type": "array", "items": {}})]


class ErrorText(Message):
    """What went wrong."""

    type: str
    message: str


class UmBridgeError(Message):
    """An error."""

    error: ErrorText
