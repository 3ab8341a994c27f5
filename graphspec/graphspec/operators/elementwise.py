"""Functions of one number, applied to each element."""

from __future__ import annotations

import numpy as np

from graphspec.operators._table import unary

#     op_type        kernel        dy/dx as nodes, from output y and input x            sample domain
unary("Neg",         np.negative,  lambda op, y, x: op.scalar(-1, x),                   (-3, 3))  # fmt: skip
unary("Tanh",        np.tanh,      lambda op, y, x: op.Sub(op.scalar(1, x), op.Mul(y, y)), (-3, 3))  # fmt: skip
unary("Sin",         np.sin,       lambda op, y, x: op.Cos(x),                          (-3, 3))  # fmt: skip
unary("Cos",         np.cos,       lambda op, y, x: op.Neg(op.Sin(x)),                  (-3, 3))  # fmt: skip
unary("Exp",         np.exp,       lambda op, y, x: y,                                  (-3, 3))  # fmt: skip
