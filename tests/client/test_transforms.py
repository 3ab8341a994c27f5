"""Derivatives of functions, and of these again: against closed forms, and against central differences."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from graphspec_client import AsyncClient, NotDifferentiable, TraceError, function, functions, tensor

STEP = 1e-5


def f(x):
    return np.sin(x) * x


def loss(x, w):
    return (np.tanh(x @ w) ** 3).sum()


def of_params(params, x):
    return (np.tanh(x @ params["w"] + params["b"]) ** 2).sum()


@function
def layer(x, w):
    return {"y": np.exp(x * w), "n": x.sum()}


@pytest.fixture
def data(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=3)


def hessian_of_loss(x, w):
    t = np.tanh(x @ w)
    weights = 6 * t * (1 - t**2) ** 2 - 6 * t**3 * (1 - t**2)
    return np.einsum("b,bi,bj->ij", weights, x, x)


def gradient_of_loss(x, w):
    t = np.tanh(x @ w)
    return x.T @ (3 * t**2 * (1 - t**2))


DERIVATIVES = [f, lambda x: np.cos(x) * x + np.sin(x), lambda x: 2 * np.cos(x) - x * np.sin(x),
               lambda x: -3 * np.sin(x) - x * np.cos(x)]  # fmt: skip


@pytest.mark.parametrize("order", [1, 2, 3])
def test_gradients_of_gradients(both, order):
    def nested(client):
        g = f
        for _ in range(order):
            g = client.grad(g, wrt="x")
        return g(0.7)

    assert both(nested) == pytest.approx(DERIVATIVES[order](0.7), rel=1e-12)


SECOND = [
    pytest.param(lambda c, x, w, v: c.hessian(loss, "w")(x, w) @ v, id="hessian"),
    pytest.param(lambda c, x, w, v: c.jacobian(c.grad(loss, "w"), "w")(x, w) @ v, id="jacobian-grad"),
    pytest.param(lambda c, x, w, v: c.hvp(loss, wrt=1)(x, w, tangents=v), id="hvp"),
    pytest.param(lambda c, x, w, v: c.jvp(c.grad(loss, "w"), "w")(x, w, tangents=v.tolist()), id="jvp-grad"),
    pytest.param(lambda c, x, w, v: c.vjp(c.grad(loss, "w"), -1)(x, w, cotangents=v), id="vjp-grad"),
    pytest.param(
        lambda c, x, w, v: c.grad(lambda x, w: (c.grad(loss, "w")(x, w) * v).sum(), "w")(x, w), id="grad-of-product"
    ),
    pytest.param(
        lambda c, x, w, v: c.grad(lambda x, w: c.jvp(loss, "w")(x, w, tangents=v), "w")(x, w), id="reverse-over-forward"
    ),
]


@pytest.mark.parametrize("call", SECOND)
def test_second_order_against_the_closed_form(client, rng, data, call):
    x, w = data
    v = rng.normal(size=3)
    np.testing.assert_allclose(call(client, x, w, v), hessian_of_loss(x, w) @ v, rtol=1e-9, atol=1e-12)


def test_hessians_are_symmetric_and_of_the_arguments_form(both, rng):
    params = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    x = rng.normal(size=(4, 3))

    def blocks(client):
        return client.hessian(of_params, "params")(params, x)

    found = both(blocks)
    rows = [np.concatenate([found[a][b].reshape(params[a].size, -1) for b in params], 1) for a in params]
    whole = np.concatenate(rows)
    np.testing.assert_allclose(whole, whole.T, atol=1e-12)
    gradient = both(lambda client: client.grad(of_params, "params")(params, x))
    moved = both(lambda client: client.grad(of_params, "params")({**params, "b": params["b"] + [STEP, 0]}, x))
    np.testing.assert_allclose((moved["w"] - gradient["w"]) / STEP, found["w"]["b"][..., 0], rtol=1e-3, atol=1e-4)


def test_third_order_against_central_differences(client, rng, data):
    x, w = data
    v = rng.normal(size=3)
    curvature = client.function(lambda w: (client.hvp(loss, "w")(x, w, tangents=v) * v).sum())
    found = client.grad(curvature, "w")(w)
    ends = [[v @ hessian_of_loss(x, w + s * STEP * d) @ v for s in (1, -1)] for d in np.eye(3)]
    np.testing.assert_allclose(found, [(a - b) / (2 * STEP) for a, b in ends], rtol=1e-6, atol=1e-7)


def test_parts_of_nests(client, rng):
    x, w, v = rng.normal(size=(3, 2))
    found = client.jvp(layer, ["x", "w"], of="y")(x, w, tangents={"x": v, "w": w})
    np.testing.assert_allclose(found, np.exp(x * w) * (w * v + x * w))
    whole = client.vjp(layer, "x")(x, w, cotangents={"y": v, "n": 2.0})
    np.testing.assert_allclose(whole, np.exp(x * w) * w * v + 2)
    matrices = client.jacobian(layer, ["x"])(x, w)
    np.testing.assert_allclose(matrices["y"]["x"], np.diag(np.exp(x * w) * w))
    np.testing.assert_allclose(matrices["n"]["x"], np.ones(2))
    np.testing.assert_allclose(client.grad(layer, "x", of="n")(x, w), np.ones(2))


def test_shapes_and_dtypes_have_traces_of_their_own(client, rng):
    second = client.jvp(client.grad(loss, "w"), "w")
    for shape, dtype in [((4, 3), "f8"), ((5, 3), "f8"), ((2, 6), "f8"), ((4, 3), "f4")]:
        x, w, v = (rng.normal(size=s).astype(dtype) for s in (shape, shape[1], shape[1]))
        found = second(x, w, tangents=v)
        assert found.dtype == dtype
        tolerance = 1e-9 if dtype == "f8" else 1e-3
        np.testing.assert_allclose(found, hessian_of_loss(x, w) @ v, rtol=tolerance, atol=tolerance / 10)


def test_a_function_that_uses_a_gradient_and_names_from_outside(client, rng, data):
    """The inner function sees a traced value of the outer one; the outer derivative goes through that too."""
    _, w = data

    @client.function
    def penalised(w, scale):
        inner = client.grad(lambda x: (np.sin(x * scale) * w).sum(), "x")
        return (inner(w) ** 2).sum()

    value = float(np.sum((np.cos(w * 1.5) * 1.5 * w) ** 2))
    assert penalised(w, 1.5) == pytest.approx(value)
    found = client.grad(penalised, "scale")(w, 1.5)
    ends = [np.sum((np.cos(w * s) * s * w) ** 2) for s in (1.5 + STEP, 1.5 - STEP)]
    assert found == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-6)


def test_value_and_aux_inside_of_a_trace(client, data):
    x, w = data

    @client.function
    def step(x, w):
        (value, aux), gradient = client.value_and_grad(lambda w: (loss(x, w), w * 2), "w", has_aux=True)(w)
        return value, aux, w - 0.1 * gradient

    value, aux, moved = step(x, w)
    assert value == pytest.approx(float(loss(x, w)))
    np.testing.assert_allclose(aux, 2 * w)
    np.testing.assert_allclose(moved, w - 0.1 * gradient_of_loss(x, w))


def test_gradients_of_tensors_carry_history(client, data):
    x, w = data
    t = tensor(w, requires_grad=True)
    gradient = client.grad(loss, "w")(x, t)
    (gradient**2).sum().backward()
    np.testing.assert_allclose(gradient.numpy(), gradient_of_loss(x, w))
    np.testing.assert_allclose(t.grad, 2 * hessian_of_loss(x, w) @ gradient_of_loss(x, w))


def test_backward_with_a_graph_can_be_gone_through_again(client, data):
    x, w = data
    t = tensor(w, requires_grad=True)
    apart = tensor(w, requires_grad=True)
    for _ in range(2):  # adds up
        loss(tensor(x), t).backward(create_graph=True)
    first = t.grad
    np.testing.assert_allclose(first.numpy(), 2 * gradient_of_loss(x, w))
    t.zero_grad()
    (first * np.array([1.0, -2.0, 0.5])).sum().backward()
    np.testing.assert_allclose(t.grad, 2 * hessian_of_loss(x, w) @ [1, -2, 0.5], rtol=1e-9)
    (t * 3.0).sum().backward(create_graph=True)  # a tensor on top of an array
    np.testing.assert_allclose(t.grad.numpy(), 2 * hessian_of_loss(x, w) @ [1, -2, 0.5] + 3, rtol=1e-9)
    assert apart.grad is None


def test_fused_derivatives_inside_of_a_trace(client, rng):
    """Derivatives that bring model-local functions along, two of them in one graph."""
    x, v = rng.normal(size=(1, 1, 6, 6)), rng.normal(size=(1, 1, 6, 6))

    def pooled(x):
        return (functions.max_pool2d(x, 2) ** 3).sum() + (functions.max_pool2d(x, 3) ** 2).sum()

    found = client.grad(client.function(lambda x: (client.grad(pooled, "x")(x) * v).sum()), "x")(x)
    ends = [client.grad(pooled, "x")(x + s * STEP * v) for s in (1, -1)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * STEP), rtol=1e-6, atol=1e-6)


REFUSED = [
    pytest.param(lambda c, x, w: c.grad(c.grad(loss, "w"), "w")(x, w), TypeError, "jacobian.*hvp", id="vector"),
    pytest.param(lambda c, x, w: c.hessian(c.grad(loss, "w"), "w")(x, w), TypeError, "only a scalar", id="hessian"),
    pytest.param(
        lambda c, x, w: c.grad(lambda w: c.jacobian(loss, "w")(x, w).sum())(w), TraceError, "vjp, jvp or hvp",
        id="matrices",
    ),
    pytest.param(lambda c, x, w: c.grad(loss, "v")(x, w), TypeError, "it takes x, w", id="name"),
    pytest.param(lambda c, x, w: c.grad(loss, 2)(x, w), TypeError, "wrt='2'", id="position"),
    pytest.param(lambda c, x, w: c.vjp(layer, "x", of="z")(w, w, cotangents=w), TypeError, "y, n", id="of"),
    pytest.param(lambda c, x, w: c.jvp(loss, "w")(x, w), TypeError, "tangents=", id="no-tangents"),
    pytest.param(lambda c, x, w: c.jvp(loss, ["w"])(x, w, tangents=w), TypeError, "one entry for each", id="form"),
    pytest.param(
        lambda c, x, w: c.grad(lambda w: c.grad(lambda w, u: (w**2).sum(), "u")(w, w).sum(), "w")(w),
        NotDifferentiable, "does not depend on u", id="unused",
    ),
    pytest.param(lambda c, x, w: c.jvp(lambda tangents: tangents, 0), TypeError, "of that name", id="tangents"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_refusals_say_what_to_do(client, data, call, error, message):
    with pytest.raises(error, match=message):
        call(client, *data)


@pytest.mark.parametrize("verb", ["grad", "vjp", "jvp", "hvp", "jacobian", "hessian"])
def test_zeros_for_what_is_not_used_only_on_request(client, verb):
    apart = {"dtype": "float64", "shape": [2]}
    model = client.load({
        "graphspec": 1, "opset": 21, "inputs": {"x": apart, "u": apart},
        "nodes": [{"op": "Mul", "inputs": ["x", "x"], "outputs": ["y"]},
                  {"op": "ReduceSum", "inputs": ["y"], "outputs": ["z"], "attributes": {"keepdims": 0}}],
        "outputs": ["z"],
    })  # fmt: skip
    vectors = {"vjp": {"cotangents": {"z": 2.0}}, "jvp": {"tangents": {"u": [1.0, 2.0]}},
               "hvp": {"tangents": {"u": [1.0, 2.0]}}}.get(verb, {})  # fmt: skip

    def ask(**options):
        feeds = {"x": [1.0, 2.0], "u": [3.0, 4.0]}
        return getattr(model, verb)(feeds, of="z", wrt=["u"], **vectors, **options)

    found = next(iter(ask(allow_unused=True).values()))
    assert not np.any(found["u"] if isinstance(found, dict) else found)
    with pytest.raises(NotDifferentiable):
        ask()


def test_many_at_once_on_an_async_client(server, rng):
    x, v = rng.normal(size=(4, 3)), rng.normal(size=3)
    points = rng.normal(size=(8, 3))

    async def main():
        async with AsyncClient(server) as client:
            product = client.jvp(client.grad(loss, "w"), "w")
            return await asyncio.gather(*(product(x, w, tangents=v) for w in points))

    for w, found in zip(points, asyncio.run(main()), strict=True):
        np.testing.assert_allclose(found, hessian_of_loss(x, w) @ v, rtol=1e-9, atol=1e-12)
