"""A node's attributes as plain Python values, as kernels and rules take them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

# Deprecated optimisation hints of opsets below 6 that never change a result.
_IGNORED = {"consumed_inputs"}


def attributes_of(node: ir.Node) -> dict[str, Any]:
    """The attributes set on a node: ints, floats, strings and lists of them; tensors as arrays; graphs as they are."""
    return {name: attribute_value(a) for name, a in node.attributes.items() if name not in _IGNORED}


def attribute_value(attribute: ir.Attr) -> Any:
    """One attribute as a plain value."""
    kind, value = attribute.type, attribute.value
    if attribute.is_ref():
        raise ValueError(f"Attribute {attribute.name!r} refers to a function's attribute outside of a function.")
    if kind is ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy()
    if kind is ir.AttributeType.TENSORS:
        return [t.numpy() for t in attribute.as_tensors()]
    if kind in (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS):
        return list(value)
    return value
