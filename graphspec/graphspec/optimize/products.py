"""Products of matrices that take a neighbour in: a bias into Gemm, a Transpose into Einsum."""

from __future__ import annotations

import onnx_ir as ir

# Metadata of a node that computes something anew, to save memory: it is not merged with the node it repeats.
RECOMPUTED = "graphspec.recomputed"

_GEMM_TYPES = (ir.DataType.FLOAT, ir.DataType.DOUBLE)


def merge_biases(model: ir.Model) -> None:
    """Rewrite ``MatMul(a, b) + c`` of matrices as ``Gemm(a, b, c)``, in place, where nothing else reads the product."""
    graph = model.graph
    for node in list(graph):
        if node.op_type != "Add" or node.domain != "":
            continue
        for i in (0, 1):
            product, bias = node.inputs[i], node.inputs[1 - i]
            matmul = None if product is None else product.producer()
            if product is None or bias is None or matmul is None or not _is(matmul, "MatMul"):
                continue
            if (RECOMPUTED in matmul.metadata_props) != (RECOMPUTED in node.metadata_props):
                continue
            if not _used_once(product) or not _is_biased_product(product, matmul, bias, node.outputs[0]):
                continue
            gemm = ir.Node("", "Gemm", [*matmul.inputs, bias], num_outputs=1, name=matmul.name)
            gemm.metadata_props.update(node.metadata_props)
            _put(graph, gemm, node)
            graph.remove(matmul, safe=True)
            break


def _is(node: ir.Node, op_type: str) -> bool:
    return node.op_type == op_type and node.domain == ""


def _used_once(value: ir.Value) -> bool:
    return len(value.uses()) == 1 and not value.is_graph_output()


def _is_biased_product(product: ir.Value, matmul: ir.Node, bias: ir.Value, total: ir.Value) -> bool:
    if product.dtype not in _GEMM_TYPES or bias.shape is None or product.shape is None or total.shape is None:
        return False
    ranks = [None if v is None or v.shape is None else v.shape.rank() for v in matmul.inputs]
    # What broadcasts the product itself is no bias.
    return ranks == [2, 2] and bias.shape.rank() <= 2 and _same(product.shape, total.shape)


def _same(a: ir.Shape, b: ir.Shape) -> bool:
    return a == b and not a.has_unknown_dim()


def _put(graph: ir.Graph, new: ir.Node, old: ir.Node) -> None:
    """Let ``new`` stand for ``old``, under the names of its value."""
    value, output = old.outputs[0], new.outputs[0]
    output.type, output.shape = value.type, value.shape
    graph.insert_before(old, new)
    value.replace_all_uses_with(output, replace_graph_outputs=True)
    graph.remove(old, safe=True)
    output.name = value.name


def merge_transposes(model: ir.Model) -> None:
    """Let Einsum read and write its tensors in the order of their labels, in place: no Transpose before or behind."""
    graph = model.graph
    for node in list(graph):
        if not _is(node, "Transpose") or node.graph is None:
            continue
        value = node.inputs[0]
        perm = _perm(node)
        if value is None or perm is None or node.outputs[0].is_graph_output():
            continue
        before = value.producer()
        uses = list(node.outputs[0].uses())
        if before is not None and _labels(before) and _used_once(value):
            terms, output = _labels(before) or ([], "")
            _relabel(before, terms, "".join(output[p] for p in perm))
            value.shape = node.outputs[0].shape
            node.outputs[0].replace_all_uses_with(value)
            graph.remove(node, safe=True)
        elif uses and all(_labels(user) for user, _ in uses):
            for user, index in uses:
                terms, output = _labels(user) or ([], "")
                moved = dict(zip(perm, terms[index], strict=True))
                terms[index] = "".join(moved[axis] for axis in range(len(perm)))
                _relabel(user, terms, output)
                user.replace_input_with(index, value)
            graph.remove(node, safe=True)


def _perm(node: ir.Node) -> list[int] | None:
    x = node.inputs[0]
    if "perm" in node.attributes:
        return list(node.attributes["perm"].as_ints())
    return None if x is None or x.shape is None else list(range(x.shape.rank()))[::-1]


def _labels(node: ir.Node) -> tuple[list[str], str] | None:
    """The labels of an Einsum that spells out all of them."""
    if not _is(node, "Einsum"):
        return None
    terms, arrow, output = node.attributes["equation"].as_string().replace(" ", "").partition("->")
    return (terms.split(","), output) if arrow and "." not in terms else None


def _relabel(node: ir.Node, terms: list[str], output: str) -> None:
    node.attributes["equation"] = ir.AttrString("equation", f"{','.join(terms)}->{output}")
