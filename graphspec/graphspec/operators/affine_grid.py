"""AffineGrid: the sampling grid of an affine transformation. ONNX's body fails for a batch of one, hence the kernel."""

from __future__ import annotations

import numpy as np

from graphspec.operators._sizes import reasonable
from graphspec.operators._types import Array, Builder, Value
from graphspec.operators.registry import operator


@operator("AffineGrid", since=20)
def affine_grid(theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    """grid[n, p] = theta[n] @ (x, y[, z], 1) of pixel p, with coordinates from -1 to 1.

    They are those of the pixels' centres, or with ``align_corners`` those with the outermost pixels on the border.
    Shapes: theta (N, k, k+1), size (N, C, [D,] H, W); grid (N, [D,] H, W, k).  Source: Jaderberg et al. 2015.
    """
    if size.size < 2:
        raise ValueError(f"size {size.tolist()} has no batch and channels.")
    N, _, *dims = (int(n) for n in size)
    k = len(dims)
    if k not in (2, 3) or theta.shape != (N, k, k + 1):
        raise ValueError(f"theta of shape {theta.shape} does not fit size {size.tolist()}.")
    reasonable((N, *dims, k + 1), 8)
    axes = [
        2 * np.arange(d) / max(d - 1, 1) - 1 if align_corners else (2 * np.arange(d) + 1) / max(d, 1) - 1 for d in dims
    ]
    places = np.stack([c.ravel() for c in (*np.meshgrid(*axes, indexing="ij")[::-1], np.ones(dims))], axis=-1)
    wide = np.result_type(theta.dtype, np.float32)
    grid = places.astype(wide) @ theta.astype(wide).swapaxes(1, 2)
    return np.asarray(grid.reshape(N, *dims, k), dtype=theta.dtype)


@affine_grid.vjp
def affine_grid_vjp(
    op: Builder, dY: Value, Y: Value, theta: Value, size: Value, *, align_corners: int
) -> tuple[Value, None]:
    """dtheta[n] = Σ_p dY[n, p] (x, y[, z], 1)ᵀ; the coordinates are the grid of the identity."""
    k = op.dim(theta, 1)
    zeros = op.ConstantOfShape(op.Concat(k, op.dim(theta, 2), axis=0))
    identity = op.Unsqueeze(op.EyeLike(zeros, dtype=int(op.dtype(theta))), op.ints([0]))
    one_image = op.Concat(op.ints([1]), op.Slice(size, op.ints([1]), op.ints([5])), axis=0)
    grid = op.AffineGrid(identity, one_image, align_corners=align_corners)
    places = op.Reshape(grid, op.Concat(op.ints([-1]), k, axis=0))
    turned = op.Transpose(op.Reshape(dY, op.Concat(op.ints([0, -1]), k, axis=0)), perm=[0, 2, 1])
    return op.Concat(op.MatMul(turned, places), op.reduce_sum(turned, [2]), axis=2), None
