"""Raise a model's opset, by ONNX's own version converter."""

from __future__ import annotations

import onnx
import onnx.version_converter
import onnx_ir as ir

from graphspec.errors import UnsupportedError
from graphspec.optimize.limited_broadcast import spell_out_broadcasts

# The converter looks at small initializers (axes, shapes); large ones only cost copies.
_LARGE = 1 << 12


def upgraded(model: ir.Model, opset: int) -> ir.Model:
    """The model at ``opset`` or later in the default domain.

    Args:
        model: Any model without calls of local functions; it is not changed.
        opset: The least version wanted.

    Returns:
        The model itself when it is there already, else a converted copy that shares the weights.

    Raises:
        UnsupportedError: The converter has no path for some operator, or the ranks of old broadcasts are not known.
    """
    version = model.graph.opset_imports.get("")
    if version is None or version >= opset:
        return model
    _refuse_lossy(model, version)
    light = model.clone()
    spell_out_broadcasts(light)
    large = {
        name: value.const_value
        for name, value in light.graph.initializers.items()
        if value.const_value is not None and value.const_value.nbytes > _LARGE
    }
    inputs = [value.name for value in light.graph.inputs]
    for name in large:
        value = light.graph.initializers.pop(name)
        value.const_value = None
        if name not in inputs:
            light.graph.inputs.append(value)
    try:
        proto = onnx.version_converter.convert_version(ir.to_proto(light), opset)
    except Exception as error:  # the converter raises bare RuntimeErrors and assertion texts
        raise UnsupportedError(
            f"The model's opset {version} cannot be converted to {opset}: {str(error).splitlines()[0]}",
            hint=f"Export the model at opset {opset} or later.",
        ) from error
    result = ir.from_proto(proto)
    if version < 11:
        _keep_resize(result)
        _keep_dtypes(result)
    for value in list(result.graph.inputs):
        if value.name in large:
            value.const_value = large[value.name]
            result.graph.register_initializer(value)
            if value.name not in inputs:
                result.graph.inputs.remove(value)
    return result


def _keep_resize(model: ir.Model) -> None:
    """Say of each Resize from before opset 11 what it meant; the converter leaves it to the later defaults."""
    for node in model.graph.all_nodes():
        if node.op_type == "Resize" and node.domain == "":
            node.attributes["coordinate_transformation_mode"] = ir.AttrString(
                "coordinate_transformation_mode", "asymmetric"
            )
            node.attributes["nearest_mode"] = ir.AttrString("nearest_mode", "floor")


def _keep_dtypes(model: ir.Model) -> None:
    """Give bounds and padding the dtype of what they are for; the converter makes float32 of attributes."""
    for node in list(model.graph.all_nodes()):
        if node.op_type not in ("Clip", "Pad") or node.domain != "" or node.inputs[0] is None or node.graph is None:
            continue
        for i, value in enumerate(node.inputs[1:3], start=1):
            tensor = None if value is None else ir.convenience.get_const_tensor(value)
            if value is None or tensor is None or tensor.dtype != ir.DataType.FLOAT:
                continue
            if node.inputs[0].dtype != ir.DataType.FLOAT:
                cast = ir.node("CastLike", [value, node.inputs[0]], name=f"{node.name}_like_{i}")
                cast.outputs[0].name = f"{value.name}_like_{node.inputs[0].name}"
                node.graph.insert_before(node, cast)
                node.replace_input_with(i, cast.outputs[0])


def _refuse_lossy(model: ir.Model, version: int) -> None:
    """Refuse what the converter would change the meaning of without a word.

    Raises:
        UnsupportedError: The problem names the node.
    """
    for node in model.graph.all_nodes():
        if node.domain != "":
            continue
        if node.op_type == "Scan" and version < 9:
            reason = "Scan was another operator before opset 9"
        elif node.op_type == "Hardmax" and version < 13 and not _is_last_axis(node):
            reason = "Hardmax flattened its input before opset 13"
        else:
            continue
        raise UnsupportedError(
            f"The model's opset {version} cannot be converted upward: {reason} (node {node.name!r}).",
            node=node.name,
            hint="Export the model at a later opset.",
        )


def _is_last_axis(node: ir.Node) -> bool:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return False
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    return axis in (-1, x.shape.rank() - 1)
