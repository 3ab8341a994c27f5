"""One model that uses every field of ONNX's protobuf."""

import math

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper


def tensor(array, **fields):
    result = onnx.numpy_helper.from_array(np.asarray(array))
    for field, value in fields.items():
        setattr(result, field, value)
    return result


def info(name, elem_type=TensorProto.FLOAT, shape=(2, "n", None)):
    return helper.make_tensor_value_info(name, elem_type, shape)


def pairs(repeated, **entries):
    for key, value in entries.items():
        repeated.add(key=key, value=value)


def sparse(name):
    return onnx.SparseTensorProto(
        dims=[3, 4],
        values=tensor(np.array([1.5, -2.5], np.float32), name=name),
        indices=tensor(np.array([[0, 1], [2, 3]], np.int64), name="places"),
    )


def everything():
    """A model in which every field of ONNX's protobuf is set; it computes nothing sensible."""
    body = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["inner"])], "body", [info("b_in")], [info("inner")], doc_string="inside"
    )
    attributes = {
        "float": 3.4028234663852886e38,
        "int": -(2**63),
        "string": "ünïcode",
        "bytes": b"\xff\xfe",
        "tensor": tensor(np.array([1, 2], np.int8), name="t", doc_string="a tensor"),
        "graph": body,
        "sparse": sparse("sparse_value"),
        "type": info("", TensorProto.INT8).type,
        "floats": [0.1, math.inf, -math.inf, math.nan, -0.0, 1e-45],
        "ints": [2**63 - 1, -(2**63), 0],
        "strings": ["a", "", "日本"],
        "tensors": [tensor(np.array(["s", "t"])), tensor(np.array(True))],
        "graphs": [helper.make_graph([], "empty", [], []), helper.make_graph([], "also empty", [], [])],
        "sparse_list": [sparse("first"), sparse("second")],
        "types": [info("", TensorProto.BOOL, None).type, helper.make_sequence_type_proto(info("").type)],
        "empty": helper.make_attribute("empty", [], attr_type=AttributeProto.FLOATS),
    }
    custom = helper.make_node("Custom", ["x", "", "w"], ["c", "", "d"], name="custom", domain="my.domain")
    custom.attribute.extend(
        value if isinstance(value, AttributeProto) else helper.make_attribute(name, value)
        for name, value in attributes.items()
    )
    custom.overload = "second"
    custom.doc_string = "what it does"
    custom.attribute[0].doc_string = "what it means"
    pairs(custom.metadata_props, source="here")
    device = custom.device_configurations.add(configuration_id="two", pipeline_stage=0)
    spec = device.sharding_spec.add(tensor_name="x", device=[0, 1])
    spec.index_to_device_group_map.add(key=0, value=[0, 1])
    dim = spec.sharded_dim.add(axis=0)
    dim.simple_sharding.add(dim_value=0, num_shards=2)
    dim.simple_sharding.add(dim_param="n", num_shards=1)

    call = helper.make_node("Double", ["c"], ["doubled"], domain="local", scale=2.5)
    softmax = helper.make_node("Softmax", ["doubled"], ["y"], axis=-1)
    inputs = [info("x"), info("flags", TensorProto.BOOL, ()), info("unranked", TensorProto.FLOAT16, None)]
    inputs[0].type.denotation = "TENSOR"
    inputs[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    inputs[0].doc_string = "the data"
    pairs(inputs[0].metadata_props, unit="m")
    for name, type_ in {
        "words": helper.make_map_type_proto(TensorProto.STRING, info("").type),
        "list": helper.make_sequence_type_proto(helper.make_optional_type_proto(info("").type)),
        "sparse_in": helper.make_sparse_tensor_type_proto(TensorProto.DOUBLE, [3, "k"]),
        "opaque": onnx.TypeProto(opaque_type=onnx.TypeProto.Opaque(domain="d", name="n")),
    }.items():
        inputs.append(onnx.ValueInfoProto(name=name, type=type_))
    graph = helper.make_graph(
        [custom, call, softmax],
        "everything",
        inputs,
        [info("y"), onnx.ValueInfoProto(name="d")],
        [
            tensor(np.array([[1.0, np.nan], [np.inf, -0.0]], np.float32), name="w", doc_string="weights"),
            TensorProto(name="typed", dims=[2], data_type=TensorProto.FLOAT, float_data=[0.1, 0.2]),
            TensorProto(name="typed64", dims=[2], data_type=TensorProto.DOUBLE, double_data=[0.1, 0.2]),
            TensorProto(name="longs", dims=[1], data_type=TensorProto.INT64, int64_data=[-(2**63)]),
            TensorProto(name="ulongs", dims=[1], data_type=TensorProto.UINT64, uint64_data=[2**64 - 1]),
            TensorProto(name="halves", dims=[2], data_type=TensorProto.FLOAT16, int32_data=[0x3C00, 0xFE01]),
            TensorProto(name="texts", dims=[2], data_type=TensorProto.STRING, string_data=[b"a", b"\xff"]),
            TensorProto(name="nibbles", dims=[3], data_type=TensorProto.INT4, raw_data=b"\x8f\x07"),
            TensorProto(name="none", dims=[2, 0, 3], data_type=TensorProto.INT32),
        ],
        doc_string="the graph",
        value_info=[info("c"), info("doubled"), info("w", TensorProto.FLOAT, ("rows", 2))],
        sparse_initializer=[sparse("sparse_w")],
    )
    pairs(graph.initializer[0].metadata_props, trained="yes")
    pairs(graph.metadata_props, layer="all")
    pairs(graph.quantization_annotation.add(tensor_name="x").quant_parameter_tensor_names, SCALE_TENSOR="w")

    scale = helper.make_node("Mul", ["a", "factor"], ["b"])
    factor = helper.make_node("Constant", [], ["factor"])
    factor.attribute.add(
        name="value_float", ref_attr_name="scale", type=AttributeProto.FLOAT, doc_string="by reference"
    )
    function = helper.make_function(
        "local",
        "Double",
        ["a"],
        ["b"],
        [factor, scale],
        [helper.make_opsetid("", 20)],
        attributes=["required"],
        attribute_protos=[helper.make_attribute("scale", 2.0)],
        doc_string="a * scale",
        value_info=[info("b")],
    )
    pairs(function.metadata_props, inlined="no")
    again = onnx.FunctionProto()
    again.CopyFrom(function)
    again.overload = "other"
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("my.domain", 1), helper.make_opsetid("local", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=[function, again], ir_version=11)
    model.producer_name = "tests"
    model.producer_version = "1.0"
    model.domain = "org.example"
    model.model_version = 7
    model.doc_string = "the model"
    pairs(model.metadata_props, author="nobody")
    model.configuration.add(name="two", num_devices=2, device=["cpu:0", "cpu:1"])
    training = model.training_info.add()
    training.initialization.CopyFrom(body)
    training.algorithm.CopyFrom(body)
    pairs(training.initialization_binding, w="inner")
    pairs(training.update_binding, w="inner")
    return model
