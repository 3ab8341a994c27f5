"""Compiled graphs, kept: the least recently used go first."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, Protocol

import onnx_ir as ir

import graphspec as gs
from graphspec_server.executor import Arrays, Feeds, Graph, Work


class Product(NamedTuple):
    """A derivative that is a graph: how to make it, and what its own inputs and outputs belong to.

    Attributes:
        derive: Makes the graph.
        scalar: Whether it is of one scalar.
        vectors: Whose names its own inputs have, ``"of"`` or ``"wrt"``, if it has any.
        groups: Its own outputs: what answers call them, and whose names they have.
    """

    derive: Callable[..., ir.Model]
    scalar: bool
    vectors: str | None
    groups: dict[str, str]


PRODUCTS = {
    "grad": Product(gs.grad, True, None, {"gradients": "wrt"}),
    "vjp": Product(gs.vjp, False, "of", {"vjp": "wrt"}),
    "jvp": Product(gs.jvp, False, "wrt", {"jvp": "of"}),
    "hvp": Product(gs.hvp, True, "wrt", {"gradients": "wrt", "hvp": "wrt"}),
}

# What one batched run of a Jacobian or Hessian may take, within the limit of a run: several runs share the machine.
_BATCH_BYTES = 1 << 28

Key = tuple[str, str, tuple[str, ...], tuple[str, ...], bool, bool, tuple[str, ...]]


class Compiled(Protocol):
    """A graph's work, ready to run."""

    def run(self, feeds: Feeds, fetches: tuple[str, ...] | None, deadline: float) -> Arrays:
        """Run once."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class CompiledProduct:
    """A session, and which of its names are what.

    Attributes:
        session: Of the graph, or of its derivative.
        outputs: Names of the outputs that are values of the graph.
        vectors: For each value that has a cotangent or tangent the input that takes it.
        derivatives: For each group of derivatives and each name the output that holds it.
    """

    session: gs.Session
    outputs: tuple[str, ...]
    vectors: dict[str, str]
    derivatives: dict[str, dict[str, str]]

    def run(self, feeds: Feeds, fetches: tuple[str, ...] | None, deadline: float) -> Arrays:
        """Run once; all results come from the same pass."""
        values = dict(feeds.values)
        values.update((self.vectors[name], array) for name, array in feeds.vectors.items())
        wanted = self.outputs if fetches is None else fetches
        names = [*wanted, *(output for group in self.derivatives.values() for output in group.values())]
        found = self.session.run(values, fetches=names, deadline=deadline, seed=feeds.seed)
        return Arrays(
            outputs={name: found[name] for name in wanted},
            derivatives={
                key: {name: found[output] for name, output in group.items()} for key, group in self.derivatives.items()
            },
        )


@dataclasses.dataclass(frozen=True, slots=True)
class CompiledMatrix:
    """A Jacobian or Hessian, and what answers call it."""

    name: str
    matrix: gs.Jacobian | gs.Hessian

    def run(self, feeds: Feeds, fetches: tuple[str, ...] | None, deadline: float) -> Arrays:
        """One batched run, or several where memory asks for it."""
        options: dict[str, Any] = {"deadline": deadline, "seed": feeds.seed, "max_bytes": feeds.max_bytes}
        if feeds.max_bytes is not None:
            options["batch_bytes"] = min(feeds.max_bytes, _BATCH_BYTES)
        outputs, matrices = self.matrix.run(feeds.values, fetches, **options)
        return Arrays(outputs, {self.name: matrices})


def derived(model: ir.Model, work: Work, seeds: int | str | None = None) -> ir.Model:
    """A derivative as a graph."""
    options: dict[str, Any] = {} if seeds is None else {"seeds": seeds}
    if work.checkpoint:
        options["checkpoint"] = work.checkpoint
    product = PRODUCTS[work.transform]
    of = work.of[0] if product.scalar else list(work.of)
    return product.derive(model, of=of, wrt=list(work.wrt), allow_unused=work.allow_unused, **options)


def compile_work(graph: Graph, work: Work) -> Compiled:
    """Differentiate if asked to, and compile.

    The derivative's own names come last among its inputs and outputs, in the order of ``of`` and ``wrt``.
    """
    model = graph.load()
    if work.transform == "jacobian":
        return CompiledMatrix(
            work.transform, gs.Jacobian(model, list(work.of), list(work.wrt), allow_unused=work.allow_unused)
        )
    if work.transform == "hessian":
        return CompiledMatrix(
            work.transform, gs.Hessian(model, work.of[0], list(work.wrt), allow_unused=work.allow_unused)
        )
    vectors: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}
    if work.transform in PRODUCTS:
        product, names = PRODUCTS[work.transform], {"of": work.of, "wrt": work.wrt}
        # No dimension of a graph is called by the graph's own digest.
        model = derived(model, work, f"seeds_{graph.id}" if work.seeds else None)
        vectors = names[product.vectors] if product.vectors else ()
        groups = {group: names[role] for group, role in product.groups.items()}
    inputs, outputs = [[value.name or "" for value in side] for side in (model.graph.inputs, model.graph.outputs)]
    own = len(outputs) - sum(map(len, groups.values()))
    rest = iter(outputs[own:])
    return CompiledProduct(
        session=gs.Session(model),
        outputs=tuple(outputs[:own]),
        vectors=dict(zip(vectors, inputs[len(inputs) - len(vectors) :], strict=True)),
        derivatives={group: {name: next(rest) for name in names} for group, names in groups.items()},
    )


class SessionCache:
    """At most so many compiled graphs; requests for one that is being compiled wait for it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Key, Future[Compiled]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, graph: Graph, work: Work) -> Compiled:
        """The compiled form of a graph's work; compiled by the first who asks."""
        key = (graph.id, work.transform, work.of, work.wrt, work.allow_unused, work.seeds, work.checkpoint)
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
