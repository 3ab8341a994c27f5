"""Samples of the functions of one number; those of the table are drawn from its own domains."""

from __future__ import annotations

import numpy as np

from graphspec.operators import registry
from samples.sample import Floats, Sample

SMOOTH = (
    "Exp", "Log", "Sqrt", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Tanh", "Asinh", "Acosh",
    "Atanh", "Erf",
)  # fmt: skip


def _drawn(op_type: str, shape: tuple[int, ...]) -> Floats:
    entry = registry.find(op_type, "", 23)
    assert entry is not None
    return Floats(shape, *entry.domains)


SAMPLES = [
    *(Sample(op_type, (_drawn(op_type, (2, 3)),), id="matrix") for op_type in SMOOTH),
    *(Sample(op_type, (_drawn(op_type, ()),), id="scalar") for op_type in SMOOTH),
    *(Sample(op_type, (_drawn(op_type, (0, 2)),), id="empty") for op_type in SMOOTH),
    *(Sample(op_type, (_drawn(op_type, (3,)),), id="opset-9", opset=9) for op_type in SMOOTH),
    *(Sample(op_type, (Floats((2, 3), 0.1, 0.4),), id="matrix", zero=True) for op_type in ("Floor", "Ceil", "Round")),
    *(Sample(op_type, (Floats((), -0.9, -0.6),), id="scalar", zero=True) for op_type in ("Floor", "Ceil", "Round")),
    Sample("Round", (np.array([0.5, 1.5, -2.5, 2.4]),), id="halves", of=()),
]
