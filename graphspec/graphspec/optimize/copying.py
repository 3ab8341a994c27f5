"""A model of one's own: what every pass and transform starts from."""

from __future__ import annotations

import onnx_ir as ir


def copied(model: ir.Model) -> ir.Model:
    """A copy that shares the weights' arrays, its nodes sorted and named.

    A node without a name is named after its operator and its first output, so that every message can name it.

    Raises:
        ValueError: The graph has a cycle.
    """
    try:
        own = model.clone()
    except RuntimeError:  # a clone must be in order from the start
        own = ir.from_proto(ir.to_proto(model))
    own.graph.sort()
    for node in own.graph.all_nodes():
        if not node.name:
            node.name = f"{node.op_type}_{node.outputs[0].name}" if node.outputs else node.op_type
        if "sparse_value" in node.attributes and node.op_type == "Constant":  # kernels compute with dense arrays
            dense = node.attributes.pop("sparse_value").value.numpy()
            node.attributes["value"] = ir.AttrTensor("value", ir.tensor(dense))
    return own
