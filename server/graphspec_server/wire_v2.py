"""The messages of /v2: those of the Open Inference Protocol, its extensions included.

Fields that we do not know are let pass: clients send more than the protocol names.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from graphspec_server.wire import Message

_DATA = {"description": "The elements in row-major order, flat or nested.", "type": "array", "items": {}}
_SHAPE = {"type": "array", "items": {"type": "integer", "minimum": 0}}


class OpenMessage(Message):
    """Base of all messages of this protocol."""

    model_config = ConfigDict(extra="ignore")


class OptionalMessage(OpenMessage):
    """Base of those that may be left out: no body is one without fields."""


class InputTensor(OpenMessage):
    """A tensor of a request."""

    name: str
    datatype: str
    """The protocol's name of its type: FP32, INT64, BOOL, BYTES and so on."""

    shape: Annotated[list[int], WithJsonSchema(_SHAPE)]
    data: Annotated[Any, WithJsonSchema(_DATA)] = None
    """Its elements, unless they follow the JSON as bytes."""

    parameters: dict[str, Any] = Field(default={})
    """`binary_data_size`: how many bytes after the JSON are its own."""


class RequestedOutput(OpenMessage):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = Field(default={})
    """`binary_data`: whether its elements are to follow the JSON as bytes."""


class InferRequest(OpenMessage):
    """An inference request."""

    id: str | None = None
    inputs: list[InputTensor]
    outputs: list[RequestedOutput] | None = None
    """The outputs wanted, in the order of the answer; all of them by default."""

    parameters: dict[str, Any] = Field(default={})
    """`binary_data_output`, `seed`; of a derivative `of` and `wrt`: names, as a list or separated by commas."""


class OutputTensor(Message):
    """A tensor of an answer."""

    name: str
    datatype: str
    shape: list[int]
    data: Annotated[Any, WithJsonSchema(_DATA)] = None
    parameters: dict[str, Any] | None = None


class InferAnswer(Message):
    """What an inference gives."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class ServerMetadata(Message):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Message):
    """An input or output of a model; a size that only a run fixes is -1."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Message):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ModelReady(Message):
    """Whether a model takes requests."""

    name: str
    ready: bool


class ModelNames(Message):
    """The models that there are."""

    models: list[str]


class IndexRequest(OptionalMessage):
    """Which models to list."""

    ready: bool = False
    """Only those that take requests."""


class IndexEntry(Message):
    """A version of a model."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str


class LoadRequest(OptionalMessage):
    """What to load under a name; without a body, what was there before it was unloaded."""

    parameters: dict[str, Any] = Field(default={})
    """`file:<version>/model.onnx`: ONNX in base64; `graph:<version>`: the id of a stored graph."""


class UnloadRequest(OptionalMessage):
    """Nothing that is asked here changes what is done: a model's derivatives always go with it."""

    parameters: dict[str, Any] = Field(default={})


class ErrorAnswer(Message):
    """An error."""

    error: str
