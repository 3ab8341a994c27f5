"""The registry: one entry per operator and version, each with its kernel and its derivative.

A family file fills it by rows. A kernel's signature is the ONNX schema: inputs positional under their ONNX names,
attributes keyword-only with ONNX's defaults. A derivative is one of three words: a rule, ``ZERO``, or nothing,
which means "not yet".
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx

Array = npt.NDArray[Any]
Kernel = Callable[..., Any]
Rule = Callable[..., Any]


class Zero(enum.Enum):
    """The type of ``ZERO``, so that type checkers can tell it from a rule."""

    ZERO = "zero"


ZERO: Final = Zero.ZERO
"""The derivative is zero almost everywhere (Floor, comparisons, Shape ...), or this input does not move the output."""


class Operator:
    """One operator from one version on: kernel, derivative, and where tests may sample it.

    Attributes:
        op_type: ONNX's name.
        domain: ONNX's domain; ``""`` is ``ai.onnx``.
        since: First opset version that this entry holds for; a later entry of the same name takes over from its own.
        kernel: The NumPy function. It returns one array, or a tuple where the schema has several outputs.
        rule: The vjp rule, ``ZERO``, or ``None`` for "not yet" (or "through the function body").
        all_outputs: The rule takes tuples of cotangents and outputs, not those of the first output alone.
        attributes: Keyword-only arguments of the kernel with their defaults.
        through_subgraphs: The derivative is that of the operator's subgraphs, or of a subgraph that replaces it, or of
            the tensors that it moves into and out of sequences: the transforms make it, without a rule here.
        wants_outputs: The kernel takes ``outputs``, the number of outputs the node asks for.
        domains: Open interval to sample each floating input from in tests.
    """

    __slots__ = (
        "all_outputs", "attributes", "domain", "domains", "kernel", "op_type", "rule", "since",
        "through_subgraphs", "wants_outputs",
    )  # fmt: skip

    def __init__(self, op_type: str, since: int, kernel: Kernel, *, domain: str = "") -> None:
        self.op_type = op_type
        self.domain = domain
        self.since = since
        self.kernel = kernel
        self.rule: Rule | Zero | None = None
        self.all_outputs = False
        self.through_subgraphs = False
        keywords = [p for p in _parameters(kernel) if p.kind is p.KEYWORD_ONLY]
        self.wants_outputs = any(p.name == "outputs" for p in keywords)
        self.attributes = {p.name: None if p.default is p.empty else p.default for p in keywords if p.name != "outputs"}
        self.domains: tuple[float, float] = (-3.0, 3.0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the kernel, so that a decorated function stays a function."""
        return self.kernel(*args, **kwargs)

    def vjp(self, rule: Rule) -> Rule:
        """Attach a rule ``(op, dY, Y, *inputs, **attributes)`` for the first output; a decorator.

        It returns one entry per input: the cotangent as a ``Value``, ``ZERO``, or ``None`` for "not yet" (and for
        inputs that are not floating point). A cotangent of any further output raises ``NoGradientRule``.
        """
        self.rule = rule
        return rule

    def vjp_all(self, rule: Rule) -> Rule:
        """Attach a rule that takes tuples ``dY`` and ``Y``, one entry per output; absent cotangents are ``None``."""
        self.rule = rule
        self.all_outputs = True
        return rule

    def __repr__(self) -> str:
        return f"{self.domain or 'ai.onnx'}::{self.op_type}-{self.since}"


def _parameters(kernel: Kernel) -> list[inspect.Parameter]:
    if isinstance(kernel, np.ufunc):  # its keywords (where, out ...) are NumPy's, not attributes
        return []
    return list(inspect.signature(kernel).parameters.values())


_REGISTRY: dict[tuple[str, str], list[Operator]] = {}


def register(entry: Operator) -> Operator:
    """Add an entry; two entries of one operator and version are a mistake."""
    entries = _REGISTRY.setdefault((entry.domain, entry.op_type), [])
    if any(e.since == entry.since for e in entries):
        raise ValueError(f"{entry!r} is registered twice.")
    entries.append(entry)
    entries.sort(key=lambda e: e.since)
    return entry


def operator(
    op_type: str, *, since: int = 1, domain: str = "", rule: Rule | Zero | None = None,
    domains: tuple[float, float] = (-3.0, 3.0), through_subgraphs: bool = False,
) -> Callable[[Kernel], Operator]:  # fmt: skip
    """Register the decorated function as the kernel of ``op_type`` from opset ``since`` on."""

    def wrap(kernel: Kernel) -> Operator:
        entry = Operator(op_type, since, kernel, domain=domain)
        entry.rule = rule
        entry.domains = domains
        entry.through_subgraphs = through_subgraphs
        return register(entry)

    return wrap


def find(op_type: str, domain: str, opset: int) -> Operator | None:
    """The entry that holds for an operator at an opset version; ``None`` if there is none.

    The version that counts is that of the schema in force, so an entry for 13 also serves a model of opset 17 whose
    operator last changed at 13.
    """
    domain = "" if domain == "ai.onnx" else domain
    entries = _REGISTRY.get((domain, op_type))
    if not entries:
        return None
    version = _version(op_type, domain, opset)
    return next((e for e in reversed(entries) if e.since <= version), None)


@functools.lru_cache(1 << 12)
def _version(op_type: str, domain: str, opset: int) -> int:
    """That of the schema in force; the opset's own where there is none."""
    if not onnx.defs.has(op_type, opset, domain):
        return opset
    version: int = onnx.defs.get_schema(op_type, opset, domain).since_version
    return version


def entries() -> list[Operator]:
    """All entries, by domain, name and version."""
    return [e for key in sorted(_REGISTRY) for e in _REGISTRY[key]]
