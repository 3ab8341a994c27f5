"""Step 3: a derivative leaves the service as an ONNX file, and ONNX Runtime runs it."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime

from graphspec_client import Client
from steps.checks import check, largest_difference
from steps.digits import Network


def run(client: Client, network: Network, path: Path) -> str:
    """Save the gradient graph of the trained network's loss and run it elsewhere, on the held-out images.

    Returns:
        The line for the demo.

    Raises:
        CheckError: The two runtimes disagree.
    """
    wrt = list(network.parameters)
    model = client.load(network.document())
    model.derive("grad", of="loss", wrt=wrt).save(path)
    graph = onnx.load(path)
    onnx.checker.check_model(graph, full_check=True)

    here = model.grad(network.held_out, of="loss", wrt=wrt)
    names = [f"{name}_grad" for name in wrt]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    there = dict(zip(names, session.run(names, network.held_out), strict=True))
    off = max(largest_difference(here[name], there[f"{name}_grad"]) for name in wrt)
    check("the largest difference from ONNX Runtime", off, at_most=1e-6)
    return (
        f"{path.name}: the derived graph, {len(graph.graph.node)} standard ONNX nodes, on ONNX Runtime; "
        f"largest difference of {len(wrt)} gradients {off:.1e}"
    )
