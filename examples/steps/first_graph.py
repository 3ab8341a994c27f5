"""Step 1: the classic first graphs, defined by running them."""

from __future__ import annotations

import numpy as np

from graphspec_client import Client, tensor
from steps.checks import check, largest_difference


def run(client: Client) -> str:
    """f(x, y) = (x + y)·sin(x) and sum(relu(x·y + 2)), with gradients, against their formulas.

    Returns:
        The line for the demo.

    Raises:
        CheckError: A value or a gradient is off.
    """
    a, b = 2.0, 3.0
    x = tensor(a, dtype="float64", requires_grad=True, client=client)
    y = tensor(b, dtype="float64", requires_grad=True, client=client)
    f = (x + y) * np.sin(x)
    f.backward()
    formula = np.array([(a + b) * np.sin(a), np.sin(a) + (a + b) * np.cos(a), np.sin(a)])
    value, dx, dy = found = np.array([f.item(), x.grad, y.grad], dtype=np.float64)
    off = check("the distance from the formula", largest_difference(found, formula), at_most=1e-12)

    u = tensor([1.0, 2.0, 3.0], requires_grad=True, client=client)
    v = tensor([4.0, 5.0, 6.0], requires_grad=True, client=client)
    total = (u * v + 2).relu().sum()
    total.backward()
    found = np.concatenate([[total.item()], u.grad, v.grad])
    check("sum(relu(x·y + 2))", largest_difference(found, np.array([38.0, 4, 5, 6, 1, 2, 3])), at_most=0)

    return (
        f"(x + y)·sin(x) at (2, 3) = {value:.6f}, gradient ({dx:.6f}, {dy:.6f}), "
        f"{off:.1g} off the formula; sum(relu(x·y + 2)) = {total.item():g}, gradients {u.grad} and {v.grad}"
    )
