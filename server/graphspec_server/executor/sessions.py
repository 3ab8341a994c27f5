"""Compiled graphs, kept: the least recently used go first."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from concurrent.futures import Future

import graphspec as gs
from graphspec_server.executor import Arrays, Feeds, Graph, Work

Key = tuple[str, str, tuple[str, ...], tuple[str, ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """A session, and which of its names are what.

    Attributes:
        session: Of the graph, or of its derivative.
        outputs: Names of the outputs that are values of the graph.
        cotangents: For each value differentiated the input that takes its cotangent.
        derivatives: For each name in ``wrt`` the output that holds its derivative.
    """

    session: gs.Session
    outputs: tuple[str, ...]
    cotangents: dict[str, str]
    derivatives: dict[str, str]

    def run(self, feeds: Feeds, fetches: tuple[str, ...] | None, deadline: float) -> Arrays:
        """Run once; both kinds of results come from the same pass."""
        values = dict(feeds.values)
        values.update((self.cotangents[name], array) for name, array in feeds.cotangents.items())
        wanted = self.outputs if fetches is None else fetches
        names = [*wanted, *self.derivatives.values()]
        found = self.session.run(values, fetches=names, deadline=deadline, seed=feeds.seed)
        return Arrays(
            outputs={name: found[name] for name in wanted},
            derivatives={name: found[output] for name, output in self.derivatives.items()},
        )


def compile_work(graph: Graph, work: Work) -> Compiled:
    """Differentiate if asked to, and compile.

    The derivative's own names come last among its inputs and outputs, in the order of ``of`` and ``wrt``.
    """
    model = graph.load()
    if work.transform == "grad":
        model = gs.grad(model, of=work.of[0], wrt=list(work.wrt))
    elif work.transform == "vjp":
        model = gs.vjp(model, of=list(work.of), wrt=list(work.wrt))
    session = gs.Session(model)
    inputs, outputs = [[value.name or "" for value in side] for side in (model.graph.inputs, model.graph.outputs)]
    own = len(outputs) - len(work.wrt)
    cotangents = inputs[len(inputs) - len(work.of) :] if work.transform == "vjp" else []
    return Compiled(
        session=session,
        outputs=tuple(outputs[:own]),
        cotangents=dict(zip(work.of, cotangents, strict=False)),
        derivatives=dict(zip(work.wrt, outputs[own:], strict=True)),
    )


class SessionCache:
    """At most so many compiled graphs; requests for one that is being compiled wait for it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Key, Future[Compiled]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, graph: Graph, work: Work) -> Compiled:
        """The compiled form of a graph's work; compiled by the first who asks."""
        key = (graph.id, work.transform, work.of, work.wrt)
        with self._lock:
            future = self._kept.get(key)
            first = future is None
            if future is None:
                future = self._kept[key] = Future()
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        if first:
            self._fill(key, future, graph, work)
        return future.result()

    def __len__(self) -> int:
        return len(self._kept)

    def _fill(self, key: Key, future: Future[Compiled], graph: Graph, work: Work) -> None:
        try:
            future.set_result(compile_work(graph, work))
        except BaseException as error:
            future.set_exception(error)
            with self._lock:
                if self._kept.get(key) is future:  # what failed may succeed later: a rule, memory
                    del self._kept[key]
