"""The cases: one operator or a small graph each, a scalar loss behind it, and the gradients by central differences.

They are those of the test suite: ``tests/samples`` (some of each operator) and ``tests/counter_examples``.
"""

from __future__ import annotations

import dataclasses
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import graphspec as gs  # noqa: E402
from counter_examples import POINTS, Graph  # noqa: E402
from samples import ALL, Floats, Sample  # noqa: E402
from samples.build import build, wrt_names  # noqa: E402

# Samples of one operator, spread over its list: what is easy to get wrong is added by the counter-examples.
MOST = 8
STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))


@dataclasses.dataclass
class Case:
    """A model with a scalar ``loss``, in float32 and in float64, and what its gradients are.

    Attributes:
        id: Operator and sample.
        op_type: The operator that it counts for.
        model, wide: In float32, and in float64 (``None`` where ONNX has no float64).
        feeds: In float32.
        wrt: Inputs to differentiate by.
        loss, gradients: As they should be.
    """

    id: str
    op_type: str
    model: onnx.ModelProto
    wide: onnx.ModelProto | None
    feeds: dict[str, np.ndarray]
    wrt: list[str]
    loss: float = 0.0
    gradients: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def moves(self) -> bool:
        """Whether any gradient is not zero."""
        return any(np.abs(g).max(initial=0) > 1e-4 for g in self.gradients.values())


def cases(op_types: set[str] | None = None) -> list[Case]:
    """All cases, or those of some operators; those that cannot be sampled smoothly are left out."""
    found = []
    for example in _chosen():
        op_type = example.op_type if isinstance(example, Sample) else _operator(example)
        if op_types is None or op_type in op_types:
            found.append(next(case for salt in range(9) if (case := _smooth(example, op_type, salt)) is not None))
    if op_types is None:
        found.append(_solved(_parameter()))
    return found


def _smooth(example: Sample | Graph, op_type: str, salt: int) -> Case | None:
    """The case, if its values are smooth around the point that is drawn: a shorter step gives the same differences."""
    case = _of_sample(example, salt) if isinstance(example, Sample) else _of_graph(example, op_type, salt)
    near, wide = _solved(case, 0.4).gradients, case.wide is not None
    gradients = _solved(case).gradients
    scale = max([1.0, *(float(np.abs(g).max(initial=0)) for g in gradients.values())])
    apart = max([0.0, *(float(np.abs(near[x] - gradients[x]).max(initial=0)) for x in case.wrt)])
    return case if apart <= (1e-7 if wide else 1e-3) * scale else None


def _chosen() -> list[Sample | Graph]:
    by_operator: dict[str, list[Sample]] = {}
    for sample in ALL:
        empty = any(isinstance(x, Floats) and 0 in x.shape for x in sample.inputs)
        if sample.of and not sample.zero and not sample.domain and not empty:
            by_operator.setdefault(sample.op_type, []).append(sample)
    chosen: list[Sample | Graph] = []
    for samples in by_operator.values():
        places = sorted({round(i) for i in np.linspace(0, len(samples) - 1, min(MOST, len(samples)))})
        chosen += [samples[i] for i in places]
    known = {s.label for s in chosen}
    examples = [e for point in POINTS for e in point.examples]
    return chosen + [e for e in examples if e.label not in known]


# The operator that a graph is about, by the first of these in it.
ABOUT = (
    "If",
    "Loop",
    "Scan",
    "SplitToSequence",
    "SequenceInsert",
    "OptionalGetElement",
    "OneHot",
    "TopK",
    "Split",
    "Where",
)


def _operator(graph: Graph) -> str:
    return next((name for name in ABOUT if f"{name}(" in graph.text or f"{name} (" in graph.text
                 or f"{name}<" in graph.text or f"{name} <" in graph.text), "model-local functions")  # fmt: skip


def _arrays(example: Sample | Graph, rng: np.random.Generator) -> list[Any]:
    """Inputs whose floats are numbers of float32 too."""
    given = example.inputs if isinstance(example, Sample) else example.feeds.values()
    arrays = [x.draw(rng, np.float32) if isinstance(x, Floats) else x for x in given]
    return [a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a for a in arrays]


def _of_sample(sample: Sample, salt: int) -> Case:
    rng = np.random.default_rng(zlib.crc32(sample.label.encode()) + salt)
    arrays = _arrays(sample, rng)
    wrt = wrt_names(sample)
    # What is differentiated is an input of the graph.
    inputs = tuple(Floats(a.shape) if f"x{i}" in wrt else a for i, a in enumerate(arrays))
    plain = dataclasses.replace(sample, inputs=inputs)
    plain = dataclasses.replace(plain, opset=_lowest(plain, arrays))
    model, feeds = build(plain, arrays, symbolic=False)
    proto = ir.to_proto(model)
    wide = None
    if not sample.narrow:
        wide = ir.to_proto(build(plain, _doubled(sample, arrays), symbolic=False)[0])
    of = [f"y{i}" for i in sample.of]
    label = sample.label if sample.label.startswith(sample.op_type) else f"{sample.op_type}-{sample.label}"
    return _with_loss(Case(label, sample.op_type, proto, wide, feeds, wrt), of)


def _lowest(sample: Sample, arrays: list[Any]) -> int:
    """The lowest opset, 17 or later, that has the operator in this form with this value: some systems are older."""
    model, feeds = build(sample, arrays, symbolic=False)
    expected = gs.Session(model).run(feeds)
    doubles = _doubled(sample, arrays)
    newest = onnx.defs.get_schema(sample.op_type, sample.opset, sample.domain)
    for opset in (17, 18, newest.since_version):
        if opset >= sample.opset or not onnx.defs.has(sample.op_type, opset, sample.domain):
            continue
        schema = onnx.defs.get_schema(sample.op_type, opset, sample.domain)
        known = set(sample.attributes) <= set(schema.attributes) and len(sample.inputs) <= schema.max_input
        if not known or sample.outputs > schema.max_output:
            continue
        try:
            older, _ = build(dataclasses.replace(sample, opset=opset), arrays, symbolic=False)
            wide, _ = build(dataclasses.replace(sample, opset=opset), doubles, symbolic=False)
            for model in (older, wide):
                onnx.checker.check_model(ir.to_proto(model), full_check=True)
            found = gs.Session(older).run(feeds)
        except (gs.GraphSpecError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
            continue
        # The inference of some older versions gives another shape than their text.
        shapes = {v.name: v.shape.numpy() for v in older.graph.outputs if v.shape is not None and v.shape.is_static()}
        same = (np.array_equal(found[y], v) and shapes.get(y, v.shape) == v.shape for y, v in expected.items())
        if all(same):
            return opset
    return sample.opset


def _doubled(sample: Sample, arrays: list[Any]) -> list[Any]:
    """In float64 what the sample has in it, where ONNX has the operator in float64."""
    if sample.narrow:
        return arrays
    return [
        a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype == np.float32 and _widens(sample, i) else a
        for i, a in enumerate(arrays)
    ]


def _widens(sample: Sample, i: int) -> bool:
    given = sample.inputs[i]
    return isinstance(given, Floats) or getattr(given, "dtype", None) == np.float64


def _of_graph(graph: Graph, op_type: str, salt: int) -> Case:
    rng = np.random.default_rng(zlib.crc32(graph.label.encode()) + salt)
    feeds = dict(zip(graph.feeds, (np.asarray(a) for a in _arrays(graph, rng)), strict=True))

    def typed(word: str, header: str) -> onnx.ModelProto:
        text = header + graph.text.replace("T[", f"{word}[").replace("T ", f"{word} ")
        return onnx.parser.parse_model(text)

    header = '<ir_version: 8, opset_import: ["" : 18, "local" : 1]>\n'
    if "domain:" not in graph.text:
        header = header.replace(', "local" : 1', "")
    text = dataclasses.replace(graph, text=graph.text.replace('["" : 23', '["" : 18'))
    graph = text
    case = Case(
        f"{op_type}-{graph.id}", op_type, typed("float", header), typed("double", header), feeds, list(graph.wrt)
    )
    return _with_loss(case, list(graph.of))


def _parameter() -> Case:
    """A gradient by an initializer: what training needs."""
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 3)).astype(np.float32), rng.standard_normal((3, 2)).astype(np.float32)
    protos = []
    for word, dtype in (("float", np.float32), ("double", np.float64)):
        text = f'<ir_version: 8, opset_import: ["" : 17]> g ({word}[2,3] x) => ({word}[2,2] y) {{ y = MatMul(x, w) }}'
        proto = onnx.parser.parse_model(text)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(w.astype(dtype), "w"))
        protos.append(proto)
    return _with_loss(Case("a parameter", "parameters", protos[0], protos[1], {"x": x}, ["w"]), ["y"])


def _with_loss(case: Case, of: list[str]) -> Case:
    """Add loss = Σ y·c for random c, and leave no other floating-point output."""
    values = gs.Session(ir.from_proto(case.model)).run(case.feeds, fetches=of)
    rng = np.random.default_rng(7)
    weights = {y: np.asarray(rng.standard_normal(values[y].shape), np.float32) for y in of}
    for proto in (case.model, case.wide):
        if proto is None:
            continue
        kept = list(proto.graph.output)
        types = {v.name: v.type for v in (*kept, *proto.graph.value_info)}
        dtype = np.float64 if proto is case.wide else np.float32
        terms = []
        for i, y in enumerate(of):
            if types.get(y) is not None and types[y].tensor_type.elem_type == onnx.TensorProto.FLOAT:
                dtype_y: Any = np.float32
            else:
                dtype_y = dtype
            proto.graph.initializer.append(onnx.numpy_helper.from_array(weights[y].astype(dtype_y), f"loss_c{i}"))
            proto.graph.node.append(onnx.helper.make_node("Mul", [y, f"loss_c{i}"], [f"loss_p{i}"]))
            name = "loss" if len(of) == 1 else f"loss_s{i}"
            proto.graph.node.append(onnx.helper.make_node("ReduceSum", [f"loss_p{i}"], [name], keepdims=0))
            terms.append(name)
        if len(of) > 1:
            proto.graph.node.append(onnx.helper.make_node("Sum", terms, ["loss"]))
        elem = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        del proto.graph.output[:]
        proto.graph.output.append(onnx.helper.make_tensor_value_info("loss", elem, []))
    return case


def _solved(case: Case, shorter: float = 1.0) -> Case:
    """Loss and gradients by five-point central differences, in float64 where ONNX has it."""
    model = case.wide if case.wide is not None else case.model
    step = (1e-3 if case.wide is not None else 3e-2) * shorter
    feeds = in_types_of(model, case.feeds)
    if case.op_type == "parameters":
        model = _opened(model)
        feeds["w"] = onnx.numpy_helper.to_array(next(i for i in case.wide.graph.initializer if i.name == "w"))  # type: ignore[union-attr]
    session = gs.Session(ir.from_proto(model))
    case.gradients = {}
    case.loss = float(session.run(feeds, fetches=["loss"])["loss"])
    for name in case.wrt:
        base = feeds[name]
        gradient = np.zeros(base.size)
        for i in range(base.size):
            for at, weight in STENCIL:
                moved = base.copy().reshape(-1)
                moved[i] += at * step
                value = session.run({**feeds, name: moved.reshape(base.shape)}, fetches=["loss"])["loss"]
                gradient[i] += weight / step * float(value)
        case.gradients[name] = gradient.reshape(base.shape)
    return case


def _opened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its parameter w as an input."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    w = next(i for i in copy.graph.initializer if i.name == "w")
    copy.graph.input.append(onnx.helper.make_tensor_value_info("w", w.data_type, list(w.dims)))
    copy.graph.initializer.remove(w)
    return copy


def in_types_of(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Feeds in the types of the model's inputs."""
    types = {i.name: onnx.helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
    return {name: np.asarray(value).astype(types[name]) for name, value in feeds.items()}
