"""`backward`: gradients against formulas and against central differences, and how they add up."""

from __future__ import annotations

import numpy as np
import pytest

from graphspec_client import ExecutionFailed, Function, NotDifferentiable, functions, op, tensor

STEP = 1e-6


def test_the_classic_first_graph(client):
    a, b = 2.0, 3.0
    x, y = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    f = (x + y) * np.sin(x)
    f.backward()
    assert f.item() == pytest.approx((a + b) * np.sin(a), rel=1e-15)
    assert float(x.grad) == pytest.approx(np.sin(a) + (a + b) * np.cos(a), rel=1e-14)
    assert float(y.grad) == pytest.approx(np.sin(a), rel=1e-15)


def test_the_classic_second_graph(client):
    x, y = tensor([1.0, 2.0, 3.0], requires_grad=True), tensor([4.0, 5.0, 6.0], requires_grad=True)
    loss = (x * y + 2).relu().sum()
    loss.backward()
    assert loss.item() == 38
    np.testing.assert_array_equal(x.grad, [4, 5, 6])
    np.testing.assert_array_equal(y.grad, [1, 2, 3])


def positive(rng, *shape):
    return rng.uniform(0.5, 2.0, shape)


def signed(rng, *shape):
    return rng.uniform(0.2, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


# what is computed (the same code for arrays and tensors), and the shapes of its arguments
ROWS = {
    "sin": (np.sin, [(3, 4)]),
    "tan": (np.tan, [(4,)]),
    "tanh": (np.tanh, [(3, 4)]),
    "arctan": (np.arctan, [(4,)]),
    "arcsinh": (np.arcsinh, [(4,)]),
    "exp": (np.exp, [(3,)]),
    "expm1": (np.expm1, [(3,)]),
    "exp2": (np.exp2, [(3,)]),
    "log": (lambda x: np.log(np.abs(x)), [(3, 4)]),
    "log1p": (lambda x: np.log1p(x * x), [(6,)]),
    "log10": (lambda x: np.log10(x * x), [(3,)]),
    "sqrt": (lambda x: np.sqrt(np.abs(x)), [(3,)]),
    "cbrt": (np.cbrt, [(5,)]),
    "hypot": (np.hypot, [(3,), (2, 3)]),
    "arctan2": (np.arctan2, [(6,), (6,)]),
    "logaddexp": (np.logaddexp, [(4,), (4,)]),
    "mul-broadcast": (np.multiply, [(3, 1), (4,)]),
    "div-broadcast": (np.divide, [(2, 3, 1), (1, 4)]),
    "sub-scalar": (lambda x: 1 - x / 3, [(3,)]),
    "power": (lambda x, y: np.abs(x) ** y, [(3,), (3,)]),
    "power-int": (lambda x: x**3, [(4,)]),
    "remainder": (lambda x: np.remainder(x, 0.7), [(4,)]),
    "maximum": (np.maximum, [(3, 4), (4,)]),
    "where": (lambda x, y: np.where(x > 0, x * y, y), [(5,), (5,)]),
    "clip": (lambda x: np.clip(x, -0.7, 0.9), [(8,)]),
    "abs": (np.abs, [(5,)]),
    "matmul": (np.matmul, [(3, 4), (4, 2)]),
    "matmul-batch": (np.matmul, [(2, 3, 4), (4, 2)]),
    "matmul-vector": (np.matmul, [(3, 4), (4,)]),
    "dot": (np.dot, [(4,), (4,)]),
    "outer": (np.outer, [(3,), (2,)]),
    "einsum": (lambda x, y: np.einsum("bij,bjk->bk", x, y), [(2, 3, 4), (2, 4, 2)]),
    "tensordot": (lambda x, y: np.tensordot(x, y, ([1], [0])), [(2, 3), (3, 2)]),
    "trace": (np.trace, [(3, 3)]),
    "det": (np.linalg.det, [(3, 3)]),
    "sum": (lambda x: np.sum(x, axis=1), [(3, 4)]),
    "mean": (lambda x: np.mean(x, axis=(0, 2), keepdims=True), [(2, 3, 4)]),
    "var": (lambda x: np.var(x, axis=0), [(5, 2)]),
    "std": (lambda x: x.std(axis=1, ddof=1), [(2, 5)]),
    "prod": (lambda x: np.prod(x, axis=1), [(2, 4)]),
    "max": (lambda x: np.max(x, axis=1), [(3, 4)]),
    "min": (lambda x: np.min(x), [(3, 4)]),
    "norm": (lambda x: np.linalg.norm(x, axis=1), [(3, 4)]),
    "cumsum": (lambda x: np.cumsum(x, axis=0), [(4, 2)]),
    "reshape": (lambda x: np.reshape(x, (4, 3)) ** 2, [(3, 4)]),
    "transpose": (lambda x: np.transpose(x, (2, 0, 1)) * 2, [(2, 3, 4)]),
    "concatenate": (lambda x, y: np.concatenate([x, y * y], axis=1), [(2, 3), (2, 2)]),
    "stack": (lambda x, y: np.stack([x, y, x], axis=1), [(3,), (3,)]),
    "split": (lambda x: np.split(x, [1, 3], axis=1)[1], [(2, 5)]),
    "flip": (lambda x: np.flip(x, 1) * x, [(2, 3)]),
    "roll": (lambda x: np.roll(x, 1, axis=1) * x, [(2, 3)]),
    "tile": (lambda x: np.tile(x, (2, 3)), [(2, 2)]),
    "repeat": (lambda x: np.repeat(x, 3, axis=1), [(2, 2)]),
    "pad": (lambda x: np.pad(x, ((1, 0), (2, 1))), [(2, 3)]),
    "tril": (np.tril, [(3, 3)]),
    "diff": (lambda x: np.diff(x, 2), [(2, 5)]),
    "sort": (lambda x: np.sort(x, axis=1), [(3, 4)]),
    "take": (lambda x: np.take(x, [2, 0, 2], axis=1), [(2, 3)]),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), axis=1), [(2, 3)]),
    "index": (lambda x: x[1, ::-2] * x[0, -1], [(2, 5)]),
    "index-array": (lambda x: x[[1, 1, 0]], [(2, 3)]),
    "index-arrays": (lambda x: x[:, [0, 1, 1], [2, 0, 0]], [(2, 3, 4)]),
    "mask": (lambda x: x[np.array([[True, False], [True, True]])], [(2, 2)]),
    "broadcast_to": (lambda x: np.broadcast_to(x, (3, 2, 4)), [(2, 1)]),
    "fan-out": (lambda x: x * np.sin(x) + x.sum() * np.exp(-x * x), [(4,)]),
}


@pytest.mark.parametrize(("f", "shapes"), [pytest.param(*row, id=name) for name, row in ROWS.items()])
def test_gradients_against_central_differences(client, rng, f, shapes):
    arrays = [signed(rng, *shape) for shape in shapes]
    tensors = [tensor(array, requires_grad=True) for array in arrays]
    result = f(*tensors)
    cotangent = rng.normal(size=np.shape(f(*arrays)))
    result.backward(cotangent if np.ndim(cotangent) else None)
    weights = cotangent if np.ndim(cotangent) else 1.0
    for i, one in enumerate(tensors):
        assert one.grad.shape == one.shape
        assert one.grad.dtype == one.dtype
        direction = rng.normal(size=one.shape)
        ends = [
            np.sum(weights * f(*(a + sign * STEP * direction if j == i else a for j, a in enumerate(arrays))))
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * STEP)
        assert np.sum(one.grad * direction) == pytest.approx(expected, rel=1e-6, abs=1e-8)


SYMBOLIC = [pytest.param(*row, id=name) for name, row in ROWS.items() if name != "split"]  # wants sizes as numbers


@pytest.mark.parametrize(("f", "shapes"), SYMBOLIC)
def test_the_same_with_symbols_for_sizes(client, rng, f, shapes):
    arrays = [signed(rng, *shape) for shape in shapes]
    tensors = [tensor(array, requires_grad=True) for array in arrays]
    cotangent = rng.normal(size=np.shape(f(*arrays)))
    f(*tensors).backward(cotangent)
    traced = Function(lambda xs, cotangent: (f(*xs) * cotangent).sum())
    arguments = traced.arguments((arrays, cotangent), {})
    program = traced._trace(arguments, [f"size_{i}" for i in range(len(arguments.sizes))]).program
    feeds = {name: arguments.arrays[name] for name in program.document["inputs"]}
    wrt = [f"xs.{i}" for i in range(len(arrays))]
    found = client.run(program.document, feeds, of=program.outputs[0], wrt=wrt).gradients
    for name, one in zip(wrt, tensors, strict=True):
        np.testing.assert_allclose(found[name], one.grad, rtol=1e-9, atol=1e-12)


def test_gradients_add_up_over_uses_and_calls(client):
    x = tensor([1.0, -2.0], requires_grad=True)
    (x * x + 3 * x).sum().backward()
    np.testing.assert_allclose(x.grad, [5, -1])
    (x * 2).sum().backward()
    np.testing.assert_allclose(x.grad, [7, 1])
    x.zero_grad()
    assert x.grad is None


def test_backward_twice_over_one_graph_counts_twice(client):
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = (x**2).sum()
    loss.backward()
    loss.backward()
    np.testing.assert_allclose(x.grad, [4, 8])


def test_float32_stays_float32(client):
    x = tensor(np.array([1, 2], "f4"), requires_grad=True)
    loss = (x * 2.5 + 1).sum()
    loss.backward()
    assert (loss.dtype, x.grad.dtype) == (np.float32, np.float32)


def test_a_cotangent_for_what_is_no_scalar(client, rng):
    x = tensor(rng.normal(size=(2, 3)), requires_grad=True)
    y = np.tanh(x)
    cotangent = rng.normal(size=(2, 3))
    y.backward(cotangent)
    np.testing.assert_allclose(x.grad, cotangent * (1 - np.tanh(x.numpy()) ** 2))
    np.testing.assert_allclose(y.numpy(), np.tanh(x.numpy()))


def test_one_element_is_scalar_enough(client):
    x = tensor([[3.0]], requires_grad=True)
    (x * x).backward()
    np.testing.assert_allclose(x.grad, [[6]])


def test_a_leaf_by_itself(client):
    x = tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad == 1
    y = tensor([3.0, 4.0], requires_grad=True)
    y.backward([1.0, 0.5])
    np.testing.assert_array_equal(y.grad, [1, 0.5])


def test_retained_gradients_of_intermediate_values(client):
    x = tensor([1.0, 2.0], requires_grad=True)
    h = (x * x).retain_grad()
    loss = np.exp(h).sum().retain_grad()
    loss.backward()
    np.testing.assert_allclose(h.grad, np.exp([1, 4]))
    np.testing.assert_allclose(x.grad, np.exp([1, 4]) * [2, 4])
    assert loss.grad == 1


def test_detach_stops_the_gradient(client):
    x = tensor([1.0, 2.0], requires_grad=True)
    scale = (x * x).sum().detach()
    assert not scale.requires_grad
    (x * scale).sum().backward()
    np.testing.assert_allclose(x.grad, [5, 5])


def test_nothing_flows_into_what_does_not_ask(client):
    x, y = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0])
    (x * y).sum().backward()
    assert y.grad is None
    np.testing.assert_array_equal(x.grad, [3, 4])


def test_new_data_for_a_leaf_leaves_old_graphs_alone(client):
    w = tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    w.data = w.data - 0.5
    np.testing.assert_array_equal(w.numpy(), [0.5, 1.5])
    loss.backward()
    np.testing.assert_array_equal(w.grad, [2, 4])
    assert loss.item() == 5
    assert (w * w).sum().item() == 2.5


def test_a_value_known_already_is_not_computed_again(client):
    x = tensor([1.0, 2.0], requires_grad=True)
    y = tensor([1.0, 3.0])
    assert y.requires_grad is False
    h = np.exp(y)
    h.numpy()
    loss = (x * h).sum()
    loss.backward()
    np.testing.assert_allclose(x.grad, np.exp([1, 3]))


REFUSED = [
    pytest.param(lambda x: (x * 2).backward(), ValueError, "shape \\(2,\\) needs a cotangent", id="no-scalar"),
    pytest.param(lambda x: (x * 2).backward(np.ones(3)), ValueError, "cotangent has shape \\(3,\\)", id="cotangent"),
    pytest.param(lambda x: tensor([1.0]).sum().backward(), TypeError, "requires_grad", id="no-leaf"),
    pytest.param(lambda x: x.argmax().backward(), TypeError, "requires_grad", id="integers"),
    pytest.param(lambda x: tensor([1, 2], requires_grad=True), TypeError, "int64", id="integer-leaf"),
    pytest.param(lambda x: tensor([1.0]).retain_grad(), TypeError, "No gradient", id="retain"),
    pytest.param(lambda x: x.__iadd__(1), TypeError, "x.data = x.data", id="in-place"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals(client, call, error, message):
    with pytest.raises(error, match=message):
        call(tensor([1.0, 2.0], requires_grad=True))


def test_a_path_through_integers_alone_is_refused_by_the_service(client):
    x = tensor([1.0, 2.0], requires_grad=True)
    loss = x.astype(int).astype(float).sum()
    with pytest.raises((NotDifferentiable, TypeError)):
        loss.backward()


def test_errors_tell_where_the_node_was_written(client):
    x = tensor([1.0, 2.0], requires_grad=True)
    bad = op("Gather", x, np.array([5]), axis=0)  # out of bounds: known at run time only
    with pytest.raises(ExecutionFailed) as caught:
        bad.numpy()
    assert any("test_gradients.py" in note for note in getattr(caught.value, "__notes__", []))


def test_an_mlp_learns(client, rng):
    x = np.concatenate([rng.normal(m, 0.5, (20, 2)) for m in (-1, 0, 1)]).astype("f4")
    labels = np.repeat([0, 1, 2], 20)
    w1, b1 = (tensor(rng.normal(0, 0.5, s).astype("f4"), requires_grad=True) for s in [(2, 16), (16,)])
    w2, b2 = (tensor(rng.normal(0, 0.5, s).astype("f4"), requires_grad=True) for s in [(16, 3), (3,)])
    losses = []
    for _ in range(30):
        h = functions.linear(tensor(x), w1, b1).relu()
        loss = functions.cross_entropy(functions.linear(h, w2, b2), labels)
        loss.backward()
        losses.append(loss.item())
        for w in (w1, b1, w2, b2):
            w.data = w.data - 0.5 * w.grad
            w.zero_grad()
    assert losses[-1] < 0.6 * losses[0]
    assert (np.argmax(h @ w2 + b2, axis=1).numpy() == labels).mean() > 0.75
