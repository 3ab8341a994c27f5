"""Bad sources of other forms: each is refused with its place, and nothing but our own errors is ever raised."""

import base64
import json
import random
import subprocess
import sys

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_documents import GOOD, nested_graphs, put

import graphspec as gs
from graphspec import interchange
from graphspec.interchange import Limits

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
