"""``validate`` on every model of ONNX's backend suite, on hundreds of damaged ones, and on very large ones."""

from __future__ import annotations

import random
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import onnx.shape_inference
import pytest
from google.protobuf.descriptor import FieldDescriptor
from onnx import helper

from graphspec.validation import types, validate

KINDS = {"node": 1884, "simple": 23, "pytorch-converted": 82, "pytorch-operator": 35, "real": 9}
MUTATIONS = 600

# Models of the suite that get a warning other than "unused", and why.
EXCEPTIONS = {
    "test_mvn": "opset 9; the library's whole-model inference expands MeanVarianceNormalization by a body of opset 13",
}


@pytest.fixture(scope="module")
def suite() -> dict[str, list[tuple[str, onnx.ModelProto]]]:
    """Kind → name and model of each case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their expected outputs with overflows and divisions by zero
        from onnx.backend.test.loader import load_model_tests

        cases = {kind: load_model_tests(kind=kind) for kind in KINDS}
    return {kind: [(case.name, _model(case)) for case in listed] for kind, listed in cases.items()}


def _model(case: Any) -> onnx.ModelProto:
    if case.model is not None:
        return case.model
    if case.model_dir is not None:
        return onnx.load(Path(case.model_dir, "model.onnx"), load_external_data=False)
    return onnx.load(Path(onnx.__file__).parents[1] / case.url)


@pytest.mark.parametrize("kind", KINDS)
def test_the_suite_has_no_errors(suite: dict[str, list[tuple[str, onnx.ModelProto]]], kind: str) -> None:
    assert len(suite[kind]) == KINDS[kind]
    complaints = {}
    for name, model in suite[kind]:
        before = model.SerializeToString(deterministic=True)
        report = validate(model)
        assert model.SerializeToString(deterministic=True) == before, f"validate changed {name}"
        found = [str(p) for p in report.problems if not p.code.startswith("unused-")]
        if found and not (report.ok and name in EXCEPTIONS):
            complaints[name] = found
        untyped = [n for n, info in report.values.items() if info.dtype is None]
        if untyped:
            complaints[name] = [f"no type for {untyped}"]
    assert not complaints


def test_values_say_at_least_what_onnx_says(suite: dict[str, list[tuple[str, onnx.ModelProto]]]) -> None:
    """Against whole-model inference with data propagation, with all declarations after the inputs taken away."""
    compared: Counter[str] = Counter()
    for name, model in [case for cases in suite.values() for case in cases]:
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        del bare.graph.value_info[:]
        for info in bare.graph.output:
            if info.type.HasField("tensor_type"):
                info.type.tensor_type.ClearField("shape")
        theirs = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
        ours = validate(bare).values
        for info in [*theirs.value_info, *theirs.output]:
            mine = ours[info.name]
            shape = types.shape_of(info.type)
            if mine.kind != "intermediate" or shape is None:
                continue
            assert mine.dtype == types.dtype_text(info.type), (name, info.name)
            assert mine.shape is not None, (name, info.name)
            assert len(mine.shape) == len(shape), (name, info.name)
            for size, wanted in zip(mine.shape, shape, strict=True):
                assert size == wanted or not isinstance(wanted, int), (name, info.name, mine.shape, shape)
                compared["sizes"] += 1
                compared["better"] += isinstance(size, int) and not isinstance(wanted, int)
    assert compared["sizes"] > 10_000
    assert compared["better"] > 500


def test_damaged_models_become_problems(suite: dict[str, list[tuple[str, onnx.ModelProto]]]) -> None:
    random_ = random.Random(20240817)
    models = [model for cases in suite.values() for _, model in cases if model.ByteSize() < 20_000]
    codes: Counter[str] = Counter()
    for _ in range(MUTATIONS):
        model = onnx.ModelProto()
        model.CopyFrom(random_.choice(models))
        for _ in range(random_.choice([1, 1, 2, 4])):
            damage(model, random_)
        before = model.SerializeToString(deterministic=True)
        report = validate(model)
        report.to_dict()
        assert model.SerializeToString(deterministic=True) == before
        codes.update(p.code for p in report.problems)
    assert codes["unexpected"] == 0
    assert len(codes) >= 20, codes


def damage(model: onnx.ModelProto, random_: random.Random) -> None:
    """Delete, repeat or change one field anywhere in a model."""
    messages: list[Any] = []
    stack: list[Any] = [model]
    while stack:
        message = stack.pop()
        messages.append(message)
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                stack.extend(value if field.is_repeated else [value])
    message = random_.choice(messages)
    given = [field for field, _ in message.ListFields()]
    field = random_.choice(given if given and random_.random() < 0.8 else list(message.DESCRIPTOR.fields))
    action = random_.random()
    if action < 0.3:
        message.ClearField(field.name)
    elif field.is_repeated:
        items = getattr(message, field.name)
        if action < 0.5 and len(items):
            del items[random_.randrange(len(items))]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            items.add().CopyFrom(random_.choice(list(items)) if len(items) > 1 else items[0])
        elif len(items) and action < 0.8:
            items[random_.randrange(len(items))] = odd_value(field, random_)
        else:
            items.append(odd_value(field, random_))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, odd_value(field, random_))


def odd_value(field: Any, random_: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return random_.choice(["", "x", "y", "Relu", "Add", "If", "Loop", "\0", "é", "ai.onnx", "ai.onnx.ml", "axis"])
    if field.type == FieldDescriptor.TYPE_BYTES:
        return random_.choice([b"", b"\xff", b"abc", bytes(8)])
    if field.type in {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}:
        return random_.choice([0.0, float("nan"), float("inf"), -1e30])
    if field.type == FieldDescriptor.TYPE_ENUM:
        return random_.choice([value.number for value in field.enum_type.values])
    if field.type in {FieldDescriptor.TYPE_UINT64, FieldDescriptor.TYPE_UINT32}:
        return random_.choice([0, 1, 99, 2**31 - 1])
    wide = [2**63 - 1, -(2**63), 2**40] if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else []
    return random_.choice([0, 1, -1, 2, 7, 99, 2**31 - 1, -(2**31), *wide])


# Size


def chain(length: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", [f"v{i}"], [f"v{i + 1}"], name=f"n{i}") for i in range(length)]
    ends = [helper.make_tensor_value_info(name, 1, ["batch", 3]) for name in ("v0", f"v{length}")]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def make_cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def reverse(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def misspell_values(model: onnx.ModelProto) -> None:
    for number, node in enumerate(model.graph.node):
        node.input[0] = f"w{number}"


def misspell_operators(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.op_type = "Rleu"


@pytest.mark.parametrize(
    ("length", "change", "codes"),
    [
        pytest.param(10_000, lambda m: None, {}, id="sound"),
        pytest.param(100_000, lambda m: None, {}, id="long", marks=pytest.mark.slow),
        pytest.param(10_000, reverse, {"not-sorted": 1}, id="reversed"),
        pytest.param(10_000, make_cycle, {"cycle": 1, "unused-input": 1}, id="one-long-cycle"),
        pytest.param(
            10_000, misspell_values, {"undefined-value": 10_000, "unused-node": 9_999, "unused-input": 1}, id="values"
        ),
        pytest.param(10_000, misspell_operators, {"unknown-operator": 10_000}, id="operators"),
    ],
)
def test_large_graphs_take_linear_time(length: int, change: Any, codes: dict[str, int]) -> None:
    model = chain(length)
    change(model)
    start = time.process_time()
    report = validate(model)
    seconds = time.process_time() - start
    assert Counter(p.code for p in report.problems) == codes
    assert seconds < length / 1000, "10,000 nodes take 0.7 s on an idle machine"
    if not codes:
        assert report.values[f"v{length}"].shape == ("batch", 3)


def test_calls_that_call_twice_do_not_explode() -> None:
    """Thirty functions, each calling the next one twice on other shapes: 2^30 calls if written out."""
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    functions = []
    for level in range(30):
        inner, domain = (f"F{level + 1}", "f") if level < 29 else ("Relu", "")
        body = [
            helper.make_node("Concat", ["x", "x"], ["xx"], axis=0),
            helper.make_node(inner, ["x"], ["a"], domain=domain),
            helper.make_node(inner, ["xx"], ["b"], domain=domain),
            helper.make_node("Concat", ["a", "b"], ["y"], axis=0),
        ]
        functions.append(helper.make_function("f", f"F{level}", ["x"], ["y"], body, opsets))
    x = helper.make_tensor_value_info("x", 1, [1])
    y = helper.make_tensor_value_info("y", 1, ["n"])
    graph = helper.make_graph([helper.make_node("F0", ["x"], ["y"], domain="f")], "g", [x], [y])
    model = helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10)
    start = time.perf_counter()
    report = validate(model)
    assert time.perf_counter() - start < 30
    assert {p.code for p in report.problems} <= {"limit"}
    assert report.ok


@pytest.mark.parametrize(
    ("length", "codes"),
    [
        pytest.param(20, [], id="short"),
        pytest.param(90, ["limit"], id="types-unknown"),
        pytest.param(3000, ["limit", "onnx-checker"], id="refused-by-onnx-too"),
    ],
)
def test_long_chains_of_calls(length: int, codes: list[str]) -> None:
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    functions = [
        helper.make_function(
            "f", f"F{i}", ["x"], ["y"], [helper.make_node(f"F{i + 1}", ["x"], ["y"], domain="f")], opsets
        )
        for i in range(length)
    ]
    relu = helper.make_node("Relu", ["x"], ["y"])
    functions.append(helper.make_function("f", f"F{length}", ["x"], ["y"], [relu], opsets))
    ends = [helper.make_tensor_value_info(name, 1, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("F0", ["x"], ["y"], domain="f")], "g", ends[:1], ends[1:])
    report = validate(helper.make_model(graph, functions=functions, opset_imports=opsets, ir_version=10))
    assert [p.code for p in report.problems] == codes


@pytest.mark.parametrize("levels", [10, 5000])
def test_subgraphs_as_deep_as_one_likes(levels: int) -> None:
    model = onnx.ModelProto(ir_version=10)
    model.opset_import.add().version = 21
    graph = model.graph
    graph.name = "g"
    graph.input.extend([helper.make_tensor_value_info("c", 9, []), helper.make_tensor_value_info("x", 1, [2])])
    graph.output.append(helper.make_tensor_value_info("y0", 1, [2]))
    for level in range(levels):
        node = graph.node.add(op_type="If", input=["c"], output=[f"y{level}"])
        other = node.attribute.add(name="else_branch", type=onnx.AttributeProto.GRAPH).g
        other.name = "else"
        other.node.add(op_type="Tanh", input=["x"], output=[f"e{level}"])
        other.output.add(name=f"e{level}")
        graph = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
        graph.name = "then"
        graph.output.add(name=f"y{level + 1}")
    graph.node.add(op_type="Relu", input=["x"], output=[f"y{levels}"])
    report = validate(model)
    assert {p.code for p in report.problems} == (set() if levels < 32 else {"too-deep"})
    assert report.values["y0"].shape == (2,)
