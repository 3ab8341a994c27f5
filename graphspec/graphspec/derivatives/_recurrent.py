"""RNN, GRU and LSTM as standard nodes around a Scan: the body that ONNX does not give them.

What the input adds to the gates is one product over the whole sequence, outside of the Scan; a step adds what the
state does. Names and formulas are those of the kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from graphspec.derivatives import _bodies as bodies
from graphspec.operators import recurrent, registry
from graphspec.operators.attributes import attributes_of
from graphspec.operators.builder import Builder

Values = list[ir.Value]
# step(builder of the body, what the input adds, states) -> new states
Step = Callable[[Builder, ir.Value, Values], Values]
Function = Callable[[Builder, ir.Value], ir.Value]

_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
_PLAIN = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softsign": "Softsign", "softplus": "Softplus"}
_ALPHA = {"leakyrelu": "LeakyRelu", "thresholdedrelu": "ThresholdedRelu", "elu": "Elu"}


def is_recurrent(node: ir.Node) -> bool:
    """Whether the node is one that ``expand`` takes."""
    return node.domain == "" and node.op_type in _GATES


def expand(op: Builder, node: ir.Node) -> None:
    """Put standard nodes in place of a recurrent network; its outputs keep their names."""
    graph = node.graph
    assert graph is not None
    results = _results(op, node)
    copies = []
    for old, result in zip(node.outputs, results, strict=False):
        new = op.Identity(result)
        new.type, new.shape = old.type or result.type, old.shape if old.shape is not None else result.shape
        copies.append((old, new))
    graph.insert_before(node, op.nodes)
    op.nodes.clear()
    for old, new in copies:
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        if old.name:
            new.name, old.name = old.name, None
    graph.remove(node, safe=True)


def _results(op: Builder, node: ir.Node) -> Values:
    X, W, R, B, lengths, *initial = [*node.inputs, *[None] * 8][:8]
    peepholes = initial.pop() if node.op_type == "LSTM" else None
    assert X is not None
    assert W is not None
    assert R is not None
    entry = registry.find(node.op_type, "", op.opset)
    assert entry is not None
    attributes = {**entry.attributes, **attributes_of(node)}
    ways = {"forward": [0], "reverse": [1], "bidirectional": [0, 1]}[attributes["direction"]]
    count, functions = len(ways), _functions(node.op_type, attributes, len(ways))
    per = len(functions) // count
    swap = [1, 0, 2] if attributes["layout"] else None
    if swap:
        X = op.Transpose(X, perm=swap)
    parts = [_each(op, v, count) for v in (W, R, B, peepholes)]
    kinds = 2 if node.op_type == "LSTM" else 1
    states = [_each(op, op.Transpose(v, perm=swap) if swap and v is not None else v, count) for v in initial[:kinds]]
    Ys, lasts = [], []
    for d, way in enumerate(ways):
        w, r, b, p = (part[d] for part in parts)
        pre, step = _step(op, node.op_type, X, w, r, b, p, functions[d * per : (d + 1) * per], attributes)
        starts = [s[d] if s[d] is not None else _zeros(op, X, R) for s in states]
        Y, last = _scan(op, pre, starts, step, lengths, way)
        Ys.append(op.Unsqueeze(Y, op.ints([1])))
        lasts.append([op.Unsqueeze(s, op.ints([0])) for s in last])
    Y = op.Concat(*Ys, axis=1)
    finals = [op.Concat(*(last[k] for last in lasts), axis=0) for k in range(kinds)]
    if swap:
        Y, finals = op.Transpose(Y, perm=[2, 0, 1, 3]), [op.Transpose(s, perm=swap) for s in finals]
    return [Y, *finals]


def _each(op: Builder, value: ir.Value | None, count: int) -> list[Any]:
    """The part of each direction, its first axis."""
    if value is None:
        return [None] * count
    split = [value] if count == 1 else op.Split(value, axis=0, num_outputs=count, outputs=count)
    return [op.Squeeze(v, op.ints([0])) for v in split]


def _zeros(op: Builder, X: ir.Value, R: ir.Value) -> ir.Value:
    batch, hidden = op.dims(X), op.dims(R)
    if batch and hidden and isinstance(batch[1], int) and isinstance(hidden[2], int):
        return op.expand(op.scalar(0, X), op.ints([batch[1], hidden[2]]))
    zeros: ir.Value = op.Expand(op.scalar(0, X), op.Concat(op.dim(X, 1), op.dim(R, 2), axis=0))
    if batch and hidden:
        zeros.shape = ir.Shape([batch[1], hidden[2]])  # inference loses symbols
    return zeros


def _thirds(op: Builder, value: ir.Value) -> tuple[ir.Value, ...]:
    return op.Split(value, axis=0, num_outputs=3, outputs=3)  # type: ignore[no-any-return]


def _transposed(op: Builder, matrix: ir.Value) -> ir.Value:
    return op.Transpose(matrix, perm=[1, 0])  # type: ignore[no-any-return]


def _step(
    op: Builder, op_type: str, X: ir.Value, W: ir.Value, R: ir.Value, B: ir.Value | None, P: ir.Value | None,
    functions: list[Function], attributes: dict[str, Any],
) -> tuple[ir.Value, Step]:  # fmt: skip
    """What the input adds to the gates at every step, and the step."""
    pre = op.MatMul(X, _transposed(op, W))
    wb, rb = op.Split(B, axis=0, num_outputs=2, outputs=2) if B is not None else (None, None)
    rb_h = None
    if op_type == "GRU" and attributes["linear_before_reset"] and rb is not None:
        rb_z, rb_r, rb_h = _thirds(op, rb)
        rb = op.Concat(rb_z, rb_r, op.zeros_like(rb_h), axis=0)
    if B is not None:
        pre = op.Add(pre, op.Add(wb, rb))
    f, clip = functions, _clip(attributes["clip"])

    if op_type == "RNN":
        R_t = _transposed(op, R)

        def rnn(b: Builder, x: ir.Value, states: Values) -> Values:
            return [f[0](b, clip(b, b.Add(x, b.MatMul(states[0], R_t))))]

        return pre, rnn

    if op_type == "GRU":
        R_z, R_r, R_h = _thirds(op, R)
        R_gates, R_h = _transposed(op, op.Concat(R_z, R_r, axis=0)), _transposed(op, R_h)

        def gru(b: Builder, x: ir.Value, states: Values) -> Values:
            H = states[0]
            x_z, x_r, x_h = b.Split(x, axis=-1, num_outputs=3, outputs=3)
            gates = b.Add(b.Concat(x_z, x_r, axis=-1), b.MatMul(H, R_gates))
            z, r = b.Split(f[0](b, clip(b, gates)), axis=-1, num_outputs=2, outputs=2)
            if attributes["linear_before_reset"]:
                inner = b.MatMul(H, R_h)
                inner = b.Mul(r, inner if rb_h is None else b.Add(inner, rb_h))
            else:
                inner = b.MatMul(b.Mul(r, H), R_h)
            h = f[1](b, clip(b, b.Add(x_h, inner)))
            return [b.Add(b.Mul(b.Sub(b.scalar(1, H), z), h), b.Mul(z, H))]

        return pre, gru

    R_t = _transposed(op, R)
    peep = _thirds(op, P) if P is not None else None

    def lstm(b: Builder, x: ir.Value, states: Values) -> Values:
        H, C = states
        x_i, x_o, x_f, x_c = b.Split(b.Add(x, b.MatMul(H, R_t)), axis=-1, num_outputs=4, outputs=4)

        def gate(x: ir.Value, k: int, C: ir.Value) -> ir.Value:
            return f[0](b, clip(b, x if peep is None else b.Add(x, b.Mul(peep[k], C))))

        i = gate(x_i, 0, C)
        forget = b.Sub(b.scalar(1, i), i) if attributes["input_forget"] else gate(x_f, 2, C)
        C = b.Add(b.Mul(forget, C), b.Mul(i, f[1](b, clip(b, x_c))))
        return [b.Mul(gate(x_o, 1, C), f[2](b, C)), C]

    return pre, lstm


def _clip(bound: float | None) -> Function:
    if not bound:
        return lambda b, x: x
    return lambda b, x: b.Clip(x, b.scalar(-bound, x), b.scalar(bound, x))


def _functions(op_type: str, attributes: dict[str, Any], count: int) -> list[Function]:
    defaults = _DEFAULTS[op_type]
    names = list(attributes["activations"] or defaults * count)[: len(defaults) * count]
    bound = recurrent.with_parameters(
        names, list(attributes["activation_alpha"] or []), list(attributes["activation_beta"] or [])
    )
    return [_function(name.lower(), alpha, beta) for name, alpha, beta in bound]


def _function(name: str, alpha: float, beta: float) -> Function:
    if name in _PLAIN:
        return lambda b, x: b.emit(_PLAIN[name], [x])
    if name in _ALPHA:
        return lambda b, x: b.emit(_ALPHA[name], [x], {"alpha": alpha})
    if name == "hardsigmoid":
        return lambda b, x: b.HardSigmoid(x, alpha=alpha, beta=beta)
    if name == "scaledtanh":
        return lambda b, x: b.Mul(b.scalar(alpha, x), b.Tanh(b.Mul(b.scalar(beta, x), x)))
    return lambda b, x: b.Add(b.Mul(b.scalar(alpha, x), x), b.scalar(beta, x))  # affine


def _scan(
    op: Builder, pre: ir.Value, starts: Values, step: Step, lengths: ir.Value | None, way: int
) -> tuple[ir.Value, Values]:
    """All outputs (seq, batch, hidden), zero behind each sequence's end, and the last states."""
    turned = way == 1 and lengths is not None  # each sequence is reversed within its own length
    lens = None if lengths is None else op.cast(lengths, ir.DataType.INT64)
    if turned:
        pre = op.ReverseSequence(pre, lens, time_axis=0, batch_axis=1)
    scanned = [pre]
    if lens is not None:
        time = op.Unsqueeze(_range(op, pre), op.ints([1, 2]))
        scanned.append(op.Less(time, op.Unsqueeze(lens, op.ints([0, 2]))))
    states = [bodies.like(op, s) for s in starts]
    elements = [ir.Value(name=op.fresh(f"{v.name}_in"), type=v.type) for v in scanned]
    for element, v in zip(elements, scanned, strict=True):
        element.shape = None if v.shape is None else ir.Shape(list(v.shape.dims)[1:])
    inner = bodies.builder(op)
    new = step(inner, elements[0], states)
    Y = new[0]
    if lens is not None:  # a sequence that has ended keeps its state and puts out zeros
        new = [inner.Where(elements[1], a, s) for a, s in zip(new, states, strict=True)]
        Y = inner.Where(elements[1], Y, inner.scalar(0, Y))
    body = ir.Graph([*states, *elements], [], nodes=[], opset_imports=dict(op.opset_imports), name=op.fresh("step"))
    for value, x in zip(new, starts, strict=True):
        value.type, value.shape = x.type, x.shape
    bodies.finish(body, [*states, *elements], inner, [*new, Y], [*starts, starts[0]])
    backwards = 1 if way == 1 and not turned else 0
    attributes: dict[str, ir.Attr] = {
        "body": ir.AttrGraph("body", body),
        "num_scan_inputs": ir.AttrInt64("num_scan_inputs", len(scanned)),
    }
    if backwards:
        attributes["scan_input_directions"] = ir.AttrInt64s("scan_input_directions", [1] * len(scanned))
        attributes["scan_output_directions"] = ir.AttrInt64s("scan_output_directions", [1])
    every = ir.Value(type=pre.type)
    if pre.shape is not None and starts[0].shape is not None:
        every.shape = ir.Shape([pre.shape.dims[0], *starts[0].shape.dims])
    *last, all_Y = bodies.emit(op, "Scan", [*starts, *scanned], attributes, [*starts, every])
    return (op.ReverseSequence(all_Y, lens, time_axis=0, batch_axis=1) if turned else all_Y), last


def _range(op: Builder, x: ir.Value) -> ir.Value:
    """0, 1, ... along the first axis."""
    dims = op.dims(x)
    if dims is not None and isinstance(dims[0], int):
        return op.ints(range(dims[0]))
    out: ir.Value = op.Range(op.const(0, "int64"), op.Squeeze(op.dim(x, 0)), op.const(1, "int64"))
    return out
