"""One sample: an operator, inputs to call it with, attributes, and what is checked of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Floats:
    """A floating-point input, drawn uniformly when the test runs.

    Attributes:
        shape: Its shape.
        low, high: The open interval to draw from; keep it off kinks and poles.
        apart: Draw distinct values at least ``(high-low)/(2*size)`` apart (for max, sort: no ties near).
    """

    shape: tuple[int, ...]
    low: float = -3.0
    high: float = 3.0
    apart: bool = False

    def draw(self, rng: np.random.Generator, dtype: Any) -> np.ndarray:
        size = int(np.prod(self.shape))
        if self.apart and size:
            step = (self.high - self.low) / size
            grid = self.low + step * (np.arange(size) + rng.uniform(0.25, 0.75, size))
            return rng.permutation(grid).reshape(self.shape).astype(dtype)
        return np.asarray(rng.uniform(self.low, self.high, self.shape), dtype=dtype)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One call of one operator.

    Attributes:
        op_type: ONNX's name.
        inputs: Per input a ``Floats``, an array taken as it is (indices, axes, shapes), or ``None`` (left out).
        attributes: Attributes by name.
        id: Tells samples of one operator apart in test names.
        opset: Version of ``domain``.
        domain: ``""`` is ai.onnx.
        outputs: How many outputs the node has.
        of: Outputs to differentiate; ``()`` when the operator has a zero derivative or none.
        wrt: Inputs to differentiate; all ``Floats`` by default.
        order: 2 checks the derivative of the derivative too; 1 needs a reason beside it.
        forward: Whether another runtime can check the value (False for random generators, with a reason).
        zero: The derivative must be exactly zero.
        narrow: The schema takes float32 but no float64.
    """

    op_type: str
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    id: str = ""
    opset: int = 23
    domain: str = ""
    outputs: int = 1
    of: tuple[int, ...] = (0,)
    wrt: tuple[int, ...] | None = None
    order: int = 2
    forward: bool = True
    zero: bool = False
    narrow: bool = False

    @property
    def label(self) -> str:
        return f"{self.op_type}-{self.id}" if self.id else f"{self.op_type}-{self.opset}"
