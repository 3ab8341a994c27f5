"""Samples of matrix products, Einsum, determinants and triangles."""

from __future__ import annotations

import numpy as np

from samples.sample import Floats, Sample

F = Floats
UINT8 = np.arange(6, dtype=np.uint8)


def _matmul(a: tuple[int, ...], b: tuple[int, ...]) -> Sample:
    return Sample("MatMul", (F(a), F(b)), id=f"{'x'.join(map(str, a))}-by-{'x'.join(map(str, b))}")


def _einsum(equation: str, *shapes: tuple[int, ...], id: str = "") -> Sample:
    return Sample("Einsum", tuple(F(s) for s in shapes), {"equation": equation}, id=id or equation.replace(" ", "_"))


SAMPLES = [
    _matmul((2, 3), (3, 4)),
    _matmul((3,), (3,)),
    _matmul((3,), (3, 2)),
    _matmul((2, 3), (3,)),
    _matmul((3,), (2, 3, 4)),
    _matmul((2, 4, 3), (3,)),
    _matmul((5, 2, 3), (3, 4)),
    _matmul((2, 3), (5, 3, 2)),
    _matmul((2, 1, 2, 3), (3, 3, 2)),
    _matmul((2, 2, 3), (2, 3, 2)),
    _matmul((1, 1), (1, 1)),
    _matmul((2, 0), (0, 3)),
    _matmul((0, 2, 3), (3, 2)),
    Sample("MatMul", (np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)), id="int64", of=()),
    Sample("MatMul", (F((2, 3)), F((3, 2))), id="opset9", opset=9, of=()),
    Sample("MatMulInteger", (UINT8.reshape(2, 3), UINT8.reshape(3, 2)), of=()),
    Sample(
        "MatMulInteger",
        (
            UINT8.reshape(2, 3), UINT8.reshape(3, 2),
            np.uint8(3), np.array([1, 2], np.uint8),
        ),
        id="zero-points", of=(),
    ),
    *(
        Sample(
            "Gemm",
            (F((3, 2) if ta else (2, 3)), F((4, 3) if tb else (3, 4)), F((4,))),
            {"transA": ta, "transB": tb, "alpha": 0.5, "beta": 0.25},
            id=f"trans{ta}{tb}",
        )
        for ta in (0, 1)
        for tb in (0, 1)
    ),
    Sample("Gemm", (F((2, 3)), F((3, 4))), id="no-C"),
    Sample("Gemm", (F((2, 3)), F((3, 4)), F((2, 4))), {"beta": 1.0, "alpha": 2.0}, id="full-C"),
    Sample("Gemm", (F((2, 3)), F((3, 4)), F((2, 1))), id="column-C"),
    Sample("Gemm", (F((2, 3)), F((3, 4)), F(())), {"beta": 3.0}, id="scalar-C"),
    Sample("Gemm", (F((2, 3)), F((3, 4)), F((4,))), {"transB": 0}, id="opset9", opset=9, of=()),
    Sample("Gemm", (F((2, 3)), F((4, 3)), F((4,))), {"transB": 1, "broadcast": 1}, id="opset6", opset=6, of=(),
           forward=False),
    _einsum("ij,jk->ik", (2, 3), (3, 4)),
    _einsum("ij, jk", (2, 3), (3, 4), id="implicit-spaces"),
    _einsum("ij->ji", (2, 3)),
    _einsum("ij->", (2, 3)),
    _einsum("ij->i", (2, 3)),
    _einsum("ii->i", (3, 3)),
    _einsum("ii", (3, 3), id="trace"),
    _einsum("iij->ji", (2, 2, 3)),
    _einsum("iiji->j", (2, 2, 3, 2)),
    _einsum("i,j->ij", (2,), (3,)),
    _einsum("i,i", (3,), (3,), id="inner"),
    _einsum("i,j->i", (2,), (3,)),
    _einsum("Ab,bC->AC", (2, 3), (3, 2)),
    _einsum("bA,Ab", (2, 3), (3, 2), id="upper-implicit"),
    _einsum("...ij,...jk->...ik", (2, 2, 3), (2, 3, 2), id="ellipsis"),
    _einsum("...ij,jk->...ik", (2, 2, 3), (3, 2), id="ellipsis-one-sided"),
    _einsum("...ii->...i", (2, 3, 3), id="batch-diagonal"),
    _einsum("i...->...", (2, 3), id="ellipsis-sum"),
    _einsum("ij,jk,kl->il", (2, 3), (3, 2), (2, 4)),
    _einsum(",ij->ij", (), (2, 3), id="scalar-first"),
    _einsum("ij,ij->", (2, 3), (2, 3)),
    Sample("Det", (F((3, 3)),), id="3x3"),
    Sample("Det", (F((2, 2, 2)),), id="batch"),
    Sample("Det", (F((1, 1)),), id="1x1"),
    Sample("Det", (np.array([[1.0, 2.0], [2.0, 4.0]]),), id="singular", wrt=(0,)),
    Sample("Det", (np.zeros((3, 3)),), id="zero", wrt=(0,)),
    Sample("Det", (F((2, 1, 3, 3)),), id="batch-4d"),
    Sample("Trilu", (F((3, 4)),), id="upper"),
    Sample("Trilu", (F((3, 4)),), {"upper": 0}, id="lower"),
    Sample("Trilu", (F((2, 3, 3)), np.array(1)), id="k1"),
    Sample("Trilu", (F((3, 4)), np.array(-1)), {"upper": 0}, id="lower-k-1"),
    Sample("Trilu", (F((3, 4)), np.array(10)), id="k-outside"),
    Sample("Trilu", (np.arange(6).reshape(2, 3),), id="int64", of=()),
]  # fmt: skip
