"""Probabilities of several classes from those of each two: the kernel, and its iterations in standard operators."""

from __future__ import annotations

import numpy as np

from graphspec.operators._ml_bodies import Body
from graphspec.operators.registry import Array

# A row is done when no class is further off than this by the number of classes, or after so many rounds.
LEAST_CHANGE, ROUNDS = 0.005, 100


def coupled(share: Array) -> Array:
    """Probabilities of k classes from those of each two: p minimises Σᵢⱼ (shareⱼᵢ pᵢ - shareᵢⱼ pⱼ)², all rows at once.

    Source: Wu, Lin and Weng, Probability estimates for multi-class classification by pairwise coupling, 2004,
    algorithm 2; a row is done when it is nearer than 0.005 / k, as in LIBSVM.
    """
    count, k = share.shape[0], share.shape[1]
    Q = -share.transpose(0, 2, 1) * share
    diagonal = np.square(share).sum(axis=1)
    Q[:, range(k), range(k)] = diagonal
    p = np.full((count, k), 1 / max(1, k))
    active = np.arange(count)
    for _ in range(ROUNDS):
        Qp = np.einsum("nij,nj->ni", Q[active], p[active])
        pQp = (p[active] * Qp).sum(axis=1)
        far = np.abs(Qp - pQp[:, None]).max(axis=1, initial=0) >= LEAST_CHANGE / max(1, k)
        active, Qp, pQp = active[far], Qp[far], pQp[far]
        if not active.size:
            break
        q, d, now = Q[active], diagonal[active], p[active]
        for t in range(k):
            change = (pQp - Qp[:, t]) / d[:, t]
            now[:, t] += change
            grown = 1 + change
            pQp = (pQp + change * (change * d[:, t] + 2 * Qp[:, t])) / grown**2
            Qp = (Qp + change[:, None] * q[:, t]) / grown[:, None]
            now /= grown[:, None]
        p[active] = now
    return p


def coupled_body(body: Body, k: int) -> None:
    """``s``, the probabilities, from ``won``, the share of the first of each pair of k classes.

    The rounds are those of the kernel, and so the derivative is that of what it computes, not of the limit.
    """
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    sides, rest = np.zeros((len(pairs), k * k)), np.zeros(k * k)
    for n, (i, j) in enumerate(pairs):
        sides[n, i * k + j], sides[n, j * k + i], rest[j * k + i] = 1, -1, 1
    for name, values in (
        ("sides", sides), ("others", rest), ("square_shape", [-1, k, k]), ("rows_axis", [1]), ("last_axis", [2]),
        ("eye", np.eye(k)), ("off", 1 - np.eye(k)), ("even", np.full((1, k), 1 / k)),
        ("tolerance", LEAST_CHANGE / k), ("unit", 1.0), ("double", 2.0), ("rounds", ROUNDS),
    ):  # fmt: skip
        body.const(name, values)
    body.add(
        """flat_sides = MatMul(won, sides)  flat_share = Add(flat_sides, others)
        share = Reshape(flat_share, square_shape)  turned = Transpose<perm=[0, 2, 1]>(share)
        products = Mul(turned, share)  negative = Neg(products)  between = Mul(negative, off)
        diagonal = ReduceSumSquare<keepdims=0>(share, rows_axis)  wide = Unsqueeze(diagonal, last_axis)
        own_terms = Mul(wide, eye)  Q = Add(between, own_terms)
        row_zeros = Sub(diagonal, diagonal)  start = Add(row_zeros, even)
        row_sizes = ReduceSum(row_zeros, rows_axis)  going = Equal(row_sizes, row_sizes)"""
    )
    step = []
    for t in range(k):
        body.const(f"e{t}", np.eye(k)[t])
        body.const(f"column{t}", np.eye(k)[:, t : t + 1])
        body.const(f"index{t}", t)
        body.add(f"q{t} = Gather<axis=1>(Q, index{t})  d{t} = MatMul(diagonal, column{t})")
        step.append(
            f"""Qt{t} = MatMul(Qp{t}, column{t})  gap{t} = Sub(pQp{t}, Qt{t})  change{t} = Div(gap{t}, d{t})
            grown{t} = Add(change{t}, unit)  added{t} = Mul(change{t}, e{t})  more{t} = Add(p{t}, added{t})
            p{t + 1} = Div(more{t}, grown{t})  cd{t} = Mul(change{t}, d{t})  two{t} = Mul(double, Qt{t})
            slope{t} = Add(cd{t}, two{t})  gain{t} = Mul(change{t}, slope{t})  up{t} = Add(pQp{t}, gain{t})
            area{t} = Mul(grown{t}, grown{t})  pQp{t + 1} = Div(up{t}, area{t})  cq{t} = Mul(change{t}, q{t})
            sumq{t} = Add(Qp{t}, cq{t})  Qp{t + 1} = Div(sumq{t}, grown{t})"""
        )
    body.add(
        f"""s, still = Loop<body = round
            (int64 n, bool go, double[rows, {k}] p0, bool[rows, 1] active)
            => (bool again, double[rows, {k}] p_out, bool[rows, 1] on) {{
            p_wide = Unsqueeze(p0, last_axis)  Qp_wide = MatMul(Q, p_wide)  Qp0 = Squeeze(Qp_wide, last_axis)
            pQ = Mul(p0, Qp0)  pQp0 = ReduceSum(pQ, rows_axis)  away = Sub(Qp0, pQp0)  size = Abs(away)
            worst = ReduceMax(size, rows_axis)  far = GreaterOrEqual(worst, tolerance)  on = And(active, far)
            {" ".join(step)}
            p_out = Where(on, p{k}, p0)
            marks = Cast<to=7>(on)  any_mark = ReduceSum<keepdims=0>(marks)  again = Cast<to=9>(any_mark)
        }}>(rounds, , start, going)"""
    )
