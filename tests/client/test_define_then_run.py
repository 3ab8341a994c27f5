"""`@function`: traced once for each kind of arguments, stored once, called often; its gradients."""

from __future__ import annotations

import asyncio
from collections import namedtuple

import numpy as np
import onnx
import pytest

import graphspec as gs
import graphspec_client
from graphspec_client import AsyncClient, Client, NotDifferentiable, TraceError, function, functions, tensor

X = np.array([[1.0, -2.0, 0.5], [0.25, 1.5, -1.0]])
W = np.array([[0.5, -0.3], [0.1, 0.8], [-0.6, 0.2]])


def loss(x, w):
    return np.tanh(x @ w).sum()


LOSS = np.tanh(X @ W).sum()
SLOPE = 1 - np.tanh(X @ W) ** 2


def counted(f):
    """A function that counts how often its Python code runs."""

    def wrapped(*args, **kwargs):
        wrapped.count += 1
        return f(*args, **kwargs)

    wrapped.count = 0
    wrapped.__signature__ = __import__("inspect").signature(f)
    return wrapped


def sent(client, monkeypatch):
    """The requests that a client sends from now on."""
    calls = []
    send = client._send
    monkeypatch.setattr(client, "_send", lambda call: (calls.append(f"{call.method} {call.path}"), send(call))[1])
    return calls


def test_a_function_of_arrays(client):
    f = function(loss)
    assert f(X, W) == pytest.approx(LOSS)
    assert f(w=W, x=X).dtype == np.float64
    assert isinstance(f(X, W), np.ndarray)
    assert f.__name__ == "loss"


def test_value_and_grad(client):
    value, gradient = client.value_and_grad(loss, wrt="w")(X, W)
    assert value == pytest.approx(LOSS)
    np.testing.assert_allclose(gradient, X.T @ SLOPE)
    np.testing.assert_allclose(client.grad(function(loss), wrt="x")(X, W), SLOPE @ W.T)
    gradients = client.grad(loss, wrt=["x", "w"])(X, w=W)
    assert list(gradients) == ["x", "w"]
    np.testing.assert_allclose(gradients["w"], X.T @ SLOPE)
    assert set(client.grad(loss)(X, W)) == {"x", "w"}


def test_it_is_stored_once_and_called_often(client, monkeypatch):
    f = function(counted(lambda x, w: np.tanh(x @ w).sum() * 1.25))
    calls = sent(client, monkeypatch)
    for _ in range(3):
        f(X, W)
        client.value_and_grad(f)(X, W)
    assert f.f.count == 1
    assert sum(call == "POST /v1/graphs" for call in calls) == 1
    assert len(calls) == 7


def test_a_plain_function_is_traced_once_too(client):
    f = counted(loss)
    for _ in range(3):
        client.grad(f)(X, W)
    assert f.count == 1


def test_sizes_that_change_become_symbols(client):
    f = function(counted(loss))
    rows = [np.ones((n, 3)) for n in (2, 5, 7, 1, 2)]
    for x in rows:
        assert f(x, W) == pytest.approx(np.tanh(x @ W).sum())
    assert f.f.count == 2
    inputs = f.document(rows[0], W)["inputs"]
    assert inputs["x"]["shape"] == ["x_0", 3]
    assert inputs["w"]["shape"] == [3, 2]


def test_sizes_that_change_together_share_a_symbol(client):
    f = function(counted(lambda x, y: (x * y).sum()))
    for n in (3, 4, 5):
        f(np.ones((n, 2)), np.ones((n, 2)))
    assert f.f.count == 2
    shapes = [one["shape"] for one in f.document(np.ones((3, 2)), np.ones((3, 2)))["inputs"].values()]
    assert shapes == [["x_0", 2], ["x_0", 2]]
    assert f(np.ones((1, 2)), np.full((6, 2), 2.0)) == 24  # no longer together: broadcasting
    assert f.f.count == 3


def test_dtypes_ranks_and_static_arguments_have_graphs_of_their_own(client):
    f = function(counted(lambda x, n=1, mode="sum": (x * n).sum() if mode == "sum" else (x * n).mean()))
    assert f(np.ones(4), 3) == 12
    assert f(np.ones(4), 3, "mean") == 3
    assert f(np.ones(4), n=2) == 8
    assert f(np.ones(4, "f4")).dtype == np.float32
    assert f(np.ones((2, 2))) == 4
    assert f.f.count == 5
    assert f(np.zeros(4), 3) == 0
    assert f.f.count == 5
    assert f(np.ones(4), True) == 4  # equal to 1, and yet another argument
    assert f.f.count == 6


def test_symbolic_sizes_in_expressions(client):
    def f(x):
        n, m = x.shape
        return {
            "mean": x.sum() / n,
            "flat": x.reshape(n * m),
            "twice": np.broadcast_to(x, (2, n, m)),
            "first": x[: n - 1],
        }

    g = function(counted(f))
    for n in (2, 5, 3):
        x = np.arange(3.0 * n, dtype="f4").reshape(n, 3)
        found = g(x)
        assert found["mean"] == pytest.approx(x.sum() / n)
        assert found["mean"].dtype == np.float32  # a size is as weak as a Python number
        np.testing.assert_array_equal(found["flat"], x.reshape(-1))
        np.testing.assert_array_equal(found["twice"], np.broadcast_to(x, (2, n, 3)))
        np.testing.assert_array_equal(found["first"], x[: n - 1])
    assert g.f.count == 2


def test_code_that_wants_sizes_as_numbers_gets_them(client):
    def f(x):
        return sum(x[i] * (i + 1) for i in range(x.shape[0]))

    g = function(counted(f))
    for n in (2, 3, 4, 3):
        assert g(np.ones(n)) == n * (n + 1) / 2
    # the first for n = 2, one in vain with a symbol, and one for each further size
    assert g.f.count == 4


def test_a_call_that_fails_leaves_the_graphs_alone(client):
    f = function(counted(lambda x: x @ W))
    f(np.ones((2, 3)))
    with pytest.raises(graphspec_client.ExecutionFailed, match="MatMul") as caught:
        f(np.ones((2, 4)))
    assert "test_define_then_run.py" in caught.value.__notes__[0]
    with pytest.raises(ValueError, match="scalar"):
        f(np.ones(()))
    for n in (2, 5, 6):
        assert f(np.ones((n, 3))).shape == (n, 2)


def test_python_floats_are_data_and_weak(client):
    f = function(counted(lambda x, rate: x * rate))
    for rate in (0.5, 0.25):
        found = f(np.ones(2, "f4"), rate)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, [rate, rate])
    assert f.f.count == 1
    value, gradients = client.value_and_grad(lambda x, y: (x + y) * np.sin(x))(2.0, 3.0)
    assert value == pytest.approx(5 * np.sin(2))
    assert gradients["x"] == pytest.approx(np.sin(2) + 5 * np.cos(2))
    assert gradients["y"] == pytest.approx(np.sin(2))


Pair = namedtuple("Pair", "left right")


def test_containers_go_in_and_out(client):
    def f(params, x):
        h = x
        for layer in params["layers"]:
            h = np.tanh(h @ layer["w"] + layer["b"])
        return Pair(h.sum(), [{"h": h}, (h.mean(), 3, None)])

    params = {"layers": [{"w": W, "b": np.zeros(2)}, {"w": W[:2], "b": np.ones(2)}]}
    found = function(f)(params, X)
    h = np.tanh(np.tanh(X @ W) @ W[:2] + 1)
    assert isinstance(found, Pair)
    assert found.left == pytest.approx(h.sum())
    np.testing.assert_allclose(found.right[0]["h"], h)
    assert found.right[1][1:] == (3, None)
    (value, aux), gradients = client.value_and_grad(f, wrt="params", has_aux=True)(params, X)
    assert value == pytest.approx(h.sum())
    np.testing.assert_allclose(aux[0]["h"], h)
    assert [set(layer) for layer in gradients["layers"]] == [{"w", "b"}, {"w", "b"}]
    np.testing.assert_allclose(gradients["layers"][1]["b"], (1 - h**2).sum(0))
    only, aux = client.grad(f, wrt="params.layers.1.b", has_aux=True)(params, X)
    np.testing.assert_allclose(only, (1 - h**2).sum(0))
    np.testing.assert_allclose(aux[0]["h"], h)


def test_variable_arguments(client):
    f = function(lambda *xs, **named: sum(xs) + named["a"])
    np.testing.assert_array_equal(f(np.ones(2), np.ones(2), a=np.ones(2)), [3, 3])


def test_tensors_give_tensors(client):
    f = function(loss)
    found = f(tensor(X), W)
    assert isinstance(found, graphspec_client.Tensor)
    assert found.item() == pytest.approx(LOSS)


def test_as_a_part_of_a_graph_that_grows(client):
    f = function(loss)
    w = tensor(W, requires_grad=True)
    value = f(X, w) * 2
    value.backward()
    np.testing.assert_allclose(w.grad, 2 * X.T @ SLOPE)
    outer = function(lambda x, w: f(x, w) + f(2 * x, w))
    assert outer(X, W) == pytest.approx(LOSS + np.tanh(2 * X @ W).sum())


def test_tensors_from_outside_keep_up_with_their_data(client):
    w = tensor(W)
    f = function(counted(lambda x: (x @ w).sum()))
    assert f(X) == pytest.approx((X @ W).sum())
    w.data = 2 * W
    assert f(X) == pytest.approx((X @ W).sum() * 2)
    np.testing.assert_allclose(client.grad(f)(X)["x"], np.ones((2, 2)) @ W.T * 2)
    assert f.f.count == 1


def test_a_graph_that_the_service_has_lost_is_stored_again(client):
    f = function(lambda x: (x * 3.75).sum())
    assert f(np.ones(2)) == 7.5
    for model in client.graphs():
        if model.id == gs.digest(gs.load(f.document(np.ones(2)))):
            model.delete()
    assert f(np.ones(2)) == 7.5


def test_outputs_that_are_inputs_constants_or_the_same(client):
    f = function(lambda x: (x, x, x * 2, tensor([1.0, 2.0])))
    found = f(np.ones(2))
    for one, expected in zip(found, ([1, 1], [1, 1], [2, 2], [1, 2]), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_an_argument_that_is_not_used(client):
    f = function(lambda x, unused: x.sum())
    assert f(X, np.ones(3)) == pytest.approx(X.sum())
    with pytest.raises(NotDifferentiable, match="unused"):
        client.grad(f, wrt="unused")(X, np.ones(3))


def branching(x):
    return x if x.sum() > 0 else -x


REFUSED = [
    pytest.param(branching, TraceError, r"np\.where", id="if"),
    pytest.param(lambda x: float(x.sum()) * x, TraceError, "no values", id="float"),
    pytest.param(lambda x: x.numpy(), TraceError, "no values", id="numpy"),
    pytest.param(lambda x: np.asarray(x), TraceError, "no values", id="asarray"),
    pytest.param(lambda x: x[int(x.argmax())], TraceError, "no values", id="int"),
    pytest.param(lambda x: x.detach(), TraceError, "detach", id="detach"),
    pytest.param(lambda x: 3, TypeError, "no tensor", id="no-tensor"),
]


@pytest.mark.parametrize(("f", "error", "message"), REFUSED)
def test_what_cannot_be_traced(client, f, error, message):
    with pytest.raises(error, match=message):
        function(f)(np.ones(3))


BAD_GRADIENTS = [
    pytest.param(lambda x: x * 2, {}, r"shape \(3,\)", id="no-scalar"),
    pytest.param(lambda x: (x.sum(), x), {}, "has_aux", id="pair"),
    pytest.param(lambda x: x.sum(), {"has_aux": True}, "pair", id="no-pair"),
    pytest.param(lambda x: x.sum(), {"wrt": "y"}, "'y'.*takes x", id="name"),
    pytest.param(lambda x, n=2: (x * n).sum(), {"wrt": "n"}, "'n'", id="static"),
]


@pytest.mark.parametrize(("f", "options", "message"), BAD_GRADIENTS)
def test_gradients_that_do_not_exist(client, f, options, message):
    with pytest.raises(TypeError, match=message):
        client.grad(f, **options)(np.ones(3))


def test_integers_alone_have_no_gradient(client):
    with pytest.raises(TypeError, match="floating point"):
        client.grad(lambda x: x.sum())(np.arange(3))


def test_arguments_must_be_data_or_comparable(client):
    with pytest.raises(TypeError, match="neither an array nor hashable"):
        function(lambda x, s: x)(np.ones(2), {1, 2})
    with pytest.raises(TypeError, match="missing a required argument"):
        function(loss)(X)
    with pytest.raises(TypeError, match="A function is wanted"):
        client.grad(3)


def test_decorators(client):
    @function
    def f(x):
        """The doc."""
        return x + 1

    @function(client=client)
    def g(x):
        return x + 2

    @client.function
    def h(x):
        return x + 3

    assert f.__doc__ == "The doc."
    assert [one(np.float64(1)).item() for one in (f, g, h)] == [2, 3, 4]
    assert "f" in repr(f)


def test_methods_and_wrapped_functions(client):
    class Layer:
        def __init__(self, scale):
            self.scale = scale

        def loss(self, x):
            return (x * self.scale).sum()

    assert client.grad(Layer(3).loss)(np.ones(2))["x"].tolist() == [3, 3]
    assert client.grad(Layer(4).loss)(np.ones(2))["x"].tolist() == [4, 4]


def test_the_document_is_valid_onnx_and_what_the_model_runs(client):
    @function
    def f(x, labels, w, b):
        h = functions.gelu(functions.layer_norm(x @ w + b, np.ones(2)))
        return functions.cross_entropy(np.stack([h[:, 0], h[:, -1] ** 2, h.mean(axis=1)], axis=1), labels)

    arguments = (X.astype("f4"), np.array([2, 0]), W.astype("f4"), np.zeros(2, "f4"))
    document = f.document(*arguments)
    report = gs.validate(document)
    assert report.ok
    assert [problem for problem in report.problems if problem.severity == "error"] == []
    onnx.checker.check_model(onnx.load_from_string(gs.dumps(gs.load(document), "onnx")), full_check=True)
    model = client.load(document)
    feeds = dict(zip(document["inputs"], arguments, strict=True))
    (output,) = model.run(feeds).values()
    assert output == pytest.approx(f(*arguments))


def test_equal_code_gives_equal_documents_whatever_the_data(rng):
    documents = [function(loss).document(rng.normal(size=(2, 3)), rng.normal(size=(3, 2))) for _ in range(2)]
    assert documents[0] == documents[1]


def test_training_with_parameters_in_a_container(client, rng):
    def f(params, x, labels):
        h = functions.relu(x @ params["w1"] + params["b1"])
        return functions.cross_entropy(h @ params["w2"] + params["b2"], labels)

    x = np.concatenate([rng.normal(m, 0.4, (20, 2)) for m in (-1, 0, 1)]).astype("f4")
    labels = np.repeat([0, 1, 2], 20)
    sizes = {"w1": (2, 16), "b1": (16,), "w2": (16, 3), "b2": (3,)}
    params = {name: rng.normal(0, 0.5, size).astype("f4") for name, size in sizes.items()}
    step = client.value_and_grad(f, wrt="params")
    losses = []
    for _ in range(40):
        value, gradients = step(params, x, labels)
        losses.append(float(value))
        params = {name: params[name] - np.float32(0.5) * gradients[name] for name in params}
    assert losses[-1] < 0.5 * losses[0]


def test_functions_on_an_async_client(app):
    async def go():
        async with AsyncClient(app=app) as client:
            value = await client.function(loss)(X, W)
            both = await client.value_and_grad(loss, wrt="w")(X, W)
            gradients = await asyncio.gather(*(client.grad(loss)(s * X, W) for s in (1, 2, 3)))
            return value, both, gradients

    value, (again, gradient), gradients = asyncio.run(go())
    assert value == again == pytest.approx(LOSS)
    np.testing.assert_allclose(gradient, X.T @ SLOPE)
    np.testing.assert_allclose(gradients[0]["w"], X.T @ SLOPE)


def test_one_function_on_two_clients(make_app):
    f = function(loss)
    with Client(app=make_app()) as one, Client(app=make_app()) as two:
        for client in (one, two, one):
            assert client.value_and_grad(f)(X, W)[0] == pytest.approx(LOSS)
        assert len(one.graphs()) == len(two.graphs()) == 1
