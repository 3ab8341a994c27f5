"""Training as ONNX describes it: a model's ``TrainingInfoProto``, run step by step.

Each of its algorithms is a graph put behind the model's own; after a run, its update binding says which outputs become
which initializers. Those initializers, and those that the initialization sets, are the variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import onnx
import onnx_ir as ir

from graphspec import dtypes
from graphspec.errors import ExecutionError, ValidationError
from graphspec.inference import array_of
from graphspec.interchange import load, to_proto
from graphspec.runtime import Session

_PARTS = ("input", "initializer", "output", "node", "value_info", "sparse_initializer", "quantization_annotation")


class Training:
    """A model in training: the values of its variables, and what changes them.

    Args:
        model: A model with training information, from ``load``; it is not changed.
        provider: As in ``Session``.

    Attributes:
        variables: The variables' values by name, as stored in the model at first.
        steps: How many steps were made since then.

    Raises:
        ValidationError: There is no training information, or a binding of it names what is not there.
        UnsupportedError: An operator of the algorithm has no kernel.
    """

    def __init__(self, model: ir.Model, *, provider: Literal["numpy", "onnxruntime"] = "numpy") -> None:
        self._proto = to_proto(model)
        infos = list(self._proto.training_info)
        if not infos:
            raise ValidationError("The model has no training information.", code="no-training-info")
        updates = [_pairs(info.update_binding) for info in infos]
        starts = [_pairs(info.initialization_binding) for info in infos]
        stored = {t.name: t for t in _initializers(self._proto)}
        names = dict.fromkeys(name for binding in (*starts, *updates) for name in binding)
        for name in names:
            if name not in stored:
                raise _unbound(name, "an initializer of the model or of its algorithm")
        if sum(map(len, updates)) != len({name for binding in updates for name in binding}):
            raise ValidationError("Two update bindings set one variable.", code="duplicate-binding")
        self._stored = {name: array_of(ir.serde.deserialize_tensor(stored[name])) for name in names}
        self.variables: dict[str, Any] = dict(self._stored)
        self.steps = 0
        self._starts = [
            (Session(self._initialization(info), provider=provider), binding)
            for info, binding in zip(infos, starts, strict=True)
            if binding
        ]
        self._updates = [
            (Session(self._algorithm(info), provider=provider), binding)
            for info, binding in zip(infos, updates, strict=True)
        ]
        for session, binding in (*self._starts, *self._updates):
            for output in binding.values():
                if output not in session.outputs:
                    raise _unbound(output, "an output of the graph")

    def initialize(self) -> None:
        """Go back to the beginning: the stored values, and then what the initialization graphs compute."""
        self.variables = dict(self._stored)
        self.steps = 0
        for session, binding in self._starts:
            self._rebind(session.run({}), binding)

    def step(self, feeds: Mapping[str, Any], *, deadline: float | None = None) -> dict[str, Any]:
        """Run each algorithm once, in their order, and rebind the variables after each.

        Args:
            feeds: The inputs of the model and of the algorithms.
            deadline: As in ``Session.run``.

        Returns:
            All outputs, of the model and of the algorithms.

        Raises:
            FeedError: The feeds do not fit.
            ExecutionError: A kernel refused its values, or an output does not fit its variable.
        """
        results: dict[str, Any] = {}
        for session, binding in self._updates:
            given = {name: value for name, value in self.variables.items() if name in session.inputs}
            known = feeds if len(self._updates) == 1 else {k: v for k, v in feeds.items() if k in session.inputs}
            found = session.run({**known, **given}, deadline=deadline)
            self._rebind(found, binding)
            results.update(found)
        self.steps += 1
        return results

    def model(self) -> ir.Model:
        """The model with the variables' values of now as its initializers, those of its algorithms included."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self._proto)
        for tensor in _initializers(proto):
            if tensor.name in self.variables:
                tensor.CopyFrom(ir.to_proto(ir.tensor(self.variables[tensor.name], name=tensor.name)))
        return load(proto)

    def _rebind(self, found: Mapping[str, Any], binding: Mapping[str, str]) -> None:
        after = dict(self.variables)
        for name, output in binding.items():
            old, new = self._stored[name], found[output]
            if (new.dtype, new.shape) != (old.dtype, old.shape):
                raise ExecutionError(
                    f"The output {output!r} does not fit the variable {name!r}.",
                    expected=f"{old.dtype}{list(old.shape)}",
                    found=f"{new.dtype}{list(new.shape)}",
                )
            after[name] = new
        self.variables = after  # all of them or none

    def _initialization(self, info: onnx.TrainingInfoProto) -> ir.Model:
        return load(self._with_graph(info.initialization))

    def _algorithm(self, info: onnx.TrainingInfoProto) -> ir.Model:
        """The model's graph and the algorithm behind it; the variables are inputs."""
        proto = self._with_graph(self._proto.graph)
        graph = proto.graph
        for part in _PARTS:
            getattr(graph, part).extend(getattr(info.algorithm, part))
        inputs = {value.name for value in graph.input}
        for i in reversed(range(len(graph.initializer))):
            tensor = graph.initializer[i]
            if tensor.name not in self.variables:
                continue
            if tensor.name not in inputs:
                dtype = int(dtypes.of(self.variables[tensor.name].dtype).onnx)
                graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, dtype, list(tensor.dims)))
            del graph.initializer[i]
        return load(proto)

    def _with_graph(self, graph: onnx.GraphProto) -> onnx.ModelProto:
        proto = onnx.ModelProto(ir_version=self._proto.ir_version)
        proto.opset_import.extend(self._proto.opset_import)
        proto.functions.extend(self._proto.functions)
        proto.graph.CopyFrom(graph)
        proto.graph.name = graph.name or "training"
        return proto


def _pairs(binding: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in binding}


def _initializers(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from proto.graph.initializer
    for info in proto.training_info:
        yield from info.algorithm.initializer


def _unbound(name: str, expected: str) -> ValidationError:
    return ValidationError(
        f"A binding of the training information names {name!r}.",
        code="unknown-binding",
        expected=expected,
        found="no such name",
    )
