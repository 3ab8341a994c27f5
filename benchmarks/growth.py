"""How time grows with the number of nodes: stage by size, for a chain of mixed elementwise operators.

    .venv/bin/python benchmarks/growth.py [--sizes 1000 10000 100000] [--stages load validate ...]

Times are CPU seconds of one process. The ratio is the last size's time over that of the one before it, beside how many
times more nodes it has.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

import graphspec as gs

UNARY = ("Sin", "Tanh", "Relu", "Sigmoid", "Cos", "Neg")
BINARY = ("Mul", "Add", "Sub", "Div")
FEEDS = {"x": np.linspace(-1.0, 1.0, 64, dtype=np.float32)}


def chain(length: int) -> bytes:
    """``length`` nodes in a row, ending in a scalar, as ONNX bytes."""
    helper, nodes, last = onnx.helper, [], "x"
    for i in range(length - 1):
        op_type = (UNARY + BINARY)[i * 3 % 10]
        inputs = [last, "w"] if op_type in BINARY else [last]
        nodes.append(helper.make_node(op_type, inputs, [f"v{i}"], name=f"n{i}"))
        last = f"v{i}"
    nodes.append(helper.make_node("ReduceSum", [last], ["loss"], name="loss", keepdims=0))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [64])],
        [helper.make_tensor_value_info("loss", onnx.TensorProto.FLOAT, [])],
        [onnx.numpy_helper.from_array(np.linspace(1.0, 2.0, 64, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    data: bytes = model.SerializeToString()
    return data


# Each stage by what it needs and what it makes; those that are asked for are run with all they need.
STAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "load": lambda made: gs.load(made["bytes"]),
    "validate": lambda made: gs.validate(made["load"]).raise_for_errors(),
    "compile": lambda made: gs.Session(made["load"]),
    "run": lambda made: made["compile"].run(FEEDS),
    "grad": lambda made: gs.grad(made["load"], of="loss", wrt=["x"]),
    "compile grad": lambda made: gs.Session(made["grad"]),
    "run grad": lambda made: made["compile grad"].run(FEEDS),
    "jvp": lambda made: gs.jvp(made["load"], of=["loss"], wrt=["x"]),
    "hvp": lambda made: gs.hvp(made["load"], of="loss", wrt=["x"]),
}
NEEDS = {"compile": ["load"], "run": ["load", "compile"], "compile grad": ["load", "grad"]}
NEEDS |= {"run grad": ["load", "grad", "compile grad"]}


def measure(length: int, stages: list[str]) -> dict[str, float]:
    """CPU seconds of each stage, one after the other."""
    made: dict[str, Any] = {"bytes": chain(length)}
    seconds: dict[str, float] = {}
    for stage, work in STAGES.items():
        if stage in stages:
            start = time.process_time()
            made[stage] = work(made)
            seconds[stage] = time.process_time() - start
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), default=list(STAGES)[:-2])
    chosen = parser.parse_args()
    asked = {need for stage in chosen.stages for need in [*NEEDS.get(stage, ["load"]), stage]}
    stages = [stage for stage in STAGES if stage in asked]
    measure(100, stages)  # so that the first size does not pay for imports and for filling caches
    columns = [measure(size, stages) for size in chosen.sizes]
    columns = [{**column, "all": sum(column.values())} for column in columns]
    print("| stage |" + "".join(f" {size:,} |" for size in chosen.sizes) + " ratio |")
    print("| --- |" + " ---: |" * (len(columns) + 1))
    for stage in columns[0]:
        times = [column[stage] for column in columns]
        ratio = f"{times[-1] / times[-2]:.1f}" if len(times) > 1 and times[-2] else "–"
        print(f"| {stage} |" + "".join(f" {t:.2f} s |" for t in times) + f" {ratio} |")
    if len(columns) > 1:
        print(f"\nNodes of the last size: {chosen.sizes[-1] / chosen.sizes[-2]:g} times those of the one before.")


if __name__ == "__main__":
    main()
