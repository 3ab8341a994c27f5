"""One comparison for all frameworks: values to 1e-5, gradients and Hessian-vector products to 1e-4, in float32."""

from __future__ import annotations

import numpy as np

import graphspec as gs
from peers.models import Arrays, Peer


def tangents(peer: Peer) -> Arrays:
    """A direction for the Hessian-vector product."""
    rng = np.random.default_rng(21)
    return {x: rng.standard_normal(v.shape).astype(np.float32) for x, v in peer.point.items()}


def compare(peer: Peer, loss: np.ndarray, gradients: Arrays, products: Arrays) -> None:
    """Hold GraphSpec's loss, gradients and products against those of a framework."""
    names = peer.wrt
    found = gs.Session(gs.grad(peer.model, "loss", names)).run(peer.feeds)
    close("loss", found["loss"], loss, 1e-5)
    for x in names:
        close(f"gradient by {x}", found[f"{x}_grad"], gradients[x], 1e-4)
    directions = {f"{x}_tangent": v for x, v in tangents(peer).items()}
    found = gs.Session(gs.hvp(peer.model, "loss", names)).run({**peer.feeds, **directions})
    for x in names:
        close(f"Hessian-vector product by {x}", found[f"{x}_hvp"], products[x], 1e-4)
    assert any(np.abs(products[x]).max() > 1e-3 for x in names)  # no comparison of zeros


def close(what: str, ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    """Relative to the largest element, as sums in float32 are."""
    assert ours.shape == theirs.shape, what
    scale = max(float(np.abs(theirs).max(initial=0)), 1e-3)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, err_msg=what)
