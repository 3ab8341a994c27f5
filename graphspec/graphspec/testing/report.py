"""What a check of derivatives found: comparisons, the worst of them, and the errors that show one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

Kind = Literal["reverse", "second order", "forward", "onnxruntime"]

_SIDES: dict[Kind, tuple[str, str]] = {
    "reverse": ("from values", "from the derived model"),
    "second order": ("from first derivatives", "from the derived model"),
    "forward": ("by reverse mode", "by forward mode"),
    "onnxruntime": ("by NumPy", "by ONNX Runtime"),
}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One derivative, computed twice.

    Attributes:
        kind: What was held against what: ``"reverse"`` mode against differences of the values, ``"second order"``
            against differences of first derivatives, ``"forward"`` mode against reverse mode, or the derived model on
            ``"onnxruntime"`` against the same model on NumPy.
        value: The value differentiated with respect to, or (``"onnxruntime"``) the result compared.
        of: What is differentiated, weighted by a random cotangent.
        index: The element of ``value``; ``None`` for a direction through all of its elements.
        where: The element or direction in words.
        expected: The derivative from the values (or the other side that is trusted).
        found: The derivative from the derived model.
        deviation: Their distance, relative to the size of the derivative.
    """

    kind: Kind
    value: str
    of: str
    index: tuple[int, ...] | None
    where: str
    expected: float
    found: float
    deviation: float

    def __str__(self) -> str:
        left, right = _SIDES[self.kind]
        return (
            f"{self.kind}, d({self.of})/d({self.value}), {self.where}: expected {self.expected:.12g} ({left}), "
            f"found {self.found:.12g} ({right}), deviation {self.deviation:.2g}"
        )


class DerivativeMismatchError(AssertionError):
    """A derivative is wrong; the message names the worst element.

    Args:
        message: What differs.
        comparison: The worst element of the value concerned, where there are numbers to compare.
    """

    def __init__(self, message: str, comparison: Comparison | None = None) -> None:
        super().__init__(message)
        self.comparison = comparison


class KinkError(DerivativeMismatchError):
    """The values are not smooth where they were asked for, so that they cannot tell whether a derivative is right."""


@dataclasses.dataclass(frozen=True)
class DerivativeReport:
    """What was checked, and how close it came; ``print`` shows it.

    Attributes:
        counts: Number of comparisons of each kind.
        closest: For each kind, the comparison with the largest deviation.
        left_out: What was not checked, each with its reason.
        zeros: Values whose derivative is zero there, as the values say too.
        rtol: The largest deviation that was allowed in float64.
    """

    counts: Mapping[Kind, int]
    closest: Mapping[Kind, Comparison]
    left_out: Sequence[str]
    zeros: Sequence[str]
    rtol: float

    @property
    def checks(self) -> int:
        """Number of comparisons."""
        return sum(self.counts.values())

    @property
    def comparison(self) -> Comparison | None:
        """The comparison in float64 with the largest deviation; ``None`` where there is nothing to compare."""
        exact = [c for c in self.closest.values() if c.kind != "onnxruntime"]
        return max(exact, key=lambda c: c.deviation, default=None)

    @property
    def worst(self) -> float:
        """Its deviation."""
        return self.comparison.deviation if self.comparison else 0.0

    @property
    def where(self) -> str:
        """Its place in words."""
        return str(self.comparison or "")

    def __str__(self) -> str:
        lines = [f"{self.checks} derivatives compared; allowed deviation {self.rtol:g}"]
        lines += [f"  {self.counts[kind]} × {self.closest[kind]}" for kind in self.counts]
        lines += [f"  zero: {name}" for name in self.zeros]
        lines += [f"  left out: {reason}" for reason in self.left_out]
        return "\n".join(lines)
