"""Constants as initializers, as a derived model hands them out, and back as nodes, as transforms read them.

A floating-point initializer is a parameter in GraphSpec: it may be fed and differentiated. One that was a Constant node
is listed in the model's metadata, which every form of a model carries, so that it stays a constant.
"""

from __future__ import annotations

import json

import onnx_ir as ir

from graphspec.validation.feeds import CONSTANTS, marked_constants


def constants_to_initializers(model: ir.Model) -> None:
    """Replace the main graph's Constant nodes, in place, equal ones by one initializer."""
    graph = model.graph
    known: dict[tuple[object, ...], ir.Value] = {}
    marked = set(marked_constants(model)) & graph.initializers.keys()
    for node in list(graph):
        value = node.outputs[0] if node.outputs else None
        if node.op_type != "Constant" or node.domain != "" or value is None or value.is_graph_output():
            continue
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is None or tensor.dtype is ir.DataType.STRING:
            continue
        key = (tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes())
        if key not in known:
            name = value.name
            new = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(tensor.shape.numpy()))
            new.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
            if tensor.dtype.is_floating_point():
                marked.add(name or "")
            value.name = None
            graph.register_initializer(new)
            known[key] = new
        value.replace_all_uses_with(known[key])
        graph.remove(node, safe=True)
    if marked:
        model.metadata_props[CONSTANTS] = json.dumps(sorted(marked))


def constants_to_nodes(model: ir.Model) -> None:
    """Make marked initializers Constant nodes again, in place."""
    graph = model.graph
    made = []
    marked = marked_constants(model)
    model.metadata_props.pop(CONSTANTS, None)
    for name, value in list(graph.initializers.items()):
        if name not in marked or value.const_value is None or value.is_graph_input():
            continue
        node = ir.Node("", "Constant", [], [ir.AttrTensor("value", value.const_value)], num_outputs=1, name=name)
        graph.initializers.pop(name)
        new = node.outputs[0]
        new.type, new.shape = value.type, value.shape
        value.replace_all_uses_with(new, replace_graph_outputs=True)
        value.name, new.name = None, name
        made.append(node)
    if made and len(graph):
        graph.insert_before(graph[0], made)
    elif made:
        graph.extend(made)
