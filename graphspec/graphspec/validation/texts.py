"""Names that are not text: protobuf hands over as bytes what is not UTF-8, which nothing else here expects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx


def not_utf8(model: onnx.ModelProto) -> Iterator[str]:
    """JSON pointers of the parts of a model with a name that is not UTF-8."""
    if any(_odd(entry.domain) for entry in model.opset_import):
        yield "/opset"
    blocks: list[tuple[Any, str]] = [(f, f"/functions/{number}") for number, f in enumerate(model.functions)]
    blocks.append((model.graph, ""))
    while blocks:
        block, path = blocks.pop()
        if _odd(block.name):
            yield f"{path}/name"
        if isinstance(block, onnx.FunctionProto):
            domains = [entry.domain for entry in block.opset_import]
            attributes = [attribute.name for attribute in block.attribute_proto]
            if _any_odd([block.domain, block.overload, *block.attribute, *attributes, *domains]):
                yield path
            if _any_odd(block.input) or _any_odd(block.output) or _odd_values(block.value_info):
                yield path
        else:
            for member, infos in (("inputs", block.input), ("outputs", block.output), ("value_info", block.value_info)):
                if _odd_values(infos):
                    yield f"{path}/{member}"
            if _any_odd(t.name for t in block.initializer) or _any_odd(s.values.name for s in block.sparse_initializer):
                yield f"{path}/parameters"
        for number, node in enumerate(block.node):
            where = f"{path}/nodes/{number}"
            if _any_odd((node.name, node.op_type, node.domain, node.overload, *node.input, *node.output)):
                yield where
            for attribute in node.attribute:
                if _odd(attribute.name) or _odd(attribute.ref_attr_name):
                    yield f"{where}/attributes"
                elif attribute.HasField("g"):
                    blocks.append((attribute.g, f"{where}/attributes/{attribute.name}"))
                elif attribute.graphs:
                    blocks += [(g, f"{where}/attributes/{attribute.name}/{i}") for i, g in enumerate(attribute.graphs)]


def _odd(text: Any) -> bool:
    return type(text) is bytes


def _any_odd(texts: Iterable[Any]) -> bool:
    return any(type(text) is bytes for text in texts)


def _odd_values(infos: Iterable[onnx.ValueInfoProto]) -> bool:
    return any(_odd(info.name) or _any_odd(dim.dim_param for dim in info.type.tensor_type.shape.dim) for info in infos)
