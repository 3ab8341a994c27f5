"""Every code of ``validate``: a bad model, and exactly the problems it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import onnx
import onnx.parser
import pytest
from onnx import helper

from graphspec.errors import Problem, ValidationError
from graphspec.validation import validate

OPSET_21 = '"": 21'


def model(body: str, opset: str = OPSET_21, ir_version: int = 10) -> onnx.ModelProto:
    """A model from the body of an ONNX text."""
    return onnx.parser.parse_model(f"<ir_version: {ir_version}, opset_import: [{opset}]> {body}")


@dataclasses.dataclass
class Expected:
    """Fields of a problem; texts need only occur."""

    code: str
    path: str
    node: str | None = None
    says: str = ""
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    severity: str = "error"

    def check(self, problem: Problem) -> None:
        assert (problem.code, problem.path, problem.severity) == (self.code, self.path, self.severity)
        assert problem.node == self.node
        assert self.says in problem.message
        for field in ("expected", "found", "hint"):
            wanted, got = getattr(self, field), getattr(problem, field)
            assert (wanted is None) or (got is not None and wanted in got), (field, wanted, got)


@dataclasses.dataclass
class Case:
    """A model, what is done to it, and all the problems it then has."""

    id: str
    body: str
    problems: list[Expected]
    opset: str = OPSET_21
    ir_version: int = 10
    change: Callable[[onnx.ModelProto], object] = lambda m: None


RELU = "g (float[2,3] x) => (float[2,3] y) { [n1] y = Relu(x) }"
W = "<float[3] w = {1,2,3}>"


def external(m: onnx.ModelProto) -> None:
    tensor = m.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def raw(length: int) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        tensor = m.graph.initializer[0]
        tensor.ClearField("float_data")
        tensor.raw_data = bytes(length)

    return change


def dims(*sizes: int) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        m.graph.initializer[0].dims[:] = sizes

    return change


def set_attribute(**fields: object) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        for name, value in fields.items():
            setattr(m.graph.node[0].attribute[0], name, value)

    return change


def nest_type(m: onnx.ModelProto) -> None:
    proto = m.graph.input[0].type
    for _ in range(20):
        proto.sequence_type.elem_type.SetInParent()
        proto = proto.sequence_type.elem_type


def sparse_tensor(sizes: list[int], indices: int) -> onnx.SparseTensorProto:
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1, 2])
    places = helper.make_tensor("", onnx.TensorProto.INT64, [indices], range(indices))
    return onnx.SparseTensorProto(values=values, indices=places, dims=sizes)


def sparse(sizes: list[int], indices: int) -> Callable[[onnx.ModelProto], None]:
    def change(m: onnx.ModelProto) -> None:
        m.graph.node[0].attribute.append(helper.make_attribute("sparse_value", sparse_tensor(sizes, indices)))

    return change


def deep(levels: int) -> onnx.GraphProto:
    def graph(op: str, *inputs: str, output: str, **branches: onnx.GraphProto) -> onnx.GraphProto:
        node = helper.make_node(op, inputs, [output], name=output, **branches)
        return helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name=output)])

    inner = graph("Relu", "x", output="if0")
    for level in range(1, levels + 1):
        other = graph("Tanh", "x", output=f"e{level}")
        inner = graph("If", "c", output=f"if{level}", then_branch=inner, else_branch=other)
    return inner


FUNCTIONS = '"": 21, "f": 1'
IF = """g (bool c, float[2] x) => (float[2] y) {
    [n1] y = If(c) <then_branch = t () => (float[2] a) { [inner] a = Relu(x) }, else_branch = e () => (float[2] b)
    { [inner2] b = Tanh(x) }> }"""

CASES = [
    # Names
    Case(
        "cycle",
        "g (float[2] x) => (float[2] y) { [n1] a = Add(x, c)  [n2] b = Relu(a)  [n3] c = Tanh(b)  [n4] y = Neg(c) }",
        [
            Expected(
                "cycle",
                "/nodes/0",
                "n1",
                says="node 'n1' (Add) → node 'n2' (Relu) → node 'n3' (Tanh) → node 'n1' (Add)",
                found="a cycle of 3: n1, n2, n3",
                hint="Loop or Scan",
            )
        ],
    ),
    Case(
        "cycle-of-one",
        "g (float[2] x) => (float[2] y) { [n1] y = Add(x, y) }",
        [Expected("cycle", "/nodes/0", "n1", found="a cycle of 1: n1")],
    ),
    Case(
        "two-cycles",
        "g (float[2] x) => (float[2] y) { [n1] a = Add(x, b) [n2] b = Relu(a) [n3] d = Add(b, e) [n4] e = Relu(d)"
        " [n5] y = Neg(e) }",
        [Expected("cycle", "/nodes/0", "n1", found="n1, n2"), Expected("cycle", "/nodes/2", "n3", found="n3, n4")],
    ),
    Case(
        "cycle-through-subgraph",
        """g (bool c, float[2] x) => (float[2] y) {
        [n1] y = If(c) <then_branch = t () => (float[2] a) { [i] a = Relu(z) }, else_branch = e () => (float[2] b)
        { b = Tanh(x) }>  [n2] z = Neg(y) }""",
        [Expected("cycle", "/nodes/0", "n1", found="n1, n2")],
    ),
    Case(
        "undefined-value",
        "g (float[2] x, float[2] weight) => (float[2] y) { [n1] y = Add(x, wieght) }",
        [
            Expected("undefined-value", "/nodes/0/inputs/1", "n1", found="wieght", hint="'weight'"),
            Expected("unused-input", "/inputs/weight", severity="warning"),
        ],
    ),
    Case(
        "undefined-value-reported-once",
        "g (float[2] x) => (float[2] y) { [n1] a = Add(x, q)  [n2] y = Add(a, q) }",
        [Expected("undefined-value", "/nodes/0/inputs/1", "n1", says="(and 1 more)")],
    ),
    Case(
        "undefined-output",
        "g (float[2] x) => (float[2] yy) { [n1] y = Relu(x) }",
        [
            Expected("undefined-value", "/outputs/0", hint="'y'"),
            Expected("unused-node", "/nodes/0", "n1", severity="warning"),
        ],
    ),
    Case(
        "undefined-in-subgraph",
        IF.replace("Relu(x)", "Relu(z)"),
        [Expected("undefined-value", "/nodes/0/attributes/then_branch/nodes/0/inputs/0", "inner", found="z")],
    ),
    Case(
        "subgraph-output-from-outside",
        IF.replace("float[2] a) { [inner] a = Relu(x) }", "float[2] x) { }"),
        [Expected("undefined-value", "/nodes/0/attributes/then_branch/outputs/0", found="x", hint="Identity")],
    ),
    Case(
        "value-of-another-subgraph",
        IF.replace("Tanh(x)", "Tanh(a)"),
        [Expected("undefined-value", "/nodes/0/attributes/else_branch/nodes/0/inputs/0", "inner2", found="a")],
    ),
    Case(
        "duplicate-value",
        "g (float[2] x) => (float[2] y) { [n1] y = Relu(x)  [n2] y = Tanh(x) }",
        [
            Expected(
                "duplicate-value", "/nodes/1/outputs/0", "n2", says="node 'n1' (Relu) and by node 'n2'", hint="Rename"
            )
        ],
    ),
    Case(
        "duplicate-value-input",
        "g (float[2] x) => (float[2] y) { [n1] x = Relu(x)  [n2] y = Tanh(x) }",
        [Expected("duplicate-value", "/nodes/0/outputs/0", "n1", says="an input")],
    ),
    Case(
        "duplicate-value-parameter",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] w = Relu(x)  [n2] y = Tanh(w) }}",
        [Expected("duplicate-value", "/nodes/0/outputs/0", "n1", says="a parameter")],
    ),
    Case(
        "duplicate-value-outer",
        """g (bool c, float[2] x) => (float[2] y, float[2] z) { [n0] z = Relu(x)
        [n1] y = If(c) <then_branch = t () => (float[2] a) { a = Relu(x) }, else_branch = e () => (float[2] z)
        { [i] z = Tanh(x) }> }""",
        [Expected("duplicate-value", "/nodes/1/attributes/else_branch/nodes/0/outputs/0", "i", says="further out")],
    ),
    Case(
        "duplicate-inputs",
        "g (float[2] x, float[2] x) => (float[2] y) { [n1] y = Relu(x) }",
        [Expected("duplicate-name", "/inputs/x", says="Two inputs")],
    ),
    Case(
        "duplicate-parameters",
        "g (float[3] x) => (float[3] y) <float[3] w = {1,2,3}, float[3] w = {1,2,3}> { [n1] y = Add(x, w) }",
        [Expected("duplicate-name", "/parameters/w", says="Two parameters")],
    ),
    Case(
        "duplicate-nodes",
        "g (float[2] x) => (float[2] y) { [n] a = Relu(x)  [n] y = Tanh(a) }",
        [Expected("duplicate-name", "/nodes/1", "n", says="0 and 1", severity="warning")],
    ),
    Case(
        "duplicate-outputs",
        "g (float[2] x) => (float[2] y, float[2] y) { [n] y = Relu(x) }",
        [Expected("duplicate-name", "/outputs/1", says="listed twice", severity="warning")],
    ),
    Case(
        "duplicate-attribute",
        "g (float[2] x) => (float[2] y) { [n1] y = Elu<alpha = 1.0, alpha = 2.0>(x) }",
        [Expected("duplicate-name", "/nodes/0/attributes/alpha", "n1", says="given twice")],
    ),
    Case(
        "duplicate-functions",
        "g (float[2] x) => (float[2] y) { [n1] y = f.foo(x) }"
        '<domain: "f", opset_import: ["": 21]> foo (x) => (y) { y = Relu(x) }'
        '<domain: "f", opset_import: ["": 21]> foo (x) => (y) { y = Tanh(x) }',
        [Expected("duplicate-name", "/functions/1", says="foo")],
        opset=FUNCTIONS,
    ),
    Case(
        "two-versions-of-a-domain",
        RELU,
        [Expected("duplicate-name", "/opset", found="20 and 21")],
        opset='"": 20, "": 21',
    ),
    Case(
        "unused",
        f"g (float[2] x, float[2] u) => (float[2] y) {W} {{ [n1] y = Relu(x)  [n2] dead = Tanh(x) }}",
        [
            Expected("unused-input", "/inputs/u", severity="warning"),
            Expected("unused-parameter", "/parameters/w", severity="warning"),
            Expected("unused-node", "/nodes/1", "n2", severity="warning"),
        ],
    ),
    Case(
        "not-sorted",
        "g (float[2] x) => (float[2] y) { [n1] y = Tanh(a)  [n2] a = Relu(x) }",
        [
            Expected(
                "not-sorted",
                "/nodes/0",
                "n1",
                says="Node 'n1' (Tanh) comes before node 'n2' (Relu)",
                found="node 0 before node 1",
                hint="sorts",
                severity="warning",
            )
        ],
    ),
    Case(
        "empty-input-name",
        RELU,
        [Expected("invalid-name", "/inputs/", says="no name")],
        change=lambda m: m.graph.input.append(helper.make_tensor_value_info("", 1, [2])),
    ),
    Case(
        "empty-parameter-name",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] y = Relu(x) }}",
        [Expected("invalid-name", "/parameters/", says="no name")],
        change=lambda m: setattr(m.graph.initializer[0], "name", ""),
    ),
    Case(
        "empty-output-name",
        RELU,
        [Expected("invalid-name", "/outputs/1", says="no name")],
        change=lambda m: m.graph.output.append(helper.make_tensor_value_info("", 1, [2])),
    ),
    Case("empty-graph-name", RELU, [Expected("invalid-name", "/name")], change=lambda m: m.graph.ClearField("name")),
    Case(
        "empty-subgraph-name",
        IF,
        [Expected("invalid-name", "/nodes/0/attributes/then_branch/name")],
        change=lambda m: m.graph.node[0].attribute[0].g.ClearField("name"),
    ),
    Case(
        "empty-attribute-name",
        "g (float[2] x) => (float[2] y) { [n1] y = Elu<alpha = 1.0>(x) }",
        [
            Expected("invalid-name", "/nodes/0/attributes/", "n1"),
            Expected("unknown-attribute", "/nodes/0/attributes/", "n1"),
        ],
        change=set_attribute(name=""),
    ),
    Case(
        "empty-function-name",
        "g (float[2] x) => (float[2] y) { [n1] y = Relu(x) }"
        '<domain: "f", opset_import: ["": 21]> foo (x) => (y) { y = Relu(x) }',
        [Expected("invalid-name", "/functions/0")],
        opset=FUNCTIONS,
        change=lambda m: setattr(m.functions[0], "name", ""),
    ),
    # Operators
    Case(
        "unknown-operator",
        RELU.replace("Relu", "Rleu"),
        [Expected("unknown-operator", "/nodes/0/op", "n1", found="Rleu", hint="'Relu'")],
    ),
    Case(
        "operator-of-another-domain",
        RELU.replace("Relu", "Normalizer"),
        [Expected("unknown-operator", "/nodes/0/op", "n1", hint="'ai.onnx.ml'")],
    ),
    Case(
        "unknown-domain",
        RELU.replace("Relu", "com.acme.Relu"),
        [Expected("unknown-operator", "/nodes/0/op", "n1", expected="ai.onnx.ml", found="com.acme", hint="'ai.onnx'")],
        opset='"": 21, "com.acme": 1',
    ),
    Case(
        "operator-too-new",
        "g (float[2] x) => (float[2] y) { [n1] y = Gelu(x) }",
        [Expected("operator-not-in-opset", "/nodes/0/op", "n1", expected="since opset 20", found="opset 19")],
        opset='"": 19',
    ),
    Case(
        "operator-gone",
        "g (float[2] x, float[1] s) => (float[4] y) { [n1] y = Upsample(x, s) }",
        [Expected("operator-not-in-opset", "/nodes/0/op", "n1", expected="since opset 1, until opset 9")],
    ),
    Case(
        "missing-function",
        'g (float[2] x) => (float[2] y) { [n1] y = f.fo(x) } <domain: "f", opset_import: ["": 21]> foo (x) => (y)'
        " { y = Relu(x) }",
        [Expected("missing-function", "/nodes/0/op", "n1", expected="foo", found="fo", hint="'foo'")],
        opset=FUNCTIONS,
    ),
    Case(
        "no-opset",
        RELU,
        [Expected("no-opset-import", "/opset", expected="an opset version")],
        change=lambda m: m.ClearField("opset_import"),
    ),
    Case(
        "no-opset-for-a-domain",
        "g (float[2,3] x) => (float[2,3] y) { [n1] y = ai.onnx.ml.Normalizer(x) }",
        [Expected("no-opset-import", "/opset/ai.onnx.ml", "n1", found="none", hint="newest version")],
    ),
    Case("opset-too-new", RELU, [Expected("unsupported-opset", "/opset", found="9999")], opset='"": 9999'),
    Case(
        "opset-zero",
        RELU,
        [Expected("unsupported-opset", "/opset/ai.onnx.ml", expected="1 to", found="0")],
        opset='"": 21, "ai.onnx.ml": 0',
    ),
    Case(
        "opset-beyond-int32",
        RELU,
        [Expected("unsupported-opset", "/opset/f", found="4294967296")],
        opset='"": 21, "f": 4294967296',
    ),
    Case(
        "ir-version-too-new",
        RELU,
        [Expected("unsupported-ir-version", "/model/ir_version", found="99")],
        change=lambda m: setattr(m, "ir_version", 99),
    ),
    Case(
        "ir-version-missing",
        RELU,
        [Expected("unsupported-ir-version", "/model/ir_version", found="none")],
        change=lambda m: m.ClearField("ir_version"),
    ),
    Case(
        "too-few-inputs",
        "g (float[2] x) => (float[2] y) { [n1] y = Add(x) }",
        [Expected("wrong-number-of-inputs", "/nodes/0/inputs", "n1", expected="2 (A, B)", found="1", hint="Give B.")],
    ),
    Case(
        "too-many-inputs",
        "g (float[2] x) => (float[2] y) { [n1] y = Clip(x, , , x) }".replace("(x, , , x)", '(x, "", "", x)'),
        [Expected("wrong-number-of-inputs", "/nodes/0/inputs", "n1", expected="1 to 3 (input, min, max)", found="4")],
    ),
    Case(
        "empty-names-beyond-the-last-input",
        'g (float[2] x) => (float[2] y) { [n1] y = Relu(x, "") }',
        [Expected("wrong-number-of-inputs", "/nodes/0/inputs", "n1", expected="1 (X)", found="2")],
    ),
    Case(
        "missing-input",
        'g (float[2] x) => (float[2] y) { [n1] y = Add("", x) }',
        [Expected("missing-input", "/nodes/0/inputs/0", "n1", expected="A", found="an empty name")],
    ),
    Case(
        "too-many-outputs",
        "g (float[2] x) => (float[2] y) { [n1] y, z = Relu(x) }",
        [Expected("wrong-number-of-outputs", "/nodes/0/outputs", "n1", expected="1 (Y)", found="2")],
    ),
    Case(
        "missing-output",
        "g (float[4] x, int64[1] k) => (int64[1] y) { [n1] v, y = TopK(x, k) }",
        [Expected("missing-output", "/nodes/0/outputs/0", "n1", expected="Values", found="an empty name")],
        change=lambda m: m.graph.node[0].output.__setitem__(0, ""),
    ),
    Case(
        "unknown-attribute",
        "g (float[2] x) => (float[2] y) { [n1] y = Elu<alhpa = 1.0>(x) }",
        [Expected("unknown-attribute", "/nodes/0/attributes/alhpa", "n1", expected="one of alpha", hint="'alpha'")],
    ),
    Case(
        "attribute-became-input",
        "g (float[2] x) => (float[1] y) { [n1] y = ReduceSum<axes = [0]>(x) }",
        [Expected("unknown-attribute", "/nodes/0/attributes/axes", "n1", hint="'axes' is an input")],
    ),
    Case(
        "missing-attribute",
        "g (float[2] x) => (float[4] y) { [n1] y = Concat(x, x) }",
        [Expected("missing-attribute", "/nodes/0/attributes/axis", "n1", expected="an int", found="nothing")],
    ),
    Case(
        "attribute-kind",
        "g (float[2] x) => (float[2] y) { [n1] y = Elu<alpha: int = 1>(x) }",
        [Expected("attribute-kind", "/nodes/0/attributes/alpha", "n1", expected="a float", found="an int")],
    ),
    Case(
        "attribute-without-its-value",
        "g (float[2] x) => (float[2] y) { [n1] y = Elu<alpha = 1.0>(x) }",
        [Expected("attribute-kind", "/nodes/0/attributes/alpha", "n1", expected="a float", found="nothing")],
        change=lambda m: m.graph.node[0].attribute[0].ClearField("f"),
    ),
    Case(
        "attribute-value",
        "g (float[2,3] x) => (float[3,2] y) { [n1] y = Transpose<perm = [0, 2]>(x) }",
        [Expected("attribute-value", "/nodes/0/attributes/perm", "n1", says="data float32[2, 3]", found="[0, 2]")],
    ),
    Case(
        "attribute-no-dtype",
        "g (float[2,3] x) => (float[2,3] y) { [n1] y = Cast<to = 99>(x) }",
        [Expected("attribute-value", "/nodes/0/attributes/to", "n1", found="99")],
    ),
    Case(
        "attribute-reference-outside",
        "g (float[2] x) => (float[2] y) { [n1] y = Elu<alpha: float = @a>(x) }",
        [Expected("attribute-reference", "/nodes/0/attributes/alpha", "n1", found="a")],
    ),
    Case(
        "attribute-reference-unknown",
        "g (float[2] x) => (float[2] y) { [n1] y = f.foo<alpha = 1.0>(x) }"
        '<domain: "f", opset_import: ["": 21]> foo <alpha> (x) => (y) { [i] y = Elu<alpha: float = @alhpa>(x) }',
        [Expected("attribute-reference", "/functions/0/nodes/0/attributes/alpha", "i", found="alhpa", hint="'alpha'")],
        opset=FUNCTIONS,
    ),
    # Types
    Case(
        "dtype-not-allowed",
        "g (float[2] x) => (bool[2] y) { [n0] a = Neg(x)  [n1] y = And(a, a) }",
        [
            Expected(
                "dtype-mismatch",
                "/nodes/1/inputs/0",
                "n1",
                says="The input A of node 'n1' (And)",
                expected="bool",
                found="float32 of node 'n0' (Neg)",
                hint="Cast",
            ),
            Expected("dtype-mismatch", "/nodes/1/inputs/1", "n1", says="The input B"),
        ],
    ),
    Case(
        "dtypes-disagree",
        "g (float[2] x, int64[2] i) => (float[2] y) { [n1] y = Add(x, i) }",
        [
            Expected(
                "dtype-mismatch",
                "/nodes/0/inputs/1",
                "n1",
                says="inputs A and B",
                expected="float32, as A of input 'x'",
                found="int64 of input 'i'",
                hint="Cast",
            )
        ],
    ),
    Case(
        "dtypes-disagree-variadic",
        "g (float[2] x, int64[2] i) => (float[4] y) { [n1] y = Concat<axis = 0>(x, i) }",
        [Expected("dtype-mismatch", "/nodes/0/inputs/1", "n1", says="inputs[0] and inputs[1]")],
    ),
    Case(
        "dtypes-in-subgraph",
        IF.replace("float[2] x)", "int32[2] x)").replace("(float[2] y", "(int32[2] y").replace("Relu", "And"),
        [
            Expected("wrong-number-of-inputs", "/nodes/0/attributes/then_branch/nodes/0/inputs", "inner"),
            Expected("dtype-mismatch", "/nodes/0/attributes/else_branch/nodes/0/inputs/0", "inner2"),
        ],
    ),
    Case(
        "dtypes-in-function",
        "g (float[2] x, int64[2] i) => (float[2] y) { [n1] y = f.foo(x, i) }"
        '<domain: "f", opset_import: ["": 21]> foo (a, b) => (c) { [i] c = Add(a, b) }',
        [Expected("dtype-mismatch", "/functions/0/nodes/0/inputs/1", "i", found="int64 of input 'b' of the function")],
        opset=FUNCTIONS,
    ),
    Case(
        "shape-mismatch",
        "g (float[2,3] a, float[4,5] b) => (float[2,3] y) { [n1] c = Relu(b)  [n2] y = Add(a, c) }",
        [
            Expected(
                "shape-mismatch",
                "/nodes/1/inputs/1",
                "n2",
                says="A float32[2, 3] of input 'a', B float32[4, 5] of node 'n1' (Relu)",
                expected="broadcast",
                found="B float32[4, 5] of node 'n1' (Relu)",
            )
        ],
    ),
    Case(
        "shape-mismatch-matmul",
        "g (float[2,3] a, float[4,5] b) => (float[2,5] y) { [n1] y = MatMul(a, b) }",
        [Expected("shape-mismatch", "/nodes/0/inputs/1", "n1", expected="the last but one of B", found="[4, 5]")],
    ),
    Case(
        "output-contradicted-shape",
        "g (float[2,3] x) => (float[2,4] y) { [n1] y = Relu(x) }",
        [
            Expected(
                "output-contradicted",
                "/outputs/0",
                "n1",
                expected="float32[2, 3], as inferred at /nodes/0",
                found="float32[2, 4]",
            )
        ],
    ),
    Case(
        "output-contradicted-dtype",
        "g (float[2,3] x) => (int64[2,3] y) { [n1] y = Relu(x) }",
        [Expected("output-contradicted", "/outputs/0", "n1", expected="float32[2, 3]", found="int64[2, 3]")],
    ),
    Case(
        "output-contradicted-input",
        "g (float[2,3] x) => (int64[2,3] x) { }",
        [Expected("output-contradicted", "/outputs/0", says="input 'x'")],
    ),
    Case(
        "intermediate-contradicted",
        "g (float[2,3] x) => (float[2,3] y) { [n1] a = Relu(x)  [n2] y = Relu(a) }",
        [Expected("output-contradicted", "/value_info/a", "n1", found="float32[7]")],
        change=lambda m: m.graph.value_info.append(helper.make_tensor_value_info("a", 1, [7])),
    ),
    Case(
        "parameter-and-input-differ-in-dtype",
        f"g (float[3] x, int64[3] w) => (float[3] y) {W} {{ [n1] a = Cast<to = 1>(w) [n2] y = Add(x, a) }}",
        [Expected("dtype-mismatch", "/parameters/w", expected="int64[3]", found="float32[3]")],
    ),
    Case(
        "parameter-and-input-differ-in-shape",
        f"g (float[1] x, float[4] w) => (float[4] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("shape-mismatch", "/parameters/w", expected="[4]", found="[3]")],
    ),
    Case(
        "loop-body-inputs",
        "g (int64 n, bool c, float[2] x) => (float[2] y) { [n1] y = Loop(n, c, x) <body = b (int64 i, bool d) =>"
        " (bool d2, float[2] z) { d2 = Identity(d) z = Relu(x) }> }",
        [
            Expected(
                "wrong-number-of-inputs", "/nodes/0/attributes/body/inputs", "n1", expected="3", found="2", says="body"
            )
        ],
    ),
    Case(
        "loop-body-dtype",
        "g (int64 n, bool c, float[2] x) => (float[2] y) { [n1] y = Loop(n, c, x) <body = b (int64 i, bool d,"
        " int32[2] v) => (bool d2, int32[2] z) { d2 = Identity(d) z = Abs(v) }> }",
        [Expected("dtype-mismatch", "/nodes/0/attributes/body/inputs/v", "n1", expected="float32", found="int32[2]")],
    ),
    Case(
        "input-without-type",
        RELU,
        [Expected("missing-type", "/inputs/x")],
        change=lambda m: m.graph.input[0].ClearField("type"),
    ),
    Case(
        "input-without-shape",
        "g (float[2,3] x) => (float[2,3] y) { [n1] y = Relu(x) }",
        [Expected("missing-shape", "/inputs/x", severity="warning")],
        change=lambda m: m.graph.input[0].type.tensor_type.ClearField("shape"),
    ),
    Case(
        "output-of-unknown-shape",
        "g (float[2,3] x, int64[k] s) => (float[] y) { [n1] y = Reshape(x, s) }",
        [Expected("missing-shape", "/outputs/0", severity="warning")],
        change=lambda m: m.graph.output[0].type.tensor_type.ClearField("shape"),
    ),
    Case(
        "input-of-no-dtype",
        RELU,
        [Expected("invalid-dtype", "/inputs/x", found="99")],
        change=lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
    ),
    # Tensors
    Case(
        "raw-data-length",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("raw-data-length", "/parameters/w", expected="12 bytes for float32[3]", found="8 bytes", says="'w'")],
        change=raw(8),
    ),
    Case(
        "raw-data-length-in-attribute",
        "g (float[3] x) => (float[3] y) { [n0] w = Constant<value = float[3] {1,2,3}>()  [n1] y = Add(x, w) }",
        [Expected("data-length", "/nodes/0/attributes/value", "n0", expected="4 entries of float_data", found="3")],
        change=lambda m: m.graph.node[0].attribute[0].t.dims.__setitem__(0, 4),
    ),
    Case(
        "data-length",
        f"g (float[4] x) => (float[4] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("data-length", "/parameters/w", expected="4 entries of float_data", found="3 entries")],
        change=dims(4),
    ),
    Case(
        "negative-dimension",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("negative-dimension", "/parameters/w", found="[-3]")],
        change=dims(-3),
    ),
    Case(
        "negative-dimension-of-an-input",
        "g (float[-1,3] x) => (float[?,3] y) { [n1] y = Relu(x) }",
        [
            Expected("negative-dimension", "/inputs/x", found="[-1, 3]", hint="symbolic"),
            Expected("missing-shape", "/inputs/x", severity="warning"),
        ],
    ),
    Case(
        "external-data",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("external-data", "/parameters/w", found="external data", hint="one file")],
        change=external,
    ),
    Case(
        "tensor-of-no-dtype",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("invalid-dtype", "/parameters/w", found="77")],
        change=lambda m: setattr(m.graph.initializer[0], "data_type", 77),
    ),
    Case(
        "type-says-nothing",
        "g (float[3] x, seq(float[3]) s) => (float[3] y) { [n1] y = Relu(x) [n2] n = SequenceLength(s) }",
        [
            Expected("invalid-dtype", "/inputs/s", found="nothing"),
            Expected("unused-node", "/nodes/1", "n2", severity="warning"),
        ],
        change=lambda m: m.graph.input[1].type.sequence_type.elem_type.Clear(),
    ),
    Case(
        "map-without-key",
        RELU.replace("(float[2,3] x)", "(float[2,3] x, map(int64, float) s)"),
        [
            Expected("invalid-dtype", "/inputs/s", found="keys of element type 0"),
            Expected("unused-input", "/inputs/s", severity="warning"),
        ],
        change=lambda m: m.graph.input[1].type.map_type.ClearField("key_type"),
    ),
    Case("type-too-deep", RELU, [Expected("too-deep", "/inputs/x")], change=nest_type),
    Case(
        "sparse-negative-dimension",
        "g () => (float[3] y) { [n1] y = Constant() }",
        [Expected("negative-dimension", "/nodes/0/attributes/sparse_value", "n1", found="[-3]")],
        change=sparse([-3], 2),
    ),
    Case(
        "sparse-indices",
        "g () => (float[3] y) { [n1] y = Constant() }",
        [Expected("data-length", "/nodes/0/attributes/sparse_value", "n1", expected="[2]", found="[3]")],
        change=sparse([3], 3),
    ),
    Case(
        "sparse-parameter",
        RELU,
        [
            Expected("negative-dimension", "/sparse_parameters/w", found="[-3]"),
            Expected("unused-parameter", "/sparse_parameters/w", severity="warning"),
        ],
        change=lambda m: m.graph.sparse_initializer.append(sparse_tensor([-3], 2)),
    ),
    Case(
        "no-value",
        "g () => (float[3] y) { [n1] y = Constant() }",
        [Expected("inference", "/nodes/0", "n1", expected="One and only one of the attributes")],
    ),
    Case(
        "dtype-of-a-later-opset",
        "g (float[3] x) => (float8e4m3fn[3] y) { [n1] y = Cast<to = 17>(x) }",
        [Expected("dtype-mismatch", "/nodes/0/inputs/0", "n1", expected="not of the type tensor(float8e4m3fn)")],
        opset='"": 13',
    ),
    # The model
    Case(
        "no-outputs",
        "g (float[2] x) => () { [n1] y = Relu(x) }",
        [Expected("no-outputs", "/outputs"), Expected("unused-node", "/nodes/0", "n1", severity="warning")],
    ),
    Case("no-graph", RELU, [Expected("no-outputs", "/outputs")], change=lambda m: m.ClearField("graph")),
    Case(
        "function-recursion",
        "g (float[2] x) => (float[2] y) { [n1] y = f.foo(x) }"
        '<domain: "f", opset_import: ["": 21, "f": 1]> foo (x) => (y) { y = f.bar(x) }'
        '<domain: "f", opset_import: ["": 21, "f": 1]> bar (x) => (y) { y = f.foo(x) }',
        [Expected("function-recursion", "/functions/0", says="foo → bar → foo", found="foo, bar")],
        opset=FUNCTIONS,
    ),
    Case(
        "function-call",
        "g (float[2] x) => (float[2] y) { [n1] y, z = f.foo<alhpa = 1.0>(x, x) }"
        '<domain: "f", opset_import: ["": 21]> foo <alpha> (x) => (y) { y = Elu<alpha: float = @alpha>(x) }',
        [
            Expected("wrong-number-of-inputs", "/nodes/0/inputs", "n1", expected="at most 1 (x)", found="2"),
            Expected("wrong-number-of-outputs", "/nodes/0/outputs", "n1", expected="at most 1 (y)", found="2"),
            Expected("unknown-attribute", "/nodes/0/attributes/alhpa", "n1", expected="alpha", hint="'alpha'"),
        ],
        opset=FUNCTIONS,
    ),
    Case(
        "function-output-undefined",
        "g (float[2] x) => (float[2] y) { [n1] y = f.foo(x) }"
        '<domain: "f", opset_import: ["": 21]> foo (x) => (resutl) { [i] result = Relu(x) }',
        [Expected("undefined-value", "/functions/0/outputs/0", found="resutl", hint="'result'")],
        opset=FUNCTIONS,
    ),
    Case(
        "function-without-opset",
        "g (float[2] x) => (float[2] y) { [n1] y = f.foo(x) }"
        '<domain: "f", opset_import: ["f": 1]> foo (x) => (y) { [i] y = Relu(x) }',
        [Expected("no-opset-import", "/functions/0/opset", "i")],
        opset=FUNCTIONS,
    ),
    Case(
        "too-deep",
        RELU,
        [
            Expected(
                "too-deep", "/nodes/0" + "/attributes/then_branch/nodes/0" * 32 + "/attributes/then_branch", "if1"
            ),
            Expected(
                "too-deep", "/nodes/0" + "/attributes/then_branch/nodes/0" * 32 + "/attributes/else_branch", "if1"
            ),
        ],
        change=lambda m: (
            m.graph.CopyFrom(deep(33)),
            m.graph.input.append(helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, [])),
            m.graph.input.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])),
        ),
    ),
    Case(
        "onnx-checker",
        f"g (float[3] x) => (float[3] y) {W} {{ [n1] y = Add(x, w) }}",
        [Expected("onnx-checker", "", says="in initializer but not in graph input")],
        ir_version=3,
    ),
    # Independent errors are all found, and none is found twice
    Case(
        "all-at-once",
        f"""g (float[2,3] x, int64[2] i) => (float[9] y, float[2] z) {W} {{
        [n1] a = Relu(q)  [n2] b = Add(a, x)  [n3] c = MatMul(b, b)  [n4] y = Tanh(w)  [n5] z = Rleu(i)
        [n6] e = And(i, i) }}""",
        [
            Expected("undefined-value", "/nodes/0/inputs/0", "n1"),
            Expected("unknown-operator", "/nodes/4/op", "n5"),
            Expected("output-contradicted", "/outputs/0", "n4"),
            Expected("dtype-mismatch", "/nodes/5/inputs/0", "n6"),
            Expected("dtype-mismatch", "/nodes/5/inputs/1", "n6"),
            Expected("unused-node", "/nodes/2", "n3", severity="warning"),
            Expected("unused-node", "/nodes/5", "n6", severity="warning"),
        ],
    ),
]


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in CASES])
def test_each_problem_is_found_where_it_is(case: Case) -> None:
    bad = model(case.body, case.opset, case.ir_version)
    case.change(bad)
    before = bad.SerializeToString(deterministic=True)
    report = validate(bad)
    assert sorted((p.code, p.path) for p in report.problems) == sorted((e.code, e.path) for e in case.problems)
    found = {(p.code, p.path): p for p in report.problems}
    for expected in case.problems:
        expected.check(found[expected.code, expected.path])
    assert report.ok == all(e.severity == "warning" for e in case.problems)
    assert bad.SerializeToString(deterministic=True) == before, "validate changed the model"


# Shapes that ONNX's own inference lets pass
SHAPES = [
    ("conv-channels", "(float[1,3,8,8] x, float[4,5,3,3] w) => (float[1,4,6,6] y) { y = Conv(x, w) }", "5 channels"),
    (
        "conv-groups",
        "(float[1,4,8,8] x, float[3,2,3,3] w) => (float[1,3,6,6] y) { y = Conv<group = 2>(x, w) }",
        "group = 2",
    ),
    (
        "conv-bias",
        "(float[1,3,8,8] x, float[4,3,3,3] w, float[5] b) => (float[1,4,6,6] y) { y = Conv(x, w, b) }",
        "shape [4]",
    ),
    ("conv-rank", "(float[1,3,8] x, float[4,3,3,3] w) => (float[1,4,6,6] y) { y = Conv(x, w) }", "same rank"),
    (
        "conv-transpose",
        "(float[1,3,8,8] x, float[4,5,3,3] w) => (float[1,5,10,10] y) { y = ConvTranspose(x, w) }",
        "X with 4 channels",
    ),
    (
        "conv-transpose-bias",
        "(float[1,4,8,8] x, float[4,5,3,3] w, float[4] b) => (float[1,5,10,10] y) { y = ConvTranspose(x, w, b) }",
        "a channel of the output",
    ),
    ("gemm-c", "(float[2,3] a, float[3,5] b, float[7] c) => (float[2,5] y) { y = Gemm(a, b, c) }", "[2, 5]"),
    (
        "gemm-c-transposed",
        "(float[3,2] a, float[5,3] b, float[2] c) => (float[2,5] y) { y = Gemm<transA = 1, transB = 1>(a, b, c) }",
        "[2, 5]",
    ),
    (
        "instance-norm",
        "(float[1,3,4] x, float[2] s, float[3] b) => (float[1,3,4] y) { y = InstanceNormalization(x, s, b) }",
        "one number a channel",
    ),
    ("layer-norm", "(float[2,3,4] x, float[5] s) => (float[2,3,4] y) { y = LayerNormalization(x, s) }", "axes of X"),
    ("prelu", "(float[2,3] x, float[4] s) => (float[2,3] y) { y = PRelu(x, s) }", "broadcasts to X"),
    (
        "cross-entropy-labels",
        "(float[2,3] x, int64[4] l) => (float y) { y = SoftmaxCrossEntropyLoss(x, l) }",
        "labels of shape [2]",
    ),
    ("gather-elements", "(float[2,3] x, int64[4] i) => (float[4] y) { y = GatherElements(x, i) }", "same rank"),
    ("clip-bounds", "(float[2,3] x, float[3] i) => (float[2,3] y) { y = Clip(x, i) }", "a scalar"),
    ("einsum", '(float[2,3] a, float[4,3] b) => (float[2,3] y) { y = Einsum<equation = "ij,jk->ik">(a, b) }', "'j'"),
    ("einsum-rank", '(float[2,3] a) => (float[2] y) { y = Einsum<equation = "i->i">(a) }', "rank 1"),
    ("reshape", "(float[2,3] x) => (float[7] y) <int64[1] s = {7}> { y = Reshape(x, s) }", "6 elements"),
    ("reshape-rest", "(float[2,3] x) => (float[4,?] y) <int64[2] s = {4,-1}> { y = Reshape(x, s) }", "6 elements"),
    ("reshape-keep", "(float[6] x) => (float[6,1] y) <int64[2] s = {6,0}> { y = Reshape(x, s) }", "keep this size"),
    (
        "lstm-input",
        "(float[2,3,4] x, float[1,8,9] w, float[1,8,2] r) => (float[2,1,3,2] y) { y = LSTM<hidden_size = 2>(x, w, r) }",
        "size 4",
    ),
    (
        "lstm-hidden",
        "(float[2,3,4] x, float[1,8,4] w, float[1,8,3] r) => (float[2,1,3,2] y) { y = LSTM<hidden_size = 2>(x, w, r) }",
        "hidden_size = 2",
    ),
]


@pytest.mark.parametrize(("body", "rule"), [pytest.param(b, r, id=i) for i, b, r in SHAPES])
def test_shapes_that_onnx_lets_pass(body: str, rule: str) -> None:
    report = validate(model(f"g {body}"))
    assert [p.code for p in report.errors] == ["shape-mismatch"]
    assert report.errors[0].path.startswith("/nodes/0/inputs/")
    assert rule in (report.errors[0].expected or "")


def test_report_raises_its_errors_and_only_those() -> None:
    good = validate(model(RELU))
    good.raise_for_errors()
    assert (good.ok, good.problems) == (True, ())
    report = validate(model("g (float[2] x, float[2] u) => (float[2] y) { [n1] y = Add(x, q) }"))
    with pytest.raises(ValidationError) as caught:
        report.raise_for_errors()
    assert [p.code for p in caught.value.problems] == ["undefined-value"]
    assert [p.code for p in report.warnings] == ["unused-input"]


NAMES = """g_graph (float[n_dim] x_in) => (float[2] y_out) <float[1] w_par = {1}> {
    [n_node] y_out = f_dom.op_type <a_attr = 1.0> (x_in)
    [n_if] z_out = If(x_in) <then_branch = t_sub () => (float[2] v_sub) { [n_sub] v_sub = Relu(x_in) }> }
    <domain: "f_dom", opset_import: ["": 21]> op_type <a_fun> (b_in) => (c_out) {
    [n_fun] c_out = Elu<alpha: float = @a_ref>(b_in) }"""


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("g_graph", "/name"),
        ("n_dim", "/inputs"),
        ("x_in", "/inputs"),
        ("y_out", "/outputs"),
        ("w_par", "/parameters"),
        ("n_node", "/nodes/0"),
        ("f_dom", "/opset"),
        ("op_type", "/nodes/0"),
        ("a_attr", "/nodes/0/attributes"),
        ("n_if", "/nodes/1"),
        ("z_out", "/nodes/1"),
        ("t_sub", "/nodes/1/attributes/then_branch/name"),
        ("v_sub", "/nodes/1/attributes/then_branch/outputs"),
        ("n_sub", "/nodes/1/attributes/then_branch/nodes/0"),
        ("a_fun", "/functions/0"),
        ("b_in", "/functions/0"),
        ("c_out", "/functions/0"),
        ("n_fun", "/functions/0/nodes/0"),
        ("a_ref", "/functions/0/nodes/0/attributes"),
    ],
)
def test_names_that_are_not_utf_8(name: str, path: str) -> None:
    data = model(NAMES, '"": 21, "f_dom": 1').SerializeToString()
    report = validate(onnx.ModelProto.FromString(data.replace(name.encode(), b"\xff" * len(name))))
    assert {(p.code, p.expected) for p in report.problems} == {("invalid-name", "UTF-8")}
    assert path in {p.path for p in report.problems}


@pytest.mark.parametrize(
    ("function", "code", "path"),
    [
        pytest.param("graph_block", "unexpected", "", id="anywhere"),
        pytest.param("Walk._infer", "inference", "/nodes/0", id="at-a-node"),
    ],
)
def test_a_stumble_is_a_problem(monkeypatch: pytest.MonkeyPatch, function: str, code: str, path: str) -> None:
    def stumble(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"graphspec.validation.model.{function}", stumble)
    report = validate(model(RELU))
    assert [(p.code, p.path) for p in report.problems] == [(code, path)]
    assert "ZeroDivisionError" in report.problems[0].message


def test_report_as_json() -> None:
    report = validate(model("g (float[N,3] x) => (float[N,3] y) { [n1] y = Relu(x) [n1] u = Rleu(x) }"))
    assert report.to_dict() == {
        "valid": False,
        "problems": [p.to_dict() for p in report.problems],
        "values": {
            "x": {"dtype": "float32", "shape": ["N", 3], "kind": "input"},
            "y": {"dtype": "float32", "shape": ["N", 3], "kind": "intermediate"},
            "u": {"dtype": None, "shape": None, "kind": "intermediate"},
        },
    }
