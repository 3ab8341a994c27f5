"""Give the ONNX wheel's `light` networks weights: as shipped, every weight is one and the same constant.

The files describe real architectures (SqueezeNet, ResNet-50), but each weight is a `ConstantOfShape` node, so that any
image gives the same answer. Here each becomes an initializer with seeded random numbers, scaled as He et al. (2015)
do it, so that the activations keep their size through fifty layers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def with_random_weights(name: str, seed: int) -> onnx.ModelProto:
    """The network ``light_<name>.onnx`` with random weights as initializers.

    Args:
        name: Such as ``"squeezenet"`` or ``"resnet50"``.
        seed: Of the random numbers; the same seed gives the same bytes.

    Returns:
        A model with one input, the image, and with IR version 8, where initializers need not be inputs.
    """
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    graph = model.graph
    rng = np.random.default_rng(seed)
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    constants = [node for node in graph.node if node.op_type == "ConstantOfShape"]
    shapes = {node.output[0]: tuple(int(n) for n in stored[node.input[0]]) for node in constants}
    shapes |= {n: a.shape for n, a in stored.items() if a.dtype == np.float32}
    roles = {value: (node, i) for node in graph.node for i, value in enumerate(node.input)}

    kept = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    used = {value for node in kept for value in node.input}
    weights = {value: _draw(*roles[value], shape, rng) for value, shape in shapes.items() if value in used}
    weights |= {n: a for n, a in stored.items() if n in used and n not in weights}
    inputs = [i for i in graph.input if i.name in used and i.name not in weights]

    del graph.node[:], graph.initializer[:], graph.input[:]
    graph.node.extend(kept)
    graph.input.extend(inputs)
    graph.initializer.extend(numpy_helper.from_array(array, value) for value, array in weights.items())
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def _draw(node: onnx.NodeProto, position: int, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random numbers for one weight, by the operator that reads it and the place where it stands."""
    if node.op_type == "BatchNormalization":
        # A branch that ends in an addition is scaled down: sixteen of them would otherwise blow the sum up.
        scale = 0.2 if "branch2c" in node.input[1] else 1.0
        centre, spread = {1: (scale, 0.1), 2: (0.0, 0.1), 3: (0.0, 0.1), 4: (1.0, 0.0)}[position]
        return rng.normal(centre, spread, shape).astype(np.float32)
    if position == 2:  # the bias of Conv and Gemm
        return rng.normal(0.0, 0.1, shape).astype(np.float32)
    gain = 2.0 if node.op_type == "Conv" else 1.0
    return rng.normal(0.0, np.sqrt(gain / np.prod(shape[1:])), shape).astype(np.float32)
