"""UM-Bridge's own client, as it is, against the service on a socket."""

from __future__ import annotations

import json

import numpy as np
import pytest
import umbridge

A = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]])
X = [0.5, -1.25, 2.0]


@pytest.fixture
def bridge(running):
    return lambda name: umbridge.HTTPModel(f"{running.url}/umbridge/{name}", name)


def test_what_a_model_is(bridge):
    model = bridge("affine")
    assert (model.get_input_sizes(), model.get_output_sizes()) == ([3], [2])
    assert model.supports_evaluate()
    assert model.supports_gradient()
    assert model.supports_apply_jacobian()
    assert model.supports_apply_hessian()
    model = bridge("same_int8")
    assert model.supports_evaluate()
    assert not model.supports_gradient()
    assert not model.supports_apply_hessian()


def test_a_linear_model(bridge, rng):
    model, x, sens, vec = bridge("affine"), rng.normal(size=3), rng.normal(size=2), rng.normal(size=3)
    np.testing.assert_allclose(model([x.tolist()]), [A @ x])
    np.testing.assert_allclose(model.gradient(0, 0, [x.tolist()], sens.tolist()), A.T @ sens)
    np.testing.assert_allclose(model.apply_jacobian(0, 0, [x.tolist()], vec.tolist()), A @ vec)
    np.testing.assert_array_equal(model.apply_hessian(0, 0, 0, [x.tolist()], sens.tolist(), vec.tolist()), np.zeros(3))


def posterior(x, s):
    """The outputs of ``posterior``: -(x·x)² / 2 e^s, and s x³."""
    return [np.array([-((x @ x) ** 2) / 2 * np.exp(s[0])]), s[0] * x**3]


@pytest.mark.parametrize("first", [0, 1], ids=["by-x", "by-s"])
@pytest.mark.parametrize("out", [0, 1], ids=["density", "cubes"])
def test_first_and_second_order(bridge, rng, out, first):
    """Against differences of the formula; every pair of inputs, mixed ones and empty blocks included."""
    model = bridge("posterior")
    point = [rng.normal(size=3), rng.normal(size=1)]
    given = [v.tolist() for v in point]
    for got, wanted in zip(model(given), posterior(*point), strict=True):
        np.testing.assert_allclose(got, wanted)
    sens = rng.normal(size=posterior(*point)[out].size)

    def moved(steps):
        return sens @ posterior(*(v + step for v, step in zip(point, steps, strict=True)))[out]

    def along(place, vector):
        steps = [np.zeros(3), np.zeros(1)]
        steps[place] = np.asarray(vector)
        return steps

    h = 1e-4
    for second in (0, 1):
        vec = rng.normal(size=point[second].size)
        tangent = along(second, vec)
        slope = (moved([h * t for t in tangent]) - moved([-h * t for t in tangent])) / (2 * h)
        assert sens @ model.apply_jacobian(out, second, given, vec.tolist()) == pytest.approx(slope, rel=1e-6, abs=1e-7)
        assert np.dot(model.gradient(out, second, given, sens.tolist()), vec) == pytest.approx(
            slope, rel=1e-6, abs=1e-7
        )
        hessian = model.apply_hessian(out, first, second, given, sens.tolist(), vec.tolist())
        wanted = []
        for unit in np.eye(point[first].size):
            other = along(first, unit)
            corners = [
                i * j * moved([h * (i * a + j * b) for a, b in zip(other, tangent, strict=True)])
                for i in (1, -1)
                for j in (1, -1)
            ]
            wanted.append(sum(corners) / (4 * h * h))
        np.testing.assert_allclose(hessian, wanted, rtol=1e-5, atol=1e-5)


def test_sizes_that_the_graph_only_names(bridge):
    model = bridge("loss")
    assert model.get_input_sizes({"n": 4, "level": 1}) == [4, 4]
    assert model.get_output_sizes({"n": 4}) == [1, 4]
    assert model([[1.0, 2.0], [3.0, 4.0]]) == [[15.0], [3.0, 8.0]]
    assert model.gradient(1, 0, [[1.0, 2.0], [3.0, 4.0]], [1.0, -1.0]) == [3.0, -4.0]
    with pytest.raises(KeyError, match="inputSizes"):  # the client looks for no error here
        model.get_input_sizes()


def test_an_output_whose_shape_only_a_run_tells(bridge):
    model = bridge("positive")
    assert model([[1.0, -1.0, 2.0]]) == [[1.0, 2.0]]
    assert model.gradient(0, 0, [[1.0, -1.0, 2.0]], [3.0, 4.0]) == [3.0, 0.0, 4.0]
    with pytest.raises(Exception, match="another length"):
        model.gradient(0, 0, [[1.0, -1.0, 2.0]], [3.0])


def test_whole_numbers_and_non_finite_ones(bridge):
    assert bridge("same_int8")([[1.0, 2, -3.0, 127]]) == [[1, 2, -3, 127]]
    assert bridge("same_bool")([[1.0, 0]]) == [[1, 0]]
    found = bridge("nan")([[0.0, -1.0, 1.0]])[0]
    np.testing.assert_array_equal(found, [-np.inf, np.nan, 0])


# What is wrong: model, route, body, status, type of the error, what it says.
REFUSED = {
    "unknown-model": ("nobody", "Evaluate", {"name": "nobody", "input": []}, 400, "ModelNotFound", "'nobody'"),
    "other-name": ("affine", "Evaluate", {"name": "loss", "input": []}, 400, "ModelNotFound", "'loss'"),
    "derivative": ("affine.vjp", "Evaluate", {"name": "affine.vjp", "input": []}, 400, "ModelNotFound", "affine"),
    "no-json": ("affine", "Evaluate", b"{", 400, "InvalidInput", "JSON"),
    "no-body": ("affine", "Evaluate", b"", 400, "InvalidInput", "JSON"),
    "no-name": ("affine", "Evaluate", {"input": [X]}, 400, "InvalidInput", "'name' is missing"),
    "no-input": ("affine", "Evaluate", {}, 400, "InvalidInput", "'input' is missing"),
    "flat-input": ("affine", "Evaluate", {"input": X}, 400, "InvalidInput", "/input/0"),
    "too-few-vectors": ("loss", "Evaluate", {"input": [X]}, 400, "InvalidInput", "expected 2, found 1"),
    "too-short": ("affine", "Evaluate", {"input": [X[:2]]}, 400, "InvalidInput", "expected 3, found 2"),
    "lengths-disagree": ("loss", "Evaluate", {"input": [X, X[:2]]}, 400, "InvalidInput", "expected 3, found 2"),
    "no-multiple": ("same_int8", "Evaluate", {"input": [[1, 2, 3]]}, 400, "InvalidInput", "does not tell"),
    "text": ("affine", "Evaluate", {"input": [["a", 1, 2]]}, 400, "InvalidInput", "/input/0"),
    "null": ("affine", "Evaluate", {"input": [[None, 1, 2]]}, 400, "InvalidInput", "/input/0"),
    "fraction": ("same_int8", "Evaluate", {"input": [[1.5, 1]]}, 400, "InvalidInput", "1.5"),
    "beyond-the-type": ("same_int8", "Evaluate", {"input": [[128, 1]]}, 400, "InvalidInput", "-128 to 127"),
    "beyond-float": ("loss", "Evaluate", {"input": [[1e300], [1]]}, 400, "InvalidInput", "float32"),
    "strings": ("strings", "ModelInfo", {}, 400, "UnsupportedFeature", "real numbers"),
    "bad-size": ("loss", "InputSizes", {"config": {"n": -1}}, 400, "InvalidInput", "/config"),
    "open-size": ("loss", "InputSizes", {}, 400, "InvalidInput", "config"),
    "open-output": ("positive", "OutputSizes", {}, 400, "InvalidInput", "open"),
    "out-beyond": ("affine", "Gradient", {"input": [X], "outWrt": 1, "inWrt": 0, "sens": [1, 2]}, 400, "InvalidInput", "/outWrt"),
    "in-negative": ("affine", "Gradient", {"input": [X], "outWrt": 0, "inWrt": -1, "sens": [1, 2]}, 400, "InvalidInput", "/inWrt"),
    "in-no-number": ("affine", "Gradient", {"input": [X], "outWrt": 0, "inWrt": "0", "sens": [1, 2]}, 400, "InvalidInput", "/inWrt"),
    "sens-too-long": ("affine", "Gradient", {"input": [X], "outWrt": 0, "inWrt": 0, "sens": X}, 400, "InvalidInput", "/sens"),
    "vec-too-short": ("affine", "ApplyJacobian", {"input": [X], "outWrt": 0, "inWrt": 0, "vec": [1]}, 400, "InvalidInput", "/vec"),
    "integers-without-more": ("same_int8", "ApplyHessian", {}, 400, "UnsupportedFeature", "order 2"),
    "unknown-without-more": ("nobody", "Gradient", {}, 400, "ModelNotFound", "'nobody'"),
    "no-such-route": ("affine", "EvaluateShMem", {}, 404, "not-found", "no such route"),
    "integers": ("same_int8", "Gradient", {"input": [[1, 2]], "outWrt": 0, "inWrt": 0, "sens": [1, 2]}, 400, "UnsupportedFeature", "no derivatives of order 1"),
    "second-beyond": ("affine", "ApplyHessian",
                      {"input": [X], "outWrt": 0, "inWrt1": 0, "inWrt2": 9, "sens": [1, 2], "vec": X}, 400, "InvalidInput", "/inWrt2"),
}  # fmt: skip


@pytest.mark.parametrize(("model", "route", "body", "status", "kind", "said"), REFUSED.values(), ids=REFUSED)
def test_refusals(plain, model, route, body, status, kind, said):
    if isinstance(body, dict) and "name" not in body and said != "'name' is missing":
        body = {"name": model, **body}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = plain.post(f"/umbridge/{model}/{route}", content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, kind), error
    assert said in error["message"]


def test_refusals_reach_the_user(bridge):
    with pytest.raises(Exception, match=r"InvalidInput.*expected 3, found 2"):
        bridge("affine")([X[:2]])
