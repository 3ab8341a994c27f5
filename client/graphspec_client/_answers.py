"""What comes back: arrays by name, descriptions of values, reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from graphspec_client._codec import Array, decode
from graphspec_client._exceptions import InvalidGraph, Problem, ProtocolError

GROUPS = ("outputs", "gradients", "vjp", "jvp", "hvp")


class Answer(dict[str, Array]):
    """Arrays by name: those asked for, with all that came along as attributes.

    ``model.run(...)["y"]`` is an output; ``model.grad(...)["w"]`` is a gradient, and ``.outputs`` has the values that
    were computed on the way.

    Attributes:
        outputs: The outputs, or the values fetched.
        gradients: The gradients by the names of ``wrt``; empty where none were asked for.
        vjp: The vector-Jacobian products by the names of ``wrt``; empty where none were asked for.
        jvp: The Jacobian-vector products by the names of ``of``; empty where none were asked for.
        hvp: The products of the Hessian with a vector by the names of ``wrt``; empty where none were asked for.
    """

    def __init__(
        self,
        wanted: str,
        *,
        outputs: Mapping[str, Array] | None = None,
        gradients: Mapping[str, Array] | None = None,
        vjp: Mapping[str, Array] | None = None,
        jvp: Mapping[str, Array] | None = None,
        hvp: Mapping[str, Array] | None = None,
    ) -> None:
        self.outputs: dict[str, Array] = dict(outputs or {})
        self.gradients: dict[str, Array] = dict(gradients or {})
        self.vjp: dict[str, Array] = dict(vjp or {})
        self.jvp: dict[str, Array] = dict(jvp or {})
        self.hvp: dict[str, Array] = dict(hvp or {})
        super().__init__(getattr(self, wanted))

    @classmethod
    def from_json(cls, body: Any, wanted: str) -> Answer:
        """The answer in the body of a reply.

        Raises:
            ProtocolError: It is none.
        """
        try:
            groups = {
                group: {name: decode(tensor) for name, tensor in body[group].items()}
                for group in GROUPS
                if group in body
            }
        except (AttributeError, TypeError) as error:
            raise ProtocolError(f"The answer cannot be read: {error}") from None
        return cls.from_groups(groups, wanted)

    @classmethod
    def from_groups(cls, groups: Mapping[str, Mapping[str, Array]], wanted: str) -> Answer:
        """The answer in the arrays of a reply.

        Raises:
            ProtocolError: They are not those that were asked for.
        """
        if wanted not in groups:
            raise ProtocolError(f"The answer has no {wanted!r}.")
        return cls(wanted, **{group: groups[group] for group in GROUPS if group in groups})


class Matrices(dict[str, dict[str, Array]]):
    """Whole Jacobians, or the parts of a Hessian, by two names: ``model.jacobian(...)["y"]["x"]``.

    Attributes:
        outputs: The outputs, or the values fetched.
    """

    def __init__(self, matrices: Mapping[str, Mapping[str, Array]], outputs: Mapping[str, Array]) -> None:
        self.outputs: dict[str, Array] = dict(outputs)
        super().__init__({y: dict(parts) for y, parts in matrices.items()})

    @classmethod
    def from_json(cls, body: Any, wanted: str) -> Matrices:
        """The matrices in the body of a reply.

        Raises:
            ProtocolError: It has none.
        """
        try:
            matrices = {y: {x: decode(part) for x, part in parts.items()} for y, parts in body[wanted].items()}
            return cls(matrices, {name: decode(tensor) for name, tensor in body["outputs"].items()})
        except (AttributeError, KeyError, TypeError) as error:
            raise ProtocolError(f"The answer cannot be read: {error!r}") from None

    @classmethod
    def from_groups(
        cls, groups: Mapping[str, Mapping[str, Array]], wanted: str, of: Sequence[str], wrt: Sequence[str]
    ) -> Matrices:
        """The matrices in the arrays of a reply, where they are called ``y/x``.

        Raises:
            ProtocolError: They are not those that were asked for.
        """
        found = groups.get(wanted, {})
        try:
            return cls({y: {x: found[f"{y}/{x}"] for x in wrt} for y in of}, groups.get("outputs", {}))
        except KeyError as error:
            raise ProtocolError(f"The answer has no {wanted} {error}.") from None


@dataclasses.dataclass(frozen=True, slots=True)
class ValueInfo:
    """What is known of a value without running the graph.

    Attributes:
        dtype: The name of the element type, or ``None`` if it is not known.
        shape: Sizes, symbols and ``None`` for unknown sizes; ``None`` if not even the rank is known.
        kind: ``"input"``, ``"parameter"``, ``"intermediate"`` or ``"output"``.
    """

    dtype: str | None
    shape: tuple[int | str | None, ...] | None
    kind: str = "intermediate"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], kind: str) -> ValueInfo:
        """The information in a part of an answer."""
        shape = data.get("shape")
        return cls(data.get("dtype"), None if shape is None else tuple(shape), str(data.get("kind") or kind))


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What the service finds in a graph.

    Attributes:
        ok: Whether the graph is valid; warnings do not hurt.
        problems: Every finding.
        values: What is inferred of every value, by name.
    """

    ok: bool
    problems: tuple[Problem, ...]
    values: dict[str, ValueInfo]

    @classmethod
    def from_json(cls, body: Any) -> Report:
        """The report in the body of a reply.

        Raises:
            ProtocolError: It is none.
        """
        try:
            problems = tuple(Problem.from_dict(problem) for problem in body["problems"])
            values = {name: ValueInfo.from_dict(info, "intermediate") for name, info in body["values"].items()}
            return cls(bool(body["valid"]), problems, values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ProtocolError(f"The report cannot be read: {error!r}") from None

    def raise_for_errors(self) -> None:
        """Raise `InvalidGraph` with all problems if the graph is not valid."""
        if not self.ok:
            text = "\n  ".join(["The graph is not valid.", *map(str, self.problems)])
            raise InvalidGraph(text, problems=self.problems, code="invalid-graph")


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """What the service says of a stored graph.

    Attributes:
        id: The SHA-256 of the canonical graph.
        name: Its name.
        inputs: The values that a run must be given.
        parameters: The values that the graph brings along; a run may override them.
        outputs: The values that a run gives.
        opset: The version of ONNX's operators.
        nodes: How many nodes the graph has.
        bytes: Its size as ONNX.
    """

    id: str
    name: str
    inputs: dict[str, ValueInfo]
    parameters: dict[str, ValueInfo]
    outputs: dict[str, ValueInfo]
    opset: int
    nodes: int
    bytes: int

    @classmethod
    def from_json(cls, body: Any) -> Description:
        """The description in the body of a reply.

        Raises:
            ProtocolError: It is none.
        """
        try:
            inputs, parameters, outputs = (
                {name: ValueInfo.from_dict(info, kind) for name, info in body[f"{kind}s"].items()}
                for kind in ("input", "parameter", "output")
            )
            opset, nodes, size = (int(body.get(key) or 0) for key in ("opset", "nodes", "bytes"))
            return cls(str(body["id"]), str(body.get("name") or ""), inputs, parameters, outputs, opset, nodes, size)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ProtocolError(f"The description cannot be read: {error!r}") from None
