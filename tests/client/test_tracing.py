"""What the tracer records, and what a tensor answers: no service is asked unless a value is."""

from __future__ import annotations

import copy
import pickle

import httpx
import numpy as np
import pytest

import graphspec as gs
from graphspec_client import Client, CodecError, TraceError, _shapes, _values, function, op, tensor
from graphspec_client._values import Value


def program(*tensors, **options):
    return _values.record([one._value for one in tensors], **options)


def nodes(document):
    return [(node["op"], node["inputs"], node["outputs"]) for node in document["nodes"]]


def test_a_document():
    x, y = tensor([1.0, 2.0], name="x"), tensor([3.0, 4.0], dtype="float32")
    traced = program(x * y + 2)
    assert traced.document == {
        "graphspec": 1,
        "name": "traced",
        "opset": 23,
        "inputs": {"x": {"dtype": "float64", "shape": [2]}, "x1": {"dtype": "float32", "shape": [2]}},
        "parameters": {"c0": {"dtype": "float64", "shape": [], "data": 2.0}},
        "nodes": [
            {"op": "Cast", "name": "Cast_0", "inputs": ["x1"], "outputs": ["v2"], "attributes": {"to": 11}},
            {"op": "Mul", "name": "Mul_1", "inputs": ["x", "v2"], "outputs": ["v3"]},
            {"op": "Add", "name": "Add_2", "inputs": ["v3", "c0"], "outputs": ["v5"]},
        ],
        "outputs": {"v5": {"dtype": "float64", "shape": [2]}},
    }
    assert list(traced.feeds) == ["x", "x1"]
    assert gs.validate(traced.document).ok


def test_data_is_no_part_of_the_document():
    first, second = (program(tensor(data) * 2).document for data in ([1.0, 2.0], [5.0, 6.0]))
    assert first == second


def test_equal_constants_are_one():
    x = tensor([1.0])
    assert len(program((x + 2) * 2 - 2.0).document["parameters"]) == 1


def test_a_value_used_twice_is_computed_once():
    h = np.exp(tensor([1.0]))
    assert [op_type for op_type, *_ in nodes(program(h * h + h).document)] == ["Exp", "Mul", "Add"]


def test_names_that_meet_are_told_apart():
    x, y = tensor([1.0], name="a"), tensor([2.0], name="a")
    assert list(program(x + y).feeds) == ["a", "a_"]


def test_leaves_are_copies():
    data = np.array([1.0, 2.0])
    x = tensor(data)
    data[0] = 9
    assert x.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 3


def test_long_chains_do_not_recurse(client):
    x = tensor(0.0)
    for _ in range(3000):
        x = x + 1
    assert len(program(x).document["nodes"]) == 3000
    del x


def test_results_are_kept_and_later_graphs_start_from_them():
    calls = []

    def handler(request):
        calls.append(request)
        return httpx.Response(200, json={"outputs": dict.fromkeys(["v1", "v2", "v3"], tensor_json)})

    tensor_json = {"dtype": "float64", "shape": [2], "data": [1.0, 2.0]}
    with Client(transport=httpx.MockTransport(handler)) as client:
        h = np.exp(tensor([1.0, 2.0], client=client))
        assert h.numpy() is h.numpy()
        assert len(calls) == 1
        later = _values.record([(h * 2)._value], stop=lambda value: value.data is not None)
        assert [op_type for op_type, *_ in nodes(later.document)] == ["Mul"]


def test_what_a_tensor_answers(client):
    x = tensor([[1.0, 2.0], [3.0, 4.0]], name="x")
    y = x * 2
    assert (x.name, y.name, x.is_leaf, y.is_leaf) == ("x", None, True, False)
    assert y.tolist() == [[2, 4], [6, 8]]
    assert [row.tolist() for row in y] == [[2, 4], [6, 8]]
    assert (len(y), y.ndim, y.size, y.shape) == (2, 2, 4, (2, 2))
    assert y[1, 1].item() == 8
    assert (float(y[0, 0]), int(y[0, 1])) == (2.0, 4)
    assert [10, 20, 30][tensor(1)] == 20
    assert bool(y[0, 0] > 1)
    assert not (y[0, 0] < 1)
    assert y in [y]
    assert {y: 1}[y] == 1
    np.testing.assert_array_equal(np.asarray(y), [[2, 4], [6, 8]])
    assert np.array(y, dtype="f4").dtype == np.float32
    assert tensor(x).tolist() == x.tolist()
    assert (x == None) is False  # noqa: E711 - what Python answers where there is no comparison


def test_how_a_tensor_looks(client):
    assert repr(tensor([1.5, 2.0])) == "tensor([1.5, 2. ], dtype=float64)"
    assert repr(tensor([1.5], requires_grad=True)) == "tensor([1.5], dtype=float64, requires_grad=True)"
    assert repr(tensor([1, 2]) + 1) == "tensor([2, 3], dtype=int64)"
    seen = []
    function(lambda x: (seen.append(repr(x)), x)[1]).document(np.ones((2, 3), "f4"))
    assert seen == ["tensor(<symbolic>, shape=(2, 3), dtype=float32)"]


def test_how_a_tensor_looks_without_a_service():
    with Client("http://127.0.0.1:9") as nowhere:
        assert "no value: " in repr(tensor([1.0], client=nowhere) + 1)


NO = [
    pytest.param(lambda x: bool(x), ValueError, "any", id="bool"),
    pytest.param(lambda x: float(x), ValueError, "", id="float"),
    pytest.param(lambda x: len(x.sum()), TypeError, "no length", id="len"),
    pytest.param(lambda x: [1, 2][x[0]], TypeError, "integers", id="index"),
    pytest.param(lambda x: pickle.dumps(x), TypeError, "pickle x.numpy", id="pickle"),
    pytest.param(lambda x: copy.deepcopy(x), TypeError, "pickle", id="deepcopy"),
    pytest.param(lambda x: x.__setitem__(0, 1), AttributeError, "", id="setitem"),
    pytest.param(lambda x: setattr(x, "data", [1.0]), ValueError, "shape", id="data-shape"),
    pytest.param(lambda x: setattr(x * 2, "data", [1.0]), TypeError, "Only a leaf", id="data-of-no-leaf"),
    pytest.param(lambda x: tensor([None]), CodecError, "None", id="data"),
    pytest.param(lambda x: tensor(["a"], dtype="float32"), CodecError, "string", id="string-as-float"),
    pytest.param(lambda x: tensor([1.0], dtype="float7"), CodecError, "float7", id="dtype"),
]


@pytest.mark.parametrize(("call", "error", "message"), NO)
def test_what_a_tensor_refuses(client, call, error, message):
    with pytest.raises(error, match=message or None):
        call(tensor([1.0, 2.0]))


def test_ranks_that_an_operator_leaves_open(client):
    x = tensor(np.ones((1, 1, 4, 4), "f4"))
    resized = op("Resize", x, None, np.array([1, 1, 2, 2], "f4"))
    assert resized._value.shape is None
    assert resized.shape == (1, 1, 8, 8)
    assert resized[..., 0].shape == (1, 1, 8)
    assert op("Resize", x, None, np.array([1, 1, 2, 2], "f4")).ndim == 4
    with pytest.raises(TraceError, match="rank of the output of Resize"):
        function(lambda x: op("Resize", x, None, np.array([1, 1, 2, 2], "f4"))[..., 0]).document(np.ones((1, 1, 4, 4)))


def test_sizes_that_only_the_values_tell(client):
    x = tensor([1.0, -2.0, 3.0])
    positive = x[x > 0]
    assert positive.shape == (2,)
    assert len(positive * 2) == 2


def test_strings(client):
    words = tensor(["a", "b", "a"])
    assert (words == tensor(["a"])).tolist() == [True, False, True]
    assert words[::2].tolist() == ["a", "a"]


def given(*shapes):
    return [Value("float32", shape, "input") for shape in shapes]


BROADCASTS = [
    (((2, 3), (3,)), (2, 3)), ((("n", 3), (1, 3)), ("n", 3)), ((("n",), ("n",)), ("n",)), ((("n",), (4,)), (4,)),
    ((("n",), ("m",)), (None,)), (((None,), (1,)), (None,)), (((), (0, 1)), (0, 1)), ((None, (3,)), None),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "expected"), BROADCASTS)
def test_broadcasting_of_shapes(shapes, expected):
    assert _shapes.broadcast(*shapes) == expected


INFERRED = [
    ("Conv", given((1, 3, 9, 9), (4, 3, 3, 3)), {"strides": [2, 2], "pads": [1, 1, 1, 1]}, (1, 4, 5, 5)),
    ("Conv", given(("n", 3, "h", 9), (4, 3, 3, 3)), {"dilations": [2, 2]}, ("n", 4, None, 5)),
    ("Conv", given((1, 3, 9, 9), (4, 3, 3, 3)), {"auto_pad": "SAME_UPPER"}, (None,) * 4),
    ("AveragePool", given((1, 3, 9, 9)), {"kernel_shape": [2, 2], "ceil_mode": 1}, (1, 3, None, None)),
    ("Gemm", given((2, 3), (4, 3)), {"transB": 1}, (2, 4)),
    ("Gemm", given((3, 2), (3, 4)), {"transA": 1}, (2, 4)),
    ("MatMul", given(("b", 1, 2, 3), (5, 3, 4)), {}, ("b", 5, 2, 4)),
    ("MatMul", given(None, (3, 4)), {}, None),
    ("Flatten", given((2, 3, 4)), {"axis": 2}, (6, 4)),
    ("Flatten", given(("n", 3, 4)), {}, (None, 12)),
    ("Squeeze", given((1, 2, 1)), {}, (2,)),
    ("Squeeze", given(("n", 1)), {}, None),
    ("Concat", given(("n", 2), ("n", 3)), {"axis": 1}, ("n", 5)),
    ("Concat", given(("n", 2), (4, 2)), {"axis": 0}, (None, 2)),
    ("Det", given((5, 3, 3)), {}, (5,)),
    ("GlobalMaxPool", given((2, 3, 4, 5)), {}, (2, 3, 1, 1)),
    ("GatherND", given((2, 3, 4), (7, 2)), {}, (7, 4)),
    ("Expand", given((3, 1), (3,)), {}, (None, None, None)),
    ("Reshape", given((3, 4), (2,)), {}, (None, None)),
    ("Pad", given((3, 4), (4,)), {}, (None, None)),
    ("Tile", given((3, 4), (2,)), {}, (None, None)),
    ("ReduceSum", given((3, 4)), {"axes": [1], "keepdims": 1}, (3, 1)),
    ("ReduceSum", given((3, 4)), {"noop_with_empty_axes": 1, "keepdims": 0}, (3, 4)),
    ("ReduceSum", given((3, 4), (1,)), {}, None),
    ("NoSuchOperator", given((3, 4)), {}, None),
]


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "expected"), INFERRED)
def test_inferred_shapes(op_type, inputs, attributes, expected):
    assert _shapes.infer(op_type, inputs, attributes, 1) == [expected]


@pytest.mark.parametrize("op_type", [name for name, rule in _shapes.RULES.items() if name not in ("Einsum",)])
def test_no_rule_guesses_without_a_shape(op_type):
    """A rule that knows nothing of its inputs says nothing, or what holds whatever they are."""
    attributes = {"axis": 0, "axes": [0], "keepdims": 1, "kernel_shape": [2]}
    (shape,) = _shapes.infer(op_type, given(None, None, None, None), attributes, 1)
    assert shape in (None, ())
    if shape == ():
        assert op_type in {"Size", "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}
