"""The JSON document: one pydantic model for each kind of object in it.

The models hold the structure (which fields there are, what is required); ``decode`` gives it meaning. The JSON Schema
is generated from them. Names are ONNX's own where ONNX has the thing. Nothing is nullable except an unknown dimension
and a function's attribute without a default: a field that does not apply is left out.

Fields marked ``SkipValidation`` take more than one form. Pydantic describes them in the schema, and ``decode`` checks
them, because it can say what was expected better than a union can.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, model_validator
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from graphspec import dtypes

VERSION = 1
SCHEMA_ID = "https://graphspec.dev/schema/v1/graphspec.schema.json"

Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Version = Annotated[int, Field(ge=1, le=2**63 - 1)]
Size = Annotated[int, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, Field(min_length=1)]
Strings: TypeAlias = dict[str, str]

#: In a field's place: the field was left out. It is never equal to a value that JSON can hold.
ABSENT: Any = None

DTYPE_NAMES = [row.name for row in dtypes.DTYPES]
UNDEFINED = "undefined"
KindName = Literal[
    "float",
    "int",
    "string",
    "tensor",
    "graph",
    "sparse_tensor",
    "type_proto",
    "floats",
    "ints",
    "strings",
    "tensors",
    "graphs",
    "sparse_tensors",
    "type_protos",
    "undefined",
]


class Object(BaseModel):
    """An object of the document: unknown fields are refused, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Bytes(Object):
    """A string that is not UTF-8, as ONNX allows in attributes and string tensors."""

    base64: str


class SizedDimension(Object):
    """A dimension with a denotation; ``size`` as in the plain form."""

    size: SkipValidation[Int64 | str | None]
    denotation: str = ""


Dimension: TypeAlias = Int64 | str | SizedDimension | None
Shape: TypeAlias = Annotated[
    SkipValidation[list[Dimension]],
    Field(description="One entry a dimension: a size, a symbol, or null where it is unknown. Left out: unknown rank."),
]


class TensorType(Object):
    """Element type and shape."""

    dtype: Annotated[str, Field(json_schema_extra={"enum": [*DTYPE_NAMES, UNDEFINED]})] = UNDEFINED
    shape: Shape = ABSENT


class MapType(Object):
    """From keys (an integer dtype or string) to values of any type."""

    key: Annotated[str, Field(json_schema_extra={"enum": [*DTYPE_NAMES, UNDEFINED]})]
    value: Type


class OpaqueType(Object):
    """A type of another domain that ONNX only knows by name."""

    domain: str = ""
    name: str = ""


_TYPE_FORMS = ("dtype", "sequence", "optional", "map", "sparse_tensor", "opaque")


def _one_type_form(schema: dict[str, Any]) -> None:
    forms: list[dict[str, Any]] = [{"required": [form]} for form in _TYPE_FORMS]
    schema["oneOf"] = [*forms, {"not": {"anyOf": forms}}]
    schema["dependentRequired"] = {"shape": ["dtype"]}


class Type(Object):
    """The type of a value; at most one of ``dtype`` (with ``shape``), ``sequence``, ``optional``, ``map`` and so on."""

    model_config = ConfigDict(json_schema_extra=_one_type_form)

    dtype: Annotated[str, Field(json_schema_extra={"enum": [*DTYPE_NAMES, UNDEFINED]})] = ABSENT
    shape: Shape = ABSENT
    sequence: Type = ABSENT
    optional: Type = ABSENT
    map: MapType = ABSENT
    sparse_tensor: TensorType = ABSENT
    opaque: OpaqueType = ABSENT
    denotation: str = ""


class ValueInfo(Type):
    """The type of a named value, and what is written about it."""

    doc_string: str = ""
    metadata_props: Strings = {}


class Output(ValueInfo):
    """An output of a graph with its declared type."""

    name: str


Scalar: TypeAlias = int | float | bool | str | Bytes
NestedList = TypeAliasType("NestedList", "list[Scalar | NestedList]")


def _data_or_base64(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["data"]}, {"required": ["base64", "shape"]}]


class Tensor(Object):
    """A constant: ``data`` as nested lists (or one flat list), or ``base64`` of the little-endian bytes, row-major."""

    model_config = ConfigDict(json_schema_extra=_data_or_base64)

    dtype: Annotated[str, Field(json_schema_extra={"enum": DTYPE_NAMES})]
    shape: Annotated[list[Size], Field(description="May be left out where the lists of data show it.")] = ABSENT
    data: SkipValidation[Scalar | NestedList] = ABSENT
    base64: str = ABSENT
    name: str = ""
    doc_string: str = ""
    metadata_props: Strings = {}


class SparseTensor(Object):
    """The non-zero ``values`` and their ``indices`` in a dense tensor of this shape."""

    shape: list[Size]
    values: Tensor
    indices: Tensor


class Reference(Object):
    """Inside a function: the value of one of the function's attributes."""

    ref: Name
    kind: KindName = ABSENT
    doc_string: str = ""


class Attribute(Object):
    """An attribute whose kind is written out, for operators whose schema does not tell it."""

    kind: KindName
    value: SkipValidation[AttributeValue] = ABSENT
    doc_string: str = ""


AttributeValue = TypeAliasType(
    "AttributeValue",
    "int | float | str | Bytes | Tensor | SparseTensor | Graph | Type"
    " | list[int | float | str | Bytes | Tensor | SparseTensor | Graph | Type]",
)


class Message(Object):
    """A part of ONNX that has the same fields here as in ONNX's protobuf."""


class SimpleShardedDim(Message):
    """ONNX's SimpleShardedDimProto."""

    dim_value: Int64 = ABSENT
    dim_param: str = ABSENT
    num_shards: Int64 = ABSENT

    @model_validator(mode="after")
    def _one_size(self) -> SimpleShardedDim:
        if {"dim_value", "dim_param"} <= self.model_fields_set:
            raise PydanticCustomError("ambiguous", "either dim_value or dim_param")
        return self


class ShardedDim(Message):
    """ONNX's ShardedDimProto."""

    axis: Int64 = ABSENT
    simple_sharding: list[SimpleShardedDim] = ABSENT


class IntIntListEntry(Message):
    """ONNX's IntIntListEntryProto."""

    key: Int64 = ABSENT
    value: list[Int64] = ABSENT


class ShardingSpec(Message):
    """ONNX's ShardingSpecProto."""

    tensor_name: str = ABSENT
    device: list[Int64] = ABSENT
    index_to_device_group_map: list[IntIntListEntry] = ABSENT
    sharded_dim: list[ShardedDim] = ABSENT


class NodeDeviceConfiguration(Message):
    """ONNX's NodeDeviceConfigurationProto."""

    configuration_id: str = ABSENT
    sharding_spec: list[ShardingSpec] = ABSENT
    pipeline_stage: Int32 = ABSENT


class DeviceConfiguration(Message):
    """ONNX's DeviceConfigurationProto."""

    name: str = ABSENT
    num_devices: Int32 = ABSENT
    device: list[str] = ABSENT


class QuantizationAnnotation(Object):
    """ONNX's TensorAnnotation."""

    tensor_name: str
    quant_parameter_tensor_names: Strings = {}


class Node(Object):
    """One call of an operator or function."""

    op: Name
    inputs: Annotated[list[str], Field(description='Names; "" is an optional input that is left out.')] = []
    outputs: Annotated[list[str], Field(description='Names; "" is an output that is not wanted.')]
    attributes: dict[str, SkipValidation[AttributeValue | Attribute | Reference]] = {}
    domain: str = ""
    name: str = ""
    overload: str = ""
    doc_string: str = ""
    metadata_props: Strings = {}
    device_configurations: list[NodeDeviceConfiguration] = []


class Graph(Object):
    """A graph: the whole document's, or the body of a control-flow operator."""

    name: str = "graph"
    inputs: dict[Name, ValueInfo] = {}
    parameters: Annotated[dict[Name, Tensor], Field(description="ONNX's initializers.")] = {}
    sparse_parameters: dict[Name, SparseTensor] = {}
    nodes: list[Node]
    outputs: SkipValidation[list[Name | Output] | dict[Name, ValueInfo]]
    value_info: dict[Name, ValueInfo] = {}
    quantization_annotation: list[QuantizationAnnotation] = []
    doc_string: str = ""
    metadata_props: Strings = {}


class Function(Object):
    """A model-local function; its attributes have a default or null."""

    name: Name
    domain: str = ""
    overload: str = ""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[Name, SkipValidation[Attribute | None]] = {}
    opset: SkipValidation[Version | dict[str, Version]] = ABSENT
    nodes: list[Node] = []
    value_info: dict[Name, ValueInfo] = {}
    doc_string: str = ""
    metadata_props: Strings = {}


class ModelInfo(Object):
    """What ONNX records about the model around its graph."""

    ir_version: Int64 = ABSENT
    producer_name: str = ""
    producer_version: str = ""
    domain: str = ""
    model_version: Int64 = 0
    doc_string: str = ""
    metadata_props: Strings = {}


class TrainingInfo(Object):
    """ONNX's TrainingInfoProto."""

    initialization: Graph = ABSENT
    algorithm: Graph = ABSENT
    initialization_binding: Strings = {}
    update_binding: Strings = {}


class Document(Graph):
    """A computational graph: any ONNX model, as JSON that a hand can write."""

    graphspec: Annotated[
        int,
        Field(ge=VERSION, le=VERSION, description="The version of this format.", json_schema_extra={"const": VERSION}),
    ]
    opset: Annotated[
        SkipValidation[Version | dict[str, Version]],
        Field(description="The version of ONNX's operators, or one for each domain (\"\" is ONNX's own)."),
    ]
    functions: list[Function] = []
    model: ModelInfo = ModelInfo()
    training_info: list[TrainingInfo] = []
    configuration: list[DeviceConfiguration] = []


class _Generator(GenerateJsonSchema):
    """Pydantic's generator without its titles and defaults: only what restricts or explains a document."""

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the document."""
    schema = Document.model_json_schema(schema_generator=_Generator)
    schema.pop("title", None)
    for definition in schema["$defs"].values():
        definition.pop("title", None)
    return {"$schema": GenerateJsonSchema.schema_dialect, "$id": SCHEMA_ID, "title": "GraphSpec document", **schema}
