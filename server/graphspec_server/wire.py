"""The messages of /v1: what a request may hold, and what an answer holds.

One definition serves both ends: requests are checked against these models, and /docs describes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import ErrorDetails

from graphspec import Problem
from graphspec_server._text import kind_of, nearest, pointer
from graphspec_server.codec import Encoding
from graphspec_server.errors import RequestError

Transform = Literal["grad", "vjp", "jvp", "hvp"]

_VALUES = {"description": "Number, string, boolean or nested lists of them; 'NaN', 'Infinity', '-Infinity' as strings."}
_SHAPE = {"type": "array", "items": {"type": "integer", "minimum": 0}}
_TENSOR = {
    "title": "Tensor",
    "description": "Nested lists (dtype and shape are the graph's), or an object with dtype, shape and data or base64.",
    "anyOf": [
        {"type": ["number", "string", "boolean", "array"], "items": {}},
        {
            "type": "object",
            "properties": {
                "dtype": {"type": "string", "description": "NumPy's name, as in documents."},
                "shape": _SHAPE,
                "data": _VALUES,
                "base64": {"type": "string", "description": "Little-endian, row-major."},
            },
            "additionalProperties": False,
        },
    ],
}
GRAPH_SCHEMA = {
    "title": "Graph",
    "description": "A GraphSpec document (its schema: GET /v1/schema), ONNX in base64, or ONNX text.",
    "anyOf": [
        {"type": "object", "description": "A GraphSpec document.", "required": ["graphspec"]},
        {"type": "object", "properties": {"onnx": {"type": "string", "format": "byte"}}, "required": ["onnx"]},
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    ],
}

# Both are read with care by other hands (codec, library), so their models leave them as they came.
Tensor = Annotated[Any, WithJsonSchema(_TENSOR)]
Graph = Annotated[Any, WithJsonSchema(GRAPH_SCHEMA)]


class Message(BaseModel):
    """Base of all messages: no field but those named, no value turned into another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class RunOptions(Message):
    """What every run takes."""

    feeds: dict[str, Tensor] = {}
    """Values of the graph's inputs, by name."""

    parameters: dict[str, Tensor] = {}
    """Values that replace those of parameters (initializers) for this run only."""

    fetches: list[str] | None = None
    """Names of the values wanted; all outputs of the graph by default."""

    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Where the random numbers of this run start, for nodes without a seed; different from run to run by default."""

    encoding: Encoding = "list"
    """How tensors are written in a JSON answer."""


class GradTarget(Message):
    """A gradient wanted beside the outputs."""

    of: str
    """Name of the scalar to differentiate."""

    wrt: list[str] = Field(min_length=1)
    """Names of the inputs, parameters or intermediate values to differentiate with respect to."""

    allow_unused: bool = False
    """Whether a value that nothing depends on has zeros for its derivative, instead of an error."""


class StoredRunRequest(RunOptions):
    """A run of a stored graph."""

    grad: GradTarget | None = None
    """Gradients to compute in the same pass."""


class RunRequest(StoredRunRequest):
    """A run of a graph that comes with the request."""

    graph: Graph
    """The graph."""


class Checkpoint(Message):
    """Less memory for more work."""

    checkpoint: list[str] = []
    """Names of intermediate values that the backward part computes anew instead of keeping them."""


class Seeds(Message):
    """Several vectors in one run."""

    seeds: int | None = Field(default=None, ge=1, le=2**31)
    """How many vectors there are: cotangents or tangents, and the products, then have a leading dimension of that
    size."""


class Vectors(NamedTuple):
    """The vectors of a product.

    Attributes:
        field: The field that holds them.
        kind: What one is called.
        names: What has one each.
        tensors: They themselves.
        seeds: How many each of them holds, in front.
    """

    field: str
    kind: str
    names: list[str]
    tensors: dict[str, Any]
    seeds: int | None


class ScalarRequest(RunOptions, GradTarget):
    """What derivatives of one scalar of a stored graph take."""


class GradRequest(ScalarRequest, Checkpoint):
    """Gradients of one scalar of a stored graph."""


class JacobianRequest(RunOptions):
    """Jacobians of a stored graph."""

    of: list[str] = Field(min_length=1)
    """Names of the values to differentiate."""

    wrt: list[str] = Field(min_length=1)
    """Names of the values to differentiate with respect to."""

    allow_unused: bool = False
    """Whether a value that nothing depends on has zeros for its derivative, instead of an error."""


class HessianRequest(ScalarRequest):
    """The Hessian of one scalar of a stored graph."""


class VjpRequest(JacobianRequest, Seeds, Checkpoint):
    """A vector-Jacobian product of a stored graph."""

    cotangents: dict[str, Tensor]
    """For each name in `of` a tensor of its shape."""


class JvpRequest(JacobianRequest, Seeds):
    """A Jacobian-vector product of a stored graph."""

    tangents: dict[str, Tensor]
    """For each name in `wrt` a tensor of its shape."""


class HvpRequest(ScalarRequest, Seeds):
    """Gradients of one scalar of a stored graph, and the product of its Hessian with a vector."""

    tangents: dict[str, Tensor]
    """For each name in `wrt` a tensor of its shape."""


DerivativeRequest = ScalarRequest | JacobianRequest


def vectors_of(request: RunOptions) -> Vectors | None:
    """The cotangents or tangents of a request, if it is of a kind that has them."""
    if isinstance(request, VjpRequest):
        return Vectors("cotangents", "cotangent", request.of, request.cotangents, request.seeds)
    if isinstance(request, JvpRequest | HvpRequest):
        return Vectors("tangents", "tangent", request.wrt, request.tangents, request.seeds)
    return None


class DeriveRequest(Checkpoint):
    """A derivative to be stored as a graph of its own."""

    transform: Transform
    """Which derivative: `grad` of one scalar, `vjp` with cotangents or `jvp` with tangents as further inputs, or `hvp`
    of one scalar with tangents."""

    of: str | list[str]
    """Name of the scalar (`grad`, `hvp`), or names of the values (`vjp`, `jvp`), to differentiate."""

    wrt: list[str] = Field(min_length=1)
    """Names of the values to differentiate with respect to."""

    allow_unused: bool = False
    """Whether a value that nothing depends on has zeros for its derivative, instead of an error."""

    seeds: Annotated[int, Field(ge=1, le=2**31)] | Annotated[str, Field(min_length=1)] | None = None
    """How many cotangents or tangents there are, or the name of a dimension: they and the products then have it in
    front."""

    @model_validator(mode="after")
    def _fits_transform(self) -> DeriveRequest:
        if self.transform == "grad" and self.seeds is not None:
            raise ValueError("grad has no cotangents or tangents: it takes no 'seeds'")
        if self.transform in ("jvp", "hvp") and self.checkpoint:
            raise ValueError(f"{self.transform} keeps what it needs: only grad and vjp take a 'checkpoint'")
        if self.transform in ("grad", "hvp") and not isinstance(self.of, str):
            raise ValueError(f"{self.transform} differentiates one scalar: 'of' is a name, not a list")
        return self

    @property
    def of_names(self) -> tuple[str, ...]:
        """The names to differentiate, one or more."""
        return (self.of,) if isinstance(self.of, str) else tuple(self.of)


class TensorAnswer(Message):
    """A tensor of an answer."""

    dtype: str
    shape: list[int]
    data: Annotated[Any, WithJsonSchema(_VALUES)] = None
    base64: str | None = None


class RunAnswer(Message):
    """What a run gives."""

    outputs: dict[str, TensorAnswer]
    """The values fetched."""

    gradients: dict[str, TensorAnswer] | None = None
    """For each name in `wrt` its gradient, of its own shape and dtype; only when asked for."""


class GradAnswer(Message):
    """What a gradient gives: both from one pass."""

    outputs: dict[str, TensorAnswer]
    gradients: dict[str, TensorAnswer]


class VjpAnswer(Message):
    """What a vector-Jacobian product gives: both from one pass."""

    outputs: dict[str, TensorAnswer]
    vjp: dict[str, TensorAnswer]


class JvpAnswer(Message):
    """What a Jacobian-vector product gives: both from one pass."""

    outputs: dict[str, TensorAnswer]
    jvp: dict[str, TensorAnswer]


class HvpAnswer(Message):
    """What the product of a Hessian with a vector gives: all from one pass."""

    outputs: dict[str, TensorAnswer]
    gradients: dict[str, TensorAnswer]
    hvp: dict[str, TensorAnswer]


class JacobianAnswer(Message):
    """Jacobians: for each name in `of` and each in `wrt` one, of the shape of the first followed by the second's."""

    outputs: dict[str, TensorAnswer]
    jacobian: dict[str, dict[str, TensorAnswer]]


class HessianAnswer(Message):
    """A Hessian: for each name in `wrt` and each again a part, of the shape of the first followed by the second's."""

    outputs: dict[str, TensorAnswer]
    hessian: dict[str, dict[str, TensorAnswer]]


class ValueAnswer(Message):
    """What is known of a value before any run; a dimension is a number, a name, or unknown (null)."""

    dtype: str | None
    shape: list[int | str | None] | None


class KnownValue(ValueAnswer):
    """A value and what it is in the graph."""

    kind: Literal["input", "parameter", "intermediate"]


class Description(Message):
    """A stored graph."""

    id: str
    """SHA-256 of the graph's canonical form: the same graph always has the same id."""

    name: str
    inputs: dict[str, ValueAnswer]
    parameters: dict[str, ValueAnswer]
    outputs: dict[str, ValueAnswer]
    opset: int
    upgraded_from: int | None = None
    """Of a derivative: the opset of the graph it was made from, where that had to be converted upward."""

    nodes: int
    bytes: int
    """Size as ONNX."""


class GraphAnswer(Description):
    """A stored graph, and its document."""

    graph: dict[str, Any]
    """The GraphSpec document."""


class GraphList(Message):
    """All stored graphs."""

    graphs: list[Description]


class ProblemAnswer(Message):
    """One finding."""

    code: str
    message: str
    severity: Literal["error", "warning"]
    path: str
    node: str | None = None
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    input: str | None = None
    """Name of the node's input, or of the value asked for."""

    route: str | None = None
    """Of a derivative refused: the names on the way from `wrt` to `of`."""


class ValidateAnswer(Message):
    """Every finding about a graph, and what is known of its values."""

    valid: bool
    problems: list[ProblemAnswer]
    values: dict[str, KnownValue]


class ProblemDetails(Message):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """The kind of error, for programs."""

    problems: list[ProblemAnswer]


class OperatorAnswer(Message):
    """One operator and what is there for it."""

    domain: str
    op_type: str
    since: list[int]
    kernel: bool
    """Whether a kernel computes it."""

    runs: bool
    """Whether it can be run: by a kernel, or through the body that ONNX gives it."""

    derivative: Literal["rule", "function", "zero", "not yet"]


class OperatorList(Message):
    """All operators."""

    operators: list[OperatorAnswer]


class Health(Message):
    """Both words in both answers, since clients differ in which they read."""

    live: bool
    ready: bool


M = TypeVar("M", bound=Message)


def parse(kind: type[M], value: Any) -> M:
    """A request's JSON as the message that its route takes.

    Raises:
        RequestError: A field is unknown, missing or of another type; all of them are reported.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = [_problem(kind, detail) for detail in error.errors(include_url=False, include_context=False)]
        raise RequestError(problems=problems) from None


def _problem(kind: type[Message], detail: ErrorDetails) -> Problem:
    location = detail["loc"]
    path = pointer(*location)
    if detail["type"] == "extra_forbidden":
        name = str(location[-1])
        hint = nearest(name, _fields_at(kind, location[:-1]))
        return Problem(code="unknown-field", message=f"There is no field {name!r} here.", path=path, hint=hint)
    if detail["type"] == "missing":
        return Problem(code="missing-field", message=f"The field {str(location[-1])!r} is missing.", path=path)
    message = detail["msg"].removeprefix("Value error, ")
    return Problem(code="invalid-field", message=message + ".", path=path, found=kind_of(detail["input"]))


def _fields_at(kind: type[Message], location: tuple[int | str, ...]) -> list[str]:
    """The fields of the message, or of the `grad` in it."""
    return list((GradTarget if location else kind).model_fields)
