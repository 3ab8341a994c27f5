"""Derivatives inside of a graph that is being recorded: the service derives, and its nodes are recorded here.

Tracing is plain Python and asks nobody. Where it needs a derivative that is not at hand it stops with `Wanted`; what
drives the trace (a client that blocks, or one that awaits) fetches the derivative and traces again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphspec_client import _derivatives, _dtypes, _requests, _sources
from graphspec_client._codec import decode
from graphspec_client._exceptions import TraceError
from graphspec_client._requests import Flow, T
from graphspec_client._values import OPSET, Node, Value, common_client, constant

KEPT = 256  # derivatives at hand, the least recently used leaves first


@dataclasses.dataclass(frozen=True, slots=True)
class Derivative:
    """Which derivative of which graph.

    Attributes:
        document: The graph.
        transform: ``"grad"``, ``"vjp"``, ``"jvp"`` or ``"hvp"``.
        of: The outputs to differentiate.
        wrt: The inputs to differentiate with respect to.
    """

    document: Mapping[str, Any]
    transform: str
    of: tuple[str, ...]
    wrt: tuple[str, ...]

    @property
    def key(self) -> bytes:
        """The same for equal derivatives of equal graphs."""
        said = {"graph": self.document, "transform": self.transform, "of": self.of, "wrt": self.wrt}
        return hashlib.sha256(_sources.json_bytes(said)).digest()


class Wanted(BaseException):
    """A trace cannot go on without this derivative; no error, and not to be caught by the code that is traced."""

    def __init__(self, derivative: Derivative) -> None:
        super().__init__("a derivative is wanted")
        self.derivative = derivative


_kept: OrderedDict[bytes, dict[str, Any]] = OrderedDict()
_lock = threading.Lock()


def document_of(derivative: Derivative) -> dict[str, Any]:
    """The derivative's graph.

    Raises:
        Wanted: It is not at hand.
    """
    with _lock:
        found = _kept.get(derivative.key)
        if found is None:
            raise Wanted(derivative)
        _kept.move_to_end(derivative.key)
        return found


def tracing(client: Any, trace: Callable[[], T]) -> Flow[T]:
    """What ``trace`` gives, with the derivatives that it wants fetched by the way."""
    while True:
        try:
            return trace()
        except Wanted as wanted:
            derivative = wanted.derivative
        stored = yield from _requests.store(client, derivative.document)
        of = list(derivative.of) if len(derivative.of) > 1 else derivative.of[0]
        made = yield from _derivatives.derive(stored, derivative.transform, of=of, wrt=list(derivative.wrt))
        document = yield from _requests.document(made)
        with _lock:
            _kept[derivative.key] = document
            while len(_kept) > KEPT:
                _kept.popitem(last=False)


def inline(document: Mapping[str, Any], given: Sequence[Value], like: Sequence[Value]) -> list[Value]:
    """Record the nodes of a document once more, on other inputs.

    Args:
        document: A graph that the service derived.
        given: The values for its inputs, in order.
        like: For each of its outputs, in order, a value of the same dtype and shape.

    Raises:
        TraceError: The graph has another opset, or bodies of control flow.
    """
    opsets = document["opset"] if isinstance(document["opset"], dict) else {"": document["opset"]}
    if opsets.get("", OPSET) != OPSET:
        raise TraceError(
            f"The derivative is a graph of opset {opsets['']}, and one of opset {OPSET} is being traced: call it "
            "outside."
        )
    known = dict(zip(document["inputs"], given, strict=True))
    for name, tensor in document.get("parameters", {}).items():
        array = decode(tensor)
        known[name] = constant(array, _dtypes.wire_name(array.dtype))
    said = document.get("value_info", {})
    functions = tuple(document.get("functions", ()))
    for entry in document["nodes"]:
        if any(_is_body(value) for value in (entry.get("attributes") or {}).values()):
            raise TraceError(
                f"The derivative has a node {entry['op']} with a body, which cannot become a part of another trace: "
                "call it outside."
            )
        inputs = tuple(known[name] if name else None for name in entry.get("inputs", ()))
        _record(entry, inputs, functions, known, said)
    outputs = document["outputs"]
    listed = list(outputs) if isinstance(outputs, dict) else [o if isinstance(o, str) else o["name"] for o in outputs]
    found = [known[name] for name in listed]
    for value, other in zip(found, like, strict=True):
        if value.kind == "node":
            value.dtype, value.shape = other.dtype, other.shape
            value.requires_grad = _dtypes.is_float(other.dtype) and value.requires_grad
    return found


def _record(
    entry: Mapping[str, Any],
    inputs: tuple[Value | None, ...],
    functions: tuple[Mapping[str, Any], ...],
    known: dict[str, Value],
    said: Mapping[str, Any],
) -> None:
    values = [value for value in inputs if value is not None]
    node = Node(
        entry["op"], inputs, dict(entry.get("attributes") or {}), entry.get("domain", ""),
        functions=functions if entry.get("domain") else (), overload=entry.get("overload", ""),
        where="a derivative",
    )  # fmt: skip
    symbolic, flows = any(v.symbolic for v in values), any(v.requires_grad for v in values)
    made = []
    for name in entry["outputs"]:
        dtype = said.get(name, {}).get("dtype", "float32")
        made.append(
            Value(dtype, None, "node", node=node, client=common_client(values), symbolic=symbolic, requires_grad=flows)
        )
        if name:
            known[name] = made[-1]
    node.outputs = tuple(made)


def _is_body(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_body, value))
    return isinstance(value, dict) and ("nodes" in value or _is_body(value.get("value")))
