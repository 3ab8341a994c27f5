"""Types and shapes of one node's outputs, from the ONNX library's own inference."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.shape_inference
import onnx_ir as ir

Constants = Callable[[ir.Value], npt.NDArray[np.generic] | None]

# Only shapes, axes and the like decide other shapes; larger constants are not worth handing over.
_MAX_CONSTANT = 1024

# Operators whose inference, by ONNX's own code, goes by types and shapes alone: for them constants are never looked at.
BLIND = frozenset({
    "Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Cos", "Cosh", "Div", "Equal", "Erf", "Exp", "Floor",
    "Gemm", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "MatMul", "Max", "Min", "Mod", "Mul",
    "Neg", "Not", "Or", "Pow", "Relu", "Round", "Sigmoid", "Sign", "Sin", "Sinh", "Sqrt", "Sub", "Sum", "Tan", "Tanh",
    "Where", "Xor",
})  # fmt: skip

# Answers kept. Nodes of one graph ask the same questions over and over (a derivative most of all), and ONNX's inference
# takes a serialised node each time. An answer is a few tuples; large constants are not kept as part of a question.
_ANSWERS = 1 << 14
_MAX_KEY_BYTES = 1 << 9

# Their output has the type and shape of their first input, but ONNX's inference, which goes by their function bodies,
# loses the shape, fails on an attribute left at its default, or refuses a deprecated version.
_LIKE_FIRST_INPUT = {"GroupNormalization", "MeanVarianceNormalization"}


def type_proto(value: ir.Value) -> onnx.TypeProto | None:
    """The ONNX type of a value, its shape included; ``None`` when nothing is known."""
    if value.type is None:
        return None
    proto = onnx.TypeProto()
    ir.serde.serialize_type_into(proto, value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(proto, value.shape)
    return proto


def known_constant(value: ir.Value) -> npt.NDArray[np.generic] | None:
    """The value's array if the graph itself fixes it, else ``None``.

    Fixed are the outputs of ``Constant`` nodes and the initializers that are not graph inputs as well (those are
    only defaults).
    """
    if value.is_graph_input():
        return None
    tensor = constant_tensor(value)
    return None if tensor is None else array_of(tensor)


def constant_tensor(value: ir.Value) -> ir.TensorProtocol | None:
    """The tensor of an initializer or of a ``Constant`` node, as the IR's own helper gives it, at less cost."""
    if value.const_value is not None:
        return value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or node.domain != "":
        return None
    attribute = node.attributes.get("value")
    if attribute is not None and attribute.type is ir.AttributeType.TENSOR and not attribute.is_ref():
        tensor: ir.TensorProtocol = attribute.value
        return tensor
    return ir.convenience.get_const_tensor(value)


def array_of(tensor: ir.TensorProtocol) -> npt.NDArray[Any]:
    """A constant's array as kernels take it: strings are bytes in the IR, text in a run."""
    array = tensor.numpy()
    if array.dtype.kind in "OS":
        decoded = [s.decode("utf-8") if isinstance(s, bytes) else s for s in array.reshape(-1)]
        array = np.array(decoded, dtype=np.object_).reshape(array.shape)
    return array


def infer_node(
    node: ir.Node,
    opset_imports: Mapping[str, int],
    *,
    ir_version: int = 10,
    constants: Constants = known_constant,
) -> list[ir.TypeAndShape | None]:
    """Infer type and shape of each output of one node.

    Args:
        node: The node; its inputs carry the types and shapes known so far.
        opset_imports: Version of each domain in scope; nodes in subgraphs may need several.
        ir_version: The model's IR version.
        constants: Gives the array of an input that is fixed by the graph, else ``None``.

    Returns:
        One entry per output; ``None`` where nothing could be inferred (unknown operators included).

    Raises:
        onnx.shape_inference.InferenceError: The inputs break the operator's type or shape rules.
    """
    if _is_constant(node) and (tensor := constant_tensor(node.outputs[0])) is not None:
        return [ir.TypeAndShape(ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy()))]
    arrays = [None] * len(node.inputs) if _is_blind(node) else [_small(value, constants) for value in node.inputs]
    question = _Question.of(node, arrays, opset_imports, ir_version)
    if question is None:
        return _infer(node, arrays, opset_imports, ir_version, constants)
    answer = _cache.get(question.key)
    if answer is not None:
        return question.told(answer)
    inferred = _infer(node, arrays, opset_imports, ir_version, constants)
    answer = question.kept(inferred)
    if answer is not None:
        _cache.put(question.key, answer)
    return inferred


def _is_constant(node: ir.Node) -> bool:
    return node.op_type == "Constant" and node.domain == "" and len(node.outputs) == 1


def _is_blind(node: ir.Node) -> bool:
    return node.op_type in BLIND and node.domain == ""


def _small(value: ir.Value | None, constants: Constants) -> npt.NDArray[np.generic] | None:
    """The array of a fixed input, if inference may want it."""
    if value is None or (value.const_value is not None and value.const_value.size > _MAX_CONSTANT):
        return None
    array = constants(value)
    return None if array is None or array.size > _MAX_CONSTANT or array.dtype.kind in "OSU" else array


def _infer(
    node: ir.Node,
    arrays: Sequence[npt.NDArray[np.generic] | None],
    opset_imports: Mapping[str, int],
    ir_version: int,
    constants: Constants,
) -> list[ir.TypeAndShape | None]:
    version = opset_imports.get(node.domain)
    if version is None or not onnx.defs.has(node.op_type, version, node.domain):
        return [None] * len(node.outputs)
    if node.op_type in _LIKE_FIRST_INPUT and node.domain == "" and node.inputs and node.inputs[0] is not None:
        like = node.inputs[0]
        return [None if like.type is None else ir.TypeAndShape(like.type, like.shape)]
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    proto = ir.serde.serialize_node(node)
    # Values may still be nameless, or share a name across scopes: name them here, by position.
    names = _position_names(node.inputs)
    proto.input[:] = names
    proto.output[:] = [f"o{i}" for i in range(len(node.outputs))]
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for value, name, array in zip(node.inputs, names, arrays, strict=True):
        if value is None:
            continue
        known = type_proto(value)
        if known is None:
            return [None] * len(node.outputs)  # nothing follows from an untyped input
        types[name] = known
        if array is not None:
            data[name] = onnx.numpy_helper.from_array(array, name)
    imports = [onnx.helper.make_opsetid(domain, v) for domain, v in opset_imports.items()]
    inferred = onnx.shape_inference.infer_node_outputs(
        schema, proto, types, data, opset_imports=imports, ir_version=ir_version
    )
    outputs = [_type_and_shape(inferred.get(name)) for name in proto.output]
    if node.domain == "" and node.op_type in _CORRECTED:
        return [_CORRECTED[node.op_type](node, version, found, constants) for found in outputs]
    return outputs


def _of_dft(node: ir.Node, version: int, found: ir.TypeAndShape | None, constants: Constants) -> ir.TypeAndShape | None:
    """The library gives a transform the length of its input where ``dft_length`` is not known, and other axes by it."""
    x = node.inputs[0]
    if x is None or x.type is None or x.shape is None:
        return found
    attributes = {name: a.as_int() for name, a in node.attributes.items()}
    inverse, onesided = attributes.get("inverse", 0), attributes.get("onesided", 0)
    rest: list[ir.Value | None] = [*node.inputs[1:], None, None]
    axis = np.asarray(attributes.get("axis", 1 if version < 20 else -2))
    dims: list[int | ir.SymbolicDim] = list(x.shape.dims)
    dims[-1] = 1 if inverse and onesided else 2
    known = axis if rest[1] is None else constants(rest[1])
    if known is None:
        return ir.TypeAndShape(x.type, ir.Shape([*(ir.SymbolicDim(None) for _ in dims[:-1]), dims[-1]]))
    at = int(np.asarray(known).reshape(()))
    at += len(dims) if at < 0 else 0
    if not 0 <= at < len(dims) - 1:
        return found
    length: int | ir.SymbolicDim = dims[at]
    if rest[0] is not None:
        given = constants(rest[0])
        length = ir.SymbolicDim(None) if given is None else int(np.asarray(given).reshape(()))
    elif inverse and onesided:
        length = 2 * (length - 1) if isinstance(length, int) else ir.SymbolicDim(None)
    if onesided and not inverse:
        length = length // 2 + 1 if isinstance(length, int) else ir.SymbolicDim(None)
    dims[at] = length
    return ir.TypeAndShape(x.type, ir.Shape(dims))


def _of_stft(
    node: ir.Node, version: int, found: ir.TypeAndShape | None, constants: Constants
) -> ir.TypeAndShape | None:
    """The library takes a spectrum for two-sided where the attribute, 1 by default, is left out."""
    if found is None or found.shape is None or "onesided" in node.attributes or found.shape.rank() != 4:
        return found
    dims = list(found.shape.dims)
    bins = dims[2]
    dims[2] = bins // 2 + 1 if isinstance(bins, int) else ir.SymbolicDim(None)
    return ir.TypeAndShape(found.type, ir.Shape(dims))


def _of_deform_conv(
    node: ir.Node, version: int, found: ir.TypeAndShape | None, constants: Constants
) -> ir.TypeAndShape | None:
    """The library gives no shape where that of the kernel is not known; the rank is."""
    x, w = node.inputs[:2]
    if x is None or x.type is None or x.shape is None or w is None or w.shape is None:
        return found
    if found is not None and found.shape is not None:
        return found
    rest = [ir.SymbolicDim(None) for _ in x.shape.dims[2:]]
    return ir.TypeAndShape(x.type, ir.Shape([x.shape[0], w.shape[0], *rest]))


_CORRECTED = {"DFT": _of_dft, "STFT": _of_stft, "DeformConv": _of_deform_conv}


def _position_names(values: Sequence[ir.Value | None]) -> list[str]:
    first: dict[int, str] = {}
    return ["" if v is None else first.setdefault(id(v), f"i{i}") for i, v in enumerate(values)]


def _type_and_shape(proto: onnx.TypeProto | None) -> ir.TypeAndShape | None:
    if proto is None or proto.WhichOneof("value") is None or _has_map(proto):
        return None
    return ir.TypeAndShape(
        ir.serde.deserialize_type_proto_for_type(proto), ir.serde.deserialize_type_proto_for_shape(proto)
    )


def _has_map(proto: onnx.TypeProto) -> bool:
    """Whether the type is a map, or of maps, which the IR has no word for."""
    if proto.HasField("sequence_type"):
        return _has_map(proto.sequence_type.elem_type)
    if proto.HasField("optional_type"):
        return _has_map(proto.optional_type.elem_type)
    return bool(proto.HasField("map_type"))


# --- answers kept ---------------------------------------------------------------------------------------------------

_Dims = tuple[int | str | None, ...]
# For each output its dtype and its shape, or its dimensions with symbols by their number; None where nothing is known.
_Answer = list[tuple[ir.DataType, ir.Shape | _Dims | None] | None]


class _Question:
    """All that a node's inference depends on, hashable; symbols are numbered, for their names mean nothing to it.

    Args:
        key: Operator, versions, attributes, input types and shapes, constants.
        symbols: The number of each symbol among the inputs' dimensions.
    """

    __slots__ = ("key", "symbols")

    def __init__(self, key: tuple[Any, ...], symbols: dict[str, str]) -> None:
        self.key = key
        self.symbols = symbols

    @classmethod
    def of(
        cls,
        node: ir.Node,
        arrays: Sequence[npt.NDArray[np.generic] | None],
        opset_imports: Mapping[str, int],
        ir_version: int,
    ) -> _Question | None:
        """The question, or ``None`` where it holds more than this notes: graphs, tensors, sequences, denotations."""
        symbols: dict[str, str] = {}
        inputs: list[Any] = []
        first: dict[int, int] = {}
        for place, value in enumerate(node.inputs):
            if value is None:
                inputs.append(None)
                continue
            kind = value.type
            if type(kind) is not ir.TensorType or kind.denotation is not None:
                return None
            dims = None if value.shape is None else _noted(value.shape, symbols)
            if dims is None and value.shape is not None:
                return None
            # One value given twice is one name to the library, with whatever follows from that.
            inputs.append((kind.dtype, dims, first.setdefault(id(value), place)))
        data: list[Any] = []
        for array in arrays:
            if array is not None and array.nbytes > _MAX_KEY_BYTES:
                return None
            data.append(None if array is None else (array.dtype, array.shape, array.tobytes()))
        attributes: list[Any] = []
        for name, attribute in node.attributes.items():
            if attribute.is_ref() or attribute.type not in _PLAIN:
                return None
            plain = attribute.value
            attributes.append((name, attribute.type, plain if attribute.type in _SINGLE else tuple(plain)))
        what = (node.domain, node.op_type, node.overload, len(node.outputs), ir_version, tuple(opset_imports.items()))
        return cls((what, tuple(inputs), tuple(data), tuple(attributes)), symbols)

    def kept(self, inferred: Sequence[ir.TypeAndShape | None]) -> _Answer | None:
        """The answer as it may be given to another node; ``None`` if it may not."""
        answer: _Answer = []
        for known in inferred:
            if known is None:
                answer.append(None)
                continue
            if type(known.type) is not ir.TensorType or known.type.denotation is not None:
                return None
            shape: ir.Shape | _Dims | None = known.shape
            if known.shape is not None and not (known.shape.frozen and known.shape.is_static()):
                names = [d if isinstance(d, int) else d.value for d in known.shape.dims]
                if any(isinstance(name, str) and name not in self.symbols for name in names):
                    return None  # a symbol made up by the library for this node
                shape = tuple(self.symbols[name] if isinstance(name, str) else name for name in names)
                if known.shape.is_static():
                    shape = ir.Shape(names, frozen=True)  # one for all that ask
            answer.append((known.type.dtype, shape))
        return answer

    def told(self, answer: _Answer) -> list[ir.TypeAndShape | None]:
        """An answer in the symbols of this question; types are new, for their owners may change them."""
        names = {number: name for name, number in self.symbols.items()}
        return [
            None
            if known is None
            else ir.TypeAndShape(
                ir.TensorType(known[0]),
                ir.Shape([names[d] if isinstance(d, str) else d for d in known[1]], frozen=True)
                if isinstance(known[1], tuple)
                else known[1],
            )
            for known in answer
        ]


_SINGLE = (ir.AttributeType.INT, ir.AttributeType.FLOAT, ir.AttributeType.STRING)
_PLAIN = (*_SINGLE, ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS)


def _noted(shape: ir.Shape, symbols: dict[str, str]) -> _Dims | None:
    """Dimensions with symbols numbered; ``None`` where they cannot be."""
    dims: list[int | str | None] = []
    for axis, dim in enumerate(shape.dims):
        if shape.get_denotation(axis) is not None:
            return None
        if isinstance(dim, int):
            dims.append(dim)
        elif dim.value is None:
            dims.append(None)
        elif not dim.value or dim.value.startswith("unk__"):  # no name, or one that the library may make up itself
            return None
        else:
            dims.append(symbols.setdefault(dim.value, f"d{len(symbols)}"))
    return tuple(dims)


class _Cache:
    """The answers used last, for all threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[Any, ...], _Answer] = OrderedDict()

    def get(self, key: tuple[Any, ...]) -> _Answer | None:
        with self._lock:
            answer = self._answers.get(key)
            if answer is not None:
                self._answers.move_to_end(key)
            return answer

    def put(self, key: tuple[Any, ...], answer: _Answer) -> None:
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)


_cache = _Cache(_ANSWERS)
