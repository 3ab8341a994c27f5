"""Nothing of ONNX is lost: every model of the backend suite, and one model that uses every field of ONNX."""

import json
import struct
from collections import Counter

import onnx
import onnx_ir as ir
import pytest
from backend_suite import COUNTS, backend_models
from every_field import everything, info
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import graphspec as gs
from graphspec import interchange
from graphspec.interchange.normal import differences, normalize, same


def through_json(model):
    """A ModelProto to a document, to text, and back."""
    document = json.loads(json.dumps(gs.to_document(model), allow_nan=False))
    return interchange.load_proto(document)


def through_ir(model):
    return interchange.to_proto(gs.load(model))


def through_text(model):
    return interchange.load_proto(gs.dumps(model, "text"))


@pytest.mark.parametrize("kind", [pytest.param(k, marks=[pytest.mark.slow] if k == "real" else []) for k in COUNTS])
def test_backend_suite(kind):
    results = Counter()
    lost = []
    for name, model in backend_models(kind):
        results["models"] += 1
        for way in (through_json, through_ir, through_text):
            found = differences(model, way(model))
            results[way.__name__] += not found
            if found:
                lost.append((name, way.__name__, found[:3]))
    assert not lost, f"{results}; the first: {lost[:5]}"
    assert results == dict.fromkeys(("models", "through_json", "through_ir", "through_text"), COUNTS[kind])


# ----- one model with every field of ONNX -----

#: Fields that no document carries: external data and segments are refused, data_location says only where data is.
NOT_CARRIED = {"TensorProto.external_data", "TensorProto.data_location", "TensorProto.segment"}
SEGMENT = {"Segment.begin", "Segment.end"}


def fields_of(descriptor, seen):
    if descriptor.full_name in seen:
        return set()
    seen.add(descriptor.full_name)
    found = {f"{descriptor.name}.{field.name}" for field in descriptor.fields}
    for field in descriptor.fields:
        if field.message_type is not None:
            found |= fields_of(field.message_type, seen)
    return found


def leaves(message, path=()):
    """The path of every scalar that is set."""
    for field, value in message.ListFields():
        items = enumerate(value) if field.is_repeated else [(None, value)]
        for index, item in items:
            here = (*path, (field.name, index))
            yield here, f"{message.DESCRIPTOR.name}.{field.name}"
            if field.message_type is not None:
                yield from leaves(item, here)


def changed(message, path):
    """The message with one scalar made another; ``None`` where the path leads to a message."""
    copy = type(message)()
    copy.CopyFrom(message)
    here = copy
    for name, index in path[:-1]:
        here = getattr(here, name) if index is None else getattr(here, name)[index]
    name, index = path[-1]
    value = getattr(here, name) if index is None else getattr(here, name)[index]
    match value:
        case int() if name == "type":
            other = value % 14 + 1  # the next kind of attribute
        case int():
            other = value + 1 if value < 2**31 - 1 else value - 1
        case float():
            other = 0.25
        case str():
            other = value + "x"
        case bytes() if name == "raw_data":
            other = bytes([value[0] ^ 1]) + value[1:] if value else None
        case bytes():
            other = value + b"x"
        case _:
            other = None
    if other is None:
        return None
    if index is None:
        setattr(here, name, other)
    else:
        getattr(here, name)[index] = other
    return copy


EVERYTHING = everything()
LEAVES = list(leaves(EVERYTHING))


def test_the_model_sets_every_field_of_onnx():
    known = fields_of(onnx.ModelProto.DESCRIPTOR, set()) - NOT_CARRIED - SEGMENT
    assert known == {field for _, field in LEAVES}


def test_every_field_survives_json():
    assert differences(EVERYTHING, through_json(EVERYTHING)) == []


def test_every_field_survives_the_ir():
    assert differences(EVERYTHING, through_ir(EVERYTHING)) == []
    assert gs.digest(EVERYTHING) == gs.digest(gs.dumps(EVERYTHING, "json")) == gs.digest(EVERYTHING.SerializeToString())


def test_each_change_of_a_field_is_seen_and_survives():
    """Change every scalar of the model in turn: the normal form must differ, and the document must carry it."""
    results = Counter()
    for path, field in LEAVES:
        other = changed(EVERYTHING, path)
        if other is None:
            continue
        results["changed"] += 1
        try:
            result = through_json(other)
        except gs.LoadError as error:  # the change made a tensor too short, or a name the same as another
            results["refused"] += 1
            results["unreadable"] += error.problems[0].code == "unreadable"
            continue
        assert not same(EVERYTHING, other), f"the normal form ignores {field}"
        assert differences(other, result) == [], field
        results["carried"] += 1
    assert results["unreadable"] == 0
    assert results["carried"] > 300
    assert results["refused"] < 0.25 * results["changed"]


def test_text_refuses_what_it_cannot_carry():
    with pytest.raises(gs.UnsupportedError) as caught:
        gs.dumps(EVERYTHING, "text")
    assert {problem.code for problem in caught.value.problems} == {"not-in-text"}


# ----- numbers -----


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        pytest.param(TensorProto.FLOAT, 0x7FC00001, id="float32-nan-payload"),
        pytest.param(TensorProto.FLOAT, 0xFFC00000, id="float32-negative-nan"),
        pytest.param(TensorProto.FLOAT, 0x7F800001, id="float32-signalling-nan"),
        pytest.param(TensorProto.FLOAT, 0x7F7FFFFF, id="float32-max"),
        pytest.param(TensorProto.FLOAT, 0x00000001, id="float32-smallest"),
        pytest.param(TensorProto.FLOAT, 0x80000000, id="float32-negative-zero"),
        pytest.param(TensorProto.FLOAT, 0x3DCCCCCD, id="float32-tenth"),
        pytest.param(TensorProto.DOUBLE, 0x7FF8000000000001, id="float64-nan-payload"),
        pytest.param(TensorProto.DOUBLE, 0x7FEFFFFFFFFFFFFF, id="float64-max"),
        pytest.param(TensorProto.DOUBLE, 0x0000000000000001, id="float64-smallest"),
        pytest.param(TensorProto.FLOAT16, 0x7E01, id="float16-nan-payload"),
        pytest.param(TensorProto.BFLOAT16, 0x3DCD, id="bfloat16-tenth"),
        pytest.param(TensorProto.FLOAT8E4M3FN, 0x7E, id="float8e4m3fn"),
        pytest.param(TensorProto.BOOL, 0x02, id="bool-that-is-2"),
        pytest.param(TensorProto.INT4, 0xF8, id="int4-with-padding"),
        pytest.param(TensorProto.COMPLEX64, 0x7FC000013F800000, id="complex64"),
        pytest.param(TensorProto.INT64, 0x8000000000000000, id="int64-min"),
        pytest.param(TensorProto.UINT64, 0xFFFFFFFFFFFFFFFF, id="uint64-max"),
    ],
)
def test_every_bit_of_a_tensor_survives(dtype, bits):
    size = (gs_bits(dtype) + 7) // 8
    raw = bits.to_bytes(size, "little")
    model = with_initializer(TensorProto(name="w", dims=[1], data_type=dtype, raw_data=raw))
    assert through_json(model).graph.initializer[0].raw_data == raw
    assert through_ir(model).graph.initializer[0].raw_data == raw


def gs_bits(dtype):
    return int(ir.DataType(dtype).bitwidth)


def with_initializer(initializer):
    graph = helper.make_graph([helper.make_node("Identity", ["w"], ["y"])], "g", [], [info("y")], [initializer])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


@given(st.floats(width=32), st.booleans())
@settings(derandomize=True, max_examples=300, deadline=None)
def test_float_attributes_are_exact(number, listed):
    node = helper.make_node("Custom", [], ["y"], domain="d", a=[number, 1.0] if listed else number)
    model = helper.make_model(helper.make_graph([node], "g", [], [info("y")]))
    attribute = through_json(model).graph.node[0].attribute[0]
    found = attribute.floats[0] if listed else attribute.f
    assert struct.pack("<f", found) == struct.pack("<f", number)


# ----- documents -----

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
dims = st.one_of(st.integers(0, 2**63 - 1), names, st.none())
types = st.recursive(
    st.fixed_dictionaries(
        {"dtype": st.sampled_from(["float32", "int4", "string"])}, optional={"shape": st.lists(dims)}
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"sequence": inner}),
        st.fixed_dictionaries({"optional": inner}),
        st.fixed_dictionaries({"map": st.fixed_dictionaries({"key": st.just("int64"), "value": inner})}),
    ),
    max_leaves=4,
)
tensors = st.one_of(
    st.integers(0, 4).flatmap(
        lambda n: st.fixed_dictionaries(
            {
                "dtype": st.just("float32"),
                "shape": st.just([n]),
                "data": st.lists(st.sampled_from([0.5, -0.0, 1e-45, "NaN", "-Infinity"]), min_size=n, max_size=n),
            }
        )
    ),
    st.integers(-128, 127).map(lambda value: {"dtype": "int8", "shape": [], "data": value}),
    st.text(st.characters(codec="utf-8"), max_size=5).map(
        lambda value: {"dtype": "string", "shape": [1], "data": [value]}
    ),
)
attributes = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(lambda value: {"kind": "int", "value": value}),
    st.lists(st.sampled_from([0.1, "NaN", 3.4028235e38])).map(lambda value: {"kind": "floats", "value": value}),
    st.text(st.characters(codec="utf-8"), max_size=5).map(lambda value: {"kind": "string", "value": value}),
    tensors.map(lambda value: {"kind": "tensor", "value": value}),
    types.filter(lambda value: "map" not in json.dumps(value)).map(
        lambda value: {"kind": "type_proto", "value": value}
    ),
)


@st.composite
def documents(draw):
    inputs = draw(st.dictionaries(names, types, max_size=3))
    parameters = draw(st.dictionaries(names.filter(lambda name: name not in inputs), tensors, max_size=3))
    known = [*inputs, *parameters]
    nodes = []
    for index in range(draw(st.integers(1, 4))):
        output = f"{index}:{draw(names)}"
        node = {
            "op": "Custom",
            "domain": "my",
            "inputs": draw(st.lists(st.sampled_from(["", *known]), max_size=3)),
            "outputs": [output],
        }
        found = draw(st.dictionaries(names, attributes, max_size=3))
        nodes.append({**node, **({"attributes": found} if found else {})})
        known.append(output)
    document = {"graphspec": 1, "name": draw(names), "opset": {"my": 1}, "inputs": inputs}
    if parameters:
        document["parameters"] = parameters
    return {**document, "nodes": nodes, "outputs": [known[-1]], "model": {"ir_version": 10}}


@given(documents())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_document_model_proto_model_document_is_the_identity(document):
    model = gs.from_document(document)
    proto = onnx.ModelProto.FromString(interchange.to_proto(model).SerializeToString())
    assert gs.to_document(gs.load(proto)) == document
    assert gs.digest(model) == gs.digest(proto) == gs.digest(json.dumps(document))


def test_normalize_leaves_its_argument_alone():
    model = everything()
    normalize(model)
    assert model == EVERYTHING
