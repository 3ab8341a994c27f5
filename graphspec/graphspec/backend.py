"""The standard ONNX backend interface, as the ONNX backend test suite and other tools call it.

``prepare(model).run(inputs)`` for a model that runs often, ``run_model`` and ``run_node`` for one call. Inputs come by
position (a sequence) or by name (a mapping); outputs are a tuple that can be indexed by name as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx.backend.base
import onnx_ir as ir

from graphspec import dtypes
from graphspec.errors import FeedError, GraphSpecError, UnsupportedError
from graphspec.interchange import load
from graphspec.runtime import Session
from graphspec.validation import ValueInfo


class GraphSpecBackendRep(onnx.backend.base.BackendRep):
    """A model made ready to run.

    Args:
        session: The session that runs it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        names = list(session.outputs)
        self._outputs = onnx.backend.base.namedtupledict("Outputs", names)

    @property
    def inputs(self) -> dict[str, ValueInfo]:
        """The inputs in the order in which ``run`` takes them; initializers are not among them."""
        return self._session.inputs

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Compute all outputs.

        Args:
            inputs: By position or by name; a single array stands for the only input. By position, inputs at the end
                may be left out where they are optional. By name, initializers may be given too.
            **kwargs: ``deadline`` as in ``Session.run``.

        Returns:
            The outputs in the graph's order; ``outputs["name"]`` works too.

        Raises:
            FeedError: The inputs do not fit the graph.
            ExecutionError: A kernel refused its values.
        """
        results = self._session.run(self._by_name(inputs), **kwargs)
        return self._outputs(*results.values())

    def _by_name(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        values = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        names = list(self._session.inputs)
        if len(values) > len(names):
            raise FeedError(
                "There are more inputs than the graph has.",
                code="unknown-feed",
                expected=f"at most {len(names)}",
                found=str(len(values)),
                hint="Give initializers by name.",
            )
        return dict(zip(names, values, strict=False))


class GraphSpecBackend(onnx.backend.base.Backend):
    """GraphSpec as an ONNX backend, on the CPU."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether graphs can run there: ``"CPU"``, with or without a number behind it."""
        return device.split(":")[0] == "CPU"

    @classmethod
    def is_compatible(cls, model: Any, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether ``prepare`` would take the model: it is valid, and every operator runs."""
        try:
            cls.prepare(model, device, **kwargs)
        except GraphSpecError:
            return False
        return True

    @classmethod
    def prepare(
        cls,
        model: Any,
        device: str = "CPU",
        *,
        provider: Literal["numpy", "onnxruntime"] = "numpy",
        optimize: bool = True,
        **kwargs: Any,
    ) -> GraphSpecBackendRep:
        """Compile a model.

        Args:
            model: Anything that ``graphspec.load`` takes: a ``ModelProto``, bytes, a path, a document ...
            device: ``"CPU"``.
            provider: As in ``Session``.
            optimize: As in ``Session``.
            **kwargs: Not used; the interface lets callers hand their own settings through.

        Raises:
            UnsupportedError: Another device, or an operator that does not run.
            LoadError: The model cannot be read.
            ValidationError: The graph breaks a rule of ONNX.
        """
        if not cls.supports_device(device):
            raise UnsupportedError(
                f"There is no device {device!r}.", code="unknown-device", expected="CPU", found=device
            )
        return GraphSpecBackendRep(Session(load(model), provider=provider, optimize=optimize))

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """``prepare`` and ``run`` in one."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[Any, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node.

        Args:
            node: The node; its operator's domain is one of ONNX's.
            inputs: One per input that the node does not leave out, by position or by the node's names.
            device: ``"CPU"``.
            outputs_info: Not needed: types and shapes follow from the inputs.
            **kwargs: ``opset_version`` of the node's domain, the newest by default; the rest as in ``prepare``.

        Returns:
            The node's outputs.
        """
        names = list(dict.fromkeys(name for name in node.input if name))
        by_name = dict(inputs) if isinstance(inputs, Mapping) else _by_place(node, inputs)
        missing = [name for name in names if name not in by_name]
        if missing:
            raise FeedError(f"The node's input {missing[0]!r} is not given.", code="missing-feed", found="nothing")
        model = _model_of(node, {name: by_name[name] for name in names}, kwargs.pop("opset_version", None))
        return cls.run_model(model, by_name, device, **kwargs)


def _by_place(node: onnx.NodeProto, inputs: Any) -> dict[str, Any]:
    values = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    places = [name for name in node.input if name]
    return dict(zip(places, values, strict=False))


def _model_of(node: onnx.NodeProto, inputs: Mapping[str, Any], opset: int | None) -> ir.Model:
    """The model of one node, its inputs typed by the arrays."""
    versions = [s.since_version for s in onnx.defs.get_all_schemas_with_history() if s.domain == node.domain]
    imports = {"": onnx.defs.onnx_opset_version()}
    imports[node.domain] = opset or (imports[""] if node.domain == "" else max(versions, default=1))
    graph = onnx.helper.make_graph(
        [node],
        "node",
        [onnx.helper.make_value_info(name, _type_of(value)) for name, value in inputs.items()],
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in node.output if name],
    )
    model: ir.Model = ir.from_proto(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(*one) for one in imports.items()])
    )
    return model


def _type_of(value: Any) -> onnx.TypeProto:
    if isinstance(value, list):
        return onnx.helper.make_sequence_type_proto(
            _type_of(value[0]) if value else onnx.helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
        )
    array = np.asarray(value)
    return onnx.helper.make_tensor_type_proto(int(dtypes.of(array.dtype).onnx), array.shape)


is_compatible = GraphSpecBackend.is_compatible
prepare = GraphSpecBackend.prepare
run_model = GraphSpecBackend.run_model
run_node = GraphSpecBackend.run_node
supports_device = GraphSpecBackend.supports_device
