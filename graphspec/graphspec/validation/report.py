"""What validation hands back: every problem found, and what is known of every value."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from graphspec.errors import Problem, Severity, ValidationError

Kind = Literal["input", "parameter", "intermediate"]
#: Every code that a report may hold; docs/validation.md explains them.
Code = Literal[
    "cycle",
    "undefined-value",
    "duplicate-value",
    "duplicate-name",
    "invalid-name",
    "not-sorted",
    "unused-input",
    "unused-parameter",
    "unused-node",
    "unknown-operator",
    "operator-not-in-opset",
    "missing-function",
    "no-opset-import",
    "unsupported-opset",
    "unsupported-ir-version",
    "wrong-number-of-inputs",
    "wrong-number-of-outputs",
    "missing-input",
    "missing-output",
    "unknown-attribute",
    "missing-attribute",
    "attribute-kind",
    "attribute-value",
    "attribute-reference",
    "dtype-mismatch",
    "shape-mismatch",
    "output-contradicted",
    "missing-type",
    "missing-shape",
    "invalid-dtype",
    "negative-dimension",
    "raw-data-length",
    "data-length",
    "external-data",
    "no-outputs",
    "function-recursion",
    "too-deep",
    "limit",
    "inference",
    "onnx-checker",
    "unexpected",
]
Shape = tuple[int | str | None, ...]

# Comparisons spent on spelling hints per report: a graph of 10,000 wrong names must not cost 10,000² of them.
_HINT_BUDGET = 100_000


class ValueInfo(NamedTuple):
    """What is known of one value before anything runs.

    Attributes:
        dtype: Name of the element type (``"float32"``), ``"sequence(float32)"`` and the like for what is not a
            tensor, or ``None`` when nothing is known.
        shape: Sizes; a string is a symbolic dimension, ``None`` an unknown one. ``None`` when the rank is unknown.
        kind: Data of a call, a trained value, or a value computed from these.
    """

    dtype: str | None
    shape: Shape | None
    kind: Kind

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"dtype": self.dtype, "shape": None if self.shape is None else list(self.shape), "kind": self.kind}


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """The result of ``validate``.

    Attributes:
        problems: Every finding, errors and warnings: names and nodes first, then types, then what is not used.
        values: What is known of the inputs, parameters and intermediate values of the main graph, by name.
    """

    problems: tuple[Problem, ...]
    values: Mapping[str, ValueInfo]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make the graph unusable."""
        return tuple(p for p in self.problems if p.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that do not."""
        return tuple(p for p in self.problems if p.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether the graph is free of errors."""
        return not self.errors

    def raise_for_errors(self) -> None:
        """Do nothing for a graph without errors.

        Raises:
            ValidationError: The graph has errors; it carries all of them.
        """
        if errors := self.errors:
            raise ValidationError(problems=errors)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "valid": self.ok,
            "problems": [p.to_dict() for p in self.problems],
            "values": {name: info.to_dict() for name, info in self.values.items()},
        }


class Findings:
    """Collects problems; the same code at the same place is kept once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._seen: set[tuple[str, str]] = set()
        self._budget = _HINT_BUDGET
        self.errors = 0

    def add(
        self,
        code: Code,
        path: str,
        message: str,
        *,
        severity: Severity = "error",
        node: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        hint: str | None = None,
    ) -> None:
        """Note one problem; see ``Problem`` for the fields."""
        if (code, path) in self._seen:
            return
        self._seen.add((code, path))
        self.errors += severity == "error"
        self.problems.append(
            Problem(code, message, severity, path, node=node or None, expected=expected, found=found, hint=hint)
        )

    def nearest(self, name: str, names: Collection[str]) -> str | None:
        """The known name most like ``name``, as a hint; ``None`` if there is none or too much was spent already."""
        if len(names) > self._budget:
            return None
        self._budget -= len(names)
        candidates = [n for n in names if n and n != name and abs(len(n) - len(name)) <= max(3, len(name) // 2)]
        match = closest(name, candidates)
        return None if match is None else f"Did you mean {match!r}?"


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like ``name``, capitals aside, or ``None`` when none is near."""
    by_fold: dict[str, str] = {}
    for candidate in candidates:
        by_fold.setdefault(candidate.casefold(), candidate)
    matches = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.6)
    return by_fold[matches[0]] if matches else None


def pointer(text: str) -> str:
    """One reference token of a JSON pointer (RFC 6901)."""
    return text.replace("~", "~0").replace("/", "~1")
