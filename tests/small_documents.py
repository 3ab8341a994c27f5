"""One good document and ways to spoil it."""

import copy

GOOD = {
    "graphspec": 1,
    "name": "g",
    "opset": 21,
    "inputs": {"x": {"dtype": "float32", "shape": ["n", 3]}},
    "parameters": {"w": {"dtype": "float32", "shape": [3], "data": [1, 2, 3]}},
    "nodes": [
        {"op": "Mul", "inputs": ["x", "w"], "outputs": ["h"]},
        {"op": "ReduceSum", "name": "total", "inputs": ["h"], "outputs": ["y"], "attributes": {"keepdims": 0}},
    ],
    "outputs": ["y"],
}


def put(pointer, value):
    """GOOD with one place set to another value; a place that is not there is added."""
    document = copy.deepcopy(GOOD)
    here = document
    *parents, last = pointer.split("/")[1:]
    for part in parents:
        here = here[int(part) if isinstance(here, list) else part]
    if isinstance(here, list):
        here[int(last) : int(last) + 1] = [value]
    else:
        here[last] = value
    return document


def without(field):
    return {key: value for key, value in GOOD.items() if key != field}


def node(**fields):
    return put("/nodes/2", {"inputs": ["x"], "outputs": ["z"], **fields})


def attribute(op, **attributes):
    return node(op=op, attributes=attributes)


def parameter(**fields):
    return put("/parameters/w", fields)


def nested_graphs(depth):
    graph = {"nodes": [], "outputs": ["q"]}
    for _ in range(depth):
        attributes = {"then_branch": graph, "else_branch": {"nodes": [], "outputs": ["q"]}}
        graph = {
            "nodes": [{"op": "If", "inputs": ["c"], "outputs": ["q"], "attributes": attributes}],
            "outputs": ["q"],
        }
    return {"graphspec": 1, "opset": 21, **graph}


def nested(value, depth, wrap):
    for _ in range(depth):
        value = wrap(value)
    return value
