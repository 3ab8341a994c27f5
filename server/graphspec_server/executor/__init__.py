"""Where graphs run: one interface, whatever is behind it.

`Executor.submit` takes a graph by its digest, the work and the feeds, and gives arrays. Today's executor runs in
threads of this process (`in_process`); worker processes and clusters fit the same interface, since nothing in it
is shared but what can be sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import numpy as np
import onnx_ir as ir

Transform = Literal["run", "grad", "vjp", "jvp", "hvp", "jacobian", "hessian"]


@dataclasses.dataclass(frozen=True, slots=True)
class Graph:
    """A graph to run.

    Attributes:
        id: Its digest: what an executor keeps its compiled form under.
        load: Gives the graph itself; called only when no compiled form is kept, and never on the event loop.
    """

    id: str
    load: Callable[[], ir.Model]


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What to compute of a graph.

    Attributes:
        transform: Its values, or a derivative beside them.
        of: Names of the values to differentiate.
        wrt: Names of the values to differentiate with respect to.
        fetches: Names of the values wanted, ``None`` for all outputs.
        allow_unused: Whether what is not connected has derivatives of zero.
        seeds: Whether cotangents or tangents, and products, have a leading dimension.
        checkpoint: Names of values to compute anew (``grad``, ``vjp``).
    """

    transform: Transform = "run"
    of: tuple[str, ...] = ()
    wrt: tuple[str, ...] = ()
    fetches: tuple[str, ...] | None = None
    allow_unused: bool = False
    seeds: bool = False
    checkpoint: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Feeds:
    """What a run is given.

    Attributes:
        values: Inputs and overridden parameters, by name.
        vectors: Cotangents (``vjp``) or tangents (``jvp``, ``hvp``), by the name of the value that each belongs to.
        seed: Where the run's random numbers start; different from run to run if ``None``.
        max_bytes: The most that a Jacobian or Hessian may take, all its parts together.
    """

    values: Mapping[str, np.ndarray]
    vectors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    max_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Arrays:
    """What a run gives.

    Attributes:
        outputs: The values fetched, by name.
        derivatives: What the answer calls each group of derivatives, and the group: a derivative for each name; for
            ``jacobian`` and ``hessian`` one for each name in `Work.of` (`Work.wrt`) and each in `Work.wrt`.
    """

    outputs: Mapping[str, np.ndarray]
    derivatives: Mapping[str, Mapping[str, Any]]


class Executor(Protocol):
    """Runs graphs, a bounded number at once."""

    @property
    def pending(self) -> int:
        """Runs under way or waiting."""
        ...

    async def submit(self, graph: Graph, work: Work, feeds: Feeds) -> Arrays:
        """Run a graph.

        Raises:
            GraphSpecError: The work cannot be done on this graph with these feeds.
            LimitError: It took too long (code ``deadline``) or too much memory (``memory``).
            Overloaded: Too many runs are waiting.
        """
        ...

    def close(self) -> None:
        """Forget the work that waits; do not wait for work that is under way."""
        ...
