"""Fast forms of hot operators, for plans whose shapes are known.

A lowering is given a node with its static shapes, attributes and constant inputs once, and emits calls that write into
planned memory. It may decline: then the plain kernel runs. ``Session(model, optimize=False)`` runs plain kernels alone,
so that every lowering has a second implementation to be held against.
"""

from __future__ import annotations

from graphspec.runtime.lowering import elementwise, moves, products, reductions
from graphspec.runtime.steps import Lowering

LOWERINGS: dict[str, Lowering] = {
    **elementwise.LOWERINGS,
    **moves.LOWERINGS,
    **products.LOWERINGS,
    **reductions.LOWERINGS,
}
"""By op_type, all of ``ai.onnx``."""
