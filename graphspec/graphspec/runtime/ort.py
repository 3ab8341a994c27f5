"""The onnxruntime provider: the same session, run by ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from graphspec.errors import ExecutionError, UnsupportedError
from graphspec.optimize import RECOMPUTED, copied


class OnnxRuntimeProvider:
    """Runs the model as it is in ONNX Runtime, one thread, CPU.

    Raises:
        UnsupportedError: The package is not installed, or it refuses the model.
    """

    def __init__(self, model: ir.Model) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UnsupportedError(
                "The onnxruntime provider needs the package onnxruntime.", hint="pip install onnxruntime"
            ) from error
        self._model = copied(model)
        self._sessions: dict[tuple[tuple[str, ...], frozenset[str]], Any] = {}
        self._runtime = onnxruntime

    def run(self, feeds: dict[str, Any], fetches: tuple[str, ...], deadline: float | None) -> dict[str, Any]:
        """As ``Session.run``; the deadline is not looked at between nodes, which ONNX Runtime runs in one go."""
        session = self._session(fetches, frozenset(feeds))
        known = {i.name for i in (*session.get_inputs(), *session.get_overridable_initializers())}
        try:
            results = session.run(list(fetches), {k: v for k, v in feeds.items() if k in known})
        except Exception as error:  # its exception classes differ between releases
            raise ExecutionError(f"ONNX Runtime refused the run: {str(error).splitlines()[0]}") from error
        return dict(zip(fetches, results, strict=True))

    def _session(self, fetches: tuple[str, ...], fed: frozenset[str]) -> Any:
        key = (fetches, fed)
        if key not in self._sessions:
            model = self._model.clone()
            values = ir.convenience.create_value_mapping(model.graph)
            outputs = {v.name for v in model.graph.outputs}
            model.graph.outputs.extend(values[name] for name in fetches if name not in outputs)
            inputs = {v.name for v in model.graph.inputs}
            model.graph.inputs.extend(values[name] for name in fed if name in values and name not in inputs)
            options = self._runtime.SessionOptions()
            options.intra_op_num_threads = 1
            options.log_severity_level = 4
            disabled = None
            if any(RECOMPUTED in node.metadata_props for node in model.graph):  # copies stay, and stay late
                disabled = ["CommonSubexpressionElimination"]
                options.execution_order = self._runtime.ExecutionOrder.PRIORITY_BASED
            try:
                self._sessions[key] = self._runtime.InferenceSession(
                    ir.to_proto(model).SerializeToString(),
                    options,
                    providers=["CPUExecutionProvider"],
                    disabled_optimizers=disabled,
                )
            except Exception as error:  # its exception classes differ between releases
                raise UnsupportedError(f"ONNX Runtime refuses the model: {str(error).splitlines()[0]}") from error
        return self._sessions[key]
