"""Rules that need the rank of an input say so where it is not known."""

from __future__ import annotations

from graphspec.errors import NoGradientRule
from graphspec.operators._types import Builder, Value


def known_rank(op: Builder, x: Value, op_type: str) -> int:
    """The rank of ``x``.

    Raises:
        NoGradientRule: It is not known, and the rule of ``op_type`` cannot do without.
    """
    rank = op.rank(x)
    if rank is None:
        raise NoGradientRule(
            f"{op_type} cannot be differentiated where the rank of {x.name!r} is unknown.",
            hint="Declare the shape of the value, at least with symbolic dimensions.",
        )
    return rank
