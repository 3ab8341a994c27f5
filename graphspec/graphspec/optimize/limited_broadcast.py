"""The broadcasting of opsets below 7, spelled out, because ONNX's version converter gets part of it wrong.

Until opset 6 the second input could be set at an axis of the first (``axis``), and PRelu took one slope per channel.
The converter refuses the one (and scalars), and takes the other for broadcasting along the last axis, silently.
"""

from __future__ import annotations

import onnx.shape_inference
import onnx_ir as ir

from graphspec.errors import UnsupportedError
from graphspec.optimize.propagate import infer_outputs

_FIRST_WITHOUT = 7
_LIMITED = {"Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Less", "Greater"}


def spell_out_broadcasts(model: ir.Model) -> None:
    """Give, in place, the second input of such nodes trailing dimensions of 1, so that it broadcasts as in NumPy.

    Raises:
        UnsupportedError: The ranks are not known.
    """
    imports = model.graph.opset_imports
    if imports.get("", _FIRST_WITHOUT) >= _FIRST_WITHOUT:
        return
    nodes = [node for node in model.graph.all_nodes() if _is_limited(node)]
    if not nodes:
        return
    try:
        model.graph.sort()
        for node in model.graph:
            infer_outputs(node, imports, model.ir_version)
    except (ValueError, onnx.shape_inference.InferenceError):
        return  # a broken graph: whoever validates it says so better
    for node in nodes:
        missing = _missing(node)
        if missing:
            axes = ir.AttrInt64s("axes", missing)
            reshape = ir.Node("", "Unsqueeze", [node.inputs[1]], [axes])
            node.prepend(reshape)
            node.replace_input_with(1, reshape.outputs[0])
            _shape(reshape, missing)
        node.attributes.pop("axis", None)
        node.attributes.pop("broadcast", None)


def _is_limited(node: ir.Node) -> bool:
    if node.domain != "" or len(node.inputs) != 2:
        return False
    return node.op_type == "PRelu" or (node.op_type in _LIMITED and "broadcast" in node.attributes)


def _missing(node: ir.Node) -> list[int]:
    """Positions of the trailing dimensions that the second input lacks."""
    first, second = node.inputs
    a, b = (None if v is None or v.shape is None else v.shape.rank() for v in (first, second))
    if b == 0:
        return [0] if a else []  # to the converter a shape without dimensions is no shape
    if node.op_type != "PRelu" and "axis" not in node.attributes:
        return []
    if a is None or b is None:
        raise UnsupportedError(
            f"Node {node.name!r} ({node.op_type}) broadcasts as nodes did below opset 7, and its ranks are not known.",
            node=node.name,
            hint="Export the model at a later opset, or give the shapes of its inputs.",
        )
    if node.op_type == "PRelu":
        start = 1 if b == 1 else a - b
    else:
        start = node.attributes["axis"].as_int()
        start += a * (start < 0)
    return list(range(b, a - start))


def _shape(reshape: ir.Node, missing: list[int]) -> None:
    source = reshape.inputs[0]
    assert source is not None
    assert source.shape is not None
    reshape.outputs[0].type = source.type
    reshape.outputs[0].shape = ir.Shape([*source.shape.dims, *(1 for _ in missing)])
