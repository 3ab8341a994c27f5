"""Every form of a model in and out: how a form is told, what is kept, what is the same."""

import base64
import builtins
import io
import json
import logging
import time
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from every_field import everything
from onnx import TensorProto, helper, numpy_helper
from small_documents import GOOD, put

import graphspec as gs
from graphspec import interchange

PROTO = interchange.load_proto(GOOD)
DIGEST = gs.digest(GOOD)
TEXT = gs.dumps(GOOD, "text").decode()

SOURCES = {
    "dict": GOOD,
    "json": json.dumps(GOOD),
    "json-indented": json.dumps(GOOD, indent=2),
    "json-bytes": json.dumps(GOOD).encode(),
    "json-bom": b"\xef\xbb\xbf\r\n" + json.dumps(GOOD).encode(),
    "json-bom-text": "\ufeff" + json.dumps(GOOD),
    "onnx": PROTO.SerializeToString(),
    "onnx-bytearray": bytearray(PROTO.SerializeToString()),
    "onnx-memoryview": memoryview(PROTO.SerializeToString()),
    "proto": PROTO,
    "text": TEXT,
    "text-bytes": TEXT.encode(),
    "text-comment": "# a comment\n" + TEXT,
    "ir": gs.load(GOOD),
}


@pytest.mark.parametrize("form", SOURCES)
def test_every_form_is_told_and_has_one_digest(form):
    assert gs.load(SOURCES[form]).graph.name == "g"
    assert gs.digest(SOURCES[form]) == DIGEST


@pytest.mark.parametrize("form", ["dict", "json", "onnx", "text-bytes", "proto"])
def test_only_a_path_reaches_the_file_system(form, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError(f"the file system was touched: {args}")

    for owner, name in ((builtins, "open"), (io, "open"), (Path, "open"), (Path, "stat"), (Path, "read_bytes")):
        monkeypatch.setattr(owner, name, forbidden)
    gs.load(SOURCES[form])


@pytest.mark.parametrize("suffix", [".onnx", ".json", ".onnxtxt", ".JSON"])
def test_save_and_load(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    gs.save(gs.load(GOOD), path)
    assert gs.digest(path) == gs.digest(str(path)) == DIGEST
    renamed = path.rename(tmp_path / "model")  # a file without a suffix is told by its first bytes
    assert gs.digest(renamed) == DIGEST


@pytest.mark.parametrize("form", ["onnx", "json", "text"])
def test_dumps_is_deterministic_and_read_back(form):
    data = gs.dumps(gs.load(GOOD), form)
    assert isinstance(data, bytes)
    assert data == gs.dumps(gs.load(data), form)
    assert gs.digest(data) == DIGEST


def test_unknown_forms_are_refused(tmp_path):
    with pytest.raises(gs.UnsupportedError, match="no such form"):
        gs.dumps(GOOD, "yaml")
    with pytest.raises(gs.UnsupportedError, match="suffix"):
        gs.save(GOOD, tmp_path / "model.pickle")
    assert list(tmp_path.iterdir()) == []


def test_a_document_is_written_one_node_on_a_line():
    lines = gs.dumps(GOOD, "json").decode().splitlines()
    assert '  {"op": "Mul", "inputs": ["x", "w"], "outputs": ["h"]},' in lines
    assert ' "outputs": ["y"],' in lines


def test_an_ir_model_is_returned_as_it_is():
    model = gs.load(GOOD)
    assert gs.load(model) is model


def test_a_proto_is_neither_changed_nor_shared():
    proto = everything()
    before = proto.SerializeToString(deterministic=True)
    model = gs.load(proto)
    model.graph.initializers["w"].name = "renamed"
    gs.dumps(model, "onnx")
    assert proto.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(put("/parameters/w/data", [1, 2, 3.5]), GOOD, id="weight"),
        pytest.param(put("/nodes/1/attributes/keepdims", 1), GOOD, id="attribute"),
        pytest.param(put("/inputs/x/shape/0", "m"), GOOD, id="symbol"),
        pytest.param(put("/nodes/1/name", "sum"), GOOD, id="name"),
        pytest.param(put("/doc_string", "x"), GOOD, id="doc"),
        pytest.param(put("/opset", 22), GOOD, id="opset"),
    ],
)
def test_another_model_has_another_digest(one, other):
    assert gs.digest(one) != gs.digest(other)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(put("/outputs", {"y": {}}), id="outputs-object"),
        pytest.param(put("/outputs", [{"name": "y"}]), id="outputs-objects"),
        pytest.param(put("/opset", {"": 21}), id="opset-object"),
        pytest.param(put("/nodes/1/attributes/keepdims", {"kind": "int", "value": 0}), id="explicit-kind"),
        pytest.param(put("/parameters/w", {"dtype": "float32", "data": [1, 2, 3.0]}), id="shape-inferred"),
        pytest.param(
            put("/parameters/w", {"dtype": "float32", "shape": [3], "base64": "AACAPwAAAEAAAEBA"}), id="base64"
        ),
        pytest.param(put("/model", {"ir_version": 10}), id="ir-version"),
        pytest.param(put("/value_info", {"w": {"dtype": "float32", "shape": [3]}}), id="what-the-tensor-says"),
        pytest.param({**GOOD, "doc_string": "", "metadata_props": {}, "functions": []}, id="defaults"),
    ],
)
def test_the_same_model_written_otherwise(other):
    assert gs.digest(other) == DIGEST


def test_flat_and_nested_data_are_the_same():
    shape = [2, 1, 3]
    nested = put("/parameters/w", {"dtype": "int16", "shape": shape, "data": [[[1, 2, 3]], [[4, 5, 6]]]})
    flat = put("/parameters/w", {"dtype": "int16", "shape": shape, "data": [1, 2, 3, 4, 5, 6]})
    assert gs.digest(nested) == gs.digest(flat)
    assert gs.to_document(flat)["parameters"]["w"]["data"] == [[[1, 2, 3]], [[4, 5, 6]]]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param({"opset": 7}, 10, id="old"),
        pytest.param({"opset": 25}, 13, id="new"),
        pytest.param({"opset": 99}, 10, id="unknown-opset"),
        pytest.param({"opset": {"my.domain": 1}}, 10, id="unknown-domain"),
        pytest.param({"opset": 21, "configuration": [{"name": "c", "num_devices": 1}]}, 11, id="devices"),
        pytest.param({"opset": 21, "model": {"ir_version": 8}}, 8, id="given"),
    ],
)
def test_ir_version(document, expected):
    proto = interchange.load_proto({"graphspec": 1, "nodes": [], "outputs": ["x"], **document})
    assert proto.ir_version == expected


def test_repeats_word_for_word_are_one():
    proto = onnx.ModelProto()
    proto.CopyFrom(PROTO)
    for _ in range(2):
        proto.metadata_props.add(key="a", value="b")
        proto.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, ["n", 3]))
    once = gs.to_document(proto)
    assert once["model"]["metadata_props"] == {"a": "b"}
    assert gs.digest(proto) == gs.digest(once)


def test_fields_that_onnx_does_not_know_are_ignored():
    data = PROTO.SerializeToString() + b"\xa2\x3e\x03abc"  # field 996, a string
    assert onnx.ModelProto.FromString(data) != PROTO
    assert gs.digest(data) == DIGEST


def test_long_tensors_are_base64_and_short_ones_lists():
    def parameter(size):
        proto = onnx.ModelProto()
        proto.CopyFrom(PROTO)
        proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(size, np.float32), "w"))
        return gs.to_document(proto)["parameters"]["w"]

    assert parameter(64)["data"] == [1.0] * 64
    assert base64.b64decode(parameter(65)["base64"]) == np.ones(65, np.float32).tobytes()


def test_short_decimals():
    document = put("/parameters/w/data", [0.1, 1e-45, 3.4028234663852886e38])
    assert gs.to_document(document)["parameters"]["w"]["data"] == [0.1, 1e-45, 3.4028235e38]


# ----- what the IR has no place for -----


def test_a_sparse_parameter_reads_as_dense_and_is_written_as_sparse():
    model = gs.load(everything())
    tensor = model.graph.initializers["sparse_w"].const_value
    expected = np.zeros((3, 4), np.float32)
    expected[0, 1], expected[2, 3] = 1.5, -2.5
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert len(interchange.to_proto(model).graph.sparse_initializer) == 1


def test_linear_indices_of_a_sparse_tensor():
    values = {"dtype": "int64", "shape": [2], "data": [7, 8]}
    sparse = {"shape": [2, 3], "values": values, "indices": {"dtype": "int64", "shape": [2], "data": [1, 5]}}
    model = gs.load(put("/sparse_parameters", {"s": sparse}))
    assert model.graph.initializers["s"].const_value.numpy().tolist() == [[0, 7, 0], [0, 0, 8]]


def test_what_was_set_aside_survives_copies_and_new_names():
    model = gs.load(everything()).clone()
    model.graph.inputs[3].name = "terms"
    model.graph.initializers["sparse_w"].name = "renamed"
    proto = interchange.to_proto(model)
    assert proto.graph.input[3].name == "terms"
    assert proto.graph.input[3].type.WhichOneof("value") == "map_type"
    assert [sparse.values.name for sparse in proto.graph.sparse_initializer] == ["renamed"]
    assert proto.graph.node[0].attribute[6].type == onnx.AttributeProto.SPARSE_TENSOR


def test_onnx_ir_alone_can_still_write_the_model():
    proto = ir.to_proto(gs.load(everything()))
    assert "sparse_w" in [tensor.name for tensor in proto.graph.initializer]


def test_a_model_that_onnx_cannot_express_is_refused():
    model = gs.load(GOOD)
    next(iter(model.graph)).attributes["bad"] = ir.Attr("bad", ir.AttributeType.SPARSE_TENSOR, None)
    with pytest.raises(gs.UnsupportedError, match="cannot be written"):
        gs.dumps(model, "onnx")


def test_loading_an_incomplete_graph_logs_nothing(caplog):
    with caplog.at_level(logging.DEBUG):
        gs.load(put("/nodes/0/inputs", ["nowhere", "w"]))
    assert caplog.records == []


# ----- a graph inside a request -----


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(GOOD, id="document"),
        pytest.param({"onnx": base64.b64encode(PROTO.SerializeToString()).decode()}, id="onnx"),
        pytest.param({"text": TEXT}, id="text"),
        pytest.param({"text": TEXT.replace("\n", " ")}, id="text-on-one-line"),
    ],
)
def test_load_graph(value):
    assert gs.digest(gs.load_graph(value)) == DIGEST
    assert gs.digest(interchange.load_graph_proto(value)) == DIGEST


def test_load_proto_leaves_the_contents_to_others():
    broken = put("/nodes/1/outputs", ["h"])
    assert interchange.load_proto(broken).graph.node[1].output == ["h"]
    with pytest.raises(gs.LoadError):
        gs.load(broken)


# ----- speed -----


def test_a_large_model_loads_in_seconds():
    """Orders of magnitude only: 40 MB take some hundredths of a second as protobuf, and half a second as JSON."""
    weights = np.random.default_rng(0).random((1000, 10_000), dtype=np.float32)
    proto = onnx.ModelProto()
    proto.CopyFrom(PROTO)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    data = proto.SerializeToString()
    start = time.perf_counter()
    model = gs.load(data)
    assert time.perf_counter() - start < 5
    start = time.perf_counter()
    again = gs.load(gs.dumps(model, "json"))
    assert time.perf_counter() - start < 20
    np.testing.assert_array_equal(again.graph.initializers["w"].const_value.numpy(), weights)
