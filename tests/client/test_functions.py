"""`graphspec_client.functions` and `op`: values against formulas in NumPy, gradients against central differences."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest

from graphspec_client import InvalidGraph, Tensor, _emit, functions, op, tensor
from graphspec_client import functions as F  # noqa: N812 - as everybody writes it
from graphspec_client._values import Value

X = np.array([[0.3, -1.2, 2.5, -0.4], [1.5, 0.2, -2.2, 0.9], [-0.1, 1.1, 0.7, -1.8]])
W = np.array([[0.5, -0.3], [0.1, 0.8], [-0.6, 0.2], [0.9, 0.4]])
LABELS = np.array([2, 0, 3])
IMAGES = np.random.default_rng(0).normal(size=(2, 3, 6, 6))
KERNEL = np.random.default_rng(1).normal(size=(4, 3, 3, 3))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def normalised(x, axis):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5)


def windows(x, size, stride):
    return np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))[:, :, ::stride, ::stride]


def convolved(x, w, stride=1, padding=0):
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return np.einsum("nchwij,ocij->nohw", windows(padded, w.shape[2], stride), w)


NEGATIVE_LOG = -np.log(softmax(X))[range(3), LABELS]
CLASS_WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25])
PICKED = CLASS_WEIGHTS[LABELS]
ERF = np.vectorize(math.erf)
SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875

# function: what is computed, the arguments that are tensors, and the value by formula
ROWS = {
    "relu": (F.relu, [X], np.maximum(X, 0)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.25), [X], np.where(X > 0, X, 0.25 * X)),
    "elu": (lambda x: F.elu(x, 2), [X], np.where(X > 0, X, 2 * np.expm1(X))),
    "celu": (lambda x: F.celu(x, 2), [X], np.where(X > 0, X, 2 * np.expm1(X / 2))),
    "selu": (F.selu, [X], SELU_GAMMA * np.where(X > 0, X, SELU_ALPHA * np.expm1(X))),
    "gelu": (F.gelu, [X], X * (1 + ERF(X / math.sqrt(2))) / 2),
    "gelu-tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        [X],
        X * (1 + np.tanh(math.sqrt(2 / math.pi) * (X + 0.044715 * X**3))) / 2,
    ),
    "silu": (F.silu, [X], X / (1 + np.exp(-X))),
    "mish": (F.mish, [X], X * np.tanh(np.log1p(np.exp(X)))),
    "softplus": (F.softplus, [X], np.log1p(np.exp(X))),
    "softsign": (F.softsign, [X], X / (1 + np.abs(X))),
    "sigmoid": (F.sigmoid, [X], 1 / (1 + np.exp(-X))),
    "hard_sigmoid": (lambda x: F.hard_sigmoid(x, alpha=0.3), [X], np.clip(0.3 * X + 0.5, 0, 1)),
    "hard_swish": (F.hard_swish, [X], X * np.clip(X / 6 + 0.5, 0, 1)),
    "softmax": (lambda x: F.softmax(x, axis=0), [X], softmax(X, 0)),
    "log_softmax": (F.log_softmax, [X], np.log(softmax(X))),
    "logsumexp": (lambda x: F.logsumexp(x, axis=1), [X], np.log(np.exp(X).sum(1))),
    "linear": (F.linear, [X, W, np.array([1.0, -1.0])], X @ W + [1.0, -1.0]),
    "linear-no-bias": (F.linear, [X, W], X @ W),
    "flatten": (F.flatten, [IMAGES], IMAGES.reshape(2, -1)),
    "embedding": (lambda table: F.embedding(np.array([[0, 2], [1, -1]]), table), [X], X[[[0, 2], [1, -1]]]),
    "dropout-off": (lambda x: F.dropout(x, 0.5, training=False), [X], X),
    "layer_norm": (lambda x: F.layer_norm(x, CLASS_WEIGHTS, X[0]), [X], normalised(X, -1) * CLASS_WEIGHTS + X[0]),
    "layer_norm-scale": (lambda x: F.layer_norm(x, CLASS_WEIGHTS), [X], normalised(X, -1) * CLASS_WEIGHTS),
    "rms_norm": (
        lambda x: F.rms_norm(x, CLASS_WEIGHTS),
        [X],
        X / np.sqrt((X**2).mean(-1, keepdims=True) + 1e-5) * CLASS_WEIGHTS,
    ),
    "batch_norm": (
        lambda x: F.batch_norm(x, np.array([1.0, 2, 3]), np.zeros(3), np.array([0.5, 0, 1]), np.array([1.0, 4, 9])),
        [IMAGES],
        (IMAGES - np.array([0.5, 0, 1])[:, None, None])
        / np.sqrt(np.array([1.0, 4, 9]) + 1e-5)[:, None, None]
        * np.array([1.0, 2, 3])[:, None, None],
    ),
    "conv2d": (F.conv2d, [IMAGES, KERNEL], convolved(IMAGES, KERNEL)),
    "conv2d-bias": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        [IMAGES, KERNEL, np.arange(4.0)],
        convolved(IMAGES, KERNEL, 2, 1) + np.arange(4.0)[:, None, None],
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2), [IMAGES], windows(IMAGES, 2, 2).max((-1, -2))),
    "max_pool2d-overlap": (lambda x: F.max_pool2d(x, 3, stride=1), [IMAGES], windows(IMAGES, 3, 1).max((-1, -2))),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, (2, 2)), [IMAGES], windows(IMAGES, 2, 2).mean((-1, -2))),
    "global_avg_pool2d": (F.global_avg_pool2d, [IMAGES], IMAGES.mean((2, 3), keepdims=True)),
    "scaled_dot_product_attention": (
        F.scaled_dot_product_attention,
        [X, X[::-1].copy(), W.T.copy()[:, :3].T.copy()],
        softmax(X @ X[::-1].T / 2) @ W.T[:, :3].T,
    ),
    "scaled_dot_product_attention-mask": (
        lambda q, k: F.scaled_dot_product_attention(q, k, X, np.tril(np.ones((3, 3), bool))),
        [X, X * 2],
        softmax(np.where(np.tril(np.ones((3, 3))) > 0, X @ X.T, -np.inf)) @ X,
    ),
    "scaled_dot_product_attention-bias": (
        lambda q: F.scaled_dot_product_attention(q, X, X, X[:, :3]),
        [X],
        softmax(X @ X.T / 2 + X[:, :3]) @ X,
    ),
    "cross_entropy": (lambda x: F.cross_entropy(x, LABELS), [X], NEGATIVE_LOG.mean()),
    "softmax_cross_entropy": (lambda x: F.softmax_cross_entropy(x, LABELS), [X], NEGATIVE_LOG.mean()),
    "cross_entropy-none": (lambda x: F.cross_entropy(x, LABELS, reduction="none"), [X], NEGATIVE_LOG),
    "cross_entropy-sum": (lambda x: F.cross_entropy(x, LABELS.astype("i2"), reduction="sum"), [X], NEGATIVE_LOG.sum()),
    "cross_entropy-weight": (
        lambda x: F.cross_entropy(x, LABELS, CLASS_WEIGHTS),
        [X],
        (PICKED * NEGATIVE_LOG).sum() / PICKED.sum(),
    ),
    "cross_entropy-ignore": (lambda x: F.cross_entropy(x, LABELS, ignore_index=0), [X], NEGATIVE_LOG[[0, 2]].mean()),
    "nll_loss": (lambda x: F.nll_loss(F.log_softmax(x), LABELS), [X], NEGATIVE_LOG.mean()),
    "mse_loss": (F.mse_loss, [X, X * X], ((X - X * X) ** 2).mean()),
    "binary_cross_entropy_with_logits": (
        lambda x: F.binary_cross_entropy_with_logits(x, X > 0),
        [X],
        np.log1p(np.exp(-np.abs(X))).mean(),
    ),
    "op": (lambda x: op("ThresholdedRelu", x, alpha=0.5), [X], np.where(X > 0.5, X, 0)),
}  # fmt: skip


@pytest.mark.parametrize(("f", "arrays", "expected"), [pytest.param(*row, id=name) for name, row in ROWS.items()])
def test_values_and_gradients(client, rng, f, arrays, expected):
    tensors = [tensor(array, requires_grad=True) for array in arrays]
    result = f(*tensors)
    cotangent = rng.normal(size=np.shape(expected))
    result.backward(cotangent if cotangent.ndim else None)
    weights = cotangent if cotangent.ndim else 1.0
    assert isinstance(result, Tensor)
    inferred = result._value.shape
    assert inferred is None or all(a in (None, b) for a, b in zip(inferred, np.shape(expected), strict=True))
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6, atol=1e-9)
    directions = [rng.normal(size=array.shape) for array in arrays]
    step = 1e-6
    ends = [
        np.sum(weights * f(*(tensor(a + s * step * d) for a, d in zip(arrays, directions, strict=True))).numpy())
        for s in (1, -1)
    ]
    slope = sum(np.sum(one.grad * d) for one, d in zip(tensors, directions, strict=True))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_every_function_is_tested():
    tested = {name.split("-")[0] for name in ROWS} | {"one_hot", "dropout"}
    assert tested == set(functions.__all__)


def test_one_hot(client):
    found = F.one_hot(LABELS, 4)
    np.testing.assert_array_equal(found.numpy(), np.eye(4, dtype="f4")[LABELS])
    assert F.one_hot(LABELS, 4, dtype="int64").numpy().dtype == np.int64
    assert found.shape == (3, 4)


def test_dropout(client):
    x = tensor(np.ones(2000), requires_grad=True)
    y = F.dropout(x, 0.25, seed=3)
    y.backward(np.arange(2000.0))
    kept = y.numpy() != 0
    assert 0.7 < kept.mean() < 0.8
    np.testing.assert_allclose(y.numpy()[kept], 1 / 0.75)
    np.testing.assert_allclose(x.grad, np.arange(2000.0) * y.numpy())


def test_cross_entropy_of_huge_logits_is_finite_and_exact(client):
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], "f4")
    x = tensor(logits, requires_grad=True)
    loss = F.cross_entropy(x, np.array([1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx((2e4 + math.log(2)) / 2, rel=1e-7)
    np.testing.assert_allclose(x.grad, [[0.5, -0.5, 0], [0, -0.25, 0.25]], atol=1e-7)


def test_a_number_is_never_cut_to_fit(client):
    with pytest.raises(InvalidGraph, match="float64"):
        op("Add", tensor([1, 2]), 2.5).numpy()


def test_operators_with_several_outputs(client):
    values, indices = op("TopK", tensor(X), np.array([2]), axis=1)
    np.testing.assert_array_equal(values.numpy(), -np.sort(-X)[:, :2])
    assert indices.dtype == np.int64
    parts = op("Split", tensor(X), axis=1, num_outputs=2)
    assert [part.shape for part in parts] == [(3, 2), (3, 2)]
    parts = op("Split", tensor(X), np.array([1, 3]), axis=1)
    assert [part.shape for part in parts] == [(3, 1), (3, 3)]
    pooled, where = op("MaxPool", tensor(IMAGES), kernel_shape=(2, 2), strides=[2, 2], outputs=2)
    assert (pooled.shape, where.dtype) == ((2, 3, 3, 3), np.int64)
    with pytest.raises(TypeError, match="num_outputs"):
        op("Split", tensor(X))


def test_an_operator_by_name(client):
    x = tensor(X)
    np.testing.assert_allclose(op("Cast", x, to="float32").numpy(), X.astype("f4"))
    assert op("Cast", x, to=7).dtype == np.int64
    np.testing.assert_allclose(op("Add", x, 2).numpy(), X + 2)
    np.testing.assert_allclose(op("Clip", x, None, 1.0).numpy(), np.minimum(X, 1))
    np.testing.assert_allclose(op("Clip", x.astype("f4"), 0, 1).numpy(), np.clip(X, 0, 1).astype("f4"))
    np.testing.assert_allclose(op("Where", x > 0, x, 0.5).numpy(), np.where(X > 0, X, 0.5))
    np.testing.assert_allclose(op("Gather", x, 1, axis=1).numpy(), X[:, 1])
    np.testing.assert_allclose(op("Gather", x, [1, 0]).numpy(), X[[1, 0]])
    assert op("Shape", x).tolist() == [3, 4]
    np.testing.assert_allclose(op("ReduceSum", x, [1], keepdims=False).numpy(), X.sum(1))


def test_an_operator_that_does_not_exist(client):
    with pytest.raises(InvalidGraph, match="Gelu") as caught:
        op("Gelut", tensor(X)).numpy()
    assert caught.value.problems[0].code == "unknown-operator"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        pytest.param(lambda: op("Sin", tensor([1.0], dtype="float32"), domain="my.ops").numpy(), "my.ops", id="domain"),
        pytest.param(lambda: op("If", tensor(True)), "dtype=", id="no-rule"),
        pytest.param(lambda: op("RandomNormal", shape=[2]), "dtype=", id="no-input"),
        pytest.param(lambda: op("Foo", tensor([1.0]), domain="d", a=object()), "attribute", id="attribute"),
        pytest.param(lambda: F.cross_entropy(tensor(X), X[0]), "integers", id="labels"),
        pytest.param(lambda: F.cross_entropy(tensor(X), LABELS, reduction="avg"), "reduction", id="reduction"),
    ],
)
def test_refusals(client, call, message):
    with pytest.raises((TypeError, ValueError, InvalidGraph), match=message):
        call()


def test_dtype_for_operators_without_a_rule(client):
    eye = op("EyeLike", tensor(X), dtype="int32")
    np.testing.assert_array_equal(eye.numpy(), np.eye(3, 4, dtype="i4"))
    noise = op("RandomNormal", dtype="float32", shape=[2, 3], seed=1.0)
    assert (noise.dtype, noise.numpy().shape) == (np.float32, (2, 3))
    assert op("QuantizeLinear", np.ones(3, "f4"), np.float32(0.5)).dtype == np.uint8


def rules():
    for schema in onnx.defs.get_all_schemas_with_history():
        newest = (
            onnx.defs.get_schema(schema.name, 23, "") if schema.domain == "" and schema.since_version <= 23 else None
        )
        if newest is None or newest.since_version != schema.since_version or schema.deprecated:
            continue
        if schema.name in _emit._WITHOUT_RULE or not schema.inputs:
            continue
        yield pytest.param(schema, id=schema.name)


@pytest.mark.parametrize("schema", list(rules()))
def test_output_dtypes_are_those_of_the_schema(schema):
    """For every operator of the opset: an output has the type parameter of the input that our rule names."""
    attributes = {name: 7 for name in ("to", "dtype") if name in schema.attributes}
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    names = {"tensor(float)": "float32", "tensor(double)": "float64"}
    letters = {}
    inputs = []
    for i, formal in enumerate(schema.inputs):
        possible = allowed.get(formal.type_str, {formal.type_str})
        only = next(iter(possible)) if len(possible) == 1 else None
        name = names.get(only, only.removeprefix("tensor(").removesuffix(")")) if only else f"<{formal.type_str}>"
        letters.setdefault(formal.type_str, name)
        inputs.append(Value(letters[formal.type_str], None, "input", name=str(i)))
    found = _emit.output_dtypes(schema.name, inputs, attributes, len(schema.outputs))
    for dtype, formal in zip(found, schema.outputs, strict=True):
        if formal.type_str in letters:
            assert dtype == letters[formal.type_str]
        elif attributes:
            assert dtype == "int64"
        elif dtype.startswith("<"):  # another type parameter, whose types are all possible here
            assert allowed[dtype.strip("<>")] <= allowed[formal.type_str]
        else:
            possible = allowed.get(formal.type_str, {formal.type_str})
            assert dtype in {names.get(one, one.removeprefix("tensor(").removesuffix(")")) for one in possible}
