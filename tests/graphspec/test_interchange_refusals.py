"""Bad sources: each is refused with the place, what was expected and what was found; nothing else is ever raised."""

import base64
import copy
import json
import random
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphspec as gs
from graphspec import interchange
from graphspec.interchange import Limits

GOOD = {
    "graphspec": 1,
    "name": "g",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n", 3]}},
    "parameters": {"w": {"dtype": "float32", "shape": [3], "data": [1, 2, 3]}},
    "nodes": [
        {"op": "Mul", "inputs": ["x", "w"], "outputs": ["h"]},
        {"op": "ReduceSum", "name": "total", "inputs": ["h"], "outputs": ["y"], "attributes": {"keepdims": 0}},
    ],
    "outputs": ["y"],
}


def put(pointer, value):
    """GOOD with one place set to another value; a place that is not there is added."""
    document = copy.deepcopy(GOOD)
    here = document
    *parents, last = pointer.split("/")[1:]
    for part in parents:
        here = here[int(part) if isinstance(here, list) else part]
    if isinstance(here, list):
        here[int(last) : int(last) + 1] = [value]
    else:
        here[last] = value
    return document


def without(field):
    return {key: value for key, value in GOOD.items() if key != field}


def node(**fields):
    return put("/nodes/2", {"inputs": ["x"], "outputs": ["z"], **fields})


def attribute(op, **attributes):
    return node(op=op, attributes=attributes)


def parameter(**fields):
    return put("/parameters/w", fields)


def nested_graphs(depth):
    graph = {"nodes": [], "outputs": ["q"]}
    for _ in range(depth):
        attributes = {"then_branch": graph, "else_branch": {"nodes": [], "outputs": ["q"]}}
        graph = {
            "nodes": [{"op": "If", "inputs": ["c"], "outputs": ["q"], "attributes": attributes}],
            "outputs": ["q"],
        }
    return {"graphspec": 1, "opset": 21, **graph}


def nested(value, depth, wrap):
    for _ in range(depth):
        value = wrap(value)
    return value


#: document, then (code, path) of every problem, and what the first one's hint says.
BAD_DOCUMENTS = {
    "empty": ({}, [("missing-field", "")] * 4, None),
    "no-nodes": (without("nodes"), [("missing-field", "")], None),
    "version": (put("/graphspec", 2), [("unsupported-version", "/graphspec")], None),
    "version-true": (put("/graphspec", True), [("unsupported-version", "/graphspec")], None),
    "unknown-field": (put("/Outputs", []), [("unknown-field", "/Outputs")], 'Did you mean "outputs"?'),
    "unknown-field-of-node": (node(op="Relu", input=["x"]), [("unknown-field", "/nodes/2/input")], '"inputs"'),
    "missing-misspelt": (
        put("/nodes/2", {"op": "Relu", "inputs": ["x"], "ouputs": ["z"]}),
        [("missing-field", "/nodes/2"), ("unknown-field", "/nodes/2/ouputs")],
        'Is "ouputs" a misspelling of it?',
    ),
    "nodes-object": (put("/nodes", {"op": "Relu"}), [("wrong-kind", "/nodes")], None),
    "inputs-list": (put("/inputs", [[]]), [("wrong-kind", "/inputs")], None),
    "null-input": (put("/nodes/0/inputs", ["x", None]), [("wrong-kind", "/nodes/0/inputs/1")], 'the empty string ""'),
    "null-field": (put("/nodes/0/name", None), [("wrong-kind", "/nodes/0/name")], "left out"),
    "empty-op": (node(op=""), [("invalid-name", "/nodes/2/op")], None),
    "empty-name": (put("/inputs/", {"dtype": "bool"}), [("invalid-name", "/inputs/")], None),
    "half-surrogate": (put("/doc_string", "\ud800"), [("bad-encoding", "/doc_string")], None),
    "half-surrogate-key": (put("/inputs/\ud800", {}), [("bad-encoding", "/inputs/" + "\ufffd" * 3)], None),
    "half-surrogate-value": (node(op="Relu", name="\udfff"), [("bad-encoding", "/nodes/2/name")], None),
    "metadata-number": (put("/metadata_props", {"a": 1}), [("wrong-kind", "/metadata_props/a")], None),
    "opset-text": (put("/opset", "21"), [("wrong-kind", "/opset")], None),
    "opset-zero": (put("/opset", 0), [("out-of-range", "/opset")], None),
    "opset-list": (put("/opset", []), [("wrong-kind", "/opset")], None),
    "opset-domain": (put("/opset", {"": True}), [("wrong-kind", "/opset/")], None),
    "opset-twice": (put("/opset", {"": 21, "ai.onnx": 21}), [("duplicate-key", "/opset")], None),
    "output-number": (put("/outputs", ["y", 3]), [("wrong-kind", "/outputs/1")], None),
    "output-empty": (put("/outputs", [""]), [("invalid-name", "/outputs/0")], None),
    "output-nameless": (put("/outputs", [{"dtype": "bool"}]), [("missing-field", "/outputs/0")], None),
    "outputs-text": (put("/outputs", "y"), [("wrong-kind", "/outputs")], None),
    "dtype": (put("/inputs/x/dtype", "float"), [("invalid-dtype", "/inputs/x/dtype")], '"float32"'),
    "dtype-case": (put("/inputs/x/dtype", "Float32"), [("invalid-dtype", "/inputs/x/dtype")], '"float32"'),
    "shape-number": (put("/inputs/x/shape", 3), [("wrong-kind", "/inputs/x/shape")], None),
    "dimension-fraction": (put("/inputs/x/shape/1", 1.5), [("wrong-kind", "/inputs/x/shape/1")], None),
    "dimension-true": (put("/inputs/x/shape/1", True), [("wrong-kind", "/inputs/x/shape/1")], None),
    "dimension-huge": (put("/inputs/x/shape/1", 2**63), [("wrong-kind", "/inputs/x/shape/1")], None),
    "dimension-object": (
        put("/inputs/x/shape/1", {"sise": 1}),
        [("missing-field", "/inputs/x/shape/1"), ("unknown-field", "/inputs/x/shape/1/sise")],
        '"sise"',
    ),
    "two-types": (put("/inputs/x/sequence", {}), [("ambiguous", "/inputs/x")], None),
    "shape-without-dtype": (put("/inputs/x", {"shape": [1]}), [("missing-field", "/inputs/x")], None),
    "two-axes-wrong": (
        attribute("Transpose", perm=[1, True, 0.5]),
        [("wrong-kind", "/nodes/2/attributes/perm/1"), ("wrong-kind", "/nodes/2/attributes/perm/2")],
        "Write 1 for true",
    ),
    "int-as-float": (attribute("Softmax", axis=1.0), [("wrong-kind", "/nodes/2/attributes/axis")], None),
    "int-too-large": (attribute("Softmax", axis=2**63), [("out-of-range", "/nodes/2/attributes/axis")], None),
    "float-as-text": (attribute("LeakyRelu", alpha="1"), [("wrong-kind", "/nodes/2/attributes/alpha")], None),
    "float-too-large": (
        attribute("LeakyRelu", alpha=1e39),
        [("out-of-range", "/nodes/2/attributes/alpha")],
        '"Infinity"',
    ),
    "float-infinite": (attribute("LeakyRelu", alpha=np.inf), [("out-of-range", "/nodes/2/attributes/alpha")], None),
    "float-object": (attribute("LeakyRelu", alpha={}), [("wrong-kind", "/nodes/2/attributes/alpha")], None),
    "list-as-number": (attribute("Transpose", perm=1), [("wrong-kind", "/nodes/2/attributes/perm")], None),
    "graph-as-list": (attribute("If", then_branch=[]), [("wrong-kind", "/nodes/2/attributes/then_branch")], None),
    "subgraph": (
        attribute("If", then_branch={"nodes": [{"op": "Relu"}], "outputs": ["q"]}),
        [("missing-field", "/nodes/2/attributes/then_branch/nodes/0")],
        None,
    ),
    "tensor-attribute": (
        attribute("Constant", value={"dtype": "int64", "shape": [1], "data": [[1]]}),
        [("shape-mismatch", "/nodes/2/attributes/value/data")],
        None,
    ),
    "unknown-attribute": (attribute("Softmax", axes=1), [("unknown-attribute", "/nodes/2/attributes/axes")], '"axis"'),
    "unknown-operator": (attribute("Sofmax", axis=1, x=2), [("unknown-operator", "/nodes/2/op")], '"Softmax"'),
    "kinds-unknown": (
        node(op="F", domain="my", attributes={"a": [], "b": {}, "c": 1, "d/e": None}),
        [("ambiguous", f"/nodes/2/attributes/{name}") for name in ("a", "b", "c", "d~1e")],
        '{"kind": "ints", "value": ...}',
    ),
    "kind-misspelt": (
        node(op="F", domain="my", attributes={"a": {"kind": "flaot", "value": 1}}),
        [("wrong-kind", "/nodes/2/attributes/a/kind")],
        '"float"',
    ),
    "kind-without-value": (
        node(op="F", domain="my", attributes={"a": {"kind": "float"}}),
        [("missing-field", "/nodes/2/attributes/a")],
        None,
    ),
    "reference-without-kind": (
        node(op="F", domain="my", attributes={"a": {"ref": "b"}}),
        [("ambiguous", "/nodes/2/attributes/a")],
        None,
    ),
    "data-short": (
        parameter(dtype="float32", shape=[3], data=[1, 2]),
        [("shape-mismatch", "/parameters/w/data")],
        None,
    ),
    "data-ragged": (parameter(dtype="float32", data=[[1, 2], [3]]), [("ragged-data", "/parameters/w/data/1")], None),
    "data-mixed": (parameter(dtype="float32", data=[[1, 2], 3]), [("ragged-data", "/parameters/w/data/1")], None),
    "data-shapeless": (parameter(dtype="float32", data=[]), [("ambiguous", "/parameters/w/data")], None),
    "data-null": (parameter(dtype="float32", data=[1, None]), [("wrong-kind", "/parameters/w/data/1")], "NaN"),
    "data-true": (parameter(dtype="int64", data=[[1], [True]]), [("wrong-kind", "/parameters/w/data/1/0")], "Write 1"),
    "data-one": (parameter(dtype="bool", data=[True, 1]), [("wrong-kind", "/parameters/w/data/1")], "Write true"),
    "data-fraction": (parameter(dtype="uint8", data=[1, 1.5]), [("wrong-kind", "/parameters/w/data/1")], "fraction"),
    "data-nan-int": (parameter(dtype="int8", data=["NaN"]), [("wrong-kind", "/parameters/w/data/0")], None),
    "data-256": (parameter(dtype="uint8", data=[255, 256]), [("out-of-range", "/parameters/w/data/1")], None),
    "data-int4": (parameter(dtype="int4", data=[7, 8]), [("out-of-range", "/parameters/w/data/1")], None),
    "data-huge": (parameter(dtype="float64", data=[10**400]), [("out-of-range", "/parameters/w/data/0")], None),
    "data-1e999": (
        parameter(dtype="float64", data=[0, np.inf]),
        [("out-of-range", "/parameters/w/data/1")],
        "Infinity",
    ),
    "data-70000": (parameter(dtype="float16", data=70000), [("out-of-range", "/parameters/w/data")], None),
    "data-nan-misspelt": (parameter(dtype="float32", data=["nan"]), [("wrong-kind", "/parameters/w/data/0")], None),
    "data-complex": (parameter(dtype="complex64", data=[1]), [("needs-base64", "/parameters/w/data")], "base64"),
    "data-string": (parameter(dtype="string", data=["a", 1]), [("wrong-kind", "/parameters/w/data/1")], None),
    "data-deep": (
        parameter(dtype="float32", data=nested(1, 2000, lambda inner: [inner])),
        [("too-deep", "/parameters/w/data")],
        None,
    ),
    "data-twice": (
        parameter(dtype="float32", shape=[1], data=[1], base64="AAAA"),
        [("ambiguous", "/parameters/w")],
        None,
    ),
    "data-nowhere": (parameter(dtype="float32", shape=[1]), [("missing-field", "/parameters/w")], None),
    "base64-short": (
        parameter(dtype="float32", shape=[2], base64="AAAA"),
        [("raw-data-length", "/parameters/w/base64")],
        None,
    ),
    "base64-bad": (
        parameter(dtype="float32", shape=[1], base64="AA!A"),
        [("bad-base64", "/parameters/w/base64")],
        None,
    ),
    "base64-unpadded": (
        parameter(dtype="uint8", shape=[1], base64="AA"),
        [("bad-base64", "/parameters/w/base64")],
        None,
    ),
    "base64-shapeless": (parameter(dtype="float32", base64="AAAAAA=="), [("missing-field", "/parameters/w")], None),
    "negative-size": (
        parameter(dtype="float32", shape=[-1], data=[]),
        [("out-of-range", "/parameters/w/shape/0")],
        None,
    ),
    "endless-shape": (
        parameter(dtype="float32", shape=[2**62, 2**62, 0], data=[]),
        [("bad-tensor", "/parameters/w/shape")],
        None,
    ),
    "other-name": (
        parameter(dtype="float32", data=[1], name="v"),
        [("name-mismatch", "/parameters/w/name")],
        None,
    ),
    "value-twice": (put("/nodes/1/outputs", ["h"]), [("duplicate-value", "/nodes/1/outputs/0")], None),
    "value-again": (put("/nodes/0/outputs", ["w"]), [("duplicate-value", "/nodes/0/outputs/0")], None),
    "function-output": (
        put("/functions", [{"name": "F", "domain": "f", "inputs": ["abc"], "outputs": ["abd"]}]),
        [("undefined-value", "/functions/0/outputs/0")],
        '"abc"',
    ),
    "function-default": (
        put("/functions", [{"name": "F", "attributes": {"k": 3}}]),
        [("wrong-kind", "/functions/0/attributes/k")],
        None,
    ),
    "function-twice": (put("/functions", [{"name": "F"}] * 2), [("duplicate-name", "/functions/1")], None),
    "types-deep": (
        put("/inputs/x", nested({}, 30, lambda inner: {"sequence": inner})),
        [("limit", "/inputs/x" + "/sequence" * 25)],
        None,
    ),
    "types-endless": (
        put("/inputs/x", nested({}, 2000, lambda inner: {"sequence": inner})),
        [("too-deep", "/inputs/x" + "/sequence" * 250)],
        None,
    ),
    "graphs-deep": (
        nested_graphs(25),
        [("limit", "/nodes/0/attributes/then_branch" * 25)],
        None,
    ),
    "sparse-index": (
        put(
            "/sparse_parameters",
            {
                "s": {
                    "shape": [2],
                    "values": {"dtype": "float32", "data": [1]},
                    "indices": {"dtype": "int64", "data": [2]},
                }
            },
        ),
        [("sparse-tensor", "/sparse_parameters/s/indices")],
        None,
    ),
    "many-at-once": (
        {**put("/opset", -1), "outputs": [1, 2], "extra": 1},
        [("unknown-field", "/extra")],
        None,
    ),
    "many-at-once-later": (
        {**put("/opset", -1), "outputs": [1, 2], **{"inputs": {"x": {"dtype": "f", "shape": [0.5]}}}},
        [
            ("out-of-range", "/opset"),
            ("invalid-dtype", "/inputs/x/dtype"),
            ("wrong-kind", "/inputs/x/shape/0"),
            ("wrong-kind", "/outputs/0"),
            ("wrong-kind", "/outputs/1"),
        ],
        None,
    ),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_bad_document(case):
    document, expected, hint = BAD_DOCUMENTS[case]
    with pytest.raises((gs.LoadError, gs.LimitError)) as caught:
        gs.load(document)
    problems = caught.value.problems
    if case == "types-endless":  # pydantic decides how far it follows
        assert problems[0].code == "too-deep"
        assert problems[0].path.startswith("/inputs/x/sequence")
        return
    assert [(problem.code, problem.path) for problem in problems] == expected
    assert all(problem.message and problem.expected and problem.found for problem in problems)
    if hint is not None:
        assert hint in (problems[0].hint or ""), problems[0]


def test_the_good_document_is_good():
    assert gs.load(GOOD).graph.name == "g"


def test_a_flood_of_problems_is_cut():
    with pytest.raises(gs.LoadError) as caught:
        gs.load(put("/outputs", [1] * 5000))
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1].code == "too-many-problems"


TEXT = onnx.printer.to_text(interchange.load_proto(GOOD))
ONNX = interchange.load_proto(GOOD).SerializeToString()

#: source, error, code, and part of the message or path.
BAD_SOURCES = {
    "json-array": ("[]", gs.LoadError, "wrong-kind", "object"),
    "json-cut": (json.dumps(GOOD)[:-1], gs.LoadError, "bad-json", "line 1, column"),
    "json-trailing-comma": (b'{"a": 1,\n}', gs.LoadError, "bad-json", "line 2, column 1"),
    "json-two": (b"{} {}", gs.LoadError, "bad-json", "Extra data"),
    "json-utf8": (b'{"a": "\xff"}', gs.LoadError, "bad-encoding", "offset 7"),
    "json-deep": ('{"a":' * 10_000, gs.LimitError, "too-deep", "nested"),
    "json-deep-list": (b"[" * 10_000, gs.LimitError, "too-deep", "nested"),
    "json-deep-closed": (b"[" * 10_000 + b"]" * 10_000, gs.LimitError, "too-deep", "nested"),
    "json-digits": ('{"a":' + "9" * 5000 + "}", gs.LoadError, "bad-json", "digits"),
    "json-duplicate": ('{"graphspec": 1, "graphspec": 1}', gs.LoadError, "duplicate-key", "/graphspec"),
    "json-duplicate-inside": ('{"a": [{"b/c": 1, "b/c": 2}]}', gs.LoadError, "duplicate-key", "/a/0/b~1c"),
    "json-nan": ('{"a": [NaN]}', gs.LoadError, "wrong-kind", "/a/0"),
    "json-infinity": ('{"a": -Infinity}', gs.LoadError, "wrong-kind", '"-Infinity"'),
    "empty": (b"", gs.LoadError, "empty", "empty"),
    "blank": ("\n ", gs.LoadError, "empty", "empty"),
    "protobuf-cut": (ONNX[:-3], gs.LoadError, "bad-protobuf", "ModelProto"),
    "protobuf-garbage": (b"garbage" * 100, gs.LoadError, "bad-protobuf", "ModelProto"),
    "protobuf-zeros": (bytes(100), gs.LoadError, "bad-protobuf", "ModelProto"),
    "protobuf-no-graph": (b"\x08\x0a", gs.LoadError, "no-graph", "graph"),
    "proto-empty": (onnx.ModelProto(), gs.LoadError, "no-graph", "graph"),
    "text-cut": (TEXT[: TEXT.index("Mul")], gs.LoadError, "bad-text", "line 8, column"),
    "text-deep": (TEXT.replace("{", "{ y = If (x) <a = b () => () " * 10_000), gs.LimitError, "limit", "max_nesting"),
    "text-deep-type": (TEXT.replace("float[", "seq(" * 100_000 + "float[", 1), gs.LimitError, "limit", "max_nesting"),
    "text-utf8": (b"<\xff", gs.LoadError, "bad-encoding", "UTF-8"),
    "no-file": ("no/such/file.onnx", gs.LoadError, "not-found", "no/such/file.onnx"),
    "folder": ("/", gs.LoadError, "not-found", "/"),
    "bad-path": ("a\0b", gs.LoadError, "not-found", "null"),
    "number": (5, gs.LoadError, "wrong-kind", "the integer 5"),
    "nothing": (None, gs.LoadError, "wrong-kind", "null"),
    "graph-proto": (onnx.GraphProto(), gs.LoadError, "wrong-kind", "GraphProto"),
    "cyclic-dict": (nested_cycle := {}, gs.LoadError, "missing-field", "graphspec"),
}
nested_cycle["a"] = nested_cycle


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_bad_source(case):
    source, error, code, part = BAD_SOURCES[case]
    with pytest.raises(error) as caught:
        gs.load(source)
    assert code in [problem.code for problem in caught.value.problems]
    assert any(part in str(problem) for problem in caught.value.problems), caught.value


def edited(edit):
    model = onnx.ModelProto.FromString(ONNX)
    edit(model)
    return model.SerializeToString()


def external(tensor):
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def add_node_with(attribute):
    def edit(model):
        model.graph.node.add(op_type="F", domain="f", output=["f"]).attribute.append(attribute)

    return edit


def external_attribute(make):
    tensor = TensorProto(name="t", dims=[1], data_type=TensorProto.FLOAT)
    external(tensor)
    return add_node_with(make(tensor))


def external_in_subgraph(tensor):
    return helper.make_attribute("a", helper.make_graph([], "g", [], [], [tensor]))


def external_in_function(model):
    external_attribute(lambda t: helper.make_attribute("a", t))(model)
    function = model.functions.add(name="F", domain="f")
    function.node.append(model.graph.node.pop())


def sparse_external(tensor):
    indices = numpy_helper.from_array(np.array([0], np.int64))
    return helper.make_attribute("a", onnx.SparseTensorProto(dims=[1], values=tensor, indices=indices))


def set_bytes(field, old, new):
    return ONNX.replace(old, new)


#: bytes of a model that parses, then the code and path of its problem.
BAD_MODELS = {
    "external-initializer": (lambda m: external(m.graph.initializer[0]), "external-data", "/parameters/w"),
    "external-attribute": (
        external_attribute(lambda t: helper.make_attribute("a", t)),
        "external-data",
        "/nodes/2/attributes/a",
    ),
    "external-attributes": (
        external_attribute(lambda t: helper.make_attribute("a", [t])),
        "external-data",
        "/nodes/2/attributes/a/0",
    ),
    "external-sparse": (external_attribute(sparse_external), "external-data", "/nodes/2/attributes/a/values"),
    "external-subgraph": (
        external_attribute(external_in_subgraph),
        "external-data",
        "/nodes/2/attributes/a/parameters/t",
    ),
    "external-function": (external_in_function, "external-data", "/functions/0/nodes/0/attributes/a"),
    "raw-length": (
        lambda m: setattr(m.graph.initializer[0], "raw_data", b"123"),
        "raw-data-length",
        "/parameters/w",
    ),
    "two-storages": (lambda m: m.graph.initializer[0].float_data.append(1), "bad-tensor", "/parameters/w"),
    "wrong-storage": (
        lambda m: m.graph.initializer.add(name="v", dims=[1], data_type=1, int64_data=[1]),
        "bad-tensor",
        "/parameters/v",
    ),
    "typed-short": (
        lambda m: m.graph.initializer.add(name="v", dims=[2], data_type=1, float_data=[1]),
        "raw-data-length",
        "/parameters/v",
    ),
    "typed-range": (
        lambda m: m.graph.initializer.add(name="v", dims=[1], data_type=TensorProto.UINT8, int32_data=[256]),
        "out-of-range",
        "/parameters/v",
    ),
    "dtype": (lambda m: setattr(m.graph.initializer[0], "data_type", 99), "invalid-dtype", "/parameters/w/dtype"),
    "type-dtype": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 99),
        "invalid-dtype",
        "/inputs/x/dtype",
    ),
    "negative-size": (lambda m: m.graph.initializer[0].dims.append(-1), "negative-dimension", "/parameters/w/shape"),
    "input-twice": (lambda m: m.graph.input.append(m.graph.input[0]), "duplicate-name", "/inputs/x"),
    "parameter-twice": (
        lambda m: m.graph.initializer.append(m.graph.initializer[0]),
        "duplicate-name",
        "/parameters/w",
    ),
    "attribute-twice": (
        lambda m: m.graph.node[1].attribute.append(m.graph.node[1].attribute[0]),
        "duplicate-name",
        "/nodes/1/attributes/keepdims",
    ),
    "opset-twice": (lambda m: m.opset_import.add(version=20), "duplicate-name", "/opset/"),
    "metadata-twice": (
        lambda m: [m.metadata_props.add(key="a", value=value) for value in "bc"],
        "duplicate-name",
        "/model/metadata_props/a",
    ),
    "attribute-of-two-kinds": (
        lambda m: setattr(m.graph.node[1].attribute[0], "f", 1.0),
        "attribute-kind",
        "/nodes/1/attributes/keepdims",
    ),
    "segment": (lambda m: setattr(m.graph.initializer[0].segment, "begin", 1), "bad-tensor", "/parameters/w"),
    "nameless-parameter": (lambda m: m.graph.initializer[0].ClearField("name"), "invalid-name", "/parameters"),
    "strings-not-utf8": (
        add_node_with(helper.make_attribute("a", [b"\xff", b"ok"])),
        "bad-encoding",
        "/nodes/2/attributes/a/0",
    ),
    "reserved-key": (
        lambda m: m.graph.input[0].metadata_props.add(key="graphspec.type", value="AA=="),
        "reserved-name",
        "/value_info/x/metadata_props/graphspec.type",
    ),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model(case):
    edit, code, path = BAD_MODELS[case]
    with pytest.raises(gs.LoadError) as caught:
        gs.load(edited(edit))
    assert [(problem.code, problem.path) for problem in caught.value.problems] == [(code, path)]


def test_text_in_a_model_must_be_utf8():
    with pytest.raises(gs.LoadError) as caught:
        gs.load(ONNX.replace(b"total", b"t\xfftal"))
    assert [(problem.code, problem.path) for problem in caught.value.problems] == [("bad-encoding", "/nodes/1")]


def test_external_data_in_an_ir_model_is_refused(tmp_path):
    model = gs.load(GOOD)
    model.graph.initializers["w"].const_value = ir.ExternalTensor(
        "weights.bin", 0, 12, ir.DataType.FLOAT, shape=ir.Shape([3]), name="w", base_dir=str(tmp_path)
    )
    for use in (gs.load, gs.to_document, gs.digest):
        with pytest.raises(gs.LoadError, match="another file"):
            use(model)


@pytest.mark.parametrize(
    ("limits", "source"),
    [
        pytest.param(Limits(max_bytes=100), ONNX, id="max_bytes"),
        pytest.param(Limits(max_bytes=100), json.dumps(GOOD), id="max_bytes"),
        pytest.param(Limits(max_nodes=1), GOOD, id="max_nodes"),
        pytest.param(Limits(max_initializer_bytes=11), ONNX, id="max_initializer_bytes"),
        pytest.param(Limits(max_nesting=1), nested_graphs(2), id="max_nesting"),
    ],
)
def test_limits_are_named(limits, source, request):
    with pytest.raises(gs.LimitError, match=request.node.callspec.id.rstrip("0123456789")):
        gs.load(source, limits=limits)


def test_a_sparse_tensor_counts_as_dense():
    sparse = {"shape": [10**6, 10**6], "values": {"dtype": "float32", "shape": [0], "data": []}}
    sparse["indices"] = {"dtype": "int64", "shape": [0], "data": []}
    with pytest.raises(gs.LimitError, match="max_initializer_bytes"):
        gs.load({**GOOD, "sparse_parameters": {"s": sparse}})


def test_text_nested_too_deeply_does_not_crash_the_parser():
    """ONNX's parser overflows the stack; were our guard to fail, the process would die, so it is another one."""
    code = (
        "import graphspec as gs\n"
        "head = '<ir_version: 10, opset_import: [\"\" : 21]>\\ng (float x) => (float y) {\\n'\n"
        "for opening in ('y = If(x) <b = t () => (float z) {', 'y = F <a: type_proto = seq(', '# \\n\"}\" {'):\n"
        "    try:\n"
        "        gs.load(head + opening * 20000)\n"
        "    except gs.GraphSpecError as error:\n"
        "        print(error.problems[0].code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["limit", "limit", "limit"])


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_raise_only_our_errors(seed):
    """Change bytes at random: what comes out is a model that can be written again, or an error of ours with a code."""
    rng = random.Random(seed)
    forms = [ONNX, json.dumps(GOOD).encode(), TEXT.encode()]
    read, unreadable = 0, []
    for _ in range(300):
        data = bytearray(rng.choice(forms))
        for _ in range(rng.choice([1, 2, 5])):
            place = rng.randrange(len(data))
            data[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        try:
            gs.dumps(gs.load(bytes(data)), "json")
        except gs.GraphSpecError as error:
            unreadable += [problem for problem in error.problems if problem.code in {"unreadable", "unrepresentable"}]
        else:
            read += 1
    assert unreadable == []
    assert 0 < read < 300


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        pytest.param([], "wrong-kind", "/graph", id="list"),
        pytest.param({}, "missing-field", "/graph", id="empty"),
        pytest.param({"onnx": 1}, "wrong-kind", "/graph/onnx", id="onnx-number"),
        pytest.param({"onnx": "!"}, "bad-base64", "/graph/onnx", id="onnx-base64"),
        pytest.param({"onnx": ""}, "empty", "/graph/onnx", id="onnx-empty"),
        pytest.param({"onnx": "AAAA"}, "bad-protobuf", "/graph/onnx", id="onnx-garbage"),
        pytest.param({"text": 1}, "wrong-kind", "/graph/text", id="text-number"),
        pytest.param({"text": "/etc/passwd"}, "bad-text", "/graph/text", id="text-path"),
        pytest.param({"text": ""}, "empty", "/graph/text", id="text-empty"),
        pytest.param("/etc/passwd", "wrong-kind", "/graph", id="path"),
        pytest.param(put("/nodes/0/op", 1), "wrong-kind", "/graph/nodes/0/op", id="document"),
        pytest.param(put("/nodes/1/outputs", ["h"]), "duplicate-value", "/graph/nodes/1/outputs/0", id="graph"),
        pytest.param(
            {"onnx": base64.b64encode(edited(BAD_MODELS["raw-length"][0])).decode()},
            "raw-data-length",
            "/graph/parameters/w",
            id="onnx-contents",
        ),
    ],
)
def test_bad_graph_in_a_request(value, code, path):
    with pytest.raises(gs.LoadError) as caught:
        gs.load_graph(value)
    assert (caught.value.problems[0].code, caught.value.problems[0].path) == (code, path)
