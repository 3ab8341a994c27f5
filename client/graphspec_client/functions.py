"""Functions of neural networks, and any ONNX operator by its name: `op`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphspec_client import _dtypes
from graphspec_client import _elementwise as e
from graphspec_client import _linalg as la
from graphspec_client import _reductions as r
from graphspec_client import _shaping as s
from graphspec_client._codec import as_array
from graphspec_client._emit import cast, emit, emit_all, is_value, lift, promoted
from graphspec_client._tensor import Tensor, wrap
from graphspec_client._values import Value, constant, ints

__all__ = [
    "avg_pool2d", "batch_norm", "binary_cross_entropy_with_logits", "celu", "conv2d", "cross_entropy", "dropout", "elu",
    "embedding", "flatten", "gelu", "global_avg_pool2d", "hard_sigmoid", "hard_swish", "layer_norm", "leaky_relu",
    "linear", "log_softmax", "logsumexp", "max_pool2d", "mish", "mse_loss", "nll_loss", "one_hot", "op", "relu",
    "rms_norm", "scaled_dot_product_attention", "selu", "sigmoid", "silu", "softmax", "softmax_cross_entropy",
    "softplus", "softsign",
]  # fmt: skip


def op(
    op_type: str, /, *inputs: Any, outputs: int | None = None, domain: str = "", dtype: Any = None, **attributes: Any
) -> Any:
    """Any ONNX operator by its name, of opset 23.

    Args:
        op_type: The operator, as ONNX spells it: ``op("Gelu", x, approximate="tanh")``.
        *inputs: The operator's inputs in the order of its schema: tensors, arrays or numbers; ``None`` leaves one out.
            Arrays and numbers beside tensors keep their own dtype, but for Python numbers, which take the first
            tensor's.
        outputs: How many outputs are wanted; more than one are returned as a tuple. By default one, or as many as the
            operator must have (``TopK``: 2).
        domain: The operator's domain, if it is not ONNX's own.
        dtype: The outputs' element type, for operators of which the client does not know it, and for those that have
            such an attribute.
        **attributes: The operator's attributes by their ONNX names.

    Returns:
        A tensor, or a tuple of them.
    """
    values = _operands(op_type if not domain else "", inputs)
    listed = {name: _attribute(name, value) for name, value in attributes.items()}
    if domain:
        listed = {name: _with_kind(value) for name, value in listed.items()}
    count = outputs if outputs is not None else _outputs(op_type, values, listed)
    wanted = None if dtype is None else _dtypes.wire_name(dtype)
    if wanted and op_type in _WITH_DTYPE and not domain:
        listed["dtype"] = _dtypes.ONNX_NUMBERS[wanted]
    results = emit_all(op_type, values, listed, outputs=count, domain=domain, dtype=wanted)
    return Tensor(results[0]) if len(results) == 1 else wrap(results)


# Inputs that say what an operator does, and not on what: integers given for them are a part of the graph.
_SETTINGS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,), "Expand": (1,), "Tile": (1,), "Slice": (1, 2, 3, 4), "Pad": (1, 3), "Squeeze": (1,),
    "Unsqueeze": (1,), "Split": (1,), "TopK": (1,), "OneHot": (1,), "CumSum": (1,), "Trilu": (1,), "Resize": (2, 3),
    "ConstantOfShape": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2), "AffineGrid": (1,), "DFT": (1, 2),
}  # fmt: skip
_INDICES = {("Gather", 1), ("GatherElements", 1), ("GatherND", 1), ("ScatterElements", 1), ("ScatterND", 1)}
_WITH_DTYPE = {
    "EyeLike", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial",
}  # fmt: skip


def _operands(op_type: str, inputs: Sequence[Any]) -> list[Value | None]:
    """The inputs as values; Python numbers in the dtype of the first input that has one of its own."""
    settings = (1,) if op_type.startswith("Reduce") else _SETTINGS.get(op_type, ())
    values: list[Value | None] = []
    for i, one in enumerate(inputs):
        if i in settings and one is not None and not is_value(one):
            array = as_array(one)
            values.append(constant(array, _dtypes.wire_name(array.dtype)))
        elif (op_type, i) in _INDICES and not is_value(one):
            values.append(lift(np.asarray(one)))
        else:
            values.append(None if one is None else lift(one))
    strong = [value.dtype for value in values if value is not None and not value.weak]
    return [value if value is None or value.kind != "constant" else _like(value, strong) for value in values]


def _like(number: Value, strong: list[str]) -> Value:
    """A Python number in the first of these dtypes that holds its like; as it is where there is none."""
    fits = (name for name in strong if number.weak and _dtypes.kind(name) not in "bO")
    return cast(number, next((name for name in fits if _dtypes.promote([name], [number.dtype]) == name), number.dtype))


def _outputs(op_type: str, values: Sequence[Value | None], attributes: dict[str, Any]) -> int:
    if op_type != "Split":
        return {"TopK": 2}.get(op_type, 1)
    if "num_outputs" in attributes:
        return int(attributes["num_outputs"])
    sizes = values[1] if len(values) > 1 else None
    length = sizes.shape[0] if sizes is not None and sizes.shape else None
    if not isinstance(length, int):
        raise TypeError("Split needs its sizes, num_outputs=..., or outputs=...")
    return length


def _attribute(name: str, value: Any) -> Any:
    """An attribute as a document has it."""
    if name in {"to", "dtype", "output_dtype"} and not isinstance(value, int):
        return _dtypes.ONNX_NUMBERS[_dtypes.wire_name(value)]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bool):
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def _with_kind(value: Any) -> dict[str, Any]:
    """An attribute of an operator that has no schema here: what it is must be said."""
    first = value[0] if isinstance(value, list) and value else value
    kinds = {int: "int", float: "float", str: "string"}
    if type(first) not in kinds:
        raise TypeError(f"An attribute is a number, a string or a list of them, found {value!r}.")
    return {"kind": kinds[type(first)] + ("s" if isinstance(value, list) else ""), "value": value}


def _float(x: Any) -> Value:
    return promoted(x, at_least="float64")[0]


# --- activations ------------------------------------------------------------------------------------------------------


def relu(x: Any) -> Tensor:
    """``maximum(x, 0)``."""
    return Tensor(emit("Relu", lift(x)))


def leaky_relu(x: Any, alpha: float = 0.01) -> Tensor:
    """``x`` where it is positive, else ``alpha * x``."""
    return Tensor(emit("LeakyRelu", _float(x), alpha=float(alpha)))


def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """``x`` where it is positive, else ``alpha * (exp(x) - 1)``."""
    return Tensor(emit("Elu", _float(x), alpha=float(alpha)))


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``, which is ``alpha * elu(x / alpha)``."""
    value = _float(x)
    scale = e.scalar(alpha, value)
    return Tensor(emit("Mul", emit("Elu", emit("Div", value, scale)), scale))


def selu(x: Any) -> Tensor:
    """The scaled exponential linear unit."""
    return Tensor(emit("Selu", _float(x)))


def gelu(x: Any, approximate: str = "none") -> Tensor:
    """``x`` times the normal distribution's ``P(X <= x)``; ``approximate="tanh"`` for the faster form."""
    return Tensor(emit("Gelu", _float(x), approximate=approximate))


def silu(x: Any) -> Tensor:
    """``x * sigmoid(x)``."""
    value = _float(x)
    return Tensor(emit("Mul", value, emit("Sigmoid", value)))


def mish(x: Any) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return Tensor(emit("Mish", _float(x)))


def softplus(x: Any) -> Tensor:
    """``log(1 + exp(x))``."""
    return Tensor(emit("Softplus", _float(x)))


def softsign(x: Any) -> Tensor:
    """``x / (1 + |x|)``."""
    return Tensor(emit("Softsign", _float(x)))


def sigmoid(x: Any) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return Tensor(emit("Sigmoid", _float(x)))


def hard_sigmoid(x: Any, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """``clip(alpha * x + beta, 0, 1)``."""
    return Tensor(emit("HardSigmoid", _float(x), alpha=float(alpha), beta=float(beta)))


def hard_swish(x: Any) -> Tensor:
    """``x * clip(x / 6 + 1/2, 0, 1)``."""
    return Tensor(emit("HardSwish", _float(x)))


def softmax(x: Any, axis: int = -1) -> Tensor:
    """``exp(x) / sum(exp(x))`` along an axis."""
    return Tensor(r.softmax(x, axis))


def log_softmax(x: Any, axis: int = -1) -> Tensor:
    """``x - logsumexp(x)`` along an axis."""
    return Tensor(r.log_softmax(x, axis))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` over axes, without overflow."""
    return Tensor(r.logsumexp(x, axis, keepdims))


# --- layers -----------------------------------------------------------------------------------------------------------


def linear(x: Any, w: Any, b: Any = None) -> Tensor:
    """``x @ w + b``; w of shape (in, out)."""
    return Tensor(la.linear(x, w, b))


def flatten(x: Any, start_axis: int = 1) -> Tensor:
    """The axes from ``start_axis`` on as one."""
    return Tensor(s.flatten(x, start_axis))


def embedding(indices: Any, table: Any) -> Tensor:
    """The rows of a table at integer indices."""
    return Tensor(s.take(table, indices, axis=0))


def one_hot(labels: Any, classes: int, dtype: Any = "float32") -> Tensor:
    """1 at the place of each label on a new last axis, 0 elsewhere."""
    values = constant([0, 1], _dtypes.wire_name(dtype))
    return Tensor(emit("OneHot", lift(labels), ints(classes), values, axis=-1))


def dropout(x: Any, p: float = 0.5, *, training: bool = True, seed: int | None = None) -> Tensor:
    """Each element set to zero with probability p and the others scaled by ``1 / (1 - p)``; x itself if not training.

    Args:
        x: A tensor.
        p: The probability.
        training: Whether to drop anything.
        seed: Makes the choice repeatable.
    """
    value = _float(x)
    if not training or p == 0:
        return Tensor(emit("Identity", value))
    return Tensor(emit("Dropout", value, constant(p, value.dtype), constant(True, "bool"), seed=seed))


def layer_norm(x: Any, scale: Any, bias: Any = None, *, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """Mean 0 and variance 1 over the axes from ``axis`` on, then ``* scale + bias``."""
    values = promoted(x, scale, *([] if bias is None else [bias]), at_least="float64")
    return Tensor(emit("LayerNormalization", *values, axis=axis, epsilon=float(epsilon)))


def rms_norm(x: Any, scale: Any, *, axis: int = -1, epsilon: float = 1e-5) -> Tensor:
    """``x / sqrt(mean(x ** 2) + epsilon) * scale`` over the axes from ``axis`` on."""
    values = promoted(x, scale, at_least="float64")
    return Tensor(emit("RMSNormalization", *values, axis=axis, epsilon=float(epsilon)))


def batch_norm(x: Any, scale: Any, bias: Any, mean: Any, var: Any, *, epsilon: float = 1e-5) -> Tensor:
    """``(x - mean) / sqrt(var + epsilon) * scale + bias`` for each channel, on axis 1, with given statistics."""
    values = promoted(x, scale, bias, mean, var, at_least="float64")
    return Tensor(emit("BatchNormalization", *values, epsilon=float(epsilon)))


def _pair(number: int | Sequence[int]) -> list[int]:
    return [number, number] if isinstance(number, int) else [int(one) for one in number]


def conv2d(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Images (n, in, height, width) convolved with w (out, in / groups, height, width), plus b (out)."""
    values = promoted(x, w, *([] if b is None else [b]), at_least="float64")
    pads = _pair(padding) * 2
    return Tensor(emit("Conv", *values, strides=_pair(stride), pads=pads, dilations=_pair(dilation), group=int(groups)))


def max_pool2d(
    x: Any, size: int | Sequence[int], *, stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0
) -> Tensor:
    """The largest element of each window of images (n, channels, height, width); by default they do not overlap."""
    return _pool("MaxPool", x, size, stride, padding)


def avg_pool2d(
    x: Any, size: int | Sequence[int], *, stride: int | Sequence[int] | None = None, padding: int | Sequence[int] = 0
) -> Tensor:
    """The mean of each window of images (n, channels, height, width); what is padded does not count."""
    return _pool("AveragePool", x, size, stride, padding)


def _pool(op_type: str, x: Any, size: Any, stride: Any, padding: Any) -> Tensor:
    strides = _pair(size if stride is None else stride)
    return Tensor(emit(op_type, _float(x), kernel_shape=_pair(size), strides=strides, pads=_pair(padding) * 2))


def global_avg_pool2d(x: Any) -> Tensor:
    """The mean of each channel of images (n, channels, height, width), of shape (n, channels, 1, 1)."""
    return Tensor(emit("GlobalAveragePool", _float(x)))


def scaled_dot_product_attention(q: Any, k: Any, v: Any, mask: Any = None) -> Tensor:
    """``softmax(q @ k.T / sqrt(d) + mask) @ v`` over the last two axes; a mask of bools is true where one may look."""
    query, key, value = promoted(q, k, v, at_least="float64")
    if query.shape is None or not isinstance(query.shape[-1], int):
        raise TypeError("The last axis of q must have a known size.")
    scores = emit("MatMul", query, s.swapaxes(key, -1, -2))
    scores = emit("Mul", scores, e.scalar(query.shape[-1] ** -0.5, scores))
    if mask is not None:
        given = lift(mask)
        lowest = e.scalar(float(np.finfo(_dtypes.numpy_dtype(scores.dtype)).min), scores)
        scores = e.where(given, scores, lowest) if given.dtype == "bool" else e.add(scores, given)
    return Tensor(emit("MatMul", emit("Softmax", scores, axis=-1), value))


# --- losses -----------------------------------------------------------------------------------------------------------


def cross_entropy(
    logits: Any, labels: Any, weight: Any = None, *, reduction: str = "mean", ignore_index: int | None = None
) -> Tensor:
    """The softmax cross-entropy of logits (n, classes, ...) and integer labels (n, ...), without overflow.

    Args:
        logits: Scores before the softmax.
        labels: The right class of each.
        weight: A weight for each class.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        ignore_index: A label that does not count.
    """
    return _loss("SoftmaxCrossEntropyLoss", _float(logits), labels, weight, reduction, ignore_index)


softmax_cross_entropy = cross_entropy


def nll_loss(
    log_probabilities: Any, labels: Any, weight: Any = None, *, reduction: str = "mean", ignore_index: int | None = None
) -> Tensor:
    """The negative of the log-probability of each right class; arguments as for `cross_entropy`."""
    return _loss("NegativeLogLikelihoodLoss", _float(log_probabilities), labels, weight, reduction, ignore_index)


def _loss(op_type: str, scores: Value, labels: Any, weight: Any, reduction: str, ignore_index: int | None) -> Tensor:
    if reduction not in {"mean", "sum", "none"}:
        raise ValueError(f"reduction={reduction!r} is unknown; mean, sum and none are known.")
    target = lift(labels)
    if target.dtype not in {"int32", "int64"}:
        if _dtypes.kind(target.dtype) not in "iu":
            raise TypeError(f"Labels are integers, found {target.dtype}.")
        target = cast(target, "int64")
    weights = None if weight is None else cast(lift(weight), scores.dtype)
    return Tensor(emit(op_type, scores, target, weights, reduction=reduction, ignore_index=ignore_index))


def mse_loss(prediction: Any, target: Any) -> Tensor:
    """The mean of the squared differences."""
    difference = e.subtract(prediction, target)
    return Tensor(r.mean(e.multiply(difference, difference)))


def binary_cross_entropy_with_logits(logits: Any, targets: Any) -> Tensor:
    """The mean of ``softplus(x) - x * t``, which is ``-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x))``."""
    x, t = promoted(logits, targets, at_least="float64")
    return Tensor(r.mean(emit("Sub", emit("Softplus", x), emit("Mul", x, t))))
