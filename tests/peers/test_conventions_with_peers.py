"""What docs/derivatives.md says of PyTorch and JAX at kinks, ties and poles, asked of both."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peers.conventions import WRITTEN

torch = pytest.importorskip("torch", reason="PyTorch is not installed: `make test-peers` installs it and runs this")
jax = pytest.importorskip("jax", reason="JAX is not installed: `make test-peers` installs it and runs this")

PAGE = Path(__file__).parents[2] / "docs" / "derivatives.md"
ROWS = dict(re.findall(r"^\| ([^|]+?) \| [^|]+ \| ([^|]+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
# Where the page says that both differ from us, and why, below its tables.
BOTH_DIFFER = {"ReduceLogSumExp of -inf alone", "LpNormalization at 0"}


@pytest.mark.parametrize("name", list(WRITTEN))
def test_the_page_tells_what_they_give(name: str, conventions: dict[str, Any]) -> None:
    convention = conventions[name]
    feeds = {n: np.asarray(v, np.float64) for n, v in convention.feeds.items()}
    ours = {n: np.asarray(v, np.float64) for n, v in convention.gradients.items()}
    with_torch, with_jax = _same(ours, _of_torch(name, feeds)), _same(ours, _of_jax(name, feeds))
    said = ROWS[name]
    if said.startswith("agree"):
        assert (with_torch, with_jax) == (True, True)
    elif name in BOTH_DIFFER:
        assert (with_torch, with_jax) == (False, False)
    else:  # they differ from each other: we cannot agree with both, and the page says with whom
        assert (with_torch, with_jax) in {(True, False), (False, True)}
        first = "PyTorch as we" in said or re.match(r"PyTorch(?:'s `\w+`)? (?:0|alpha)", said)
        assert with_torch == bool(first), said


def _of_torch(name: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    inputs = [torch.tensor(v, requires_grad=True) for v in feeds.values()]
    y = WRITTEN[name](torch, torch.nn.functional, *inputs).sum()
    found = torch.autograd.grad(y, inputs, allow_unused=True, materialize_grads=True)
    return {n: g.numpy() for n, g in zip(feeds, found, strict=True)}


def _of_jax(name: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with jax.enable_x64(True):
        inputs = {n: jax.numpy.asarray(v) for n, v in feeds.items()}
        found = jax.grad(lambda given: WRITTEN[name](jax.numpy, jax.nn, *given.values()).sum())(inputs)
        return {n: np.asarray(g) for n, g in found.items()}


def _same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> bool:
    return all(np.allclose(ours[n], theirs[n], rtol=1e-7, atol=0, equal_nan=True) for n in ours)
