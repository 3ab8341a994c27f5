"""Every error of the library, in one tree; nothing here knows of HTTP.

::

    GraphSpecError                 anything that GraphSpec refuses; carries ``problems``
    ├── LoadError                  the source is not a graph that can be read (bytes, JSON, text)
    ├── ValidationError            the graph breaks a rule of ONNX
    ├── FeedError                  feeds or fetches do not fit the graph
    ├── UnsupportedError           an operator, version or type without a kernel
    ├── ExecutionError             a kernel refused its values at run time
    ├── LimitError                 a limit on size, nesting or work was reached
    └── DifferentiationError       a derivative was asked for that does not exist
        ├── NotDifferentiable      by mathematics or by the graph: integers, values not connected, no scalar
        └── NoGradientRule         by us: the rule is not written yet
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

Severity = Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One finding: what is wrong, where, and what to do about it.

    Attributes:
        code: The rule that was broken, in kebab case (``"shape-mismatch"``); stable, for programs.
        message: One sentence for people.
        severity: ``"error"`` makes the graph unusable; ``"warning"`` does not.
        path: JSON pointer (RFC 6901) into the document, ``""`` when the whole is meant.
        node: Name of the node concerned, or ``None``.
        expected: What the rule asks for, as text.
        found: What is there instead, as text.
        hint: What to do, or ``None``.
        input: Name of the node's input concerned, or of the value asked for, or ``None``.
        route: For a derivative: the names of what lies between ``wrt`` and ``of``, this node among them, or ``None``.
    """

    code: str
    message: str
    severity: Severity = "error"
    path: str = ""
    node: str | None = None
    expected: str | None = None
    found: str | None = None
    hint: str | None = None
    input: str | None = None
    route: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The problem as plain JSON data; fields that are ``None`` are left out."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    def __str__(self) -> str:
        text = self.message
        sides = [f"{word} {side}" for word, side in (("expected", self.expected), ("found", self.found)) if side]
        if sides:
            text += f" ({', '.join(sides)})"
        if self.hint:
            text += f" {self.hint}"
        return f"{self.path or '/'}: [{self.code}] {text}"


class GraphSpecError(Exception):
    """Base of all errors of GraphSpec.

    Args:
        message: One sentence; by default the first problem's.
        problems: Every finding that led to the refusal; one made of ``message`` if none is given.
        **where: Fields of that one ``Problem``: ``code``, ``path``, ``node``, ``expected``, ``found``, ``hint``,
            ``input``, ``route``.
    """

    code = "error"

    def __init__(self, message: str | None = None, problems: Iterable[Problem] = (), **where: Any) -> None:
        found = tuple(problems)
        if not found:
            found = (Problem(message=message or "", **{"code": self.code, **where}),)
        self.problems: tuple[Problem, ...] = found
        if message is None:
            rest = len(found) - 1
            message = str(found[0]) + (f" (and {rest} more)" if rest else "")
        self.message = message
        super().__init__(message)


class LoadError(GraphSpecError):
    """The source cannot be read as a graph."""

    code = "load"


class ValidationError(GraphSpecError):
    """The graph breaks at least one rule; ``problems`` lists all that were found."""

    code = "invalid-graph"


class FeedError(GraphSpecError):
    """Feeds or fetches do not fit the graph's inputs and values."""

    code = "invalid-feed"


class UnsupportedError(GraphSpecError):
    """No kernel for an operator, a version of it, or a type."""

    code = "unsupported"


class ExecutionError(GraphSpecError):
    """A kernel refused its values; the problem names the node."""

    code = "execution"


class LimitError(GraphSpecError):
    """A limit on size, nesting or work was reached."""

    code = "limit"


class DifferentiationError(GraphSpecError):
    """A derivative was asked for that does not exist."""

    code = "differentiation"


class NotDifferentiable(DifferentiationError):  # noqa: N818 - reads as the reason
    """The derivative does not exist by mathematics or by the graph."""

    code = "not-differentiable"


class NoGradientRule(DifferentiationError):  # noqa: N818 - reads as the reason
    """The derivative exists, but its rule is not written yet."""

    code = "no-gradient-rule"
