"""The networks of the ONNX wheel in PyTorch, eager: each node by the function that a PyTorch module would call."""

from __future__ import annotations

import torch
from torch.nn import functional

Tensor = torch.Tensor


def function(nodes, weights):
    """The network as a function of its image; what depends on weights alone is computed here, once."""
    constants, steps = {n: torch.from_numpy(w) for n, w in weights.items()}, []
    for op_type, inputs, output, attributes in nodes:
        if all(name in constants for name in inputs):
            constants[output] = OPERATORS[op_type](attributes, *(constants[n] for n in inputs))
        else:
            steps.append((OPERATORS[op_type], attributes, inputs, output))

    def call(name, image):
        values = {**constants, name: image}
        for run, attributes, inputs, output in steps:
            values[output] = run(attributes, *[values[n] for n in inputs])
        return values[steps[-1][3]]

    return call


def _padded(a, x, value):
    """The image and the padding that is left to the operator, which knows only symmetric ones."""
    top, left, bottom, right = a.get("pads", (0, 0, 0, 0))
    if (top, left) == (bottom, right):
        return x, (top, left)
    return functional.pad(x, (left, right, top, bottom), value=value), 0


def _conv(a, x, w, b=None):
    x, padding = _padded(a, x, 0.0)
    return functional.conv2d(x, w, b, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def _max_pool(a, x):
    x, padding = _padded(a, x, float("-inf"))
    return functional.max_pool2d(x, a["kernel_shape"], a.get("strides", 1), padding)


def _average_pool(a, x):
    x, padding = _padded(a, x, 0.0)
    counted = bool(a.get("count_include_pad", 0))
    return functional.avg_pool2d(x, a["kernel_shape"], a.get("strides", 1), padding, count_include_pad=counted)


def _unsqueeze(a, x):
    for axis in sorted(a["axes"]):
        x = x.unsqueeze(axis)
    return x


def _reshape(a, x, shape):
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())])


def _sum(a, first, *rest):
    for x in rest:
        first = first + x
    return first


OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": lambda a, x, g, b, m, v: functional.batch_norm(x, m, v, g, b, eps=a.get("epsilon", 1e-5)),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Conv": _conv,
    "Dropout": lambda a, x: x,
    "Gemm": lambda a, x, w, b: torch.addmm(b, x, w.t() if a.get("transB") else w),
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "MaxPool": _max_pool,
    "Mul": lambda a, x, y: x * y,
    "Relu": lambda a, x: torch.relu(x),
    "Reshape": _reshape,
    "Softmax": lambda a, x: torch.softmax(x.flatten(a.get("axis", 1)), -1).view(x.shape),
    "Sum": _sum,
    "Transpose": lambda a, x: x.permute(a["perm"]),
    "Unsqueeze": _unsqueeze,
}
