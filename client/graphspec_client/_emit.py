"""One node more: `emit` records an operator and says what comes out of it; `lift` makes a value of anything."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphspec_client import _dtypes, _shapes
from graphspec_client._codec import Array, as_array
from graphspec_client._exceptions import CodecError
from graphspec_client._values import Node, Value, common_client, constant, leaf

# Element types of outputs that are not those of the first input: a dtype, the number of an input, or an attribute.
_BOOL = "And Or Xor Not Equal Greater Less GreaterOrEqual LessOrEqual IsNaN IsInf RegexFullMatch"
_INT64 = "Shape Size ArgMax ArgMin NonZero NonMaxSuppression"
_OUTPUT_DTYPES: dict[str, tuple[str | int, ...]] = {
    **dict.fromkeys(_BOOL.split(), ("bool",)),
    **dict.fromkeys(_INT64.split(), ("int64",)),
    "Cast": ("@to",), "CastLike": (1,), "BitCast": ("@to",), "Where": (1,), "OneHot": (2,), "EyeLike": ("@dtype",),
    "RandomNormalLike": ("@dtype",), "RandomUniformLike": ("@dtype",), "Bernoulli": ("@dtype",),
    "Multinomial": ("@dtype",), "TopK": (0, "int64"), "MaxPool": (0, "int64"), "Dropout": (0, "bool"),
    "Unique": (0, "int64", "int64", "int64"), "RMSNormalization": (1,), "LayerNormalization": (0, "float32", "float32"),
    "QuantizeLinear": ("@output_dtype",), "DequantizeLinear": ("@output_dtype",),
    "QLinearConv": (7,), "QLinearMatMul": (7,),
    "ConvInteger": ("int32",), "MatMulInteger": ("int32",), "DynamicQuantizeLinear": ("uint8", "float32", "uint8"),
    "BatchNormalization": (0, 3, 3), "Attention": (0, 1, 2, 0), "TfIdfVectorizer": ("float32",),
    "ImageDecoder": ("uint8",), "StringSplit": ("string", "int64"), "GridSample": (0,),
    "LinearAttention": (0, 3),
}  # fmt: skip
# Where the attribute is left out: the first of these that there is, and else the first input's dtype.
_DEFAULTS: dict[str, tuple[str | int, ...]] = {
    "Multinomial": ("int32",),
    "QuantizeLinear": (2, "uint8"),
    "DequantizeLinear": (1,),
}
# Operators whose dtype comes from an attribute alone, or that give no tensor.
_WITHOUT_TENSOR = (
    "BlackmanWindow HammingWindow HannWindow MelWeightMatrix RandomNormal RandomUniform Constant ConstantOfShape If "
    "Loop Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty SequenceErase "
    "SequenceInsert SequenceLength SequenceMap SplitToSequence ConcatFromSequence Scan FlexAttention"
)
_WITHOUT_RULE = frozenset(_WITHOUT_TENSOR.split())
# The float type in which NumPy computes sin, exp and the like of small integers; float64 for all others.
_FLOAT_OF = {"bool": "float16", "int8": "float16", "uint8": "float16", "int16": "float32", "uint16": "float32"}
_HERE = str(Path(__file__).parent)


def output_dtypes(
    op_type: str, inputs: Sequence[Value | None], attributes: dict[str, Any], outputs: int, dtype: str | None = None
) -> list[str]:
    """The element types of a node's outputs.

    Raises:
        TypeError: The tracer has no rule for the operator, and no dtype was given.
    """
    if dtype is not None:
        return [dtype] * outputs
    if op_type in _WITHOUT_RULE or not inputs:
        raise TypeError(f"The output dtype of {op_type} is not known here: give it as dtype=...")
    rule = _OUTPUT_DTYPES.get(op_type, (0,))
    return [_resolve(op_type, rule[min(i, len(rule) - 1)], inputs, attributes) for i in range(outputs)]


def _resolve(op_type: str, rule: str | int, inputs: Sequence[Value | None], attributes: dict[str, Any]) -> str:
    if isinstance(rule, int):
        value = inputs[rule] if rule < len(inputs) else None
        if value is None:
            raise TypeError(f"{op_type} without input {rule}: give the output's dtype as dtype=...")
        return value.dtype
    if not rule.startswith("@"):
        return rule
    number = attributes.get(rule[1:])
    if number is not None:
        return _dtypes.FROM_ONNX_NUMBER[number]
    defaults = _DEFAULTS.get(op_type, (0,))
    there = (d for d in defaults if isinstance(d, str) or (d < len(inputs) and inputs[d] is not None))
    return _resolve(op_type, next(there, defaults[0]), inputs, attributes)


def emit(op_type: str, *inputs: Value | None, **attributes: Any) -> Value:
    """Record an operator of the standard domain with one output; attributes that are ``None`` are left out."""
    return emit_all(op_type, inputs, attributes)[0]


def emit_all(
    op_type: str,
    inputs: Sequence[Value | None],
    attributes: dict[str, Any],
    *,
    outputs: int = 1,
    domain: str = "",
    dtype: str | None = None,
) -> tuple[Value, ...]:
    """Record an operator; the general form of `emit`.

    Args:
        op_type: The operator's name in ONNX.
        inputs: The operands in the schema's order; ``None`` leaves one out.
        attributes: The attributes by their ONNX names; those that are ``None`` are left out.
        outputs: How many outputs the node has.
        domain: The operator's domain.
        dtype: The element type of the outputs, for operators of which the tracer does not know it.

    Raises:
        ValueError: The operands' shapes do not fit, or they belong to different clients.
        TypeError: The element type of the outputs is not known.
    """
    operands = list(inputs)
    while operands and operands[-1] is None:
        operands.pop()
    kept = {key: value for key, value in attributes.items() if value is not None}
    dtypes = output_dtypes(op_type, operands, kept, outputs, dtype)
    shapes = _shapes.infer(op_type, operands, kept, outputs) if not domain else [None] * outputs
    given = [value for value in operands if value is not None]
    node = Node(op_type, tuple(operands), kept, domain, where=_caller())
    shared: dict[str, Any] = {"client": common_client(given), "symbolic": any(v.symbolic for v in given)}
    weak = all(value.weak for value in given)
    flows = any(value.requires_grad for value in given)
    node.outputs = tuple(
        Value(name, shape, "node", weak=weak, requires_grad=flows and _dtypes.is_float(name), node=node, **shared)
        for name, shape in zip(dtypes, shapes, strict=True)
    )
    return node.outputs


def _caller() -> str:
    """File and line outside of this package where the operator was written."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def is_value(operand: Any) -> bool:
    """Whether the operand is already part of a graph: a `Value`, or a tensor around one."""
    return isinstance(operand, Value) or isinstance(getattr(operand, "_value", None), Value)


def lift(operand: Any, like: str | None = None) -> Value:
    """The value of an operand: a tensor's own, a leaf for an array, a weak constant for a Python scalar.

    Args:
        operand: A tensor, an array, a NumPy or Python scalar, or a nested list of numbers.
        like: The dtype for an operand that has none of its own; by default NumPy's choice.

    Raises:
        CodecError: No tensor can hold the operand.
    """
    if isinstance(operand, Value):
        return operand
    value = getattr(operand, "_value", None)
    if isinstance(value, Value):
        return value
    if isinstance(operand, bool | int | float) and not isinstance(operand, np.generic):
        return constant(operand, like or _python_dtype(operand), weak=like is None)
    if operand is None or isinstance(operand, dict | set):
        raise CodecError(f"No tensor can hold {type(operand).__name__} {operand!r}.")
    return leaf(_frozen(as_array(operand, like)))


def _python_dtype(scalar: bool | int | float) -> str:
    if isinstance(scalar, bool):
        return "bool"
    return "int64" if isinstance(scalar, int) else "float64"


def _frozen(array: Array) -> Array:
    """A copy that nobody else can change, since what is recorded now may run much later."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def cast(value: Value, dtype: str) -> Value:
    """The value in another element type; the value itself where it has that already."""
    if value.dtype == dtype:
        return value
    if value.kind == "constant":
        return constant(_exactly(value.array(), dtype), dtype, weak=value.weak)
    return emit("Cast", value, to=_dtypes.ONNX_NUMBERS[dtype])


def _exactly(array: Array, dtype: str) -> Any:
    """Python numbers, so that an integer that does not fit is an ``OverflowError`` as in NumPy."""
    return array.tolist() if _dtypes.kind(dtype) in "iu" and array.dtype.kind in "iu" else array


def promoted(*operands: Any, at_least: str | None = None) -> list[Value]:
    """The operands as values of one element type, by NumPy's rules.

    Args:
        *operands: Anything that `lift` takes.
        at_least: ``"float"`` turns bools and integers into the float that NumPy's functions choose for them,
            ``"float64"`` into that, as NumPy's division does.

    Raises:
        CodecError: The types do not mix.
    """
    values = [lift(operand) for operand in operands]
    dtype = _dtypes.promote(
        [value.dtype for value in values if not value.weak], [value.dtype for value in values if value.weak]
    )
    if at_least is not None and _dtypes.kind(dtype) in "biu":
        dtype = _FLOAT_OF.get(dtype, "float64") if at_least == "float" else at_least
    weak = all(value.weak for value in values)
    return [value if value.dtype == dtype else _strong(cast(value, dtype), weak) for value in values]


def _strong(value: Value, weak: bool) -> Value:
    value.weak = weak
    return value
