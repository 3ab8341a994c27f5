"""What ``validate`` knows of values: inferred types, symbolic sizes, and the data of shape arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from graphspec.errors import LoadError
from graphspec.validation import ValueInfo, constants, validate


def model(body: str, opset: str = '"": 21', ir_version: int = 10) -> onnx.ModelProto:
    return onnx.parser.parse_model(f"<ir_version: {ir_version}, opset_import: [{opset}]> g {body}")


def shapes(body: str, **kwargs: Any) -> dict[str, Any]:
    report = validate(model(body, **kwargs))
    assert report.ok, report.problems
    return {name: info.shape for name, info in report.values.items()}


def test_inputs_parameters_and_intermediates() -> None:
    body = """(float[batch,3] x, float[3,4] w, seq(int64[2]) s) => (float[batch,m] y, int64 n)
    <float[3,4] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[4] b = {1,2,3,4}>
    { h = MatMul(x, w)  y = Add(h, b)  n = SequenceLength(s) }"""
    assert dict(validate(model(body)).values) == {
        "x": ValueInfo("float32", ("batch", 3), "input"),
        "w": ValueInfo("float32", (3, 4), "parameter"),
        "s": ValueInfo("sequence(int64)", None, "input"),
        "b": ValueInfo("float32", (4,), "parameter"),
        "h": ValueInfo("float32", ("batch", 4), "intermediate"),
        "y": ValueInfo("float32", ("batch", 4), "intermediate"),
        "n": ValueInfo("int64", (), "intermediate"),
    }


# Shape arithmetic on symbolic sizes. The last statement computes y; x is float[N,3,4].
SYMBOLIC = [
    ("same", "y = Relu(x)", ("N", 3, 4)),
    ("flatten-by-shape", "s = Shape(x) i = Constant<value_ints=[0]>() b = Gather(s, i) r = Constant<value_ints=[-1]>()"
     " t = Concat<axis=0>(b, r) y = Reshape(x, t)", ("N", 12)),
    ("merge-leading", "t = Constant<value_ints=[-1, 4]>() y = Reshape(x, t)", (None, 4)),
    ("rest-is-the-symbol", "t = Constant<value_ints=[-1, 12]>() y = Reshape(x, t)", ("N", 12)),
    ("keep", "t = Constant<value_ints=[0, 12]>() y = Reshape(x, t)", ("N", 12)),
    ("transposed", "t = Transpose<perm=[1,2,0]>(x) s = Shape(t) y = Reshape(x, s)", (3, 4, "N")),
    ("slice", "s = Shape(x) a = Constant<value_ints=[0]>() b = Constant<value_ints=[2]>() c = Slice(s, a, b)"
     " y = ConstantOfShape(c)", ("N", 3)),
    ("shape-part", "s = Shape<start=0, end=2>(x) y = ConstantOfShape(s)", ("N", 3)),
    ("expand", "s = Shape(x) u = Constant<value_float=1.0>() y = Expand(u, s)", ("N", 3, 4)),
    ("expand-wider", "s = Constant<value_ints=[2,1,1,1]>() y = Expand(x, s)", (2, "N", 3, 4)),
    ("times-one", "s = Shape(x) u = Constant<value_ints=[1]>() m = Mul(s, u) y = ConstantOfShape(m)", ("N", 3, 4)),
    ("times-two", "s = Shape(x) u = Constant<value_ints=[2]>() m = Mul(s, u) y = ConstantOfShape(m)", (None, 6, 8)),
    ("plus-zero", "s = Shape(x) u = Constant<value_ints=[0]>() m = Add(u, s) y = ConstantOfShape(m)", ("N", 3, 4)),
    ("minus-itself", "s = Shape(x) m = Sub(s, s) y = ConstantOfShape(m)", (0, 0, 0)),
    ("over-one", "s = Shape(x) u = Constant<value_ints=[1]>() m = Div(s, u) y = ConstantOfShape(m)", ("N", 3, 4)),
    ("where-minus-one", "s = Shape(x) k = Constant<value_ints=[-1]>() e = Equal(s, k) o = Constant<value_ints=[7]>()"
     " w = Where(e, o, s) y = ConstantOfShape(w)", ("N", 3, 4)),
    ("unsqueeze-squeeze", "s = Shape(x) z = Constant<value_ints=[0]>() u = Unsqueeze(s, z) v = Squeeze(u, z)"
     " y = ConstantOfShape(v)", ("N", 3, 4)),
    ("cast", "s = Shape(x) u = Cast<to=6>(s) v = Cast<to=7>(u) y = ConstantOfShape(v)", ("N", 3, 4)),
    ("partly-unknown", "s = Shape(x) z = NonZero(x) q = Shape<start=1>(z) t = Concat<axis=0>(q, s)"
     " y = ConstantOfShape(t)", (None, "N", 3, 4)),
    ("from-unknown-operator", "i = ReduceMax<keepdims=0>(x) j = Cast<to=7>(i) z = Constant<value_ints=[0]>()"
     " k = Unsqueeze(j, z) l = Constant<value_ints=[5]>() t = Concat<axis=0>(k, l) y = ConstantOfShape(t)", (None, 5)),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "wanted"), [pytest.param(n, w, id=i) for i, n, w in SYMBOLIC])
def test_symbolic_sizes(nodes: str, wanted: tuple[Any, ...]) -> None:
    bare = model(f"(float[N,3,4] x) => (float[] y) {{ {nodes} }}")
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    report = validate(bare)
    assert report.ok, report.problems
    assert report.values["y"].shape == wanted


# Each computes the vector v from constants; the reference evaluator says what it is.
A = "a = Constant<value_ints=[2, 3, 4, 5]>() "
COMPUTED = [
    ("Constant", "v = Constant<value_ints=[2, 3]>()"),
    ("Constant-tensor", "v = Constant<value=int64[2] {4, 5}>()"),
    ("Shape", A + "c = ConstantOfShape(a) v = Shape<start=-3>(c)"),
    ("Size", A + "n = Size(a) z = Constant<value_ints=[0]>() v = Unsqueeze(n, z)"),
    ("Identity", A + "v = Identity(a)"),
    ("Cast", "f = Constant<value_floats=[2.7, 3.2]>() v = Cast<to=7>(f)"),
    ("Gather", A + "i = Constant<value_ints=[3, -4]>() v = Gather(a, i)"),
    ("Concat", A + "v = Concat<axis=0>(a, a)"),
    ("Slice", A + "s = Constant<value_ints=[-1]>() e = Constant<value_ints=[-9]>() x = Constant<value_ints=[0]>()"
     " v = Slice(a, s, e, x, s)"),
    ("Slice-step", A + "s = Constant<value_ints=[0]>() e = Constant<value_ints=[99]>() t = Constant<value_ints=[2]>()"
     " v = Slice(a, s, e, s, t)"),
    ("Squeeze", A + "z = Constant<value_ints=[0]>() u = Unsqueeze(a, z) v = Squeeze(u, z)"),
    ("Squeeze-all", A + "z = Constant<value_ints=[0]>() u = Unsqueeze(a, z) v = Squeeze(u)"),
    ("Unsqueeze", "c = Constant<value_int=3>() z = Constant<value_ints=[0]>() v = Unsqueeze(c, z)"),
    ("Reshape", A + "t = Constant<value_ints=[2, -1]>() r = Reshape(a, t) k = Constant<value_ints=[-1]>()"
     " v = Reshape(r, k)"),
    ("ConstantOfShape", "n = Constant<value_ints=[3]>() v = ConstantOfShape<value=int64[1] {4}>(n)"),
    ("Expand", "c = Constant<value_int=3>() n = Constant<value_ints=[4]>() v = Expand(c, n)"),
    ("Range", "s = Constant<value_int=7>() e = Constant<value_int=1>() d = Constant<value_int=-2>()"
     " v = Range(s, e, d)"),
    ("Where", A + "k = Constant<value_ints=[3]>() e = Equal(a, k) v = Where(e, k, a)"),
    ("Add", A + "v = Add(a, a)"),
    ("Sub", A + "b = Constant<value_ints=[1]>() v = Sub(a, b)"),
    ("Mul", A + "v = Mul(a, a)"),
    ("Div", A + "b = Constant<value_ints=[2]>() v = Div(a, b)"),
    ("Div-truncates", A + "m = Neg(a) b = Constant<value_ints=[-2]>() v = Div(m, b)"),
    ("Mod", A + "b = Constant<value_ints=[3]>() v = Mod(a, b)"),
    ("Max", A + "b = Constant<value_ints=[3]>() v = Max(a, b)"),
    ("Min", A + "b = Constant<value_ints=[3]>() v = Min(a, b)"),
    ("Equal", A + "b = Constant<value_ints=[3]>() e = Equal(a, b) v = Cast<to=7>(e)"),
    ("Not", A + "b = Constant<value_ints=[3]>() e = Equal(a, b) n = Not(e) v = Cast<to=7>(n)"),
    ("And", A + "b = Constant<value_ints=[3]>() e = Equal(a, b) n = And(e, e) v = Cast<to=7>(n)"),
    ("Or", A + "b = Constant<value_ints=[3]>() e = Equal(a, b) f = Not(e) n = Or(e, f) v = Cast<to=7>(n)"),
    ("Neg", A + "m = Neg(a) v = Neg(m)"),
    ("Abs", A + "m = Neg(a) v = Abs(m)"),
    ("Floor", "f = Constant<value_floats=[2.7, 3.2]>() g = Floor(f) v = Cast<to=7>(g)"),
    ("Ceil", "f = Constant<value_floats=[2.7, 3.2]>() g = Ceil(f) v = Cast<to=7>(g)"),
    ("ReduceProd", A + "v = ReduceProd(a)"),
    ("ReduceSum", A + "z = Constant<value_ints=[0]>() v = ReduceSum<keepdims=1>(a, z)"),
    ("ReduceMax", A + "v = ReduceMax(a)"),
    ("ReduceMin", A + "v = ReduceMin(a)"),
]  # fmt: skip


@pytest.mark.parametrize("nodes", [pytest.param(n, id=i) for i, n in COMPUTED])
def test_shape_arithmetic_is_the_reference_evaluators(nodes: str) -> None:
    bare = model(f"() => (float[] y, int64[k] v) {{ {nodes}  y = ConstantOfShape(v) }}")
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    (wanted,) = ReferenceEvaluator(bare).run(["v"], {})
    assert validate(bare).values["y"].shape == tuple(np.asarray(wanted).tolist())


def test_every_rule_of_data_propagation_is_tested() -> None:
    assert {name.split("-")[0] for name, _ in COMPUTED} == constants.OPERATORS


def test_data_too_large_to_matter_is_left_alone() -> None:
    nodes = "s = Constant<value_int=0>() e = Constant<value_int=9000000000>() d = Constant<value_int=1>()"
    assert shapes(f"() => (int64[k] y) {{ {nodes} y = Range(s, e, d) }}")["y"] == (9_000_000_000,)


def test_a_declared_size_refines_an_inferred_one_and_not_the_reverse() -> None:
    known = shapes("(float[N,3] x, int64[2] t) => (float[5,M] y) { y = Reshape(x, t) }")
    assert known["y"] == (5, "M")
    assert shapes("(float[2,3] x) => (float[P,Q] y) { y = Relu(x) }")["y"] == (2, 3)


def test_an_overridable_parameter_is_no_constant() -> None:
    body = "(float[2,3] x, int64[1] t) => (float[k] y) <int64[1] t = {6}> { y = Reshape(x, t) }"
    assert shapes(body)["y"] == ("k",)
    assert shapes(body, ir_version=3)["y"] == (6,)
    assert shapes(body.replace(", int64[1] t)", ")"))["y"] == (6,)


def test_old_forms_of_operators() -> None:
    body = """(float[N,3] x) => (float[] y) { s = Shape(x) t = Slice<starts=[0], ends=[1]>(s) u = Unsqueeze<axes=[0]>(t)
    v = Squeeze<axes=[0]>(u) y = ConstantOfShape(v) }"""
    bare = model(body, opset='"": 9')
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    assert validate(bare).values["y"].shape == ("N",)


def test_control_flow() -> None:
    """Bodies see the values around them; If merges its branches; a carried value of Loop may change its shape."""
    body = """(bool c, float[N,3] x, float[N,2] h, int64 n) => (float[N,k] y, float[N,3] z, float[t,N,3] w) {
    y = If(c) <then_branch = a () => (float[N,3] p) { p = Relu(x) },
               else_branch = b () => (float[N,5] q) { q = Concat<axis=1>(x, h) }>
    z, w = Loop(n, c, x) <body = l (int64 i, bool d, float[N,3] v) => (bool d2, float[N,3] v2, float[N,3] o)
        { d2 = Identity(d)  v2 = Add(v, x)  o = Tanh(v) }> }"""
    bare = model(body)
    for place, rank in enumerate((2, 2, 3)):  # declare nothing but ranks
        dims = bare.graph.output[place].type.tensor_type.shape.dim
        del dims[:]
        dims.extend(onnx.TensorShapeProto.Dimension() for _ in range(rank))
    report = validate(bare)
    assert report.ok, report.problems
    assert {name: report.values[name].shape for name in "yzw"} == {
        "y": ("N", None),
        "z": ("N", 3),
        "w": (None, "N", 3),
    }


def test_functions_are_inferred_for_each_call() -> None:
    body = """(float[2,6] x, int64[N] i) => (float[2,6] y, int64[N] j) { y = f.swap<axis=1>(x)  j = f.swap<axis=0>(i) }
    <domain: "f", opset_import: ["": 21]> swap <axis> (a) => (b) {
        l, r = Split<axis: int = @axis, num_outputs = 2>(a)  b = Concat<axis: int = @axis>(r, l) }"""
    report = validate(model(body, opset='"": 21, "f": 1'))
    assert report.ok, report.problems
    assert report.values["y"] == ValueInfo("float32", (2, 6), "intermediate")
    assert report.values["j"].dtype == "int64"


def test_after_an_error_types_go_on_as_far_as_they_are_known() -> None:
    report = validate(
        model("(float[2] a, float[3] b) => (float[9] y) { c = Add(a, b)  d = Relu(c)  e = Shape(d)  y = Tanh(a) }")
    )
    assert [p.code for p in report.errors] == ["shape-mismatch", "output-contradicted"]
    assert report.values["d"] == ValueInfo("float32", None, "intermediate")
    assert report.values["e"].dtype == "int64"
    assert report.values["y"].shape == (2,)


TEXT = '<ir_version: 10, opset_import: ["" : 21]> g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }'
DOCUMENT = {
    "graphspec": 1,
    "name": "g",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["N", 3]}},
    "nodes": [{"op": "Relu", "inputs": ["x"], "outputs": ["y"]}],
    "outputs": ["y"],
}


def test_any_source_gives_the_same_report(tmp_path: Any) -> None:
    proto = onnx.parser.parse_model(TEXT)
    path = tmp_path / "g.onnx"
    onnx.save(proto, path)
    wanted = validate(proto)
    assert wanted.ok
    sources = (proto.SerializeToString(), TEXT, DOCUMENT, ir.from_proto(proto), path, onnx.parser.parse_model(TEXT))
    for source in sources:
        assert validate(source) == wanted


def test_documents_that_the_ir_cannot_hold_are_reported_on() -> None:
    """The pointers are into the document."""
    nodes = [
        {"op": "Relu", "inputs": ["z"], "outputs": ["y"], "name": "one"},
        {"op": "Tanh", "inputs": ["y"], "outputs": ["y"], "name": "two"},
    ]
    report = validate(DOCUMENT | {"nodes": nodes})
    assert {(p.code, p.path) for p in report.errors} == {
        ("undefined-value", "/nodes/0/inputs/0"),
        ("duplicate-value", "/nodes/1/outputs/0"),
    }


@pytest.mark.parametrize("source", [b"\x00junk", b"", "{", {"graphspec": 2}, 7, None])
def test_what_is_no_graph_cannot_be_read(source: Any) -> None:
    with pytest.raises(LoadError):
        validate(source)


def test_an_ir_model_is_not_changed() -> None:
    graph = ir.from_proto(onnx.parser.parse_model(TEXT))
    before = ir.to_proto(graph).SerializeToString(deterministic=True)
    node = graph.graph[0]
    validate(graph)
    assert graph.graph[0] is node
    assert ir.to_proto(graph).SerializeToString(deterministic=True) == before
